import { systemClock } from "../../lib/clock.ts";
import type { LogFormat, Logger } from "../../lib/log.ts";
import { createLogger, type LogLevel } from "../../lib/log.ts";
import { printable } from "../../lib/printable.ts";
import { columnLines } from "./columns.ts";
import { isTerminal, writeOut } from "./streams.ts";
import { hasColor } from "./style.ts";
import { type Row, tableLines } from "./table.ts";

/** One documented JSON document, or text for people, on stdout. Everything else goes to stderr. */
export function print(text: string): void {
  writeOut(`${text}\n`);
}

export function printJson(value: unknown): void {
  const text = JSON.stringify(value, (_key, item) => (typeof item === "bigint" ? item.toString() : item), 2);
  // JSON leaves C1 controls and bidirectional marks as they are; the escapes of `printable` are those of JSON. The ends of lines stand
  // between values only.
  print(text.split("\n").map(printable).join("\n"));
}

/** Lines of `name  value`, the values in one column, broken at the width of a terminal. */
export function printTable(rows: Row[]): void {
  print(tableLines(rows, outputShape()).join("\n"));
}

/** A list in columns under headings. */
export function printColumns(headings: string[], rows: string[][]): void {
  print(columnLines(headings, rows, outputShape()).join("\n"));
}

function outputShape(): { width: number | undefined; color: boolean } {
  if (!isTerminal(1)) return { width: undefined, color: false };
  return { width: process.stdout.columns, color: hasColor(process.stdout) };
}

/** Logs to stderr: text on a terminal, JSON lines otherwise. */
export function stderrLogger(level: LogLevel, format: LogFormat | "auto"): Logger {
  let chosen: LogFormat | undefined;
  return createLogger({
    level,
    // Found out with the first line: most commands write none.
    get format() {
      chosen ??= format === "auto" ? (isTerminal(2) ? "text" : "json") : format;
      return chosen;
    },
    clock: systemClock,
    write: (line) => process.stderr.write(`${line}\n`),
  });
}
