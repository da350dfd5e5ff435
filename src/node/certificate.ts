import { updateConfigFile } from "../config/save.ts";
import { unixSeconds } from "../lib/clock.ts";
import { attest, renewMarginSeconds } from "./attest.ts";
import { rememberAttested, wasAttestedFor } from "./attested-models.ts";
import type { NodeContext } from "./context.ts";
import { announce } from "./own-activity.ts";

/** News of the models waits for so long after an attestation, in milliseconds: each one costs the coordinator's memory of this node. */
export const newsWaitMs = 5 * 60_000;

/** Keeps the node's certificate valid and in step with the models that it offers. */
export type CertificateKeeper = {
  /** Unix seconds; 0 when there is none. */
  expiresAt(): number;
  hash(): string;
  /**
   * Attests when the certificate is missing or about to expire, when other models are advertised than it names, if it is not too new for
   * that, or when `force` says so.
   */
  ensure(signal: AbortSignal, force?: boolean): Promise<void>;
};

export function createCertificateKeeper(ctx: NodeContext): CertificateKeeper {
  let expiry = ctx.config.attestation_expiry;
  let hash: string = ctx.config.attestation_cert_hash;
  let attestedAt = Number.NEGATIVE_INFINITY;
  let underWay: Promise<void> | undefined;

  const renew = async (signal: AbortSignal): Promise<void> => {
    const modelIds = ctx.inference.advertised();
    announce(ctx);
    const certificate = await attest({ ...ctx, modelIds, signal });
    expiry = certificate.expiry;
    hash = certificate.certHash;
    attestedAt = ctx.clock.now();
    updateConfigFile(ctx.config.dir, {
      attestation_cert_hash: certificate.certHash,
      attestation_expiry: certificate.expiry,
    });
    rememberAttested(ctx.journal, modelIds);
    ctx.metrics.certificateExpiry.set(expiry);
    ctx.log.info("attested", {
      tier: certificate.tier,
      certHash: certificate.certHash,
      expiresAt: new Date(expiry * 1000).toISOString(),
    });
  };

  const isDue = () =>
    expiry - unixSeconds(ctx.clock) < renewMarginSeconds ||
    (ctx.clock.now() - attestedAt >= newsWaitMs && !wasAttestedFor(ctx.journal, ctx.inference.advertised()));

  ctx.metrics.certificateExpiry.set(expiry);
  return {
    expiresAt: () => expiry,
    hash: () => hash,
    ensure: (signal, force = false) => {
      if (!force && !isDue()) return Promise.resolve();
      underWay ??= renew(signal).finally(() => {
        underWay = undefined;
      });
      return underWay;
    },
  };
}
