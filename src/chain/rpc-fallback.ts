import { createTransport, HttpRequestError, shouldThrow, TimeoutError, type Transport } from "viem";
import type { Circuit } from "../lib/circuit.ts";
import { BlfError } from "../lib/errors.ts";

export type KnownRpc = { transport: Transport; circuit: Circuit };

/**
 * Gives each call to the first RPC that answers it. One that failed of late comes last, so that no call waits for the timeout of an RPC
 * that is known to hang; but each is asked before a call is given up.
 */
export function firstThatAnswers(rpcs: readonly KnownRpc[]): Transport {
  return (parameters) => {
    const asked = rpcs.map(({ transport, circuit }) => ({
      circuit,
      rpc: transport({ ...parameters, retryCount: 0 }),
    }));
    const request = async (call: { method: string; params?: unknown }): Promise<unknown> => {
      let last: unknown;
      for (const { rpc, circuit } of asked.toSorted((a, b) => Number(a.circuit.isOpen()) - Number(b.circuit.isOpen())))
        try {
          const result = await rpc.request(call);
          circuit.succeeded();
          return result;
        } catch (error) {
          if (hangsOrFails(error)) circuit.failed();
          // What the chain itself refuses, every RPC refuses.
          if (shouldThrow(error as Error)) throw error;
          // That an RPC serves another chain is the one reason that a person can do something about.
          if (!(last instanceof BlfError)) last = error;
        }
      throw last;
    };
    return createTransport({
      key: "fallback",
      name: "Fallback",
      type: "fallback",
      request: request as Parameters<typeof createTransport>[0]["request"],
      retryCount: 1,
      retryDelay: 250,
    });
  };
}

function hangsOrFails(error: unknown): boolean {
  if (error instanceof TimeoutError || error instanceof BlfError) return true;
  if (!(error instanceof HttpRequestError)) return false;
  return error.status === undefined || error.status >= 500 || error.status === 429;
}
