import { afterAll, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createProbeCommand } from "../../src/hardware/probe-command.ts";

const directory = mkdtempSync(join(tmpdir(), "blf-tools-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const path = `${directory}:/usr/bin:/bin`;

function tool(name: string, script: string): void {
  writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(directory, name), 0o755);
}

test("a tool's output is given, with its arguments and without our environment", async () => {
  tool("smi", 'echo "$1 $(printenv BLF_SECRET_CANARY || echo nothing)"');
  process.env["BLF_SECRET_CANARY"] = "leaked";
  try {
    expect(await createProbeCommand({ path })("smi", ["--query"])).toBe("--query nothing\n");
  } finally {
    delete process.env["BLF_SECRET_CANARY"];
  }
});

test("a tool that is missing, fails, cannot be started or never ends is as if it were not there", async () => {
  tool("failing", "echo text; exit 9");
  tool("endless", "echo text; exec sleep 60");
  writeFileSync(join(directory, "broken"), "#!/nonexistent/interpreter\n");
  chmodSync(join(directory, "broken"), 0o755);
  const run = createProbeCommand({ path, timeoutMs: 300 });
  const started = performance.now();
  expect(await Promise.all(["missing", "failing", "endless", "broken"].map((name) => run(name, [])))).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  expect(performance.now() - started).toBeLessThan(20_000);
});
