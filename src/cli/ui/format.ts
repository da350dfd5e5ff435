const weiPerToken = 10n ** 18n;

/** Wei as a plain decimal number of BLIND or ETH, with every digit that is not zero. Light: it loads nothing. */
export function formatWei(wei: bigint): string {
  const sign = wei < 0n ? "-" : "";
  const size = wei < 0n ? -wei : wei;
  const fraction = String(size % weiPerToken)
    .padStart(18, "0")
    .replace(/0+$/, "");
  return `${sign}${size / weiPerToken}${fraction === "" ? "" : `.${fraction}`}`;
}

/** A length of time in its two largest units: `3 d 4 h`, `12 min 5 s`, `0 s`. */
export function formatSeconds(seconds: number): string {
  const units: [string, number][] = [
    ["d", 86_400],
    ["h", 3600],
    ["min", 60],
    ["s", 1],
  ];
  let rest = Math.max(0, Math.floor(seconds));
  const parts: string[] = [];
  for (const [name, size] of units) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0 || (size === 1 && parts.length === 0)) parts.push(`${count} ${name}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join(" ");
}

/** A duration in milliseconds, as a person reads it: `12 ms`, `3.4 s`, `2 min 5 s`. */
export function formatMilliseconds(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : formatSeconds(ms / 1000);
}

/** Unix seconds as ISO-8601 UTC without fractions: `2026-01-31T12:00:00Z`. */
export function formatTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}

/** Words with their plural: `1 job`, `2 jobs`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
