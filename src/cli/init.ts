import { existsSync } from "node:fs";
import type { Command } from "commander";
import type * as z from "zod/mini";
import { configPath } from "../config/load.ts";
import { updateConfigFile } from "../config/save.ts";
import type { ConfigFile } from "../config/schema.ts";
import { BlfError, exitCodes } from "../lib/errors.ts";
import { ensurePrivateDirectory } from "../lib/files.ts";
import type { Secret } from "../lib/secret.ts";
import type { Machine } from "./init/machine.ts";
import { type ChosenModels, parseModels } from "./init/models.ts";
import { type InitDocument, initSchema } from "./init/output.ts";
import type { ProbeResult } from "./init/probe.ts";
import { openSession, type Session } from "./session.ts";
import { print, printJson, printTable, stderrLogger } from "./ui/io.ts";
import { readNewPassword } from "./ui/password.ts";
import type { Row } from "./ui/table.ts";

type Options = {
  import?: boolean;
  nonInteractive?: boolean;
  model?: string[];
  network?: string;
  probe: boolean;
  passwordStdin?: boolean;
  json?: boolean;
};

/** The documents of `--json`, by command. */
export const outputs: Record<string, z.ZodMiniType> = { init: initSchema };

export function register(program: Command): void {
  program
    .command("init")
    .description("Create the node's wallet, or import a key, and write config.json. Never overwrites a keystore.")
    .option("--import", "import a private key (BLF_PRIVATE_KEY, or asked for)")
    .option("--model <id=path>", "serve this GGUF file under this model id; may be given several times", collect)
    .option("--network <name>", "network to join")
    .option("--no-probe", "do not try whether the models answer the same question twice alike")
    .option("--non-interactive", "ask nothing; take the password from BLF_KEY_PASSWORD or --password-stdin")
    .option("--password-stdin", "read the new keystore's password from standard input")
    .option("--json", "print one JSON document")
    .action(run);
}

type Answers = {
  privateKey: Secret<`0x${string}`>;
  password: Secret<string>;
  network: string;
  models: ChosenModels;
};

async function run(options: Options): Promise<void> {
  const flags: ConfigFile = options.network ? { network: options.network } : {};
  const models = parseModels(options.model ?? []);
  const session = openSession({ flags, initialised: false });
  const { config } = session;
  if (existsSync(config.keystore_path)) throw alreadyInitialised(config.keystore_path);
  const { lookAtMachine } = await import("./init/machine.ts");
  const machine = lookAtMachine(session.secrets);
  const terminal = process.stdin.isTTY && process.stdout.isTTY;
  const interactive = terminal && !options.nonInteractive && !options.json && !options.passwordStdin;
  const answers = interactive
    ? await converse(session, options, models, machine)
    : await takeAsGiven(session, options, models);
  const probes = options.probe ? await probe(session, answers.models, interactive) : [];
  const address = await write(session, answers);
  const document: InitDocument = {
    ok: true,
    address,
    keystore: config.keystore_path,
    config: configPath(config.dir),
    network: answers.network,
    models: Object.keys(answers.models),
    ...(await machine),
    probes,
  };
  if (options.json) return printJson(document);
  await report(document, interactive);
}

/** Asks on the terminal for what was not given. */
async function converse(
  { config, secrets }: Session,
  options: Options,
  models: ChosenModels,
  machine: Promise<Machine>,
): Promise<Answers> {
  const { askQuestions } = await import("./init/wizard.ts");
  return askQuestions({
    config,
    machine,
    models,
    importKey: options.import ?? false,
    network: options.network,
    privateKey: await givenKey(secrets),
    password: secrets.keyPassword ? await readNewPassword(secrets, options) : undefined,
  });
}

/** Asks nothing: without BLF_PRIVATE_KEY a key is made. @throws BlfError `PRIVATE_KEY_MISSING`, `PASSWORD_*` */
async function takeAsGiven({ config, secrets }: Session, options: Options, models: ChosenModels): Promise<Answers> {
  const given = await givenKey(secrets);
  if (options.import && !given)
    throw new BlfError({
      code: "PRIVATE_KEY_MISSING",
      message: "There is no private key to import",
      hint: "Set BLF_PRIVATE_KEY for this one command.",
      exitCode: exitCodes.usage,
    });
  const password = await readNewPassword(secrets, options);
  const { createPrivateKey } = await import("../wallet/private-key.ts");
  return { privateKey: given ?? createPrivateKey(), password, network: config.network, models };
}

async function givenKey({ privateKey }: Session["secrets"]): Promise<Secret<`0x${string}`> | undefined> {
  return privateKey && (await import("../wallet/private-key.ts")).parsePrivateKey(privateKey.reveal());
}

async function probe({ config }: Session, models: ChosenModels, interactive: boolean): Promise<ProbeResult[]> {
  const log = stderrLogger("error", config.log_format);
  if (interactive) return (await import("./init/wizard.ts")).probeOnTerminal(config, models, log);
  const { probeModel } = await import("./init/probe.ts");
  const results: ProbeResult[] = [];
  for (const [model, { path }] of Object.entries(models))
    results.push(await probeModel({ model, config: { path, contextSize: 2048 }, threads: config.engine.threads, log }));
  return results;
}

/** Writes keystore and configuration, in this order: a node without a key is none. */
async function write({ config }: Session, { privateKey, password, network, models }: Answers): Promise<string> {
  const [{ encryptKeystore }, { writeKeystore }, { walletFromPrivateKey }] = await Promise.all([
    import("../wallet/keystore.ts"),
    import("../wallet/keystore-file.ts"),
    import("../wallet/wallet.ts"),
  ]);
  const wallet = walletFromPrivateKey(privateKey);
  ensurePrivateDirectory(config.dir);
  writeKeystore(config.keystore_path, await encryptKeystore(privateKey, password));
  const changes: ConfigFile = { node_address: wallet.address, network };
  if (Object.keys(models).length > 0) {
    changes.models = models;
    changes.supported_model_ids = Object.keys(models);
  }
  updateConfigFile(config.dir, changes);
  return wallet.address;
}

async function report(document: InitDocument, interactive: boolean): Promise<void> {
  const { address, keystore, config, network, models, probes, fits } = document;
  const { machineRows } = await import("./init/machine.ts");
  const rows: Row[] = [
    ["address", address],
    ["keystore", keystore],
    ["configuration", config],
    ["network", network],
    ["models", models.join(", ") || "none yet: a node without a model gets no jobs"],
  ];
  if (interactive) (await import("./init/wizard.ts")).sayWritten();
  else {
    const { probeText } = await import("./init/probe.ts");
    rows.push(...machineRows(document));
    for (const result of probes) rows.push(["probe", probeText(result), result.repeats ? "good" : "bad"]);
  }
  printTable(rows);
  const [best] = fits;
  if (models.length === 0 && best) print(`\nTo get a model that fits this machine:\n  ${pullCommand(best)}`);
  print(`\nNext: send ETH for gas and at least 1000 BLIND to that address, then run
  blindference attest --register
  blindference staking stake 1000
  blindference run`);
}

function pullCommand({ repository, file, id }: InitDocument["fits"][number]): string {
  return `blindference models pull ${repository}:${file} --id ${id}`;
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
