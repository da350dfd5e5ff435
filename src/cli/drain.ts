import { readFileSync } from "node:fs";
import type { Command } from "commander";
import * as z from "zod/mini";
import { systemClock } from "../lib/clock.ts";
import { BlfError, errorCode } from "../lib/errors.ts";
import { fileError } from "../lib/files.ts";
import { type HttpService, httpRequest, readJson } from "../lib/http.ts";
import { controlPath } from "../node/control-path.ts";
import { openSession } from "./session.ts";
import { count } from "./ui/format.ts";
import { interruptSignal } from "./ui/interrupt.ts";
import { print, printJson } from "./ui/io.ts";

type Options = { wait?: boolean; json?: boolean };

/** The documents of `--json`, by command. */
export const outputs: Record<string, z.ZodMiniType> = {
  drain: z.strictObject({
    ok: z.literal(true),
    /** Jobs that were running when the node was asked. */
    running: z.int(),
    /** Whether the node has ended; it may take a while without --wait. */
    ended: z.boolean(),
  }),
};

/** What the daemon wrote into its data directory (src/status/control.ts). */
const controlSchema = z.object({
  url: z.string().check(z.regex(/^http:\/\/127\.0\.0\.1:\d{1,5}$/)),
  token: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
});
const stateSchema = z.object({ draining: z.boolean(), running: z.int() });
type Control = z.output<typeof controlSchema>;
type State = z.output<typeof stateSchema>;

const service: HttpService = { prefix: "CONTROL", name: "The daemon", hint: "Is the node running?" };

/** Between two questions whether the node has ended, in milliseconds. */
const askEveryMs = 250;

export function register(program: Command): void {
  program
    .command("drain")
    .description("Ask the running node to take no more jobs, and to end when the running ones are done.")
    .option("--wait", "return when the node has ended")
    .option("--json", "print one JSON document")
    .action(run);
}

async function run(options: Options): Promise<void> {
  const { config } = openSession();
  const control = readControl(controlPath(config.dir));
  const state = control && (await ask(control, "POST"));
  if (!control || !state) throw notRunning(config.dir);
  if (options.wait) {
    if (!options.json && state.running > 0) print(`Waiting for ${count(state.running, "running job")}.`);
    const interrupt = interruptSignal();
    try {
      while (await ask(control, "GET")) await systemClock.sleep(askEveryMs, interrupt.signal);
    } finally {
      interrupt.clear();
    }
  }
  const ended = options.wait ?? false;
  if (options.json) return printJson({ ok: true, running: state.running, ended });
  if (ended) return print("The node has ended.");
  const jobs = state.running === 0 ? "now" : `after ${count(state.running, "running job")}`;
  print(`The node takes no more jobs and ends ${jobs}.`);
}

/** Undefined when no daemon of this data directory is there any more. */
async function ask({ url, token }: Control, method: "GET" | "POST"): Promise<State | undefined> {
  const headers = { Authorization: `Bearer ${token}` };
  try {
    const response = await httpRequest(globalThis.fetch, service, `${url}/drain`, {
      method,
      headers,
      timeoutMs: 10_000,
      maxBytes: 10_000,
    });
    if (response.status !== 200 && response.status !== 202) return undefined;
    const { data } = z.safeParse(stateSchema, readJson(service, response));
    return data;
  } catch (error) {
    // Whatever else listens at that port now is not the daemon.
    if (["CONTROL_UNREACHABLE", "CONTROL_NOT_JSON", "CONTROL_BODY_TOO_LARGE"].includes(errorCode(error)))
      return undefined;
    throw error;
  }
}

function readControl(path: string): Control | undefined {
  try {
    return z.safeParse(controlSchema, JSON.parse(readFileSync(path, "utf8"))).data;
  } catch (error) {
    if (error instanceof SyntaxError || errorCode(error) === "ENOENT") return undefined;
    throw fileError("read", path, error);
  }
}

function notRunning(dir: string): BlfError {
  return new BlfError({
    code: "NODE_NOT_RUNNING",
    message: `No node runs on ${dir}`,
    hint: "Nothing needs to be drained. If it runs under another user or directory, call this with the same BLF_CONFIG_DIR.",
  });
}
