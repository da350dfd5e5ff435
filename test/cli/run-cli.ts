import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** What the runtime makes of the sources is kept between the processes, each of which has a home of its own. */
const cache = fileURLToPath(new URL("../../build/test-cache", import.meta.url));

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

export type CliOptions = {
  /** Added to a clean environment: HOME, PATH and the runtime's cache, nothing else. */
  env?: Record<string, string>;
  stdin?: string;
  cwd?: string;
  /** The program; by default this checkout's sources. */
  command?: string[];
  /** Sent when a line of stderr holds `after`. */
  signal?: { after: string; name: NodeJS.Signals };
};

export type CliResult = { code: number; stdout: string; stderr: string };

/** Runs the program as a process of its own. Asserts nothing. */
export async function runCli(args: string[], options: CliOptions = {}): Promise<CliResult> {
  const home = mkdtempSync(join(tmpdir(), "blf-home-"));
  try {
    const child = Bun.spawn([...(options.command ?? [process.execPath, main]), ...args], {
      cwd: options.cwd ?? home,
      env: { HOME: home, PATH: "/usr/bin:/bin", BUN_RUNTIME_TRANSPILER_CACHE_PATH: cache, ...options.env },
      stdin: options.stdin === undefined ? "ignore" : new Blob([options.stdin]),
      stdout: "pipe",
      stderr: "pipe",
      timeout: 50_000,
      killSignal: "SIGKILL",
    });
    const [stdout, stderr, code] = await Promise.all([
      child.stdout.text(),
      collect(child.stderr, (text) => {
        if (options.signal && text.includes(options.signal.after)) child.kill(options.signal.name);
      }),
      child.exited,
    ]);
    return { code, stdout, stderr };
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

async function collect(stream: ReadableStream<Uint8Array>, onText: (text: string) => void): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true });
    onText(text);
  }
  return text;
}
