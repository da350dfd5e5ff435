import { existsSync } from "node:fs";
import type { Command } from "commander";
import { configPath, expandPath } from "../config/load.ts";
import { updateConfigFile } from "../config/save.ts";
import type { ConfigFile } from "../config/schema.ts";
import { BlfError, exitCodes } from "../lib/errors.ts";
import { ensurePrivateDirectory } from "../lib/files.ts";
import type { Secret } from "../lib/secret.ts";
import { encryptKeystore } from "../wallet/keystore.ts";
import { writeKeystore } from "../wallet/keystore-file.ts";
import { createPrivateKey, parsePrivateKey } from "../wallet/private-key.ts";
import { walletFromPrivateKey } from "../wallet/wallet.ts";
import { openSession, type Session } from "./session.ts";
import { print, printJson, printTable } from "./ui/io.ts";
import { cancelled, prompt, readNewPassword } from "./ui/password.ts";

type Options = {
  import?: boolean;
  nonInteractive?: boolean;
  model?: string[];
  network?: string;
  passwordStdin?: boolean;
  json?: boolean;
};

export function register(program: Command): void {
  program
    .command("init")
    .description("Create the node's wallet, or import a key, and write config.json. Never overwrites a keystore.")
    .option("--import", "import a private key (BLF_PRIVATE_KEY, or asked for)")
    .option("--model <id=path>", "serve this GGUF file under this model id; may be given several times", collect)
    .option("--network <name>", "network to join")
    .option("--non-interactive", "ask nothing; take the password from BLF_KEY_PASSWORD or --password-stdin")
    .option("--password-stdin", "read the new keystore's password from standard input")
    .option("--json", "print one JSON document")
    .action(run);
}

async function run(options: Options): Promise<void> {
  const flags: ConfigFile = options.network ? { network: options.network } : {};
  const models = parseModels(options.model ?? []);
  const session = openSession({ flags, initialised: false });
  const { config } = session;
  if (existsSync(config.keystore_path)) throw alreadyInitialised(config.keystore_path);
  const interactive = process.stdin.isTTY && !options.nonInteractive && !options.json && !options.passwordStdin;
  const privateKey = await choosePrivateKey(session, options, interactive);
  const password = await readNewPassword(session.secrets, options);
  const wallet = walletFromPrivateKey(privateKey);
  ensurePrivateDirectory(config.dir);
  writeKeystore(config.keystore_path, await encryptKeystore(privateKey, password));
  const changes: ConfigFile = { node_address: wallet.address, network: config.network };
  if (Object.keys(models).length > 0) {
    changes.models = models;
    changes.supported_model_ids = Object.keys(models);
  }
  updateConfigFile(config.dir, changes);
  if (options.json)
    return printJson({
      ok: true,
      address: wallet.address,
      keystore: config.keystore_path,
      config: configPath(config.dir),
      network: config.network,
      models: Object.keys(models),
    });
  printTable([
    ["address", wallet.address],
    ["keystore", config.keystore_path],
    ["configuration", configPath(config.dir)],
    ["network", config.network],
    ["models", Object.keys(models).join(", ") || "none yet: see `models` in the README"],
  ]);
  print(`\nNext: send ETH for gas and at least 1000 BLIND to ${wallet.address}, then run
  blindference attest --register
  blindference staking stake 1000
  blindference run`);
}

async function choosePrivateKey(
  session: Session,
  options: Options,
  interactive: boolean,
): Promise<Secret<`0x${string}`>> {
  const given = session.secrets.privateKey;
  if (given) return parsePrivateKey(given.reveal());
  if (options.import) {
    if (interactive) return parsePrivateKey((await prompt("Private key (64 hex digits)")).reveal());
    throw new BlfError({
      code: "PRIVATE_KEY_MISSING",
      message: "There is no private key to import",
      hint: "Set BLF_PRIVATE_KEY for this one command.",
      exitCode: exitCodes.usage,
    });
  }
  if (!interactive) return createPrivateKey();
  const { isCancel, select } = await import("@clack/prompts");
  const choice = await select({
    message: "The node needs a wallet of its own",
    options: [
      { value: "create", label: "Create a new key" },
      { value: "import", label: "Import a private key" },
    ],
  });
  if (isCancel(choice)) throw cancelled();
  return choice === "create"
    ? createPrivateKey()
    : parsePrivateKey((await prompt("Private key (64 hex digits)")).reveal());
}

/** `qwen2.5-7b=/models/qwen.gguf` → an entry of `models`. @throws BlfError `USAGE_INVALID_MODEL`, `MODEL_FILE_MISSING` */
function parseModels(texts: string[]): Record<string, { path: string }> {
  const models: Record<string, { path: string }> = {};
  for (const text of texts) {
    const separator = text.indexOf("=");
    const id = text.slice(0, separator);
    const path = expandPath(text.slice(separator + 1));
    if (separator < 1 || separator === text.length - 1)
      throw new BlfError({
        code: "USAGE_INVALID_MODEL",
        message: "--model wants <id=path>",
        hint: "For example --model qwen2.5-7b=/models/qwen2.5-7b-q8_0.gguf",
        exitCode: exitCodes.usage,
      });
    if (!existsSync(path))
      throw new BlfError({
        code: "MODEL_FILE_MISSING",
        message: `There is no model file ${path}`,
        hint: "Check the path after the equals sign.",
        exitCode: exitCodes.usage,
      });
    models[id] = { path };
  }
  return models;
}

function alreadyInitialised(path: string): BlfError {
  return new BlfError({
    code: "KEYSTORE_EXISTS",
    message: `There is a keystore already: ${path}`,
    hint: "It is never overwritten. Move it away, or set BLF_CONFIG_DIR to another directory.",
  });
}

function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}
