import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../config/load.ts";
import { expandPath } from "../config/load.ts";
import { type ModelConfig, modelSchema } from "../config/schema.ts";
import { customBackendEntries } from "./custom-backends.ts";

/**
 * The local models of a configuration: those of `models`, and every id of `supported_model_ids` whose file lies in the
 * model directory as `<id>.gguf`, a slash in the id being `__` in the file's name.
 */
export function localModels(config: Config): Record<string, ModelConfig> {
  const models: Record<string, ModelConfig> = {};
  for (const id of config.supported_model_ids) {
    const path = join(config.model_cache_dir, `${id.replaceAll("/", "__")}.gguf`);
    if (existsSync(path)) models[id] = modelSchema.parse({ path });
  }
  for (const [id, model] of Object.entries(config.models))
    models[id] = { ...model, path: expandPath(model.path, config.dir) };
  return models;
}

/** Models that a service over HTTP answers, by the name that begins their ids: those of its key, and of `supported_model_ids`. */
export function cloudModels(config: Config, name: "groq" | "gemini"): string[] {
  const prefix = `${name}:`;
  const supported = config.supported_model_ids.filter((id) => id.startsWith(prefix) && id.length > prefix.length);
  return [...new Set([...config[name].models, ...supported])];
}

/** Every model of a service over HTTP. Without a server's URL there are none of its models. */
export function serviceModels(config: Config): string[] {
  const { base_url: url, models } = config.vllm;
  return [...(url === "" ? [] : Object.keys(models)), ...cloudModels(config, "groq"), ...cloudModels(config, "gemini")];
}

/** What this node offers to the network: every model that it has a backend for, narrowed by `supported_model_ids`. */
export function offeredModels(config: Config): string[] {
  const custom = customBackendEntries(config).flatMap(({ description }) => description.models);
  const served = [...Object.keys(localModels(config)), ...config.mock_model_ids, ...custom, ...serviceModels(config)];
  const wanted = config.supported_model_ids;
  return [...new Set(served)].filter((id) => wanted.length === 0 || wanted.includes(id)).sort();
}

/** The configuration with every model offered: those that `supported_model_ids` brings in stay, those that it leaves out come back. */
export function withoutNarrowing(config: Config): Config {
  const { groq, gemini } = config;
  return {
    ...config,
    supported_model_ids: [],
    groq: { ...groq, models: cloudModels(config, "groq") },
    gemini: { ...gemini, models: cloudModels(config, "gemini") },
  };
}

/** Models that the configuration names but that nothing here can run. They are not offered. */
export function unservedModels(config: Config): string[] {
  const offered = offeredModels(config);
  return config.supported_model_ids.filter((id) => !offered.includes(id));
}
