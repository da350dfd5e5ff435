import type { Role } from "../icl/wire.ts";
import type { NodeContext } from "./context.ts";

/**
 * Why a job of this role could not be done now because of what it depends on, or undefined. A service that failed is asked again when its
 * time is over (src/lib/circuit.ts): then one job is taken to try it.
 */
export function reasonToWait({ circuits }: Pick<NodeContext, "circuits">, role: Role): string | undefined {
  const states = circuits?.states() ?? [];
  const areOpen = (prefix: string) => {
    const those = states.filter(({ name }) => name === prefix || name.startsWith(`${prefix} `));
    return those.length > 0 && those.every(({ state }) => state === "open");
  };
  if (areOpen("cofhe")) return "CoFHE does not answer";
  if (areOpen("ipfs")) return "no IPFS gateway answers";
  if (role === "verifier") return undefined;
  if (areOpen("upload")) return "the upload service does not answer";
  return areOpen("rpc") ? "no RPC answers" : undefined;
}
