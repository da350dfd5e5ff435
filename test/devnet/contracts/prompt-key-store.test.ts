import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  createCofheClientBase,
  createCofheConfigBase,
  Encryptable,
  FheTypes,
  MOCKS_THRESHOLD_NETWORK_ADDRESS,
  MOCKS_ZK_VERIFIER_ADDRESS,
  MOCKS_ZK_VERIFIER_SIGNER_ADDRESS,
  MOCKS_ZK_VERIFIER_SIGNER_PRIVATE_KEY,
  TASK_MANAGER_ADDRESS,
} from "@cofhe/sdk";
import { hardhat as cofheHardhat } from "@cofhe/sdk/chains";
import { type Address, createWalletClient, type Hex, http, keccak256, type LocalAccount, toHex } from "viem";
import { hardhat } from "viem/chains";
import { promptKeyStoreAbi } from "../../../src/chain/abi/prompt-key-store.ts";
import { cofheAddresses, zkVerifierSigner } from "../../../src/devnet/contracts/cofhe.ts";
import { chainKinds, type Network, revertOf, startNetwork } from "./network.ts";

const high = 0x000102030405060708090a0b0c0d0e0fn;
const low = (1n << 128n) - 1n;

const notLoaded = () => {
  throw new Error("the local path needs no TFHE");
};

test("the constants are those of the CoFHE SDK", () => {
  expect(cofheAddresses).toEqual({
    taskManager: TASK_MANAGER_ADDRESS,
    zkVerifier: MOCKS_ZK_VERIFIER_ADDRESS,
    thresholdNetwork: MOCKS_THRESHOLD_NETWORK_ADDRESS,
  });
  expect(zkVerifierSigner).toEqual({
    address: MOCKS_ZK_VERIFIER_SIGNER_ADDRESS,
    privateKey: MOCKS_ZK_VERIFIER_SIGNER_PRIVATE_KEY,
  });
});

