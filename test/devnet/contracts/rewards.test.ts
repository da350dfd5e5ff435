import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Address, createWalletClient, http, keccak256, parseEther, toHex } from "viem";
import { hardhat } from "viem/chains";
import { blindAbi } from "../../../src/chain/abi/blind.ts";
import { faucetAbi } from "../../../src/chain/abi/faucet.ts";
import { rewardAccumulatorAbi } from "../../../src/chain/abi/reward-accumulator.ts";
import { stakingAbi } from "../../../src/chain/abi/staking.ts";
import { deployNetwork, faucetCooldown, faucetDrip } from "../../../src/devnet/contracts/deploy.ts";
import { chainKinds, type Network, revertOf, startNetwork } from "./network.ts";

const cycleSeconds = 86_400n;
const workRef = keccak256(toHex("job"));
const leader = 0;
const verifier = 1;

for (const kind of chainKinds)
  describe.skipIf(!kind.available)(`rewards on ${kind.name}`, () => {
    let network: Network;
    beforeAll(async () => {
      network = await startNetwork(kind);
    });
    afterAll(() => network?.stop());

    const accumulator = (address = network.addresses.rewardAccumulator) =>
      ({ address, abi: rewardAccumulatorAbi }) as const;
    const balance = (account: Address) =>
      network.client.readContract({
        address: network.addresses.blind,
        abi: blindAbi,
        functionName: "balanceOf",
        args: [account],
      });
    const currentCycle = async () => (await network.client.getBlock()).timestamp / cycleSeconds;
    const accrue = (node: Address, cycle: bigint, role: number, amount: bigint, contract = accumulator()) =>
      network
        .wallet(network.accounts.icl)
        .writeContract({ ...contract, functionName: "accrue", args: [node, cycle, 1n, role, amount, workRef] });
    const release = (node: Address, cycle: bigint, contract = accumulator()) =>
      network
        .wallet(network.accounts.developers[0])
        .writeContract({ ...contract, functionName: "release", args: [node, cycle] });

    test("what accrued in a cycle is paid once, and only after the cycle", async () => {
      const node = (await network.freshAccount()).address;
      const cycle = await currentCycle();
      await network.mined(accrue(node, cycle, leader, parseEther("0.6")));
      await network.mined(accrue(node, cycle, verifier, parseEther("0.2")));
      const args = [node, cycle] as const;
      const read = (functionName: "pendingTotal" | "workCount" | "validationCount") =>
        network.client.readContract({ ...accumulator(), functionName, args });
      expect(await read("pendingTotal")).toBe(parseEther("0.8"));
      expect(await read("workCount")).toBe(1n);
      expect(await read("validationCount")).toBe(1n);
      expect(await network.client.readContract({ ...accumulator(), functionName: "pendingItems", args })).toEqual([
        { escrowId: 1n, amount: parseEther("0.6"), workRef, role: leader, status: 0 },
        { escrowId: 1n, amount: parseEther("0.2"), workRef, role: verifier, status: 0 },
      ]);

      expect((await revertOf(release(node, cycle))).name).toBe("CycleNotEnded");
      await network.advance(Number(cycleSeconds));
      await network.mined(release(node, cycle));
      expect(await balance(node)).toBe(parseEther("0.8"));
      expect(await read("pendingTotal")).toBe(0n);
      expect((await revertOf(release(node, cycle))).name).toBe("AlreadyReleased");
      expect((await revertOf(accrue(node, cycle, leader, 1n))).name).toBe("AlreadyReleased");
      expect((await revertOf(release(node, cycle + 1n))).name).toBe("NoPendingItems");
    });

    test("only an accruer accrues, nothing is no reward, and the owner can forfeit", async () => {
      const node = await network.freshAccount();
      const cycle = await currentCycle();
      const args = [node.address, cycle, 1n, leader, 5n, workRef] as const;
      const own = network.wallet(node).writeContract({ ...accumulator(), functionName: "accrue", args });
      expect((await revertOf(own)).name).toBe("NotAuthorizedAccruer");
      expect((await revertOf(accrue(node.address, cycle, leader, 0n))).name).toBe("ZeroAmount");

      await network.mined(accrue(node.address, cycle, leader, 5n));
      await network.mined(
        network
          .wallet(network.accounts.deployer)
          .writeContract({ ...accumulator(), functionName: "forfeit", args: [node.address, cycle] }),
      );
      await network.advance(Number(cycleSeconds));
      expect((await revertOf(release(node.address, cycle))).name).toBe("AlreadyReleased");
      expect(await balance(node.address)).toBe(0n);
    });

    test("failures on record block a release until they are reset", async () => {
      const stakeAmount = parseEther("1000");
      const node = await network.freshAccount(stakeAmount);
      const staking = { address: network.addresses.staking, abi: stakingAbi } as const;
      const blind = { address: network.addresses.blind, abi: blindAbi } as const;
      const wallet = network.wallet(node);
      const icl = network.wallet(network.accounts.icl);
      await network.mined(
        wallet.writeContract({ ...blind, functionName: "approve", args: [staking.address, stakeAmount] }),
      );
      await network.mined(wallet.writeContract({ ...staking, functionName: "stake", args: [stakeAmount] }));
      const cycle = await currentCycle();
      await network.mined(accrue(node.address, cycle, leader, 9n));
      await network.mined(icl.writeContract({ ...staking, functionName: "recordFailure", args: [node.address] }));
      await network.advance(Number(cycleSeconds));
      expect((await revertOf(release(node.address, cycle))).name).toBe("AccuracyFailed");
      await network.mined(icl.writeContract({ ...staking, functionName: "resetFailures", args: [node.address] }));
      await network.mined(release(node.address, cycle));
      expect(await balance(node.address)).toBe(9n);
    });

    test("a network may demand work and validation in a cycle", async () => {
      const strict = await deployNetwork({
        rpcUrl: network.url,
        minWorkPerCycle: 1n,
        minValidationPerCycle: 2n,
      });
      const contract = accumulator(strict.rewardAccumulator);
      const node = (await network.freshAccount()).address;
      const cycle = await currentCycle();
      await network.mined(accrue(node, cycle, verifier, 1n, contract));
      await network.advance(Number(cycleSeconds));
      expect((await revertOf(release(node, cycle, contract))).name).toBe("WorkProportionFailed");
      await network.mined(accrue(node, cycle, leader, 1n, contract));
      expect((await revertOf(release(node, cycle, contract))).name).toBe("ValidationProportionFailed");
      await network.mined(accrue(node, cycle, verifier, 1n, contract));
      await network.mined(release(node, cycle, contract));
    });

    test("the faucet gives once per cooldown", async () => {
      const account = await network.freshAccount();
      const drip = () =>
        createWalletClient({ chain: hardhat, transport: http(network.url), account }).writeContract({
          address: network.addresses.faucet,
          abi: faucetAbi,
          functionName: "drip",
        });
      await network.mined(drip());
      expect(await balance(account.address)).toBe(faucetDrip);
      expect((await revertOf(drip())).name).toBe("CooldownActive");
      await network.advance(Number(faucetCooldown));
      await network.mined(drip());
      expect(await balance(account.address)).toBe(faucetDrip * 2n);
    });

    test("only the owner mints", async () => {
      const account = await network.freshAccount();
      const mint = network.wallet(account).writeContract({
        address: network.addresses.blind,
        abi: blindAbi,
        functionName: "mint",
        args: [account.address, 1n],
      });
      expect(await revertOf(mint)).toEqual({ name: "OwnableUnauthorizedAccount", args: [account.address] });
    });
  });
