import { createHash } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { type Address, getAddress, isAddress, recoverMessageAddress } from "viem";
import { type Context, now } from "./context.ts";
import { type Env, RequestError, readBody } from "./http.ts";

/** Remembers what was signed, and for which route, until its timestamp is too old to be used again. */
export type ReplayCache = {
  /**
   * The route that used this message first: `route` itself when it is new. Times in Unix seconds.
   * @throws RequestError 503 when no more can be remembered
   */
  firstRoute(message: string, route: string, expiresAt: number, time: number): { route: string; isNew: boolean };
};

export function createReplayCache(capacity: number): ReplayCache {
  const seen = new Map<string, { route: string; expiresAt: number }>();
  return {
    firstRoute: (message, route, expiresAt, time) => {
      const earlier = seen.get(message);
      if (earlier) return { route: earlier.route, isNew: false };
      if (seen.size >= capacity) for (const [old, entry] of seen) if (entry.expiresAt < time) seen.delete(old);
      if (seen.size >= capacity) throw new RequestError(503, "too many signed requests; try again later");
      seen.set(message, { route, expiresAt });
      return { route, isNew: true };
    },
  };
}

/**
 * Only `/internal/task/claim` may be repeated with the same signature: node 0.3.5 claims every job twice within a second,
 * and equal bodies in one second have equal signatures. A second claim changes nothing.
 */
const repeatable = new Set(["/internal/task/claim"]);

/**
 * Verifies the three headers of PROTOCOL.md 3 over the raw body, before anything is parsed, and sets `signer`.
 *
 * A POST is accepted once, and a signature for one route never opens another one. What is remembered is the signer and the
 * signed bytes rather than the signature, because anybody can turn one valid signature into a second one. A GET is signed over its timestamp alone, so that all GETs
 * of one node in one second carry the same signature; they change nothing and are accepted again within the window.
 */
export function signatureMiddleware(ctx: Context): MiddlewareHandler<Env> {
  const { limits } = ctx;
  const replays = createReplayCache(limits.rememberedSignatures);
  return async (c, next) => {
    const claimed = header(c.req.header("x-node-address"), "X-Node-Address");
    const timestamp = header(c.req.header("x-timestamp"), "X-Timestamp");
    const signature = header(c.req.header("x-signature"), "X-Signature");
    if (!isAddress(claimed, { strict: false })) throw new RequestError(401, "X-Node-Address is not an address");
    if (!/^\d{1,12}$/.test(timestamp)) throw new RequestError(401, "X-Timestamp is not a Unix time in seconds");
    const time = now(ctx);
    if (Math.abs(time - Number(timestamp)) > limits.signatureWindow)
      throw new RequestError(
        401,
        `X-Timestamp is more than ${limits.signatureWindow} s away from the coordinator's clock`,
      );
    const body = await readBody(c, limits.bodyBytes);
    const message = Buffer.concat([body, Buffer.from(timestamp)]);
    const signer = await recoverSigner(message, signature);
    if (signer !== getAddress(claimed)) throw new RequestError(401, "X-Signature is not by X-Node-Address");
    if (c.req.method !== "GET") {
      const signed = `${signer} ${createHash("sha256").update(message).digest("hex")}`;
      const first = replays.firstRoute(signed, c.req.path, Number(timestamp) + limits.signatureWindow, time);
      if (!first.isNew && !(first.route === c.req.path && repeatable.has(c.req.path)))
        throw new RequestError(401, "this signed request was already received");
    }
    c.set("signer", signer);
    await next();
  };
}

/**
 * Requires that the address in a path or a body is the signer's.
 * @throws RequestError 401
 */
export function requireSigner(signer: Address, address: string, field: string): void {
  if (!isAddress(address, { strict: false })) throw new RequestError(400, `invalid address: ${address.slice(0, 100)}`);
  if (getAddress(address) !== signer)
    throw new RequestError(401, `${field} is not the address that signed the request`);
}

/** Some versions of the Python node send `0x0x…` (PROTOCOL.md 3). */
async function recoverSigner(message: Uint8Array, signature: string): Promise<Address> {
  const hex = signature.replace(/^(0x)+/i, "");
  if (!/^[0-9a-fA-F]{130}$/.test(hex)) throw new RequestError(401, "X-Signature is not 65 bytes of hex");
  try {
    return await recoverMessageAddress({ message: { raw: message }, signature: `0x${hex}` });
  } catch {
    throw new RequestError(401, "X-Signature is not a valid signature");
  }
}

function header(value: string | undefined, name: string): string {
  if (!value) throw new RequestError(401, `${name} header is missing`);
  return value;
}
