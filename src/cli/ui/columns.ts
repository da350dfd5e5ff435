import { printable } from "../../lib/printable.ts";
import { paint } from "./style.ts";
import type { TableOptions } from "./table.ts";

const gap = 2;
const narrowestLast = 20;

/** A list in columns under headings. On a terminal the last column is broken at its width, or put below the others; what could be a command to it is made visible. */
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
  const room = options.width === undefined ? Number.POSITIVE_INFINITY : options.width - indent;
  const isBelow = widths[last]! > room && room < narrowestLast;
  return texts.flatMap((row, index) => {
    const start = row.slice(0, last).map((text, column) => pad(text, widths[column]! + gap));
    const lines = isBelow
      ? below(start.join(""), row[last]!, options.width!)
      : beside(start.join(""), row[last]!, room);
    return index === 0 ? lines.map((line) => paint(line, "dim", color)) : lines;
  });
}

function beside(start: string, text: string, room: number): string[] {
  const parts = Number.isFinite(room) ? breakLines(text, room) : [text];
  const indent = " ".repeat(Bun.stringWidth(start));
  return parts.map((part, line) => `${line === 0 ? start : indent}${part}`.trimEnd());
}

/** The last column on a line of its own, where it would otherwise be cut to shreds. */
function below(start: string, text: string, width: number): string[] {
  return [start.trimEnd(), ...breakLines(text, width - gap).map((part) => `${" ".repeat(gap)}${part}`.trimEnd())];
}

function pad(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - Bun.stringWidth(text)));
}

function breakLines(text: string, room: number): string[] {
  return Bun.wrapAnsi(text, room, { hard: true, trim: true }).split("\n");
}
