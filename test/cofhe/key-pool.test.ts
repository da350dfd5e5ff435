import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import type { Cofhe, EncryptedKey } from "../../src/cofhe/cofhe.ts";
import { cofheError } from "../../src/cofhe/errors.ts";
import { createKeyPool, type KeyPool, type KeyPoolOptions, type OutputKey } from "../../src/cofhe/key-pool.ts";
import { joinKey, type KeyHalves } from "../../src/crypto/key-halves.ts";
import { systemRandom } from "../../src/crypto/random.ts";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import { createLogger } from "../../src/lib/log.ts";

setDefaultTimeout(60_000);

const open: KeyPool[] = [];
let lines: string[] = [];
afterEach(async () => {
  for (const pool of open.splice(0)) await pool.close();
  lines = [];
});

/** Encryption that a test lets go on or fail, one proof at a time; what it "encrypts" can be read back. */
function gatedCofhe() {
  const proofs: { keys: KeyHalves[]; succeed(): void; fail(error: unknown): void }[] = [];
  const arrivals: (() => void)[] = [];
  const cofhe: Cofhe = {
    maxKeysPerProof: 8,
    decryptKey: async () => {
      throw cofheError("COFHE_CLOSED");
    },
    encryptKeys: (keys, signal) =>
      new Promise((resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
        proofs.push({ keys, succeed: () => resolve(keys.map(readable)), fail: reject });
        for (const arrived of arrivals.splice(0)) arrived();
      }),
    close: async () => {},
  };
  /** The next proof that is asked for, now or later. */
  const nextProof = async () => {
    while (proofs.length === 0) await new Promise<void>((resolve) => arrivals.push(resolve));
    return proofs.shift()!;
  };
  return { cofhe, proofs, nextProof };
}

function readable({ high, low }: KeyHalves): EncryptedKey {
  const input = { securityZone: 0, utype: 6, signature: "0x" } as const;
  return { high: { ...input, ctHash: high }, low: { ...input, ctHash: low } };
}

/** A clock whose sleeps last as long as the test wants, and which remembers how long they should have been. */
function manualClock() {
  const sleeps: { ms: number; end(): void }[] = [];
  const arrivals: (() => void)[] = [];
  const clock: Clock = {
    now: () => 0,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
        sleeps.push({ ms, end: resolve });
        for (const arrived of arrivals.splice(0)) arrived();
      }),
  };
  const nextSleep = async () => {
    while (sleeps.length === 0) await new Promise<void>((resolve) => arrivals.push(resolve));
    return sleeps.shift()!;
  };
  return { clock, sleeps, nextSleep };
}

function createPool(options: Partial<KeyPoolOptions> & Pick<KeyPoolOptions, "cofhe">): KeyPool {
  const log = createLogger({ level: "debug", format: "json", clock: systemClock, write: (line) => lines.push(line) });
  const pool = createKeyPool({ random: systemRandom, clock: systemClock, log, ...options });
  open.push(pool);
  return pool;
}

const soon = () => AbortSignal.timeout(10_000);
const settle = () => new Promise((resolve) => setImmediate(resolve));

function assertMatching({ key, encrypted }: OutputKey): void {
  expect(key).toEqual(joinKey({ high: encrypted.high.ctHash, low: encrypted.low.ctHash }));
}

