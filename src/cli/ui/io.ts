import { systemClock } from "../../lib/clock.ts";
import type { LogFormat, Logger } from "../../lib/log.ts";
import { createLogger, type LogLevel } from "../../lib/log.ts";
import { columnLines } from "./columns.ts";
import { hasColor } from "./style.ts";
import { type Row, tableLines } from "./table.ts";

/** One documented JSON document, or text for people, on stdout. Everything else goes to stderr. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, (_key, item) => (typeof item === "bigint" ? item.toString() : item), 2));
}

/** Lines of `name  value`, the values in one column, broken at the width of a terminal. */
export function printTable(rows: Row[]): void {
  const { stdout } = process;
  const lines = tableLines(rows, { width: stdout.isTTY ? stdout.columns : undefined, color: hasColor(stdout) });
  print(lines.join("\n"));
}

/** A list in columns under headings. */
export function printColumns(headings: string[], rows: string[][]): void {
  const { stdout } = process;
  const options = { width: stdout.isTTY ? stdout.columns : undefined, color: hasColor(stdout) };
  print(columnLines(headings, rows, options).join("\n"));
}

/** Logs to stderr: text on a terminal, JSON lines otherwise. */
export function stderrLogger(level: LogLevel, format: LogFormat | "auto"): Logger {
  const chosen = format === "auto" ? (process.stderr.isTTY ? "text" : "json") : format;
  return createLogger({
    level,
    format: chosen,
    clock: systemClock,
    write: (line) => process.stderr.write(`${line}\n`),
  });
}
