import type { Prng } from "../sim/prng.ts";
import type { Reply } from "./honest-replies.ts";

export type Lie = Pick<Reply, "body" | "headers">;

/**
 * Whether the file itself may still come out of what was made of a reply: never, always, or only by luck, such as from an archive of which
 * a part was changed that nobody reads. It has to be the very file then.
 */
export type Chance = "never" | "always" | "maybe";

export type Corruption = {
  name: string;
  /** Replies that it can be done to. */
  fits: (reply: Reply) => boolean;
  chance: (reply: Reply) => Chance;
  apply: (reply: Reply, prng: Prng, others: readonly Reply[]) => Lie;
};

export const isArchive = ({ form }: Reply) => form === "car";
export const isPacked = ({ headers }: Reply) => "Content-Encoding" in headers;
/** What is sent is the file and nothing else. */
const isBare = (reply: Reply) => !isArchive(reply) && !isPacked(reply);

function ofBytes(name: string, change: (body: Uint8Array, prng: Prng) => Uint8Array, fits = (_: Reply) => true) {
  return {
    name,
    fits,
    chance: (reply: Reply): Chance => (isBare(reply) ? "never" : "maybe"),
    apply: ({ body, headers }: Reply, prng: Prng) => ({ body: change(body, prng), headers }),
  } satisfies Corruption;
}

/** Two places in order, `from` before `to`. */
function range(length: number, prng: Prng): [number, number] {
  const [a, b] = [prng.int(0, length - 1), prng.int(0, length - 1)];
  return [Math.min(a, b), Math.max(a, b) + 1];
}

function concat(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

export function flipped(body: Uint8Array, bits: number, prng: Prng): Uint8Array {
  const changed = new Uint8Array(body);
  for (let count = 0; count < bits; count++) changed[prng.int(0, body.length - 1)]! ^= 1 << prng.int(0, 7);
  return changed;
}

/** What can happen to any body. */
export const byteCorruptions: readonly Corruption[] = [
  ofBytes("one bit flipped", (body, prng) => flipped(body, 1, prng)),
  ofBytes("bits flipped", (body, prng) => flipped(body, prng.int(2, 40), prng)),
  ofBytes("cut off", (body, prng) => body.slice(0, prng.int(0, body.length - 1))),
  ofBytes("beginning missing", (body, prng) => body.slice(prng.int(1, body.length))),
  ofBytes("bytes appended", (body, prng) => concat(body, prng.bytes(prng.int(1, 50)))),
  ofBytes("zeros appended", (body, prng) => concat(body, new Uint8Array(prng.int(1, 50)))),
  ofBytes("sent twice", (body) => concat(body, body)),
  ofBytes("a part missing", (body, prng) => {
    const [from, to] = range(body.length, prng);
    return concat(body.slice(0, from), body.slice(to));
  }),
  ofBytes("a part repeated", (body, prng) => {
    const [from, to] = range(body.length, prng);
    return concat(body.slice(0, to), body.slice(from));
  }),
  ofBytes("a part of zeros", (body, prng) => body.slice().fill(0, ...range(body.length, prng))),
  ofBytes("a part of noise", (body, prng) => {
    const [from, to] = range(body.length, prng);
    return concat(body.slice(0, from), prng.bytes(to - from), body.slice(to));
  }),
  ofBytes("parts swapped", (body, prng) => {
    const [from, to] = range(body.length, prng);
    const middle = prng.int(from, to);
    return concat(body.slice(0, from), body.slice(middle, to), body.slice(from, middle), body.slice(to));
  }),
  ofBytes("noise", (body, prng) => prng.bytes(body.length)),
  ofBytes("as base64", (body) => new TextEncoder().encode(Buffer.from(body).toString("base64"))),
  ofBytes("an error page", (_, prng) => new TextEncoder().encode(`<html><title>${prng.int(400, 599)}</title></html>`)),
];
