import {
  MOCKS_THRESHOLD_NETWORK_ADDRESS,
  MOCKS_ZK_VERIFIER_ADDRESS,
  MOCKS_ZK_VERIFIER_SIGNER_ADDRESS,
  MOCKS_ZK_VERIFIER_SIGNER_PRIVATE_KEY,
  TASK_MANAGER_ADDRESS,
} from "@cofhe/sdk";
import {
  type Abi,
  type Address,
  createPublicClient,
  createWalletClient,
  defineChain,
  type Hex,
  http,
  keccak256,
  type PrivateKeyAccount,
  parseEther,
  toHex,
} from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import type { EncryptedKey, KeyHandles } from "../../src/cofhe/cofhe.ts";
import taskManager from "../../src/devnet/contracts/artifacts/CofheTaskManager.json";
import thresholdNetwork from "../../src/devnet/contracts/artifacts/CofheThresholdNetwork.json";
import zkVerifier from "../../src/devnet/contracts/artifacts/CofheZkVerifier.json";
import store from "../../src/devnet/contracts/artifacts/PromptKeyStore.json";
import type { Genesis } from "../../src/devnet/evm/genesis.ts";
import { startEvm } from "../../src/devnet/evm/server.ts";
import { systemClock } from "../../src/lib/clock.ts";

export type Network = {
  rpcUrl: string;
  chainId: number;
  /** A funded account that nobody else has, and its private key. */
  account(): PrivateKeyAccount & { privateKey: Hex };
  /** Stores a key as `owner`, who must have encrypted it, for `allowed`. */
  storeKey(owner: PrivateKeyAccount, key: EncryptedKey, allowed: Address[]): Promise<KeyHandles>;
  close(): Promise<void>;
};

/** A real EVM with the CoFHE stand-ins and a PromptKeyStore, on loopback. */
export async function startNetwork(chainId: number): Promise<Network> {
  const keys = Array.from({ length: 16 }, () => generatePrivateKey());
  const accounts = keys.map((privateKey) => Object.assign(privateKeyToAccount(privateKey), { privateKey }));
  const balance = parseEther("10");
  const genesis: Genesis = {
    [TASK_MANAGER_ADDRESS]: { code: taskManager.deployedBytecode as Hex },
    [MOCKS_ZK_VERIFIER_ADDRESS]: { code: zkVerifier.deployedBytecode as Hex },
    [MOCKS_THRESHOLD_NETWORK_ADDRESS]: { code: thresholdNetwork.deployedBytecode as Hex },
    [MOCKS_ZK_VERIFIER_SIGNER_ADDRESS]: { balance, privateKey: MOCKS_ZK_VERIFIER_SIGNER_PRIVATE_KEY },
    ...Object.fromEntries(accounts.map(({ address }) => [address, { balance }])),
  };
  const evm = await startEvm({ port: 0, chainId, clock: systemClock, genesis });
  const chain = defineChain({
    id: chainId,
    name: "test",
    nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [evm.url] } },
  });
  const transport = http(evm.url);
  const reading = createPublicClient({ chain, transport, pollingInterval: 10 });
  const walletOf = (account: PrivateKeyAccount) => createWalletClient({ chain, transport, account });
  const abi = store.abi as Abi;
  const deployment = await walletOf(accounts.pop()!).deployContract({ abi, bytecode: store.bytecode as Hex });
  const address = (await reading.waitForTransactionReceipt({ hash: deployment })).contractAddress!;
  return {
    rpcUrl: evm.url,
    chainId,
    account: () => accounts.pop()!,
    storeKey: async (owner, { high, low }, allowed) => {
      const jobId = keccak256(toHex(crypto.randomUUID()));
      const call = { address, abi, functionName: "storeKey", args: [jobId, high, low, allowed] };
      const receipt = await reading.waitForTransactionReceipt({ hash: await walletOf(owner).writeContract(call) });
      if (receipt.status !== "success") throw new Error("storeKey was reverted");
      const read = { address, abi, functionName: "getEncryptedKey", args: [jobId] };
      const handles = (await reading.readContract(read)) as [bigint, bigint];
      return { high: handles[0], low: handles[1] };
    },
    close: () => evm.stop(),
  };
}
