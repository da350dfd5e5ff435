import { closeSync, openSync, readFileSync } from "node:fs";
import type { Subprocess } from "bun";

export type LoggedProcess = Subprocess<"ignore", "pipe", number>;

/** Starts a process whose standard error is appended to a file: nobody has to read along, and its last words are kept. */
export function spawnLogged(command: string[], env: Record<string, string>, logPath: string): LoggedProcess {
  const log = openSync(logPath, "a", 0o600);
  try {
    return Bun.spawn(command, { env, stdin: "ignore", stdout: "pipe", stderr: log });
  } finally {
    closeSync(log);
  }
}

/** The JSON document on one line that a process prints first. Throws with its last words when it ends before. */
export async function firstDocument(child: LoggedProcess, logPath: string): Promise<unknown> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of child.stdout as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true });
    if (text.endsWith("}\n")) return JSON.parse(text);
  }
  throw new Error(`a process ended before it was ready: ${text}${lastLines(logPath, 5)}`);
}

export function lastLines(path: string, count: number): string {
  return readFileSync(path, "utf8").trimEnd().split("\n").slice(-count).join("\n");
}

/** As `kill -9`, and waited for. */
export async function killHard(child: Subprocess): Promise<void> {
  child.kill("SIGKILL");
  await child.exited;
}
