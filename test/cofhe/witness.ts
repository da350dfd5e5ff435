import { expect, spyOn } from "bun:test";
import { inspect } from "node:util";
import type { PrivateKeyAccount } from "viem";
import type { KeyHalves } from "../../src/crypto/key-halves.ts";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import { BlfError } from "../../src/lib/errors.ts";
import { createLogger, type Logger } from "../../src/lib/log.ts";

/** Hears all that is logged, printed or thrown, and knows what must not be among it. */
export type Witness = {
  log: Logger;
  /** A random key whose halves are secrets from now on. */
  key(): KeyHalves;
  /** The account, with every signature of a permit being a secret. */
  account<A extends PrivateKeyAccount>(account: A): A & { permits: string[] };
  /** The error that a call ends with: a BlfError, or the test fails. */
  failure(call: Promise<unknown>): Promise<BlfError>;
  /** Fails if a secret was said. */
  assertDiscreet(): void;
  close(): void;
};

export function createWitness(): Witness {
  const said: string[] = [];
  const secrets = new Set<string>();
  const log = createLogger({ level: "debug", format: "json", clock: systemClock, write: (line) => said.push(line) });
  const spies = (["log", "info", "warn", "error", "debug"] as const).map((method) =>
    spyOn(console, method).mockImplementation((...parts) => {
      said.push(parts.map((part) => (typeof part === "string" ? part : inspect(part))).join(" "));
    }),
  );
  return {
    log,
    key: () => {
      const [high, low] = crypto.getRandomValues(new BigUint64Array(4)).reduce(
        (halves: [bigint, bigint], word, index) => {
          halves[index >> 1] = (halves[index >> 1]! << 64n) | word;
          return halves;
        },
        [0n, 0n],
      );
      for (const half of [high, low]) secrets.add(half.toString()).add(half.toString(16));
      return { high, low };
    },
    account: (account) => {
      const permits: string[] = [];
      const signTypedData: PrivateKeyAccount["signTypedData"] = async (data) => {
        const signature = await account.signTypedData(data);
        permits.push(signature);
        secrets.add(signature.slice(2));
        return signature;
      };
      return { ...account, signTypedData, permits };
    },
    failure: async (call) => {
      const error = await call.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      said.push(inspect(error, { showHidden: true, depth: null }), String(error), ...textsWithin(error));
      expect(error).toBeInstanceOf(BlfError);
      return error as BlfError;
    },
    assertDiscreet: () => {
      const everything = said.join("\n");
      for (const secret of secrets) expect(everything.includes(secret)).toBeFalse();
    },
    close: () => {
      for (const spy of spies) spy.mockRestore();
    },
  };
}

/** Every text and number that can be reached from a value; inspect leaves out what lies deep inside an error. */
function textsWithin(value: unknown, seen = new Set<unknown>()): string[] {
  if (typeof value !== "object" || value === null) return [String(value)];
  if (seen.has(value)) return [];
  seen.add(value);
  return Reflect.ownKeys(value).flatMap((name) => textsWithin(Reflect.get(value, name), seen));
}

/** A clock that can be set forward, and that does not sleep longer than a few milliseconds. */
export function createTestClock(): Clock & { forward(ms: number): void } {
  let offset = 0;
  return {
    now: () => Date.now() + offset,
    sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 5), signal),
    forward: (ms) => {
      offset += ms;
    },
  };
}
