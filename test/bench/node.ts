import { readFileSync } from "node:fs";
import type { Subprocess } from "bun";
import { type Address, getAddress } from "viem";
import { createPrivateKey } from "../../src/wallet/private-key.ts";
import { password, until } from "../e2e/network.ts";
import { freePort } from "../helpers/free-port.ts";
import type { DevnetProcess } from "./network.ts";

export type BenchNode = {
  address: Address;
  directory: string;
  process: Subprocess;
  /** The lines of its log so far. */
  log(): { message: string; state?: string; jobId?: string }[];
  /** The value of a metric without labels. A scrape starts a new period for those that hold a maximum. */
  metric(name: string): Promise<number>;
};

export type StartNodeOptions = {
  executable: string;
  directory: string;
  devnet: DevnetProcess;
  environment: Record<string, string>;
};

/** Makes a node as its operator would, and runs it until its status server says that it is ready. */
export async function startNode(options: StartNodeOptions): Promise<BenchNode> {
  const { executable, directory, devnet } = options;
  const port = freePort();
  const env = {
    HOME: directory,
    PATH: "/nonexistent",
    ...devnet.variables,
    ...options.environment,
    BLF_CONFIG_DIR: directory,
    BLF_KEY_PASSWORD: password,
    BLF_STATUS_PORT: String(port),
    BLF_LOG_FORMAT: "json",
    BLF_LOG_LEVEL: "debug",
  };
  const command = async (args: string[], more: Record<string, string> = {}) => {
    const child = Bun.spawn([executable, ...args, "--json"], {
      env: { ...env, ...more },
      stdout: "pipe",
      stderr: "pipe",
    });
    const [stdout, code] = await Promise.all([new Response(child.stdout).text(), child.exited]);
    if (code !== 0) throw new Error(`${args.join(" ")} exited ${code}: ${stdout}`);
    return JSON.parse(stdout) as { address: string };
  };
  const address = getAddress((await command(["init"], { BLF_PRIVATE_KEY: createPrivateKey().reveal() })).address);
  await devnet.fund(address);
  await command(["attest", "--mock", "--register"]);
  await command(["staking", "stake", "1000"]);
  const child = Bun.spawn([executable, "run"], { env, stdout: "ignore", stderr: "pipe" });
  const lines: ReturnType<BenchNode["log"]> = [];
  const reading = readLines(child.stderr, (line) => lines.push(JSON.parse(line)));
  const status = (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
  await until("the node is ready", async () => {
    if (child.exitCode !== null) throw new Error(`run exited ${child.exitCode}: ${JSON.stringify(lines.at(-1))}`);
    return status("/readyz").then(
      ({ ok }) => ok,
      () => false,
    );
  });
  void reading;
  const metric = async (name: string) => {
    const text = await (await status("/metrics")).text();
    const value = text.split("\n").find((line) => line.startsWith(`${name} `));
    if (value === undefined) throw new Error(`there is no metric ${name}`);
    return Number(value.slice(name.length + 1));
  };
  return { address, directory, process: child, log: () => lines, metric };
}

async function readLines(stream: ReadableStream<Uint8Array>, onLine: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream as unknown as AsyncIterable<Uint8Array>) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop()!;
    for (const line of lines) onLine(line);
  }
}

/** Memory that a process holds, in MB (10^6 bytes), of one kind: all of it, its own, or pages of files. */
export function residentMegabytes(pid: number, kind: "VmRSS" | "RssAnon" | "RssFile" = "VmRSS"): number {
  const line = readFileSync(`/proc/${pid}/status`, "utf8").match(new RegExp(`^${kind}:\\s+(\\d+) kB$`, "m"));
  if (!line) throw new Error(`/proc does not tell ${kind}`);
  return (Number(line[1]) * 1024) / 1e6;
}

export function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
}
