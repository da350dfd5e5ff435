import { describe, expect, test } from "bun:test";
import { errorPositions } from "../../src/lib/stray-errors.ts";

describe("the positions of an error", () => {
  test("are those of its calls, and nothing of its text or of the files' names", () => {
    const error = new Error("a prompt\n    at night (I sleep)\n    at 12:30 or so");
    error.stack = `${error.stack!.split("\n    at ", 1)[0]}\n    at inner (/home/alice/a.ts:3:14)\n    at /home/alice/b.ts:15:92\n    at async <anonymous> (native)`;
    expect(errorPositions(error)).toBe("3:14 < 15:92");
  });

  test("of a real error begin where it was made", () => {
    const line = new Error("x").stack!.match(/stray-errors\.test\.ts:(\d+):/)![1];
    expect(errorPositions(new Error("a prompt"))).toStartWith(`${Number(line) + 1}:`);
  });

  test("of what has none are unknown", () => {
    const bare = new Error("a prompt");
    Object.defineProperty(bare, "stack", { value: undefined });
    for (const error of [undefined, "at x (a:1:1)", { stack: "    at x (a:1:1)" }, bare])
      expect(errorPositions(error)).toBe("unknown");
  });
});
