import { expect, test } from "bun:test";
import { columnLines } from "../../../src/cli/ui/columns.ts";

const headings = ["ROLE", "STATE", "MODEL"];
const rows = [
  ["leader", "submitted", "a-model-with-a-long-name"],
  ["verifier", "failed", "short"],
];

test("columns stand under their headings; one line each where there is no terminal", () => {
  expect(columnLines(headings, rows)).toEqual([
    "ROLE      STATE      MODEL",
    "leader    submitted  a-model-with-a-long-name",
    "verifier  failed     short",
  ]);
});

test("a last column that is a little too wide is broken in its place", () => {
  expect(columnLines(headings, rows, { width: 42 })).toEqual([
    "ROLE      STATE      MODEL",
    "leader    submitted  a-model-with-a-long-n",
    "                     ame",
    "verifier  failed     short",
  ]);
});

test("a last column without room goes below the others", () => {
  expect(columnLines(headings, rows, { width: 30 })).toEqual([
    "ROLE      STATE",
    "  MODEL",
    "leader    submitted",
    "  a-model-with-a-long-name",
    "verifier  failed",
    "  short",
  ]);
});

test("a last column that fits stays, however little room it has", () => {
  expect(columnLines(headings, [rows[1]!], { width: 23 })).toEqual([
    "ROLE      STATE   MODEL",
    "verifier  failed  short",
  ]);
});

test("control characters of a cell are made visible", () => {
  expect(columnLines(["A", "B"], [["\u001b[2J", "x\ny"]])).toEqual(["A          B", "\\u001b[2J  x\\u000ay"]);
});
