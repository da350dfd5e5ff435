import { type Hex, parseEther } from "viem";
import { devnetAccounts } from "../accounts.ts";
import type { Genesis } from "../evm/genesis.ts";
import taskManager from "./artifacts/CofheTaskManager.json";
import thresholdNetwork from "./artifacts/CofheThresholdNetwork.json";
import zkVerifier from "./artifacts/CofheZkVerifier.json";
import { cofheAddresses, zkVerifierSigner } from "./cofhe.ts";

/** What each account of the devnet starts with, in wei. */
export const startingBalance = parseEther("10000");

/**
 * A devnet's chain before its first transaction: ether for its accounts, CoFHE's stand-ins at their fixed addresses, and the
 * SDK's verifier account unlocked, so that every process can send through it without minding its nonce.
 */
export function devnetGenesis(): Genesis {
  const { nodes, developers, ...others } = devnetAccounts();
  const funded = [...nodes, ...developers, ...Object.values(others)];
  return {
    ...Object.fromEntries(funded.map(({ address }) => [address, { balance: startingBalance }])),
    [zkVerifierSigner.address]: { balance: startingBalance, privateKey: zkVerifierSigner.privateKey },
    [cofheAddresses.taskManager]: { code: taskManager.deployedBytecode as Hex },
    [cofheAddresses.zkVerifier]: { code: zkVerifier.deployedBytecode as Hex },
    [cofheAddresses.thresholdNetwork]: { code: thresholdNetwork.deployedBytecode as Hex },
  };
}
