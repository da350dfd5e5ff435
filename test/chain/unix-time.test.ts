import { expect, test } from "bun:test";
import { unixTime } from "../../src/chain/unix-time.ts";

test("every time of a contract can be written down", () => {
  const text = (seconds: bigint) => new Date(unixTime(seconds) * 1000).toISOString();
  expect(text(0n)).toBe("1970-01-01T00:00:00.000Z");
  expect(text(1_750_000_000n)).toBe("2025-06-15T15:06:40.000Z");
  for (const never of [2n ** 64n - 1n, 2n ** 256n - 1n]) expect(text(never)).toBe("9999-12-31T23:59:59.000Z");
  expect(text(-1n)).toBe("1970-01-01T00:00:00.000Z");
});
