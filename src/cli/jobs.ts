import type { Command } from "commander";
import type { PaidJob } from "../icl/earnings.ts";
import { systemClock } from "../lib/clock.ts";
import { BlfError, exitCodes } from "../lib/errors.ts";
import { askPayment, type MergedJob, mergeJobs, paidJobs, timeOf, withJournal } from "./jobs-data.ts";
import { iso, stepsOf, storyJson, summaryJson } from "./jobs-output.ts";
import { openSession, requireNodeAddress } from "./session.ts";
import { count, formatMilliseconds, formatWei } from "./ui/format.ts";
import { print, printColumns, printJson, printTable } from "./ui/io.ts";
import type { Row } from "./ui/table.ts";

export { outputs } from "./jobs-output.ts";

type Options = { json?: boolean; offline?: boolean; limit?: string };
type PruneOptions = { json?: boolean; olderThan: string };

/** How many of the newest jobs are looked through for one that was asked for. */
const searchDepth = 10_000;

export function register(program: Command): void {
  const jobs = program.command("jobs").description("See the jobs of this node and what they earned.");
  withOptions(jobs.command("list"))
    .description("List the newest jobs, from this node's journal and the payment service.")
    .option("--limit <count>", "how many, up to 100", "20")
    .action(runList);
  withOptions(jobs.command("show <id>"))
    .description("Tell one job's story with its times. The beginning of its task_id is enough.")
    .action(runShow);
  withOptions(jobs.command("earnings"))
    .description("Show what the jobs earned, in all and by model.")
    .action(runEarnings);
  jobs
    .command("prune")
    .description("Forget jobs that ended long ago. What this node has committed to is kept for ever.")
    .option("--older-than <days>", "how long ago, in days", "90")
    .option("--json", "print one JSON document")
    .action(runPrune);
  jobs
    .command("claim")
    .description("Claim what this node earned in the cycles that are over: the same as `rewards claim`.")
    .option("--cycle <number>", "claim this cycle only")
    .option("--from-block <number>", "look no further back than this block")
    .option("--password-stdin", "read the keystore's password from standard input")
    .option("--json", "print one JSON document")
    .action(async (options: Options) => (await import("./rewards-claim.ts")).runClaim(options));
}

function withOptions(command: Command): Command {
  return command.option("--offline", "do not ask the payment service").option("--json", "print one JSON document");
}

async function runList(options: Options): Promise<void> {
  const limit = parseLimit(options.limit);
  const { config } = openSession();
  const records = withJournal(config, (journal) => journal.recent(limit)) ?? [];
  const node = requireNodeAddress(config);
  const answer = await askPayment(config, options.offline ?? false, (client) => paidJobs(client, node, limit));
  const jobs = mergeJobs(records, answer.value ?? []).slice(0, limit);
  if (options.json) return printJson({ ok: true, jobs: jobs.map(summaryJson), notice: answer.notice ?? null });
  if (jobs.length === 0) print("No jobs yet.");
  else printColumns(["TIME", "TASK", "ROLE", "TOOK", "EARNED", "STATE", "MODEL"], jobs.map(listRow));
  printNotice(answer.notice);
}

async function runPrune(options: PruneOptions): Promise<void> {
  const days = parseDays(options.olderThan);
  const { config } = openSession();
  const removed = withJournal(config, (journal) => journal.prune(systemClock.now() - days * 86_400_000)) ?? 0;
  if (options.json) return printJson({ ok: true, removed });
  print(removed === 0 ? `No job ended more than ${days} days ago.` : `Forgot ${count(removed, "job")}.`);
}

async function runShow(id: string, options: Options): Promise<void> {
  const { config } = openSession();
  const node = requireNodeAddress(config);
  const found = withJournal(config, (journal) => {
    const records = journal.recent(searchDepth).filter(({ taskId }) => taskId.startsWith(id));
    return { records, commitments: records.length > 0 ? journal.commitments() : [] };
  }) ?? { records: [], commitments: [] };
  const taskIds = new Set(found.records.map(({ taskId }) => taskId));
  if (taskIds.size > 1 && !taskIds.has(id)) throw ambiguous(id, [...taskIds]);
  const records = taskIds.has(id) ? found.records.filter(({ taskId }) => taskId === id) : found.records;
  const answer = await askPayment(config, options.offline ?? false, async (client) => {
    const ids = await client.ids(records[0]?.taskId ?? id);
    if (ids) {
      const jobs = await client.jobs(node, 100);
      return jobs.filter(({ jobId }) => jobId === ids.jobId).map((paid) => ({ paid, taskId: ids.taskId }));
    }
    const [record] = records;
    if (!record) return [];
    const all = await paidJobs(client, node, 100);
    return all.filter(({ taskId }) => taskId === record.taskId);
  });
  const jobs = mergeJobs(records, answer.value ?? []);
  if (jobs.length === 0) throw unknownJob(id, answer.notice);
  const extras = (job: MergedJob) => ({
    explorer: config.explorer,
    committedAt: found.commitments.find(({ taskId, role }) => taskId === job.record?.taskId && role === job.record.role)
      ?.createdAt,
  });
  if (options.json)
    return printJson({ ok: true, jobs: jobs.map((job) => storyJson(job, extras(job))), notice: answer.notice ?? null });
  for (const job of jobs) printTable(storyRows(job, extras(job)));
  printNotice(answer.notice);
}

