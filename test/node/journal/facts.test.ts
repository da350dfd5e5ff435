import { expect, test } from "bun:test";
import { jsonOrNothing, millisecondsFact } from "../../../src/node/journal/facts.ts";

const holding = (text: string | undefined) => ({ fact: () => text });

test("a fact of milliseconds is a number that a calendar has, or nothing", () => {
  expect(millisecondsFact(holding("1750000000000"), "name")).toBe(1_750_000_000_000);
  expect(millisecondsFact(holding("-2500.5"), "name")).toBe(-2500.5);
  for (const text of [undefined, "", "soon", "NaN", "Infinity", "-Infinity", "9e99", "8640000000000001"])
    expect([text, millisecondsFact(holding(text), "name")]).toEqual([text, 0]);
});

test("a fact of JSON is its value, or nothing", () => {
  expect(jsonOrNothing('{"a":[1]}')).toEqual({ a: [1] });
  for (const text of [undefined, "", "{", "undefined"]) expect([text, jsonOrNothing(text)]).toEqual([text, undefined]);
});
