import { updateConfigFile } from "../config/save.ts";
import { unixSeconds } from "../lib/clock.ts";
import { attest, renewMarginSeconds } from "./attest.ts";
import type { NodeContext } from "./context.ts";

const attestedModels = "attested-models";

/** Keeps the node's certificate valid and in step with the models that it offers. */
export type CertificateKeeper = {
  /** Unix seconds; 0 when there is none. */
  expiresAt(): number;
  hash(): string;
  /** Attests when the certificate is missing, about to expire, for other models, or when `force` says so. */
  ensure(signal: AbortSignal, force?: boolean): Promise<void>;
};

export function createCertificateKeeper(ctx: NodeContext): CertificateKeeper {
  let expiry = ctx.config.attestation_expiry;
  let hash: string = ctx.config.attestation_cert_hash;
  let underWay: Promise<void> | undefined;

  const renew = async (signal: AbortSignal): Promise<void> => {
    const modelIds = ctx.inference.models();
    const certificate = await attest({ ...ctx, modelIds, signal });
    expiry = certificate.expiry;
    hash = certificate.certHash;
    updateConfigFile(ctx.config.dir, {
      attestation_cert_hash: certificate.certHash,
      attestation_expiry: certificate.expiry,
    });
    ctx.journal.setFact(attestedModels, JSON.stringify(modelIds));
    ctx.metrics.certificateExpiry.set(expiry);
    ctx.log.info("attested", {
      tier: certificate.tier,
      certHash: certificate.certHash,
      expiresAt: new Date(expiry * 1000).toISOString(),
    });
  };

  const isDue = () =>
    expiry - unixSeconds(ctx.clock) < renewMarginSeconds ||
    ctx.journal.fact(attestedModels) !== JSON.stringify(ctx.inference.models());

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
