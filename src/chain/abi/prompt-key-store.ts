import { parseAbi } from "viem";

/**
 * PromptKeyStore: encrypted AES keys of prompts and outputs (PROTOCOL.md 2.4).
 * The last 9 errors are not in the published interface: the devnet's contracts and the contracts they call raise them.
 */
export const promptKeyStoreAbi = parseAbi([
  "function getEncryptedKey(bytes32 jobId) view returns (uint256, uint256)",
  "function grantDecryptAccess(bytes32 jobId, address node)",
  "function icl() view returns (address)",
  "function outputKeys(bytes32 jobId) view returns (uint256 KoH, uint256 KoL)",
  "function setICL(address _icl)",
  "function storeKey(bytes32 jobId, (uint256 ctHash, uint8 securityZone, uint8 utype, bytes signature) encHigh, (uint256 ctHash, uint8 securityZone, uint8 utype, bytes signature) encLow, address[] allowedNodes)",
  "function storeOutputKey(bytes32 jobId, uint256 koHighHandle, uint256 koLowHandle, address userAddress)",
  "event DecryptAccessGranted(bytes32 indexed jobId, address indexed node)",
  "event KeyStored(bytes32 indexed jobId, address indexed submitter, uint256 highHandle, uint256 lowHandle, address[] allowedNodes)",
  "event OutputKeyStored(bytes32 indexed jobId, uint256 koHighHandle, uint256 koLowHandle, address indexed userAddress)",
  "error InvalidEncryptedInput(uint8 got, uint8 expected)",
  "error KeyAlreadyStored(bytes32 jobId)",
  "error UnknownKey(bytes32 jobId)",
  "error NotAllowedNode(bytes32 jobId, address account)",
  "error NotICL(address account)",
  "error ICLAlreadySet()",
  "error NotDeployer(address account)",
  "error ZeroAddress()",
  "error ACLNotAllowed(uint256 handle, address account)",
  "error InvalidSigner(address signer, address expectedSigner)",
] as const);
