import type { Job } from "../../src/devnet/coordinator/state.ts";
import { finishedStates } from "../../src/node/journal/states.ts";
import { type Growth, growthBetween } from "./memory.ts";
import type { SoakResult } from "./soak.ts";

/** The most that the memory of a node may grow over the last half, as a share. */
export const allowedGrowth = 0.05;

/** A requester takes no answer of nodes that it did not choose, and waits no longer than it said. */
const whatRequestersRefuse: (string | undefined)[] = ["ANSWER_QUORUM_CHANGED", "JOB_UNFINISHED"];

/** Seconds that a job may take: to be claimed and to be answered, anew for each node that was replaced, and to be noticed. */
function allowedSeconds(job: Job): number {
  return 600 * (1 + job.replaced.length) + 60;
}

export type NodeMemory = { name: string; process: "daemon" | "engine"; growth: Growth };

/** Growth of the nodes that were never killed, over the last half. */
export function steadyMemory(result: SoakResult): NodeMemory[] {
  const { startedAt, endedAt, nodes, victims } = result;
  const half = startedAt + (endedAt - startedAt) / 2;
  return nodes.slice(victims).flatMap(({ name, lives }) =>
    (["daemon", "engine"] as const).flatMap((process) => {
      const growth = growthBetween(lives[0]![process], half, endedAt);
      return growth ? [{ name, process, growth }] : [];
    }),
  );
}

/** Why the acceptance does not hold, one line each; empty when it holds. */
export function violations(result: SoakResult): string[] {
  return [...jobViolations(result), ...nodeViolations(result), ...chainViolations(result), ...memoryViolations(result)];
}

function jobViolations({ jobs, requests, watch }: SoakResult): string[] {
  const found: string[] = [];
  const known = new Map(jobs.map((job) => [job.taskId, job]));
  for (const { taskId, acknowledged } of requests.sent)
    if (acknowledged && !known.has(taskId)) found.push(`the network took the job ${taskId} and does not know it`);
  for (const job of jobs) {
    const { taskId, status, closedAt, settled } = job;
    if (closedAt === undefined) found.push(`the job ${taskId} did not end: it is ${status}`);
    else if (!settled) found.push(`the job ${taskId} is ${status}, but not all of it was paid`);
    else if (closedAt - job.createdAt > allowedSeconds(job))
      found.push(`the job ${taskId} took ${closedAt - job.createdAt} s`);
    if ((status === "failed" || status === "rejected") && !job.reason)
      found.push(`the job ${taskId} is ${status} without a reason`);
  }
  for (const { taskId, acknowledged, outcome, code } of requests.sent) {
    const isPaid = acknowledged && known.get(taskId)?.status === "accepted";
    if (isPaid && outcome === "failed" && !whatRequestersRefuse.includes(code))
      found.push(`the job ${taskId} was paid, and its requester has no answer: ${code}`);
  }
  if (!jobs.some(({ status }) => status === "accepted")) found.push("no job was answered at all");
  return [...found, ...watch.conflicts().map((conflict) => `two commitments of the ${conflict}`)];
}

function nodeViolations({ nodes, exitCodes, problem }: SoakResult): string[] {
  const found = problem ? [problem] : [];
  for (const [index, node] of nodes.entries()) {
    for (const [complaint, times] of Object.entries(node.complaints()))
      if (complaint.includes("nothing waited for")) found.push(`${node.name}, ${times} times: ${complaint}`);
    for (const crash of node.crashes) found.push(`${node.name} ended by itself: ${crash}`);
    if (exitCodes[index] !== 0) found.push(`${node.name} exited ${exitCodes[index]} when it was asked to stop`);
    for (const { taskId, role, state, failureCode } of node.journal()) {
      if (!finishedStates.includes(state)) found.push(`${node.name} left ${role} ${taskId} in the state ${state}`);
      if (state === "failed" && !failureCode) found.push(`${node.name} failed ${role} ${taskId} without a reason`);
    }
  }
  return found;
}

function chainViolations({ chain }: SoakResult): string[] {
  const found: string[] = [];
  if (chain.slashes > 0) found.push(`${chain.slashes} stakes were slashed`);
  if (chain.mostFailuresInARow >= 3) found.push(`a node failed ${chain.mostFailuresInARow} times in a row`);
  if (chain.keysStoredTwice > 0) found.push(`${chain.keysStoredTwice} keys were stored twice`);
  return found;
}

function memoryViolations(result: SoakResult): string[] {
  return steadyMemory(result).flatMap(({ name, process, growth }) =>
    growth.share > allowedGrowth
      ? [`the ${process} of ${name} grew by ${(growth.share * 100).toFixed(1)} % over the last half`]
      : [],
  );
}
