import { expect, test } from "bun:test";
import { anchoredPrompt } from "../../../src/inference/http/anchor.ts";

test("the anchor is that of PROTOCOL.md 2.10", () => {
  expect(anchoredPrompt("groq:llama-3.3-70b-versatile", "hello")).toBe("[seed_anchor:24d4d7594209899f]\n\nhello");
});
