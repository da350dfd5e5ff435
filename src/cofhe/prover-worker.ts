import { setPriority } from "node:os";
import type { CompactPkeCrs, TfheCompactPublicKey } from "node-tfhe";
import type { ProofRequest, ProverAnswer, ProverQuestion } from "./prover-messages.ts";

declare const self: {
  onmessage: ((event: MessageEvent<ProverQuestion>) => void) | null;
  postMessage(answer: ProverAnswer, transfer?: ArrayBuffer[]): void;
};

const sizeLimit = 1n << 30n;

type Tfhe = typeof import("node-tfhe");
type NetworkKeys = {
  from: Pick<ProofRequest, "publicKey" | "crs">;
  publicKey: TfheCompactPublicKey;
  crs: CompactPkeCrs;
};

let networkKeys: NetworkKeys | undefined;

// Linux keeps niceness per thread, so this leaves the main thread and a model beside it undisturbed. Elsewhere the call
// would slow down the whole process.
if (process.platform === "linux") setPriority(0, 19);
// A panic inside wasm prints its own words, and those may hold values.
for (const method of ["debug", "error", "info", "log", "warn"] as const) console[method] = () => {};

self.onmessage = async ({ data }) => {
  let failure: "keys" | "proof" = "keys";
  try {
    const tfhe = await import("node-tfhe");
    networkKeys = readKeys(tfhe, data);
    failure = "proof";
    const proof = prove(tfhe, networkKeys, data);
    self.postMessage({ id: data.id, proof }, [proof.buffer as ArrayBuffer]);
  } catch {
    networkKeys = undefined;
    self.postMessage({ id: data.id, failure });
  }
};

/** The network's keys, deserialised; that takes seconds, so those of the last proof are kept. */
function readKeys(tfhe: Tfhe, { publicKey, crs }: ProofRequest): NetworkKeys {
  if (networkKeys?.from.publicKey === publicKey && networkKeys.from.crs === crs) return networkKeys;
  return {
    from: { publicKey, crs },
    publicKey: tfhe.TfheCompactPublicKey.safe_deserialize(fromHex(publicKey), sizeLimit),
    crs: tfhe.CompactPkeCrs.safe_deserialize(fromHex(crs), sizeLimit),
  };
}

function prove(tfhe: Tfhe, keys: NetworkKeys, { values, metadata }: ProofRequest): Uint8Array {
  const builder = tfhe.ProvenCompactCiphertextList.builder(keys.publicKey);
  for (const value of values) builder.push_u128(value);
  const list = builder.build_with_proof_packed(keys.crs, metadata, tfhe.ZkComputeLoad.Verify);
  builder.free();
  try {
    return list.safe_serialize(sizeLimit);
  } finally {
    list.free();
  }
}

function fromHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex.startsWith("0x") ? hex.slice(2) : hex, "hex"));
}
