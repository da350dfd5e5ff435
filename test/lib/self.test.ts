import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { childEnvironment, isCompiled, selfCommand, workerUrl } from "../../src/lib/self.ts";

const canary = "canary-91ab";
const hostile = {
  BLF_KEY_PASSWORD: canary,
  BLF_PRIVATE_KEY: canary,
  BLF_KEY_PASSWORD_FILE: canary,
  BLF_IPFS_UPLOAD_JWT: canary,
  PINATA_JWT: canary,
  GROQ_API_KEY: canary,
  GOOGLE_API_KEY: canary,
  MOCK_ATTESTATION_KEY: canary,
  AWS_SECRET_ACCESS_KEY: canary,
  ANY_OTHER_VARIABLE: canary,
  BUN_OPTIONS: `--preload ${canary}`,
  BUN_BE_BUN: canary,
  BUN_INSPECT: canary,
  BUN_CONFIG_REGISTRY: canary,
  NODE_OPTIONS: canary,
  LD_PRELOAD: canary,
  LD_LIBRARY_PATH: canary,
  DYLD_INSERT_LIBRARIES: canary,
};

describe("childEnvironment", () => {
  let before: Record<string, string | undefined>;
  beforeEach(() => {
    before = { ...process.env };
    Object.assign(process.env, hostile, { HOME: "/home/test", TMPDIR: "/tmp/test", TZ: "UTC" });
  });
  afterEach(() => {
    for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
    Object.assign(process.env, before);
  });

  test("passes on only what is on its list, so no secret and no switch of the runtime", () => {
    const environment = childEnvironment();
    expect(JSON.stringify(environment)).not.toContain(canary);
    expect(environment).toMatchObject({ HOME: "/home/test", TMPDIR: "/tmp/test", TZ: "UTC" });
    const names = new Set(Object.keys(environment));
    for (const name of ["HOME", "PATH", "TMPDIR", "XDG_CACHE_HOME", "LANG", "LC_ALL", "TZ", "NO_COLOR", "TERM"])
      names.delete(name);
    expect([...names].sort()).toEqual([
      "BUN_ENABLE_CRASH_REPORTING",
      "BUN_FEATURE_FLAG_NO_ORPHANS",
      "GGML_NO_BACKTRACE",
    ]);
  });

  test("adds what the caller wants the child to have", () => {
    const environment = childEnvironment({ BLF_CONFIG_DIR: "/data", TZ: "Asia/Tokyo" });
    expect(environment).toMatchObject({ BLF_CONFIG_DIR: "/data", TZ: "Asia/Tokyo", BUN_FEATURE_FLAG_NO_ORPHANS: "1" });
  });

  test("a variable that is not set stays unset", () => {
    delete process.env["XDG_CACHE_HOME"];
    expect("XDG_CACHE_HOME" in childEnvironment()).toBe(false);
  });

  test("a child that is started with it sees no secret", async () => {
    const child = Bun.spawn([process.execPath, "-e", "console.log(JSON.stringify(process.env))"], {
      env: childEnvironment(),
      stdout: "pipe",
    });
    const seen = JSON.parse(await child.stdout.text()) as Record<string, string>;
    expect(seen["HOME"]).toBe("/home/test");
    expect(JSON.stringify(seen)).not.toContain(canary);
  });
});

test("started from its sources, the program starts itself with the same runtime", () => {
  expect(isCompiled).toBe(false);
  const [runtime, script, ...args] = selfCommand(["run", "--log-level", "debug"]);
  expect([runtime, args]).toEqual([process.execPath, ["run", "--log-level", "debug"]]);
  expect(existsSync(script!)).toBe(true);
  expect(existsSync(fileURLToPath(workerUrl("cofhe/prover-worker.ts")))).toBe(true);
});
