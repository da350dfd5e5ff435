import * as z from "zod";
import type { Role } from "../icl/wire.ts";
import { errorCode } from "../lib/errors.ts";
import type { NodeContext } from "./context.ts";
import { jsonOrNothing, millisecondsFact } from "./journal/facts.ts";
import type { JobRecord } from "./journal/job-record.ts";

/** How one job went. */
const sampleSchema = z.object({
  /** When it ended, in milliseconds since the epoch. */
  at: z.number(),
  /** Time that the model took for its answer: its speed times the length. */
  modelMs: z.number(),
  /** Time for everything else but waiting for the leader: keys, downloads, uploads, transactions, submission. */
  restMs: z.number(),
});
const samplesSchema = z.array(sampleSchema);
type Sample = z.output<typeof sampleSchema>;

/** So many of the last jobs count. */
const remembered = 8;

/** Fewer say nothing: one slow answer may have been an accident. */
const enough = 3;

/** What is older is forgotten, so that a node which declined because it was slow tries again, in milliseconds. */
const memoryMs = 60 * 60_000;

/** How long a claim lasts as long as none was answered yet, in milliseconds (PROTOCOL.md 4.4). */
const usualClaimMs = 300_000;

/** Share of a claim that is kept free. */
const reserve = 0.1;

const claimLife = "claim-life-ms";

type Memory = Pick<NodeContext, "journal" | "clock">;

/** Remembers how long the coordinator's claims last. */
export function learnClaimLife(ctx: NodeContext, ms: number): void {
  if (ms > 0 && Math.abs(ms - claimLifeMs(ctx.journal)) > 2000) keep(ctx, claimLife, String(Math.round(ms)));
}

/**
 * Learns from a job that ended. An answer that was cut off by the end of its claim counts as well, with the time that it had: it would have
 * taken longer.
 */
export function learnPace(ctx: NodeContext, { role, modelId }: JobRecord, pace: Omit<Sample, "at">): void {
  const samples = [...recall(ctx, role, modelId), { at: ctx.clock.now(), ...pace }];
  keep(ctx, factOf(role, modelId), JSON.stringify(samples.slice(-remembered)));
}

/** Why a job of this model would most likely not be done before its claim ends, or undefined. */
export function reasonTooSlow(ctx: Memory, role: Role, modelId: string): string | undefined {
  const samples = recall(ctx, role, modelId);
  if (samples.length < enough) return undefined;
  const expected = median(samples.map(({ modelMs }) => modelMs)) + median(samples.map(({ restMs }) => restMs));
  const lasts = claimLifeMs(ctx.journal);
  if (expected < lasts * (1 - reserve)) return undefined;
  return `its last jobs took ${seconds(expected)} s each, and a claim lasts ${seconds(lasts)} s`;
}

/** The shortest time that the model took for one of its last answers, in milliseconds; 0 when little is known. */
export function fastestAnswerMs(ctx: Memory, role: Role, modelId: string): number {
  const samples = recall(ctx, role, modelId);
  return samples.length < enough ? 0 : Math.min(...samples.map(({ modelMs }) => modelMs));
}

function claimLifeMs(journal: NodeContext["journal"]): number {
  return millisecondsFact(journal, claimLife) || usualClaimMs;
}

/** What was learned is worth less than the job: a disk that is full does not fail it. */
function keep({ journal, log }: NodeContext, name: string, value: string): void {
  try {
    journal.setFact(name, value);
  } catch (error) {
    log.debug("what was learned of the pace could not be written down", { code: errorCode(error) });
  }
}

/** A clock that was set back makes nothing young: what comes from later is forgotten too. */
function recall({ journal, clock }: Memory, role: Role, modelId: string): Sample[] {
  const now = clock.now();
  const samples = samplesOf(journal.fact(factOf(role, modelId)));
  return samples.filter(({ at }) => at <= now && now - at < memoryMs);
}

function samplesOf(text: string | undefined): Sample[] {
  return samplesSchema.safeParse(jsonOrNothing(text)).data ?? [];
}

function factOf(role: Role, modelId: string): string {
  return `pace ${role} ${modelId}`;
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

function seconds(ms: number): number {
  return Math.round(ms / 1000);
}
