import type { Address, Hex } from "viem";
import type { Cofhe, EncryptedKey } from "../../src/cofhe/cofhe.ts";
import { joinKey, splitKey } from "../../src/crypto/key-halves.ts";
import { BlfError } from "../../src/lib/errors.ts";
import { doWork, type Life } from "./life.ts";
import { hits, type World } from "./world.ts";

/** A model of CoFHE: it keeps values under handles, and shows them to those who were let in. */
export type SimCofhe = {
  /** Keeps a key for these nodes. */
  grant(key: Uint8Array, allowed: Set<Address>): { high: bigint; low: bigint };
  /** The key that these ciphertexts hold. */
  read(high: bigint, low: bigint): Uint8Array | undefined;
  /** What one run of a node gets. */
  client(life: Life, node: Address, name: string): Cofhe;
};

export function createSimCofhe(world: World): SimCofhe {
  const { time, plan } = world;
  const prng = world.prng.fork("cofhe");
  const values = new Map<bigint, { value: bigint; allowed: Set<Address> }>();
  const store = (value: bigint, allowed: Set<Address>): bigint => {
    const handle = BigInt(prng.hex(32));
    values.set(handle, { value, allowed });
    return handle;
  };
  const failure = (code: string) =>
    new BlfError({ code, message: "CoFHE does not answer", hint: "Try again.", retryable: true });

  const read: SimCofhe["read"] = (high, low) => {
    const [first, second] = [values.get(high), values.get(low)];
    return first && second && joinKey({ high: first.value, low: second.value });
  };

  return {
    grant: (key, allowed) => {
      const { high, low } = splitKey(key);
      return { high: store(high, allowed), low: store(low, allowed) };
    },
    read,
    client: (life, node, name) => ({
      maxKeysPerProof: 8,
      decryptKey: ({ high, low }, signal) => {
        const fails = hits(world, prng, plan.cofheFails);
        return doWork(time, life, {
          name: `${name} decrypts`,
          ms: prng.between(100, fails ? 20_000 : 2000),
          signal,
          fault: { before: fails ? failure("COFHE_UNAVAILABLE") : undefined },
          effect: () => {
            const [first, second] = [values.get(high), values.get(low)];
            if (!first?.allowed.has(node) || !second?.allowed.has(node))
              throw new BlfError({ code: "COFHE_NOT_ALLOWED", message: "Not allowed", hint: "None." });
            return { high: first.value, low: second.value };
          },
        });
      },
      encryptKeys: (keys, signal) => {
        const fails = hits(world, prng, plan.cofheFails);
        return doWork(time, life, {
          name: `${name} encrypts`,
          ms: prng.between(1000, 15_000),
          signal,
          fault: { before: fails ? failure("COFHE_PROVER_FAILED") : undefined },
          effect: () =>
            keys.map(({ high, low }): EncryptedKey => {
              const input = (value: bigint) => ({
                ctHash: store(value, new Set()),
                securityZone: 0,
                utype: 6,
                signature: prng.hex(65) as Hex,
              });
              return { high: input(high), low: input(low) };
            }),
        });
      },
      close: async () => {},
    }),
  };
}
