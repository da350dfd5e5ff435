import { type Check, info, notChecked, ok, warning } from "../check.ts";
import type { NodeReport } from "../state/node.ts";

/** A heartbeat may be this much newer at the coordinator than here, in milliseconds: clocks count in seconds. */
const toleranceMs = 5000;
/** A node sends a heartbeat every 60 s (PROTOCOL.md 4.9). */
const freshMs = 90_000;

export const nodeCheck: Check = {
  id: "node",
  title: "node on this machine",
  needs: "node",
  async run(ctx) {
    const { running, report, portTaken } = await ctx.node();
    const port = `port ${ctx.config.status_port}`;
    if (report?.ready) return [ok(this, "running and ready")];
    if (report)
      return [warning(this, `running, not ready: ${report.problems.join("; ")}`, "Look into the node's log.")];
    if (portTaken && !running)
      return [
        warning(
          this,
          `something else answers on ${port}, which the node needs`,
          "Choose another port: blindference config set status_port 9465",
        ),
      ];
    if (running) return [info(this, "running; its status server does not answer here")];
    return [info(this, "not running")];
  },
};

export const secondNodeCheck: Check = {
  id: "second-node",
  title: "second node with this key",
  needs: "node",
  async run(ctx) {
    // First the coordinator, then the node: what comes in between is then newer here than there.
    const { error, listed, clockAheadMs = 0 } = await ctx.coordinator();
    const { running, report } = await ctx.node();
    if (error) return [notChecked(this, "the coordinator does not answer as it should")];
    if (listed?.lastHeartbeat === undefined) return [ok(this, "the coordinator knows of no heartbeat")];
    if (running && !report) return [notChecked(this, "the running node does not say when its last heartbeat was")];
    const theirs = listed.lastHeartbeat * 1000 - clockAheadMs;
    // An attestation counts as a heartbeat, and leaves its trace in the data directory, as the end of a node does.
    const ours = Math.max(ctx.lastUsed, ...ownHeartbeats(report));
    const later = Math.round((theirs - ours) / 1000);
    if (theirs <= ours + toleranceMs) return [ok(this, "the newest heartbeat is ours")];
    const remedy = "Stop the other one at once: two nodes with one key commit to two answers, and lose the stake.";
    if (report) return [warning(this, `the coordinator had a heartbeat ${later} s after our last one`, remedy)];
    const age = Math.max(0, ctx.clock.now() - theirs);
    if (age > freshMs) return [ok(this, "no heartbeat of late")];
    const detail = `a node with this key sent a heartbeat ${Math.round(age / 1000)} s ago, though none runs here`;
    return [warning(this, detail, remedy)];
  },
};

function ownHeartbeats(report: NodeReport | undefined): number[] {
  const loops = (report?.loops ?? []).filter(({ name }) => name === "heartbeat" || name === "watchdog");
  return loops.map(({ lastSuccess }) => Date.parse(lastSuccess ?? "")).filter((time) => !Number.isNaN(time));
}
