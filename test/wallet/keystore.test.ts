import { describe, expect, test } from "bun:test";
import { decryptKeystoreJson, encryptKeystoreJsonSync } from "ethers";
import type { Hex } from "viem";
import { Secret } from "../../src/lib/secret.ts";
import { decryptKeystore, encryptKeystore } from "../../src/wallet/keystore.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { pbkdf2Vector, scryptVector, vectorKey, vectorPassword } from "./keystore-vectors.ts";

const privateKey = new Secret<Hex>("0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d");
const address = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const password = new Secret("correct horse");
const light = { scryptN: 1024 };

type Parsed = { version: number; id: string; address: string; crypto: typeof scryptVector.crypto };

async function parsedKeystore(): Promise<Parsed> {
  return JSON.parse(await encryptKeystore(privateKey, password, light));
}

describe("keystores of others", () => {
  test.each([
    ["pbkdf2", pbkdf2Vector],
    ["scrypt", scryptVector],
  ])("the published %s vector opens", async (_name, vector) => {
    const opened = await decryptKeystore(JSON.stringify(vector), new Secret(vectorPassword));
    expect(opened.reveal()).toBe(vectorKey);
  });

  test("one that ethers wrote opens", async () => {
    const json = encryptKeystoreJsonSync({ address, privateKey: privateKey.reveal() }, "pässwörd", {
      scrypt: { N: 1024, r: 8, p: 1 },
    });
    expect((await decryptKeystore(json, new Secret("pässwörd"))).reveal()).toBe(privateKey.reveal());
  });

  test("a password that the other tool did not normalise opens too", async () => {
    const raw = "ﬁve";
    const encrypted = await encryptKeystore(privateKey, new Secret("five"), light);
    expect((await decryptKeystore(encrypted, new Secret(raw))).reveal()).toBe(privateKey.reveal());
  });

  test("the spellings of old tools: Crypto, 0x, a missing or checksummed address, a version in quotes", async () => {
    const { crypto, ...rest } = await parsedKeystore();
    const prefixed = { ...crypto, mac: `0x${crypto.mac}`, ciphertext: `0x${crypto.ciphertext}` };
    for (const variant of [
      { ...rest, Crypto: crypto },
      { ...rest, crypto: prefixed, address },
      { ...rest, crypto, address: undefined },
      { ...rest, crypto, address: "" },
      { ...rest, crypto, version: "3" },
    ])
      expect((await decryptKeystore(variant, password)).reveal()).toBe(privateKey.reveal());
  });
});

describe("our keystores", () => {
  test("with the default cost, ethers opens them", async () => {
    const json = await encryptKeystore(privateKey, password);
    const { crypto, id, version, address: written }: Parsed = JSON.parse(json);
    expect(crypto.kdfparams).toMatchObject({ n: 262144, r: 8, p: 1, dklen: 32 });
    expect([version, written]).toEqual([3, address.slice(2).toLowerCase()]);
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const opened = await decryptKeystoreJson(json, "correct horse");
    expect(opened.privateKey).toBe(privateKey.reveal());
    expect(opened.address).toBe(address);
  }, 30_000);

  test("a password beyond ASCII opens in ethers and here", async () => {
    const json = await encryptKeystore(privateKey, new Secret("pa\u0308ss 世界 ﬁ"), light);
    expect((await decryptKeystoreJson(json, "päss 世界 ﬁ")).privateKey).toBe(privateKey.reveal());
    expect((await decryptKeystore(json, new Secret("päss 世界 ﬁ"))).reveal()).toBe(privateKey.reveal());
  });

  const python = Bun.which("python3");
  const ethAccount = python !== null && Bun.spawnSync([python, "-c", "import eth_account"]).exitCode === 0;
  test.skipIf(!ethAccount)("eth_account opens them", async () => {
    const json = await encryptKeystore(privateKey, password, light);
    const script =
      "import sys; from eth_account import Account; print(Account.decrypt(sys.stdin.read(), 'correct horse').hex())";
    const run = Bun.spawnSync([python!, "-c", script], { stdin: new TextEncoder().encode(json) });
    expect(run.stdout.toString().trim().replace(/^0x/, "")).toBe(privateKey.reveal().slice(2));
  });

  test("never the same salt, IV or id twice, and nothing of the key in clear", async () => {
    const [first, second] = [await parsedKeystore(), await parsedKeystore()];
    expect(first.crypto.kdfparams.salt).not.toBe(second.crypto.kdfparams.salt);
    expect(first.crypto.cipherparams.iv).not.toBe(second.crypto.cipherparams.iv);
    expect(first.id).not.toBe(second.id);
    expect(JSON.stringify(first)).not.toContain(privateKey.reveal().slice(2));
  });

  test("an empty password is refused", async () => {
    await expectCode(() => encryptKeystore(privateKey, new Secret(""), light), "KEYSTORE_PASSWORD_EMPTY");
  });
});

