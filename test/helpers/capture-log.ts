import { type Clock, systemClock } from "../../src/lib/clock.ts";
import { createLogger, type Logger } from "../../src/lib/log.ts";

export type LogLine = { level: string; message: string; [field: string]: unknown };

export type CapturedLog = {
  log: Logger;
  /** Every line of every level, as it would be written. */
  text(): string;
  /** The lines that have these fields. */
  lines(where?: Partial<LogLine>): LogLine[];
};

/** A logger that keeps all it is told, of all levels. */
export function captureLog(clock: Clock = systemClock): CapturedLog {
  const written: string[] = [];
  return {
    log: createLogger({ level: "debug", format: "json", clock, write: (line) => written.push(line) }),
    text: () => written.join("\n"),
    lines: (where = {}) =>
      written
        .map((line) => JSON.parse(line) as LogLine)
        .filter((line) => Object.entries(where).every(([name, value]) => line[name] === value)),
  };
}
