import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Address, encodeAbiParameters, type Hex, keccak256, parseAbiParameters, toHex, zeroAddress } from "viem";
import type { PrivateKeyAccount } from "viem/accounts";
import { nodeAttestationRegistryAbi } from "../../../src/chain/abi/node-attestation-registry.ts";
import { chainKinds, type Network, revertOf, startNetwork } from "./network.ts";

const attestationType = keccak256(toHex("blindference.node.availability.v1"));
const documentHash = keccak256(toHex("document"));

type Claim = { node: Address; documentHash: Hex; counterparty: Address; effectiveAt: bigint; expiresAt: bigint };

/** PROTOCOL.md 2.9, computed here from the text of the protocol. */
function digestOf(registry: Address, claim: Claim): Hex {
  const types = "bytes32, uint256, address, address, bytes32, bytes32, address, uint64, uint64";
  return keccak256(
    encodeAbiParameters(parseAbiParameters(types), [
      keccak256(toHex("blindference.node-attestation.v1")),
      31337n,
      registry,
      claim.node,
      attestationType,
      claim.documentHash,
      claim.counterparty,
      claim.effectiveAt,
      claim.expiresAt,
    ]),
  );
}

for (const kind of chainKinds)
  describe.skipIf(!kind.available)(`NodeAttestationRegistry on ${kind.name}`, () => {
    let network: Network;
    let now: bigint;
    beforeAll(async () => {
      network = await startNetwork(kind);
      now = (await network.client.getBlock()).timestamp;
    });
    afterAll(() => network?.stop());

    const registry = () =>
      ({ address: network.addresses.nodeAttestationRegistry, abi: nodeAttestationRegistryAbi }) as const;
    const claimOf = (node: Address, change: Partial<Claim> = {}): Claim => ({
      node,
      documentHash,
      counterparty: zeroAddress,
      effectiveAt: now,
      expiresAt: now + 86_400n,
      ...change,
    });
    const argsOf = (claim: Claim) =>
      [
        claim.node,
        attestationType,
        claim.documentHash,
        claim.counterparty,
        claim.effectiveAt,
        claim.expiresAt,
      ] as const;
    /** Brought on chain by the coordinator's account, signed by `signer`. */
    const commit = async (claim: Claim, signer: PrivateKeyAccount) => {
      const raw = digestOf(network.addresses.nodeAttestationRegistry, claim);
      const signature = await signer.signMessage({ message: { raw } });
      const args = [...argsOf(claim), signature] as const;
      return network.wallet(network.accounts.icl).writeContract({ ...registry(), functionName: "commit", args });
    };
    const hasValid = (node: Address) =>
      network.client.readContract({
        ...registry(),
        functionName: "hasValid",
        args: [node, attestationType, zeroAddress],
      });

    test("the digest is that of the protocol, and a commit signed over it is valid until it expires", async () => {
      const node = await network.freshAccount();
      const claim = claimOf(node.address, { expiresAt: now + 1_000_000n });
      expect(await network.client.readContract({ ...registry(), functionName: "digest", args: argsOf(claim) })).toBe(
        digestOf(network.addresses.nodeAttestationRegistry, claim),
      );
      expect(await hasValid(node.address)).toBe(false);
      await network.mined(commit(claim, node));
      expect(await hasValid(node.address)).toBe(true);
      const args = [node.address, attestationType, zeroAddress] as const;
      expect(await network.client.readContract({ ...registry(), functionName: "attestationOf", args })).toEqual({
        attestationType,
        documentHash,
        counterparty: zeroAddress,
        effectiveAt: now,
        expiresAt: now + 1_000_000n,
        revoked: false,
      });
      await network.advance(1_000_001);
      expect(await hasValid(node.address)).toBe(false);
      now = (await network.client.getBlock()).timestamp;
    });

    test("what is not signed by the node, or not for a sound time, is refused", async () => {
      const node = await network.freshAccount();
      const stranger = await network.freshAccount();
      expect((await revertOf(commit(claimOf(node.address), stranger))).name).toBe("InvalidSignature");
      const empty = claimOf(node.address, { effectiveAt: now + 10n, expiresAt: now + 10n });
      expect((await revertOf(commit(empty, node))).name).toBe("InvalidWindow");
      const past = claimOf(node.address, { effectiveAt: now - 20n, expiresAt: now - 10n });
      expect((await revertOf(commit(past, node))).name).toBe("AttestationExpired");
      const own = claimOf(node.address, { counterparty: node.address });
      expect((await revertOf(commit(own, node))).name).toBe("CounterpartyConflict");
    });

    test("a revocation stays: the same signature cannot bring the attestation back", async () => {
      const node = await network.freshAccount();
      const revoke = () =>
        network
          .wallet(node)
          .writeContract({ ...registry(), functionName: "revoke", args: [attestationType, zeroAddress] });
      expect((await revertOf(revoke())).name).toBe("AttestationNotFound");
      await network.mined(commit(claimOf(node.address), node));
      await network.mined(revoke());
      expect(await hasValid(node.address)).toBe(false);
      expect((await revertOf(commit(claimOf(node.address), node))).name).toBe("SignatureUsed");
      await network.mined(commit(claimOf(node.address, { documentHash: keccak256(toHex("new")) }), node));
      expect(await hasValid(node.address)).toBe(true);
    });
  });
