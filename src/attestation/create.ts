import type { ParsedConfig } from "../config/schema.ts";
import type { Secrets } from "../config/secrets.ts";
import { BlfError, exitCodes } from "../lib/errors.ts";
import type { Attestor } from "./attestation.ts";
import { createMockAttestor } from "./mock.ts";
import { createTeeAttestor } from "./tee.ts";
import { createTpmAttestor } from "./tpm.ts";

/** The attestor that the configuration names. `tee` takes the machine's TDX; SGX has no interface here. @throws BlfError `ATTESTATION_UNSUPPORTED` */
export function createAttestor(backend: ParsedConfig["attestation_backend"], secrets: Secrets): Attestor {
  switch (backend) {
    case "mock":
      return createMockAttestor(secrets.mockAttestationKey ? { key: secrets.mockAttestationKey } : {});
    case "tpm":
      return createTpmAttestor();
    case "sev":
      return createTeeAttestor({ backendType: "sev" });
    case "tee":
    case "tdx":
      return createTeeAttestor({ backendType: "tdx" });
    case "sgx":
      throw new BlfError({
        code: "ATTESTATION_UNSUPPORTED",
        message: "SGX enclaves cannot hold this program",
        hint: "Set attestation_backend to tdx, sev, tpm or mock.",
        exitCode: exitCodes.usage,
      });
  }
}
