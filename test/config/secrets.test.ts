import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import { requirePassword, type Secrets, takeSecrets } from "../../src/config/secrets.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { dataDirectory } from "./directory.ts";

const table: [variable: string, key: keyof Secrets][] = [
  ["BLF_PRIVATE_KEY", "privateKey"],
  ["BLF_KEY_PASSWORD", "keyPassword"],
  ["BLF_IPFS_UPLOAD_JWT", "ipfsUploadJwt"],
  ["PINATA_JWT", "ipfsUploadJwt"],
  ["GROQ_API_KEY", "groqApiKey"],
  ["GOOGLE_API_KEY", "googleApiKey"],
  ["BLF_VLLM_API_KEY", "vllmApiKey"],
  ["VLLM_API_KEY", "vllmApiKey"],
  ["MOCK_ATTESTATION_KEY", "mockAttestationKey"],
  ["HF_TOKEN", "hubToken"],
];

describe("takeSecrets", () => {
  test.each(table)("wraps %s and takes it out of the environment", (variable, key) => {
    const env: Record<string, string | undefined> = { [variable]: "canary-77", HOME: "/home/x" };
    const secrets = takeSecrets(env);
    expect(secrets[key]!.reveal()).toBe("canary-77");
    expect(env).toEqual({ HOME: "/home/x" });
    expect(inspect(secrets, { depth: 5 }) + JSON.stringify(secrets)).not.toContain("canary-77");
  });

  test("an empty variable is no secret", () => {
    const env = { BLF_KEY_PASSWORD: "", GROQ_API_KEY: "" };
    expect(takeSecrets(env)).toEqual({});
    expect(Object.keys(env)).toEqual([]);
  });

  test("our name wins over the original's, and both are taken out", () => {
    const env = { PINATA_JWT: "second", BLF_IPFS_UPLOAD_JWT: "first" };
    expect(takeSecrets(env).ipfsUploadJwt!.reveal()).toBe("first");
    expect(Object.keys(env)).toEqual([]);
  });

  test("the real environment of this process loses them for its children too", async () => {
    process.env["BLF_KEY_PASSWORD"] = "canary-78";
    expect(takeSecrets(process.env).keyPassword!.reveal()).toBe("canary-78");
    const child = Bun.spawn([process.execPath, "-e", "console.log(JSON.stringify(process.env))"], {
      env: process.env,
      stdout: "pipe",
    });
    const seen = await child.stdout.text();
    expect(seen).toContain('"PATH"');
    expect(seen).not.toContain("canary-78");
  });
});

describe("BLF_KEY_PASSWORD_FILE", () => {
  test.each([
    ["one line", "correct horse\n", "correct horse"],
    ["no end of line", "correct horse", "correct horse"],
    ["Windows' end of line", "correct horse\r\n", "correct horse"],
    ["several lines", "first\nsecond\n", "first"],
    ["blanks, which belong to it", " pass word ", " pass word "],
  ])("%s", (_name, content, password) => {
    using data = dataDirectory();
    const path = join(data.dir, "password");
    writeFileSync(path, content);
    expect(takeSecrets({ BLF_KEY_PASSWORD_FILE: path }).keyPassword!.reveal()).toBe(password);
  });

  test("gives way to BLF_KEY_PASSWORD", () => {
    const env = { BLF_KEY_PASSWORD: "direct", BLF_KEY_PASSWORD_FILE: "/nonexistent" };
    expect(takeSecrets(env).keyPassword!.reveal()).toBe("direct");
  });

  test("that is not there is an error in words", async () => {
    const error = await expectCode(() => takeSecrets({ BLF_KEY_PASSWORD_FILE: "/nonexistent/pw" }), "FILE_ENOENT");
    expect(error.message).toBe("Cannot read the password from /nonexistent/pw (ENOENT)");
  });
});

test("a missing password is an error of authentication", async () => {
  const error = await expectCode(() => requirePassword({}), "PASSWORD_MISSING");
  expect(error.exitCode).toBe(4);
  const { keyPassword } = takeSecrets({ BLF_KEY_PASSWORD: "x" });
  expect(requirePassword({ keyPassword: keyPassword! }).reveal()).toBe("x");
});
