import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { AttestationRequest, IclClient } from "../../src/icl/client.ts";
import { BlfError } from "../../src/lib/errors.ts";
import { attest } from "../../src/node/attest.ts";
import { createCertificateKeeper, newsWaitMs } from "../../src/node/certificate.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { manualClock } from "../helpers/manual-clock.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";
import { stubContext } from "./stub-context.ts";

const hour = 3_600_000;
const { signal } = new AbortController();
// The vector of PROTOCOL.md 2.10.
const nonce = `0x${Buffer.from(Array.from({ length: 32 }, (_, index) => index)).toString("hex")}`;

/** A coordinator that gives certificates for some hours. */
function coordinator(clock = manualClock(), life = 24 * hour) {
  const requests: AttestationRequest[] = [];
  let challenges = 0;
  const icl: Pick<IclClient, "challenge" | "verifyAttestation"> = {
    challenge: async () => ({ challengeId: `challenge-${++challenges}`, nonce, expiresAt: 0 }),
    verifyAttestation: async (request) => {
      requests.push(request);
      const certHash = `0x${requests.length.toString(16).padStart(32, "0")}`;
      return { certHash, expiry: Math.floor((clock.now() + life) / 1000), tier: 0 };
    },
  };
  return { clock, icl, requests };
}

describe("attest", () => {
  test("quotes the challenge and names the models", async () => {
    const { clock, icl, requests } = coordinator();
    const { ctx } = await stubContext({ clock, icl });
    const certificate = await attest({ ...ctx, modelIds: ["a", "b"] });
    expect(certificate).toEqual({
      certHash: `0x${"1".padStart(32, "0")}`,
      expiry: Math.floor(clock.now() / 1000) + 86_400,
      tier: 0,
    });
    expect(requests).toEqual([
      {
        backendType: "mock",
        quote: "e7049166db983d3e3678f95738b28e78fce65215f4e413e1ae7e2132c934a702",
        runtimeHash: "3ec7b0c7e7a1c5dbc0fbf73e4e8a25af6bb02518009db41d8ef32e64b40793f6",
        challengeId: "challenge-1",
        supportedModelIds: ["a", "b"],
      },
    ]);
  });

  test.each([0, -1000])("a certificate that expired %i ms from now is none", async (life) => {
    const { clock, icl } = coordinator(manualClock(), life);
    const { ctx } = await stubContext({ clock, icl });
    const error = await expectCode(() => attest({ ...ctx, modelIds: [] }), "ATTESTATION_EXPIRED_CERTIFICATE");
    expect(error.exitCode).toBe(4);
  });

  test("a nonce that is none is refused before anything is quoted", async () => {
    const { clock, icl, requests } = coordinator();
    const { ctx } = await stubContext({
      clock,
      icl: { ...icl, challenge: async () => ({ challengeId: "x", nonce: "nonsense", expiresAt: 0 }) },
    });
    await expectCode(() => attest({ ...ctx, modelIds: [] }), "ATTESTATION_NONCE_INVALID");
    expect(requests).toEqual([]);
  });
});

