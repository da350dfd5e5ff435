import { type Address, type Hex, pad } from "viem";
import { nodeRegistryAbi } from "./abi/node-registry.ts";
import type { Chain } from "./clients.ts";
import { contractCall } from "./contract-call.ts";
import { chainError } from "./errors.ts";
import type { Sender } from "./sender.ts";

export type Registration = {
  tier: number;
  /** 16 bytes, as the coordinator gives it. */
  certHash: Hex;
  /** Unix seconds. */
  expiresAt: number;
  models: string[];
};

/** Whether this node is in the registry at all; it may be inactive. */
export async function isRegistered(chain: Chain, registry: Address, node: Address): Promise<boolean> {
  const record = await chain.client
    .readContract({ address: registry, abi: nodeRegistryAbi, functionName: "getNode", args: [node] })
    .catch((error: unknown) => {
      throw chainError(error, "read the node's registration");
    });
  return record.registeredAt > 0n;
}

/**
 * `NodeRegistry.register`, once per node. The 16-byte hash is padded on the right (PROTOCOL.md 16).
 * @returns the hash of the transaction
 */
export async function registerNode(
  sender: Sender,
  registry: Address,
  registration: Registration,
  signal?: AbortSignal,
): Promise<Hex> {
  const call = contractCall({
    address: registry,
    abi: nodeRegistryAbi,
    functionName: "register",
    args: [
      registration.tier,
      pad(registration.certHash, { size: 32, dir: "right" }),
      BigInt(registration.expiresAt),
      registration.models,
    ],
  });
  const purpose = `register:${registry}`;
  const receipt = await sender.send({ purpose, action: "register the node on chain", call }, signal);
  return receipt.transactionHash;
}

/** `NodeRegistry.heartbeat`; `day` makes the purpose unique, so that a restart does not send a second one. */
export async function sendOnChainHeartbeat(
  sender: Sender,
  registry: Address,
  day: number,
  signal?: AbortSignal,
): Promise<Hex> {
  const call = contractCall({ address: registry, abi: nodeRegistryAbi, functionName: "heartbeat", args: [] });
  const purpose = `heartbeat:${registry}:${day}`;
  const receipt = await sender.send({ purpose, action: "send the on-chain heartbeat", call }, signal);
  return receipt.transactionHash;
}
