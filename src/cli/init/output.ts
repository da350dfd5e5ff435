import * as z from "zod/mini";

const bytes = z.int().check(z.gte(0));

/** What `init --json` prints. Sizes in bytes unless their name says otherwise. */
export const initSchema = z.strictObject({
  ok: z.literal(true),
  address: z.string(),
  keystore: z.string(),
  config: z.string(),
  network: z.string(),
  models: z.array(z.string()),
  hardware: z.strictObject({
    cpu: z.strictObject({ model: z.string(), cores: z.int() }),
    memory: z.strictObject({ total: bytes, available: bytes }),
    gpus: z.array(
      z.strictObject({
        kind: z.enum(["cuda", "metal", "vulkan"]),
        name: z.string(),
        memoryTotal: z.nullable(bytes),
        memoryFree: z.nullable(bytes),
        driver: z.nullable(z.string()),
      }),
    ),
  }),
  /** Whether this build's llama.cpp computes on those GPUs. */
  usesGpu: z.boolean(),
  cloudKeys: z.array(z.enum(["groq", "gemini"])),
  /** Published models that fit into the memory that is free now, the largest first. */
  fits: z.array(
    z.strictObject({
      id: z.string(),
      quantization: z.string(),
      parameters: z.number(),
      gigabytes: z.number(),
      repository: z.string(),
      file: z.string(),
      memory: bytes,
      runsOn: z.enum(["gpu", "cpu"]),
    }),
  ),
  /** One for each model that was named to this command. */
  probes: z.array(
    z.strictObject({
      model: z.string(),
      repeats: z.nullable(z.boolean()),
      tokens: z.int(),
      tokensPerSecond: z.nullable(z.number()),
      error: z.nullable(z.strictObject({ code: z.string(), message: z.string(), hint: z.string() })),
    }),
  ),
});

export type InitDocument = z.output<typeof initSchema>;
