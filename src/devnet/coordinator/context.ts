import type { RandomBytes } from "../../crypto/random.ts";
import { type Clock, unixSeconds } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { CoordinatorChain } from "./coordinator-chain.ts";
import type { CoordinatorEvent, Events } from "./events.ts";
import type { Limits } from "./limits.ts";
import type { Job, State } from "./state.ts";

/** Takes bytes and gives the CID under which they can be fetched. */
export type BlobSink = { put(bytes: Uint8Array): Promise<string> };

/** What every part of the coordinator works with. */
export type Context = {
  state: State;
  chain: CoordinatorChain;
  blobs: BlobSink;
  clock: Clock;
  log: Logger;
  random: RandomBytes;
  limits: Limits;
  /** Proves that a caller of `/v1/jobs/{id}/complete` is one of our services. */
  serviceSecret: string;
  events: Events;
};

/** Unix seconds. */
export function now(ctx: Context): number {
  return unixSeconds(ctx.clock);
}

/** Tells the subscribers about a step of a job. */
export function tell(ctx: Context, job: Job, event: Omit<CoordinatorEvent, "taskId" | "requestId" | "at">): void {
  ctx.events.emit({ ...event, taskId: job.taskId, requestId: job.requestId, at: ctx.clock.now() });
}

/** A random UUID of version 4, with dashes. */
export function uuid(random: RandomBytes): string {
  const bytes = random(16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Buffer.from(bytes).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
