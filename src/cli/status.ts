import type { Command } from "commander";
import type * as z from "zod/mini";
import { systemClock } from "../lib/clock.ts";
import { BlfError, exitCodes } from "../lib/errors.ts";
import { openSession } from "./session.ts";
import { collectStatus } from "./status/collect.ts";
import { statusSchema } from "./status/document.ts";
import type { NetworkPart } from "./status/network.ts";
import { statusRows } from "./status/render.ts";
import { printJson, printTable } from "./ui/io.ts";

type Options = { watch?: boolean; offline?: boolean; json?: boolean };

/** The documents of `--json`, by command. */
export const outputs: Record<string, z.ZodMiniType> = { status: statusSchema };

export function register(program: Command): void {
  program
    .command("status")
    .description("Show the node, from the running daemon when there is one, and what its operator should do next.")
    .option("--watch", "draw it again every 2 seconds until Ctrl-C; needs a terminal")
    .option("--offline", "read this node's files only, and ask nobody")
    .option("--json", "print one JSON document")
    .action(run);
}

async function run(options: Options): Promise<void> {
  const { config, secrets } = openSession();
  const offline = options.offline ?? false;
  if (options.watch) {
    if (options.json) throw watchAsJson();
    const { networkEveryMs, watchStatus } = await import("./status/watch.ts");
    let network: NetworkPart | undefined;
    let askedAt = 0;
    return watchStatus(async () => {
      const now = systemClock.now();
      const isFresh = now - askedAt < networkEveryMs;
      if (!isFresh) askedAt = now;
      const collected = await collectStatus({ config, secrets, offline, network: isFresh ? network : undefined });
      network = collected.network;
      const at = systemClock.now();
      return {
        title: `blindference status, ${new Date(at).toISOString().slice(0, 19)}Z, every 2 s, Ctrl-C ends`,
        rows: statusRows(collected.status, at, { toDoFirst: true }),
      };
    });
  }
  const { status } = await collectStatus({ config, secrets, offline });
  if (options.json) return printJson(status);
  printTable(statusRows(status, systemClock.now()));
}

function watchAsJson(): BlfError {
  return new BlfError({
    code: "USAGE_INVALID_OPTION",
    message: "--watch and --json do not go together",
    hint: "Ask for --json as often as you like instead; /status of the status server gives the daemon's part.",
    exitCode: exitCodes.usage,
  });
}
