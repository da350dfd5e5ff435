/** What a piece of text is to its reader; the terminal's own colours say it. */
export type Tone = "good" | "bad" | "dim" | "strong";

const codes: Record<Tone, [number, number]> = { good: [32, 39], bad: [33, 39], dim: [2, 22], strong: [1, 22] };

/** Whether colours may be written: to a terminal that can show them, unless `NO_COLOR` is set (no-color.org). */
export function hasColor(stream: { isTTY?: boolean }, env: Record<string, string | undefined> = process.env): boolean {
  return stream.isTTY === true && !env["NO_COLOR"] && env["TERM"] !== "dumb";
}

export function paint(text: string, tone: Tone, color: boolean): string {
  const [on, off] = codes[tone];
  return color && text.trim() !== "" ? `\u001b[${on}m${text}\u001b[${off}m` : text;
}
