import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { commitment, normaliseOutput, outputKeyJobId, toBytes32 } from "../../src/crypto/commitment.ts";
import { expectCode } from "./expect-code.ts";

const cid = "bafkreigh2akiscaildc";

/** The code points for which Python's `str.isspace()` is true, from its documentation and the Unicode tables. */
const pythonSpaces = [
  0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x85, 0xa0, 0x1680, 0x2000, 0x2001, 0x2002, 0x2003,
  0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000,
];

/** Code points of which ours makes a space, and those that it strips. */
function ourSpaces() {
  const found = { inner: [] as number[], outer: [] as number[] };
  for (let point = 0; point <= 0x10ffff; point++) {
    if (point >= 0xd800 && point <= 0xdfff) continue;
    const character = String.fromCodePoint(point);
    if (normaliseOutput(`a${character}${character}b`) === "a b") found.inner.push(point);
    if (normaliseOutput(`${character}a${character}`) === "a") found.outer.push(point);
  }
  return found;
}

describe("commitment", () => {
  test("the vector of the protocol", () => {
    expect(commitment(cid, "  Paris is\n the   capital of France. ")).toBe(
      "26a34ec75e765ab81595c667378ae344044ace41d726a5aa3bedd7cbc946d75b",
    );
  });

  test("is not the legacy formula, in which the CID is not hashed first", () => {
    const text = createHash("sha256").update("Paris is the capital of France.").digest();
    const legacy = createHash("sha256").update(cid).update(text).digest("hex");
    expect(legacy).toBe("c985acfd9c156a1d5a0f2b18a4f020453d49f7d895f6803e560c31bcb2c47dbd");
    expect(commitment(cid, "Paris is the capital of France.")).not.toBe(legacy);
  });

  test("texts that differ in whitespace only agree, other texts and CIDs do not", () => {
    const reference = commitment(cid, "a b");
    expect(commitment(cid, "\u001ca\u0085 \u3000b\n")).toBe(reference);
    expect(commitment(cid, "a\u200bb")).not.toBe(reference);
    expect(commitment(cid, "a\ufeff b")).not.toBe(reference);
    expect(commitment(cid, "A b")).not.toBe(reference);
    expect(commitment(`${cid}a`, "a b")).not.toBe(reference);
  });

  test("a text without UTF-8 is refused rather than replaced", async () => {
    await expectCode(() => commitment(cid, "a\ud800"), "TEXT_NOT_UNICODE");
  });
});

describe("normaliseOutput", () => {
  test.each([
    ["", ""],
    [" ", ""],
    [" \n\t ", ""],
    ["a", "a"],
    [" a", "a"],
    ["a ", "a"],
    ["a  b\r\nc", "a b c"],
    ["\u200ba\ufeff", "\u200ba\ufeff"],
    ["👩\u200d🚀  x", "👩\u200d🚀 x"],
  ])("%j becomes %j", (text, expected) => {
    expect(normaliseOutput(text)).toBe(expected);
  });

  test("knows exactly the whitespace of Python's tables", () => {
    expect(ourSpaces()).toEqual({ inner: pythonSpaces, outer: pythonSpaces });
  });

  const python = Bun.which("python3");
  test.skipIf(!python)("agrees with python3 itself on every code point", () => {
    const script = `
import json, re, sys
points = [p for p in range(0x110000) if not 0xd800 <= p <= 0xdfff]
json.dump({"inner": [p for p in points if re.sub(r"\\s+", " ", "a" + chr(p) * 2 + "b") == "a b"],
           "outer": [p for p in points if (chr(p) + "a" + chr(p)).strip() == "a"]}, sys.stdout)`;
    const run = Bun.spawnSync([python!, "-c", script]);
    expect(run.exitCode).toBe(0);
    expect(JSON.parse(run.stdout.toString())).toEqual(ourSpaces());
  });
});

describe("ids", () => {
  test("the output key ids of the protocol, with and without 0x", () => {
    const task = "11".repeat(32);
    expect(outputKeyJobId(`0x${task}`)).toBe("0x2c0ae85ba04034c49fa2e1403737d8d56ddec879b49984bcbb6a2cf0ec4c3885");
    expect(outputKeyJobId(task)).toBe("0x069e14863e664e5a08af1c9eec35fa33ab2e80506aad6aa1f2a9919519946171");
  });

  test("bytes32 stays, anything else is hashed", () => {
    const digits = "Ab".repeat(32);
    expect(toBytes32(`0x${digits}`)).toBe(`0x${digits}`);
    expect(toBytes32(digits)).toBe(`0x${digits}`);
    // keccak256 of the empty string and of "blindference.node.availability.v1" are published values.
    expect(toBytes32("")).toBe("0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    expect(toBytes32("blindference.node.availability.v1")).toBe(
      "0xe9039a4323013ae75b6727b79403c9eddd816eee42db0874e857a97a355427ce",
    );
  });

  test.each([
    `0x${"a".repeat(63)}`,
    `0x${"g".repeat(64)}`,
    `0X${"a".repeat(64)}`,
  ])("%s is a name, not bytes32", (name) => {
    expect(toBytes32(name)).toMatch(/^0x[0-9a-f]{64}$/);
    expect(toBytes32(name)).not.toBe(name as `0x${string}`);
  });
});
