import type { Address, Hex } from "viem";

/** Where the CoFHE SDK looks for its services on chain id 31337. */
export const cofheAddresses = {
  taskManager: "0xeA30c4B8b44078Bbf8a6ef5b9f1eC1626C7848D9",
  zkVerifier: "0x0000000000000000000000000000000000005001",
  thresholdNetwork: "0x0000000000000000000000000000000000005002",
} as const satisfies Record<string, Address>;

/** The account with which the SDK signs encrypted inputs and sends plaintexts on chain id 31337. Its key is a constant of the SDK. */
export const zkVerifierSigner = {
  address: "0x6E12D8C87503D4287c294f2Fdef96ACd9DFf6bd2",
  privateKey: "0x6C8D7F768A6BB4AAFE85E8A2F5A9680355239C7E14646ED62B044E39DE154512",
} as const satisfies { address: Address; privateKey: Hex };
