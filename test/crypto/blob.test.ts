import { describe, expect, test } from "bun:test";
import { createDecipheriv } from "node:crypto";
import { createContentKey, minimumBlobBytes, openBlob, openText, sealBlob, sealText } from "../../src/crypto/blob.ts";
import { expectCode } from "./expect-code.ts";

const key = Uint8Array.from({ length: 32 }, (_, index) => index);
const counting = (length: number) => Uint8Array.from({ length }, (_, index) => index);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

describe("blob", () => {
  test("the vector of the protocol, both ways", async () => {
    const expected = "000102030405060708090a0b2797ff353b8a046d28236dcd9d057bbb2f67ba77aa";
    expect(hex(await sealText(key, "hello", counting))).toBe(expected);
    expect(await openText(key, Buffer.from(expected, "hex"))).toBe("hello");
  });

  test("another implementation of AES-GCM opens ours", async () => {
    const plaintext = crypto.getRandomValues(new Uint8Array(70_000).subarray(0, 60_000));
    const blob = await sealBlob(key, plaintext);
    const decipher = createDecipheriv("aes-256-gcm", key, blob.subarray(0, 12));
    decipher.setAuthTag(blob.subarray(12, 28));
    expect(hex(Buffer.concat([decipher.update(blob.subarray(28)), decipher.final()]))).toBe(hex(plaintext));
  });

  test.each([
    "",
    "a",
    "héllo, 世界",
    "\ufeffwith a mark",
    "\u0000",
    "👩‍🚀".repeat(5000),
  ])("a text comes back: %#", async (text) => {
    expect(await openText(key, await sealText(key, text))).toBe(text);
  });

  test("an empty text makes the shortest blob", async () => {
    expect((await sealText(key, "")).length).toBe(minimumBlobBytes);
  });

  test("every blob has its own IV, every key is its own", async () => {
    const [first, second] = [await sealText(key, "same"), await sealText(key, "same")];
    expect(hex(first.subarray(0, 12))).not.toBe(hex(second.subarray(0, 12)));
    expect(hex(createContentKey())).not.toBe(hex(createContentKey()));
    expect(createContentKey().length).toBe(32);
  });

  test.each([0, 1, 12, 27])("%d bytes are too few", async (length) => {
    await expectCode(() => openBlob(key, new Uint8Array(length)), "BLOB_TOO_SHORT");
  });

  test("a flipped bit anywhere, a cut or a longer blob is refused", async () => {
    const blob = await sealText(key, "the prompt");
    for (let index = 0; index < blob.length; index++) {
      const changed = blob.slice();
      changed[index]! ^= 1 << (index % 8);
      const error = await expectCode(() => openBlob(key, changed), "BLOB_AUTHENTICATION_FAILED");
      expect(error.cause).toBeUndefined();
    }
    await expectCode(() => openBlob(key, blob.subarray(0, -1)), "BLOB_AUTHENTICATION_FAILED");
    await expectCode(() => openBlob(key, Buffer.concat([blob, Buffer.of(0)])), "BLOB_AUTHENTICATION_FAILED");
    await expectCode(() => openBlob(new Uint8Array(32), blob), "BLOB_AUTHENTICATION_FAILED");
  });

  test("the legacy layout with a 16-byte IV does not open", async () => {
    await expectCode(() => openBlob(key, new Uint8Array(32)), "BLOB_AUTHENTICATION_FAILED");
  });

  test.each([0, 16, 31, 33])("a key of %d bytes is refused", async (length) => {
    await expectCode(() => sealText(new Uint8Array(length), "x"), "BLOB_KEY_INVALID");
    await expectCode(() => openBlob(new Uint8Array(length), new Uint8Array(28)), "BLOB_KEY_INVALID");
  });

  test.each(["ff", "c3", "eda080", "c080", "f5808080"])("plaintext %s is not UTF-8", async (bytes) => {
    const blob = await sealBlob(key, Buffer.from(bytes, "hex"));
    await expectCode(() => openText(key, blob), "PROMPT_NOT_UTF8");
  });

  test("half of a surrogate pair cannot be sealed", async () => {
    await expectCode(() => sealText(key, "x\udc00"), "TEXT_NOT_UNICODE");
  });
});
