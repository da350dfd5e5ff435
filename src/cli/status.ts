import { existsSync } from "node:fs";
import type { Command } from "commander";
import * as z from "zod";
import type { Config } from "../config/load.ts";
import { systemClock, unixSeconds } from "../lib/clock.ts";
import { type HttpService, httpRequest, readJson } from "../lib/http.ts";
import { version } from "../lib/version.ts";
import { openJournal } from "../node/journal/journal.ts";
import { offeredModels, unservedModels } from "../node/models.ts";
import { journalPath, openSession } from "./session.ts";
import { printJson, printTable } from "./ui/io.ts";

export function register(program: Command): void {
  program
    .command("status")
    .description("Show the node: from the running daemon when there is one, from its files otherwise.")
    .option("--json", "print one JSON document")
    .action(run);
}

const daemonService: HttpService = { prefix: "STATUS", name: "The daemon", hint: "Is the node running?" };

/** What is shown, whichever way it was found. */
const shownSchema = z.looseObject({
  address: z.string(),
  network: z.string(),
  tier: z.int(),
  ready: z.boolean(),
  problems: z.array(z.string()),
  certificate: z.object({ hash: z.string(), expiresAt: z.string().nullable() }),
  models: z.array(z.looseObject({ id: z.string() })),
  jobs: z.record(z.string(), z.number()),
  running: z.array(z.unknown()).default([]),
});

type Shown = z.output<typeof shownSchema>;

async function run(options: { json?: boolean }): Promise<void> {
  const { config } = openSession();
  const live = await fromDaemon(config);
  const shown = live ?? fromFiles(config);
  if (options.json) return printJson({ ok: true, live: live !== undefined, ...shown });
  printTable([
    ["node", `${shown.address} on ${shown.network}, tier ${shown.tier}`],
    ["state", live ? (shown.ready ? "running and ready" : "running, not ready") : "not running"],
    ["certificate", shown.certificate.expiresAt ? `valid until ${shown.certificate.expiresAt}` : "none"],
    ["models", shown.models.map((model) => model.id).join(", ") || "none"],
    ["jobs", describeJobs(shown)],
    ...shown.problems.map((problem): [string, string] => ["to do", problem]),
  ]);
}

/** The daemon's own report, if one runs on this directory. */
async function fromDaemon(config: Config): Promise<Shown | undefined> {
  if (config.status_port === 0) return undefined;
  try {
    const url = `http://${config.status_host}:${config.status_port}/status`;
    const response = await httpRequest(globalThis.fetch, daemonService, url, { timeoutMs: 2000, maxBytes: 1_000_000 });
    const shown = shownSchema.parse(readJson(daemonService, response));
    return shown.address.toLowerCase() === config.node_address.toLowerCase() ? shown : undefined;
  } catch {
    return undefined;
  }
}

function fromFiles(config: Config): Shown {
  const expiry = config.attestation_expiry;
  const valid = expiry > unixSeconds(systemClock);
  const problems = ["the node is not running: blindference run"];
  if (!existsSync(config.keystore_path)) problems.unshift(`the keystore ${config.keystore_path} is missing`);
  if (!valid) problems.push("no valid attestation certificate: blindference attest");
  if (offeredModels(config).length === 0) problems.push("no model is configured: see `models` in the README");
  for (const model of unservedModels(config)) problems.push(`model ${model} has no backend here and is not offered`);
  return {
    version,
    address: config.node_address,
    network: config.network,
    tier: config.tier,
    ready: false,
    problems,
    certificate: {
      hash: config.attestation_cert_hash,
      expiresAt: valid ? new Date(expiry * 1000).toISOString() : null,
    },
    models: offeredModels(config).map((id) => ({ id })),
    running: [],
    jobs: countJobs(config),
  };
}

function countJobs(config: Config): Record<string, number> {
  if (!existsSync(journalPath(config))) return {};
  const journal = openJournal(journalPath(config), systemClock);
  try {
    return journal.countByState();
  } finally {
    journal.close();
  }
}

function describeJobs(shown: Shown): string {
  const counts = Object.entries(shown.jobs).map(([state, count]) => `${count} ${state}`);
  return [`${shown.running.length} in flight`, ...counts].join(", ");
}
