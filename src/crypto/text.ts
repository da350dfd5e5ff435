import { BlfError } from "../lib/errors.ts";

const encoder = new TextEncoder();
/** A byte order mark is part of the text: a node that drops it would ask its model something else than its peers. */
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * UTF-8 of a text. A lone surrogate has no UTF-8, and replacing it would let two texts give the same bytes.
 * @throws BlfError `TEXT_NOT_UNICODE`
 */
export function encodeText(text: string): Uint8Array<ArrayBuffer> {
  if (!text.isWellFormed())
    throw new BlfError({
      code: "TEXT_NOT_UNICODE",
      message: "The text holds half of a surrogate pair, which UTF-8 cannot express",
      hint: "Send valid Unicode text.",
    });
  return encoder.encode(text) as Uint8Array<ArrayBuffer>;
}

/**
 * The text of UTF-8 bytes, every character kept.
 * @throws BlfError `PROMPT_NOT_UTF8`
 */
export function decodeText(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new BlfError({
      code: "PROMPT_NOT_UTF8",
      message: "The decrypted bytes are not UTF-8 text",
      hint: "The sender has to encrypt the UTF-8 bytes of the text.",
    });
  }
}
