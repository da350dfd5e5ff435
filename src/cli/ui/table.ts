import { printable } from "../../lib/printable.ts";
import { paint, type Tone } from "./style.ts";

/** `name  value`; a row without a name goes on with the one above it. */
export type Row = [name: string, value: string, tone?: Tone];

export type TableOptions = {
  /** Columns of the terminal, at which long values are broken; without it every row is one line. */
  width?: number | undefined;
  color?: boolean;
};

const gap = 2;
const narrowestValue = 20;

/** The lines of a table, the values in one column. What a terminal could take for a command is made visible. */
export function tableLines(given: readonly Row[], options: TableOptions = {}): string[] {
  const rows = given.map(([name, value, tone]) => [printable(name), printable(value), tone] as const);
  const indent = Math.max(0, ...rows.map(([name]) => Bun.stringWidth(name))) + gap;
  const room = options.width === undefined ? undefined : Math.max(narrowestValue, options.width - indent);
  const color = options.color ?? false;
  return rows.flatMap(([name, value, tone]) => {
    const parts = room === undefined ? [value] : breakLines(value, room);
    return parts.map((part, index) => {
      const label = (index === 0 ? name : "").padEnd(indent);
      return `${paint(label, "dim", color)}${tone ? paint(part, tone, color) : part}`.trimEnd();
    });
  });
}

function breakLines(text: string, room: number): string[] {
  return Bun.wrapAnsi(text, room, { hard: true, trim: true }).split("\n");
}
