import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildTinyModel, type TinyModelOptions } from "../../native/tiny-model.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { BlfError } from "../../src/lib/errors.ts";
import { createLogger, type LogFields, type Logger } from "../../src/lib/log.ts";

/** A temporary directory that also takes the place of the user's cache. */
export function temporaryDirectory() {
  const path = mkdtempSync(join(tmpdir(), "blf-test-"));
  const before = process.env["XDG_CACHE_HOME"];
  process.env["XDG_CACHE_HOME"] = join(path, "cache");
  return {
    path,
    file: (name: string, content: string | Uint8Array) => {
      writeFileSync(join(path, name), content);
      return join(path, name);
    },
    model: (name: string, options: TinyModelOptions = {}) => {
      writeFileSync(join(path, name), buildTinyModel(options));
      return join(path, name);
    },
    remove: () => {
      if (before === undefined) delete process.env["XDG_CACHE_HOME"];
      else process.env["XDG_CACHE_HOME"] = before;
      rmSync(path, { recursive: true, force: true });
    },
  };
}

export type LogEntry = { level: string; message: string } & LogFields;

/** A logger whose lines can be looked at. */
export function recordingLogger(): { log: Logger; entries: LogEntry[] } {
  const entries: LogEntry[] = [];
  const write = (line: string) => entries.push(JSON.parse(line) as LogEntry);
  return { log: createLogger({ level: "debug", format: "json", clock: systemClock, write }), entries };
}

/** Starts the engine's process as the executable does with `__engine`. */
export const engineCommand = [process.execPath, new URL("./engine-main.ts", import.meta.url).pathname];

export const never = new AbortController().signal;

/** The error of a call that must fail with one of ours. */
export async function failureOf(action: () => unknown): Promise<BlfError> {
  try {
    await action();
  } catch (error) {
    if (error instanceof BlfError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}
