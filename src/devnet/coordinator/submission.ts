import type { Address, Hash, Hex } from "viem";
import { type Context, now, tell, uuid } from "./context.ts";
import { RequestError } from "./http.ts";
import { type Criteria, chooseQuorum, type Quorum, requireEligible } from "./quorum.ts";
import { findByTask, type Job, type Payment, type Role, type Seat, seats, taskKey } from "./state.ts";

export type JobRequest = {
  taskId: string;
  developer: Address;
  modelId: string;
  promptCid: string;
  minTier: number;
  zdrRequired: boolean;
  verifierCount: number;
  /** The transaction that stored the prompt key; without it the job waits for one. */
  keyStoreTx: Hash | undefined;
  /** A quorum that the requester wants. */
  leader: Address | undefined;
  verifiers: Address[];
};

/**
 * Runs `create` at most once per task. A second submission of the same task by the same developer gets the first one's
 * job, also while the first is still under way.
 * @throws RequestError 409 when the task belongs to somebody else or was submitted in another way
 */
export async function submitOnce(
  ctx: Context,
  request: { taskId: string; developer: Address; paid: boolean },
  create: () => Promise<Job>,
): Promise<Job> {
  const { state } = ctx;
  const key = taskKey(request.taskId);
  for (;;) {
    const existing = state.jobsByKey.get(key);
    if (existing) return requireSame(existing, request);
    const pending = state.submitting.get(key);
    if (!pending) break;
    // Whoever waits tries for itself when the first submission fails: it may be somebody else's and fail for their reasons.
    await pending.catch(() => {});
  }
  const submission = create();
  state.submitting.set(key, submission);
  try {
    return await submission;
  } finally {
    state.submitting.delete(key);
  }
}

function requireSame(job: Job, request: { taskId: string; developer: Address; paid: boolean }): Job {
  const same =
    job.taskId === request.taskId &&
    job.developer === request.developer &&
    (job.payment !== undefined) === request.paid;
  if (!same) throw new RequestError(409, `task_id ${request.taskId} is already in use`);
  return job;
}

/**
 * Checks the prompt key and the quorum, and puts the job before its nodes (PROTOCOL.md 5.3).
 * @throws RequestError 400
 */
export async function createJob(ctx: Context, request: JobRequest, payment: Payment | undefined): Promise<Job> {
  const criteria: Criteria = request;
  const stored = request.keyStoreTx ? await readPromptKey(ctx, request, request.keyStoreTx) : undefined;
  const quorum = stored
    ? await boundQuorum(ctx, request, stored.allowedNodes)
    : ((await wantedQuorum(ctx, request)) ?? (await chooseQuorum(ctx, criteria, request.verifierCount)));
  const time = now(ctx);
  const job: Job = {
    requestId: uuid(ctx.random).replaceAll("-", ""),
    taskId: request.taskId,
    developer: request.developer,
    modelId: request.modelId,
    promptCid: request.promptCid,
    minTier: request.minTier,
    zdrRequired: request.zdrRequired,
    status: stored ? "queued" : "pending_store_key",
    promptKey: stored && { high: stored.high, low: stored.low },
    ...seatsOf(quorum, time),
    replaced: [],
    result: undefined,
    reason: undefined,
    createdAt: time,
    updatedAt: time,
    closedAt: undefined,
    settled: false,
    actions: [],
    payment,
    feedback: undefined,
  };
  ctx.state.jobs.set(job.requestId, job);
  ctx.state.jobsByKey.set(taskKey(job.taskId), job);
  tell(ctx, job, { stage: "submitted", address: job.developer });
  if (stored) tellAssignments(ctx, job);
  return job;
}

/**
 * A job that waited for its prompt key goes to the nodes that the key was stored for (PROTOCOL.md 5.5). Does nothing to a
 * job that does not wait.
 * @throws RequestError 400
 */
