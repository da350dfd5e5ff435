import type { Assignment } from "../icl/wire.ts";
import type { NodeContext } from "./context.ts";
import { reasonToWait } from "./dependencies.ts";
import { outputIsSafe, runJob } from "./jobs/run-job.ts";
import type { JobKey, JobRecord } from "./journal/job-record.ts";
import { leaderTrouble } from "./leader-trouble.ts";
import { reasonTooSlow } from "./pace.ts";

export type RunningJob = JobKey & { modelId: string; since: number; usesModel: boolean };

/** Starts the jobs that this node can start now, and no others: a claim without a result costs reputation. */
export type Scheduler = {
  /** Claims and starts what fits; the rest is offered again by the next poll. */
  offer(assignments: Assignment[]): void;
  /** Goes on with what an earlier run of the node left unfinished: with all of it, or with those jobs that `which` lets pass. */
  resume(which?: (record: JobRecord) => boolean): void;
  hasRoom(): boolean;
  /** Whether no more jobs are taken. */
  isDraining(): boolean;
  running(): RunningJob[];
  /** No new jobs from now on; resolves when the running ones have ended. */
  drain(): Promise<void>;
};

export type SchedulerEvents = {
  /** A job or its model has become free: time to ask for the next assignment. */
  onRoom(): void;
};

/** Why this node leads no jobs whatever the model, or undefined. */
export function reasonNotToLead(ctx: Pick<NodeContext, "config" | "uploader">): string | undefined {
  if (ctx.config.skip_output_key_storage) return "skip_output_key_storage is set, so this node cannot lead";
  if (ctx.config.prompt_key_store_address === "") return "no PromptKeyStore is configured";
  if (!ctx.uploader) return "no upload service is configured";
  return undefined;
}

/** `signal` aborts the running jobs; they stay in the journal and go on after the next start. */
export function createScheduler(ctx: NodeContext, events: SchedulerEvents, signal: AbortSignal): Scheduler {
  const jobs = new Map<string, RunningJob & { finished: Promise<void> }>();
  /** Jobs of an earlier run for which there is no room yet. */
  const waiting: JobRecord[] = [];
  const declined = new Set<string>();
  const draining = new AbortController();

  const isFull = () => jobs.size >= ctx.config.max_concurrent_jobs;
  const hasRoom = () => !draining.signal.aborted && !isFull() && waiting.length === 0;

  const modelIsFree = (modelId: string) => {
    // A resumed job may be of a model that the configuration has lost.
    const waitsFor = (job: RunningJob) =>
      job.usesModel && ctx.inference.canServe(job.modelId) && ctx.inference.sharesSlots(job.modelId, modelId);
    const users = [...jobs.values()].filter(waitsFor);
    return users.length < ctx.inference.slotsOf(modelId);
  };

  /** Why this node does not take an assignment, or undefined. */
  const refusal = (assignment: Assignment): string | undefined => {
    if (!ctx.inference.canServe(assignment.modelId)) return "this node does not serve the model, or it is unhealthy";
    const { role, modelId } = assignment;
    const gap = role === "leader" ? (reasonNotToLead(ctx) ?? leaderTrouble(ctx)) : undefined;
    return gap ?? reasonToWait(ctx, role) ?? reasonTooSlow(ctx, role, modelId);
  };

  const start = (key: JobKey, modelId: string, { isNew, usesModel }: { isNew: boolean; usesModel: boolean }): void => {
    const id = idOf(key);
    const modelDone = () => {
      const job = jobs.get(id);
      if (!job?.usesModel) return;
      job.usesModel = false;
      events.onRoom();
    };
    const finished = runJob(ctx, key, modelDone, signal, { draining: draining.signal, isNew }).finally(() => {
      jobs.delete(id);
      startWaiting();
      events.onRoom();
    });
    jobs.set(id, { ...key, modelId, since: ctx.clock.now(), usesModel, finished });
  };

  const startWaiting = (): void => {
    while (!draining.signal.aborted && !isFull()) {
      const record = waiting.shift();
      if (!record) return;
      const { taskId, role, state } = record;
      ctx.log.info("going on with an unfinished job", { jobId: taskId, role, state });
      start({ taskId, role }, record.modelId, { isNew: false, usesModel: !outputIsSafe(record) });
    }
  };

  return {
    hasRoom,
    offer: (assignments) => {
      for (const assignment of assignments) {
        const key = { taskId: assignment.jobId, role: assignment.role };
        if (!hasRoom() || ctx.journal.find(key)) continue;
        const reason = refusal(assignment);
        if (reason) {
          if (!declined.has(idOf(key)))
            ctx.log.warn("assignment declined", {
              jobId: key.taskId,
              role: key.role,
              model: assignment.modelId,
              reason,
            });
          declined.add(idOf(key));
          continue;
        }
        if (modelIsFree(assignment.modelId) && ctx.journal.begin(assignment))
          start(key, assignment.modelId, { isNew: true, usesModel: true });
      }
      if (declined.size > 10_000) declined.clear();
    },
    resume: (which = () => true) => {
      const isNew = (record: JobRecord) =>
        !jobs.has(idOf(record)) && !waiting.some((one) => idOf(one) === idOf(record));
      waiting.push(...ctx.journal.unfinished().filter((record) => isNew(record) && which(record)));
      waiting.sort(byUrgency);
      startWaiting();
    },
    isDraining: () => draining.signal.aborted,
    running: () => [...jobs.values()].map(({ finished: _, ...job }) => job),
    drain: async () => {
      draining.abort(new DOMException("the node takes no more jobs", "AbortError"));
      await Promise.allSettled([...jobs.values()].map((job) => job.finished));
    },
  };
}

function idOf(key: JobKey): string {
  return `${key.role}:${key.taskId}`;
}

/** First what only has to be submitted, then what is due first; what was not claimed yet can wait longest. */
function byUrgency(a: JobRecord, b: JobRecord): number {
  const deadline = (record: JobRecord) => record.claimDeadline ?? Number.MAX_SAFE_INTEGER;
  return Number(outputIsSafe(b)) - Number(outputIsSafe(a)) || deadline(a) - deadline(b);
}
