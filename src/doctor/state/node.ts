import { Database } from "bun:sqlite";
import { existsSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod/mini";
import type { Config } from "../../config/load.ts";
import { errorCode } from "../../lib/errors.ts";
import { type Fetch, type HttpService, httpRequest, readJson } from "../../lib/http.ts";

const service: HttpService = { prefix: "STATUS", name: "The node", hint: "Is it running?" };

const reportSchema = z.object({
  version: z.string(),
  address: z.string(),
  ready: z.boolean(),
  problems: z.array(z.string()),
  loops: z.array(z.object({ name: z.string(), lastSuccess: z.nullable(z.string()) })),
});

export type NodeReport = z.output<typeof reportSchema>;

/** The node that runs on this data directory, as far as it can be seen from outside. */
export type NodeState = {
  /** Whether a process holds the data directory. */
  running: boolean;
  /** What it says of itself. */
  report: NodeReport | undefined;
  /** Whether something else answers on the port of the status server. */
  portTaken: boolean;
};

type Options = { config: Config; fetch: Fetch };

export async function askNode({ config, fetch }: Options): Promise<NodeState> {
  const running = isLocked(config.dir);
  const state: NodeState = { running, report: undefined, portTaken: false };
  if (config.status_port === 0) return state;
  const host = config.status_host.includes(":") ? `[${config.status_host}]` : config.status_host;
  try {
    const url = `http://${host}:${config.status_port}/status`;
    const response = await httpRequest(fetch, service, url, { timeoutMs: 2000, maxBytes: 1_000_000 });
    state.portTaken = true;
    const parsed = z.safeParse(reportSchema, readJson(service, response), { jitless: true });
    if (!parsed.success || parsed.data.address.toLowerCase() !== config.node_address.toLowerCase()) return state;
    return { running: true, report: parsed.data, portTaken: false };
  } catch (error) {
    if (errorCode(error) !== "STATUS_UNREACHABLE") state.portTaken = true;
    return state;
  }
}

/** Whether a daemon holds the lock of the data directory (src/node/lock.ts). Reading it changes nothing and waits for nobody. */
function isLocked(dir: string): boolean {
  const path = join(dir, "node.lock");
  if (!existsSync(path)) return false;
  let db: Database | undefined;
  try {
    db = new Database(path, { readonly: true });
    db.query("SELECT count(*) FROM sqlite_master").get();
    return false;
  } catch (error) {
    return /^SQLITE_(BUSY|LOCKED)/.test(errorCode(error));
  } finally {
    db?.close();
  }
}
