import { expect, test } from "bun:test";
import fc from "fast-check";
import { formatUnits } from "viem";
import { parseTokens } from "../../../src/cli/status/tokens.ts";

test("any amount that the payment service can write comes back to the wei", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 200n }), (wei) => {
      expect(parseTokens(`{"a":{"earned":${formatUnits(wei, 18)}},"other":1}`, "earned")).toBe(wei);
      expect(parseTokens(`{"earned":"${formatUnits(wei, 18)}"}`, "earned")).toBe(wei);
    }),
  );
});

test("a double of Python may come with an exponent; digits beyond a wei are cut off", () => {
  expect(parseTokens('{"x":1e-7}', "x")).toBe(100_000_000_000n);
  expect(parseTokens('{"x":1.5E+3}', "x")).toBe(1500n * 10n ** 18n);
  expect(parseTokens('{"x":0.0000000000000000019}', "x")).toBe(1n);
  expect(parseTokens('{"x":1e-30}', "x")).toBe(0n);
});

test("what is no amount is none", () => {
  for (const value of ["-1", '"1,000"', '"0x10"', "null", "true", "{}", '""', '"NaN"'])
    expect(parseTokens(`{"x":${value}}`, "x")).toBeUndefined();
  expect(parseTokens('{"y":1}', "x")).toBeUndefined();
});
