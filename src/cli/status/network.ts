import * as z from "zod/mini";
import type { Config } from "../../config/load.ts";
import { BlfError } from "../../lib/errors.ts";
import { type HttpService, httpRequest, readJson } from "../../lib/http.ts";
import type { StatusDocument } from "./document.ts";
import { parseTokens } from "./tokens.ts";

/** What the chain, the coordinator and the payment service say of this node. */
export type NetworkPart = Pick<
  StatusDocument,
  "registered" | "stake" | "balance" | "earnings" | "reputation" | "unanswered"
> & { coordinatorHeartbeat: string | null; onChainHeartbeat: string | null };

/** Nobody waits longer than this for one service, in milliseconds. */
const patienceMs = 1500;
/** Each request ends by itself; this is for one that does not. */
const graceMs = 250;

const coordinator: HttpService = { prefix: "ICL", name: "The coordinator", hint: "Check icl_endpoint." };
const payment: HttpService = { prefix: "PAYMENT", name: "The payment service", hint: "Check payment_service_url." };

/** PROTOCOL.md 6. The newest heartbeat is Unix seconds. */
const nodeSchema = z.object({
  active: z.boolean(),
  metrics: z.object({
    tasks_completed: z.int(),
    tasks_accepted: z.int(),
    tasks_rejected: z.int(),
    reputation_score: z.number(),
    last_heartbeat: z.optional(z.unknown()),
  }),
});

/** PROTOCOL.md 8. What was earned is read from its text, since a double does not hold it. */
const statisticsSchema = z.object({ total_jobs: z.int(), success: z.int(), failed: z.int() });

/** Asks all three at once. A service that does not answer in time is named, and costs nothing but its own lines. */
export async function readNetwork(config: Config): Promise<NetworkPart> {
  const [chain, node, statistics] = await Promise.all([
    answered("chain", readChain(config)),
    answered("coordinator", readCoordinator(config)),
    answered("payment service", readPayment(config)),
  ]);
  return {
    registered: chain.value?.registered ?? null,
    stake: chain.value?.stake ?? null,
    balance: chain.value?.balance ?? null,
    onChainHeartbeat: chain.value?.lastHeartbeat ?? null,
    reputation: node.value?.reputation ?? null,
    coordinatorHeartbeat: node.value?.lastHeartbeat ?? null,
    earnings: statistics.value ?? null,
    unanswered: [chain, node, statistics].flatMap(({ failure }) => failure ?? []),
  };
}

type Unanswered = StatusDocument["unanswered"][number];

async function answered<T>(
  service: Unanswered["service"],
  promise: Promise<T>,
): Promise<{ value?: T; failure?: Unanswered }> {
  const timer = Promise.withResolvers<never>();
  const timeout = setTimeout(() => timer.reject(new Error("too late")), patienceMs + graceMs);
  try {
    return { value: await Promise.race([promise, timer.promise]) };
  } catch (error) {
    if (error instanceof BlfError) return { failure: { service, code: error.code, message: error.message } };
    const message = `did not answer within ${patienceMs / 1000} s`;
    return { failure: { service, code: "TIMEOUT", message: `The ${service} ${message}` } };
  } finally {
    clearTimeout(timeout);
  }
}

async function readChain(config: Config) {
  const { readChainPart } = await import("./chain.ts");
  return readChainPart(config, patienceMs);
}

async function readCoordinator(config: Config) {
  const text = await getText(coordinator, `${config.icl_endpoint}/v1/nodes/${config.node_address}`);
  // A node that is not known: 404, or 500 of the original (PROTOCOL.md 6).
  if (text === undefined) return { reputation: null, lastHeartbeat: null };
  const { active, metrics } = check(coordinator, nodeSchema, JSON.parse(text));
  const heartbeat = metrics.last_heartbeat;
  return {
    reputation: {
      score: metrics.reputation_score,
      active,
      completed: metrics.tasks_completed,
      accepted: metrics.tasks_accepted,
      rejected: metrics.tasks_rejected,
    },
    lastHeartbeat:
      typeof heartbeat === "number" && heartbeat > 0 && heartbeat < 1e11
        ? new Date(heartbeat * 1000).toISOString()
        : null,
  };
}

async function readPayment(config: Config) {
  const text = await getText(payment, `${config.payment_service_url}/v1/nodes/${config.node_address}/stats`);
  if (text === undefined) return { earnedWei: "0", jobs: 0, succeeded: 0, failed: 0 };
  const { total_jobs, success, failed } = check(payment, statisticsSchema, JSON.parse(text));
  const earned = parseTokens(text, "total_earned_blind");
  if (earned === undefined) throw unexpected(payment);
  return { earnedWei: earned.toString(), jobs: total_jobs, succeeded: success, failed };
}

/** The JSON text of an answer, or undefined when the service does not know this node. */
async function getText(service: HttpService, url: string): Promise<string | undefined> {
  const response = await httpRequest(globalThis.fetch, service, url, { timeoutMs: patienceMs, maxBytes: 1_000_000 });
  if (response.status === 404 || (response.status === 500 && service === coordinator)) return undefined;
  if (response.status !== 200)
    throw new BlfError({
      code: `${service.prefix}_FAILED`,
      message: `${service.name} answered with HTTP ${response.status}`,
      hint: service.hint,
      retryable: true,
    });
  readJson(service, response);
  return new TextDecoder().decode(response.bytes);
}

function check<S extends z.ZodMiniType>(service: HttpService, schema: S, value: unknown): z.output<S> {
  const result = z.safeParse(schema, value, { jitless: true });
  if (result.success) return result.data;
  throw unexpected(service);
}

function unexpected(service: HttpService): BlfError {
  return new BlfError({
    code: `${service.prefix}_UNEXPECTED_ANSWER`,
    message: `${service.name} gave an answer that cannot be read`,
    hint: service.hint,
  });
}
