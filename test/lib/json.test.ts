import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseJson, stringifyJson } from "../../src/lib/json.ts";

const uint256Max = 2n ** 256n - 1n;

describe("parseJson", () => {
  test.each<[string, unknown]>([
    ["0", 0],
    ["-0", -0],
    ["9007199254740991", 9007199254740991],
    ["9007199254740992", 9007199254740992n],
    ["9007199254740993", 9007199254740993n],
    ["-9007199254740991", -9007199254740991],
    ["-9007199254740993", -9007199254740993n],
    ["115792089237316195423570985008687907853269984665640564039457584007913129639935", uint256Max],
    ["-115792089237316195423570985008687907853269984665640564039457584007913129639935", -uint256Max],
    ["1.5", 1.5],
    ["1e3", 1000],
    ["1e30", 1e30],
    ["1234567890.125", 1234567890.125],
    ['"9007199254740993"', "9007199254740993"],
    ["null", null],
    ["true", true],
  ])("%s", (text, value) => {
    expect(Object.is(parseJson(text), value)).toBe(true);
  });

  test("reads big integers wherever they stand", () => {
    const text = `{"a":[${uint256Max},{"b":${uint256Max}}],"c":1}`;
    expect(parseJson(text)).toEqual({ a: [uint256Max, { b: uint256Max }], c: 1 });
  });

  test.each([
    '{"a":1,"a":2}',
    '{"a":1,"\\u0061":2}',
    '[{"x":{"b":[],"c":{"d":1},"b":2}}]',
    '{"a" : 1, "b": "}{", "a"\n: 3}',
    '{"__proto__":1,"__proto__":2}',
  ])("an object with a key twice is refused, however it is written: %s", (text) => {
    expect(JSON.parse(text)).toBeDefined();
    expect(() => parseJson(text)).toThrow(SyntaxError);
  });

  test.each([
    '{"a":{"a":1},"b":[{"a":1},{"a":2}]}',
    '{"a":"a\\":","b":"a"}',
    '["a","a"]',
    '{"":1,"a":"\\\\"}',
  ])("equal keys of different objects, and texts that look like keys, are fine: %s", (text) => {
    expect(parseJson(text)).toEqual(JSON.parse(text));
  });

  test("a number too large for a double is no integer by accident", () => {
    expect(parseJson("1e400")).toBe(Number.POSITIVE_INFINITY);
  });

  test.each([
    "",
    "{",
    "[1,]",
    "{'a':1}",
    "01",
    "+1",
    "0x10",
    "NaN",
    "undefined",
    "1n",
    '{"a":1}x',
    "<html>",
  ])("refuses %p", (text) => {
    expect(() => parseJson(text)).toThrow(SyntaxError);
  });

  test("a key __proto__ is an ordinary key", () => {
    const value = parseJson('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}') as object;
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(Object.hasOwn(value, "__proto__")).toBe(true);
    expect("polluted" in {}).toBe(false);
    expect("polluted" in { ...value }).toBe(false);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});

describe("stringifyJson", () => {
  test("writes a bigint as a JSON integer of full precision", () => {
    expect(stringifyJson({ handle: uint256Max, list: [-1n, 0n] })).toBe(
      '{"handle":115792089237316195423570985008687907853269984665640564039457584007913129639935,"list":[-1,0]}',
    );
  });

  test("is JSON.stringify for everything else", () => {
    const value = { text: 'é "quoted"\n', none: null, skipped: undefined, nested: { date: new Date(0) } };
    expect(stringifyJson(value)).toBe(JSON.stringify(value));
    expect(stringifyJson(value, 2)).toBe(JSON.stringify(value, null, 2));
  });
});

test("integers of any size come back as they went", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 300n), max: 2n ** 300n }), (value) => {
      expect(BigInt(parseJson(stringifyJson(value)) as bigint | number)).toBe(value);
    }),
  );
});

test("every JSON value comes back as it went", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const back = JSON.stringify(parseJson(stringifyJson(value)), (_key, item) =>
        typeof item === "bigint" ? Number(item) : item,
      );
      expect(back).toBe(JSON.stringify(value));
    }),
    { numRuns: 200 },
  );
});
