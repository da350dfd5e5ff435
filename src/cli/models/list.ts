import { existsSync, statSync } from "node:fs";
import type { Config } from "../../config/load.ts";
import type { ModelConfig } from "../../config/schema.ts";
import type { Secrets } from "../../config/secrets.ts";
import type { BackendHealth } from "../../inference/backend.ts";
import { customDeterminismClass } from "../../inference/custom/module.ts";
import { llamaBackendNames } from "../../inference/llama/backend.ts";
import { type ReportedClass, reportedClass } from "../../inference/llama/determinism-class.ts";
import { expectedClass } from "../../inference/llama/expected-class.ts";
import { readGgufFile } from "../../inference/llama/gguf.ts";
import { systemClock } from "../../lib/clock.ts";
import { BlfError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { type CustomBackendEntry, customBackendEntries } from "../../node/custom-backends.ts";
import { createInference } from "../../node/inference.ts";
import { localModels, offeredModels, unservedModels, withoutNarrowing } from "../../node/models.ts";
import { openSession } from "../session.ts";
import { askDaemon } from "../status/daemon.ts";
import { print, printColumns, printJson } from "../ui/io.ts";
import { formatBytes } from "../ui/progress.ts";

export type ListedModel = {
  id: string;
  backend: string | null;
  status: "available" | "degraded" | "unavailable";
  detail: string;
  offered: boolean;
  path: string | null;
  bytes: number | null;
} & ReportedClass;

/** `models list`: every model of every backend. Nothing is loaded; what a running daemon knows better is asked of it. */
export async function runList(options: { json?: boolean }): Promise<void> {
  const { config, log, secrets } = openSession();
  const models = await listModels(config, log, secrets);
  if (options.json) return printJson({ ok: true, models });
  if (models.length === 0)
    return print("No model is configured: `blindference models pull` or `models add` brings one.");
  printColumns(
    ["MODEL", "BACKEND", "SIZE", "OFFERED", "STATE", "DETERMINISM CLASS"],
    models.map((model) => [
      model.id,
      model.backend ?? "-",
      model.bytes === null ? "-" : formatBytes(model.bytes),
      model.offered ? "yes" : "no",
      model.detail === "" ? model.status : `${model.status}: ${model.detail}`,
      model.determinismClass ?? "unknown until loaded",
    ]),
  );
}

/** What is found without asking the daemon. */
type FoundModel = Omit<ListedModel, "offered" | "determinismClassHash">;

export async function listModels(config: Config, log: Logger, secrets: Secrets = {}): Promise<ListedModel[]> {
  const offered = new Set(offeredModels(config));
  const models: FoundModel[] = [];
  for (const [id, model] of Object.entries(localModels(config))) models.push(await localModel(id, model, log));
  for (const entry of customBackendEntries(config)) models.push(...customModels(entry));
  const known = new Set(models.map(({ id }) => id));
  const inference = createInference(withoutNarrowing(config), log, systemClock, { secrets });
  for (const { id, backend, health, determinismClass } of inference.describe()) {
    if (known.has(id)) continue;
    models.push({ ...nothing, id, backend, ...stateOf(health), determinismClass });
  }
  await inference.close();
  for (const id of unservedModels(config))
    models.push({ ...nothing, id, backend: null, status: "unavailable", detail: "no backend here serves it" });
  const live = new Map((await askDaemon(config))?.models.map((model) => [model.id, model]));
  return models
    .map((model): ListedModel => {
      const running = live.get(model.id);
      const determinismClass = running?.determinismClass ?? model.determinismClass;
      const isSick = running !== undefined && running.health.status !== "healthy" && model.status === "available";
      const sick = isSick ? { status: "degraded" as const, detail: running.health.detail } : {};
      // What has no file here is a service's, and only the node that uses it knows its state.
      const state = running && model.path === null ? stateOf(running.health) : sick;
      return { ...model, ...state, ...reportedClass(determinismClass), offered: offered.has(model.id) };
    })
    .sort((a, b) => a.id.localeCompare(b.id));
}

function stateOf({ status, detail }: Record<keyof BackendHealth, string>): Pick<ListedModel, "status" | "detail"> {
  if (status === "healthy") return { status: "available", detail };
  return { status: status === "degraded" ? "degraded" : "unavailable", detail };
}

const nothing = { path: null, bytes: null, determinismClass: null };

async function localModel(id: string, model: ModelConfig, log: Logger): Promise<FoundModel> {
  const { path } = model;
  const backend = llamaBackendNames[model.gpu_layers === 0 ? "cpu" : "gpu"];
  const base = { id, backend, path, bytes: statSync(path, { throwIfNoEntry: false })?.size ?? null };
  try {
    readGgufFile(path);
    const determinismClass = await expectedClass({
      path,
      contextSize: model.context_size,
      maxTokens: model.max_tokens,
      gpuLayers: model.gpu_layers,
      template: model.template,
      system: model.system,
      stop: model.stop,
      log,
    });
    return { ...base, status: "available", detail: "", determinismClass: determinismClass ?? null };
  } catch (error) {
    if (!(error instanceof BlfError)) throw error;
    return { ...base, status: "unavailable", detail: error.message, determinismClass: null };
  }
}

function customModels({ path, description }: CustomBackendEntry): FoundModel[] {
  const { name, models } = description;
  const isThere = existsSync(path);
  const status = isThere ? "available" : "unavailable";
  const detail = isThere ? "" : `there is no module ${path}`;
  const determinismClass = isThere && models.length > 0 ? customDeterminismClass(name, path) : null;
  return models.map((id) => ({ id, backend: name, status, detail, path, bytes: null, determinismClass }));
}
