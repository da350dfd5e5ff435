/** What the prover's Worker needs for one proof. The values are secret: they travel by `postMessage` only. */
export type ProofRequest = {
  /** The network's FHE public key, hex. */
  publicKey: string;
  /** The network's common reference string, hex, about 9 million characters. */
  crs: string;
  /** Unsigned 128-bit integers, at most 16. */
  values: bigint[];
  /** What the proof is bound to: security zone, account and chain, as the SDK lays them out. */
  metadata: Uint8Array;
};

export type ProverQuestion = ProofRequest & { id: number };

/** `keys`: the public key or CRS cannot be read; `proof`: the proof itself failed. No text passes, it could hold values. */
export type ProverAnswer = { id: number; proof: Uint8Array } | { id: number; failure: "keys" | "proof" };
