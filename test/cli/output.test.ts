import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { errorText } from "./expect-error.ts";
import { nodeDirectory } from "./node-directory.ts";
import { runCli } from "./run-cli.ts";

setDefaultTimeout(60_000);

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const through = (redirection: string) => ["/bin/sh", "-c", `"$@" ${redirection}`, "sh", process.execPath, main];
const hasFullDevice = existsSync("/dev/full");

test.skipIf(!hasFullDevice)("a result that cannot be written is an error in words", async () => {
  using node = nodeDirectory();
  for (const args of [["status"], ["status", "--json"], ["--help"]]) {
    const result = await runCli(args, { env: node.env, command: through("> /dev/full") });
    expect(errorText(result)).toBe(
      "1 Cannot write to standard output (ENOSPC) [FILE_ENOSPC] | The disk is full: free some space and run the command again.",
    );
  }
});

test.skipIf(!hasFullDevice)("logs that cannot be written do not change the result", async () => {
  using node = nodeDirectory();
  const { code, stdout } = await runCli(["status", "--json"], { env: node.env, command: through("2> /dev/full") });
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ ok: true, live: false });
});

test("a reader that has seen enough is no error", async () => {
  const { stdout, stderr } = await runCli(["--help"], { command: through("| head -c 5") });
  expect([stdout, stderr]).toEqual(["Usage", ""]);
});

test("status of a node that does not run: a table for people, one document with --json", async () => {
  using node = nodeDirectory();
  const [table, document] = await Promise.all([
    runCli(["status"], { env: node.env }),
    runCli(["status", "--json"], { env: node.env }),
  ]);
  expect([table.code, table.stderr, document.code, document.stderr]).toEqual([0, "", 0, ""]);
  expect(table.stdout).toContain("state        not running\n");
  expect(table.stdout).toContain("to do        no valid attestation certificate: blindference attest\n");
  expect(JSON.parse(document.stdout)).toMatchObject({
    ok: true,
    live: false,
    address: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    network: "devnet",
    certificate: { expiresAt: null },
    models: [],
  });
});

test("the daemon survives a network that is not there, and ends in order on SIGTERM", async () => {
  using node = nodeDirectory();
  const { code, stdout, stderr } = await runCli(["run", "--log-format", "json", "--log-level", "info"], {
    env: node.unlocked,
    signal: { after: '"message":"node ready"', name: "SIGTERM" },
  });
  expect([code, stdout]).toEqual([0, ""]);
  const lines = stderr
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { message: string; code?: string });
  const codes = new Set(lines.map((line) => line.code));
  expect(codes).toContain("CHAIN_UNREACHABLE");
  expect(codes).toContain("ICL_UNREACHABLE");
  expect(lines.at(-1)!.message).toBe("node stopped");
});
