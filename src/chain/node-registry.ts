import { type Address, type Hex, pad } from "viem";
import { nodeRegistryAbi } from "./abi/node-registry.ts";
import type { Chain } from "./clients.ts";
import { type ContractCall, contractCall } from "./contract-call.ts";
import { chainError } from "./errors.ts";
import type { Sender } from "./sender.ts";
import { unixTime } from "./unix-time.ts";

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
  return (await readRecord(chain, registry, node)).registeredAt > 0n;
}

/** When the chain last heard of this node, in milliseconds since the epoch; 0 when it is not registered. */
export async function readLastHeartbeat(chain: Chain, registry: Address, node: Address): Promise<number> {
  return unixTime((await readRecord(chain, registry, node)).lastHeartbeat) * 1000;
}

async function readRecord(chain: Chain, registry: Address, node: Address) {
  return chain.client
    .readContract({ address: registry, abi: nodeRegistryAbi, functionName: "getNode", args: [node] })
    .catch((error: unknown) => {
      throw chainError(error, "read the node's registration");
    });
}

/** `NodeRegistry.register`. The 16-byte hash is padded on the right (PROTOCOL.md 16). */
export function registrationCall(registry: Address, registration: Registration): ContractCall {
  return contractCall({
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
}

/**
 * Registers this node, once.
 * @returns the hash of the transaction
 */
export async function registerNode(
  sender: Sender,
  registry: Address,
  registration: Registration,
  signal?: AbortSignal,
): Promise<Hex> {
  const call = registrationCall(registry, registration);
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
