import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import type { Address } from "viem";
import type { Devnet } from "../../src/devnet/devnet.ts";
import { Secret } from "../../src/lib/secret.ts";
import { encryptKeystore } from "../../src/wallet/keystore.ts";
import { createPrivateKey } from "../../src/wallet/private-key.ts";
import { walletFromPrivateKey } from "../../src/wallet/wallet.ts";
import { freePort } from "../helpers/free-port.ts";
import { until } from "../helpers/until.ts";
import { filesBelow, type Place, processPlaces, processTree } from "./search.ts";
import { canaryToken, canaryWord, carelessBackend } from "./secrets.ts";
import type { Canary } from "./spellings.ts";

export type CanaryNode = {
  address: Address;
  pid(): number;
  /** All that it and its commands printed. */
  output(): string;
  secrets: Canary[];
  run(extra?: Record<string, string>): Promise<void>;
  kill(signal: NodeJS.Signals): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  isRunning(): boolean;
  /** Another command on its data directory; gives its exit code. */
  command(args: string[], extra?: Record<string, string>): Promise<number>;
  /** Directory of the keystore, the configuration and the journal. */
  data: string;
  /** Looks at the processes and the status server now, and keeps what it saw. */
  look(): Promise<void>;
  /** What was seen, printed and written. */
  places(): Place[];
};

export type CanaryNodeOptions = {
  executable: string;
  directory: string;
  devnet: Devnet;
  /** Where the services and models are. */
  env: Record<string, string>;
  /** The variable that the upload service's token comes in: ours, or the original's. */
  uploadToken: "BLF_IPFS_UPLOAD_JWT" | "PINATA_JWT";
};

/** A node with secrets of every kind, each of them unique, in a home of its own. */
export async function createCanaryNode(options: CanaryNodeOptions): Promise<CanaryNode> {
  const { executable, directory, devnet } = options;
  const [data, home, temporary, cwd] = ["data", "home", "tmp", "cwd"].map((name) => join(directory, name)) as [
    string,
    string,
    string,
    string,
  ];
  for (const path of [data, home, temporary, cwd]) mkdirSync(path, { recursive: true });
  const backend = join(directory, "careless.ts");
  writeFileSync(backend, carelessBackend);
  const key = createPrivateKey();
  const privateKey = key.reveal();
  const password = canaryWord("password");
  const tokens: Record<string, string> = {
    [options.uploadToken]: canaryToken("jwt"),
    GROQ_API_KEY: canaryToken("gsk"),
    GOOGLE_API_KEY: canaryToken("AIza"),
    BLF_VLLM_API_KEY: canaryToken("vllm"),
    HF_TOKEN: canaryToken("hf"),
  };
  const port = freePort();
  const env: Record<string, string> = {
    HOME: home,
    TMPDIR: temporary,
    PATH: "/nonexistent",
    ...devnet.variables,
    ...options.env,
    ...tokens,
    BLF_CONFIG_DIR: data,
    BLF_CUSTOM_BACKENDS: backend,
    BLF_KEY_PASSWORD: password,
    BLF_PRIVATE_KEY: privateKey,
    BLF_ENGINE_THREADS: "1",
    BLF_MAX_CONCURRENT_JOBS: "16",
    BLF_STATUS_PORT: String(port),
    BLF_LOG_LEVEL: "debug",
  };
  let output = "";
  const seen: Place[] = [];
  let daemon: Subprocess | undefined;

  const spawn = (args: string[], extra: Record<string, string> = {}) => {
    const child = Bun.spawn([executable, ...args], { cwd, env: { ...env, ...extra }, stdout: "pipe", stderr: "pipe" });
    const read = async (stream: ReadableStream<Uint8Array>) => {
      const decoder = new TextDecoder();
      for await (const chunk of stream as unknown as AsyncIterable<Uint8Array>)
        output += decoder.decode(chunk, { stream: true });
    };
    return { child, read: Promise.all([read(child.stdout), read(child.stderr)]) };
  };
  const command = async (args: string[], extra?: Record<string, string>) => {
    const { child, read } = spawn(args, extra);
    await read;
    return child.exited;
  };
  const look = async () => {
    const pid = daemon!.pid;
    // The daemon's own environment is looked at like its children's.
    for (const one of processTree(pid)) seen.push(...processPlaces(one));
    for (const route of ["/status", "/metrics", "/readyz?verbose", "/livez", "/", "/nothing"]) {
      const text = await fetch(`http://127.0.0.1:${port}${route}`).then((response) => response.text());
      seen.push({ where: route, content: Buffer.from(text) });
    }
  };

  // Opens at once, without scrypt's second.
  const keystore = await encryptKeystore(key, new Secret(password), { scryptN: 2 });
  const { address } = walletFromPrivateKey(key);
  writeFileSync(join(data, "keystore.json"), keystore, { mode: 0o600 });
  writeFileSync(join(data, "config.json"), JSON.stringify({ node_address: address }), { mode: 0o600 });
  await devnet.fund(address);
  for (const args of [
    ["attest", "--mock", "--register"],
    ["staking", "stake", "1000"],
  ])
    if ((await command([...args, "--json"])) !== 0) throw new Error(`${args[0]} failed: ${output}`);

  return {
    address,
    data,
    command,
    look,
    pid: () => daemon!.pid,
    output: () => output,
    secrets: [
      { name: "the password", value: password },
      { name: "the private key", value: privateKey.slice(2) },
      { name: "the private key's bytes", value: Buffer.from(privateKey.slice(2), "hex") },
      ...Object.entries(tokens).map(([name, value]) => ({ name, value })),
    ],
    run: async (extra) => {
      const { child } = spawn(["run"], extra);
      daemon = child;
      const ready = output.split('"node ready"').length;
      await until("the node is ready", () => {
        if (child.exitCode !== null) throw new Error(`run exited ${child.exitCode}: ${output.slice(-2000)}`);
        return output.split('"node ready"').length > ready;
      });
    },
    signal: (signal) => daemon!.kill(signal),
    kill: async (signal) => {
      daemon!.kill(signal);
      await daemon!.exited;
    },
    isRunning: () => daemon !== undefined && daemon.exitCode === null && daemon.signalCode === null,
    places: () => [...seen, { where: `output of ${address}`, content: Buffer.from(output) }, ...filesBelow(directory)],
  };
}
