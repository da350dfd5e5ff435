import { type Attestor, parseNonce } from "../attestation/attestation.ts";
import type { IclClient } from "../icl/client.ts";
import type { Certificate } from "../icl/wire.ts";
import { type Clock, unixSeconds } from "../lib/clock.ts";
import { BlfError, exitCodes } from "../lib/errors.ts";

/** A certificate with less time left than this is renewed, in seconds (PROTOCOL.md 10). */
export const renewMarginSeconds = 6 * 3600;

export type AttestParameters = {
  icl: IclClient;
  attestor: Attestor;
  modelIds: string[];
  clock: Clock;
  signal?: AbortSignal;
};

/**
 * The attestation flow: challenge, quote, certificate (PROTOCOL.md 4.1 and 4.2).
 * @throws BlfError `ICL_*`, `ATTESTATION_*`
 */
export async function attest(parameters: AttestParameters): Promise<Certificate> {
  const { icl, attestor, modelIds, clock, signal } = parameters;
  const challenge = await icl.challenge(signal);
  const nonce = parseNonce(challenge.nonce);
  const { quote, runtimeHash } = await attestor.quote({ nonce, ...(signal ? { signal } : {}) });
  const certificate = await icl.verifyAttestation(
    {
      backendType: attestor.backendType,
      quote,
      runtimeHash,
      challengeId: challenge.challengeId,
      supportedModelIds: modelIds,
    },
    signal,
  );
  if (certificate.expiry > unixSeconds(clock)) return certificate;
  throw new BlfError({
    code: "ATTESTATION_EXPIRED_CERTIFICATE",
    message: "The coordinator gave a certificate that has already expired",
    hint: "Check this machine's clock (timedatectl).",
    exitCode: exitCodes.authentication,
  });
}
