import type { CofheClient, ZkBuilderAndCrsGenerator } from "@cofhe/sdk";
import type { CofheChain } from "@cofhe/sdk/chains";
import type { PrivateKeyAccount, PublicClient, Transport, WalletClient } from "viem";
import type { Clock } from "../lib/clock.ts";
import { isAllowedEndpoint } from "../lib/http.ts";
import { cofheError } from "./errors.ts";
import type { ProofRequest } from "./prover-messages.ts";
import { fromSdk } from "./sdk-errors.ts";
import { createStandInVerifier } from "./stand-in-verifier.ts";

/** The services of CoFHE, without a slash at the end. */
export type CofheServices = { coFheUrl: string; verifierUrl: string; thresholdNetworkUrl: string };

export type SessionOptions = {
  account: PrivateKeyAccount;
  rpcUrl: string;
  /** In place of `rpcUrl`: knows where else to ask. */
  transport?: Transport | undefined;
  chainId: number;
  clock: Clock;
  services?: CofheServices | undefined;
  /** Makes a proof, or never settles: a rejection would make the SDK prove on the main thread. */
  prove(request: ProofRequest): Promise<Uint8Array>;
};

/** The SDK, connected. */
export type Session = {
  sdk: typeof import("@cofhe/sdk");
  client: CofheClient;
  publicClient: PublicClient;
  walletClient: WalletClient;
};

/** On this chain the SDK speaks to stand-ins for CoFHE, which are contracts, and proves nothing. */
export const devnetChainId = 31_337;
const arbitrumSepoliaId = 421_614;

/** @throws BlfError `COFHE_CHAIN_UNSUPPORTED`, `COFHE_SERVICE_URL` */
export function assertSupported({ chainId, services }: Pick<SessionOptions, "chainId" | "services">): void {
  if (chainId !== devnetChainId && chainId !== arbitrumSepoliaId) throw cofheError("COFHE_CHAIN_UNSUPPORTED");
  if (Object.values(services ?? {}).some((url) => !isAllowedEndpoint(url))) throw cofheError("COFHE_SERVICE_URL");
}

/**
 * Loads the SDK and connects it. The FHE keys that it fetches stay in the session's memory; it is given no storage.
 * @throws BlfError `COFHE_RPC_UNREACHABLE`, `COFHE_WRONG_CHAIN`
 */
export async function openSession(options: SessionOptions): Promise<Session> {
  const [sdk, chains, viem] = await Promise.all([import("@cofhe/sdk"), import("@cofhe/sdk/chains"), import("viem")]);
  const chain = viem.defineChain({
    id: options.chainId,
    name: `chain ${options.chainId}`,
    nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [options.rpcUrl] } },
  });
  const transport = options.transport ?? viem.http(options.rpcUrl, { timeout: 10_000, retryCount: 0 });
  const publicClient: PublicClient = viem.createPublicClient({ chain, transport });
  const walletClient: WalletClient = viem.createWalletClient({ chain, transport, account: options.account });
  // An address instead of a key: the devnet itself signs and numbers the transactions of this account, which every
  // process of the devnet shares.
  const wallet = viem.createWalletClient({ chain, transport, account: sdk.MOCKS_ZK_VERIFIER_SIGNER_ADDRESS });
  const config = sdk.createCofheConfigBase({
    environment: "node",
    supportedChains: [cofheChain(chains, options)],
    fheKeyStorage: null,
    mocks: { decryptDelay: 0, encryptDelay: 0 },
    _internal: { zkvWalletClient: createStandInVerifier({ wallet, publicClient, clock: options.clock }) },
  });
  const client = sdk.createCofheClientBase({
    config,
    initTfhe: async () => false,
    tfhePublicKeyDeserializer: notRead,
    compactPkeCrsDeserializer: notRead,
    zkBuilderAndCrsGenerator: inertTfhe,
    zkProveWorkerFn: (publicKey, crs, items, metadata) =>
      options.prove({ publicKey, crs, values: items.map((item) => BigInt(item.data)), metadata }),
  });
  try {
    const chainId = await publicClient.getChainId();
    // What is no number is no answer: the RPC is out of order.
    if (Number.isNaN(chainId)) throw cofheError("COFHE_RPC_UNREACHABLE");
    if (chainId !== options.chainId) throw cofheError("COFHE_WRONG_CHAIN");
    await client.connect(publicClient, walletClient);
  } catch (error) {
    throw fromSdk(error, "COFHE_RPC_UNREACHABLE");
  }
  return { sdk, client, publicClient, walletClient };
}

function cofheChain(chains: typeof import("@cofhe/sdk/chains"), options: SessionOptions): CofheChain {
  if (options.chainId === devnetChainId) return chains.hardhat;
  return { ...chains.arbSepolia, ...options.services };
}

/** Only the Worker reads the keys that CoFHE sent: that takes seconds. (The SDK prints what is thrown here.) */
function notRead(): void {}

/** Stands where the SDK expects TFHE on the main thread. It takes values and forgets them; it cannot prove. */
const inertTfhe: ZkBuilderAndCrsGenerator = () => {
  const nothing = { free() {}, safe_serialize: () => new Uint8Array() };
  const zkBuilder = {
    push_boolean() {},
    push_u8() {},
    push_u16() {},
    push_u32() {},
    push_u64() {},
    push_u128() {},
    push_u160() {},
    build_with_proof_packed: () => nothing,
  };
  return { zkBuilder, zkCrs: nothing };
};
