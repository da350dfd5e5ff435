import { unixSeconds } from "../../lib/clock.ts";
import { renewMarginSeconds } from "../../node/attest.ts";
import { type Check, failed, info, notChecked, ok, warning } from "../check.ts";

/** A signed request that is off by more than this may be refused (PROTOCOL.md 3), in milliseconds. */
const largestSkewMs = 30_000;

export const coordinatorCheck: Check = {
  id: "icl",
  title: "coordinator (ICL)",
  needs: "config",
  async run(ctx) {
    const { error, ms } = await ctx.coordinator();
    if (error) return [failed(this, error.message, error.hint)];
    return [ok(this, `answers in ${Math.round(ms)} ms`)];
  },
};

export const coordinatorClockCheck: Check = {
  id: "icl-clock",
  title: "clock against the coordinator",
  needs: "config",
  async run(ctx) {
    const { error, clockAheadMs } = await ctx.coordinator();
    if (clockAheadMs === undefined)
      return [notChecked(this, error ? "the coordinator does not answer" : "the coordinator does not say its time")];
    const seconds = Math.round(Math.abs(clockAheadMs) / 1000);
    if (Math.abs(clockAheadMs) <= largestSkewMs) return [ok(this, seconds < 2 ? "in step" : `${seconds} s apart`)];
    const direction = clockAheadMs > 0 ? "behind" : "ahead of";
    return [
      failed(
        this,
        `this machine is ${seconds} s ${direction} the coordinator, which refuses such requests`,
        "Set this machine's clock: timedatectl set-ntp true",
      ),
    ];
  },
};

export const listingCheck: Check = {
  id: "icl-listing",
  title: "listed by the coordinator",
  needs: "node",
  async run(ctx) {
    // The node is asked first: a node that has just begun would otherwise seem to be missing.
    const { running } = await ctx.node();
    const { error, listed } = await ctx.coordinator();
    if (error) return [notChecked(this, "the coordinator does not answer as it should")];
    if (listed) return [ok(this, "among the active nodes")];
    if (!running) return [info(this, "not among the active nodes, since none runs here")];
    return [
      failed(
        this,
        "the node runs, but is not among the active ones",
        "Run `blindference attest`; if it stays so, look for heartbeats in the node's log.",
      ),
    ];
  },
};

export const certificateCheck: Check = {
  id: "certificate",
  title: "attestation certificate",
  needs: "node",
  async run(ctx) {
    const { running } = await ctx.node();
    const expiry = ctx.config.attestation_expiry;
    const left = expiry - unixSeconds(ctx.clock);
    const remedy = running
      ? "Look for the attestation in the node's log."
      : "Run `blindference attest`, or `blindference run`, which renews it.";
    if (expiry === 0) return [warning(this, "there is none yet", remedy)];
    const until = new Date(expiry * 1000).toISOString();
    if (left <= 0) return [failed(this, `expired at ${until}`, remedy)];
    if (left < renewMarginSeconds && !running) return [info(this, `ends at ${until}; a running node renews it`)];
    return [ok(this, `valid until ${until}`)];
  },
};