describe("the keeper", () => {
  async function keeping(config = {}) {
    const dir = tempDirectory();
    const { clock, icl, requests } = coordinator();
    const { ctx, log } = await stubContext({ clock, icl, directory: dir.path, config });
    return { ctx, log, clock, icl, requests, dir, keeper: createCertificateKeeper(ctx) };
  }

  test("attests when there is no certificate, remembers it, and then has time until 6 h before its end", async () => {
    const { keeper, clock, requests, dir, ctx } = await keeping();
    using _dir = dir;
    expect(keeper.expiresAt()).toBe(0);
    await keeper.ensure(signal);
    expect(requests).toHaveLength(1);
    expect(requests[0]!.supportedModelIds).toEqual(["mock-model"]);
    const expiry = Math.floor(clock.now() / 1000) + 86_400;
    expect(keeper.expiresAt()).toBe(expiry);
    expect(keeper.hash()).toBe(`0x${"1".padStart(32, "0")}`);
    const file = JSON.parse(readFileSync(join(dir.path, "config.json"), "utf8"));
    expect(file).toEqual({ attestation_cert_hash: keeper.hash(), attestation_expiry: expiry });
    expect(await ctx.metrics.registry.metrics()).toContain(
      `blindference_certificate_expiry_timestamp_seconds ${expiry}`,
    );
    clock.advance(18 * hour);
    await keeper.ensure(signal);
    expect(requests).toHaveLength(1);
    clock.advance(1000);
    await keeper.ensure(signal);
    expect(requests).toHaveLength(2);
    expect(keeper.hash()).toBe(`0x${"2".padStart(32, "0")}`);
  });

  test("attests again when told to, and once for all who ask at the same moment", async () => {
    const { keeper, requests, dir } = await keeping();
    using _dir = dir;
    await Promise.all([keeper.ensure(signal), keeper.ensure(signal), keeper.ensure(signal, true)]);
    expect(requests).toHaveLength(1);
    await keeper.ensure(signal, true);
    expect(requests).toHaveLength(2);
  });

  test("attests again after a restart with other models, and not with the same", async () => {
    const { keeper, ctx, requests, dir } = await keeping();
    using _dir = dir;
    await keeper.ensure(signal);
    const config = { ...ctx.config, attestation_expiry: keeper.expiresAt(), attestation_cert_hash: keeper.hash() };
    const same = createCertificateKeeper({ ...ctx, config });
    await same.ensure(signal);
    expect(requests).toHaveLength(1);
    expect(same.hash()).toBe(keeper.hash());
    const inference = { ...ctx.inference, advertised: () => ["mock-model", "another"] };
    await createCertificateKeeper({ ...ctx, config, inference }).ensure(signal);
    expect(requests.at(-1)!.supportedModelIds).toEqual(["mock-model", "another"]);
  });

  test("tells the coordinator of models that came or went, but not more often than every five minutes", async () => {
    const { ctx, clock, requests, dir } = await keeping();
    using _dir = dir;
    let advertised = ["a", "b"];
    const keeper = createCertificateKeeper({ ...ctx, inference: { ...ctx.inference, advertised: () => advertised } });
    const told = () => requests.map(({ supportedModelIds }) => supportedModelIds);
    await keeper.ensure(signal);
    expect(told()).toEqual([["a", "b"]]);
    advertised = ["a"];
    clock.advance(newsWaitMs - 1);
    await keeper.ensure(signal);
    expect(told()).toHaveLength(1);
    clock.advance(1);
    await keeper.ensure(signal);
    expect(told()).toEqual([["a", "b"], ["a"]]);
    advertised = ["a", "b"];
    clock.advance(newsWaitMs / 2);
    await keeper.ensure(signal);
    advertised = ["a"];
    clock.advance(newsWaitMs);
    await keeper.ensure(signal);
    expect(told()).toHaveLength(2);
  });

  test("a refusal leaves the old certificate as it was, and the next try is a new one", async () => {
    const { ctx, dir, requests } = await keeping();
    using _dir = dir;
    let refuse = true;
    const verify = ctx.icl.verifyAttestation;
    const icl: IclClient = {
      ...ctx.icl,
      challenge: ctx.icl.challenge,
      verifyAttestation: (request) =>
        refuse ? Promise.reject(new BlfError({ code: "ICL_REJECTED", message: "no", hint: "none" })) : verify(request),
    };
    const keeper = createCertificateKeeper({ ...ctx, icl });
    await expectCode(() => keeper.ensure(signal), "ICL_REJECTED");
    expect(keeper.expiresAt()).toBe(0);
    refuse = false;
    await keeper.ensure(signal);
    expect(requests).toHaveLength(1);
    expect(keeper.expiresAt()).toBeGreaterThan(0);
  });
});
