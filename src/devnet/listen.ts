import { Hono } from "hono";
import { type Address, getAddress, isAddress } from "viem";
import { BlfError, errorCode } from "../lib/errors.ts";

type App = { fetch(request: Request): Response | Promise<Response> };

/** Largest request to any of the devnet's services, in bytes; each route has a limit of its own below this. */
const maxRequestBytes = 64 * 1024 * 1024;

/**
 * Serves an app on 127.0.0.1. With `fund`, also `POST /devnet/fund {"address"}`, which no real network has.
 * @throws BlfError `DEVNET_PORT_TAKEN`
 */
export function listen(
  port: number,
  app: App,
  fund?: (address: Address) => Promise<void>,
): { url: string; stop(): Promise<void> } {
  const fetch = fund ? withFunding(app, fund) : (request: Request) => app.fetch(request);
  try {
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port,
      fetch,
      maxRequestBodySize: maxRequestBytes,
      idleTimeout: 60,
    });
    return { url: `http://127.0.0.1:${server.port}`, stop: () => server.stop(true) };
  } catch (error) {
    throw new BlfError({
      code: "DEVNET_PORT_TAKEN",
      message: `Port ${port} on 127.0.0.1 cannot be used (${errorCode(error)})`,
      hint: "Stop what uses it, or choose other ports with --port-base.",
      cause: error,
    });
  }
}

function withFunding(app: App, fund: (address: Address) => Promise<void>) {
  const funding = new Hono().post("/devnet/fund", async (c) => {
    const body = (await c.req.json().catch(() => null)) as { address?: unknown } | null;
    if (typeof body?.address !== "string" || !isAddress(body.address, { strict: false }))
      return c.json({ detail: "address is required" }, 400);
    await fund(getAddress(body.address));
    return c.json({ status: "funded", address: getAddress(body.address) });
  });
  return (request: Request) =>
    new URL(request.url).pathname === "/devnet/fund" ? funding.fetch(request) : app.fetch(request);
}
