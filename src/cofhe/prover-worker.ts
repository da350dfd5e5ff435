import { setPriority } from "node:os";
import type { CompactPkeCrs, TfheCompactPublicKey } from "node-tfhe";
import type { ProofKeys, ProverAnswer, ProverMessage, ProverQuestion } from "./prover-messages.ts";

declare const self: {
  onmessage: ((event: MessageEvent<ProverMessage>) => void) | null;
  postMessage(answer: ProverAnswer, transfer?: ArrayBuffer[]): void;
};

const sizeLimit = 1n << 30n;

type Tfhe = typeof import("./tfhe.ts");
type NetworkKeys = { publicKey: TfheCompactPublicKey; crs: CompactPkeCrs };

let received: ProofKeys | undefined;
/** Made of `received`, which takes seconds, so it is done once. */
let networkKeys: NetworkKeys | undefined;

// A panic inside wasm prints its own words, and those may hold values.
for (const method of ["debug", "error", "info", "log", "warn"] as const) console[method] = () => {};

self.onmessage = async ({ data }) => {
  if (!("id" in data)) {
    received = data;
    networkKeys = undefined;
    return;
  }
  let failure: "keys" | "proof" = "keys";
  try {
    const tfhe = await import("./tfhe.ts");
    if (!received) throw new Error("a question came before the keys");
    networkKeys ??= readKeys(tfhe, received);
    failure = "proof";
    lowerPriority();
    const proof = prove(tfhe, networkKeys, data);
    self.postMessage({ id: data.id, proof }, [proof.buffer as ArrayBuffer]);
  } catch {
    networkKeys = undefined;
    self.postMessage({ id: data.id, failure });
  }
};

/**
 * Linux keeps niceness per thread, so this leaves the main thread and a model beside it undisturbed; elsewhere the call would slow
 * down the whole process. Threads inherit it when they are made, so it waits until the runtime has made its helpers.
 */
function lowerPriority(): void {
  if (process.platform === "linux") setPriority(0, 19);
}

function readKeys(tfhe: Tfhe, { publicKey, crs }: ProofKeys): NetworkKeys {
  return {
    publicKey: tfhe.TfheCompactPublicKey.safe_deserialize(fromHex(publicKey), sizeLimit),
    crs: tfhe.CompactPkeCrs.safe_deserialize(fromHex(crs), sizeLimit),
  };
}

function prove(tfhe: Tfhe, keys: NetworkKeys, { values, metadata }: ProverQuestion): Uint8Array {
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
