import { describe, expect, test } from "bun:test";
import { type Abi, toEventSelector, toFunctionSelector, toFunctionSignature } from "viem";
import { blindAbi } from "../../src/chain/abi/blind.ts";
import { executionCommitmentRegistryAbi } from "../../src/chain/abi/execution-commitment-registry.ts";
import { faucetAbi } from "../../src/chain/abi/faucet.ts";
import { nodeAttestationRegistryAbi } from "../../src/chain/abi/node-attestation-registry.ts";
import { nodeRegistryAbi } from "../../src/chain/abi/node-registry.ts";
import { promptKeyStoreAbi } from "../../src/chain/abi/prompt-key-store.ts";
import { resultRegistryAbi } from "../../src/chain/abi/result-registry.ts";
import { rewardAccumulatorAbi } from "../../src/chain/abi/reward-accumulator.ts";
import { stakingAbi } from "../../src/chain/abi/staking.ts";
import blind from "../../src/devnet/contracts/artifacts/Blind.json";
import faucet from "../../src/devnet/contracts/artifacts/BlindFaucet.json";
import staking from "../../src/devnet/contracts/artifacts/BlindferenceStaking.json";
import nodeAttestationRegistry from "../../src/devnet/contracts/artifacts/NodeAttestationRegistry.json";
import nodeRegistry from "../../src/devnet/contracts/artifacts/NodeRegistry.json";
import promptKeyStore from "../../src/devnet/contracts/artifacts/PromptKeyStore.json";
import rewardAccumulator from "../../src/devnet/contracts/artifacts/RewardAccumulator.json";

/** What a caller sees of an interface: types in and out, not the names of parameters. */
function shapes(abi: Abi, type: "function" | "event"): string[] {
  return abi
    .flatMap((item) => {
      if (item.type !== type) return [];
      if (item.type === "event")
        return [
          `${toFunctionSignature({ ...item, type: "function", outputs: [], stateMutability: "view" })} ${item.inputs.map(({ indexed }) => indexed === true)}`,
        ];
      if (item.type !== "function") return [];
      const outputs = toFunctionSignature({ ...item, name: "returns", inputs: item.outputs });
      return [`${toFunctionSignature(item)} ${outputs} ${item.stateMutability}`];
    })
    .sort();
}

const owned: [name: string, published: Abi, ours: unknown, absent: RegExp][] = [
  ["blind", blindAbi, blind.abi, /^$/],
  ["staking", stakingAbi, staking.abi, /^$/],
  ["node-registry", nodeRegistryAbi, nodeRegistry.abi, /^$/],
  // The devnet's registry has no owner: nothing in it is anybody's to decide but the nodes'.
  ["node-attestation-registry", nodeAttestationRegistryAbi, nodeAttestationRegistry.abi, /[oO]wner/],
  ["prompt-key-store", promptKeyStoreAbi, promptKeyStore.abi, /^$/],
  ["reward-accumulator", rewardAccumulatorAbi, rewardAccumulator.abi, /^$/],
  ["faucet", faucetAbi, faucet.abi, /^$/],
];

describe("interfaces", () => {
  for (const [name, published, ours, absent] of owned)
    test(`the devnet's ${name} has every function and event of the published interface`, () => {
      for (const type of ["function", "event"] as const) {
        const wanted = shapes(published, type).filter((shape) => !absent.test(shape));
        const offered = new Set(shapes(ours as Abi, type));
        expect(wanted.length).toBeGreaterThan(0);
        expect(wanted.filter((shape) => !offered.has(shape))).toEqual([]);
      }
    });

  for (const [name, published, ours] of owned)
    test(`every custom error of the devnet's ${name} can be decoded`, () => {
      // Errors that no call of ours can provoke: malformed strings of libraries.
      const unreachable = /^(Strings|ECDSA|FailedCall|InsufficientBalance|SafeERC20)/;
      const errors = (abi: Abi) => abi.flatMap((item) => (item.type === "error" ? [item.name] : []));
      const known = new Set(errors(published));
      const missing = errors(ours as Abi).filter((error) => !known.has(error) && !unreachable.test(error));
      expect(missing).toEqual([]);
    });

  test("selectors of contracts that the devnet has not", () => {
    const selectorOf = (abi: Abi, name: string) =>
      toFunctionSelector(abi.find((item) => item.type === "function" && item.name === name) as never);
    expect(selectorOf(resultRegistryAbi, "isConditionMet")).toBe(
      toFunctionSelector("isConditionMet(bytes32,uint8,uint8)"),
    );
    expect(selectorOf(resultRegistryAbi, "commitResult")).toBe(
      toFunctionSelector("commitResult(bytes32,bytes32,address,address[],uint8,uint8,uint8,bytes32)"),
    );
    expect(selectorOf(executionCommitmentRegistryAbi, "dispatch")).toBe(
      toFunctionSelector("dispatch(uint256,uint256,uint256,address,address,uint64,uint64)"),
    );
    expect(selectorOf(executionCommitmentRegistryAbi, "reveal")).toBe(
      toFunctionSelector("reveal(uint256,uint8,bytes32,bytes32)"),
    );
    expect(selectorOf(promptKeyStoreAbi, "storeKey")).toBe(
      toFunctionSelector("storeKey(bytes32,(uint256,uint8,uint8,bytes),(uint256,uint8,uint8,bytes),address[])"),
    );
    const transfer = blindAbi.find((item) => item.type === "event" && item.name === "Transfer");
    expect(toEventSelector(transfer as never)).toBe(
      "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
    );
  });
});
