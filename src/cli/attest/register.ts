import { transactionLink } from "../../chain/clients.ts";
import { estimateCost } from "../../chain/estimate.ts";
import { isRegistered, type Registration, registerNode, registrationCall } from "../../chain/node-registry.ts";
import { maxFeePerGas } from "../../config/load.ts";
import { updateConfigFile } from "../../config/save.ts";
import type { Certificate } from "../../icl/wire.ts";
import type { Wallet } from "../../wallet/wallet.ts";
import { requireAddress, type Session } from "../session.ts";
import { formatWei } from "../ui/format.ts";
import { openChainSession } from "../wallet-session.ts";

export type RegistrationResult = {
  registered: boolean;
  /** Null when the node was registered before, or the operator said no. */
  tx: string | null;
  link: string | null;
};

export type RegisterParameters = {
  session: Session;
  wallet: Wallet;
  certificate: Certificate;
  models: string[];
  signal: AbortSignal;
  /** Asked with the cost in words before anything is spent. */
  agree: (cost: string) => Promise<boolean>;
};

/** Registers the node on chain unless it is. @throws BlfError `CHAIN_*`, `CONTRACT_NOT_CONFIGURED` */
export async function registerOnChain(parameters: RegisterParameters): Promise<RegistrationResult> {
  const { session, wallet, certificate, models, signal } = parameters;
  const { config } = session;
  const registry = requireAddress(config, "node_registry_address");
  const { chain, sender, journal } = await openChainSession(session, wallet);
  try {
    if (await isRegistered(chain, registry, wallet.address)) {
      updateConfigFile(config.dir, { registered_on_chain: true });
      return { registered: true, tx: null, link: null };
    }
    const registration: Registration = {
      tier: certificate.tier,
      certHash: certificate.certHash as `0x${string}`,
      expiresAt: certificate.expiry,
      models,
    };
    const call = registrationCall(registry, registration);
    const { likely, atMost } = await estimateCost(chain, wallet.address, call, maxFeePerGas(config));
    const cost = `about ${formatWei(likely)} ETH (${formatWei(atMost)} at most)`;
    if (!(await parameters.agree(cost))) return { registered: false, tx: null, link: null };
    const tx = await registerNode(sender, registry, registration, signal);
    updateConfigFile(config.dir, { registered_on_chain: true });
    return { registered: true, tx, link: transactionLink(chain, tx) ?? null };
  } finally {
    journal.close();
  }
}
