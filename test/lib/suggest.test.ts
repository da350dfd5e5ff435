import { expect, test } from "bun:test";
import { closest } from "../../src/lib/suggest.ts";

const keys = ["icl_endpoint", "rpc_url", "tier", "log_level", "network"];

test.each([
  ["icl_endpont", "icl_endpoint"],
  ["ICL_ENDPOINT", "icl_endpoint"],
  ["rpcurl", "rpc_url"],
  ["teir", "tier"],
  ["loglevel", "log_level"],
  ["netwrok", "network"],
  ["network", "network"],
])("%s is a slip for %s", (word, expected) => {
  expect(closest(word, keys)).toBe(expected);
});

test.each(["", "completely_different", "x", "password"])("%p resembles nothing", (word) => {
  expect(closest(word, keys)).toBeUndefined();
});

test("there is nothing to suggest among nothing", () => {
  expect(closest("anything", [])).toBeUndefined();
});

test("a long hostile word takes no time", () => {
  const started = performance.now();
  expect(closest("a".repeat(20_000), keys)).toBeUndefined();
  expect(performance.now() - started).toBeLessThan(1000);
});
