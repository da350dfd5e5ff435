import { type Config, configPath, expandPath, readConfigFile } from "../../config/load.ts";
import { updateConfigFile } from "../../config/save.ts";
import type { ConfigFile } from "../../config/schema.ts";
import { BlfError, exitCodes } from "../../lib/errors.ts";
import { printable } from "../../lib/printable.ts";
import { customBackendEntries } from "../../node/custom-backends.ts";

/** What config.json itself says, without defaults and environment: changes are made to this. */
export function fileOf(config: Config): ConfigFile {
  return readConfigFile(configPath(config.dir)) ?? {};
}

/** @throws BlfError `USAGE_INVALID_MODEL` */
export function assertModelId(id: string): void {
  const isPath = id.split("/").some((part) => part === "" || part === "." || part === "..");
  if (/^[A-Za-z0-9][\w.:/+@-]{0,199}$/.test(id) && !isPath) return;
  throw new BlfError({
    code: "USAGE_INVALID_MODEL",
    message: `"${printable(id.slice(0, 200))}" cannot be the id of a model`,
    hint: "Use letters, digits and . _ - : / + @, for example qwen2.5-7b. `models pull` takes it with --id.",
    exitCode: exitCodes.usage,
  });
}

/**
 * Makes sure that nothing else is called `id`: nodes of one network must agree on what an id means.
 * @param path of the model that may have the id already
 * @throws BlfError `MODEL_ID_TAKEN`
 */
export function assertIdFree(config: Config, id: string, path: string): void {
  const model = Object.hasOwn(config.models, id) ? config.models[id] : undefined;
  const owner = customBackendEntries(config).find(
    (entry) => entry.path !== path && entry.description.models.includes(id),
  );
  const taken = (by: string, hint: string) =>
    new BlfError({ code: "MODEL_ID_TAKEN", message: `The model id ${id} belongs to ${by}`, hint });
  if (model && expandPath(model.path, config.dir) !== path)
    throw taken(
      `the file ${model.path}`,
      `Remove that with \`blindference models remove ${id}\`, or choose another id.`,
    );
  if (config.mock_model_ids.includes(id))
    throw taken("the mock", "Take it out of mock_model_ids with `blindference config set`, or choose another id.");
  if (owner)
    throw taken(
      `the backend ${owner.description.name}`,
      `Remove that with \`blindference models remove ${owner.description.name}\`, or choose another id.`,
    );
}

/** Writes a local model to config.json, and to the list of offered ids if there is one. */
export function registerModel(config: Config, id: string, entry: { path: string; sha256: string }): void {
  const file = fileOf(config);
  const old = file.models?.[id] ?? config.models[id];
  updateConfigFile(config.dir, {
    models: { ...file.models, [id]: { ...old, ...entry } },
    ...offering(file, [id]),
  });
}

/** `supported_model_ids` with these ids too; an empty list offers everything already. */
export function offering(file: ConfigFile, ids: string[]): Pick<ConfigFile, "supported_model_ids"> {
  const listed = file.supported_model_ids ?? [];
  return listed.length === 0 ? {} : { supported_model_ids: [...new Set([...listed, ...ids])] };
}

/** Says when the environment hides what was written to the file. */
export function overrideNotices(...keys: ("models" | "custom_backends" | "supported_model_ids")[]): string[] {
  return keys
    .map((key) => `BLF_${key.toUpperCase()}`)
    .filter((variable) => process.env[variable])
    .map((variable) => `${variable} of the environment overrides what was written to config.json`);
}
