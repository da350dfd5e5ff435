import type { Exchange } from "./fault-proxy.ts";

/** So late may a heartbeat be before it counts: its period is 60 s, and one attempt may wait 30 s for an answer. */
const lateMs = 95_000;

export type IclWatch = {
  onExchange(exchange: Exchange): void;
  /** Answers of nodes that committed to two different things for one job. */
  conflicts(): string[];
  /** Answers that were given a commitment at all. */
  commitments(): number;
  /** Gaps between two heartbeats of one run of a node that were too long, and the longest one, in milliseconds. */
  heartbeats(): { received: number; late: number; longestMs: number };
  /** A node is killed or started: its next heartbeat begins anew. */
  restarted(node: string): void;
};

/** Sees what reaches the coordinator: what nodes promise, and how regularly they are heard. */
export function watchIcl(): IclWatch {
  /** By node, role and job. */
  const promised = new Map<string, Set<string>>();
  const lastHeard = new Map<string, number>();
  let received = 0;
  let late = 0;
  let longestMs = 0;

  const heard = (node: string) => {
    received++;
    const gap = Date.now() - (lastHeard.get(node) ?? Date.now());
    if (gap > lateMs) late++;
    longestMs = Math.max(longestMs, gap);
    lastHeard.set(node, Date.now());
  };
  const promises = (node: string, role: string, body: Buffer) => {
    const { jobId, commitment_hash } = JSON.parse(body.toString()) as { jobId: string; commitment_hash: string };
    const key = `${role} ${node} of ${jobId}`;
    promised.set(key, (promised.get(key) ?? new Set()).add(commitment_hash));
  };
  return {
    onExchange: ({ path, node, body, status }) => {
      if (!node) return;
      if (path === "/internal/heartbeat" && status === 200) heard(node);
      if (path === "/internal/task/result") promises(node, "leader", body);
      if (path === "/internal/task/verify") promises(node, "verifier", body);
    },
    conflicts: () =>
      [...promised].filter(([, values]) => values.size > 1).map(([key, values]) => `${key}: ${[...values].join(", ")}`),
    commitments: () => promised.size,
    heartbeats: () => ({ received, late, longestMs }),
    restarted: (node) => void lastHeard.delete(node),
  };
}
