import { describe, expect, test } from "bun:test";
import { errorPositions } from "../../src/lib/stray-errors.ts";

describe("the positions of an error", () => {
  test("are those of its calls, and nothing of its text or of the files' names", () => {
    const text = "a prompt: 1:2\n    at night (I sleep):3:4 and more\n    at call (/a.ts:7:8)\nlook:5:6";
    const error = new Error(text);
    error.stack = [
      `Error: ${text}`,
      "    at inner (/home/alice/a.ts:3:14)",
      "    at /home/alice/b.ts:15:92",
      "    at async <anonymous> (native)",
    ].join("\n");
    expect(errorPositions(error)).toBe("3:14 < 15:92");
  });

  test("of a real error begin where it was made", () => {
    const line = new Error("x").stack!.match(/stray-errors\.test\.ts:(\d+):/)![1];
    expect(errorPositions(new Error("a prompt"))).toStartWith(`${Number(line) + 1}:`);
  });

  test("of what has none are unknown", () => {
    const bare = new Error("a prompt");
    Object.defineProperty(bare, "stack", { value: undefined });
    const changed = new Error("a prompt\n    at call (/a.ts:7:8)");
    expect(changed.stack).toContain("7:8");
    changed.message = "another text";
    for (const error of [undefined, changed, "at x (a:1:1)", { stack: "    at x (a:1:1)" }, bare])
      expect(errorPositions(error)).toBe("unknown");
  });
});
