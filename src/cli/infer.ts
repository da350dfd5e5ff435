import type { Command } from "commander";
import * as z from "zod/mini";
import { createCofhe } from "../cofhe/client.ts";
import { systemRandom } from "../crypto/random.ts";
import { createRequesterClient } from "../icl/requester.ts";
import { createDownloader } from "../ipfs/download.ts";
import { systemClock } from "../lib/clock.ts";
import { BlfError, exitCodes } from "../lib/errors.ts";
import { printable } from "../lib/printable.ts";
import { deposit } from "../requester/deposit.ts";
import { infer } from "../requester/infer.ts";
import { openSession, requireAddress } from "./session.ts";
import { parseBlind } from "./ui/amount.ts";
import { interruptSignal } from "./ui/interrupt.ts";
import { print, printJson, printTable } from "./ui/io.ts";
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
    .command("infer <prompt>")
    .description("Encrypt a prompt, buy a quorum of nodes, decrypt and check their answer.")
    .requiredOption("--model <id>", "exact model id")
    .option("--verifiers <n>", "verifiers beside the leader, 1 to 5", "2")
    .option("--currency <name>", "credits to pay with: blind or cusdc", "blind")
    .option("--deposit <amount>", "buy credits for this much BLIND first")
    .option("--password-stdin", "read the keystore's password from standard input")
    .option("--json", "print one JSON document")
    .action(run);
}

async function run(prompt: string, options: Options): Promise<void> {
  const { currency } = options;
  if (currency !== "blind" && currency !== "cusdc") throw invalidOption("--currency", "blind or cusdc");
  if (!/^[1-5]$/.test(options.verifiers)) throw invalidOption("--verifiers", "a whole number from 1 to 5");
  if (prompt.trim() === "") throw invalidOption("<prompt>", "some text");
  const credits = options.deposit === undefined ? undefined : parseBlind(options.deposit);
  const session = openSession();
  const { config, log } = session;
  const keyStore = requireAddress(config, "prompt_key_store_address");
  const wallet = await unlock(session, options);
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
    if (credits !== undefined)
      await deposit({
        client,
        sender,
        blind: requireAddress(config, "blind_token_address"),
        treasury: requireAddress(config, "payment_treasury_address"),
        amount: credits,
        id: crypto.randomUUID(),
        signal: interrupt.signal,
      });
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

function invalidOption(name: string, expected: string): BlfError {
  return new BlfError({
    code: "USAGE_INVALID_OPTION",
    message: `${name} must be ${expected}`,
    hint: "Run `blindference infer --help`.",
    exitCode: exitCodes.usage,
  });
}
