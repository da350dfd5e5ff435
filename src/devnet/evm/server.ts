import { BlfError, errorCode } from "../../lib/errors.ts";
import { createLock } from "../../lib/lock.ts";
import { type ChainParameters, createChain } from "./chain.ts";
import { answerRequest } from "./json-rpc.ts";
import { createMethods } from "./methods.ts";

export type Evm = {
  url: string;
  port: number;
  chainId: number;
  /** Ends the server at once; the chain is gone with it. */
  stop(): Promise<void>;
};

export type EvmParameters = Omit<ChainParameters, "chainId"> & {
  /** 0 takes any free port. */
  port: number;
  /** 31337 by default, which is what makes the CoFHE SDK use its local path. */
  chainId?: number;
};

/** Largest request, in bytes: a few deployments in one batch. */
const maxBodyBytes = 2 * 1024 * 1024;

/**
 * Starts an EVM with JSON-RPC on 127.0.0.1. Each transaction is mined at once in a block of its own; time comes from the clock.
 * Everything is in memory and lost at the end, on purpose: see `Chain`.
 *
 * @example
 * const evm = await startEvm({ port: 0, clock: systemClock, genesis: devnetGenesis() });
 * @throws BlfError `DEVNET_PORT_TAKEN`, `DEVNET_PORT_UNUSABLE`
 */
export async function startEvm({ port, clock, chainId = 31337, genesis }: EvmParameters): Promise<Evm> {
  const methods = createMethods(await createChain({ chainId, clock, genesis }));
  const lock = createLock();
  const server = listen(port, async (request) => {
    const refusal = refuse(request);
    if (refusal) return refusal;
    const text = await request.text();
    const answer = await lock(() => answerRequest(methods, text));
    return answer === undefined ? new Response(null, { status: 204 }) : Response.json(answer);
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    port: server.port!,
    chainId,
    stop: () => server.stop(true),
  };
}

function listen(port: number, fetch: (request: Request) => Promise<Response>) {
  try {
    // Requests wait for one another, and longer than the default's ten seconds where the machine is slow.
    return Bun.serve({ hostname: "127.0.0.1", port, maxRequestBodySize: maxBodyBytes, fetch, idleTimeout: 60 });
  } catch (error) {
    const taken = errorCode(error) === "EADDRINUSE";
    throw new BlfError({
      code: taken ? "DEVNET_PORT_TAKEN" : "DEVNET_PORT_UNUSABLE",
      message: taken ? `Port ${port} on 127.0.0.1 is taken` : `Cannot listen on port ${port} of 127.0.0.1`,
      hint: taken
        ? "Stop the program that uses it, or choose other ports with --port-base."
        : "Choose a port between 1024 and 65535 with --port-base.",
      cause: error,
    });
  }
}

/**
 * The server is for programs of this machine. A page in a browser could reach it too, from any site: browsers name the page's
 * origin, and a rebound name shows in the host.
 */
function refuse(request: Request): Response | undefined {
  if (request.method !== "POST") return new Response("JSON-RPC over POST", { status: 405, headers: { allow: "POST" } });
  const host = request.headers.get("host")?.replace(/:\d+$/, "");
  const local = host === "127.0.0.1" || host === "localhost";
  if (!local || request.headers.has("origin")) return new Response("for local programs only", { status: 403 });
  return undefined;
}
