import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { expandPath } from "../../config/load.ts";
import { BlfError, exitCodes } from "../../lib/errors.ts";

/** An entry of `models` as `init` writes it. */
export type ChosenModels = Record<string, { path: string; gpu_layers?: number }>;

/** `qwen2.5-7b=/models/qwen.gguf` → an entry of `models`. @throws BlfError `USAGE_INVALID_MODEL`, `MODEL_FILE_MISSING` */
export function parseModels(texts: string[]): ChosenModels {
  const models: ChosenModels = {};
  for (const text of texts) {
    const separator = text.indexOf("=");
    const id = text.slice(0, separator);
    const path = expandPath(text.slice(separator + 1));
    if (separator < 1 || separator === text.length - 1)
      throw new BlfError({
        code: "USAGE_INVALID_MODEL",
        message: "--model wants <id=path>",
        hint: "For example --model qwen2.5-7b=/models/qwen2.5-7b-q8_0.gguf",
        exitCode: exitCodes.usage,
      });
    if (!existsSync(path))
      throw new BlfError({
        code: "MODEL_FILE_MISSING",
        message: `There is no model file ${path}`,
        hint: "Check the path after the equals sign.",
        exitCode: exitCodes.usage,
      });
    models[id] = { path };
  }
  return models;
}

export type FoundModel = { path: string; name: string; bytes: number };

/** The GGUF files that lie in the model directory. */
export function findModelFiles(directory: string): FoundModel[] {
  try {
    return readdirSync(directory)
      .filter((name) => /\.gguf$/i.test(name))
      .sort()
      .map((name) => ({ name, path: join(directory, name), bytes: statSync(join(directory, name)).size }));
  } catch {
    return [];
  }
}

/** What a file is probably called in the network: its name without quantization and ending. */
export function idOfFile(name: string): string {
  const id = name
    .replace(/\.gguf$/i, "")
    .replaceAll("__", "/")
    .replace(/[-_.](i?q\d[_a-z0-9]*|f16|f32|bf16)$/i, "")
    .replace(/[-_.](instruct|chat|it)$/i, "");
  return id.toLowerCase();
}
