import type { PartFile } from "./part-file.ts";

/** SHA-256 of a file that grows in any order, made while it grows. */
export type WholeHash = {
  /**
   * Hashes the chunks that follow the hashed ones, as far as they are there. Runs once at a time; a call that finds it running returns at
   * once. `check` may refuse a chunk, which then counts as not being there.
   */
  advance(): Promise<void>;
  /** Chunks that are hashed. */
  position(): number;
  /** Hex; only once. */
  digest(): string;
};

export type WholeHashOptions = {
  file: PartFile;
  size: number;
  chunkSize: number;
  isThere(index: number): boolean;
  /** Called with a chunk's bytes before they count. */
  check(index: number, bytes: Uint8Array): boolean;
};

export function createWholeHash(options: WholeHashOptions): WholeHash {
  const { file, size, chunkSize, isThere, check } = options;
  const hasher = new Bun.CryptoHasher("sha256");
  const count = Math.ceil(size / chunkSize);
  let next = 0;
  let running: Promise<void> | undefined;
  const run = async () => {
    while (next < count && isThere(next)) {
      const start = next * chunkSize;
      const bytes = await file.read(Math.min(chunkSize, size - start), start);
      if (!check(next, bytes)) return;
      hasher.update(bytes);
      next++;
    }
  };
  return {
    advance: async () => {
      if (running) return;
      running = run();
      try {
        await running;
      } finally {
        running = undefined;
      }
    },
    position: () => next,
    digest: () => hasher.digest("hex"),
  };
}
