import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { chooseFees, raiseFees } from "../../src/chain/fees.ts";
import { BlfError } from "../../src/lib/errors.ts";
import { expectCode } from "../crypto/expect-code.ts";

const wei = fc.bigInt({ min: 0n, max: 10n ** 15n });

/** What an action gives, or the code of its refusal. */
function outcome<T>(action: () => T): T | string {
  try {
    return action();
  } catch (error) {
    if (error instanceof BlfError) return error.code;
    throw error;
  }
}

describe("chooseFees", () => {
  test("pays the tip, leaves room for a doubled base fee, and never offers more than the cap", () => {
    fc.assert(
      fc.property(wei, wei, wei, (base, tip, cap) => {
        const fees = outcome(() => chooseFees(base, tip, cap));
        if (base + tip > cap) return expect(fees).toBe("CHAIN_FEE_ABOVE_CAP");
        if (typeof fees === "string") throw new Error("refused although the cap allows it");
        expect(fees.maxPriorityFeePerGas).toBe(tip);
        expect(fees.maxFeePerGas).toBeLessThanOrEqual(cap);
        expect(fees.maxFeePerGas).toBeGreaterThanOrEqual(base + tip);
        if (2n * base + tip <= cap) expect(fees.maxFeePerGas).toBe(2n * base + tip);
      }),
    );
  });

  test("says what the network asks for", async () => {
    const error = await expectCode(
      () => chooseFees(30_000_000_000n, 1_000_000_000n, 10_000_000_000n),
      "CHAIN_FEE_ABOVE_CAP",
    );
    expect(error.message).toBe("The network asks for 31 gwei per gas, the cap is 10");
    expect(error.retryable).toBe(true);
    expect(error.exitCode).toBe(75);
  });
});

describe("raiseFees", () => {
  test("raises both by at least 12.5 %, and stays legal", () => {
    fc.assert(
      fc.property(wei, wei, wei, (extra, tip, room) => {
        const before = { maxFeePerGas: tip + extra, maxPriorityFeePerGas: tip };
        const cap = before.maxFeePerGas + room;
        const after = outcome(() => raiseFees(before, cap));
        if (typeof after === "string") {
          expect(after).toBe("CHAIN_FEE_ABOVE_CAP");
          // Refused only where the smallest legal raise would not fit: one wei above 12.5 %, rounded.
          expect(before.maxFeePerGas * 9n + 8n).toBeGreaterThan(cap * 8n);
          return;
        }
        expect(after.maxFeePerGas * 8n).toBeGreaterThanOrEqual(before.maxFeePerGas * 9n);
        expect(after.maxPriorityFeePerGas * 8n).toBeGreaterThanOrEqual(tip * 9n);
        expect(after.maxFeePerGas).toBeGreaterThan(before.maxFeePerGas);
        expect(after.maxPriorityFeePerGas).toBeGreaterThan(tip);
        expect(after.maxPriorityFeePerGas).toBeLessThanOrEqual(after.maxFeePerGas);
        expect(after.maxFeePerGas).toBeLessThanOrEqual(cap);
      }),
    );
  });
});
