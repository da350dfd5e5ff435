import * as z from "zod/mini";

const count = z.int().check(z.nonnegative());
const bytes = z.nullable(count);
const sha256 = z.string().check(z.regex(/^[0-9a-f]{64}$/));

/** Whether a model can answer, as far as can be seen without loading it. */
const status = z.enum(["available", "degraded", "unavailable"]);

const addedModel = z.strictObject({
  ok: z.literal(true),
  kind: z.literal("gguf"),
  id: z.string(),
  path: z.string(),
  bytes: count,
  sha256,
  notices: z.array(z.string()),
});

const addedBackend = z.strictObject({
  ok: z.literal(true),
  kind: z.literal("backend"),
  name: z.string(),
  path: z.string(),
  models: z.array(z.string()),
  determinismClass: z.string(),
  /** Time that the trial took, milliseconds. */
  trialMs: z.number(),
  notices: z.array(z.string()),
});

const engineName = z.enum(["cuda", "vulkan"]);

/** The documents of `--json`, by command. */
export const outputs: Record<string, z.ZodMiniType> = {
  "models list": z.strictObject({
    ok: z.literal(true),
    models: z.array(
      z.strictObject({
        id: z.string(),
        backend: z.nullable(z.string()),
        status,
        /** Why it is not available; empty when it is. */
        detail: z.string(),
        /** Whether the network gets jobs for it from this node. */
        offered: z.boolean(),
        path: z.nullable(z.string()),
        bytes,
        /** Null until the model was loaded once. */
        determinismClass: z.nullable(z.string()),
        /** SHA-256 of it, hex. */
        determinismClassHash: z.nullable(z.string()),
      }),
    ),
  }),
  "models test": z.strictObject({
    ok: z.literal(true),
    model: z.string(),
    backend: z.string(),
    text: z.string(),
    finishReason: z.enum(["stop", "length"]),
    promptTokens: count,
    outputTokens: count,
    /** In the model, milliseconds; loading it is not in it. */
    ms: z.number(),
    loadMs: z.number(),
    tokensPerSecond: z.nullable(z.number()),
    determinismClass: z.string(),
  }),
  "models add": z.discriminatedUnion("kind", [addedModel, addedBackend]),
  "models remove": z.strictObject({
    ok: z.literal(true),
    kind: z.enum(["gguf", "backend"]),
    removed: z.string(),
    models: z.array(z.string()),
    deletedFile: z.nullable(z.string()),
    notices: z.array(z.string()),
  }),
  "models pull": z.strictObject({
    ok: z.literal(true),
    id: z.string(),
    path: z.string(),
    bytes: count,
    sha256,
    /** Who named the SHA-256 that the file was compared with; null when nobody had. */
    checkedAgainst: z.nullable(z.enum(["option", "manifest", "hub", "server"])),
    /** False when the file was there already. */
    downloaded: z.boolean(),
    resumedBytes: count,
    refetchedChunks: count,
    notices: z.array(z.string()),
  }),
  "models verify": z.strictObject({
    ok: z.literal(true),
    models: z.array(
      z.strictObject({
        id: z.string(),
        path: z.string(),
        status: z.enum(["ok", "not-recorded"]),
        bytes: count,
        sha256,
      }),
    ),
    manifest: z.nullable(z.string()),
  }),
  "models sdk": z.strictObject({ ok: z.literal(true), version: z.string(), declarations: z.string() }),
  "models engine install": z.strictObject({
    ok: z.literal(true),
    engine: engineName,
    /** Of the npm packages. */
    version: z.string(),
    /** Of llama.cpp. */
    release: z.string(),
    directory: z.string(),
    bytes: count,
    /** False when it was there already. */
    installed: z.boolean(),
  }),
  "models engine list": z.strictObject({
    ok: z.literal(true),
    /** Whether this program has kernels for a GPU in itself. */
    builtIn: z.boolean(),
    engines: z.array(
      z.strictObject({
        engine: engineName,
        version: z.string(),
        /** `outdated`: left by another version of this program, which does not use it. */
        status: z.enum(["installed", "damaged", "outdated", "available"]),
        /** Whether models with gpu_layers are loaded with it. */
        used: z.boolean(),
        directory: z.nullable(z.string()),
        bytes,
      }),
    ),
  }),
  "models engine remove": z.strictObject({
    ok: z.literal(true),
    engine: engineName,
    removed: z.array(z.string()),
    bytes: count,
  }),
};
