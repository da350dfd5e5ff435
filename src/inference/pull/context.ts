import type { Clock } from "../../lib/clock.ts";
import { BlfError } from "../../lib/errors.ts";
import type { Manifest } from "./manifest.ts";
import type { PartFile } from "./part-file.ts";
import type { RemoteFile } from "./remote.ts";
import type { Transport } from "./transport.ts";

export type PullProgress = {
  received: number;
  /** Bytes in all, if the server says. */
  total: number | undefined;
};

/** A download that was begun. */
export type PullContext = {
  url: string;
  remote: RemoteFile;
  size: number | undefined;
  /** The SHA-256 that the file must have, whoever says so. */
  expected: string | undefined;
  manifest?: Manifest | undefined;
  connections: number;
  /** Bytes. */
  chunkSize: number;
  statePath: string;
  transport: Transport;
  clock: Clock;
  signal: AbortSignal;
  onProgress(progress: PullProgress): void;
};

export type Fetched = {
  bytes: number;
  sha256: string;
  /** Bytes that an earlier run had left. */
  resumed: number;
  /** Chunks, or in one piece files, that were fetched again. */
  refetched: number;
};

/** Refuses a web page after its first bytes and not after gigabytes. @throws BlfError `MODEL_NOT_GGUF` */
export async function assertGgufStart(file: PartFile): Promise<void> {
  const start = await file.read(4, 0).catch(() => new Uint8Array());
  if (new TextDecoder().decode(start) === "GGUF") return;
  throw new BlfError({
    code: "MODEL_NOT_GGUF",
    message: "What the server sends is not a GGUF",
    hint: "Give the URL of the file itself, not of the page that shows it: on a hub /resolve/, not /blob/.",
  });
}
