import { assertChainId, createChain } from "../../chain/clients.ts";
import { chainError } from "../../chain/errors.ts";
import { isRegistered, readLastHeartbeat } from "../../chain/node-registry.ts";
import { readStake } from "../../chain/staking.ts";
import type { Config } from "../../config/load.ts";

/** Stake, balances and registration, in one round trip. @throws BlfError `CHAIN_*` */
export async function readChainPart(config: Config, timeoutMs: number) {
  const address = config.node_address;
  if (address === "") return { registered: null, stake: null, balance: null, lastHeartbeat: null };
  const chain = createChain({
    rpcUrl: config.rpc_url,
    fallbackUrls: config.rpc_fallback_urls,
    chainId: config.chain_id,
    timeoutMs,
  });
  const { staking_address: staking, blind_token_address: blind, node_registry_address: registry } = config;
  const [ether, stake, registered, heartbeat] = await Promise.all([
    chain.client.getBalance({ address }).catch((error: unknown) => {
      throw chainError(error, "read the balance");
    }),
    staking && blind ? readStake(chain, { staking, blind }, address) : undefined,
    registry ? isRegistered(chain, registry, address) : null,
    registry ? readLastHeartbeat(chain, registry, address) : 0,
    assertChainId(chain),
  ]);
  return {
    registered,
    lastHeartbeat: heartbeat > 0 ? new Date(heartbeat).toISOString() : null,
    balance: stake ? { blindWei: stake.balance.toString(), etherWei: ether.toString() } : null,
    stake: stake
      ? {
          stakedWei: stake.staked.toString(),
          unbondingWei: stake.unbonding.toString(),
          withdrawableAt: stake.unbonding > 0n ? new Date(stake.unbondingAvailableAt * 1000).toISOString() : null,
          active: stake.active,
          minStakeWei: stake.minStake.toString(),
          consecutiveFailures: stake.consecutiveFailures,
          maxConsecutiveFailures: stake.maxConsecutiveFailures,
        }
      : null,
  };
}
