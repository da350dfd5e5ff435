import type { Clock } from "../lib/clock.ts";
import { BlfError } from "../lib/errors.ts";
import { type Fetch, type HttpResponse, type HttpService, httpRequest } from "../lib/http.ts";
import { type RetryAfter, readRetryAfter } from "../lib/retry-after.ts";
import { bytesMatch, type ContentId, cidMismatch, fileTooLarge } from "./cid.ts";
import { redirectTarget } from "./redirect.ts";

export type GatewayContext = {
  fetch: Fetch;
  /** For where a gateway redirects to. */
  redirectFetch: Fetch;
  clock: Clock;
  /** For everything that is asked of one gateway, in milliseconds. */
  timeoutMs: number;
  /** Largest file, in bytes. */
  maxBytes: number;
};

const service: HttpService = { prefix: "IPFS", name: "The IPFS gateway", hint: "Another gateway may answer." };
const maximumRedirects = 3;
/** Blocks have names and links around them. */
const carOverheadBytes = 1024 * 1024;
/** Answers of gateways that know the file but not the form that we asked for. */
const formNotOffered = [400, 403, 405, 406, 415, 501];
const carType = "application/vnd.ipld.car";

/** Address of a file at a gateway; a gateway that ends with `/ipfs` gets no second one (PROTOCOL.md 4.10). */
export function gatewayUrl(gateway: string, cid: string): string {
  const base = gateway.replace(/\/+$/, "");
  return base.endsWith("/ipfs") ? `${base}/${cid}` : `${base}/ipfs/${cid}`;
}

/**
 * Asks one gateway for a file and verifies every byte. A raw block is asked for as such. A UnixFS file comes as an archive
 * of its blocks, or, from gateways that send it plain, is cut again to see that its CID comes out.
 * @throws BlfError `IPFS_*`, `CID_MISMATCH`, `CAR_*`; the signal's reason when aborted
 */
export async function downloadFrom(
  context: GatewayContext,
  gateway: string,
  id: ContentId,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const deadline = context.clock.now() + context.timeoutMs;
  const url = gatewayUrl(gateway, id.text);
  const form = id.codec === "raw" ? "raw" : "car";
  const ask = (address: string, accept: string) => get(context, address, accept, deadline, signal);

  let response = await ask(`${url}?format=${form}`, `application/vnd.ipld.${form}, application/octet-stream;q=0.5`);
  if (formNotOffered.includes(response.status)) response = await ask(url, "application/octet-stream, */*;q=0.5");
  if (response.status !== 200)
    throw httpStatus(response.status, readRetryAfter(response.headers.get("retry-after"), context.clock.now()));

  if (response.headers.get("content-type")?.startsWith(carType) && id.codec === "dag-pb") {
    const { readFileFromCar } = await import("./car.ts");
    return readFileFromCar(id, response.bytes, context.maxBytes);
  }
  if (response.bytes.length > context.maxBytes) throw fileTooLarge(context.maxBytes);
  if (!(await bytesMatch(id, response.bytes))) throw cidMismatch();
  return response.bytes;
}

/** One GET that follows redirects by hand, all within the same deadline. */
async function get(
  context: GatewayContext,
  url: string,
  accept: string,
  deadline: number,
  signal: AbortSignal,
): Promise<HttpResponse> {
  let address = url;
  for (let redirects = 0; redirects <= maximumRedirects; redirects++) {
    const response = await httpRequest(redirects === 0 ? context.fetch : context.redirectFetch, service, address, {
      headers: { Accept: accept },
      timeoutMs: Math.max(1, deadline - context.clock.now()),
      maxBytes: context.maxBytes + carOverheadBytes,
      signal,
    });
    if (![301, 302, 303, 307, 308].includes(response.status)) return response;
    address = redirectTarget(address, response.headers.get("location"));
  }
  throw new BlfError({
    code: "IPFS_TOO_MANY_REDIRECTS",
    message: `The IPFS gateway redirects more than ${maximumRedirects} times`,
    hint: "Use another gateway.",
  });
}

function httpStatus(status: number, cause: RetryAfter | undefined): BlfError {
  return new BlfError({
    code: `IPFS_HTTP_${status}`,
    message: `The IPFS gateway answered with status ${status}`,
    hint: "Another gateway may have the file.",
    retryable: true,
    cause,
  });
}
