import {
  type Abi,
  type Address,
  encodeDeployData,
  encodeFunctionData,
  getContractAddress,
  type Hex,
  parseEther,
} from "viem";
import { blindAbi } from "../../chain/abi/blind.ts";
import { promptKeyStoreAbi } from "../../chain/abi/prompt-key-store.ts";
import { rewardAccumulatorAbi } from "../../chain/abi/reward-accumulator.ts";
import { stakingAbi } from "../../chain/abi/staking.ts";
import type { NetworkAddresses } from "../../chain/addresses.ts";
import { type DevnetAccounts, devnetAccounts } from "../accounts.ts";
import blind from "./artifacts/Blind.json";
import faucet from "./artifacts/BlindFaucet.json";
import staking from "./artifacts/BlindferenceStaking.json";
import nodeAttestationRegistry from "./artifacts/NodeAttestationRegistry.json";
import nodeRegistry from "./artifacts/NodeRegistry.json";
import promptKeyStore from "./artifacts/PromptKeyStore.json";
import rewardAccumulator from "./artifacts/RewardAccumulator.json";
import { createSender, type Sender } from "./send.ts";

export type DeployParameters = {
  rpcUrl: string;
  accounts?: DevnetAccounts;
  /** Length of a reward cycle, in seconds: one day by default. Cycle n begins at n times this, in Unix time. */
  cycleSeconds?: bigint;
  /** Jobs that a node must lead, and verify, in a cycle before its rewards are released: 0 by default. */
  minWorkPerCycle?: bigint;
  minValidationPerCycle?: bigint;
};

/** BLIND that the faucet gives, in wei: enough for one stake and fees. */
export const faucetDrip = parseEther("2000");

/** Seconds between two drips for one account. */
export const faucetCooldown = 3600n;

/** BLIND in wei by holder, after deployment. */
const allocations = {
  treasury: parseEther("10000000"),
  funder: parseEther("10000000"),
  faucet: parseEther("1000000"),
  rewardAccumulator: parseEther("1000000"),
  developer: parseEther("10000"),
};

type Artifact = { abi: unknown; bytecode: string };

/**
 * Deploys the network's contracts from the deployer's account and wires them: the coordinator may slash, accrue and write
 * attestations; treasury, funder, faucet, accumulator and developers hold BLIND. On a fresh chain the addresses are always the same.
 * @throws BlfError `DEVNET_DEPLOY_FAILED`
 */
export async function deployNetwork(parameters: DeployParameters): Promise<NetworkAddresses> {
  const accounts = parameters.accounts ?? devnetAccounts();
  const owner = accounts.deployer.address;
  const icl = accounts.icl.address;
  const sender = await createSender({ rpcUrl: parameters.rpcUrl, account: accounts.deployer });

  const token = await deploy(sender, blind, [owner]);
  const stake = await deploy(sender, staking, [token, owner]);
  const addresses: NetworkAddresses = {
    blind: token,
    staking: stake,
    nodeRegistry: await deploy(sender, nodeRegistry, [owner, icl]),
    nodeAttestationRegistry: await deploy(sender, nodeAttestationRegistry, []),
    promptKeyStore: await deploy(sender, promptKeyStore, []),
    rewardAccumulator: await deploy(sender, rewardAccumulator, [
      owner,
      token,
      stake,
      parameters.cycleSeconds ?? 86_400n,
      parameters.minWorkPerCycle ?? 0n,
      parameters.minValidationPerCycle ?? 0n,
    ]),
    faucet: await deploy(sender, faucet, [token, faucetDrip, faucetCooldown]),
  };
  for (const [to, data] of wiring(addresses, accounts)) await sender.send({ to, data });
  await sender.settle();
  return addresses;
}

/** Calls that connect the contracts with each other and with their users. */
function wiring(addresses: NetworkAddresses, accounts: DevnetAccounts): [Address, Hex][] {
  const icl = accounts.icl.address;
  const mint = (to: Address, amount: bigint): [Address, Hex] => [
    addresses.blind,
    encodeFunctionData({ abi: blindAbi, functionName: "mint", args: [to, amount] }),
  ];
  return [
    [addresses.staking, encodeFunctionData({ abi: stakingAbi, functionName: "setSlasher", args: [icl, true] })],
    [addresses.promptKeyStore, encodeFunctionData({ abi: promptKeyStoreAbi, functionName: "setICL", args: [icl] })],
    [
      addresses.rewardAccumulator,
      encodeFunctionData({ abi: rewardAccumulatorAbi, functionName: "setAccruer", args: [icl, true] }),
    ],
    mint(accounts.treasury.address, allocations.treasury),
    mint(accounts.funder.address, allocations.funder),
    mint(addresses.faucet, allocations.faucet),
    mint(addresses.rewardAccumulator, allocations.rewardAccumulator),
    ...accounts.developers.map(({ address }) => mint(address, allocations.developer)),
  ];
}

/** Sends a deployment and returns the address it leads to, without waiting for it. */
async function deploy(sender: Sender, artifact: Artifact, args: unknown[]): Promise<Address> {
  const abi = artifact.abi as Abi;
  const nonce = await sender.send({ data: encodeDeployData({ abi, bytecode: artifact.bytecode as Hex, args }) });
  return getContractAddress({ from: sender.address, nonce: BigInt(nonce) });
}
