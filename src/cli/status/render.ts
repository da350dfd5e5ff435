import { count, formatSeconds, formatWei } from "../ui/format.ts";
import type { Row } from "../ui/table.ts";
import type { StatusDocument } from "./document.ts";

/**
 * The report as rows for people.
 * @param now Unix milliseconds
 * @param options.toDoFirst puts what is to do near the top, for a screen that may be too low for everything
 */
export function statusRows(status: StatusDocument, now: number, { toDoFirst = false } = {}): Row[] {
  const { certificate, stake, balance, earnings, reputation } = status;
  const toDo = status.toDo.map((item): Row => ["to do", item, "strong"]);
  const rows: Row[] = [
    ["node", `${status.address} on ${status.network}, tier ${status.tier}`],
    ["state", stateText(status, now), status.ready ? "good" : "bad"],
    ...(toDoFirst ? toDo : []),
    [
      "certificate",
      certificate.expiresAt
        ? `valid until ${shortTime(certificate.expiresAt)} (${until(certificate.expiresAt, now)})`
        : "none",
    ],
  ];
  if (status.models.length === 0) rows.push(["models", "none"]);
  for (const [index, model] of status.models.entries()) {
    const health = model.health
      ? `, ${model.health.status}${model.health.detail ? `: ${model.health.detail}` : ""}`
      : "";
    rows.push([index === 0 ? "models" : "", `${model.id}${model.backend ? ` (${model.backend}${health})` : ""}`]);
  }
  rows.push(["jobs", jobsText(status)]);
  for (const job of status.inFlight)
    rows.push(["", `${job.role} ${job.taskId.slice(0, 10)}…, ${job.modelId}, for ${ago(job.since, now)}`]);
  const heartbeats = heartbeatText(status, now);
  if (heartbeats) rows.push(["heartbeat", heartbeats]);
  if (status.registered !== null) rows.push(["on chain", status.registered ? "registered" : "not registered"]);
  if (stake) rows.push(["stake", stakeText(stake, now)]);
  if (balance) rows.push(["wallet", `${blind(balance.blindWei)}, ${formatWei(BigInt(balance.etherWei))} ETH`]);
  if (earnings)
    rows.push([
      "earnings",
      earnings.jobs === 0
        ? "no job yet"
        : `${blind(earnings.earnedWei)} for ${earnings.succeeded} of ${count(earnings.jobs, "job")}`,
    ]);
  if (reputation)
    rows.push([
      "reputation",
      `${reputation.score}: ${reputation.accepted} accepted, ${reputation.rejected} rejected of ${count(reputation.completed, "task")}`,
    ]);
  for (const { message } of status.unanswered) rows.push(["no answer", message, "dim"]);
  if (!toDoFirst) rows.push(...toDo);
  return rows;
}

function stateText(status: StatusDocument, now: number): string {
  const since = status.startedAt ? `, for ${formatSeconds((now - Date.parse(status.startedAt)) / 1000)}` : "";
  if (status.state === "ready") return `running and ready${since}`;
  if (status.state === "not ready") return `running, not ready${since}`;
  return status.state === "unreported" ? "running, but its status server does not answer here" : "not running";
}

function jobsText({ inFlight, jobs }: StatusDocument): string {
  return [`${inFlight.length} in flight`, ...Object.entries(jobs).map(([state, number]) => `${number} ${state}`)].join(
    ", ",
  );
}

function heartbeatText({ heartbeats }: StatusDocument, now: number): string {
  const parts: string[] = [];
  if (heartbeats.coordinator) parts.push(`${ago(heartbeats.coordinator, now)} ago to the coordinator`);
  if (heartbeats.onChain) parts.push(`${ago(heartbeats.onChain, now)} ago on chain`);
  return parts.join(", ");
}

function stakeText(stake: NonNullable<StatusDocument["stake"]>, now: number): string {
  const unbonding =
    BigInt(stake.unbondingWei) > 0n && stake.withdrawableAt
      ? `; ${blind(stake.unbondingWei)} unbonding, free ${
          Date.parse(stake.withdrawableAt) > now ? `in ${until(stake.withdrawableAt, now)}` : "now"
        }`
      : "";
  const active = stake.active ? "active" : `inactive below ${blind(stake.minStakeWei)}`;
  return `${blind(stake.stakedWei)}, ${active}, ${stake.consecutiveFailures} of ${stake.maxConsecutiveFailures} failures${unbonding}`;
}

function blind(wei: string): string {
  return `${formatWei(BigInt(wei))} BLIND`;
}

function shortTime(iso: string): string {
  return iso.replace(/\.\d+Z$/, "Z");
}

function ago(iso: string, now: number): string {
  return formatSeconds(Math.max(0, now - Date.parse(iso)) / 1000);
}

function until(iso: string, now: number): string {
  return formatSeconds((Date.parse(iso) - now) / 1000);
}
