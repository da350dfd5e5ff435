import { printable } from "../../lib/log.ts";
import { paint } from "./style.ts";
import type { TableOptions } from "./table.ts";

const gap = 2;
const narrowestLast = 20;

/** A list in columns under headings. On a terminal the last column is broken at its width; what could be a command to it is made visible. */
export function columnLines(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  options: TableOptions = {},
): string[] {
  const color = options.color ?? false;
  const texts = [headings, ...rows].map((row) => headings.map((_, column) => printable(row[column] ?? "")));
  const last = headings.length - 1;
  const widths = headings.map((_, column) => Math.max(...texts.map((row) => Bun.stringWidth(row[column]!))));
  const indent = widths.slice(0, last).reduce((sum, width) => sum + width + gap, 0);
  const room = options.width === undefined ? undefined : Math.max(narrowestLast, options.width - indent);
  return texts.flatMap((row, index) => {
    const start = row.slice(0, last).map((text, column) => pad(text, widths[column]! + gap));
    const parts = room === undefined ? [row[last]!] : breakLines(row[last]!, room);
    const lines = parts.map((part, line) => `${line === 0 ? start.join("") : " ".repeat(indent)}${part}`.trimEnd());
    return index === 0 ? lines.map((line) => paint(line, "dim", color)) : lines;
  });
}

function pad(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - Bun.stringWidth(text)));
}

function breakLines(text: string, room: number): string[] {
  return Bun.wrapAnsi(text, room, { hard: true, trim: true }).split("\n");
}
