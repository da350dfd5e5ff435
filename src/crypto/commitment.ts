import { createHash } from "node:crypto";
import { keccak_256 } from "@noble/hashes/sha3";
import type { Hex } from "viem";
import { encodeText } from "./text.ts";

/** What Python's `str.strip()` removes and its `\s` matches; JavaScript's own `\s` knows no U+001C–1F and U+0085, but U+FEFF. */
const whitespace =
  "\\u0009-\\u000d\\u001c-\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const whitespaceRun = new RegExp(`[${whitespace}]+`, "g");

/** An output text as it is committed to: stripped, every run of Python's whitespace one space (PROTOCOL.md 2.6). */
export function normaliseOutput(text: string): string {
  const single = text.replace(whitespaceRun, " ");
  return single.slice(single.startsWith(" ") ? 1 : 0, single.length > 1 && single.endsWith(" ") ? -1 : undefined);
}

/**
 * The commitment to an answer: 64 lower-case hex digits without `0x` (PROTOCOL.md 2.6). A verifier gives the leader's CID
 * and its own text.
 * @throws BlfError `TEXT_NOT_UNICODE`
 */
export function commitment(outputCid: string, text: string): string {
  return sha256(Buffer.concat([sha256(encodeText(outputCid)), sha256(encodeText(normaliseOutput(text)))])).toString(
    "hex",
  );
}

/**
 * The id under which a job's output key is stored, `0x` and 64 hex digits (PROTOCOL.md 2.4). The task id goes in exactly
 * as the assignment gave it: with and without `0x` are different ids.
 */
export function outputKeyJobId(taskId: string): Hex {
  return keccakHex(`${taskId}:output-key`);
}

/** A model or task id as bytes32: 64 hex digits stay as they are, with or without `0x`; anything else is hashed (PROTOCOL.md 2.9). */
export function toBytes32(modelOrTask: string): Hex {
  if (/^0x[0-9a-fA-F]{64}$/.test(modelOrTask)) return modelOrTask as Hex;
  if (/^[0-9a-fA-F]{64}$/.test(modelOrTask)) return `0x${modelOrTask}`;
  return keccakHex(modelOrTask);
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

function keccakHex(text: string): Hex {
  return `0x${Buffer.from(keccak_256(encodeText(text))).toString("hex")}`;
}
