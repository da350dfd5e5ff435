import type { Command } from "commander";
import * as z from "zod/mini";
import { type Config, loadConfig } from "../config/load.ts";
import { type Secrets, takeSecrets } from "../config/secrets.ts";
import type { Finding, Severity } from "../doctor/check.ts";
import { type DoctorReport, summary } from "../doctor/report.ts";
import { systemClock } from "../lib/clock.ts";
import { BlfError, exitCodes } from "../lib/errors.ts";
import { createLogger } from "../lib/log.ts";
import { count } from "./ui/format.ts";
import { interruptSignal } from "./ui/interrupt.ts";
import { print, printJson, printTable } from "./ui/io.ts";
import type { Tone } from "./ui/style.ts";
import type { Row } from "./ui/table.ts";

type Options = { strict?: boolean; probe: boolean; healthcheck?: boolean; json?: boolean };

const severity = z.enum(["ok", "info", "warning", "error"]);

/** The documents of `--json`, by command. */
export const outputs: Record<string, z.ZodMiniType> = {
  doctor: z.strictObject({
    ok: z.literal(true),
    /** No finding is an error. */
    healthy: z.boolean(),
    counts: z.strictObject({ ok: z.int(), info: z.int(), warning: z.int(), error: z.int() }),
    ms: z.int(),
    findings: z.array(
      z.strictObject({
        id: z.string(),
        title: z.string(),
        severity,
        detail: z.string(),
        remedy: z.nullable(z.string()),
      }),
    ),
  }),
};

export function register(program: Command): void {
  program
    .command("doctor")
    .description("Look for everything that keeps this node from earning, and say what to do. Changes nothing.")
    .option("--strict", "exit 1 on warnings too")
    .option("--no-probe", "load no model for the determinism probe")
    .option("--healthcheck", "only ask the running node whether it is ready: exit 0 if it is, 1 if not")
    .option("--json", "print one JSON document")
    .action(run);
}

async function run(options: Options): Promise<void> {
  const loaded = load();
  const report = options.healthcheck ? await healthcheck(loaded) : await examine(loaded, options);
  if (options.json) printJson({ ok: true, ...report });
  else show(report);
  const isBad = !report.healthy || (options.strict && report.counts.warning > 0);
  process.exitCode = isBad ? exitCodes.failed : exitCodes.ok;
}

type Loaded = {
  config: Config;
  exists: boolean;
  problem: BlfError | undefined;
  secrets: Secrets;
  env: typeof process.env;
};

/** A configuration that cannot be used is a finding like any other. */
function load(): Loaded {
  const env = { ...process.env };
  try {
    const secrets = takeSecrets(process.env);
    return { ...loadConfig({ env: process.env }), problem: undefined, secrets, env };
  } catch (error) {
    if (!(error instanceof BlfError)) throw error;
    return { ...loadConfig({ env: { BLF_CONFIG_DIR: "/nonexistent" } }), problem: error, secrets: {}, env };
  }
}

/** Asks the daemon only, and loads nothing else: it runs every half minute in a container. */
async function healthcheck({ config, problem }: Loaded): Promise<DoctorReport> {
  if (problem) throw problem;
  const { askNode } = await import("../doctor/state/node.ts");
  const started = performance.now();
  const { report } = await askNode({ config, fetch: globalThis.fetch });
  const detail = report ? report.problems.join("; ") || "running and ready" : "no running node answers";
  const finding: Finding = {
    id: "node",
    title: "node on this machine",
    severity: report?.ready ? "ok" : "error",
    detail,
    remedy: report?.ready ? null : "Look into the node's log; status_port must not be 0.",
  };
  return { ...summary([finding]), ms: Math.round(performance.now() - started), findings: [finding] };
}

async function examine(loaded: Loaded, { probe }: Options): Promise<DoctorReport> {
  const [{ createChain }, { createDoctorContext }, { runDoctor }, { checks }, { systemRandom }, { openProbeModel }] =
    await Promise.all([
      import("../chain/clients.ts"),
      import("../doctor/context.ts"),
      import("../doctor/run.ts"),
      import("../doctor/checks.ts"),
      import("../crypto/random.ts"),
      import("../doctor/open-model.ts"),
    ]);
  const { config } = loaded;
  // The findings say everything: no log lines between them.
  const log = createLogger({ level: "error", format: "text", clock: systemClock, write: () => {} });
  const interrupt = interruptSignal();
  try {
    const ctx = createDoctorContext({
      ...loaded,
      chain: createChain({
        rpcUrl: config.rpc_url,
        fallbackUrls: config.rpc_fallback_urls,
        chainId: config.chain_id,
        timeoutMs: 4000,
      }),
      fetch: globalThis.fetch,
      clock: systemClock,
      random: systemRandom,
      log,
      probe,
      openModel: (modelId, model) => openProbeModel({ config, modelId, model, log, clock: systemClock }),
    });
    return await runDoctor(ctx, checks, interrupt.signal);
  } finally {
    interrupt.clear();
  }
}

const tones: Record<Severity, Tone | undefined> = { ok: "good", info: "dim", warning: "bad", error: "bad" };

function show({ findings, counts, ms }: DoctorReport): void {
  const rows = findings.flatMap(({ severity, title, detail, remedy }): Row[] => {
    const tone = tones[severity];
    const found: Row = [`${severity.padEnd(7)}  ${title}`, detail, ...(tone ? [tone] : [])] as Row;
    return remedy === null ? [found] : [found, ["", `→ ${remedy}`]];
  });
  printTable(rows);
  const words = [
    `${counts.ok} ok`,
    `${counts.info} info`,
    count(counts.warning, "warning"),
    count(counts.error, "error"),
  ];
  print(`\n${words.join(", ")} in ${(ms / 1000).toFixed(1)} s`);
}
