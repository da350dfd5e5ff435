import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { outputs } from "../../src/cli/keys.ts";
import { document } from "./document.ts";
import { errorText, failure } from "./expect-error.ts";
import { address, nodeDirectory, password, privateKey } from "./node-directory.ts";
import { runCli } from "./run-cli.ts";
import { enter, runOnTerminal } from "./terminal.ts";

setDefaultTimeout(60_000);

describe("keys address", () => {
  test("comes from the keystore, without a password", async () => {
    using node = nodeDirectory({ node_address: `0x${"11".repeat(20)}` });
    expect((await runCli(["keys", "address"], node)).stdout).toBe(`${address}\n`);
    const shown = await document<object>(["keys", "address"], node, outputs, "keys address");
    expect(shown).toMatchObject({ address, keystore: join(node.dir, "keystore.json") });
  });

  test("comes from the configuration when the keystore does not say it", async () => {
    using node = nodeDirectory();
    const keystore = JSON.parse(readFileSync(join(node.dir, "keystore.json"), "utf8")) as Record<string, unknown>;
    delete keystore["address"];
    node.write("keystore.json", JSON.stringify(keystore));
    expect((await runCli(["keys", "address"], node)).stdout).toBe(`${address}\n`);
  });

  test("of a damaged keystore is an error", async () => {
    using node = nodeDirectory();
    node.write("keystore.json", "{");
    expect(await failure(["keys", "address"], node)).toContain("[KEYSTORE_CORRUPT]");
    node.write("keystore.json", '{"version":3,"address":"0x12"}');
    expect(await failure(["keys", "address"], node)).toContain("its address is not an address [KEYSTORE_CORRUPT]");
  });
});

describe("keys export", () => {
  test("prints the private key and nothing else", async () => {
    using node = nodeDirectory();
    const args = ["keys", "export", "--yes-i-know"];
    expect(await runCli(args, { env: node.unlocked })).toEqual({ code: 0, stdout: `${privateKey}\n`, stderr: "" });
    const shown = await document<object>(args, { env: node.unlocked }, outputs, "keys export");
    expect(shown).toEqual({ ok: true, address, privateKey });
  });

  test("needs a confirmation and the password", async () => {
    using node = nodeDirectory();
    const lines = [
      await failure(["keys", "export"], { env: node.unlocked }),
      await failure(["keys", "export", "--yes-i-know"], node),
      await failure(["keys", "export", "--yes-i-know"], { env: { ...node.env, BLF_KEY_PASSWORD: "hunter2hunter2" } }),
    ];
    expect(lines.join()).not.toContain("hunter2");
    expect(lines).toMatchInlineSnapshot(`
      [
        "2 The private key is not printed without a confirmation [EXPORT_NOT_CONFIRMED] | Pass --yes-i-know, and mind where standard output goes.",
        "4 The keystore needs its password and there is no terminal to ask for it [PASSWORD_MISSING] | Set BLF_KEY_PASSWORD or BLF_KEY_PASSWORD_FILE, or pass --password-stdin.",
        "4 The password does not open this keystore [KEYSTORE_PASSWORD_WRONG] | Type the password chosen at init, or set BLF_KEY_PASSWORD.",
      ]
    `);
  });

  test("on a terminal asks for a typed word", async () => {
    using node = nodeDirectory();
    for (const [word, code] of [
      ["yes", 1],
      ["export", 0],
    ] as const) {
      await using terminal = runOnTerminal(["keys", "export"], { env: node.unlocked });
      await terminal.see('Type "export" to print it');
      terminal.type(`${word}${enter}`);
      expect(await terminal.ended).toBe(code);
      expect(terminal.text().includes(privateKey)).toBe(word === "export");
    }
  });
});

describe("keys change-password", () => {
  test("the new password opens the same key, and the old one no longer does", async () => {
    using node = nodeDirectory();
    const stdin = `${password}\na new password\n`;
    const args = ["keys", "change-password", "--password-stdin", "--new-password-stdin"];
    const shown = await document<object>(args, { ...node, stdin }, outputs, "keys change-password");
    expect(shown).toMatchObject({ address, keystore: join(node.dir, "keystore.json") });
    expect(readdirSync(node.dir).sort()).toEqual(["config.json", "keystore.json"]);
    const exported = ["keys", "export", "--yes-i-know"];
    const open = (BLF_KEY_PASSWORD: string) => runCli(exported, { env: { ...node.env, BLF_KEY_PASSWORD } });
    expect((await open("a new password")).stdout).toBe(`${privateKey}\n`);
    expect(errorText(await open(password))).toContain("[KEYSTORE_PASSWORD_WRONG]");
  });

  test("takes both passwords from the environment too", async () => {
    using node = nodeDirectory();
    const env = { ...node.unlocked, BLF_NEW_KEY_PASSWORD: "another new one" };
    const { code, stdout, stderr } = await runCli(["keys", "change-password"], { env });
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).not.toContain("another new one");
  });

  test("that cannot be done leaves the keystore as it was", async () => {
    using node = nodeDirectory();
    const file = join(node.dir, "keystore.json");
    const before = readFileSync(file, "utf8");
    const lines: string[] = [];
    const attempt = async (env: Record<string, string>, flags: string[] = [], stdin?: string) => {
      const options = { env: { ...node.env, ...env }, ...(stdin === undefined ? {} : { stdin }) };
      lines.push(await failure(["keys", "change-password", ...flags], options, node.dir));
    };
    await attempt({ BLF_KEY_PASSWORD: password });
    await attempt({ BLF_NEW_KEY_PASSWORD: "a new password" });
    await attempt({ BLF_KEY_PASSWORD: "wrong wrong", BLF_NEW_KEY_PASSWORD: "a new password" });
    await attempt({ BLF_KEY_PASSWORD: password, BLF_NEW_KEY_PASSWORD: "short" });
    await attempt({ BLF_KEY_PASSWORD: password, BLF_NEW_KEY_PASSWORD: password });
    await attempt({}, ["--password-stdin", "--new-password-stdin"], `${password}\n`);
    await attempt({ BLF_KEY_PASSWORD: password }, ["--new-password-stdin"], "");
    expect(readFileSync(file, "utf8")).toBe(before);
    expect(readdirSync(node.dir).sort()).toEqual(["config.json", "keystore.json"]);
    expect(lines).toMatchInlineSnapshot(`
      [
        "4 There is no new password, and no terminal to ask for it [NEW_PASSWORD_MISSING] | Set BLF_NEW_KEY_PASSWORD, or pass --new-password-stdin.",
        "4 The keystore needs its password and there is no terminal to ask for it [PASSWORD_MISSING] | Set BLF_KEY_PASSWORD or BLF_KEY_PASSWORD_FILE, or pass --password-stdin.",
        "4 The password does not open this keystore [KEYSTORE_PASSWORD_WRONG] | Type the password chosen at init, or set BLF_KEY_PASSWORD.",
        "2 The password has fewer than 8 characters [PASSWORD_TOO_SHORT] | Choose a longer one: it is all that protects the key on this disk.",
        "2 The new password is the old one [PASSWORD_UNCHANGED] | Choose another one.",
        "2 The password has fewer than 8 characters [PASSWORD_TOO_SHORT] | Choose a longer one: it is all that protects the key on this disk.",
        "2 The password has fewer than 8 characters [PASSWORD_TOO_SHORT] | Choose a longer one: it is all that protects the key on this disk.",
      ]
    `);
  });
});
