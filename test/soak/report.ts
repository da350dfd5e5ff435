import { growthBetween, type Sample } from "./memory.ts";
import type { Life } from "./node.ts";
import { countByStatus, type Progress, type SoakResult } from "./soak.ts";
import { allowedGrowth, violations } from "./verdict.ts";

/** What `--json` prints; the table shows the same. */
export function soakReport(result: SoakResult) {
  const { startedAt, endedAt, jobs, requests, nodes, watch, chain, proxies } = result;
  const reasons = violations(result);
  const durations = jobs.flatMap(({ closedAt, createdAt }) => (closedAt === undefined ? [] : [closedAt - createdAt]));
  return {
    ok: reasons.length === 0,
    reasons,
    minutes: round((endedAt - startedAt) / 60_000),
    jobs: {
      sent: requests.sent.length,
      ...countByStatus(jobs),
      failureReasons: count(
        jobs.flatMap(({ reason }) => (reason ? [reason.replace(/0x[0-9a-fA-F]{40}/g, "0x…")] : [])),
      ),
      withReplacedNode: jobs.filter(({ replaced }) => replaced.length > 0).length,
      longestSeconds: Math.max(0, ...durations),
      answersOpened: requests.sent.filter(({ outcome }) => outcome === "answered").length,
      requesterErrors: count(requests.sent.flatMap(({ code }) => (code ? [code] : []))),
      unsent: requests.unsent,
    },
    nodes: nodes.map((node) => ({
      name: node.name,
      address: node.address,
      runs: node.lives.length,
      ended: node.crashes.length,
      slowestStartMs: Math.max(0, ...node.lives.map(startMs)),
      journal: count(node.journal().map(({ state, failureCode }) => [state, failureCode].filter(Boolean).join(" "))),
      complaints: node.complaints(),
    })),
    nodeKills: result.nodeKills,
    coordinatorRestarts: result.coordinatorRestarts,
    commitments: watch.commitments(),
    conflictingCommitments: watch.conflicts().length,
    heartbeats: watch.heartbeats(),
    chain,
    faults: Object.fromEntries(
      Object.entries(proxies).map(([name, proxy]) => [name, { requests: proxy.requests(), ...proxy.faults() }]),
    ),
    memory: memoryRows(result),
  };
}

export type SoakReport = ReturnType<typeof soakReport>;

type MemoryRow = {
  name: string;
  first: number;
  median: number;
  last: number;
  growth: number | null;
  limit: number | null;
};

/** In MB. The growth over the last half, as a share; of killed nodes the last run's samples. */
function memoryRows(result: SoakResult): MemoryRow[] {
  const { startedAt, endedAt, nodes, services, victims } = result;
  const half = startedAt + (endedAt - startedAt) / 2;
  const row = (name: string, samples: Sample[], limit: number | null): MemoryRow[] => {
    if (samples.length === 0) return [];
    const values = samples.map(({ megabytes }) => megabytes);
    return [
      {
        name,
        first: round(values[0]!),
        median: round(values.toSorted((a, b) => a - b)[values.length >> 1]!),
        last: round(values.at(-1)!),
        growth: growthBetween(samples, half, endedAt)?.share ?? null,
        limit,
      },
    ];
  };
  return [
    ...nodes.flatMap(({ name, lives }, index) => {
      const limit = index < victims ? null : allowedGrowth;
      const life = lives.at(-1)!;
      return [...row(`${name} daemon`, life.daemon, limit), ...row(`${name} engine`, life.engine, limit)];
    }),
    ...row("chain", services.chain, null),
    ...row("coordinator", services.coordinator, null),
    ...row("harness", services.harness, null),
  ];
}

export function formatProgress({ elapsedMs, sent, jobs, nodeKills, coordinatorRestarts, nodes }: Progress): string {
  const memory = nodes.flatMap(({ name, lives }) => {
    const last = lives.at(-1)?.daemon.at(-1);
    return last ? [`${name} ${Math.round(last.megabytes)}`] : [];
  });
  return [
    `${Math.round(elapsedMs / 60_000)} min`,
    `${sent} sent, ${jobs.accepted} answered, ${jobs.rejected + jobs.failed} refused, ${jobs.queued} running`,
    `${nodeKills} nodes killed, ${coordinatorRestarts} coordinator restarts`,
    `MB: ${memory.join(", ")}`,
  ].join(" · ");
}

export function formatReport(report: SoakReport): string {
  const { jobs, chain, heartbeats } = report;
  const list = (counts: Record<string, number>) =>
    Object.entries(counts)
      .map(([name, times]) => `${times} × ${name}`)
      .join("; ") || "none";
  const rows: [string, string][] = [
    [
      "length",
      `${report.minutes} min, ${report.nodeKills} nodes killed, ${report.coordinatorRestarts} coordinator restarts`,
    ],
    [
      "jobs",
      `${jobs.sent} sent: ${jobs.accepted} answered, ${jobs.rejected} rejected, ${jobs.failed} failed, ${jobs.queued + jobs.pending_store_key} open`,
    ],
    ["why not answered", list(jobs.failureReasons)],
    ["replaced nodes", `in ${jobs.withReplacedNode} jobs; the longest job took ${jobs.longestSeconds} s`],
    [
      "answers opened",
      `${jobs.answersOpened}; errors of requesters: ${list(jobs.requesterErrors)}; not sent: ${list(jobs.unsent)}`,
    ],
    ["commitments", `${report.commitments}, conflicting: ${report.conflictingCommitments}`],
    [
      "stakes",
      `${chain.slashes} slashed; ${chain.recordedFailures} failures recorded, at most ${chain.mostFailuresInARow} in a row`,
    ],
    ["transactions", `${chain.keysStoredTwice} keys stored twice, ${chain.revertedTransactions} reverted`],
    [
      "heartbeats",
      `${heartbeats.received}, late: ${heartbeats.late}, longest gap ${Math.round(heartbeats.longestMs / 1000)} s`,
    ],
    ...Object.entries(report.faults).map(([name, { requests, ...kinds }]): [string, string] => {
      const faults = Object.values(kinds).reduce((sum, times) => sum + times, 0);
      return [
        `faults: ${name}`,
        `${faults} of ${requests} requests (${((100 * faults) / Math.max(1, requests)).toFixed(1)} %)`,
      ];
    }),
    ...report.nodes.map(({ name, runs, slowestStartMs, journal }): [string, string] => [
      name,
      `${runs} runs, slowest start ${(slowestStartMs / 1000).toFixed(1)} s; journal: ${list(journal)}`,
    ]),
    ...report.memory.map(({ name, first, median, last, growth, limit }): [string, string] => [
      `memory: ${name}`,
      `${first} → ${last} MB, median ${median}; last half ${growth === null ? "unknown" : `${(growth * 100).toFixed(1)} %`}${limit === null ? "" : ` (≤ ${limit * 100} %)`}`,
    ]),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(([name, text]) => `${name.padEnd(width)}  ${text}`);
  const verdict = report.ok
    ? ["The acceptance holds."]
    : ["The acceptance does NOT hold:", ...report.reasons.map((reason) => `  - ${reason}`)];
  return [...lines, "", ...verdict].join("\n");
}

function startMs({ startedAt, readyAt }: Life): number {
  return readyAt === undefined ? 0 : readyAt - startedAt;
}

function count(words: string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
