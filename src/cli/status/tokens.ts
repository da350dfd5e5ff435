/**
 * An amount of tokens in a JSON document, in wei: the number or string at `key`, read digit by digit, since a double holds only
 * sixteen. Digits beyond the 18th decimal are cut off. Undefined when there is no amount of that name.
 */
export function parseTokens(json: string, key: string): bigint | undefined {
  let found: string | undefined;
  JSON.parse(json, function reviver(this: unknown, name: string, value: unknown, context?: { source?: string }) {
    if (name === key) found = typeof value === "string" ? value : context?.source;
    return value;
  } as (name: string, value: unknown) => unknown);
  const [, whole, fraction = "", exponent = "0"] =
    /^(\d{1,60})(?:\.(\d{1,400}))?(?:[eE]([+-]?\d{1,3}))?$/.exec(found ?? "") ?? [];
  if (whole === undefined) return undefined;
  const shift = 18 - fraction.length + Number(exponent);
  const digits = BigInt(whole + fraction);
  return shift >= 0 ? digits * 10n ** BigInt(shift) : digits / 10n ** BigInt(-shift);
}
