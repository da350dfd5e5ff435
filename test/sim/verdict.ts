import { commitment, outputKeyJobId } from "../../src/crypto/commitment.ts";
import type { JobRecord } from "../../src/node/journal/job-record.ts";
import { finishedStates } from "../../src/node/journal/states.ts";
import type { SimChain } from "./chain.ts";
import type { SimCofhe } from "./cofhe.ts";
import { doppelgangerWaitMs } from "./context.ts";
import type { SimJob, SimSeat } from "./jobs.ts";
import { outputOf } from "./model.ts";
import type { SimNode } from "./node.ts";
import type { SimStorage } from "./storage.ts";
import { openNow } from "./subtle.ts";
import { isExcused, type World } from "./world.ts";

/** The longest that the model takes (test/sim/model.ts), with what its clock may be wrong, in milliseconds. */
const slowestAnswerMs = 25_000;

export type Verdict = { submitted: number; failed: Record<string, number> };

export type Evidence = {
  world: World;
  jobs: readonly SimJob[];
  nodes: readonly SimNode[];
  chain: SimChain;
  cofhe: SimCofhe;
  storage: SimStorage;
};

/** A job that is offered later than this before the end may remain untouched, and a clock that jumped may go unnoticed, in milliseconds. */
const noticeMs = 90_000;

/** So much undisturbed time before its deadline is enough for every job, in milliseconds. */
const enoughMs = 30_000;

/** Judges the whole run after its end: what was promised was kept, what failed had a reason, and what could be done was done. */
export function judge(evidence: Evidence): Verdict {
  const { world, jobs, nodes } = evidence;
  const verdict: Verdict = { submitted: 0, failed: {} };
  for (const job of jobs)
    for (const seat of job.seats) {
      const node = nodes.find(({ address }) => address === seat.node)!;
      const record = node.disk.inspect().find({ taskId: job.taskId, role: seat.role });
      const complain = (what: string) =>
        world.facts.violations.push(`${node.name}, ${seat.role} of ${job.taskId.slice(0, 8)}: ${what}`);
      if (!record) {
        const isLate = seat.offeredAt > world.time.now() - noticeMs;
        if (seat.state === "offered" && !job.isOver && !job.isForgotten && !isLate)
          complain("was offered and never taken");
        if (seat.state !== "offered") complain("was claimed and is not in the journal");
      } else if (!finishedStates.includes(record.state)) complain(`is stuck as ${record.state}`);
      else if (record.state === "failed") {
        const code = record.failureCode ?? "none";
        verdict.failed[code] = (verdict.failed[code] ?? 0) + 1;
        const problem = judgeFailure(evidence, job, seat, record);
        if (problem) complain(`failed with ${code}: ${problem}`);
      } else {
        verdict.submitted++;
        judgeSuccess(evidence, job, seat, record, complain);
      }
    }
  judgeTransactions(evidence);
  return verdict;
}

/** Why a failure should not have been, or undefined. */
function judgeFailure({ world, nodes }: Evidence, job: SimJob, seat: SimSeat, record: JobRecord): string | undefined {
  const { facts, plan, begin } = world;
  const code = record.failureCode;
  // A node whose doppelganger was the last fault begins that much later.
  const quietAt = begin + plan.quietAt + (facts.impersonated.has(seat.node) ? 2 * doppelgangerWaitMs : 0);
  const has = (reason: Parameters<typeof isExcused>[3]) => isExcused(facts, seat.node, job.taskId, reason);
  const node = nodes.find(({ address }) => address === seat.node)!;
  switch (code) {
    case "DEADLINE_PASSED": {
      if (has("refused") || job.isForgotten) return undefined;
      const sinceJump = record.updatedAt - node.clockOffset() - node.jumpedAt();
      if (sinceJump > 0 && sinceJump < noticeMs) return undefined;
      const isTime = (record.claimDeadline ?? 0) * 1000 > quietAt + enoughMs;
      const late = (record.claimDeadline ?? 0) * 1000 - 20_000;
      const waitsForLeader = seat.role === "verifier" && (job.result?.at ?? Number.POSITIVE_INFINITY) > late;
      return isTime && !waitsForLeader ? "there was time" : undefined;
    }
    case "CLAIM_TOO_SHORT":
      return (record.claimDeadline ?? 0) * 1000 - (record.updatedAt - node.clockOffset()) < slowestAnswerMs
        ? undefined
        : "there was time";
    case "LEADER_SILENT": {
      const heard = facts.statusHeard.get(`${seat.node} ${job.taskId}`) ?? [];
      const recent = heard.filter(({ at }) => at > record.updatedAt - node.clockOffset() - 35_000);
      if (recent.some(({ outputCid }) => outputCid)) return "the leader's output was shown to it";
      return recent.length > 0 || node.clockOffset() !== 0 ? undefined : "nobody said that the leader was silent";
    }
    case "LEADER_JOB_OVER":
      return job.isOver ? undefined : "the job was not over";
    case "QUORUM_TIMED_OUT":
      return job.isOver ? undefined : "the job was not over";
    case "ICL_REJECTED":
      return has("refused") ? undefined : "nobody refused it";
    case "ICL_UNKNOWN":
      return has("refused") ? undefined : "the coordinator knew it";
    case "CLAIM_WITHOUT_KEY":
      return has("no handles") ? undefined : "the handles were there";
    case "ENGINE_CRASHED":
    case "ENGINE_CRASHED_BEFORE":
      return has("engine crash") ? undefined : "no engine crashed";
    case "CLAIM_UNANSWERED":
      return record.createdAt - node.clockOffset() + 300_000 > quietAt + enoughMs ? "there was time" : undefined;
    default:
      if (seat.state === "offered") return undefined;
      return "no reason to fail";
  }
}

function judgeSuccess(
  { chain, cofhe, storage }: Evidence,
  job: SimJob,
  seat: SimSeat,
  record: JobRecord,
  complain: (what: string) => void,
): void {
  if (seat.answer !== record.commitment && !job.isForgotten) complain("is not what the coordinator has");
  const text = outputOf(job.prompt);
  if (record.commitment !== commitment(record.outputCid ?? "", text)) complain("commits to something else");
  if (seat.role !== "leader") return;
  const jobId = outputKeyJobId(job.taskId);
  const stored = chain.stored.find((entry) => entry.jobId === jobId && entry.by === seat.node);
  const blob = storage.get(record.outputCid ?? "");
  const key = stored && cofhe.read(stored.high, stored.low);
  if (!key || !blob || openNow(key, blob) !== text) complain("cannot be read with the key on the chain");
  if (stored?.hash !== record.outputKeyTx) complain("names another transaction than the chain");
}

/** One transaction per output key, and a second nonce only where the first was taken by somebody else. */
function judgeTransactions({ world, chain }: Evidence): void {
  const seen = new Set<string>();
  for (const { by, jobId } of chain.stored) {
    const key = `${by} ${jobId}`;
    if (seen.has(key)) world.facts.violations.push(`${by} stored the key of ${jobId.slice(0, 10)} twice`);
    seen.add(key);
  }
  for (const [key, nonces] of chain.nonces) {
    const [by, jobId] = key.split(" ") as [string, string];
    const free = [...nonces].filter((nonce) => !chain.isTaken(by, nonce, jobId));
    if (free.length > 1) world.facts.violations.push(`${by} used the nonces ${[...nonces]} for ${jobId.slice(0, 10)}`);
  }
}
