import { expect, test } from "bun:test";
import { lstatSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RandomBytes } from "../../src/crypto/random.ts";
import { Secret } from "../../src/lib/secret.ts";
import { changeKeystorePassword } from "../../src/wallet/change-password.ts";
import { decryptKeystore, encryptKeystore } from "../../src/wallet/keystore.ts";
import { createPrivateKey } from "../../src/wallet/private-key.ts";
import { walletFromPrivateKey } from "../../src/wallet/wallet.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";

const oldPassword = new Secret("the old password");
const newPassword = new Secret("the new password");
const cheap = { scryptN: 2 };

async function keystoreIn(dir: string) {
  const path = join(dir, "keystore.json");
  const key = createPrivateKey();
  writeFileSync(path, await encryptKeystore(key, oldPassword, cheap), { mode: 0o600 });
  return { path, key };
}

test("the same key under another password, in the same place, for this user only", async () => {
  using directory = tempDirectory();
  const { path, key } = await keystoreIn(directory.path);
  const address = await changeKeystorePassword({ path, password: oldPassword, newPassword, ...cheap });
  expect(address).toBe(walletFromPrivateKey(key).address);
  const text = readFileSync(path, "utf8");
  expect((await decryptKeystore(text, newPassword)).reveal()).toBe(key.reveal());
  await expectCode(() => decryptKeystore(text, oldPassword), "KEYSTORE_PASSWORD_WRONG");
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(directory.path)).toEqual(["keystore.json"]);
});

test("a keystore that is a link stays one, and the file behind it changes", async () => {
  using directory = tempDirectory();
  mkdirSync(join(directory.path, "vault"));
  const { path, key } = await keystoreIn(join(directory.path, "vault"));
  const link = join(directory.path, "link.json");
  symlinkSync(path, link);
  await changeKeystorePassword({ path: link, password: oldPassword, newPassword, ...cheap });
  expect(lstatSync(link).isSymbolicLink()).toBe(true);
  expect((await decryptKeystore(readFileSync(path, "utf8"), newPassword)).reveal()).toBe(key.reveal());
});

test("whatever is wrong, the old file stays", async () => {
  using directory = tempDirectory();
  const { path } = await keystoreIn(directory.path);
  const before = readFileSync(path, "utf8");
  const change = (password: Secret<string>, to: Secret<string>, random?: RandomBytes) =>
    changeKeystorePassword({ path, password, newPassword: to, ...cheap, ...(random ? { random } : {}) });
  await expectCode(() => change(newPassword, oldPassword), "KEYSTORE_PASSWORD_WRONG");
  await expectCode(() => change(oldPassword, oldPassword), "PASSWORD_UNCHANGED");
  await expectCode(() => change(oldPassword, new Secret("")), "KEYSTORE_PASSWORD_EMPTY");
  // An encryption that cannot be opened again: its salt is longer than any that is accepted.
  await expectCode(
    () => change(oldPassword, newPassword, (size) => new Uint8Array(size === 32 ? 300 : size)),
    "KEYSTORE_CORRUPT",
  );
  expect(readFileSync(path, "utf8")).toBe(before);
  expect(readdirSync(directory.path)).toEqual(["keystore.json"]);
});
