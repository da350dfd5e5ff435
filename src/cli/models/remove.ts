import { existsSync, realpathSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { type Config, expandPath } from "../../config/load.ts";
import { updateConfigFile } from "../../config/save.ts";
import type { ConfigFile } from "../../config/schema.ts";
import { readCatalogue, writeCatalogue } from "../../inference/custom/catalogue.ts";
import { BlfError, exitCodes } from "../../lib/errors.ts";
import { fileError } from "../../lib/files.ts";
import { closest } from "../../lib/suggest.ts";
import { customBackendEntries } from "../../node/custom-backends.ts";
import { localModels } from "../../node/models.ts";
import { openSession } from "../session.ts";
import { confirm } from "../ui/confirm.ts";
import { printJson, printTable } from "../ui/io.ts";
import { fileOf, overrideNotices } from "./register.ts";

export type RemoveOptions = { deleteFile?: boolean; yes?: boolean; json?: boolean };

type Removal = {
  kind: "gguf" | "backend";
  removed: string;
  models: string[];
  changes: ConfigFile;
  /** Path of the GGUF. */
  file: string | undefined;
};

/** `models remove`: takes a model or a backend out of config.json. Its file stays unless `--delete-file` says otherwise. */
export async function runRemove(what: string, options: RemoveOptions): Promise<void> {
  const { config } = openSession();
  const removal = findModel(config, what) ?? findBackend(config, what);
  if (!removal) throw unknown(config, what);
  const deleted = options.deleteFile ? ownFile(config, removal) : undefined;
  const question = deleted ? `Remove ${removal.removed} and delete ${deleted}?` : `Remove ${removal.removed}?`;
  await confirm(question, options);
  updateConfigFile(config.dir, removal.changes);
  if (removal.kind === "backend") {
    const { [removal.removed]: _removed, ...rest } = readCatalogue(config.dir);
    writeCatalogue(config.dir, rest);
  }
  if (deleted) deleteModelFile(deleted);
  const notices = [
    ...overrideNotices("models", "custom_backends", "supported_model_ids"),
    ...wideningNotice(config, removal),
  ];
  const { kind, removed, models } = removal;
  if (options.json) return printJson({ ok: true, kind, removed, models, deletedFile: deleted ?? null, notices });
  printTable([
    ["removed", removed],
    ...(kind === "backend" ? [["models", models.join(", ")] as [string, string]] : []),
    ...(removal.file ? [["file", deleted ? `${deleted}, deleted` : `${removal.file}, kept`] as [string, string]] : []),
    ...notices.map((notice): [string, string] => ["note", notice]),
  ]);
}

function findModel(config: Config, id: string): Removal | undefined {
  const local = localModels(config);
  if (!Object.hasOwn(local, id)) return undefined;
  const file = fileOf(config);
  const { [id]: _model, ...models } = file.models ?? {};
  return {
    kind: "gguf",
    removed: id,
    models: [id],
    changes: { ...(file.models ? { models } : {}), ...withoutIds(file, [id]) },
    file: local[id]!.path,
  };
}

/** A backend by its path, its name, or one of its models. */
function findBackend(config: Config, what: string): Removal | undefined {
  const entry = customBackendEntries(config).find(
    ({ path, description }) =>
      [path, description.name].includes(what) || expandPath(what) === path || description.models.includes(what),
  );
  if (!entry) return undefined;
  const file = fileOf(config);
  const { models } = entry.description;
  const rest = (file.custom_backends ?? []).filter((path) => expandPath(path, config.dir) !== entry.path);
  const changes = { custom_backends: rest, ...withoutIds(file, models) };
  return { kind: "backend", removed: entry.path, models, changes, file: undefined };
}

function withoutIds(file: ConfigFile, ids: string[]): Pick<ConfigFile, "supported_model_ids"> {
  const listed = file.supported_model_ids;
  return listed ? { supported_model_ids: listed.filter((id) => !ids.includes(id)) } : {};
}

/** Taking the last id out of the list would offer whatever it kept back. */
function wideningNotice(config: Config, { changes }: Removal): string[] {
  const isEmptied = config.supported_model_ids.length > 0 && changes.supported_model_ids?.length === 0;
  return isEmptied ? ["supported_model_ids is empty now, so every model that is configured is offered"] : [];
}

/** @throws BlfError `MODEL_FILE_NOT_OURS` unless the file lies in the model directory */
function ownFile(config: Config, { file }: Removal): string {
  const directory = existsSync(config.model_cache_dir) ? realpathSync(config.model_cache_dir) : undefined;
  const real = file !== undefined && existsSync(file) ? realpathSync(file) : undefined;
  if (real !== undefined && directory !== undefined && dirname(real) === directory) return real;
  throw new BlfError({
    code: "MODEL_FILE_NOT_OURS",
    message:
      file === undefined ? "A backend's module is never deleted" : `${file} does not lie in ${config.model_cache_dir}`,
    hint: "--delete-file is for files that `models pull` brought. Nothing was changed.",
    exitCode: exitCodes.usage,
  });
}

function deleteModelFile(path: string): void {
  try {
    rmSync(path);
  } catch (error) {
    throw fileError("delete", path, error);
  }
}

function unknown(config: Config, what: string): BlfError {
  const known = [
    ...Object.keys(localModels(config)),
    ...customBackendEntries(config).flatMap(({ path, description }) => [path, description.name]),
  ];
  const suggestion = closest(what, known);
  return new BlfError({
    code: "MODEL_UNKNOWN",
    message: `There is no local model and no backend ${what}`,
    hint: suggestion ? `Did you mean ${suggestion}?` : "Run `blindference models list` to see what there is.",
    exitCode: exitCodes.usage,
  });
}
