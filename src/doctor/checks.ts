import type { Check } from "./check.ts";
import { chainClockCheck, chainIdCheck, rpcCheck } from "./checks/chain.ts";
import { contractChecks } from "./checks/contracts.ts";
import { certificateCheck, coordinatorCheck, coordinatorClockCheck, listingCheck } from "./checks/coordinator.ts";
import { configFileCheck, directoryCheck, journalCheck, keystoreCheck, keystoreModeCheck } from "./checks/files.ts";
import { ipfsCheck, keyStoreCheck, uploaderCheck } from "./checks/ipfs.ts";
import { coresCheck, diskCheck, gpuCheck, memoryCheck } from "./checks/machine.ts";
import { geminiCheck, groqCheck, vllmCheck } from "./checks/model-services.ts";
import { determinismCheck, modelFilesCheck, modelsCheck } from "./checks/models.ts";
import { nodeCheck, secondNodeCheck } from "./checks/node.ts";
import { configurationCheck, glibcCheck, runtimeVariablesCheck, versionCheck } from "./checks/program.ts";
import { cofheCheck, paymentCheck } from "./checks/services.ts";
import { blindCheck, etherCheck, failuresCheck, registrationCheck, stakeCheck } from "./checks/wallet.ts";

/** Everything that `doctor` looks at, in the order in which it is shown. */
export const checks: readonly Check[] = [
  versionCheck,
  glibcCheck,
  runtimeVariablesCheck,
  configurationCheck,
  directoryCheck,
  configFileCheck,
  keystoreCheck,
  keystoreModeCheck,
  journalCheck,
  diskCheck,
  coresCheck,
  memoryCheck,
  gpuCheck,
  modelsCheck,
  modelFilesCheck,
  determinismCheck,
  vllmCheck,
  groqCheck,
  geminiCheck,
  rpcCheck,
  chainIdCheck,
  chainClockCheck,
  ...contractChecks,
  etherCheck,
  blindCheck,
  stakeCheck,
  failuresCheck,
  registrationCheck,
  coordinatorCheck,
  coordinatorClockCheck,
  listingCheck,
  certificateCheck,
  nodeCheck,
  secondNodeCheck,
  paymentCheck,
  cofheCheck,
  uploaderCheck,
  keyStoreCheck,
  ipfsCheck,
];
