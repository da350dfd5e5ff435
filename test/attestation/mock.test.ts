import { describe, expect, test } from "bun:test";
import { inspect } from "node:util";
import { parseNonce } from "../../src/attestation/attestation.ts";
import { createMockAttestor } from "../../src/attestation/mock.ts";
import { Secret } from "../../src/lib/secret.ts";
import { expectCode } from "../crypto/expect-code.ts";

const nonce = Uint8Array.from({ length: 32 }, (_, index) => index);

describe("mock attestation", () => {
  test("the vector of the protocol", async () => {
    const attestor = createMockAttestor();
    expect(attestor.backendType).toBe("mock");
    expect(await attestor.quote({ nonce })).toEqual({
      quote: "e7049166db983d3e3678f95738b28e78fce65215f4e413e1ae7e2132c934a702",
      runtimeHash: "3ec7b0c7e7a1c5dbc0fbf73e4e8a25af6bb02518009db41d8ef32e64b40793f6",
    });
  });

  test("an operator's key really enters the quote (RFC 4231, case 2)", async () => {
    const attestor = createMockAttestor({ key: new Secret("Jefe") });
    const data = new TextEncoder().encode("what do ya want for nothing?");
    expect((await attestor.quote({ nonce: data })).quote).toBe(
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    );
    expect(inspect(attestor, { depth: 5 })).not.toContain("Jefe");
  });

  test("another nonce gives another quote", async () => {
    const attestor = createMockAttestor();
    expect((await attestor.quote({ nonce })).quote).not.toBe((await attestor.quote({ nonce: nonce.slice(1) })).quote);
  });
});

describe("nonce", () => {
  test("is read with and without 0x", () => {
    expect(parseNonce(`0x${Buffer.from(nonce).toString("hex")}`)).toEqual(nonce);
    expect(parseNonce("00Ff")).toEqual(Uint8Array.of(0, 255));
  });

  test.each(["", "0x", "0x0", "0xzz", "nonce", `0x${"00".repeat(65)}`])("%j is refused", async (text) => {
    await expectCode(() => parseNonce(text), "ATTESTATION_NONCE_INVALID");
  });
});