async function runEarnings(options: Options): Promise<void> {
  const { config } = openSession();
  const node = requireNodeAddress(config);
  const journal = withJournal(config, (open) => open.countByState()) ?? {};
  const answer = await askPayment(config, options.offline ?? false, async (client) => {
    const [total, jobs] = await Promise.all([client.earnings(node), client.jobs(node, 100)]);
    return { total, byModel: sumByModel(jobs) };
  });
  const total = answer.value?.total;
  const byModel = answer.value?.byModel ?? [];
  if (options.json)
    return printJson({
      ok: true,
      address: node,
      totalEarnedWei: total?.total ?? null,
      paidJobs: total?.jobs ?? null,
      byModel: byModel.map(({ modelId, jobs, earned }) => ({ modelId, jobs, earnedWei: earned })),
      journal,
      notice: answer.notice ?? null,
    });
  printTable([
    ["node", node],
    ["earned", total ? `${formatWei(total.total)} BLIND for ${count(total.jobs, "job")}` : "unknown"],
    ...byModel.map(({ modelId, jobs, earned }): Row => {
      return [`  ${modelId}`, `${formatWei(earned)} BLIND for ${count(jobs, "job")} of the newest 100`];
    }),
    [
      "journal",
      Object.entries(journal)
        .map(([state, jobs]) => `${jobs} ${state}`)
        .join(", ") || "no jobs yet",
    ],
  ]);
  printNotice(answer.notice);
}

function sumByModel(jobs: readonly PaidJob[]): { modelId: string; jobs: number; earned: bigint }[] {
  return [...Map.groupBy(jobs, ({ modelId }) => modelId)]
    .map(([modelId, own]) => ({ modelId, jobs: own.length, earned: own.reduce((sum, job) => sum + job.earned, 0n) }))
    .sort((a, b) => (a.earned < b.earned ? 1 : -1));
}

function listRow(job: MergedJob): string[] {
  const { record, paid } = job;
  const total = record?.timings["total"];
  return [
    timeOf(job) === 0 ? "unknown" : `${iso(timeOf(job))!.slice(0, 16).replace("T", " ")}Z`,
    shortId(record?.taskId ?? paid?.jobId ?? ""),
    record?.role ?? paid?.role ?? "",
    total === undefined ? "" : formatMilliseconds(total),
    paid ? formatWei(paid.earned) : "",
    [record?.state ?? paid?.status ?? "", record?.failureCode ?? ""].join(" ").trim(),
    record?.modelId ?? paid?.modelId ?? "",
  ];
}

function storyRows(job: MergedJob, extras: { committedAt: number | undefined; explorer: string | undefined }): Row[] {
  const { record, paid } = job;
  const rows: Row[] = [
    ["task", record?.taskId ?? "not in this node's journal"],
    ["role", record?.role ?? paid?.role ?? ""],
    ["model", record?.modelId ?? paid?.modelId ?? ""],
  ];
  if (record) {
    const story = storyJson(job, extras);
    rows.push(["state", [record.state, record.failureCode ?? ""].join(" ").trim()], ["assigned", story.createdAt!]);
    if (story.claimDeadline) rows.push(["deadline", story.claimDeadline]);
    for (const { name, ms } of stepsOf(record)) rows.push([`  ${name}`, formatMilliseconds(ms)]);
    if (story.totalMs !== null) rows.push(["took", formatMilliseconds(story.totalMs)]);
    if (story.outputCid) rows.push(["output", story.outputCid]);
    if (story.outputKeyTx) rows.push(["output key", story.link ?? story.outputKeyTx]);
    if (story.commitment) rows.push(["commitment", story.commitment]);
    if (story.committedAt) rows.push(["committed", story.committedAt]);
    if (story.verdict) rows.push(["verdict", story.verdict]);
    rows.push(["last change", story.updatedAt!]);
  }
  if (paid) {
    rows.push(["payment", paid.status], ["earned", `${formatWei(paid.earned)} BLIND`]);
    if (paid.completedAt !== undefined) rows.push(["completed", iso(paid.completedAt)!]);
  }
  return rows;
}

function printNotice(notice: string | undefined): void {
  if (notice) printTable([["note", notice]]);
}

function shortId(id: string): string {
  return id.length > 10 ? `${id.slice(0, 10)}…` : id;
}

function parseDays(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) >= 1) return Number(text);
  throw new BlfError({
    code: "USAGE_INVALID_OPTION",
    message: "--older-than must be a whole number of days, at least 1",
    hint: "Run `blindference jobs prune --help`.",
    exitCode: exitCodes.usage,
  });
}

function parseLimit(text = "20"): number {
  if (/^\d{1,3}$/.test(text) && Number(text) >= 1 && Number(text) <= 100) return Number(text);
  throw new BlfError({
    code: "USAGE_INVALID_OPTION",
    message: "--limit must be a whole number from 1 to 100",
    hint: "Run `blindference jobs list --help`.",
    exitCode: exitCodes.usage,
  });
}

function ambiguous(id: string, taskIds: string[]): BlfError {
  return new BlfError({
    code: "JOB_AMBIGUOUS",
    message: `${taskIds.length} jobs begin with ${id}`,
    hint: `Write more of the id, for example ${taskIds[0]}.`,
    exitCode: exitCodes.usage,
  });
}

function unknownJob(id: string, notice: string | undefined): BlfError {
  return new BlfError({
    code: "JOB_UNKNOWN",
    message: `This node knows no job ${id}${notice ? " (the payment service was not asked, or did not answer)" : ""}`,
    hint: "`blindference jobs list` shows the jobs.",
  });
}
