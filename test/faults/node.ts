import { Database } from "bun:sqlite";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Address, getAddress } from "viem";
import { Secret } from "../../src/lib/secret.ts";
import { encryptKeystore } from "../../src/wallet/keystore.ts";
import { createPrivateKey } from "../../src/wallet/private-key.ts";
import { walletFromPrivateKey } from "../../src/wallet/wallet.ts";

const password = "correct horse battery staple";

/** One run of the daemon, from its start to its end. */
export type Life = {
  /** Resolves with whether it was killed; otherwise it ended by itself. */
  ended: Promise<boolean>;
  kill(signal?: "SIGKILL" | "SIGTERM"): void;
};

export type Victim = {
  name: string;
  address: Address;
  directory: string;
  /** Runs another command on its data directory. */
  command(args: string[]): Promise<void>;
  /** Starts the daemon, with the value of `BLF_FAULT`. */
  live(fault: string | undefined): Life;
  /** Ends what still runs. */
  stop(): Promise<void>;
  /** Reads the journal as it lies on the disk, whether or not the daemon runs. */
  read<T>(sql: string): T[];
  /** How many errors it told of, since it was last asked, that nothing in it waited for. */
  strayErrors(): number;
  /** What it wrote about a task, over all its lives, and when they began. */
  logOf(taskId: string): string[];
};

export type VictimOptions = {
  executable: string;
  directory: string;
  name: string;
  variables: Record<string, string>;
};

const keptLines = 20_000;

/** A node whose keystore opens at once: it is started thousands of times. */
export async function createVictim(options: VictimOptions): Promise<Victim> {
  const { executable, name } = options;
  const directory = join(options.directory, name);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const privateKey = createPrivateKey();
  const address = getAddress(walletFromPrivateKey(privateKey).address);
  const keystore = await encryptKeystore(privateKey, new Secret(password), { scryptN: 2 });
  writeFileSync(join(directory, "keystore.json"), keystore, { mode: 0o600 });
  writeFileSync(join(directory, "config.json"), JSON.stringify({ node_address: address }), { mode: 0o600 });
  const env = {
    HOME: directory,
    PATH: "/nonexistent",
    ...options.variables,
    BLF_CONFIG_DIR: directory,
    BLF_KEY_PASSWORD: password,
    // What an earlier life left is finished before the next job begins, so that each kill has one job to lose.
    BLF_MAX_CONCURRENT_JOBS: "1",
    BLF_STATUS_PORT: "0",
    BLF_LOG_FORMAT: "json",
    BLF_LOG_LEVEL: "debug",
  };
  const lives = new Set<Life>();
  const lines: string[] = [];
  let strayErrors = 0;
  const keep = (line: string) => {
    if (line.includes("nothing waited for")) strayErrors++;
    lines.push(line);
    if (lines.length > keptLines) lines.shift();
  };
  return {
    name,
    address,
    directory,
    command: async (args) => {
      const child = Bun.spawn([executable, ...args], { env, stdout: "pipe", stderr: "pipe" });
      const [stdout, stderr, code] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
        child.exited,
      ]);
      if (code !== 0) throw new Error(`${name}: ${args.join(" ")} exited ${code}: ${stdout}${stderr}`);
    },
    live: (fault) => {
      keep(`--- ${new Date().toISOString()} starts${fault ? ` with ${fault}` : ""}`);
      const child = Bun.spawn([executable, "run"], {
        env: { ...env, ...(fault ? { BLF_FAULT: fault } : {}) },
        stdout: "ignore",
        stderr: "pipe",
      });
      const reading = readLines(child.stderr, keep);
      const ended = Promise.all([child.exited, reading]).then(() => child.signalCode === "SIGKILL");
      const life: Life = { ended, kill: (signal = "SIGKILL") => child.kill(signal) };
      lives.add(life);
      void ended.then(() => lives.delete(life));
      return life;
    },
    stop: async () => {
      for (const life of lives) life.kill();
      await Promise.all([...lives].map(({ ended }) => ended));
    },
    read: <T>(sql: string) => {
      const db = new Database(join(directory, "journal.db"), { readonly: true });
      try {
        return db.query(sql).all() as T[];
      } finally {
        db.close();
      }
    },
    strayErrors: () => {
      const seen = strayErrors;
      strayErrors = 0;
      return seen;
    },
    logOf: (taskId) => {
      const first = lines.findIndex((line) => line.includes(taskId));
      const last = lines.findLastIndex((line) => line.includes(taskId));
      return lines.slice(first, last + 1).filter((line) => line.includes(taskId) || !line.includes('"jobId"'));
    },
  };
}

async function readLines(stream: ReadableStream<Uint8Array>, onLine: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream as unknown as AsyncIterable<Uint8Array>) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop()!;
    for (const line of parts) onLine(line);
  }
  if (rest !== "") onLine(rest);
}
