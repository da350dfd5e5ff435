import { expect, test } from "bun:test";
import { frame } from "../../../src/cli/status/watch.ts";
import type { Row } from "../../../src/cli/ui/table.ts";

const rows: Row[] = Array.from({ length: 30 }, (_, index): Row => [`row ${index}`, "text ".repeat(30)]);

test("a picture is never higher or wider than the terminal, and clears what was there before", () => {
  for (const [width, height] of [
    [80, 24],
    [120, 10],
    [40, 5],
  ] as const) {
    const picture = frame({ title: "title", rows }, { width, height, color: true });
    const lines = picture.split("\r\n");
    expect(lines.length).toBeLessThanOrEqual(height);
    for (const line of lines) {
      expect(Bun.stringWidth(line)).toBeLessThanOrEqual(width);
      expect(line).toContain("\u001b[K");
    }
    expect(picture).toStartWith("\u001b[H");
    expect(picture).toEndWith("\u001b[J");
    expect(lines.at(-1)).toContain("…");
  }
});

test("without colours a picture holds only what moves the cursor and clears lines", () => {
  const picture = frame({ title: "title", rows: rows.slice(0, 2) }, { width: 80, height: 24, color: false });
  expect(picture.replaceAll(/\u001b\[[HKJ]|\r\n/g, "")).not.toContain("\u001b");
});
