import type { Command } from "commander";
import * as z from "zod/mini";
import type { Config } from "../config/load.ts";
import type { ConfigFile } from "../config/schema.ts";
import { BlfError, exitCodes, failureFields } from "../lib/errors.ts";
import { leaveStrayErrors } from "../lib/faults.ts";
import { protectMemory } from "../lib/protect-memory.ts";
import { errorPositions, onStrayError } from "../lib/stray-errors.ts";
import { version } from "../lib/version.ts";
import { type Daemon, type RunSummary, startDaemon } from "../node/daemon.ts";
import { offeredModels } from "../node/models.ts";
import { openSession } from "./session.ts";
import { print, printJson, printTable } from "./ui/io.ts";
import { unlock } from "./wallet-session.ts";

type Options = {
  logLevel?: string;
  logFormat?: string;
  statusPort?: string;
  ignoreOtherNode?: boolean;
  passwordStdin?: boolean;
  json?: boolean;
};

const time = z.iso.datetime();

/** The documents of `--json`, by command. */
export const outputs: Record<string, z.ZodMiniType> = {
  /** Printed when the node has ended. */
  run: z.strictObject({
    ok: z.literal(true),
    address: z.string(),
    startedAt: time,
    endedAt: time,
    /** Of this run alone. */
    jobs: z.strictObject({ submitted: z.int(), failed: z.int() }),
  }),
};

export function register(program: Command): void {
  program
    .command("run")
    .description(
      "Run the node: heartbeats, attestation, assignments, jobs. SIGTERM or Ctrl-C finishes the running jobs.",
    )
    .option("--log-level <level>", "debug, info, warn or error")
    .option("--log-format <format>", "text or json; by default text on a terminal and json otherwise")
    .option("--status-port <port>", "port of the status server on 127.0.0.1, 0 for none")
    .option("--ignore-other-node", "start although another node may be working with this key, which gets both slashed")
    .option("--password-stdin", "read the keystore's password from standard input")
    .option("--json", "print one JSON document when the node has ended")
    .action(run);
}

async function run(options: Options): Promise<void> {
  const session = openSession({ flags: toFlags(options) });
  const wallet = await unlock(session, options);
  if (!protectMemory()) session.log.warn("this system does not keep the memory of the node out of core dumps");
  onStrayError((error) =>
    session.log.error("something failed that nothing waited for; the node goes on", {
      ...failureFields(error),
      positions: errorPositions(error),
    }),
  );
  const stop = stopRequest();
  const { requested, forced } = stop;
  const { ignoreOtherNode = false } = options;
  const startedAt = new Date().toISOString();
  const report = (jobs: RunSummary) => {
    const endedAt = new Date().toISOString();
    if (options.json) printJson({ ok: true, address: wallet.address, startedAt, endedAt, jobs });
  };
  let daemon: Daemon;
  const fatal: unknown[] = [];
  try {
    daemon = await startDaemon({
      ...session,
      wallet,
      ignoreOtherNode,
      stop: requested,
      force: forced,
      onDrain: stop.request,
      onFatal: (error) => {
        fatal.push(error);
        stop.request();
      },
    });
  } catch (error) {
    if (error !== requested.reason) throw error;
    session.log.info("node stopped before it was ready");
    return report({ submitted: 0, failed: 0 });
  }
  leaveStrayErrors();
  if (process.stdout.isTTY && !options.json) printBanner(session.config, wallet.address);
  if (!requested.aborted) await new Promise((resolve) => requested.addEventListener("abort", resolve, { once: true }));
  const jobs = await daemon.stop(forced);
  if (fatal.length > 0) throw fatal[0];
  report(jobs);
}

/** What a person who started the node in a terminal wants to know, once. */
function printBanner(config: Config, address: string): void {
  const host = config.status_host.includes(":") ? `[${config.status_host}]` : config.status_host;
  print("");
  printTable([
    ["node ready", `blindference ${version}`, "good"],
    ["address", address],
    ["network", config.network],
    ["models", offeredModels(config).join(", ") || "none: this node gets no jobs"],
    ["status", config.status_port === 0 ? "turned off" : `http://${host}:${config.status_port}/status`],
    ["to watch it", "blindference status --watch"],
    ["to stop it", "Ctrl-C finishes the running jobs, a second one aborts them"],
  ]);
  print("");
}

function toFlags(options: Options): ConfigFile {
  const flags: ConfigFile = {};
  if (options.logLevel !== undefined) flags.log_level = options.logLevel;
  if (options.logFormat !== undefined) flags.log_format = options.logFormat as "text";
  if (options.statusPort !== undefined) {
    if (!/^\d{1,5}$/.test(options.statusPort))
      throw new BlfError({
        code: "USAGE_INVALID_OPTION",
        message: "--status-port must be a port number",
        hint: "Run `blindference run --help`.",
        exitCode: exitCodes.usage,
      });
    flags.status_port = Number(options.statusPort);
  }
  return flags;
}

/** The first SIGTERM, SIGINT or SIGHUP, or `blindference drain`, asks the node to finish; a second signal forces it. */
function stopRequest(): { requested: AbortSignal; forced: AbortSignal; request(): void } {
  const requested = new AbortController();
  const forced = new AbortController();
  const request = () => requested.abort(new DOMException("the node is to end", "AbortError"));
  let signals = 0;
  const onSignal = () => {
    signals++;
    request();
    if (signals > 1) forced.abort(new DOMException("a second signal came", "AbortError"));
  };
  for (const name of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(name, onSignal);
  return { requested: requested.signal, forced: forced.signal, request };
}
