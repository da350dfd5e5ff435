import { describe, expect, test } from "bun:test";
import { BlfError, errorCode, isRetryable } from "../../src/lib/errors.ts";

const parameters = { code: "ROOM_BROKEN", message: "It broke", hint: "Mend it." };

describe("BlfError", () => {
  test("is a failure unless it says otherwise", () => {
    const error = new BlfError(parameters);
    expect(error).toBeInstanceOf(Error);
    expect([error.name, error.code, error.message, error.hint]).toEqual([
      "BlfError",
      "ROOM_BROKEN",
      "It broke",
      "Mend it.",
    ]);
    expect([error.retryable, error.exitCode, error.cause]).toEqual([false, 1, undefined]);
  });

  test("exits with 75 when trying again may help, and with what it is told in any case", () => {
    expect(new BlfError({ ...parameters, retryable: true }).exitCode).toBe(75);
    expect(new BlfError({ ...parameters, retryable: true, exitCode: 4 }).exitCode).toBe(4);
    expect(new BlfError({ ...parameters, exitCode: 2 }).exitCode).toBe(2);
  });
});

describe("errorCode", () => {
  test.each<[string, unknown, string]>([
    ["ours", new BlfError(parameters), "ROOM_BROKEN"],
    ["the system's", Object.assign(new Error("no space"), { code: "ENOSPC" }), "ENOSPC"],
    ["an abort", new DOMException("stop", "AbortError"), "ABORTED"],
    ["an error without a code", new Error("anything"), "INTERNAL"],
    ["a code that is a number", Object.assign(new Error("number"), { code: 5 }), "INTERNAL"],
    ["an empty code", Object.assign(new Error("empty"), { code: "" }), "INTERNAL"],
    ["an object", { code: "THROWN_OBJECT" }, "THROWN_OBJECT"],
    ["a string", "text", "INTERNAL"],
    ["null", null, "INTERNAL"],
    ["undefined", undefined, "INTERNAL"],
  ])("%s", (_name, error, code) => {
    expect(errorCode(error)).toBe(code);
  });
});

test("only our own errors that say so are retried", () => {
  expect(isRetryable(new BlfError({ ...parameters, retryable: true }))).toBe(true);
  expect(isRetryable(new BlfError(parameters))).toBe(false);
  expect(isRetryable(Object.assign(new Error("x"), { retryable: true }))).toBe(false);
  expect(isRetryable(undefined)).toBe(false);
});

test("what an error quotes cannot move a terminal's cursor or forge a second line", () => {
  const nasty = "a\u001b[2Jb\nc\u007fd\u009be\u202ef\u2028g";
  const { message, hint } = new BlfError({ code: "X", message: `no ${nasty}`, hint: `try ${nasty}` });
  const visible = "a\\u001b[2Jb\\u000ac\\u007fd\\u009be\\u202ef\\u2028g";
  expect([message, hint]).toEqual([`no ${visible}`, `try ${visible}`]);
});
