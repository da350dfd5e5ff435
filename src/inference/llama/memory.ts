import { totalmem } from "node:os";
import { join } from "node:path";
import { BlfError } from "../../lib/errors.ts";
import { controlGroups, readTextFile } from "./cgroup.ts";
import type { GgufHeader } from "./gguf.ts";

/** Bytes that a model takes, about. */
export type MemoryNeed = { weights: number; context: number; work: number };

export type NeedOptions = {
  header: GgufHeader;
  /** Of the GGUF, bytes. */
  fileSize: number;
  /** Tokens of one sequence. */
  contextSize: number;
  sequences: number;
  batchSize: number;
};

const numberBytes = 4;
const cacheBytes = 2;
/** What llama.cpp and its tables take besides. */
const baseWork = 32 * 2 ** 20;

/** What a model will take, from its header alone. The context keeps a key and a value of 16 bits for every layer and token. */
export function estimateMemory(options: NeedOptions): MemoryNeed {
  const { header, fileSize, contextSize, sequences, batchSize } = options;
  const measure = (name: string) => numberOf(header, `${header.architecture}.${name}`);
  const layers = layersOf(header);
  const width = measure("embedding_length") ?? 0;
  const heads = measure("attention.head_count") ?? 0;
  const headWidth = heads > 0 ? width / heads : 0;
  const shared = measure("attention.head_count_kv") ?? heads;
  const perToken =
    shared * ((measure("attention.key_length") ?? headWidth) + (measure("attention.value_length") ?? headWidth));
  const tokens = header.metadata.get("tokenizer.ggml.tokens");
  const vocabulary = typeof tokens === "object" ? tokens.length : 0;
  const perBatchToken = vocabulary + 4 * width + 3 * (measure("feed_forward_length") ?? 0) + 2 * heads * contextSize;
  return {
    weights: fileSize,
    context: layers * perToken * cacheBytes * contextSize * sequences,
    work: baseWork + perBatchToken * numberBytes * Math.max(batchSize, sequences),
  };
}

/** Layers of a model that `gpuLayers` can be about; the output counts as one more. */
export function layersOf(header: GgufHeader): number {
  return numberOf(header, `${header.architecture}.block_count`) ?? 0;
}

/** Splits a need between the computer's memory and the GPU's, which both need room to work. */
export function divideMemory(need: MemoryNeed, gpuShare: number): { ram: MemoryNeed; vram: MemoryNeed } {
  const part = (share: number) => ({
    weights: need.weights * share,
    context: need.context * share,
    work: share > 0 ? need.work : 0,
  });
  return { ram: { ...part(1 - gpuShare), work: need.work }, vram: part(gpuShare) };
}

/** Bytes that a process can still get: what Linux calls available, and no more than the control groups it is in leave. */
export function availableMemory({ readText = readTextFile, total = totalmem() } = {}): number {
  const kilobytes = /^MemAvailable:\s+(\d+) kB/m.exec(readText("/proc/meminfo") ?? "")?.[1];
  // Systems without this figure give memory of caches back when asked, and count it as used until then.
  const amounts = [kilobytes === undefined ? total : Number(kilobytes) * 1024];
  for (const { version, directory } of controlGroups(readText, "memory")) {
    const amount = (name: string) => Number.parseInt(readText(join(directory, name)) ?? "", 10);
    const isOne = version === 1;
    const limit = amount(isOne ? "memory.limit_in_bytes" : "memory.max");
    const used = amount(isOne ? "memory.usage_in_bytes" : "memory.current");
    if (Number.isNaN(limit) || Number.isNaN(used)) continue;
    // Pages of files count as used by the group, but go when something else needs them.
    const cached = new RegExp(`^${isOne ? "total_" : ""}inactive_file (\\d+)`, "m");
    amounts.push(limit - used + Number(cached.exec(readText(join(directory, "memory.stat")) ?? "")?.[1] ?? 0));
  }
  return Math.max(0, Math.min(...amounts));
}

/** @throws BlfError `MODEL_TOO_LARGE` when `need` is more than `available` bytes of `where` */
export function checkMemory(need: MemoryNeed, available: number, where: "memory" | "GPU memory"): void {
  const { weights, context, work } = need;
  if (weights + context + work <= available) return;
  const parts = `${gigabytes(weights)} weights, ${gigabytes(context)} context, ${gigabytes(work)} work space`;
  throw new BlfError({
    code: "MODEL_TOO_LARGE",
    message: `The model needs about ${gigabytes(weights + context + work)} of ${where} (${parts}), and ${gigabytes(available)} are free`,
    hint:
      where === "memory"
        ? "Choose a smaller quantization, a smaller context_size or fewer engine.sequences."
        : "Lower gpu_layers, or set it to auto; or choose a smaller quantization or context_size.",
  });
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(bytes < 1e8 ? 3 : 1)} GB`;
}

function numberOf({ metadata }: GgufHeader, key: string): number | undefined {
  const found = metadata.get(key);
  const value = typeof found === "object" ? found.first : found;
  return typeof value === "number" || typeof value === "bigint" ? Number(value) : undefined;
}
