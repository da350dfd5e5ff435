import type { Clock } from "./clock.ts";
import { printable } from "./printable.ts";

export const logLevels = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof logLevels)[number];
export type LogFormat = "text" | "json";

/**
 * The only names that a log line may carry. A field that is not in this list does not compile, so a prompt, an output
 * or a key cannot be logged by accident.
 */
export type LogFields = {
  jobId?: string;
  role?: string;
  state?: string;
  model?: string;
  backend?: string;
  determinismClass?: string;
  cid?: string;
  commitment?: string;
  verdict?: string;
  code?: string;
  error?: string;
  hint?: string;
  attempt?: number;
  ms?: number;
  tokens?: number;
  bytes?: number;
  count?: number;
  loop?: string;
  address?: string;
  tx?: string;
  nonce?: number;
  gas?: string;
  url?: string;
  status?: number;
  tier?: number;
  certHash?: string;
  expiresAt?: string;
  deadline?: string;
  pid?: number;
  signal?: string;
  path?: string;
  version?: string;
  reason?: string;
  /** Lines and columns of this program. */
  positions?: string;
};

export type Logger = Record<LogLevel, (message: string, fields?: LogFields) => void> & {
  /** A logger that adds these fields to every line. */
  with(fields: LogFields): Logger;
};

export type LoggerOptions = {
  level: LogLevel;
  format: LogFormat;
  clock: Clock;
  /** Takes one line without its end. */
  write(line: string): void;
};

export function createLogger(options: LoggerOptions, base: LogFields = {}): Logger {
  const threshold = logLevels.indexOf(options.level);
  const line =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      if (logLevels.indexOf(level) < threshold) return;
      options.write(formatLine(options, level, message, { ...base, ...fields }));
    };
  return {
    debug: line("debug"),
    info: line("info"),
    warn: line("warn"),
    error: line("error"),
    with: (fields) => createLogger(options, { ...base, ...fields }),
  };
}

function formatLine(options: LoggerOptions, level: LogLevel, message: string, fields: LogFields): string {
  const time = new Date(options.clock.now()).toISOString();
  // JSON leaves C1 controls and bidirectional marks as they are; the escapes of `printable` are those of JSON.
  if (options.format === "json") return printable(JSON.stringify({ time, level, message, ...fields }));
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${printable(String(value))}`);
  return `${time} ${level.toUpperCase().padEnd(5)} ${printable(message)}${pairs.join("")}`;
}
