import { join } from "node:path";
import type { Subprocess } from "bun";
import { BlfError } from "../../lib/errors.ts";
import { childEnvironment, selfCommand } from "../../lib/self.ts";

/** A node of the demo: a directory of its own, and this same executable run on it. */
export type NodeProcess = {
  address: string;
  /** Runs one command to its end and gives its JSON document. @throws BlfError `DEMO_NODE_FAILED` */
  command(args: string[]): Promise<Record<string, unknown>>;
  /** Starts the daemon; resolves when it says that it is ready. */
  run(): Promise<void>;
  /** The determinism class of the last answer that this node generated. */
  determinismClass(): string | undefined;
  stop(): Promise<void>;
};

export type NodeProcessOptions = {
  directory: string;
  name: string;
  /** Handed over on standard input, never in arguments or environment. */
  password: string;
  /** The `BLF_*` variables that point the node at the devnet. */
  variables: Record<string, string>;
  signal: AbortSignal;
};

const stopGraceMs = 5000;

export function createNodeProcess(options: NodeProcessOptions): NodeProcess {
  const { name, signal } = options;
  const env = childEnvironment({ ...options.variables, BLF_CONFIG_DIR: join(options.directory, name) });
  let daemon: Subprocess<"pipe", "ignore", "pipe"> | undefined;
  let lastClass: string | undefined;
  let address = "";

  const feedPassword = (process: Subprocess<"pipe", "pipe" | "ignore", "pipe">) => {
    process.stdin.write(`${options.password}\n`);
    process.stdin.end();
  };

  const command = async (args: string[]): Promise<Record<string, unknown>> => {
    signal.throwIfAborted();
    const child = Bun.spawn(selfCommand([...args, "--json", "--password-stdin"]), {
      env,
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
    const onAbort = () => child.kill("SIGTERM");
    signal.addEventListener("abort", onAbort, { once: true });
    feedPassword(child);
    const [output, code] = await Promise.all([new Response(child.stdout).text(), child.exited]);
    signal.removeEventListener("abort", onAbort);
    signal.throwIfAborted();
    const document = parseDocument(output);
    if (code !== 0 || !document) throw nodeFailed(name, args[0]!, code, document);
    if (typeof document["address"] === "string") address = document["address"];
    return document;
  };

  const run = (): Promise<void> => {
    const child = Bun.spawn(selfCommand(["run", "--log-format", "json", "--password-stdin"]), {
      env,
      stdin: "pipe",
      stdout: "ignore",
      stderr: "pipe",
    });
    daemon = child;
    feedPassword(child);
    return new Promise((resolve, reject) => {
      const lines: string[] = [];
      void readLines(child.stderr, (line) => {
        lines.push(line);
        if (lines.length > 20) lines.shift();
        const entry = parseDocument(line);
        if (entry?.["message"] === "node ready") resolve();
        if (typeof entry?.["determinismClass"] === "string") lastClass = entry["determinismClass"];
      });
      void child.exited.then((code) => reject(nodeFailed(name, "run", code, parseDocument(lines.at(-1) ?? ""))));
    });
  };

  const stop = async (): Promise<void> => {
    if (!daemon) return;
    const timer = setTimeout(() => daemon?.kill("SIGKILL"), stopGraceMs);
    daemon.kill("SIGTERM");
    await daemon.exited;
    clearTimeout(timer);
  };

  return {
    get address() {
      return address;
    },
    command,
    run,
    determinismClass: () => lastClass,
    stop,
  };
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

function parseDocument(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function nodeFailed(
  name: string,
  command: string,
  code: number | null,
  document: Record<string, unknown> | undefined,
): BlfError {
  const error = document?.["error"] as { code?: string; message?: string } | string | undefined;
  const reason = typeof error === "string" ? error : (error?.message ?? "it gave no reason");
  return new BlfError({
    code: "DEMO_NODE_FAILED",
    message: `${name} failed at \`${command}\` (exit ${code}): ${reason}`,
    hint: "Run the demo again with BLF_LOG_LEVEL=debug; if it fails the same way, report it.",
  });
}
