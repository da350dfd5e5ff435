import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { parseEther } from "viem";
import type { PrivateKeyAccount } from "viem/accounts";
import { blindAbi } from "../../../src/chain/abi/blind.ts";
import { stakingAbi } from "../../../src/chain/abi/staking.ts";
import { chainKinds, type Network, revertOf, startNetwork } from "./network.ts";

const stakeAmount = parseEther("1000");
const hours96 = 96 * 3600;

for (const kind of chainKinds)
  describe.skipIf(!kind.available)(`BlindferenceStaking on ${kind.name}`, () => {
    let network: Network;
    beforeAll(async () => {
      network = await startNetwork(kind);
    });
    afterAll(() => network?.stop());

    const staking = () => ({ address: network.addresses.staking, abi: stakingAbi }) as const;
    const blind = () => ({ address: network.addresses.blind, abi: blindAbi }) as const;
    const info = (node: PrivateKeyAccount) =>
      network.client.readContract({ ...staking(), functionName: "getStakeInfo", args: [node.address] });
    const balance = (account: { address: `0x${string}` }) =>
      network.client.readContract({ ...blind(), functionName: "balanceOf", args: [account.address] });
    const approve = async (node: PrivateKeyAccount, amount: bigint) => {
      const args = [network.addresses.staking, amount] as const;
      await network.mined(network.wallet(node).writeContract({ ...blind(), functionName: "approve", args }));
    };
    const stake = async (node: PrivateKeyAccount, amount: bigint) => {
      await approve(node, amount);
      await network.mined(network.wallet(node).writeContract({ ...staking(), functionName: "stake", args: [amount] }));
    };
    const recordFailure = (node: PrivateKeyAccount, by: PrivateKeyAccount | Network["accounts"]["icl"]) =>
      network.wallet(by).writeContract({ ...staking(), functionName: "recordFailure", args: [node.address] });

    test("a stake comes back to the wei, 96 hours after it was asked for and not before", async () => {
      const node = await network.freshAccount(stakeAmount + 7n);
      await stake(node, stakeAmount + 5n);
      expect(await balance(node)).toBe(2n);
      expect(await info(node)).toMatchObject({ staked: stakeAmount + 5n, unbonding: 0n, active: true });

      const receipt = await network.mined(
        network.wallet(node).writeContract({ ...staking(), functionName: "initiateUnstake" }),
      );
      const { timestamp } = await network.client.getBlock({ blockNumber: receipt.blockNumber });
      const availableAt = timestamp + BigInt(hours96);
      expect(await info(node)).toMatchObject({
        staked: 0n,
        unbonding: stakeAmount + 5n,
        unbondingAvailableAt: availableAt,
        active: false,
      });
      const complete = () => network.wallet(node).writeContract({ ...staking(), functionName: "completeUnstake" });
      expect(await revertOf(complete())).toEqual({ name: "StillUnbonding", args: [availableAt] });
      await network.advance(hours96 - 600);
      expect((await revertOf(complete())).name).toBe("StillUnbonding");
      await network.advance(600);
      expect(
        await network.client.readContract({ ...staking(), functionName: "canCompleteUnstake", args: [node.address] }),
      ).toBe(true);
      await network.mined(complete());
      expect(await balance(node)).toBe(stakeAmount + 7n);
      expect((await revertOf(complete())).name).toBe("NothingUnbonding");
    });

    test("each stake must reach the minimum, and needs allowance and balance", async () => {
      const node = await network.freshAccount(stakeAmount);
      const attempt = (amount: bigint) =>
        network.wallet(node).writeContract({ ...staking(), functionName: "stake", args: [amount] });
      expect(await revertOf(attempt(stakeAmount - 1n))).toEqual({
        name: "BelowMinimumStake",
        args: [stakeAmount - 1n, stakeAmount],
      });
      expect((await revertOf(attempt(stakeAmount))).name).toBe("ERC20InsufficientAllowance");
      await approve(node, stakeAmount * 2n);
      expect((await revertOf(attempt(stakeAmount + 1n))).name).toBe("ERC20InsufficientBalance");
      await network.mined(attempt(stakeAmount));
      expect((await info(node)).staked).toBe(stakeAmount);
    });

    test("the third failure in a row moves the whole stake to the owner", async () => {
      const node = await network.freshAccount(stakeAmount * 2n);
      const { icl, deployer } = network.accounts;
      await stake(node, stakeAmount * 2n);
      const ownerBefore = await balance(deployer);
      const totalBefore = await network.client.readContract({ ...staking(), functionName: "totalStaked" });

      await network.mined(recordFailure(node, icl));
      await network.mined(recordFailure(node, icl));
      expect(await info(node)).toMatchObject({ staked: stakeAmount * 2n, consecutiveFailures: 2n, active: true });
      await network.mined(recordFailure(node, icl));
      expect(await info(node)).toMatchObject({ staked: 0n, consecutiveFailures: 0n, active: false });
      expect((await balance(deployer)) - ownerBefore).toBe(stakeAmount * 2n);
      const total = await network.client.readContract({ ...staking(), functionName: "totalStaked" });
      expect(totalBefore - total).toBe(stakeAmount * 2n);

      await network.mined(recordFailure(node, icl));
      expect((await info(node)).consecutiveFailures).toBe(0n);
    });

    test("a success between failures keeps the stake, and only the slasher counts", async () => {
      const node = await network.freshAccount(stakeAmount);
      const { icl } = network.accounts;
      await stake(node, stakeAmount);
      expect(await revertOf(recordFailure(node, node))).toEqual({ name: "NotSlasher", args: [node.address] });
      await network.mined(recordFailure(node, icl));
      await network.mined(recordFailure(node, icl));
      await network.mined(
        network.wallet(icl).writeContract({ ...staking(), functionName: "resetFailures", args: [node.address] }),
      );
      await network.mined(recordFailure(node, icl));
      expect(await info(node)).toMatchObject({ staked: stakeAmount, consecutiveFailures: 1n, active: true });
    });

    test("a slash takes no more than there is, and a rest below the minimum is not active", async () => {
      const node = await network.freshAccount(stakeAmount);
      const slash = (amount: bigint) =>
        network
          .wallet(network.accounts.icl)
          .writeContract({ ...staking(), functionName: "slash", args: [node.address, amount, "test"] });
      await stake(node, stakeAmount);
      await network.mined(slash(1n));
      expect(await info(node)).toMatchObject({ staked: stakeAmount - 1n, active: false });
      await network.mined(slash(stakeAmount));
      expect((await info(node)).staked).toBe(0n);
      expect((await revertOf(slash(1n))).name).toBe("NothingStaked");
    });
  });
