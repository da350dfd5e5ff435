import * as z from "zod/mini";
import { reportedClass } from "../inference/llama/determinism-class.ts";
import type { JobRecord } from "../node/journal/job-record.ts";
import type { MergedJob } from "./jobs-data.ts";

const wei = z.string().check(z.regex(/^\d+$/));
const time = z.iso.datetime();
const text = z.nullable(z.string());

const summaryShape = {
  /** The network's id of the job; null when only the payment service knows it. */
  taskId: text,
  /** The payment service's id; null before it closes the job. */
  paymentJobId: text,
  role: z.string(),
  modelId: z.string(),
  /** Where the job stands in this node's journal, and at the payment service. */
  state: text,
  paymentStatus: text,
  failureCode: text,
  /** Wei of BLIND; null when it is not known. */
  earnedWei: z.nullable(wei),
  createdAt: z.nullable(time),
  updatedAt: z.nullable(time),
  completedAt: z.nullable(time),
  /** From the claim to the submission. */
  totalMs: z.nullable(z.number()),
};

/** Why there is nothing of the payment service in the document; null when there is. */
const notice = text;

/** The JSON document of each command. The small zod, since these commands must start at once. */
export const outputs: Record<string, z.ZodMiniType> = {
  "jobs list": z.strictObject({ ok: z.literal(true), jobs: z.array(z.strictObject(summaryShape)), notice }),
  "jobs show": z.strictObject({
    ok: z.literal(true),
    jobs: z.array(
      z.strictObject({
        ...summaryShape,
        userAddress: text,
        promptCid: text,
        outputCid: text,
        commitment: text,
        committedAt: z.nullable(time),
        verdict: text,
        claimDeadline: z.nullable(time),
        determinismClass: text,
        /** SHA-256 of it, hex. */
        determinismClassHash: text,
        outputKeyTx: text,
        /** The transaction in the network's explorer. */
        link: text,
        /** Each step that ended, in the order in which they ended. */
        steps: z.array(z.strictObject({ name: z.string(), ms: z.number() })),
      }),
    ),
    notice,
  }),
  "jobs prune": z.strictObject({ ok: z.literal(true), removed: z.int().check(z.nonnegative()) }),
  "jobs earnings": z.strictObject({
    ok: z.literal(true),
    address: z.string(),
    totalEarnedWei: z.nullable(wei),
    paidJobs: z.nullable(z.int()),
    /** Of the newest 100 jobs at most. */
    byModel: z.array(z.strictObject({ modelId: z.string(), jobs: z.int(), earnedWei: wei })),
    /** Jobs by state in this node's journal. */
    journal: z.record(z.string(), z.int()),
    notice,
  }),
};

export function summaryJson({ record, paid }: MergedJob) {
  return {
    taskId: record?.taskId ?? null,
    paymentJobId: paid?.jobId ?? null,
    role: record?.role ?? paid?.role ?? "unknown",
    modelId: record?.modelId ?? paid?.modelId ?? "unknown",
    state: record?.state ?? null,
    paymentStatus: paid?.status ?? null,
    failureCode: record?.failureCode ?? null,
    earnedWei: paid?.earned ?? null,
    createdAt: iso(record?.createdAt),
    updatedAt: iso(record?.updatedAt),
    completedAt: iso(paid?.completedAt),
    totalMs: record?.timings["total"] ?? null,
  };
}

export type StoryExtras = { committedAt: number | undefined; explorer: string | undefined };

export function storyJson(job: MergedJob, { committedAt, explorer }: StoryExtras) {
  const { record } = job;
  return {
    ...summaryJson(job),
    userAddress: record?.userAddress ?? null,
    promptCid: record?.promptCid ?? null,
    outputCid: record?.outputCid ?? null,
    commitment: record?.commitment ?? null,
    committedAt: iso(committedAt),
    verdict: record?.verdict ?? null,
    claimDeadline: iso(record?.claimDeadline === undefined ? undefined : record.claimDeadline * 1000),
    ...reportedClass(record?.determinismClass),
    outputKeyTx: record?.outputKeyTx ?? null,
    link: record?.outputKeyTx && explorer ? `${explorer}/tx/${record.outputKeyTx}` : null,
    steps: record ? stepsOf(record) : [],
  };
}

/** The steps that ended, without the total. */
export function stepsOf(record: JobRecord): { name: string; ms: number }[] {
  return Object.entries(record.timings).flatMap(([name, ms]) => (name === "total" ? [] : [{ name, ms }]));
}

/** ISO-8601 UTC of milliseconds since the epoch. */
export function iso(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}