describe("keystores that do not open", () => {
  test("a wrong password ends with exit code 4 and is not repeated", async () => {
    const json = await encryptKeystore(privateKey, password, light);
    for (const wrong of ["", "correct hors", "correct horse ", "CORRECT HORSE"]) {
      const error = await expectCode(() => decryptKeystore(json, new Secret(wrong)), "KEYSTORE_PASSWORD_WRONG");
      expect(error.exitCode).toBe(4);
    }
  });

  test("a changed ciphertext or MAC is not opened", async () => {
    const keystore = await parsedKeystore();
    for (const field of ["ciphertext", "mac"] as const) {
      const flipped = keystore.crypto[field].replace(/^./, (digit) => (digit === "0" ? "1" : "0"));
      const changed = { ...keystore, crypto: { ...keystore.crypto, [field]: flipped } };
      await expectCode(() => decryptKeystore(changed, password), "KEYSTORE_PASSWORD_WRONG");
    }
  });

  test("a changed IV decrypts to another key, which the address gives away", async () => {
    const keystore = await parsedKeystore();
    const cipherparams = { iv: "00".repeat(16) };
    const changed = { ...keystore, crypto: { ...keystore.crypto, cipherparams } };
    await expectCode(() => decryptKeystore(changed, password), "KEYSTORE_ADDRESS_MISMATCH");
    const otherAddress = { ...keystore, address: "00".repeat(20) };
    await expectCode(() => decryptKeystore(otherAddress, password), "KEYSTORE_ADDRESS_MISMATCH");
  });

  test("damaged files", async () => {
    const keystore = await parsedKeystore();
    const crypto = keystore.crypto;
    const damaged: unknown[] = [
      "",
      "{",
      "null",
      "[]",
      "3",
      JSON.stringify(keystore).slice(0, -2),
      null,
      {},
      { ...keystore, crypto: undefined },
      { ...keystore, address: "xyz" },
      { ...keystore, crypto: { ...crypto, mac: crypto.mac.slice(2) } },
      { ...keystore, crypto: { ...crypto, ciphertext: "zz" } },
      { ...keystore, crypto: { ...crypto, ciphertext: `${crypto.ciphertext}00` } },
      { ...keystore, crypto: { ...crypto, cipherparams: { iv: "00" } } },
      { ...keystore, crypto: { ...crypto, kdfparams: {} } },
      { ...keystore, crypto: { ...crypto, kdfparams: { ...crypto.kdfparams, n: -1024 } } },
      { ...keystore, crypto: { ...crypto, kdfparams: { ...crypto.kdfparams, n: 1.5 } } },
      { ...keystore, crypto: { ...crypto, kdfparams: { ...crypto.kdfparams, dklen: 16 } } },
      { ...keystore, crypto: { ...crypto, kdfparams: { ...crypto.kdfparams, dklen: 1e9 } } },
    ];
    for (const file of damaged) await expectCode(() => decryptKeystore(file, password), "KEYSTORE_CORRUPT");
  });

  test("what we do not open, and costs that would take the machine down, are refused at once", async () => {
    const keystore = await parsedKeystore();
    const crypto = keystore.crypto;
    const scrypt = (params: object) => ({
      ...keystore,
      crypto: { ...crypto, kdfparams: { ...crypto.kdfparams, ...params } },
    });
    const pbkdf2 = (params: object) => ({
      ...pbkdf2Vector,
      crypto: { ...pbkdf2Vector.crypto, kdfparams: { ...pbkdf2Vector.crypto.kdfparams, ...params } },
    });
    const refused: unknown[] = [
      { ...keystore, version: 1 },
      { ...keystore, version: 4 },
      { ...keystore, crypto: { ...crypto, cipher: "aes-256-gcm" } },
      { ...keystore, crypto: { ...crypto, kdf: "argon2id" } },
      scrypt({ n: 1023 }),
      scrypt({ n: 1 }),
      scrypt({ n: 2 ** 30 }),
      scrypt({ n: 2 ** 53 - 1 }),
      scrypt({ r: 2 ** 30 }),
      scrypt({ p: 2 ** 30 }),
      scrypt({ n: 2 ** 18, r: 8, p: 17 }),
      pbkdf2({ c: 2 ** 40 }),
      pbkdf2({ prf: "hmac-md5" }),
    ];
    const started = performance.now();
    for (const file of refused) await expectCode(() => decryptKeystore(file, password), "KEYSTORE_UNSUPPORTED");
    expect(performance.now() - started).toBeLessThan(1000);
  });
});
