import * as z from "zod";
import type { Circuits } from "../lib/circuit.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import { BlfError, exitCodes } from "../lib/errors.ts";
import {
  type Fetch,
  type HttpResponse,
  type HttpService,
  httpRequest,
  isAllowedEndpoint,
  readJson,
  safeOrigin,
} from "../lib/http.ts";
import { retry } from "../lib/retry.ts";
import { type RetryAfter, readRetryAfter, retryAfterMs } from "../lib/retry-after.ts";
import type { Secret } from "../lib/secret.ts";
import { bytesMatch, parseCid } from "./cid.ts";

export type UploaderOptions = {
  /** The devnet's blob store speaks like Kubo. */
  kind: "pinata" | "kubo" | "devnet";
  /** Base URL, or that of the endpoint itself. */
  url: string;
  /** Pinata needs one; a Kubo behind a proxy may. */
  jwt?: Secret<string>;
  fetch: Fetch;
  clock?: Clock;
  /** For one attempt, in milliseconds (30 s, PROTOCOL.md 4.10). */
  timeoutMs?: number;
  /** How often an upload is tried in all (4). */
  attempts?: number;
  /** Learns how uploads end. No upload waits for it, since each belongs to a job. */
  circuits?: Circuits;
};

export type Uploader = {
  /**
   * Uploads a file and returns its CID as the service spells it, checked against the bytes.
   * @throws BlfError `IPFS_UPLOAD_*`, some retryable; the signal's reason when aborted
   */
  upload(bytes: Uint8Array, name: string, signal?: AbortSignal): Promise<string>;
};

const patience = { threshold: 3, initialMs: 5000, maxMs: 30_000, maxRetryAfterMs: 60_000 };
const maximumAnswerBytes = 64 * 1024;
const service: HttpService = {
  prefix: "IPFS_UPLOAD",
  name: "The upload service",
  hint: "Check the address of the upload service and the network.",
};

const kuboAnswer = z.object({ Hash: z.string() });
const pinataAnswer = z.union([
  z.object({ IpfsHash: z.string() }).transform(({ IpfsHash }) => IpfsHash),
  z.object({ data: z.object({ cid: z.string() }) }).transform(({ data }) => data.cid),
]);

/**
 * Uploads to Pinata (PROTOCOL.md 4.10) or to a Kubo-style `/api/v0/add`.
 * @throws BlfError `IPFS_UPLOAD_INVALID` for a URL that is neither HTTPS nor of this machine, or Pinata without a JWT
 */
export function createUploader(options: UploaderOptions): Uploader {
  if (!isAllowedEndpoint(options.url))
    throw invalid(`The upload service ${safeOrigin(options.url)} does not use HTTPS`, "Use an https:// address.");
  if (options.kind === "pinata" && !options.jwt)
    throw invalid("Pinata needs a JWT", "Set BLF_IPFS_UPLOAD_JWT to a JWT of your Pinata account.");
  const target = options.kind === "pinata" ? pinataTarget(options.url) : kuboTarget(options.url);
  const clock = options.clock ?? systemClock;
  const circuit = options.circuits?.of("upload", patience);
  const headers: Record<string, string> = options.jwt ? { Authorization: `Bearer ${options.jwt.reveal()}` } : {};

  return {
    async upload(bytes, name, signal) {
      const attempt = async () => {
        const response = await httpRequest(options.fetch, service, target.url, {
          method: "POST",
          headers,
          body: form(bytes, name, target.fields),
          timeoutMs: options.timeoutMs ?? 30_000,
          maxBytes: maximumAnswerBytes,
          ...(signal ? { signal } : {}),
        });
        checkStatus(response.status, readRetryAfter(response.headers.get("retry-after"), clock.now()));
        return target.readCid(response);
      };
      const observed = () =>
        attempt().catch((error: unknown) => {
          if (!signal?.aborted) circuit?.failed(retryAfterMs(error));
          throw error;
        });
      const cid = await retry(observed, {
        clock,
        attempts: options.attempts ?? 4,
        initialMs: 500,
        maxMs: 8_000,
        ...(signal ? { signal } : {}),
      });
      await verifyUpload(cid, bytes);
      circuit?.succeeded();
      return cid;
    },
  };
}

