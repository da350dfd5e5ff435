import type { Command } from "commander";
import * as z from "zod/mini";
import { createCofhe } from "../cofhe/client.ts";
import { systemRandom } from "../crypto/random.ts";
import { createRequesterClient } from "../icl/requester.ts";
import { createDownloader } from "../ipfs/download.ts";
import { systemClock } from "../lib/clock.ts";
import { BlfError, exitCodes } from "../lib/errors.ts";
import { printable } from "../lib/printable.ts";
import { Secret } from "../lib/secret.ts";
import { deposit } from "../requester/deposit.ts";
import { infer } from "../requester/infer.ts";
import { openSession, requireAddress } from "./session.ts";
import { parseBlind } from "./ui/amount.ts";
import { interruptSignal } from "./ui/interrupt.ts";
import { print, printJson, printTable } from "./ui/io.ts";
import { runAct } from "./unfinished.ts";
import { openChainSession, unlock } from "./wallet-session.ts";

type Options = {
  model: string;
  verifiers: string;
  currency: string;
  deposit?: string;
  json?: boolean;
  passwordStdin?: boolean;
};

/** The documents of `--json`, by command. */
export const outputs: Record<string, z.ZodMiniType> = {
  infer: z.strictObject({
    ok: z.literal(true),
    answer: z.string(),
    model: z.string(),
    taskId: z.string(),
    jobId: z.string(),
    promptCid: z.string(),
    outputCid: z.string(),
    commitment: z.string(),
    leader: z.string(),
    verifiers: z.array(z.string()),
    /** Milliseconds by stage. */
    timings: z.record(z.string(), z.number()),
  }),
};

export function register(program: Command): void {
  program
    .command("infer")
    .description("Encrypt a prompt, buy a quorum of nodes, decrypt and check their answer.")
    .argument("<prompt>", "the prompt, which others on this machine can see; - reads it from standard input")
    .requiredOption("--model <id>", "exact model id")
    .option("--verifiers <n>", "verifiers beside the leader, 1 to 5", "2")
    .option("--currency <name>", "credits to pay with: blind or cusdc", "blind")
    .option("--deposit <amount>", "buy credits for this much BLIND first")
    .option("--password-stdin", "read the keystore's password from standard input, the line before the prompt of -")
    .option("--json", "print one JSON document")
    .action(run);
}

async function run(argument: string, options: Options): Promise<void> {
  const { currency } = options;
  if (currency !== "blind" && currency !== "cusdc") throw invalidOption("--currency", "blind or cusdc");
  if (!/^[1-5]$/.test(options.verifiers)) throw invalidOption("--verifiers", "a whole number from 1 to 5");
  const credits = options.deposit === undefined ? undefined : parseBlind(options.deposit);
  const { prompt, password } = argument === "-" ? await readInput(options) : { prompt: argument };
  if (prompt.trim() === "") throw invalidOption("<prompt>", "some text");
  const session = openSession();
  const { config, log } = session;
  const keyStore = requireAddress(config, "prompt_key_store_address");
  const wallet = password
    ? await unlock({ ...session, secrets: { ...session.secrets, keyPassword: password } }, {})
    : await unlock(session, options);
  const { chain, sender, journal } = await openChainSession(session, wallet);
  const cofhe = createCofhe({
    account: wallet.account,
    rpcUrl: config.cofhe_endpoint || config.rpc_url,
    chainId: config.chain_id,
    clock: systemClock,
    log,
  });
  const interrupt = interruptSignal();
  try {
    const timings: Record<string, number> = {};
    const client = createRequesterClient({
      iclUrl: config.icl_endpoint,
      paymentUrl: config.payment_service_url,
      fetch: globalThis.fetch,
      clock: systemClock,
    });
    if (credits !== undefined) {
      const blind = requireAddress(config, "blind_token_address");
      const treasury = requireAddress(config, "payment_treasury_address");
      const act = { journal, clock: systemClock, kind: "deposit", detail: `${blind}:${treasury}:${credits}` };
      const { signal } = interrupt;
      await runAct(act, ({ id }) => deposit({ client, sender, blind, treasury, amount: credits, id, signal }));
    }
    const downloader = createDownloader({
      gateways: [config.ipfs_gateway, ...config.ipfs_gateways],
      clock: systemClock,
      log,
    });
    const result = await infer(
      {
        address: wallet.address,
        client,
        chain,
        sender,
        cofhe,
        downloader,
        keyStore,
        clock: systemClock,
        random: systemRandom,
      },
      {
        prompt,
        modelId: options.model,
        verifierCount: Number(options.verifiers),
        currency,
        signal: interrupt.signal,
        onStage: (stage, ms) => {
          timings[stage] = ms;
          if (!options.json) process.stderr.write(`${stage.padEnd(12)} ${(ms / 1000).toFixed(2)} s\n`);
        },
      },
    );
    if (options.json) return printJson({ ok: true, ...result, model: options.model, timings });
    print(printable(result.answer));
    print("");
    printTable([
      ["commitment", result.commitment],
      ["output", result.outputCid],
      ["leader", result.leader],
      ...result.verifiers.map((address): [string, string] => ["verifier", address]),
    ]);
  } finally {
    interrupt.clear();
    await cofhe.close();
    journal.close();
  }
}

/** What standard input holds: the prompt without the end of its last line, after the line with the password if that comes from there too. */
async function readInput({ passwordStdin }: Options): Promise<{ prompt: string; password?: Secret<string> }> {
  const text = await Bun.stdin.text();
  if (!passwordStdin) return { prompt: withoutLastEnd(text) };
  const [password = ""] = text.split(/\r?\n/, 1);
  if (password === "")
    throw new BlfError({
      code: "PASSWORD_MISSING",
      message: "Standard input holds no password",
      hint: "Pass it as the first line, and the prompt after it.",
      exitCode: exitCodes.authentication,
    });
  const end = text.indexOf("\n");
  return { prompt: end < 0 ? "" : withoutLastEnd(text.slice(end + 1)), password: new Secret(password) };
}

function withoutLastEnd(text: string): string {
  return text.replace(/\r?\n$/, "");
}

function invalidOption(name: string, expected: string): BlfError {
  return new BlfError({
    code: "USAGE_INVALID_OPTION",
    message: `${name} must be ${expected}`,
    hint: "Run `blindference infer --help`.",
    exitCode: exitCodes.usage,
  });
}
