import { workerUrl } from "../lib/self.ts";
import { cofheError } from "./errors.ts";
import type { ProofKeys, ProofRequest, ProverAnswer, ProverMessage, ProverQuestion } from "./prover-messages.ts";
import { createTurns } from "./turns.ts";
import { within } from "./within.ts";

/** Makes the zero-knowledge proofs that CoFHE asks of every encryption, off the main thread. */
export type Prover = {
  /**
   * The serialised proven ciphertext list. Takes about 20 s of one core; callers wait for one another.
   * @throws BlfError `COFHE_PROVER_FAILED`, `COFHE_KEYS_INVALID`, `COFHE_TIMEOUT`, `COFHE_CLOSED`; the signal's reason when aborted, which ends the Worker.
   */
  prove(request: ProofRequest, signal: AbortSignal): Promise<Uint8Array>;
  close(): Promise<void>;
};

export type ProverOptions = {
  /** Where the Worker's code is. */
  url?: string;
  /** Milliseconds after which an idle Worker is ended; it holds some hundred megabytes. */
  idleMs?: number;
  /** Longest time for one proof, milliseconds. */
  limitMs?: number;
};

/** The Worker is started by the first proof, not before. */
export function createProver(options: ProverOptions = {}): Prover {
  const { idleMs = 30_000, limitMs = 300_000 } = options;
  const turns = createTurns();
  const closing = new AbortController();
  let worker: Worker | undefined;
  /** The keys that the Worker has. */
  let sent: ProofKeys | undefined;
  let idleTimer: ReturnType<typeof setTimeout> | undefined;
  let lastId = 0;

  const end = () => {
    clearTimeout(idleTimer);
    worker?.terminate();
    worker = undefined;
    sent = undefined;
  };

  const prove = async (request: ProofRequest, signal: AbortSignal): Promise<Uint8Array> => {
    clearTimeout(idleTimer);
    worker ??= startWorker(options.url ?? workerUrl("cofhe/prover-worker.ts"));
    worker.ref();
    try {
      const limit = { signal, ms: limitMs, timeout: () => cofheError("COFHE_TIMEOUT") };
      const { publicKey, crs, values, metadata } = request;
      if (sent?.publicKey !== publicKey || sent.crs !== crs) {
        sent = { publicKey, crs };
        worker.postMessage(sent satisfies ProverMessage);
      }
      const proof = await within(limit, () => ask(worker!, { values, metadata, id: ++lastId }));
      worker.unref();
      idleTimer = setTimeout(end, idleMs);
      idleTimer.unref();
      return proof;
    } catch (error) {
      // Nothing but its end stops a proof that nobody waits for, and a Worker that failed may fail again.
      end();
      throw error;
    }
  };

  return {
    prove: async (request, signal) => {
      const either = AbortSignal.any([signal, closing.signal]);
      return turns(either, () => prove(request, either));
    },
    close: async () => {
      closing.abort(cofheError("COFHE_CLOSED"));
      end();
    },
  };
}

/** The Worker sees none of our environment, which may hold the wallet's password. */
function startWorker(url: string): Worker {
  try {
    return new Worker(url, { env: {}, ref: true });
  } catch {
    throw cofheError("COFHE_PROVER_FAILED");
  }
}

/** One question to the Worker; rejects when the Worker fails, dies or answers something else. */
function ask(worker: Worker, question: ProverQuestion): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const onMessage = ({ data }: MessageEvent<ProverAnswer>) => {
    if (data.id !== question.id) return;
    if ("proof" in data) resolve(data.proof);
    else reject(cofheError(data.failure === "keys" ? "COFHE_KEYS_INVALID" : "COFHE_PROVER_FAILED"));
  };
  const onEnd = (event: Event) => {
    event.preventDefault();
    reject(cofheError("COFHE_PROVER_FAILED"));
  };
  worker.addEventListener("message", onMessage);
  for (const type of ["error", "messageerror", "close"]) worker.addEventListener(type, onEnd);
  worker.postMessage(question satisfies ProverMessage);
  return promise.finally(() => {
    worker.removeEventListener("message", onMessage);
    for (const type of ["error", "messageerror", "close"]) worker.removeEventListener(type, onEnd);
  });
}
