import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { verifyMessage } from "ethers";
import { Secret } from "../../src/lib/secret.ts";
import { encryptKeystore } from "../../src/wallet/keystore.ts";
import { readKeystore, writeKeystore } from "../../src/wallet/keystore-file.ts";
import { createPrivateKey, parsePrivateKey } from "../../src/wallet/private-key.ts";
import { unlockWallet, walletFromPrivateKey } from "../../src/wallet/wallet.ts";
import { expectCode } from "../crypto/expect-code.ts";

const digits = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
const address = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const password = new Secret("pw");
const light = { scryptN: 1024 };
const directory = mkdtempSync(join(tmpdir(), "blf-wallet-"));
let next = 0;
const freshPath = () => join(directory, `wallet-${next++}`, "keystore.json");

afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe("private keys", () => {
  test.each([digits, `0x${digits}`, `0X${digits.toUpperCase()}`, `  ${digits}\n`])("%# is read", (text) => {
    expect(parsePrivateKey(text).reveal()).toBe(`0x${digits}`);
  });

  const order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
  test.each([
    "",
    "0x",
    digits.slice(1),
    `${digits}0`,
    `0x0x${digits}`,
    `g${digits.slice(1)}`,
    "0".repeat(64),
    order,
  ])("%# is refused without repeating it", async (text) => {
    const error = await expectCode(() => parsePrivateKey(text), "PRIVATE_KEY_INVALID");
    if (text.length > 2) expect(inspect(error)).not.toContain(text);
  });

  test("a new key is drawn again when it falls outside of the curve", () => {
    const draws = [new Uint8Array(32), Uint8Array.from(Buffer.from(order, "hex")), new Uint8Array(32).fill(7)];
    expect(createPrivateKey(() => draws.shift()!).reveal()).toBe(`0x${"07".repeat(32)}`);
    expect(createPrivateKey().reveal()).not.toBe(createPrivateKey().reveal());
  });
});

describe("wallet", () => {
  test("has the address of the vector, signs as itself and prints no key", async () => {
    const wallet = walletFromPrivateKey(parsePrivateKey(digits));
    expect(wallet.address).toBe(address);
    const signature = await wallet.account.signMessage({ message: "1750000000" });
    expect(signature).toBe(
      "0xbcd85a436178eca8638f6660bdf85f8a2475b3f2d4a5532a3eb64949195c14d0334e70bbf02c0e7d8df3845fe9a51a68d8762d19900a543b112bb491511fff211c",
    );
    expect(verifyMessage("1750000000", signature)).toBe(address);
    expect(inspect(wallet, { depth: 9, showHidden: true }) + JSON.stringify(wallet)).not.toContain(digits);
  });

  test("a written keystore unlocks, and what one unlock sealed the next one opens", async () => {
    const path = freshPath();
    writeKeystore(path, await encryptKeystore(parsePrivateKey(digits), password, light));
    const first = await unlockWallet({ path, password });
    expect(first.address).toBe(address);
    const sealed = await (await first.sealer("output-key")).seal("job", Uint8Array.of(1, 2, 3));
    const second = await unlockWallet({ path, password });
    expect(await (await second.sealer("output-key")).open("job", sealed)).toEqual(Uint8Array.of(1, 2, 3));
  });

  test("a missing keystore ends with exit code 3", async () => {
    const error = await expectCode(() => unlockWallet({ path: freshPath(), password }), "KEYSTORE_NOT_FOUND");
    expect(error.exitCode).toBe(3);
  });

  test("a wrong password ends with exit code 4", async () => {
    const path = freshPath();
    writeKeystore(path, await encryptKeystore(parsePrivateKey(digits), password, light));
    const error = await expectCode(
      () => unlockWallet({ path, password: new Secret("other") }),
      "KEYSTORE_PASSWORD_WRONG",
    );
    expect(error.exitCode).toBe(4);
  });
});

describe("keystore file", () => {
  test("is readable by its owner only, in a directory of its own, and nothing else is left", () => {
    const path = freshPath();
    writeKeystore(path, "{}");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(path, "..")).mode & 0o777).toBe(0o700);
    expect(readdirSync(join(path, ".."))).toEqual(["keystore.json"]);
    expect(readKeystore(path)).toBe("{}");
  });

  test("is never overwritten", async () => {
    const path = freshPath();
    writeKeystore(path, "first");
    await expectCode(() => writeKeystore(path, "second"), "KEYSTORE_EXISTS");
    expect(readFileSync(path, "utf8")).toBe("first");
    expect(readdirSync(join(path, ".."))).toEqual(["keystore.json"]);
  });

  test("of two processes that write at once exactly one wins", async () => {
    const path = freshPath();
    const module = join(import.meta.dir, "../../src/wallet/keystore-file.ts");
    const script = (text: string) =>
      `const { writeKeystore } = await import(${JSON.stringify(module)});
       try { writeKeystore(${JSON.stringify(path)}, ${JSON.stringify(text)}); console.log("won"); } catch (error) { console.log(error.code); }`;
    const run = async (text: string) => {
      const child = Bun.spawn([process.execPath, "-e", script(text)], { stdout: "pipe" });
      return { text, said: (await new Response(child.stdout).text()).trim() };
    };
    const results = await Promise.all(["a", "b"].map(run));
    expect(results.map(({ said }) => said).sort()).toEqual(["KEYSTORE_EXISTS", "won"]);
    expect(readFileSync(path, "utf8")).toBe(results.find(({ said }) => said === "won")!.text);
  });

  test("a file that is far too large, or a directory, is refused", async () => {
    const path = freshPath();
    writeKeystore(path, "x".repeat(70_000));
    await expectCode(() => readKeystore(path), "KEYSTORE_CORRUPT");
    await expectCode(() => readKeystore(directory), "FILE_EISDIR");
  });

  test.skipIf(process.getuid?.() === 0)("a directory that cannot be written is said plainly", async () => {
    const path = freshPath();
    writeFileSync(join(directory, "file"), "");
    chmodSync(directory, 0o500);
    try {
      await expectCode(() => writeKeystore(path, "{}"), "FILE_EACCES");
      expect(existsSync(path)).toBe(false);
    } finally {
      chmodSync(directory, 0o700);
    }
  });

  test("a path through a file is said plainly", async () => {
    const path = freshPath();
    writeKeystore(path, "{}");
    await expectCode(() => writeKeystore(join(path, "deeper", "below.json"), "{}"), "FILE_ENOTDIR");
  });
});
