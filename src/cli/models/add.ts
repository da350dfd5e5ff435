import { existsSync, realpathSync, statSync } from "node:fs";
import { expandPath } from "../../config/load.ts";
import { updateConfigFile } from "../../config/save.ts";
import { readCatalogue, writeCatalogue } from "../../inference/custom/catalogue.ts";
import { notFound } from "../../inference/custom/module.ts";
import { createCustomBackend, timedOut, within } from "../../inference/custom.ts";
import { readGgufFile } from "../../inference/llama/gguf.ts";
import { freshSha256 } from "../../inference/llama/hash.ts";
import { systemClock } from "../../lib/clock.ts";
import { BlfError, exitCodes } from "../../lib/errors.ts";
import { createLogger } from "../../lib/log.ts";
import { customBackendEntries } from "../../node/custom-backends.ts";
import { openSession, type Session } from "../session.ts";
import { interruptSignal } from "../ui/interrupt.ts";
import { printJson, printTable } from "../ui/io.ts";
import { formatBytes } from "../ui/progress.ts";
import { assertIdFree, assertModelId, fileOf, offering, overrideNotices, registerModel } from "./register.ts";

export type AddOptions = { timeout: string; json?: boolean };

/** Our own, so errors of the module that quote it tell nobody's secret. */
const trialPrompt = "Answer with one word: what colour is the sky?";

/** `models add`: `ID=PATH.gguf` is a local model, everything else a backend in TypeScript or JavaScript. */
export async function runAdd(what: string, options: AddOptions): Promise<void> {
  const session = openSession();
  const interrupt = interruptSignal();
  const separator = what.indexOf("=");
  try {
    if (separator > 0)
      await addModel(session, what.slice(0, separator), what.slice(separator + 1), options, interrupt.signal);
    else if (/\.gguf$/i.test(what)) throw idMissing(what);
    else await addBackend(session, what, options, interrupt.signal);
  } finally {
    interrupt.clear();
  }
}

async function addModel({ config }: Session, id: string, given: string, options: AddOptions, signal: AbortSignal) {
  assertModelId(id);
  const path = expandPath(given);
  readGgufFile(path);
  assertIdFree(config, id, path);
  const sha256 = await freshSha256(path, { signal });
  registerModel(config, id, { path, sha256 });
  const bytes = statSync(path).size;
  const notices = overrideNotices("models", "supported_model_ids");
  if (options.json) return printJson({ ok: true, kind: "gguf", id, path, bytes, sha256, notices });
  printTable([
    ["model", id],
    ["file", `${path}, ${formatBytes(bytes)}`],
    ["sha256", sha256],
    ["next", `blindference test-determinism --model ${id}`],
    ...notices.map((notice): [string, string] => ["note", notice]),
  ]);
}

async function addBackend(session: Session, what: string, options: AddOptions, signal: AbortSignal): Promise<void> {
  const { config } = session;
  const limitMs = parseTimeout(options.timeout);
  const path = resolveModule(what);
  const backend = createCustomBackend({
    path,
    description: { name: path, models: [] },
    clock: systemClock,
    log: config.log_level === "debug" ? session.log : quietLog,
    quoteErrors: true,
  });
  try {
    const { name, models, determinismClass } = await backend.load(signal);
    assertNameFree(session, name, path);
    for (const id of models) assertIdFree(config, id, path);
    await backend.warm(models[0]!, signal);
    const trial = await within(
      systemClock,
      limitMs,
      signal,
      timedOut(path, limitMs, "answer a trial prompt"),
      (limited) => backend.generate({ modelId: models[0]!, prompt: trialPrompt }, { signal: limited }),
    );
    const file = fileOf(config);
    writeCatalogue(config.dir, { ...readCatalogue(config.dir), [path]: { name, models } });
    updateConfigFile(config.dir, {
      custom_backends: [...new Set([...(file.custom_backends ?? []), path])],
      ...offering(file, models),
    });
    const notices = overrideNotices("custom_backends", "supported_model_ids");
    const trialMs = Math.ceil(trial.ms);
    if (options.json)
      return printJson({ ok: true, kind: "backend", name, path, models, determinismClass, trialMs, notices });
    printTable([
      ["backend", name],
      ["module", path],
      ["models", models.join(", ")],
      ["trial", `answered within ${trialMs} ms`],
      ["class", `${determinismClass}: a label, no promise that it says the same twice`],
      ["next", `blindference test-determinism --model ${models[0]}`],
      ...notices.map((notice): [string, string] => ["note", notice]),
    ]);
  } finally {
    await backend.close();
  }
}

/** What goes wrong ends in an error that says it better. */
const quietLog = createLogger({ level: "error", format: "text", clock: systemClock, write: () => {} });

/** A path as it is, and a package as the current directory sees it. What is stored is absolute: the daemon may start elsewhere. */
function resolveModule(what: string): string {
  const path = expandPath(what);
  if (existsSync(path) && statSync(path).isFile()) return realpathSync(path);
  const isPath = /^(\.{0,2}\/|~|[A-Za-z]:\\)/.test(what);
  if (isPath) throw notFound(what);
  try {
    const resolved = Bun.resolveSync(what, process.cwd());
    // Modules of the runtime itself have no file.
    if (existsSync(resolved)) return realpathSync(resolved);
  } catch {
    throw notFound(what);
  }
  throw notFound(what);
}

function assertNameFree({ config }: Session, name: string, path: string): void {
  const other = customBackendEntries(config).find((entry) => entry.path !== path && entry.description.name === name);
  if (!other) return;
  throw new BlfError({
    code: "BACKEND_NAME_TAKEN",
    message: `There is a backend ${name} already: ${other.path}`,
    hint: `Give the module another name, or remove that one: blindference models remove ${other.path}`,
  });
}

function parseTimeout(text: string): number {
  if (/^\d{1,4}(\.\d)?$/.test(text) && Number(text) > 0) return Number(text) * 1000;
  throw new BlfError({
    code: "USAGE_INVALID_OPTION",
    message: "--timeout must be a number of seconds",
    hint: "Run `blindference models add --help`.",
    exitCode: exitCodes.usage,
  });
}

function idMissing(path: string): BlfError {
  return new BlfError({
    code: "USAGE_INVALID_MODEL",
    message: "A model file needs the id that the network knows it by",
    hint: `Write it before the path: blindference models add ID=${path}`,
    exitCode: exitCodes.usage,
  });
}