for (const kind of chainKinds)
  describe.skipIf(!kind.available)(`PromptKeyStore and CoFHE's stand-ins on ${kind.name}`, () => {
    let network: Network;
    beforeAll(async () => {
      network = await startNetwork(kind);
    });
    afterAll(() => network?.stop());

    /** The SDK as a process of its own would have it; the verifier account is the chain's to sign for. */
    const cofhe = async (account: LocalAccount) => {
      const zkvWalletClient = createWalletClient({
        chain: hardhat,
        transport: http(network.url),
        account: MOCKS_ZK_VERIFIER_SIGNER_ADDRESS,
      });
      const client = createCofheClientBase({
        config: createCofheConfigBase({
          environment: "node",
          supportedChains: [cofheHardhat],
          fheKeyStorage: null,
          mocks: { encryptDelay: 0 },
          _internal: { zkvWalletClient },
        }),
        zkBuilderAndCrsGenerator: notLoaded,
        tfhePublicKeyDeserializer: notLoaded,
        compactPkeCrsDeserializer: notLoaded,
        initTfhe: async () => false,
      });
      await client.connect(network.client, network.wallet(account));
      return client;
    };
    const encrypt = async (account: LocalAccount) => {
      const [encHigh, encLow] = await (await cofhe(account))
        .encryptInputs([Encryptable.uint128(high), Encryptable.uint128(low)])
        .execute();
      const tuple = (input: typeof encHigh) => ({ ...input, signature: input.signature as Hex });
      return [tuple(encHigh), tuple(encLow)] as const;
    };
    const decrypt = async (account: LocalAccount, handles: readonly [bigint, bigint]) => {
      const client = await cofhe(account);
      const permit = await client.permits.createSelf({ issuer: account.address, name: "test" });
      return Promise.all(
        handles.map((handle) => client.decryptForView(handle, FheTypes.Uint128).withPermit(permit).execute()),
      );
    };
    const store = () => ({ address: network.addresses.promptKeyStore, abi: promptKeyStoreAbi }) as const;
    const storeKey = async (jobId: Hex, account: LocalAccount, allowed: Address[], input = encrypt(account)) => {
      const [encHigh, encLow] = await input;
      const args = [jobId, encHigh, encLow, allowed] as const;
      return network.wallet(account).writeContract({ ...store(), functionName: "storeKey", args });
    };
    const handlesOf = (jobId: Hex) =>
      network.client.readContract({ ...store(), functionName: "getEncryptedKey", args: [jobId] });
    const newJob = () => toHex(crypto.getRandomValues(new Uint8Array(32)));

    test("an allowed node reads both halves; a stranger and the submitter do not", async () => {
      const { developers, nodes } = network.accounts;
      const jobId = newJob();
      expect(await handlesOf(jobId)).toEqual([0n, 0n]);
      await network.mined(storeKey(jobId, developers[0], [nodes[0].address, nodes[1].address]));
      const handles = await handlesOf(jobId);
      expect(handles.map((handle) => (handle >> 8n) & 0xffn)).toEqual([6n, 6n]);
      expect(await decrypt(nodes[0], handles)).toEqual([high, low]);
      expect(await decrypt(nodes[1], handles)).toEqual([high, low]);
      await expect(decrypt(nodes[2], handles)).rejects.toMatchObject({ code: "SEAL_OUTPUT_FAILED" });
      await expect(decrypt(developers[0], handles)).rejects.toMatchObject({ code: "SEAL_OUTPUT_FAILED" });
    });

    test("somebody else's permit opens nothing", async () => {
      const { developers, nodes } = network.accounts;
      const jobId = newJob();
      await network.mined(storeKey(jobId, developers[0], [nodes[0].address]));
      const [handle] = await handlesOf(jobId);
      const owner = await cofhe(nodes[0]);
      const permit = await owner.permits.createSelf({ issuer: nodes[0].address, name: "test" });
      const thief = await cofhe(nodes[2]);
      const forged = await thief.permits.createSelf({ issuer: nodes[2].address, name: "forged" });
      const attempt = thief
        .decryptForView(handle, FheTypes.Uint128)
        .withPermit({ ...forged, issuer: permit.issuer })
        .execute();
      await expect(attempt).rejects.toMatchObject({ code: "SEAL_OUTPUT_FAILED" });
    });

    test("the first key of a job stays, and nobody else's input is accepted", async () => {
      const { developers, nodes } = network.accounts;
      const jobId = newJob();
      await network.mined(storeKey(jobId, developers[0], [nodes[0].address]));
      const handles = await handlesOf(jobId);
      for (const account of [developers[0], developers[1]])
        expect(await revertOf(storeKey(jobId, account, []))).toEqual({ name: "KeyAlreadyStored", args: [jobId] });
      expect(await handlesOf(jobId)).toEqual(handles);
      const stolen = storeKey(newJob(), developers[1], [], encrypt(developers[0]));
      expect((await revertOf(stolen)).name).toBe("InvalidSigner");
    });

    test("an output key comes from a node of the job, with and without 0x in its id's text", async () => {
      const { developers, nodes } = network.accounts;
      for (const spelling of [(jobId: Hex) => jobId as string, (jobId: Hex) => jobId.slice(2)]) {
        const jobId = newJob();
        const outputId = keccak256(toHex(`${spelling(jobId)}:output-key`));
        await network.mined(storeKey(jobId, developers[0], [nodes[0].address]));
        expect(await revertOf(storeKey(outputId, nodes[2], [nodes[2].address]))).toEqual({
          name: "NotAllowedNode",
          args: [jobId, nodes[2].address],
        });
        await network.mined(storeKey(outputId, nodes[0], [developers[0].address]));
        expect(await decrypt(developers[0], await handlesOf(outputId))).toEqual([high, low]);
      }
    });

    test("who takes the output key's place first makes the prompt key fail, not the answer", async () => {
      const { developers, nodes } = network.accounts;
      const jobId = newJob();
      const outputId = keccak256(toHex(`${jobId}:output-key`));
      await network.mined(storeKey(outputId, nodes[2], [nodes[2].address]));
      expect(await revertOf(storeKey(jobId, developers[0], [nodes[0].address]))).toEqual({
        name: "KeyAlreadyStored",
        args: [outputId],
      });
    });

    test("the ICL grants access later, and cannot grant what the store does not own", async () => {
      const { developers, nodes, icl, deployer } = network.accounts;
      const jobId = newJob();
      await network.mined(storeKey(jobId, developers[0], []));
      const grant = (by: LocalAccount, id: Hex) =>
        network
          .wallet(by)
          .writeContract({ ...store(), functionName: "grantDecryptAccess", args: [id, nodes[0].address] });
      expect(await revertOf(grant(nodes[0], jobId))).toEqual({ name: "NotICL", args: [nodes[0].address] });
      const unknown = newJob();
      expect(await revertOf(grant(icl, unknown))).toEqual({ name: "UnknownKey", args: [unknown] });
      await network.mined(grant(icl, jobId));
      expect(await decrypt(nodes[0], await handlesOf(jobId))).toEqual([high, low]);

      const output = (handles: readonly [bigint, bigint]) =>
        network.wallet(icl).writeContract({
          ...store(),
          functionName: "storeOutputKey",
          args: [newJob(), handles[0], handles[1], developers[0].address],
        });
      expect((await revertOf(output([1n << 16n, 2n << 16n]))).name).toBe("ACLNotAllowed");
      await network.mined(output(await handlesOf(jobId)));
      const again = (by: LocalAccount) =>
        network.wallet(by).writeContract({ ...store(), functionName: "setICL", args: [nodes[0].address] });
      expect((await revertOf(again(deployer))).name).toBe("ICLAlreadySet");
      expect((await revertOf(again(nodes[0]))).name).toBe("NotDeployer");
    });

    // anvil picks nonces of unlocked accounts without a lock, so only ours can promise this.
    test.if(kind.name === "our EVM")("many encrypt at once through the shared verifier account", async () => {
      const { developers } = network.accounts;
      const inputs = await Promise.all([...developers, ...developers].map(encrypt));
      expect(inputs).toHaveLength(6);
      for (const [index, account] of developers.entries()) {
        const jobId = newJob();
        await network.mined(storeKey(jobId, account, [account.address], Promise.resolve(inputs[index]!)));
        expect(await decrypt(account, await handlesOf(jobId))).toEqual([high, low]);
      }
    });
  });
