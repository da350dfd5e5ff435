import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type PullOptions, pullFile } from "../../../src/inference/pull/pull.ts";
import { createTransport, type TransportOptions } from "../../../src/inference/pull/transport.ts";
import { type Clock, systemClock } from "../../../src/lib/clock.ts";
import { until } from "../../helpers/until.ts";
import { never } from "../fixture.ts";
import { modelOfSize, sha256 } from "../model-server.ts";

export const chunkSize = 64 * 1024;
export const model = modelOfSize(1_000_001);
export const chunks = Math.ceil(model.length / chunkSize);
export const hash = sha256(model);

export const transport = (options: Partial<TransportOptions> = {}) =>
  createTransport({ fetch: globalThis.fetch, clock: systemClock, hubUrl: "https://hub.example", ...options });

export function pull(directory: { path: string }, url: string, options: Partial<PullOptions> = {}) {
  const target = join(directory.path, "m.gguf");
  return pullFile({
    url,
    target,
    connections: 4,
    chunkSize,
    transport: transport(),
    clock: systemClock,
    signal: never,
    ...options,
  });
}

/** Changes one byte at this place of the file in the first answer that holds it. */
export function flipOnce(place: number) {
  let flipped = false;
  return (body: Uint8Array, { start, end }: { start: number; end: number }) => {
    if (flipped || place < start || place >= end || end - start === 1) return body;
    flipped = true;
    const copy = Uint8Array.from(body);
    copy[place - start]! ^= 0x40;
    return copy;
  };
}

/**
 * Cuts the line once in the chunks that begin at these places, after something of them has arrived: what lies unread in the client's
 * buffers when a line breaks is lost. For one connection at a time.
 */
export function cutOnce(starts: number[], bytes: number) {
  const left = new Set(starts);
  let received = 0;
  return {
    cut: ({ start, end }: { start: number; end: number }) => (end - start > 1 && left.has(start) ? bytes : undefined),
    pause: ({ start, end }: { start: number; end: number }) => {
      if (end - start === 1 || !left.delete(start)) return undefined;
      const before = received;
      return until("some of it arrived", () => received > before).then(() => {});
    },
    onProgress: (progress: { received: number }) => {
      received = progress.received;
    },
    isDone: () => left.size === 0,
  };
}

/** Waits a twentieth of the time. */
export const hastyClock: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms / 20, signal) };

export const content = (directory: { path: string }) => sha256(readFileSync(join(directory.path, "m.gguf")));
