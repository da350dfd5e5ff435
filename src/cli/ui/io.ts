import { systemClock } from "../../lib/clock.ts";
import type { LogFormat, Logger } from "../../lib/log.ts";
import { createLogger, type LogLevel } from "../../lib/log.ts";

/** One documented JSON document, or text for people, on stdout. Everything else goes to stderr. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, (_key, item) => (typeof item === "bigint" ? item.toString() : item), 2));
}

/** Lines of `name  value`, the values in one column. */
export function printTable(rows: [string, string][]): void {
  const width = Math.max(...rows.map(([name]) => name.length));
  for (const [name, value] of rows) print(`${name.padEnd(width)}  ${value}`);
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
