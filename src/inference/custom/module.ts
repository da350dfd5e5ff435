import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import * as z from "zod/mini";
import { BlfError, errorCode } from "../../lib/errors.ts";
import { printable } from "../../lib/printable.ts";
import type { Backend } from "./sdk-types.ts";

/** Names of the backends that are built in: an operator must be able to tell them from others. */
const reservedNames = ["llama", "llama-gpu", "mock", "vllm", "groq", "gemini"];

const functionSchema = z.custom<(...parameters: unknown[]) => unknown>((value) => typeof value === "function", {
  error: "must be a function",
});

const moduleSchema = z.object({
  name: z.string("must be a text").check(
    z.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$/, "must be 1 to 40 letters, digits, points or dashes"),
    z.refine((name) => !reservedNames.includes(name), "is the name of a backend that is built in"),
  ),
  models: z
    .array(
      z
        .string("must be a text")
        .check(z.regex(/^[^\s,\u0000-\u001f]{1,200}$/, "must be a model id without spaces and commas")),
      "must be a list of model ids",
    )
    .check(z.minLength(1, "must name at least one model")),
  generate: functionSchema,
  probe: z.optional(functionSchema),
});

/**
 * Imports a backend module into this process, which should be one that may be lost.
 * @throws BlfError `BACKEND_NOT_FOUND`, `BACKEND_IMPORT_FAILED`, `BACKEND_SHAPE_INVALID`
 */
export async function importBackend(path: string): Promise<Backend> {
  if (!existsSync(path)) throw notFound(path);
  let namespace: Record<string, unknown>;
  try {
    namespace = (await import(path)) as Record<string, unknown>;
  } catch (error) {
    throw importFailed(path, error);
  }
  const candidate = namespace["default"] ?? namespace["backend"];
  if (typeof candidate !== "object" || candidate === null)
    throw shapeInvalid(path, "it exports no object as `default` or `backend`");
  const result = moduleSchema.safeParse(candidate);
  if (result.success) return candidate as Backend;
  const issue = result.error.issues[0]!;
  throw shapeInvalid(path, `"${issue.path.join(".")}" ${issue.message}`);
}

/**
 * The label of answers of a custom backend: `custom:my-backend/module:0123456789ab`, the digits being those of the module's SHA-256.
 * Only nodes with an equal module share it, but nobody can promise that the module says the same twice.
 * @throws BlfError `BACKEND_NOT_FOUND`
 */
export function customDeterminismClass(name: string, path: string): string {
  try {
    const digest = createHash("sha256").update(readFileSync(path)).digest("hex");
    return `custom:${name}/module:${digest.slice(0, 12)}`;
  } catch {
    throw notFound(path);
  }
}

export function notFound(path: string): BlfError {
  const isPython = /^\w+(\.\w+)+:\w+$/.test(path);
  return new BlfError({
    code: "BACKEND_NOT_FOUND",
    message: `There is no backend module ${path}`,
    hint: isPython
      ? "Dotted Python paths belong to the original node: write the backend in TypeScript or JavaScript."
      : "Give the path of a .ts or .js file, or the name of a package that is installed in the current directory.",
  });
}

/** Nothing was asked of the module yet, so its message cannot hold a prompt. */
function importFailed(path: string, error: unknown): BlfError {
  return new BlfError({
    code: "BACKEND_IMPORT_FAILED",
    message: `The backend module ${path} cannot be imported: ${describeForeign(error)}`,
    hint: "Correct the module; packages that it imports must be installed beside it.",
  });
}

export function shapeInvalid(path: string, what: string): BlfError {
  return new BlfError({
    code: "BACKEND_SHAPE_INVALID",
    message: `The backend module ${path} has the wrong shape: ${what}`,
    hint: "Export default { name, models: [ids], generate({ modelId, prompt }, { signal }) }, with `probe` if you like.",
  });
}

/** An error of a module in one line: syntax errors come as an AggregateError without a message of its own. */
export function describeForeign(error: unknown): string {
  const first = error instanceof AggregateError && error.errors.length > 0 ? (error.errors[0] as unknown) : error;
  const text = String((first as { message?: unknown } | null)?.message ?? first ?? "").split("\n", 1)[0]!;
  return printable(text.slice(0, 200)) || errorCode(error);
}
