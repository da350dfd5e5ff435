import { expect, test } from "bun:test";
import { hasColor } from "../../../src/cli/ui/style.ts";
import { type Row, tableLines } from "../../../src/cli/ui/table.ts";

const rows: Row[] = [
  ["name", "a value that is somewhat longer than the others"],
  ["", "goes on"],
  ["longer name", `0x${"ab".repeat(32)}`, "good"],
];

test("values stand in one column; one line each where there is no terminal", () => {
  expect(tableLines(rows)).toEqual([
    "name         a value that is somewhat longer than the others",
    "             goes on",
    `longer name  0x${"ab".repeat(32)}`,
  ]);
});

test("on a terminal long values are broken, between words where there are some", () => {
  const [first, second, third, ...hash] = tableLines(rows, { width: 45 });
  expect([first, second, third]).toEqual([
    "name         a value that is somewhat longer",
    "             than the others",
    "             goes on",
  ]);
  expect(hash.map((line) => line.slice(13)).join("")).toBe(`0x${"ab".repeat(32)}`);
  for (const width of [40, 45, 80, 120])
    for (const line of tableLines(rows, { width, color: true }))
      expect(Bun.stringWidth(line)).toBeLessThanOrEqual(width);
});

test("control characters of a name or a value are made visible", () => {
  expect(tableLines([["n", "\u001b[2J\nforged"]])).toEqual(["n  \\u001b[2J\\u000aforged"]);
  expect(tableLines([["\u001b[2J\nforged", "v"]])).toEqual(["\\u001b[2J\\u000aforged  v"]);
});

test("colours only where a terminal shows them and NO_COLOR does not forbid them", () => {
  expect(hasColor({ isTTY: true }, { TERM: "xterm" })).toBe(true);
  expect(hasColor({ isTTY: true }, { TERM: "xterm", NO_COLOR: "1" })).toBe(false);
  expect(hasColor({ isTTY: true }, { TERM: "dumb" })).toBe(false);
  expect(hasColor({}, { TERM: "xterm" })).toBe(false);
  expect(tableLines([["n", "v", "good"]], { color: true })).toEqual(["\u001b[2mn  \u001b[22m\u001b[32mv\u001b[39m"]);
});
