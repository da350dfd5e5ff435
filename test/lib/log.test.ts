import { describe, expect, test } from "bun:test";
import { createLogger, type LogFormat, type LogLevel, logLevels } from "../../src/lib/log.ts";
import { printable } from "../../src/lib/printable.ts";
import { jumpingClock } from "./jumping-clock.ts";

function recorder(level: LogLevel, format: LogFormat) {
  const lines: string[] = [];
  const log = createLogger({ level, format, clock: jumpingClock(), write: (line) => lines.push(line) });
  return { log, lines };
}

/** What a hostile peer would like to send to a terminal, or into a log that is read line by line. */
const hostile =
  "ok\n2026-01-01T00:00:00.000Z ERROR forged\r\u001b[2J\u009b31m\u202eright\u2066\u2028\u0085\u007f\u061c\u200e\u200f\u0000";

describe("a logger", () => {
  test.each(
    logLevels.map((level, index) => [level, logLevels.slice(index)] as const),
  )("of level %s writes %p", (level, expected) => {
    const { log, lines } = recorder(level, "json");
    for (const each of logLevels) log[each](`a ${each} line`);
    expect(lines.map((line) => (JSON.parse(line) as { level: string }).level)).toEqual([...expected]);
  });

  test("as text: time in UTC, level, message, fields", () => {
    const { log, lines } = recorder("debug", "text");
    log.info("node ready", { jobId: "0x11", count: 0, reason: undefined as never });
    log.error("failed");
    expect(lines).toEqual([
      "2025-06-15T15:06:40.000Z INFO  node ready jobId=0x11 count=0",
      "2025-06-15T15:06:40.000Z ERROR failed",
    ]);
  });

  test("as JSON: one object per line", () => {
    const { log, lines } = recorder("info", "json");
    log.warn("slow", { ms: 1200, model: "groq:é" });
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { time: "2025-06-15T15:06:40.000Z", level: "warn", message: "slow", ms: 1200, model: "groq:é" },
    ]);
  });

  test("`with` adds its fields to every line, the line's own winning", () => {
    const { log, lines } = recorder("info", "text");
    const job = log.with({ jobId: "0x11", role: "leader" }).with({ model: "m" });
    job.info("claimed", { role: "verifier" });
    log.info("other");
    expect(lines.map((line) => line.slice(31))).toEqual(["claimed jobId=0x11 role=verifier model=m", "other"]);
  });

  test.each(["text", "json"] as const)("as %s: hostile text makes neither a second line nor an escape", (format) => {
    const { log, lines } = recorder("info", format);
    log.info(hostile, { reason: hostile, model: "a b=c level=error" });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(
      /^[^\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]+$/,
    );
    expect(lines[0]).toContain("\\u001b[2J");
  });

  test("as JSON: hostile text is read back as it was", () => {
    const { log, lines } = recorder("info", "json");
    log.info(hostile, { reason: hostile });
    expect(JSON.parse(lines[0]!)).toMatchObject({ message: hostile, reason: hostile });
  });
});

describe("printable", () => {
  test("makes control characters visible and leaves writing alone", () => {
    expect(printable("a\nb\tc\u001b[0m\u009b\u202e")).toBe("a\\u000ab\\u0009c\\u001b[0m\\u009b\\u202e");
    expect(printable("\u061c\u200e\u200f")).toBe("\\u061c\\u200e\\u200f");
    expect(printable('héllo, 世界 "quoted" 🙂 שלום')).toBe('héllo, 世界 "quoted" 🙂 שלום');
  });

  test("escapes every control character there is", () => {
    const controls = Array.from({ length: 0xa0 }, (_, code) => String.fromCharCode(code)).filter((c) =>
      /\p{Cc}/u.test(c),
    );
    expect(controls).toHaveLength(65);
    for (const character of controls) expect(printable(character)).toMatch(/^\\u00[0-9a-f]{2}$/);
  });
});
