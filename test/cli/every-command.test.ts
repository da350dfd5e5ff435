import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { buildTinyModel } from "../../native/tiny-model.ts";
import { commands } from "../../src/cli/commands.ts";
import { loadWholeProgram } from "../../src/cli/tree.ts";
import { type Devnet, startDevnet } from "../../src/devnet/devnet.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { createLogger } from "../../src/lib/log.ts";
import { createPrivateKey } from "../../src/wallet/private-key.ts";
import { walletFromPrivateKey } from "../../src/wallet/wallet.ts";
import { freePort } from "../helpers/free-port.ts";
import { startDaemonProcess } from "./daemon.ts";
import { hasEngines, installedEngine } from "./installed-engine.ts";
import { keystoreDirectory } from "./keystore-directory.ts";
import { password } from "./node-directory.ts";
import { type CliResult, runCli } from "./run-cli.ts";

setDefaultTimeout(300_000);

const log = createLogger({ level: "error", format: "text", clock: systemClock, write: (line) => console.error(line) });

/** Commands that print no JSON document, each with the reason. */
const exceptions: Record<string, string> = {
  ...(hasEngines
    ? {}
    : { "models engine install": "has no engine for this platform", "models engine remove": "has none to remove" }),
};

/** Commands with a test of their own below. */
const longRunning = ["devnet", "demo", "drain", "run"];

type Run = { args?: string[]; env?: Record<string, string>; stdin?: string };

let devnet: Devnet;
let directory: string;
/** A node that is initialised and does not run. */
let own: Awaited<ReturnType<typeof makeNode>>;
/** Two nodes that run, so that a job finds a quorum. */
let running: Awaited<ReturnType<typeof makeNode>>[];
let daemons: Awaited<ReturnType<typeof startDaemonProcess>>[] = [];
let taskId = "";
/** Serves the model to `models pull`. */
let files: Bun.Server<undefined>;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "blf-every-"));
  writeFileSync(join(directory, "tiny.gguf"), buildTinyModel({ seed: 6 }));
  files = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => new Response(Bun.file(join(directory, "tiny.gguf"))),
  });
  devnet = await startDevnet({ portBase: 0, clock: systemClock, log });
  own = await makeNode();
  running = await Promise.all([makeNode(), makeNode()]);
  for (const { env } of running)
    for (const args of [
      ["attest", "--register"],
      ["staking", "stake", "1000"],
    ])
      expect((await runCli([...args, "--json"], { env })).code).toBe(0);
  daemons = await Promise.all(running.map(({ env }) => startDaemonProcess(env, ["--json"])));
});

afterAll(async () => {
  await Promise.all(daemons.map((daemon) => daemon.stop()));
  for (const node of [own, ...(running ?? [])]) node?.[Symbol.dispose]();
  await devnet?.stop();
  await files?.stop(true);
  rmSync(directory, { recursive: true, force: true });
});

async function makeNode() {
  const key = createPrivateKey();
  const node = await keystoreDirectory(key);
  const { address } = walletFromPrivateKey(key);
  await devnet.fund(address);
  const env = {
    ...devnet.variables,
    ...node.unlocked,
    BLF_MOCK_MODEL_IDS: "mock-model",
    BLF_STATUS_PORT: String(freePort()),
  };
  return { ...node, address, env };
}

/** Moves the chain's clock, as only a devnet can. */
async function travel(seconds: number): Promise<void> {
  for (const [method, params] of [
    ["evm_increaseTime", [seconds]],
    ["evm_mine", []],
  ])
    await fetch(devnet.endpoints.rpc, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    });
}

/** How each command is called, in this order: a stake must be there before it can be taken out. */
const runs: Record<string, () => Run | Promise<Run>> = {
  init: () => ({
    args: ["--model", `tiny=${join(directory, "tiny.gguf")}`],
    env: { BLF_CONFIG_DIR: join(directory, "new"), BLF_KEY_PASSWORD: password },
  }),
  attest: () => ({ args: ["--mock", "--register"] }),
  "staking stake": () => ({ args: ["1000"] }),
  "staking status": () => ({}),
  "staking unstake": () => ({ args: ["--yes"] }),
  balance: () => ({}),
  status: () => ({ env: running[0]!.env }),
  doctor: () => ({ env: running[0]!.env }),
  infer: () => ({ args: ["What is confidential?", "--model", "mock-model", "--verifiers", "1", "--deposit", "10"] }),
  "jobs list": () => ({ env: running[0]!.env }),
  "jobs show": () => ({ args: [taskId], env: running[0]!.env }),
  "jobs earnings": () => ({ env: running[0]!.env }),
  "jobs claim": () => ({}),
  "jobs prune": () => ({ args: ["--older-than", "1"], env: running[0]!.env }),
  "journal export": () => ({ args: [join(directory, "journal.json")] }),
  "journal import": () => ({ args: [join(directory, "journal.json")] }),
  "rewards status": () => ({}),
  "rewards claim": () => ({}),
  withdraw: () => ({}),
  "models add": () => ({ args: [`tiny=${join(directory, "tiny.gguf")}`] }),
  "models list": () => ({}),
  "models test": () => ({ args: ["tiny", "Hello"] }),
  "models verify": () => ({ args: ["tiny"] }),
  "models pull": () => ({ args: [`${files.url}pulled.gguf`, "--id", "pulled"] }),
  "test-determinism": () => ({ args: ["--model", "tiny", "--runs", "2"] }),
  "verify-output": async () => {
    const spoken = await runCli(["models", "test", "tiny", "Hello", "--json"], { env: own.env });
    const { text } = JSON.parse(spoken.stdout) as { text: string };
    return { args: ["--model", "tiny", "--prompt", "Hello", "--output-file", "-"], stdin: text };
  },
  "models remove": () => ({ args: ["tiny"] }),
  "models sdk": () => ({}),
  "models engine list": () => ({}),
  ...(hasEngines
    ? {
        "models engine install": () => ({ args: ["vulkan"], env: installedEngine(directory, "vulkan") }),
        "models engine remove": () => ({ args: ["vulkan"], env: installedEngine(directory, "vulkan") }),
      }
    : {}),
  "config get": () => ({ args: ["icl_endpoint"] }),
  "config set": () => ({ args: ["max_fee_gwei", "5"] }),
  "config list": () => ({}),
  "config path": () => ({}),
  "keys address": () => ({}),
  "keys export": () => ({ args: ["--yes-i-know"] }),
  "service print": () => ({}),
  "service install": () => ({ env: { ...own.env, HOME: directory } }),
  "service uninstall": () => ({ env: { ...own.env, HOME: directory } }),
  "devnet fund": () => ({ args: [own.address] }),
  "completions bash": () => ({}),
  "completions zsh": () => ({}),
  "completions fish": () => ({}),
  licenses: () => ({}),
  help: () => ({ args: ["staking", "stake"] }),
  "help env": () => ({}),
  "help exit-codes": () => ({}),
  "staking withdraw": async () => {
    await travel(96 * 3600 + 1);
    return {};
  },
  "keys change-password": () => {
    const { BLF_KEY_PASSWORD: _, ...env } = own.env;
    return {
      args: ["--password-stdin", "--new-password-stdin"],
      env,
      stdin: `${password}\nanother password\n`,
    };
  },
};

