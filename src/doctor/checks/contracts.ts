import { type Abi, type Address, type Hex, toFunctionSelector } from "viem";
import { blindAbi } from "../../chain/abi/blind.ts";
import { nodeRegistryAbi } from "../../chain/abi/node-registry.ts";
import { promptKeyStoreAbi } from "../../chain/abi/prompt-key-store.ts";
import { rewardAccumulatorAbi } from "../../chain/abi/reward-accumulator.ts";
import { stakingAbi } from "../../chain/abi/staking.ts";
import { chainError } from "../../chain/errors.ts";
import { type Check, failed, notChecked, ok } from "../check.ts";
import type { DoctorContext } from "../context.ts";

type ContractKey = `${"blind_token" | "staking" | "node_registry" | "prompt_key_store" | "reward_accumulator"}_address`;

type Contract = {
  key: ContractKey;
  title: string;
  abi: Abi;
  /** Functions that this program calls. */
  uses: string[];
};

const contracts: Contract[] = [
  {
    key: "blind_token_address",
    title: "BLIND",
    abi: blindAbi,
    uses: ["approve", "allowance", "balanceOf", "transfer"],
  },
  {
    key: "staking_address",
    title: "BlindferenceStaking",
    abi: stakingAbi,
    uses: ["stake", "initiateUnstake", "completeUnstake", "getStakeInfo", "MIN_STAKE", "MAX_CONSECUTIVE_FAILURES"],
  },
  {
    key: "node_registry_address",
    title: "NodeRegistry",
    abi: nodeRegistryAbi,
    uses: ["register", "heartbeat", "getNode", "isActive"],
  },
  {
    key: "prompt_key_store_address",
    title: "PromptKeyStore",
    abi: promptKeyStoreAbi,
    uses: ["storeKey", "getEncryptedKey"],
  },
  {
    key: "reward_accumulator_address",
    title: "RewardAccumulator",
    abi: rewardAccumulatorAbi,
    uses: ["release", "pendingItems", "pendingTotal"],
  },
];

/** One check for each contract that the configuration names. */
export const contractChecks: Check[] = contracts.map((contract) => ({
  id: `contract-${contract.key.replace(/_address$/, "").replaceAll("_", "-")}`,
  title: `contract ${contract.title}`,
  needs: "config",
  async run(ctx) {
    const address = ctx.config[contract.key];
    const remedy = `Set ${contract.key} to where ${contract.title} is on this network.`;
    if (address === "") return [failed(this, "no address is configured", remedy)];
    const { unusable } = await ctx.rpc();
    if (unusable) return [notChecked(this, unusable)];
    const code = await codeOf(ctx, address);
    if (code === "0x") return [failed(this, `there is no contract at ${address}`, remedy)];
    const missing = contract.uses.filter((name) => !hasFunction(code, contract.abi, name));
    if (missing.length === 0) return [ok(this, address)];
    return [failed(this, `the contract at ${address} has no ${missing.join(", ")}`, remedy)];
  },
}));

/** Whether code dispatches a function: it compares the call's first four bytes with the selector, without its leading zeros. */
function hasFunction(code: Hex, abi: Abi, name: string): boolean {
  const item = abi.find((entry) => entry.type === "function" && entry.name === name);
  if (item?.type !== "function") return false;
  const selector = toFunctionSelector(item)
    .slice(2)
    .replace(/^(00)+/, "");
  const push = (0x5f + selector.length / 2).toString(16);
  return code.includes(push + selector);
}

/** EIP-1967: where a proxy keeps the address of its code. */
const implementationSlot = "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc";
/** EIP-1167: a proxy of 45 bytes around an address. */
const minimalProxy = /^0x363d3d373d3d3d363d73([0-9a-f]{40})5af43d82803e903d91602b57fd5bf3$/;

/** The code that answers at an address, behind a proxy if there is one; `0x` when there is none. */
async function codeOf({ chain }: DoctorContext, address: Address): Promise<Hex> {
  const { client } = chain;
  try {
    const [code, slot] = await Promise.all([
      client.getCode({ address }),
      client.getStorageAt({ address, slot: implementationSlot }),
    ]);
    const inner = minimalProxy.exec(code ?? "")?.[1] ?? slot?.slice(-40);
    if (code === undefined || inner === undefined || /^0*$/.test(inner)) return code ?? "0x";
    return (await client.getCode({ address: `0x${inner}` })) ?? "0x";
  } catch (error) {
    throw chainError(error, "read the contract's code");
  }
}
