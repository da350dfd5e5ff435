import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Address, getAddress } from "viem";
import { systemClock } from "../../src/lib/clock.ts";
import type { JobRecord } from "../../src/node/journal/job-record.ts";
import { openJournal } from "../../src/node/journal/journal.ts";
import { createPrivateKey } from "../../src/wallet/private-key.ts";
import { password, until } from "../e2e/network.ts";
import { freePort } from "../helpers/free-port.ts";
import { childOf, type Sample, sample } from "./memory.ts";
import { killHard, type LoggedProcess, lastLines, spawnLogged } from "./processes.ts";

/** One run of a node's daemon, from its start to its end. Times in milliseconds since the epoch. */
export type Life = {
  startedAt: number;
  readyAt: number | undefined;
  endedAt: number | undefined;
  /** Resident memory of the daemon, and of its engine. */
  daemon: Sample[];
  engine: Sample[];
};

export type SoakNode = {
  name: string;
  address: Address;
  logPath: string;
  lives: Life[];
  /** Starts the daemon without waiting until it is ready. */
  start(): void;
  ready(): Promise<void>;
  /** As `kill -9`. */
  kill(): Promise<void>;
  /** SIGTERM, as an operator or systemd does it. Gives the exit code. */
  stop(): Promise<number>;
  sampleMemory(): void;
  /** How often the daemon ended by itself, with its last words. */
  crashes: string[];
  /** What its journal holds. Only while the daemon does not run. */
  journal(): JobRecord[];
  /** How often its log says something as a warning or an error, by message and code. */
  complaints(): Record<string, number>;
};

export type SoakNodeOptions = {
  executable: string;
  directory: string;
  name: string;
  environment: Record<string, string>;
  fund(address: Address): Promise<void>;
};

/** Makes a node as its operator would: a wallet, a certificate, a registration, a stake. It does not run yet. */
export async function createSoakNode(options: SoakNodeOptions): Promise<SoakNode> {
  const { executable, directory, name } = options;
  const port = freePort();
  const env = {
    HOME: directory,
    PATH: "/nonexistent",
    ...options.environment,
    BLF_CONFIG_DIR: directory,
    BLF_KEY_PASSWORD: password,
    BLF_STATUS_PORT: String(port),
    BLF_LOG_FORMAT: "json",
  };
  const logPath = `${directory}.log`;
  const command = async (args: string[], more: Record<string, string> = {}) => {
    const child = spawnLogged([executable, ...args, "--json"], { ...env, ...more }, logPath);
    const [stdout, code] = await Promise.all([new Response(child.stdout).text(), child.exited]);
    if (code !== 0) throw new Error(`${name}: ${args.join(" ")} exited ${code}: ${stdout}`);
    return JSON.parse(stdout) as { address: string };
  };
  const address = getAddress((await command(["init"], { BLF_PRIVATE_KEY: createPrivateKey().reveal() })).address);
  await options.fund(address);
  await command(["attest", "--mock", "--register"]);
  await command(["staking", "stake", "1000"]);

  const lives: Life[] = [];
  const crashes: string[] = [];
  let daemon: LoggedProcess | undefined;
  const start = () => {
    const life: Life = { startedAt: Date.now(), readyAt: undefined, endedAt: undefined, daemon: [], engine: [] };
    lives.push(life);
    const child = spawnLogged([executable, "run"], env, logPath);
    daemon = child;
    void child.exited.then((code) => {
      life.endedAt = Date.now();
      if (daemon !== child) return;
      // Nobody has ended it: its supervisor starts it again, as systemd would.
      crashes.push(`exit ${code}: ${lastLines(logPath, 2)}`);
      setTimeout(() => {
        if (daemon === child) start();
      }, 2000);
    });
  };
  const ended = (): LoggedProcess | undefined => {
    const child = daemon;
    daemon = undefined;
    return child;
  };
  return {
    name,
    address,
    logPath,
    lives,
    start,
    ready: async () => {
      const life = lives.at(-1)!;
      await until(`${name} is ready`, () => isReady(port), 120_000);
      life.readyAt = Date.now();
    },
    kill: async () => {
      const child = ended();
      if (child) await killHard(child);
    },
    stop: async () => {
      const child = ended();
      child?.kill("SIGTERM");
      return (await child?.exited) ?? 0;
    },
    sampleMemory: () => {
      const life = lives.at(-1);
      if (!life || !daemon) return;
      sample(life.daemon, daemon.pid);
      sample(life.engine, childOf(daemon.pid));
    },
    crashes,
    journal: () => {
      const journal = openJournal(join(directory, "journal.db"), systemClock);
      try {
        return journal.recent(1_000_000);
      } finally {
        journal.close();
      }
    },
    complaints: () => complaintsIn(logPath),
  };
}

/** Whether the daemon takes jobs: its last loop to start is the one that asks for them. */
async function isReady(port: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/status`);
    const status = (await response.json()) as { loops: { name: string }[] };
    return status.loops.some(({ name }) => name === "poll");
  } catch {
    return false;
  }
}

function complaintsIn(logPath: string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const line of readFileSync(logPath, "utf8").split("\n")) {
    if (!/"level":"(warn|error)"/.test(line)) continue;
    try {
      const { level, message, code, loop } = JSON.parse(line) as Record<string, string>;
      const key = [level, loop, message, code].filter(Boolean).join(" ");
      counts[key] = (counts[key] ?? 0) + 1;
    } catch {
      // A process that is killed while it writes leaves half a line.
    }
  }
  return counts;
}
