import { describe, expect, test } from "bun:test";
import { createProgress, formatBytes, progressLine } from "../../../src/cli/ui/progress.ts";

function screen(columns?: number) {
  const written: string[] = [];
  const stream = {
    isTTY: columns !== undefined,
    write: (text: string) => written.push(text),
    ...(columns === undefined ? {} : { columns }),
  };
  return { stream, written };
}

describe("a line of progress", () => {
  const facts = { received: 620_000_000, total: 2_000_000_000, bytesPerSecond: 48_100_000 };

  test("fills its width with a bar, and never goes beyond it", () => {
    const full = progressLine({ label: "qwen2.5-7b", ...facts, width: 79 });
    expect(full).toMatch(/^qwen2\.5-7b {2}\[#{6}-{13}\] {3}31 % {2}0\.62 of 2\.00 GB {2}48\.1 MB\/s {2}29 s left$/);
    expect(full).toHaveLength(79);
    const label = "a-model-with-a-very-long-name-that-nobody-could-remember-q8_0";
    for (const width of [20, 40, 79, 119, 200]) {
      const line = progressLine({ label, ...facts, width });
      expect(line.length).toBeLessThanOrEqual(width);
    }
    expect(progressLine({ label: "m", ...facts, width: 119 })).toContain(`[${"#".repeat(12)}${"-".repeat(28)}]`);
  });

  test("says what it can when the size is unknown", () => {
    const line = progressLine({ label: "m", received: 5_500_000, total: undefined, bytesPerSecond: 0, width: 79 });
    expect(line).toBe("m  5.50 MB  0 B/s");
  });
});

describe("progress", () => {
  test("draws one line again and again on a terminal, ten times a second at most, and leaves it when done", () => {
    const { stream, written } = screen(80);
    let now = 0;
    const progress = createProgress({ label: "m", stream, now: () => now, env: { TERM: "xterm" } });
    for (; now < 1000; now += 10) progress.update(now * 1000, 2_000_000);
    progress.update(2_000_000, 2_000_000);
    progress.done();
    expect(written.length).toBe(12);
    expect(written.slice(0, -1).every((text) => text.startsWith("\r\u001b[2K") && !text.includes("\n"))).toBe(true);
    expect(written.at(-2)).toContain("100 %");
    expect(written.at(-1)).toBe("\n");
  });

  test("writes plain lines at every tenth without a terminal, and with NO_COLOR", () => {
    for (const [columns, env] of [
      [undefined, {}],
      [80, { NO_COLOR: "1" }],
    ] as const) {
      const { stream, written } = screen(columns);
      let now = 0;
      const progress = createProgress({ label: "m", stream, now: () => now, env });
      for (let received = 0; received <= 100_000; received += 1000, now++) progress.update(received, 100_000);
      progress.done();
      expect(written).toHaveLength(11);
      expect(written.join("")).toMatch(/^(m {2}[0-9].*\n){11}$/);
    }
  });

  test("gives a sign of life every ten seconds when the tenths are slow", () => {
    const { stream, written } = screen();
    let now = 0;
    const progress = createProgress({ label: "m", stream, now: () => now, env: {} });
    for (; now <= 60_000; now += 1000) progress.update(now, 100_000_000);
    expect(written).toHaveLength(7);
  });
});

test("sizes in three digits", () => {
  expect([0, 999, 1000, 12_345, 1_500_000, 123_456_789, 7_700_000_000].map(formatBytes)).toEqual([
    "0 B",
    "999 B",
    "1.00 kB",
    "12.3 kB",
    "1.50 MB",
    "123 MB",
    "7.70 GB",
  ]);
});
