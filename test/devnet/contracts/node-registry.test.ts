import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Address, keccak256, parseEther, toHex } from "viem";
import { nodeRegistryAbi } from "../../../src/chain/abi/node-registry.ts";
import { chainKinds, type Network, revertOf, startNetwork } from "./network.ts";

const graceSeconds = 950_400;
const hash = keccak256(toHex("attestation"));

for (const kind of chainKinds)
  describe.skipIf(!kind.available)(`NodeRegistry on ${kind.name}`, () => {
    let network: Network;
    beforeAll(async () => {
      network = await startNetwork(kind);
    });
    afterAll(() => network?.stop());

    const registry = () => ({ address: network.addresses.nodeRegistry, abi: nodeRegistryAbi }) as const;
    const isActive = (node: Address) =>
      network.client.readContract({ ...registry(), functionName: "isActive", args: [node] });
    const register = (node: Network["accounts"]["icl"], value = 0n) =>
      network.wallet(node).writeContract({
        ...registry(),
        functionName: "register",
        args: [1, hash, 99n, ["model-a", "model-b"]],
        value,
      });

    test("a registered node is listed with what it declared", async () => {
      const node = await network.freshAccount();
      expect(await isActive(node.address)).toBe(false);
      const receipt = await network.mined(register(node, 5n));
      const { timestamp } = await network.client.getBlock({ blockNumber: receipt.blockNumber });
      expect(
        await network.client.readContract({ ...registry(), functionName: "getNode", args: [node.address] }),
      ).toEqual({
        operator: node.address,
        tier: 1,
        attestationHash: hash,
        registeredAt: timestamp,
        lastHeartbeat: timestamp,
        attestationExpires: 99n,
        active: true,
        models: ["model-a", "model-b"],
        stake: 5n,
      });
    });

    test("a node is active until the grace after its last heartbeat has passed", async () => {
      const node = await network.freshAccount();
      const heartbeat = () => network.wallet(node).writeContract({ ...registry(), functionName: "heartbeat" });
      expect(await revertOf(heartbeat())).toEqual({ name: "NotRegistered", args: [node.address] });
      await network.mined(register(node));
      await network.advance(graceSeconds - 600);
      expect(await isActive(node.address)).toBe(true);
      await network.mined(heartbeat());
      await network.advance(graceSeconds - 600);
      expect(await isActive(node.address)).toBe(true);
      await network.advance(700);
      expect(await isActive(node.address)).toBe(false);
      await network.mined(heartbeat());
      expect(await isActive(node.address)).toBe(true);
    });

    test("a deposit can be withdrawn once the node is inactive, without another heartbeat", async () => {
      const node = await network.freshAccount();
      const withdraw = () => network.wallet(node).writeContract({ ...registry(), functionName: "withdrawStake" });
      await network.mined(register(node, parseEther("1")));
      expect((await revertOf(withdraw())).name).toBe("StillActive");
      await network.advance(graceSeconds + 60);
      const before = await network.client.getBalance(node);
      const receipt = await network.mined(withdraw());
      const fee = receipt.gasUsed * receipt.effectiveGasPrice;
      expect(await network.client.getBalance(node)).toBe(before - fee + parseEther("1"));
      expect((await revertOf(withdraw())).name).toBe("NotRegistered");
    });

    test("only the ICL writes attestations, and plain transfers are not trapped", async () => {
      const node = await network.freshAccount();
      await network.mined(register(node));
      const update = (by: Network["accounts"]["icl"]) =>
        network
          .wallet(by)
          .writeContract({ ...registry(), functionName: "updateAttestation", args: [node.address, hash, 2, 123n] });
      expect(await revertOf(update(node))).toEqual({ name: "NotAuthorizedICL", args: [node.address] });
      await network.mined(update(network.accounts.icl));
      expect(
        await network.client.readContract({ ...registry(), functionName: "getNode", args: [node.address] }),
      ).toMatchObject({ tier: 2, attestationExpires: 123n });
      const transfer = network.wallet(node).sendTransaction({ to: network.addresses.nodeRegistry, value: 1n });
      await expect(transfer).rejects.toThrow(/revert/);
    });

    test("a minimum deposit counts what is there already", async () => {
      const node = await network.freshAccount();
      const setMinimum = (amount: bigint) =>
        network.mined(
          network
            .wallet(network.accounts.deployer)
            .writeContract({ ...registry(), functionName: "setMinStake", args: [amount] }),
        );
      await setMinimum(10n);
      expect(await revertOf(register(node, 9n))).toEqual({ name: "InsufficientStake", args: [9n, 10n] });
      await network.mined(register(node, 10n));
      await network.mined(register(node, 0n));
      await setMinimum(0n);
    });
  });
