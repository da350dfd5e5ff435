import type { PrivateKeyAccount, Transport } from "viem";
import type { KeyHalves } from "../crypto/key-halves.ts";
import type { Circuits } from "../lib/circuit.ts";
import type { Clock } from "../lib/clock.ts";
import { errorCode, isRetryable } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { type BackoffOptions, retry } from "../lib/retry.ts";
import { type Cofhe, type EncryptedKey, type KeyHandles, keysPerProof } from "./cofhe.ts";
import { decryptHalves, isHalf } from "./decrypt.ts";
import { encryptHalves } from "./encrypt.ts";
import { type CofheErrorName, cofheError, isCofheError } from "./errors.ts";
import { createPermits } from "./permits.ts";
import { createProver, type Prover } from "./prover.ts";
import type { ProofRequest } from "./prover-messages.ts";
import { assertSupported, type CofheServices, openSession, type Session } from "./session.ts";
import { createTurns } from "./turns.ts";
import { within } from "./within.ts";

export type CofheOptions = {
  /** Signs permits. Nothing here sends a transaction from it. */
  account: PrivateKeyAccount;
  rpcUrl: string;
  /** In place of `rpcUrl`: knows where else to ask. */
  transport?: Transport | undefined;
  chainId: number;
  clock: Clock;
  log: Logger;
  /** Where proofs are made; a Worker of our own by default. */
  prover?: Prover;
  /** Other addresses of CoFHE's services than those published for the chain. */
  services?: CofheServices | undefined;
  /** Longest times for one call, milliseconds. */
  limits?: { decryptMs?: number; encryptMs?: number };
  /** How a decryption that failed or was refused is tried again. */
  retries?: BackoffOptions & { attempts: number };
  /** Learns how calls end. No call waits for it: a job needs its key. */
  circuits?: Circuits;
};

const patience = { threshold: 3, initialMs: 5000, maxMs: 30_000, maxRetryAfterMs: 60_000 };

const defaultRetries = { attempts: 5, initialMs: 1000, maxMs: 8000 };

/** A refusal may only mean that the access list has not caught up with the chain; a strange answer, that the RPC is out of order. */
const worthAnotherTry: CofheErrorName[] = [
  "COFHE_ANSWER_INVALID",
  "COFHE_HANDLE_UNKNOWN",
  "COFHE_NOT_ALLOWED",
  "COFHE_NOT_DEPLOYED",
  "COFHE_PERMIT_FAILED",
  "COFHE_RPC_UNREACHABLE",
  "COFHE_UNAVAILABLE",
];
/** What the chain or CoFHE's services may have changed: another connection fetches their keys anew. */
const worthReconnecting: CofheErrorName[] = [
  "COFHE_KEYS_INVALID",
  "COFHE_NOT_DEPLOYED",
  "COFHE_RPC_UNREACHABLE",
  "COFHE_VERIFIER_FAILED",
];

/**
 * A CoFHE client for one wallet. Nothing is loaded or sent before the first call.
 * @throws BlfError `COFHE_CHAIN_UNSUPPORTED`, `COFHE_SERVICE_URL`
 */
export function createCofhe(options: CofheOptions): Cofhe {
  assertSupported(options);
  const { clock, log } = options;
  const { decryptMs = 120_000, encryptMs = 360_000 } = options.limits ?? {};
  const timeout = () => cofheError("COFHE_TIMEOUT");
  const closing = new AbortController();
  const prover = options.prover ?? createProver();
  const permits = createPermits(options);
  const turns = createTurns();
  const circuit = options.circuits?.of("cofhe", patience);
  let session: Promise<Session> | undefined;
  // The SDK takes one function for all proofs, so the encryption whose turn it is says where its own go.
  let prove: (request: ProofRequest) => Promise<Uint8Array> = () => Promise.withResolvers<Uint8Array>().promise;

  const connect = (): Promise<Session> => {
    if (session) return session;
    const opening = openSession({ ...options, prove: (request) => prove(request) });
    session = opening;
    opening.catch(() => {
      if (session === opening) session = undefined;
    });
    return opening;
  };

  const recover = (error: unknown, signal: AbortSignal) => {
    if (isRetryable(error) && !signal.aborted) circuit?.failed();
    if (isCofheError(error, "COFHE_NOT_ALLOWED", "COFHE_PERMIT_FAILED")) permits.forget();
    if (isCofheError(error, ...worthReconnecting)) session = undefined;
  };

  const decryptOnce = async (handles: KeyHandles, attempt: number, signal: AbortSignal): Promise<KeyHalves> => {
    try {
      const connected = await connect();
      const permit = await permits.get(connected);
      signal.throwIfAborted();
      const halves = await decryptHalves({ session: connected, permit, handles, signal });
      circuit?.succeeded();
      return halves;
    } catch (error) {
      recover(error, signal);
      if (!signal.aborted) log.debug("CoFHE did not decrypt", { code: errorCode(error), attempt: attempt + 1 });
      throw error;
    }
  };

  const decryptKey = async (handles: KeyHandles, signal: AbortSignal): Promise<KeyHalves> => {
    assertHandle(handles.high);
    assertHandle(handles.low);
    const limit = { signal: AbortSignal.any([signal, closing.signal]), ms: decryptMs, timeout };
    return within(limit, (inner) =>
      retry((attempt) => decryptOnce(handles, attempt, inner), {
        ...(options.retries ?? defaultRetries),
        clock,
        signal: inner,
        retryable: (error) => isCofheError(error, ...worthAnotherTry),
      }),
    );
  };

  const encryptOnce = async (keys: KeyHalves[], signal: AbortSignal): Promise<EncryptedKey[]> => {
    const failed = Promise.withResolvers<never>();
    failed.promise.catch(() => {});
    prove = async (request) => {
      try {
        return await prover.prove(request, signal);
      } catch (error) {
        failed.reject(error);
        return Promise.withResolvers<never>().promise;
      }
    };
    try {
      const connected = await connect();
      const encrypted = await Promise.race([encryptHalves({ session: connected, keys, signal }), failed.promise]);
      circuit?.succeeded();
      return encrypted;
    } catch (error) {
      recover(error, signal);
      throw error;
    }
  };

  const encryptKeys = async (keys: KeyHalves[], signal: AbortSignal): Promise<EncryptedKey[]> => {
    if (keys.length > keysPerProof || !keys.every(isKey)) throw cofheError("COFHE_INPUT_INVALID");
    if (keys.length === 0) return [];
    const either = AbortSignal.any([signal, closing.signal]);
    return turns(either, () => within({ signal: either, ms: encryptMs, timeout }, (inner) => encryptOnce(keys, inner)));
  };

  return {
    decryptKey,
    encryptKeys,
    maxKeysPerProof: keysPerProof,
    close: async () => {
      closing.abort(cofheError("COFHE_CLOSED"));
      permits.forget();
      session = undefined;
      await prover.close();
    },
  };
}

/** @throws BlfError `COFHE_HANDLE_ZERO`, `COFHE_HANDLE_INVALID` */
function assertHandle(handle: bigint): void {
  if (handle === 0n) throw cofheError("COFHE_HANDLE_ZERO");
  if (handle < 0n || handle >> 256n !== 0n) throw cofheError("COFHE_HANDLE_INVALID");
}

function isKey({ high, low }: KeyHalves): boolean {
  return isHalf(high) && isHalf(low);
}
