import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Wallet } from "ethers";
import { errorText, failure, jsonErrorText } from "./expect-error.ts";
import { address, emptyDirectory, password, privateKey } from "./node-directory.ts";
import { runCli } from "./run-cli.ts";

setDefaultTimeout(60_000);

const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);
const env = (directory: { env: Record<string, string> }, more: Record<string, string> = {}) => ({
  ...directory.env,
  BLF_KEY_PASSWORD: password,
  ...more,
});

describe("init", () => {
  test("imports a key, for this user's eyes only, in a form that ethers opens; a second init changes nothing", async () => {
    using directory = emptyDirectory();
    const { path } = directory;
    const first = await runCli(["init", "--json", "--network", "devnet"], {
      env: env(directory, { BLF_PRIVATE_KEY: privateKey }),
    });
    expect([first.code, first.stderr]).toEqual([0, ""]);
    expect(JSON.parse(first.stdout)).toMatchObject({
      ok: true,
      address,
      keystore: join(path, "keystore.json"),
      config: join(path, "config.json"),
      network: "devnet",
      models: [],
    });
    expect(first.stdout).not.toContain(privateKey.slice(2));
    expect([mode(path), mode(join(path, "keystore.json")), mode(join(path, "config.json"))]).toEqual([
      "700",
      "600",
      "600",
    ]);
    expect(readdirSync(path).sort()).toEqual(["config.json", "keystore.json"]);
    expect(JSON.parse(readFileSync(join(path, "config.json"), "utf8"))).toEqual({
      node_address: address,
      network: "devnet",
    });

    const keystore = readFileSync(join(path, "keystore.json"), "utf8");
    const opened = await Wallet.fromEncryptedJson(keystore, password);
    expect([opened.address, opened.privateKey]).toEqual([address, privateKey]);
    const { kdf, kdfparams } = (JSON.parse(keystore) as { crypto: { kdf: string; kdfparams: object } }).crypto;
    expect([kdf, kdfparams]).toMatchObject(["scrypt", { n: 262_144, r: 8, p: 1 }]);

    const config = readFileSync(join(path, "config.json"), "utf8");
    const again = await failure(["init"], { env: env(directory) }, path);
    expect(again).toBe(
      "1 There is a keystore already: DIR/keystore.json [KEYSTORE_EXISTS] | It is never overwritten. Move it away, or set BLF_CONFIG_DIR to another directory.",
    );
    expect(readFileSync(join(path, "keystore.json"), "utf8")).toBe(keystore);
    expect(readFileSync(join(path, "config.json"), "utf8")).toBe(config);
    expect(readdirSync(path).sort()).toEqual(["config.json", "keystore.json"]);
  });

  test("creates a key of its own, takes the password from standard input, and says what to do next", async () => {
    using directory = emptyDirectory();
    writeFileSync(join(directory.dir, "m.gguf"), "");
    const { code, stdout, stderr } = await runCli(["init", "--password-stdin", "--model", "qwen=m.gguf"], {
      env: directory.env,
      stdin: "a password from a file\n",
      cwd: directory.dir,
    });
    expect([code, stderr]).toEqual([0, ""]);
    const created = /^address +(0x[0-9a-fA-F]{40})$/m.exec(stdout)![1]!;
    expect(created).not.toBe(address);
    expect(stdout).toContain("blindference attest --register\n  blindference staking stake 1000\n  blindference run");
    const config = JSON.parse(readFileSync(join(directory.path, "config.json"), "utf8")) as object;
    expect(config).toEqual({
      node_address: created,
      network: "arbitrum_sepolia",
      models: { qwen: { path: join(directory.dir, "m.gguf") } },
      supported_model_ids: ["qwen"],
    });
    const keystore = readFileSync(join(directory.path, "keystore.json"), "utf8");
    const opened = await Wallet.fromEncryptedJson(keystore, "a password from a file");
    expect(opened.address).toBe(created);
  });

  test("keeps a config.json that is there, and takes nothing else from the environment into it", async () => {
    using directory = emptyDirectory();
    mkdirSync(directory.path);
    writeFileSync(join(directory.path, "config.json"), '{"stake_amount_wei":1000000000000000000001,"tier":1}');
    const { code } = await runCli(["init", "--json"], {
      env: env(directory, { BLF_PRIVATE_KEY: privateKey.slice(2), BLF_LOG_LEVEL: "debug", BLF_STATUS_PORT: "1234" }),
    });
    expect(code).toBe(0);
    const text = readFileSync(join(directory.path, "config.json"), "utf8");
    expect(text).toContain('"stake_amount_wei": 1000000000000000000001,');
    expect(Object.keys(JSON.parse(text) as object).sort()).toEqual([
      "network",
      "node_address",
      "stake_amount_wei",
      "tier",
    ]);
  });

  test("that fails leaves nothing behind", async () => {
    using directory = emptyDirectory();
    const lines: string[] = [];
    const cases: [string, string[], Record<string, string>][] = [
      ["no password", [], {}],
      ["an empty password", [], { BLF_KEY_PASSWORD: "" }],
      ["a short password", [], { BLF_KEY_PASSWORD: "short" }],
      ["a password file that is not there", [], { BLF_KEY_PASSWORD_FILE: "/nonexistent/password" }],
      ["a private key that is none", [], { BLF_KEY_PASSWORD: password, BLF_PRIVATE_KEY: "0xhunter2" }],
      ["a private key of zeros", [], { BLF_KEY_PASSWORD: password, BLF_PRIVATE_KEY: "0".repeat(64) }],
      ["nothing to import", ["--import"], { BLF_KEY_PASSWORD: password }],
      ["a broken configuration", [], { BLF_KEY_PASSWORD: password, BLF_TIER: "9" }],
    ];
    for (const [name, args, more] of cases) {
      const result = await runCli(["init", ...args, "--json"], { env: { ...directory.env, ...more } });
      lines.push(`${name}: ${jsonErrorText(result, directory.path)}`);
      expect(existsSync(directory.path)).toBe(false);
    }
    const empty = await runCli(["init", "--password-stdin"], { env: directory.env, stdin: "\n" });
    lines.push(`an empty standard input: ${errorText(empty)}`);
    expect(existsSync(directory.path)).toBe(false);
    expect(lines.join()).not.toContain("hunter2");
    expect(lines).toMatchInlineSnapshot(`
      [
        "no password: 4 The keystore needs its password and there is no terminal to ask for it [PASSWORD_MISSING] | Set BLF_KEY_PASSWORD or BLF_KEY_PASSWORD_FILE, or pass --password-stdin.",
        "an empty password: 4 The keystore needs its password and there is no terminal to ask for it [PASSWORD_MISSING] | Set BLF_KEY_PASSWORD or BLF_KEY_PASSWORD_FILE, or pass --password-stdin.",
        "a short password: 2 The password has fewer than 8 characters [PASSWORD_TOO_SHORT] | Choose a longer one: it is all that protects the key on this disk.",
        "a password file that is not there: 1 Cannot read the password from /nonexistent/password (ENOENT) [FILE_ENOENT] | Check that the path exists.",
        "a private key that is none: 1 The private key is not valid: it is not 64 hexadecimal digits [PRIVATE_KEY_INVALID] | Give an Ethereum private key: 64 hexadecimal digits, with or without 0x.",
        "a private key of zeros: 1 The private key is not valid: it is outside of the curve's range [PRIVATE_KEY_INVALID] | Give an Ethereum private key: 64 hexadecimal digits, with or without 0x.",
        "nothing to import: 2 There is no private key to import [PRIVATE_KEY_MISSING] | Set BLF_PRIVATE_KEY for this one command.",
        "a broken configuration: 1 "tier" of the environment is not valid: Too big: expected number to be <=2 [CONFIG_INVALID] | Correct or unset BLF_TIER.",
        "an empty standard input: 4 Standard input holds no password [PASSWORD_MISSING] | Pass it as the first line: blindference … --password-stdin < password-file",
      ]
    `);
  });

  test("of a place that cannot be written says so", async () => {
    using directory = emptyDirectory();
    const file = join(directory.dir, "file");
    writeFileSync(file, "");
    const lines = await Promise.all(
      [join(file, "node"), file].map((dir) =>
        failure(["init"], { env: { BLF_KEY_PASSWORD: password, BLF_CONFIG_DIR: dir } }, directory.dir),
      ),
    );
    expect(lines).toMatchInlineSnapshot(`
      [
        "1 Cannot create the directory DIR/file/node (ENOTDIR) [FILE_ENOTDIR] | A part of the path is a file, not a directory: choose another path.",
        "1 Cannot create the directory DIR/file (EEXIST) [FILE_EEXIST] | There is a file of that name: move it away, or choose another path.",
      ]
    `);
    expect(readdirSync(directory.dir)).toEqual(["file"]);
  });

  test.skipIf(process.getuid?.() === 0)(
    "of a directory without permission says so (skipped for root, who may)",
    async () => {
      using directory = emptyDirectory();
      chmodSync(directory.dir, 0o500);
      const line = await failure(["init"], { env: env(directory) }, directory.dir);
      chmodSync(directory.dir, 0o700);
      expect(line).toBe(
        "1 Cannot create the directory DIR/node (EACCES) [FILE_EACCES] | Give this user access to it, or set BLF_CONFIG_DIR to a directory of its own.",
      );
    },
  );
});
