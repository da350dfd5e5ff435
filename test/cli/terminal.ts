import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "../helpers/until.ts";

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const cache = fileURLToPath(new URL("../../build/test-cache", import.meta.url));

/** The program on a terminal of its own, with somebody at the keyboard. */
export type TerminalSession = {
  /** Everything that reached the terminal, control sequences included. */
  raw(): string;
  /** The same as text. */
  text(): string;
  /** Waits until the text that came since the last call of `see` holds `expected`. */
  see(expected: string): Promise<void>;
  type(keys: string): void;
  /** What has reached the terminal so far does not count for the next `see`. */
  forget(): void;
  kill(signal: NodeJS.Signals): void;
  /** Exit code. */
  ended: Promise<number>;
  [Symbol.asyncDispose](): Promise<void>;
};

export const enter = "\r";
export const down = "\u001b[B";
export const interrupt = "\u0003";

export type TerminalOptions = { env?: Record<string, string>; columns?: number; rows?: number };

export function runOnTerminal(args: string[], options: TerminalOptions = {}): TerminalSession {
  const home = mkdtempSync(join(tmpdir(), "blf-home-"));
  const decoder = new TextDecoder();
  let raw = "";
  let seen = 0;
  const child = Bun.spawn([process.execPath, main, ...args], {
    cwd: home,
    env: {
      HOME: home,
      PATH: "/usr/bin:/bin",
      TERM: "xterm-256color",
      BUN_RUNTIME_TRANSPILER_CACHE_PATH: cache,
      ...options.env,
    },
    terminal: {
      cols: options.columns ?? 100,
      rows: options.rows ?? 40,
      data: (_terminal, data) => {
        raw += decoder.decode(data, { stream: true });
      },
    },
  });
  const text = () => Bun.stripANSI(raw);
  return {
    raw: () => raw,
    text,
    see: async (expected) => {
      try {
        await until(`the terminal shows "${expected}"`, () => Bun.stripANSI(raw.slice(seen)).includes(expected), {
          timeoutMs: 40_000,
        });
      } catch (error) {
        throw new Error(`${(error as Error).message}; it shows:\n${text()}`);
      }
      seen = raw.length;
    },
    forget: () => {
      seen = raw.length;
    },
    type: (keys) => void child.terminal!.write(keys),
    kill: (signal) => child.kill(signal),
    ended: child.exited,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await child.exited;
      child.terminal?.close();
      rmSync(home, { recursive: true, force: true });
    },
  };
}
