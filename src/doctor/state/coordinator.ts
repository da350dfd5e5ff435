import * as z from "zod/mini";
import type { Config } from "../../config/load.ts";
import type { Clock } from "../../lib/clock.ts";
import { BlfError } from "../../lib/errors.ts";
import { type Fetch, httpRequest, readJson } from "../../lib/http.ts";

const timeoutMs = 4000;
const service = {
  prefix: "ICL",
  name: "The coordinator (ICL)",
  hint: "Check the network and `blindference config get icl_endpoint`.",
};

/** A node as the coordinator lists it (PROTOCOL.md 6). */
export type ListedNode = {
  /** Unix seconds by the coordinator's clock; undefined when it does not say. */
  lastHeartbeat: number | undefined;
};

export type CoordinatorState = {
  /** Why it cannot be spoken to, or undefined when it can. */
  error: BlfError | undefined;
  /** Its clock less ours, in milliseconds; undefined when it does not say the time. The header counts whole seconds. */
  clockAheadMs: number | undefined;
  /** Round trip of the request, in milliseconds. */
  ms: number;
  /** This node among the active ones; undefined when it is not there. */
  listed: ListedNode | undefined;
};

const nodesSchema = z.array(
  z.object({
    operator_address: z.string(),
    metrics: z.optional(z.object({ last_heartbeat: z.optional(z.unknown()) })),
  }),
);

/** Asks for the active nodes: whether the coordinator answers, what time it has, and whether it lists this node. */
export async function askCoordinator(options: {
  config: Config;
  fetch: Fetch;
  clock: Clock;
}): Promise<CoordinatorState> {
  const { config, clock } = options;
  const started = clock.now();
  const state: CoordinatorState = { error: undefined, clockAheadMs: undefined, ms: 0, listed: undefined };
  try {
    const url = `${config.icl_endpoint}/v1/nodes/active`;
    const response = await httpRequest(options.fetch, service, url, { timeoutMs, maxBytes: 4_000_000 });
    const ended = clock.now();
    state.ms = ended - started;
    const date = Date.parse(response.headers.get("date") ?? "");
    // The time was written down somewhere between question and answer, and cut to a whole second.
    if (!Number.isNaN(date)) state.clockAheadMs = date + 500 - (started + ended) / 2;
    if (response.status !== 200) throw unexpected(`HTTP ${response.status}`);
    const parsed = z.safeParse(nodesSchema, readJson(service, response), { jitless: true });
    if (!parsed.success) throw unexpected("an answer of another form");
    const own = config.node_address.toLowerCase();
    const node = parsed.data.find(({ operator_address }) => operator_address.toLowerCase() === own);
    if (node) state.listed = { lastHeartbeat: toSeconds(node.metrics?.last_heartbeat) };
  } catch (error) {
    if (!(error instanceof BlfError)) throw error;
    state.error = error;
  }
  return state;
}

/** Unix seconds, as a number or as a date in words. */
function toSeconds(value: unknown): number | undefined {
  if (typeof value === "number" && value > 0 && value < 1e11) return value;
  const time = typeof value === "string" ? Date.parse(value) : Number.NaN;
  return Number.isNaN(time) ? undefined : time / 1000;
}

function unexpected(what: string): BlfError {
  return new BlfError({
    code: "ICL_UNEXPECTED_ANSWER",
    message: `${service.name} gave ${what} to the question for the active nodes`,
    hint: service.hint,
  });
}
