import { createHmac, timingSafeEqual } from "node:crypto";
import { Hono } from "hono";
import type { Address } from "viem";
import { requireSigner } from "../auth.ts";
import { type Context, now, uuid } from "../context.ts";
import { answer, type Env, parseLoose, RequestError, readJsonBody } from "../http.ts";
import { attestationSchema, heartbeatSchema } from "../schemas.ts";

/** The key of mock quotes is public (PROTOCOL.md 2.7): such a quote proves that the node took part, and nothing else. */
const mockAttestationKey = "weloveblindference";

/** Challenge, attestation and heartbeat (PROTOCOL.md 4.1, 4.2 and 4.9). */
export function attestationRoutes(ctx: Context): Hono<Env> {
  const { state, limits } = ctx;
  const app = new Hono<Env>();

  app.get("/internal/challenge/:address", (c) => {
    const signer = c.get("signer");
    requireSigner(signer, c.req.param("address"), "the address in the path");
    const challenge = { id: uuid(ctx.random), nonce: ctx.random(32), expiresAt: now(ctx) + limits.challengeLife };
    state.challenges.set(signer, challenge);
    return answer(c, {
      challengeId: challenge.id,
      nonce: `0x${Buffer.from(challenge.nonce).toString("hex")}`,
      expiresAt: challenge.expiresAt,
    });
  });

  app.post("/internal/attestation/verify", async (c) => {
    const signer = c.get("signer");
    const raw = await readJsonBody(c, limits.bodyBytes);
    requireField(raw, "nodeAddress");
    const body = parseLoose(attestationSchema, raw, "AttestationRequest");
    requireSigner(signer, body.nodeAddress, "nodeAddress");
    if (body.backendType !== "mock")
      throw new RequestError(
        400,
        `attestation backend '${body.backendType.slice(0, 40)}' cannot be verified here; use mock`,
      );
    checkQuote(ctx, signer, body.challengeId, body.quote);

    const time = now(ctx);
    const known = state.nodes.get(signer);
    const expiry = time + limits.certificateLife;
    // Counters survive: a restart of the node is no reason to forget its record.
    const counters = known ?? { tasksCompleted: 0, tasksAccepted: 0, tasksRejected: 0 };
    state.nodes.set(signer, {
      ...counters,
      address: signer,
      tier: 0,
      models: body.supportedModelIds ?? body.supported_model_ids ?? [],
      attestedUntil: expiry,
      lastHeartbeat: time,
    });
    return answer(c, { certHash: `0x${Buffer.from(ctx.random(16)).toString("hex")}`, expiry, tier: 0 });
  });

  app.post("/internal/heartbeat", async (c) => {
    const raw = await readJsonBody(c, limits.bodyBytes);
    requireField(raw, "nodeAddress");
    const body = parseLoose(heartbeatSchema, raw, "Heartbeat");
    requireSigner(c.get("signer"), body.nodeAddress, "nodeAddress");
    const node = state.nodes.get(c.get("signer"));
    if (node) node.lastHeartbeat = now(ctx);
    return answer(c, { status: "ok" });
  });

  return app;
}

/**
 * A challenge is used up by the first attempt to answer it, right or wrong.
 * @throws RequestError 400
 */
function checkQuote(ctx: Context, signer: Address, challengeId: string, quote: string): void {
  const challenge = ctx.state.challenges.get(signer);
  if (!challenge || challenge.id !== challengeId)
    throw new RequestError(400, "unknown challenge: it was never given to this node, or was already used");
  ctx.state.challenges.delete(signer);
  if (challenge.expiresAt <= now(ctx)) throw new RequestError(400, "the challenge has expired");
  const expected = createHmac("sha256", mockAttestationKey).update(challenge.nonce).digest();
  const hex = quote.replace(/^0x/i, "");
  const given = /^[0-9a-fA-F]{64}$/.test(hex) ? Buffer.from(hex, "hex") : Buffer.alloc(0);
  if (given.length !== expected.length || !timingSafeEqual(given, expected))
    throw new RequestError(400, "the quote does not answer the challenge");
}

/** The original's words for a missing field (PROTOCOL.md 4.2). */
function requireField(body: unknown, name: string): void {
  if (typeof body !== "object" || body === null || !(body as Record<string, unknown>)[name])
    throw new RequestError(400, `${name} is required`);
}
