export type ProofKeys = {
  /** The network's FHE public key, hex. */
  publicKey: string;
  /** The network's common reference string, hex, about 9 million characters. */
  crs: string;
};

/** What the prover's Worker needs for one proof. The values are secret: they travel by `postMessage` only. */
export type ProofRequest = ProofKeys & {
  /** Unsigned 128-bit integers, at most 16. */
  values: bigint[];
  /** What the proof is bound to: security zone, account and chain, as the SDK lays them out. */
  metadata: Uint8Array;
};

/**
 * What the Worker is sent: the keys once, then the questions. Apart, because strings in an object with anything else in it are copied
 * character by character, which would stop the main thread for tens of milliseconds.
 */
export type ProverMessage = ProofKeys | ProverQuestion;
export type ProverQuestion = Omit<ProofRequest, keyof ProofKeys> & { id: number };

/** `keys`: the public key or CRS cannot be read; `proof`: the proof itself failed. No text passes, it could hold values. */
export type ProverAnswer = { id: number; proof: Uint8Array } | { id: number; failure: "keys" | "proof" };
