import { privateKeyToAccount } from "viem/accounts";
import { createCofhe } from "../../src/cofhe/client.ts";
import { splitKey } from "../../src/crypto/key-halves.ts";
import { systemRandom } from "../../src/crypto/random.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { stringifyJson } from "../../src/lib/json.ts";
import { createLogger } from "../../src/lib/log.ts";

// A process of its own that encrypts at the same time as others. Told on stdin what to do, answers on stdout.
const { rpcUrl, privateKey, rounds } = await Bun.stdin.json();
const log = createLogger({ level: "error", format: "text", clock: systemClock, write: () => {} });
const account = privateKeyToAccount(privateKey);
const cofhe = createCofhe({ account, rpcUrl, chainId: 31_337, clock: systemClock, log });
const made = [];
for (let round = 0; round < rounds; round++) {
  const keys = Array.from({ length: cofhe.maxKeysPerProof }, () => splitKey(systemRandom(32)));
  const encrypted = await cofhe.encryptKeys(keys, AbortSignal.timeout(30_000));
  made.push(...keys.map((key, index) => ({ key, encrypted: encrypted[index] })));
}
await cofhe.close();
process.stdout.write(stringifyJson(made));
