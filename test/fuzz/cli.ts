import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc, { type Arbitrary } from "fast-check";
import { hostileText } from "./mutate.ts";

/** Command lines that need no password and end by themselves, each with places for what a person may type there. */
const commands: string[][] = [
  ["config", "get", "?"],
  ["config", "set", "?", "?"],
  ["config", "list"],
  ["jobs", "list", "--offline", "--limit", "?"],
  ["jobs", "show", "?", "--offline"],
  ["jobs", "earnings", "--offline"],
  ["jobs", "prune", "--older-than", "?"],
  ["journal", "export", "?"],
  ["journal", "import", "?"],
  ["keys", "address"],
  ["staking", "stake", "?"],
  ["models", "add", "?"],
  ["models", "remove", "?", "--yes"],
  ["models", "list"],
  ["models", "verify", "?"],
  ["models", "verify", "?", "--write-manifest", "?"],
  ["models", "pull", "?"],
  ["models", "pull", "http://services/?.gguf"],
  ["models", "pull", "owner/repo:?.gguf", "--id", "?"],
  ["models", "pull", "owner/repo", "--sha256", "?", "--connections", "?"],
  ["models", "test", "?", "?"],
  ["test-determinism", "--model", "?", "--against", "?"],
  ["test-determinism", "--threads", "?", "--tokens", "?"],
  ["verify-output", "--model", "?", "--prompt", "?", "--output-file", "?"],
  ["jobs", "list", "--limit", "?"],
  ["jobs", "show", "?"],
  ["jobs", "claim", "--cycle", "?", "--from-block", "?"],
  ["rewards", "status", "--from-block", "?"],
  ["staking", "status"],
  ["status"],
  ["balance"],
  ["drain", "?"],
  ["config", "unset", "?"],
  ["completions", "?"],
  ["help", "?", "?"],
  ["?"],
  ["?", "?"],
];

const option = fc.constantFrom("--json", "--help", "--limit", "--yes", "--no-such-option", "-x", "--");
const keys = fc.constantFrom(
  "models",
  "engine",
  "engine.threads",
  "max_fee_gwei",
  "network",
  "rpc_url",
  "node_address",
  "status",
);
// A command line cannot hold a zero byte or half a character.
const typed = fc.oneof(hostileText, keys).map((text) => text.replaceAll("\0", "").toWellFormed().slice(0, 5000));

export const commandLine: Arbitrary<string[]> = fc
  .tuple(
    fc.constantFrom(...commands),
    fc.array(typed, { minLength: 2, maxLength: 2 }),
    fc.array(option, { maxLength: 2 }),
  )
  .map(([words, values, options]) => {
    let next = 0;
    return [...words.map((word) => word.replace("?", () => values[next++ % 2]!)), ...options];
  })
  // These run until they are stopped, or ask for a password.
  .filter((words) => !["run", "devnet", "demo", "init", "doctor", "infer"].includes(words[0]!));

/** A process that runs one command line after the other on an initialised node. */
export function startCli(directory: string): { run(words: string[]): Promise<void>; stop(): void } {
  const home = join(directory, "cli");
  mkdirSync(join(home, "node"), { recursive: true });
  // Every service is there and knows nothing.
  const services = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("{}", { status: 404 }) });
  const url = services.url.origin;
  const address = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
  writeFileSync(join(home, "node", "config.json"), JSON.stringify({ node_address: address, network: "devnet" }));
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "cli-child.ts")], {
    cwd: home,
    env: {
      HOME: home,
      PATH: "/nonexistent",
      BLF_CONFIG_DIR: join(home, "node"),
      BLF_LOG_LEVEL: "debug",
      BLF_RPC_URL: url,
      BLF_ICL_ENDPOINT: url,
      BLF_PAYMENT_SERVICE_URL: url,
      BLF_MODEL_HUB_URL: url,
    },
    stdin: "pipe",
    stdout: "ignore",
    stderr: "pipe",
  });
  const reader = child.stderr.getReader();
  const decoder = new TextDecoder();
  return {
    run: async (words) => {
      child.stdin.write(`${JSON.stringify(words.map((word) => word.replace("http://services", url)))}\n`);
      await child.stdin.flush();
      let text = "";
      while (!/\n#done \d+\n/.test(text)) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`the program ended in the middle: ${text.slice(-2000)}`);
        text += decoder.decode(value, { stream: true });
      }
      // With debug logging the stack of an untyped error is printed in every mode.
      if (/Something unexpected happened|^\s+at .+:\d+/m.test(text))
        throw new Error(`an error without words: ${text.slice(0, 2000)}`);
    },
    stop: () => {
      child.kill("SIGKILL");
      void services.stop(true);
    },
  };
}
