import { existsSync } from "node:fs";
import type { Config } from "../config/load.ts";
import { createEarningsClient, type EarningsClient, type PaidJob } from "../icl/earnings.ts";
import { systemClock } from "../lib/clock.ts";
import { BlfError } from "../lib/errors.ts";
import type { JobRecord } from "../node/journal/job-record.ts";
import { type Journal, openJournal } from "../node/journal/journal.ts";
import { journalPath } from "./session.ts";

/** A job from both sides: what this node remembers of it, and what was paid for it. One of them may be missing. */
export type MergedJob = { record: JobRecord | undefined; paid: PaidJob | undefined };

/** What the payment service said, or why it said nothing. */
export type Answer<T> = { value: T; notice: undefined } | { value: undefined; notice: string };

/** Looks into the journal; undefined when this node has none yet. */
export function withJournal<T>(config: Config, look: (journal: Journal) => T): T | undefined {
  const path = journalPath(config);
  if (!existsSync(path)) return undefined;
  const journal = openJournal(path, systemClock);
  try {
    return look(journal);
  } finally {
    journal.close();
  }
}

/** Asks the payment service, unless `offline`; that it does not answer is a notice, not an error. */
export async function askPayment<T>(
  config: Config,
  offline: boolean,
  question: (client: EarningsClient) => Promise<T>,
): Promise<Answer<T>> {
  if (offline) return { value: undefined, notice: "offline: from the journal alone, without payments" };
  try {
    const client = createEarningsClient({ baseUrl: config.payment_service_url, fetch: globalThis.fetch });
    return { value: await question(client), notice: undefined };
  } catch (error) {
    if (!(error instanceof BlfError)) throw error;
    return { value: undefined, notice: `from the journal alone, without payments: ${error.message} [${error.code}]` };
  }
}

/** The payment service's jobs of a node, each with its task_id where the service tells it. */
export async function paidJobs(
  client: EarningsClient,
  node: string,
  limit: number,
): Promise<{ paid: PaidJob; taskId: string | undefined }[]> {
  const jobs = await client.jobs(node, Math.min(limit, 100));
  const results: { paid: PaidJob; taskId: string | undefined }[] = [];
  const atOnce = 8;
  for (let start = 0; start < jobs.length; start += atOnce) {
    const some = jobs.slice(start, start + atOnce);
    const ids = await Promise.all(some.map(({ jobId }) => client.ids(jobId)));
    some.forEach((paid, index) => void results.push({ paid, taskId: ids[index]?.taskId }));
  }
  return results;
}

/** Puts the two sides together, the newest first. */
export function mergeJobs(
  records: readonly JobRecord[],
  payments: readonly { paid: PaidJob; taskId: string | undefined }[],
): MergedJob[] {
  const open = [...payments];
  const merged: MergedJob[] = records.map((record) => {
    const index = open.findIndex(({ paid, taskId }) => taskId === record.taskId && paid.role === record.role);
    return { record, paid: index < 0 ? undefined : open.splice(index, 1)[0]!.paid };
  });
  for (const { paid } of open) merged.push({ record: undefined, paid });
  return merged.sort((a, b) => timeOf(b) - timeOf(a));
}

/** When a job began, as far as is known: milliseconds since the epoch. */
export function timeOf({ record, paid }: MergedJob): number {
  return record?.createdAt ?? paid?.completedAt ?? 0;
}
