import { createHash } from "node:crypto";
import type { Downloader } from "../../src/ipfs/download.ts";
import type { Uploader } from "../../src/ipfs/upload.ts";
import { BlfError } from "../../src/lib/errors.ts";
import { doWork, type Life } from "./life.ts";
import { hits, type World } from "./world.ts";

/** Files by what is in them. */
export type SimStorage = {
  put(bytes: Uint8Array): string;
  get(cid: string): Uint8Array | undefined;
  client(life: Life, name: string): { downloader: Downloader; uploader: Uploader };
};

export function createStorage(world: World): SimStorage {
  const { time, plan } = world;
  const prng = world.prng.fork("storage");
  const files = new Map<string, Uint8Array>();
  const failure = (code: string) =>
    new BlfError({ code, message: "The storage does not answer", hint: "Try again.", retryable: true });
  const put = (bytes: Uint8Array): string => {
    const cid = `bafk${createHash("sha256").update(bytes).digest("hex")}`;
    files.set(cid, bytes.slice());
    return cid;
  };
  return {
    put,
    get: (cid) => files.get(cid),
    client: (life, name) => ({
      downloader: {
        download: (cid, signal) => {
          const fails = hits(world, prng, plan.ipfsFails);
          return doWork(time, life, {
            name: `${name} downloads`,
            ms: prng.between(50, fails ? 15_000 : 1500),
            signal,
            fault: { before: fails ? failure("IPFS_UNAVAILABLE") : undefined },
            effect: () => {
              const bytes = files.get(cid);
              if (!bytes) throw failure("IPFS_UNAVAILABLE");
              return bytes.slice();
            },
          });
        },
      },
      uploader: {
        upload: (bytes, _file, signal) => {
          const fails = hits(world, prng, plan.ipfsFails) ? failure("IPFS_UPLOAD_UNREACHABLE") : undefined;
          const isLate = prng.chance(0.5);
          return doWork(time, life, {
            name: `${name} uploads`,
            ms: prng.between(50, 2000),
            signal,
            fault: { before: isLate ? undefined : fails, after: isLate ? fails : undefined },
            effect: () => put(bytes),
          });
        },
      },
    }),
  };
}
