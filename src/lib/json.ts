/**
 * JSON with integers of any size. Handles of the network are JSON integers up to 2^256 (PROTOCOL.md 4.4), which a double cannot hold.
 * Integers beyond ±2^53 become bigint; everything else is as in JSON.parse.
 */
export function parseJson(text: string): unknown {
  return JSON.parse(text, function reviver(this: unknown, _key, value, context?: { source?: string }) {
    if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
    const source = context?.source ?? "";
    return /^-?\d+$/.test(source) ? BigInt(source) : value;
  } as (key: string, value: unknown) => unknown);
}

const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON;

/** JSON text in which a bigint is a JSON integer of full precision. */
export function stringifyJson(value: unknown, space?: number): string {
  return JSON.stringify(value, (_key, item) => (typeof item === "bigint" ? rawJson(item.toString()) : item), space);
}