type Target = { url: string; fields: Record<string, string>; readCid(response: HttpResponse): string };

function kuboTarget(base: string): Target {
  const url = withPath(base, "/api/v0/add");
  for (const [name, value] of [
    ["cid-version", "1"],
    ["raw-leaves", "true"],
    ["pin", "true"],
  ] as const)
    url.searchParams.set(name, value);
  return {
    url: url.href,
    fields: {},
    readCid(response) {
      // One JSON document per line; with progress reports the last one is the file.
      const last = new TextDecoder().decode(response.bytes).trimEnd().split("\n").at(-1) ?? "";
      return readAnswer(kuboAnswer, { ...response, bytes: new TextEncoder().encode(last) }).Hash;
    },
  };
}

function pinataTarget(base: string): Target {
  const url = withPath(base, "/pinning/pinFileToIPFS");
  const isV3 = url.pathname.includes("/v3/");
  return {
    url: url.href,
    fields: isV3 ? { network: "public" } : { pinataOptions: JSON.stringify({ cidVersion: 1 }) },
    readCid: (response) => readAnswer(pinataAnswer, response),
  };
}

/** A base URL gets the endpoint's path; a URL that names an endpoint already stays as it is. */
function withPath(base: string, path: string): URL {
  const url = new URL(base);
  if (url.pathname === "/") url.pathname = path;
  return url;
}

function form(bytes: Uint8Array, name: string, fields: Record<string, string>): FormData {
  const data = new FormData();
  data.set("file", new Blob([bytes as Uint8Array<ArrayBuffer>], { type: "application/octet-stream" }), name);
  for (const [field, value] of Object.entries(fields)) data.set(field, value);
  return data;
}

/** An answer that cannot be read is a proxy's error page, or was cut off: the same upload may get a proper one. */
function readAnswer<T>(schema: z.ZodType<T>, response: HttpResponse): T {
  const parsed = schema.safeParse(readAnswerJson(response));
  if (parsed.success) return parsed.data;
  throw new BlfError({
    code: "IPFS_UPLOAD_ANSWER_INVALID",
    message: "The upload service answered without a CID",
    hint: service.hint,
    retryable: true,
  });
}

function readAnswerJson(response: HttpResponse): unknown {
  try {
    return readJson(service, response);
  } catch (error) {
    const { code, message, hint } = error as BlfError;
    throw new BlfError({ code, message, hint, retryable: true });
  }
}

function checkStatus(status: number, cause: RetryAfter | undefined): void {
  if (status >= 200 && status < 300) return;
  if (status === 401 || status === 403)
    throw new BlfError({
      code: "IPFS_UPLOAD_UNAUTHORISED",
      message: `The upload service refuses the credentials (status ${status})`,
      hint: "Check BLF_IPFS_UPLOAD_JWT: it may have expired, or may not be allowed to pin files.",
      exitCode: exitCodes.authentication,
    });
  throw new BlfError({
    code: `IPFS_UPLOAD_HTTP_${status}`,
    message: `The upload service answered with status ${status}`,
    hint: service.hint,
    retryable: status === 429 || status >= 500,
    cause,
  });
}

/** A CID that cannot be read or verified is as useless to the reader as one of other bytes. */
async function verifyUpload(cid: string, bytes: Uint8Array): Promise<void> {
  const matches = await Promise.resolve(cid)
    .then((text) => bytesMatch(parseCid(text), bytes))
    .catch(() => false);
  if (matches) return;
  throw new BlfError({
    code: "IPFS_UPLOAD_CID_MISMATCH",
    message: "The upload service gave a CID that does not belong to the uploaded bytes",
    hint: "Nobody could verify the file: use another upload service.",
  });
}

function invalid(message: string, hint: string): BlfError {
  return new BlfError({ code: "IPFS_UPLOAD_INVALID", message, hint });
}
