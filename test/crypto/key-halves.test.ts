import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { joinKey, splitKey } from "../../src/crypto/key-halves.ts";
import { expectCode } from "./expect-code.ts";

const vectorKey = Uint8Array.from({ length: 32 }, (_, index) => index);
const vectorHalves = {
  high: 5233100606242806050955395731361295n,
  low: 21356283574076891493948969979685445151n,
};

describe("key halves", () => {
  test("the vector of the protocol, both ways", () => {
    expect(splitKey(vectorKey)).toEqual(vectorHalves);
    expect(joinKey(vectorHalves)).toEqual(vectorKey);
  });

  test("every key comes back", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (key) => {
        expect(joinKey(splitKey(key))).toEqual(new Uint8Array(key));
      }),
    );
  });

  test("the ends of the range", () => {
    const most = 2n ** 128n - 1n;
    expect(joinKey({ high: 0n, low: 0n })).toEqual(new Uint8Array(32));
    expect(joinKey({ high: most, low: most })).toEqual(new Uint8Array(32).fill(255));
    expect(splitKey(new Uint8Array(32).fill(255))).toEqual({ high: most, low: most });
  });

  test.each([
    { high: 2n ** 128n, low: 0n },
    { high: 0n, low: 2n ** 128n },
    { high: -1n, low: 0n },
    { high: 0n, low: -1n },
    { high: 2n ** 256n - 1n, low: 0n },
  ])("a half outside of uint128 is refused", async (halves) => {
    const error = await expectCode(() => joinKey(halves), "KEY_HALF_OUT_OF_RANGE");
    expect(error.message).not.toContain(String(halves.high || halves.low));
  });

  test.each([0, 16, 31, 33, 64])("a key of %d bytes is refused", async (length) => {
    await expectCode(() => splitKey(new Uint8Array(length)), "KEY_LENGTH_INVALID");
  });
});