/** Every command that does something by itself, by its full path. */
function everyCommand(parent: Command, path: string[] = []): string[] {
  return parent.commands.flatMap((command) => {
    const own = [...path, command.name()];
    const acts = command.commands.length === 0 || (command as unknown as { _actionHandler: unknown })._actionHandler;
    return [...(acts ? [own.join(" ")] : []), ...everyCommand(command as Command, own)];
  });
}

type Schema = { safeParse(value: unknown): { error?: unknown } };

async function schemas(): Promise<Record<string, Schema>> {
  const modules = await Promise.all(Object.values(commands).map(({ load }) => load()));
  return Object.assign({}, ...modules.map((module) => (module as { outputs?: Record<string, Schema> }).outputs));
}

/** Checks that stdout is one document of the command's schema, and gives it. */
function documentOf(path: string, schema: Schema | undefined, { code, stdout, stderr }: CliResult): unknown {
  const shown = `\`${path}\` exited ${code}: ${stdout.slice(0, 2000)}${stderr.slice(0, 2000)}`;
  if (!schema) throw new Error(`no module exports outputs["${path}"]`);
  if (code !== 0) throw new Error(shown);
  const document: unknown = JSON.parse(stdout);
  const { error } = schema.safeParse(document);
  if (error) throw new Error(`${shown}\ndoes not fit outputs["${path}"]: ${String(error)}`);
  return document;
}

/** Runs a command that takes longer than others; with `stop` it is told to end as soon as it has printed its document. */
async function runLong(args: string[], { stop }: { stop: boolean }): Promise<CliResult> {
  const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
  const child = Bun.spawn([process.execPath, main, ...args], {
    env: { HOME: directory, PATH: "/usr/bin:/bin" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: 240_000,
  });
  const read = async (stream: ReadableStream<Uint8Array>, onText: (text: string) => void = () => {}) => {
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of stream as unknown as AsyncIterable<Uint8Array>) {
      text += decoder.decode(chunk, { stream: true });
      onText(text);
    }
    return text;
  };
  const onText = (text: string) => {
    if (stop && text.endsWith("\n}\n")) child.kill("SIGTERM");
  };
  const [stdout, stderr] = await Promise.all([read(child.stdout, onText), read(child.stderr)]);
  return { code: await child.exited, stdout, stderr };
}

test("every command is here, and every schema belongs to a command", async () => {
  const all = everyCommand(await loadWholeProgram()).sort();
  expect([...Object.keys(runs), ...Object.keys(exceptions), ...longRunning].sort()).toEqual(all);
  const known = Object.keys(await schemas());
  expect(known.filter((path) => !all.includes(path))).toEqual([]);
});

test.each(Object.keys(runs))("%s --json prints one document of its schema", async (path) => {
  const { args = [], env = own.env, stdin } = await runs[path]!();
  const result = await runCli([...path.split(" "), ...args, "--json"], {
    env,
    ...(stdin === undefined ? {} : { stdin }),
  });
  const document = documentOf(path, (await schemas())[path], result);
  if (path === "infer") taskId = (document as { taskId: string }).taskId;
});

test("devnet --json prints its document and runs until it is stopped", async () => {
  const schema = (await schemas())["devnet"];
  documentOf("devnet", schema, await runLong(["devnet", "--port-base", "0", "--json"], { stop: true }));
});

test("drain --json prints its document, and run --json one of what the node did", async () => {
  const known = await schemas();
  const drain = await runCli(["drain", "--wait", "--json"], { env: running[0]!.env });
  expect(documentOf("drain", known["drain"], drain)).toMatchObject({ ended: true });
  const { code, stdout } = await daemons[0]!.stop();
  const document = documentOf("run", known["run"], { code, stdout, stderr: "" });
  // Of the job that was bought with `infer` each of the two nodes had a part.
  expect(document).toMatchObject({ address: running[0]!.address, jobs: { submitted: 1, failed: 0 } });
});

test("demo --json prints one document of its schema", async () => {
  const schema = (await schemas())["demo"];
  const document = documentOf("demo", schema, await runLong(["demo", "--json"], { stop: false }));
  expect(document).toMatchObject({ ok: true });
});