export async function confirmStoredKey(ctx: Context, job: Job, tx: Hash): Promise<void> {
  if (job.status !== "pending_store_key") return;
  const request: JobRequest = {
    ...job,
    verifierCount: job.verifiers.length,
    keyStoreTx: tx,
    leader: undefined,
    verifiers: [],
  };
  const stored = await readPromptKey(ctx, request, tx);
  const quorum = await boundQuorum(ctx, request, stored.allowedNodes);
  if (job.status !== "pending_store_key") return;
  Object.assign(job, seatsOf(quorum, now(ctx)));
  job.promptKey = { high: stored.high, low: stored.low };
  job.status = "queued";
  job.updatedAt = now(ctx);
  tellAssignments(ctx, job);
}

/** A node's place at the start. */
export function newSeat(address: Address, role: Role, time: number): Seat {
  return { address, role, state: "pending", assignedAt: time, claimDeadline: undefined, verdict: undefined };
}

function seatsOf(quorum: Quorum, time: number): { leader: Seat; verifiers: Seat[] } {
  return {
    leader: newSeat(quorum.leader, "leader", time),
    verifiers: quorum.verifiers.map((address) => newSeat(address, "verifier", time)),
  };
}

function tellAssignments(ctx: Context, job: Job): void {
  for (const { address, role } of seats(job)) tell(ctx, job, { stage: "assigned", address, role });
}

/** A receipt is believed, a client's word for it is not: the developer's own wallet must have stored this task's key. */
async function readPromptKey(ctx: Context, request: JobRequest, tx: Hash) {
  const key: Hex = taskKey(request.taskId);
  const stored = (await ctx.chain.getStoredKeys(tx)).filter((event) => event.jobId.toLowerCase() === key);
  const event = stored.at(-1);
  if (!event) throw new RequestError(400, `prompt_key_store_tx ${tx} does not store the key of this task`);
  if (event.submitter !== request.developer)
    throw new RequestError(400, "the prompt key was not stored by the wallet that submits the job");
  if (event.high === 0n || event.low === 0n) throw new RequestError(400, "the stored prompt key is empty");
  return event;
}

/** The nodes that may decrypt the prompt are the quorum, in the order in which the requester listed them. */
async function boundQuorum(ctx: Context, request: JobRequest, allowed: Address[]): Promise<Quorum> {
  const wanted = request.leader ? [request.leader, ...request.verifiers] : undefined;
  if (wanted && wanted.join() !== allowed.join())
    throw new RequestError(400, "the requested quorum is not the one that the prompt key was stored for");
  if (allowed.length !== request.verifierCount + 1 || new Set(allowed).size !== allowed.length)
    throw new RequestError(
      400,
      `the prompt key must be stored for ${request.verifierCount + 1} different nodes, not for ${allowed.length}`,
    );
  await requireEligible(ctx, request, allowed);
  return { leader: allowed[0]!, verifiers: allowed.slice(1) };
}

async function wantedQuorum(ctx: Context, request: JobRequest): Promise<Quorum | undefined> {
  const { leader, verifiers, verifierCount } = request;
  if (!leader && verifiers.length === 0) return undefined;
  if (!leader) throw new RequestError(400, "leader_address is required when overriding quorum selection");
  if (verifiers.length !== verifierCount || new Set(verifiers).size !== verifierCount)
    throw new RequestError(400, `verifier_addresses must contain exactly ${verifierCount} addresses`);
  if (verifiers.includes(leader))
    throw new RequestError(400, "leader_address cannot also appear in verifier_addresses");
  await requireEligible(ctx, request, [leader, ...verifiers]);
  return { leader, verifiers };
}

/**
 * @throws RequestError 404 in the original's words, quotes included
 */
export function requireJob(job: Job | undefined, id: string): Job {
  if (!job) throw new RequestError(404, `'inference request ${id.slice(0, 100)} not found'`);
  return job;
}

/** `/internal/task/result` and `/verify` take a task_id or a request_id (PROTOCOL.md 1). */
export function findByAnyId(ctx: Context, id: string): Job | undefined {
  return findByTask(ctx.state, id) ?? ctx.state.jobs.get(id);
}
