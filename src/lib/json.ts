/**
 * JSON with integers of any size. Handles of the network are JSON integers up to 2^256 (PROTOCOL.md 4.4), which a double cannot hold.
 * Integers beyond ±2^53 become bigint; everything else is as in JSON.parse. An object that has a key twice is refused: which of them counts
 * differs from parser to parser, so two who read it may see two messages.
 * @throws SyntaxError
 */
export function parseJson(text: string): unknown {
  const parsed: unknown = JSON.parse(text, function reviver(this: unknown, _key, value, context?: { source?: string }) {
    if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
    const source = context?.source ?? "";
    return /^-?\d+$/.test(source) ? BigInt(source) : value;
  } as (key: string, value: unknown) => unknown);
  assertUniqueKeys(text);
  return parsed;
}

/** Strings, with the colon that makes a key of one, and what opens and closes objects. */
const structure = /("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|[{}]/g;

/** @param text valid JSON @throws SyntaxError when an object has a key twice, however it is written (`"a"`, `"\u0061"`) */
export function assertUniqueKeys(text: string): void {
  const objects: Set<string>[] = [];
  for (const [token, string, colon] of text.matchAll(structure)) {
    if (token === "{") objects.push(new Set());
    else if (token === "}") objects.pop();
    else if (string !== undefined && colon !== undefined) {
      const keys = objects.at(-1);
      const key = JSON.parse(string) as string;
      if (keys?.has(key)) throw new SyntaxError("an object has a key twice");
      keys?.add(key);
    }
  }
}

const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON;

/** JSON text in which a bigint is a JSON integer of full precision. */
export function stringifyJson(value: unknown, space?: number): string {
  return JSON.stringify(value, (_key, item) => (typeof item === "bigint" ? rawJson(item.toString()) : item), space);
}
