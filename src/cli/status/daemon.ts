import * as z from "zod/mini";
import type { Config } from "../../config/load.ts";
import { type HttpService, httpRequest, readJson } from "../../lib/http.ts";

const service: HttpService = { prefix: "STATUS", name: "The daemon", hint: "Is the node running?" };
const time = z.nullable(z.string());

/** What of the daemon's `/status` is read (src/node/status-report.ts). */
const reportSchema = z.looseObject({
  version: z.string(),
  address: z.string(),
  network: z.string(),
  chainId: z.int(),
  tier: z.int(),
  ready: z.boolean(),
  problems: z.array(z.string()),
  startedAt: time,
  certificate: z.object({ hash: z.string(), expiresAt: time }),
  models: z.array(
    z.object({
      id: z.string(),
      backend: z.string(),
      health: z.object({ status: z.string(), detail: z.string() }),
      determinismClass: z.nullable(z.string()),
    }),
  ),
  canLead: z.boolean(),
  loops: z.array(z.object({ name: z.string(), lastSuccess: time })),
  running: z.array(z.object({ taskId: z.string(), role: z.string(), modelId: z.string(), since: z.string() })),
  jobs: z.record(z.string(), z.number()),
});

export type DaemonReport = z.output<typeof reportSchema>;

/** The report of the daemon that runs for this node, or undefined when none answers for it. */
export async function askDaemon(config: Config): Promise<DaemonReport | undefined> {
  if (config.status_port === 0) return undefined;
  const host = config.status_host.includes(":") ? `[${config.status_host}]` : config.status_host;
  try {
    const url = `http://${host}:${config.status_port}/status`;
    const response = await httpRequest(globalThis.fetch, service, url, { timeoutMs: 1500, maxBytes: 1_000_000 });
    const report = reportSchema.parse(readJson(service, response), { jitless: true });
    return report.address.toLowerCase() === config.node_address.toLowerCase() ? report : undefined;
  } catch {
    return undefined;
  }
}
