import { describe, expect, test } from "bun:test";
import { createDecipheriv, hkdfSync } from "node:crypto";
import type { Hex } from "viem";
import { createSealer } from "../../src/crypto/sealing.ts";
import { Secret } from "../../src/lib/secret.ts";
import { expectCode } from "./expect-code.ts";

const privateKey = new Secret<Hex>("0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d");
const otherKey = new Secret<Hex>("0x7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d");
const secret = new Uint8Array(Buffer.from("an output key of a job"));

describe("sealer", () => {
  test("opens what the same wallet sealed, in another process too", async () => {
    const sealed = await (await createSealer(privateKey, "output-key")).seal("job-1", secret);
    expect(await (await createSealer(privateKey, "output-key")).open("job-1", sealed)).toEqual(secret);
    expect(Buffer.from(sealed).includes(Buffer.from(secret))).toBe(false);
  });

  test("is HKDF-SHA256 and AES-256-GCM as another implementation computes them", async () => {
    const sealed = await (await createSealer(privateKey, "p")).seal("id", secret);
    const material = new Uint8Array(Buffer.from(privateKey.reveal().slice(2), "hex"));
    const key = new Uint8Array(hkdfSync("sha256", material, new Uint8Array(32), "blindference sealing v1: p", 32));
    const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, 12));
    decipher.setAAD(Buffer.from("1:pid"));
    decipher.setAuthTag(sealed.subarray(-16));
    const opened = Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]);
    expect(opened.equals(secret)).toBe(true);
  });

  test("another wallet, purpose or id does not open it, nor changed or cut bytes", async () => {
    const sealer = await createSealer(privateKey, "output-key");
    const sealed = await sealer.seal("job-1", secret);
    const refused = (action: () => unknown) => expectCode(action, "SEALED_DATA_INVALID");
    await refused(() => sealer.open("job-2", sealed));
    await refused(async () => (await createSealer(otherKey, "output-key")).open("job-1", sealed));
    await refused(async () => (await createSealer(privateKey, "output-ke")).open("yjob-1", sealed));
    for (let index = 0; index < sealed.length; index++) {
      const changed = sealed.slice();
      changed[index]! ^= 1;
      await refused(() => sealer.open("job-1", changed));
    }
    await refused(() => sealer.open("job-1", sealed.subarray(0, 20)));
    await refused(() => sealer.open("job-1", new Uint8Array()));
  });
});
