import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "../helpers/until.ts";

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const cache = fileURLToPath(new URL("../../build/test-cache", import.meta.url));

/** `blindference run` as a process; resolves when the node is ready. */
export async function startDaemonProcess(env: Record<string, string>, args: string[] = []) {
  const home = mkdtempSync(join(tmpdir(), "blf-home-"));
  const child = Bun.spawn([process.execPath, main, "run", "--log-format", "json", ...args], {
    cwd: home,
    env: { HOME: home, PATH: "/usr/bin:/bin", BUN_RUNTIME_TRANSPILER_CACHE_PATH: cache, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  let log = "";
  const read = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stderr as unknown as AsyncIterable<Uint8Array>)
      log += decoder.decode(chunk, { stream: true });
  })();
  const stdout = child.stdout.text();
  const stop = async () => {
    child.kill("SIGTERM");
    const code = await child.exited;
    await read;
    rmSync(home, { recursive: true, force: true });
    return { code, log, stdout: await stdout };
  };
  try {
    await until(
      "the node is ready",
      () => {
        if (child.exitCode !== null) throw new Error(`run exited ${child.exitCode}: ${log}`);
        return log.includes('"message":"node ready"');
      },
      { timeoutMs: 60_000 },
    );
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
  return { log: () => log, signal: (name: NodeJS.Signals) => child.kill(name), stop };
}
