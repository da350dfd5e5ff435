import type { Command } from "commander";
import { getAddress, isAddress } from "viem";
import * as z from "zod";
import { expandPath, loadConfig } from "../config/load.ts";
import { startDevnet } from "../devnet/devnet.ts";
import { createJsonService } from "../icl/service.ts";
import { systemClock } from "../lib/clock.ts";
import { BlfError, exitCodes } from "../lib/errors.ts";
import { ensurePrivateDirectory } from "../lib/files.ts";
import { interruptSignal } from "./ui/interrupt.ts";
import { print, printJson, stderrLogger } from "./ui/io.ts";

type Options = { portBase: string; data?: string; json?: boolean };

/** The documents of `--json`, by command. */
export const outputs: Record<string, z.ZodType> = {
  devnet: z.strictObject({
    ok: z.literal(true),
    endpoints: z.strictObject({ rpc: z.url(), icl: z.url(), payment: z.url(), ipfs: z.url() }),
    addresses: z.record(z.string(), z.string()),
    variables: z.record(z.string().regex(/^BLF_[A-Z_]+$/), z.string()),
  }),
  "devnet fund": z.strictObject({ ok: z.literal(true), address: z.string() }),
};

export function register(program: Command): void {
  const devnet = program
    .command("devnet")
    .description("Run the whole network on this machine: EVM with the contracts, CoFHE, coordinator, payment, blobs.")
    .option("--port-base <n>", "first of four ports on 127.0.0.1; 0 takes any free ones", "8545")
    .option("--data <dir>", "keep the encrypted blobs in this directory")
    .option("--json", "print one JSON document")
    .action(run);
  devnet
    .command("fund [address]")
    .description("Give an address, by default this node's, ETH for gas and 10,000 BLIND of the running devnet.")
    .option("--json", "print one JSON document")
    .action(fund);
}

async function run(options: Options): Promise<void> {
  if (!/^\d{1,5}$/.test(options.portBase) || Number(options.portBase) > 65_532)
    throw new BlfError({
      code: "USAGE_INVALID_OPTION",
      message: "--port-base must be a port number up to 65532",
      hint: "Run `blindference devnet --help`.",
      exitCode: exitCodes.usage,
    });
  const directory = options.data === undefined ? undefined : expandPath(options.data);
  if (directory) ensurePrivateDirectory(directory);
  const interrupt = interruptSignal();
  const devnet = await startDevnet({
    portBase: Number(options.portBase),
    clock: systemClock,
    log: stderrLogger("info", "auto"),
    ...(directory ? { directory } : {}),
  });
  const { endpoints, addresses, variables } = devnet;
  if (options.json) printJson({ ok: true, endpoints, addresses, variables });
  else {
    print("# The devnet runs until Ctrl-C. Its chain is in memory. Point a node or requester at it with:");
    for (const [name, value] of Object.entries(variables)) print(`export ${name}=${value}`);
  }
  await new Promise<void>((resolve) => interrupt.signal.addEventListener("abort", () => resolve(), { once: true }));
  await devnet.stop();
}

async function fund(given: string | undefined, _options: unknown, command: Command): Promise<void> {
  const { config } = loadConfig({ env: process.env });
  const address = given ?? config.node_address;
  if (!isAddress(address, { strict: false }))
    throw new BlfError({
      code: "USAGE_INVALID_OPTION",
      message: given === undefined ? "There is no node here to fund" : "The address must be 0x and 40 hex digits",
      hint: "Give an address, or run `blindference init` first.",
      exitCode: exitCodes.usage,
    });
  const service = createJsonService({
    fetch: globalThis.fetch,
    clock: systemClock,
    baseUrl: config.icl_endpoint,
    service: {
      prefix: "DEVNET",
      name: "The devnet",
      hint: "Start `blindference devnet` and set the variables that it prints.",
    },
  });
  const schema = z.object({ status: z.literal("funded"), address: z.string() });
  const answer = await service.post("/devnet/fund", schema, { body: { address: getAddress(address) } });
  if (command.optsWithGlobals()["json"]) printJson({ ok: true, address: answer.address });
  else print(`${answer.address} has ETH and BLIND now`);
}
