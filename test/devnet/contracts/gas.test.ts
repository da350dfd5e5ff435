import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { encodeFunctionData, keccak256, parseEther, toHex } from "viem";
import { blindAbi } from "../../../src/chain/abi/blind.ts";
import { nodeRegistryAbi } from "../../../src/chain/abi/node-registry.ts";
import { stakingAbi } from "../../../src/chain/abi/staking.ts";
import nodeRegistry from "../../../src/devnet/contracts/artifacts/NodeRegistry.json";
import { chainKinds, type Network, startNetwork } from "./network.ts";

const stakeAmount = parseEther("1000");

for (const kind of chainKinds)
  describe.skipIf(!kind.available)(`gas and nonces on ${kind.name}`, () => {
    let network: Network;
    beforeAll(async () => {
      network = await startNetwork(kind);
    });
    afterAll(() => network?.stop());

    /** Sends with exactly the estimate; returns the estimate and what was used. */
    const sendWithEstimate = async (
      account: Network["accounts"]["icl"],
      call: { to?: `0x${string}`; data: `0x${string}` },
    ) => {
      const gas = await network.client.estimateGas({ account: account.address, ...call });
      const receipt = await network.mined(network.wallet(account).sendTransaction({ ...call, gas }));
      expect(receipt.gasUsed).toBeLessThanOrEqual(gas);
      return { gas, used: receipt.gasUsed };
    };

    test("an estimate is enough, for calls into other contracts and for refunds", async () => {
      const node = await network.freshAccount(stakeAmount);
      const { blind, staking } = network.addresses;
      const { icl } = network.accounts;
      const approve = { abi: blindAbi, functionName: "approve", args: [staking, stakeAmount] } as const;
      await sendWithEstimate(node, { to: blind, data: encodeFunctionData(approve) });
      const stake = { abi: stakingAbi, functionName: "stake", args: [stakeAmount] } as const;
      await sendWithEstimate(node, { to: staking, data: encodeFunctionData(stake) });
      const initiate = encodeFunctionData({ abi: stakingAbi, functionName: "initiateUnstake" });
      await sendWithEstimate(node, { to: staking, data: initiate });
      await network.advance(96 * 3600 + 5);
      const complete = encodeFunctionData({ abi: stakingAbi, functionName: "completeUnstake" });
      const refunded = await sendWithEstimate(node, { to: staking, data: complete });
      expect(refunded.gas).toBeGreaterThan(refunded.used);
      const failure = { abi: stakingAbi, functionName: "recordFailure", args: [node.address] } as const;
      await sendWithEstimate(icl, { to: staking, data: encodeFunctionData(failure) });
    });

    test("an estimate is close to what a deployment uses", async () => {
      const owner = network.accounts.deployer;
      const { gas, used } = await sendWithEstimate(owner, {
        data: (nodeRegistry.bytecode +
          owner.address.slice(2).padStart(64, "0") +
          owner.address.slice(2).padStart(64, "0")) as `0x${string}`,
      });
      expect(Number(gas) / Number(used)).toBeLessThan(1.05);
    });

    test("a write of the time may be mined in another second than it was estimated in", async () => {
      const node = await network.freshAccount();
      const { nodeRegistry: to } = network.addresses;
      const args = [1, keccak256(toHex("a")), 99n, ["m"]] as const;
      const register = encodeFunctionData({ abi: nodeRegistryAbi, functionName: "register", args });
      await network.mined(network.wallet(node).sendTransaction({ to, data: register }));
      const gas = await network.client.estimateGas({ account: node.address, to, data: register });
      await network.advance(10);
      // anvil estimates for the present only; a margin is what senders add on such chains.
      const margin = kind.name === "anvil" ? 5000n : 0n;
      await network.mined(network.wallet(node).sendTransaction({ to, data: register, gas: gas + margin }));
    });

    test("a transaction that reverts is mined as failed and pays for its gas", async () => {
      const node = await network.freshAccount();
      const before = await network.client.getBalance(node);
      const data = encodeFunctionData({ abi: stakingAbi, functionName: "initiateUnstake" });
      const hash = await network.wallet(node).sendTransaction({ to: network.addresses.staking, data, gas: 100_000n });
      const receipt = await network.client.waitForTransactionReceipt({ hash });
      expect(receipt).toMatchObject({ status: "reverted", logs: [] });
      expect(receipt.gasUsed).toBeLessThan(100_000n);
      expect(await network.client.getBalance(node)).toBe(before - receipt.gasUsed * receipt.effectiveGasPrice);
    });

    test("a nonce that is used is refused, in words that viem knows", async () => {
      const node = await network.freshAccount();
      const transfer = (nonce: number) => network.wallet(node).sendTransaction({ to: node.address, value: 1n, nonce });
      await network.mined(transfer(0));
      const error = await transfer(0).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ name: "TransactionExecutionError", cause: { name: "NonceTooLowError" } });
      expect(await network.client.getTransactionCount({ address: node.address, blockTag: "pending" })).toBe(1);
    });

    test("more than there is cannot be sent", async () => {
      const node = await network.freshAccount();
      const send = network.wallet(node).sendTransaction({ to: node.address, value: parseEther("11"), gas: 21_000n });
      const error = await send.catch((reason: unknown) => reason);
      expect(error).toMatchObject({ cause: { name: "InsufficientFundsError" } });
    });
  });
