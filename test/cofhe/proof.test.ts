import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { createCofhe } from "../../src/cofhe/client.ts";
import { startFakeServices } from "./fake-services.ts";
import { startNetwork } from "./network.ts";
import { createTestClock, createWitness } from "./witness.ts";

// A public key and a CRS of the real size. Making them takes minutes, so they lie beside the checkout, if at all.
const material = new URL("../../../shared/tfhe/", import.meta.url);
const hasMaterial = existsSync(new URL("pk.bin", material)) && existsSync(new URL("crs.bin", material));
const hex = (name: string) => `0x${readFileSync(new URL(name, material)).toString("hex")}`;

describe("a real proof (skipped without the TFHE test material)", () => {
  test.skipIf(!hasMaterial)(
    "two keys are proven in the Worker, accepted, stored and decrypted",
    async () => {
      const network = await startNetwork(421_614);
      const fake = startFakeServices({ rpcUrl: network.rpcUrl, publicKey: hex("pk.bin"), crs: hex("crs.bin") });
      const witness = createWitness();
      const { services } = fake;
      const base = { rpcUrl: network.rpcUrl, chainId: 421_614, services, clock: createTestClock(), log: witness.log };
      const [user, node] = [network.account(), network.account()];
      const [encrypting, decrypting] = [
        createCofhe({ ...base, account: user }),
        createCofhe({ ...base, account: node }),
      ];
      const keys = [witness.key(), { high: 0n, low: (1n << 128n) - 1n }];
      fake.expect(keys.flatMap(({ high, low }) => [high, low]));

      const stalls = watchStalls();
      const encrypted = await encrypting.encryptKeys(keys, AbortSignal.timeout(280_000));
      const longestStall = stalls.stop();
      await encrypting.close();

      const tfhe = await import("node-tfhe");
      const list = Buffer.from(fake.lastVerify!.packed_list, "hex");
      const proven = tfhe.ProvenCompactCiphertextList.safe_deserialize(new Uint8Array(list), 1n << 30n);
      expect(proven.len()).toBe(4);
      for (let index = 0; index < 4; index++) expect(proven.get_kind_of(index)).toBe(tfhe.FheTypes.Uint128);
      for (const [index, key] of keys.entries()) {
        const handles = await network.storeKey(user, encrypted[index]!, [node.address]);
        expect(await decrypting.decryptKey(handles, AbortSignal.timeout(20_000))).toEqual(key);
      }
      await decrypting.close();
      fake.close();
      await network.close();
      witness.close();
      witness.assertDiscreet();
      console.log(`longest stall of the main thread during the proof: ${longestStall.toFixed(0)} ms`);
    },
    300_000,
  );
});

/** Measures for how long nothing else could run on this thread. */
function watchStalls(): { stop(): number } {
  let longest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last - 10);
    last = now;
  }, 10);
  return {
    stop: () => {
      clearInterval(timer);
      return longest;
    },
  };
}
