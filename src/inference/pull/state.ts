import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import * as z from "zod/mini";
import type { Clock } from "../../lib/clock.ts";
import { writeFileAtomic } from "../../lib/files.ts";
import { sha256Pattern } from "./digest.ts";

const hash = z.string().check(z.regex(sha256Pattern));

const stateSchema = z.strictObject({
  version: z.literal(1),
  /** SHA-256 of the URL, which may hold a secret. */
  source: hash,
  size: z.int().check(z.positive()),
  etag: z.nullable(z.string()),
  sha256: z.nullable(hash),
  chunkSize: z.int().check(z.positive()),
  /** SHA-256 of each chunk that is on the disk. */
  chunks: z.record(z.string().check(z.regex(/^\d{1,9}$/)), hash),
});

/** What is known of a download that has not ended. */
export type PullState = z.output<typeof stateSchema>;

export type Identity = { url: string; size: number; etag: string | null; sha256: string | null; chunkSize: number };

export function newState({ url, ...identity }: Identity): PullState {
  return { version: 1, source: createHash("sha256").update(url).digest("hex"), ...identity, chunks: {} };
}

/** The state that an earlier run left, if it is one of the same file. */
export function readState(path: string, identity: Identity): PullState | undefined {
  try {
    const state = stateSchema.parse(JSON.parse(readFileSync(path, "utf8")));
    const { chunks: _, ...wanted } = newState(identity);
    const isSame = Object.entries(wanted).every(([key, value]) => state[key as keyof PullState] === value);
    return isSame ? state : undefined;
  } catch {
    return undefined;
  }
}

const restMs = 200;

export type StateWriter = {
  /** To be called after each change; it is written within 200 ms. */
  changed(): void;
  /** Writes what is not written yet, and nothing later. On a full disk an older state stays, which costs a few chunks and nothing else. */
  end(): void;
};

/**
 * Writes the state now and then. It may lag behind the file, never the other way round: chunks that it does not name are fetched
 * again, and those that it names are compared with their hashes before they are believed. So the file itself need not be synced
 * before its end, whatever a power failure leaves of it.
 */
export function createStateWriter(path: string, state: PullState, clock: Clock): StateWriter {
  const ended = new AbortController();
  let written = Number.NEGATIVE_INFINITY;
  let isWaiting = false;
  let isDirty = false;
  const write = () => {
    isWaiting = false;
    isDirty = false;
    written = clock.now();
    try {
      writeFileAtomic(path, JSON.stringify(state));
    } catch {
      isDirty = true;
    }
  };
  return {
    changed: () => {
      isDirty = true;
      const rest = written + restMs - clock.now();
      if (rest <= 0) write();
      else if (!isWaiting) {
        isWaiting = true;
        clock.sleep(rest, ended.signal).then(write, () => {});
      }
    },
    end: () => {
      ended.abort();
      if (isDirty) write();
    },
  };
}