describe("createKeyPool", () => {
  test("makes eight keys with one proof, and eight more when four are left", async () => {
    const { cofhe, proofs, nextProof } = gatedCofhe();
    const pool = createPool({ cofhe });
    expect(proofs).toHaveLength(0);
    pool.start();
    const first = await nextProof();
    expect(first.keys).toHaveLength(8);
    first.succeed();
    await settle();
    expect(pool.size()).toBe(8);
    for (let left = 7; left >= 5; left--) {
      assertMatching(await pool.take(soon()));
      expect(pool.size()).toBe(left);
    }
    await settle();
    expect(proofs).toHaveLength(0);
    await pool.take(soon());
    const second = await nextProof();
    expect(second.keys).toHaveLength(8);
    second.succeed();
    await settle();
    expect(pool.size()).toBe(12);
  });

  test("a take from an empty pool waits for the proof under way, in its turn", async () => {
    const { cofhe, proofs, nextProof } = gatedCofhe();
    const pool = createPool({ cofhe });
    pool.start();
    const proof = await nextProof();
    const takes = [pool.take(soon()), pool.take(soon())];
    await settle();
    expect(proofs).toHaveLength(0);
    proof.succeed();
    const keys = await Promise.all(takes);
    for (const key of keys) assertMatching(key);
    expect(keys.map(({ encrypted }) => encrypted.high.ctHash)).toEqual(proof.keys.slice(0, 2).map(({ high }) => high));
    expect(pool.size()).toBe(6);
  });

  test("a take starts a proof itself, even before the pool was started and at a bad moment", async () => {
    const { cofhe, nextProof } = gatedCofhe();
    const pool = createPool({ cofhe, canWork: () => false });
    const take = pool.take(soon());
    (await nextProof()).succeed();
    assertMatching(await take);
  });

  test("fills itself at good moments only, unless somebody waits", async () => {
    const { cofhe, proofs, nextProof } = gatedCofhe();
    const { clock, sleeps, nextSleep } = manualClock();
    let good = false;
    const pool = createPool({ cofhe, clock, canWork: () => good });
    pool.start();
    (await nextSleep()).end();
    const pause = await nextSleep();
    expect(pause.ms).toBe(1000);
    expect(proofs).toHaveLength(0);
    good = true;
    pause.end();
    (await nextProof()).succeed();
    await settle();
    expect(sleeps).toHaveLength(0);
    good = false;
    for (let taken = 0; taken < 8; taken++) await pool.take(soon());
    await nextSleep();
    const hurried = pool.take(soon());
    (await nextProof()).succeed();
    assertMatching(await hurried);
  });

  test("an aborted take gets the signal's reason, and the key stays for the next", async () => {
    const { cofhe, nextProof } = gatedCofhe();
    const pool = createPool({ cofhe });
    const stop = new AbortController();
    const given = pool.take(stop.signal);
    const kept = pool.take(soon());
    const proof = await nextProof();
    stop.abort(new Error("deadline"));
    expect(await given.catch((error: Error) => error.message)).toBe("deadline");
    expect(await pool.take(stop.signal).catch((error: Error) => error.message)).toBe("deadline");
    proof.succeed();
    assertMatching(await kept);
    expect(pool.size()).toBe(7);
  });

  test("backs off after failures, and those who wait get a key in the end", async () => {
    const { cofhe, proofs, nextProof } = gatedCofhe();
    const { clock, nextSleep } = manualClock();
    const pool = createPool({ cofhe, clock });
    const take = pool.take(soon());
    const delays: number[] = [];
    for (let failed = 0; failed < 7; failed++) {
      (await nextProof()).fail(cofheError("COFHE_VERIFIER_FAILED"));
      const { ms, end } = await nextSleep();
      expect(proofs).toHaveLength(0);
      delays.push(ms);
      end();
    }
    for (const [index, ms] of delays.entries()) {
      const full = Math.min(30_000, 1000 * 2 ** index);
      expect(ms).toBeWithin(full * 0.8, full + 1);
    }
    (await nextProof()).succeed();
    assertMatching(await take);
    expect(lines.filter((line) => line.includes("COFHE_VERIFIER_FAILED"))).toHaveLength(7);
  });

  test("an error that will not pass reaches those who wait, and the pool still does not spin", async () => {
    const { cofhe, proofs, nextProof } = gatedCofhe();
    const { clock, nextSleep } = manualClock();
    const pool = createPool({ cofhe, clock });
    pool.start();
    const take = pool.take(soon()).catch((error: { code: string }) => error.code);
    (await nextProof()).fail(cofheError("COFHE_WRONG_CHAIN"));
    expect(await take).toBe("COFHE_WRONG_CHAIN");
    const pause = await nextSleep();
    expect(proofs).toHaveLength(0);
    pause.end();
    (await nextProof()).succeed();
    assertMatching(await pool.take(soon()));
  });

  test("wipes its keys when closed, also those being encrypted, and turns all away", async () => {
    const made: Uint8Array[] = [];
    const random = (length: number) => {
      const bytes = systemRandom(length);
      made.push(bytes);
      return bytes;
    };
    const { cofhe, nextProof } = gatedCofhe();
    const pool = createPool({ cofhe, random });
    pool.start();
    (await nextProof()).succeed();
    await settle();
    const mine = await pool.take(soon());
    for (let taken = 0; taken < 7; taken++) await pool.take(soon());
    await nextProof();
    const waiting = pool.take(soon()).catch((error: { code: string }) => error.code);
    await pool.close();
    expect(await waiting).toBe("COFHE_POOL_CLOSED");
    expect(await pool.take(soon()).catch((error: { code: string }) => error.code)).toBe("COFHE_POOL_CLOSED");
    expect(made).toHaveLength(16);
    for (const key of made.slice(8)) expect(key.every((byte) => byte === 0)).toBeTrue();
    expect(mine.key.some((byte) => byte !== 0)).toBeTrue();
    expect(pool.size()).toBe(0);

    const second = gatedCofhe();
    const ready: Uint8Array[] = [];
    const full = createPool({
      cofhe: second.cofhe,
      random: (length) => {
        const bytes = systemRandom(length);
        ready.push(bytes);
        return bytes;
      },
    });
    full.start();
    (await second.nextProof()).succeed();
    await settle();
    expect(full.size()).toBe(8);
    await full.close();
    expect(ready.every((key) => key.every((byte) => byte === 0))).toBeTrue();
  });

  test("never gives a key twice, never mixes keys up, and never holds too many", async () => {
    const step = fc.constantFrom("take", "take", "abort", "succeed", "fail", "start", "settle");
    const sizes = fc.record({ capacity: fc.integer({ min: 1, max: 20 }), refillBelow: fc.integer({ min: 0, max: 8 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80 }), sizes, async (steps, { capacity, refillBelow }) => {
        const { cofhe, proofs } = gatedCofhe();
        const clock: Clock = { now: () => 0, sleep: async () => void (await settle()) };
        const pool = createPool({ cofhe, clock, capacity, refillBelow });
        const given: OutputKey[] = [];
        const takes: { stop: AbortController; done: Promise<void>; settled: boolean }[] = [];
        for (const action of steps) {
          if (action === "take") {
            const stop = new AbortController();
            const take = { stop, settled: false, done: Promise.resolve() };
            take.done = pool
              .take(stop.signal)
              .then(
                (key) => void given.push(key),
                () => {},
              )
              .finally(() => {
                take.settled = true;
              });
            takes.push(take);
          } else if (action === "abort") takes.find(({ settled }) => !settled)?.stop.abort(new Error("aborted"));
          else if (action === "succeed") proofs.shift()?.succeed();
          else if (action === "fail") proofs.shift()?.fail(cofheError("COFHE_VERIFIER_FAILED"));
          else if (action === "start") pool.start();
          else await settle();
          expect(pool.size()).toBeLessThanOrEqual(capacity);
          expect(proofs.length).toBeLessThanOrEqual(1);
          for (const { keys } of proofs) expect(keys.length).toBeWithin(1, 9);
        }
        await pool.close();
        await Promise.all(takes.map(({ done }) => done));
        for (const key of given) assertMatching(key);
        expect(new Set(given.map(({ key }) => Buffer.from(key).toString("hex"))).size).toBe(given.length);
      }),
      { numRuns: 200 },
    );
  });

  test("no line of the log holds a key", async () => {
    const { cofhe, nextProof } = gatedCofhe();
    const pool = createPool({ cofhe });
    const take = pool.take(soon());
    (await nextProof()).fail(new Error("unexpected"));
    expect(await take.catch((error: Error) => error.message)).toBe("unexpected");
    const again = pool.take(soon());
    const proof = await nextProof();
    proof.succeed();
    await again;
    await settle();
    expect(lines.length).toBeGreaterThan(0);
    for (const { high, low } of proof.keys)
      for (const half of [high, low]) expect(lines.join()).not.toContain(half.toString());
  });
});
