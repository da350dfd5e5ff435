import type { Address } from "viem";

/** Contracts of a network that a node or requester speaks to; the user may override each in the configuration. */
export type NetworkDefaults = {
  chainId: number;
  rpc_url: string;
  icl_endpoint: string;
  payment_service_url: string;
  explorer: string | undefined;
  blind_token_address: Address | "";
  staking_address: Address | "";
  node_registry_address: Address | "";
  prompt_key_store_address: Address | "";
  reward_accumulator_address: Address | "";
  payment_treasury_address: Address | "";
};

/** PROTOCOL.md 16. Where two addresses are published, the one that the newer client uses is taken. */
const arbitrumSepolia: NetworkDefaults = {
  chainId: 421_614,
  rpc_url: "https://sepolia-rollup.arbitrum.io/rpc",
  icl_endpoint: "https://icl.blindference.xyz",
  payment_service_url: "https://payment.blindference.xyz",
  explorer: "https://sepolia.arbiscan.io",
  blind_token_address: "0x232D5470DaaC7AD552a42d876aDEF1f778033cE0",
  staking_address: "0x222Ac74201Ed58915e42Ee5be626d939fd234D0b",
  node_registry_address: "0x72C0Ead949Fd2C346598a30AF1A69c3c5Cb86082",
  prompt_key_store_address: "0x7120fAbdAD2FC5B05CD814A59457eB5fCd9Cfa7E",
  reward_accumulator_address: "0xFa25Fb53eF8dAc88E4f43bB7558Cf3930Bf3e817",
  payment_treasury_address: "0x7F9B413Da50e72415b16Eb9df6e5E59774a338dc",
};

/** The network on one machine that `blindference devnet` starts. Its addresses come from the devnet itself. */
const devnet: NetworkDefaults = {
  chainId: 31_337,
  rpc_url: "http://127.0.0.1:8545",
  icl_endpoint: "http://127.0.0.1:8546",
  payment_service_url: "http://127.0.0.1:8547",
  explorer: undefined,
  blind_token_address: "",
  staking_address: "",
  node_registry_address: "",
  prompt_key_store_address: "",
  reward_accumulator_address: "",
  payment_treasury_address: "",
};

/** Known networks by name. `fhenix_testnet` is what the original's default configuration calls Arbitrum Sepolia. */
export const networks: Record<string, NetworkDefaults> = {
  arbitrum_sepolia: arbitrumSepolia,
  fhenix_testnet: arbitrumSepolia,
  devnet,
};
