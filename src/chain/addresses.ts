import type { Address } from "viem";

/** Where the contracts of one network are. */
export type NetworkAddresses = {
  blind: Address;
  staking: Address;
  nodeRegistry: Address;
  nodeAttestationRegistry: Address;
  promptKeyStore: Address;
  rewardAccumulator: Address;
  faucet: Address;
};
