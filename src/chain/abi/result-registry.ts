import { parseAbi } from "viem";

/** ResultRegistry: accepted and rejected results, and disputes (PROTOCOL.md 13, 16). */
export const resultRegistryAbi = parseAbi([
  "function commitRejection(bytes32 taskId, address leader, address[] verifiers, bytes32 modelId, string reason)",
  "function commitResult(bytes32 taskId, bytes32 resultHash, address leader, address[] verifiers, uint8 confirmCount, uint8 rejectCount, uint8 aggregatedConfidence, bytes32 modelId)",
  "function developerByTask(bytes32) view returns (address)",
  "function disputes(bytes32) view returns (bytes32 evidenceHash, string evidenceURI, address filedBy, uint256 filedAt, bool resolved, bool upheld, uint8 verdict)",
  "function getResult(bytes32 taskId) view returns ((bytes32 taskId, bytes32 resultHash, address leaderAddress, address[] verifierAddresses, uint8 confirmCount, uint8 rejectCount, uint8 aggregatedConfidence, bytes32 modelId, uint256 committedAt, uint8 status, uint256 disputeDeadline, bytes32 coverageId))",
  "function iclServiceAddress() view returns (address)",
  "function isConditionMet(bytes32 taskId, uint8 minConfidence, uint8 minQuorum) view returns (bool)",
  "function nodeOperatorRegistryAddress() view returns (address)",
  "function owner() view returns (address)",
  "function registerDeveloper(bytes32 taskId, address developer)",
  "function renounceOwnership()",
  "function resolveDispute(bytes32 taskId, bool upheld, uint8 verdict)",
  "function results(bytes32) view returns (bytes32 taskId, bytes32 resultHash, address leaderAddress, uint8 confirmCount, uint8 rejectCount, uint8 aggregatedConfidence, bytes32 modelId, uint256 committedAt, uint8 status, uint256 disputeDeadline, bytes32 coverageId)",
  "function submitDispute(bytes32 taskId, bytes32 evidenceHash, string evidenceURI)",
  "function taskExists(bytes32) view returns (bool)",
  "function transferOwnership(address newOwner)",
  "event DisputeResolved(bytes32 indexed taskId, bool upheld, uint8 verdict)",
  "event DisputeSubmitted(bytes32 indexed taskId, address indexed developer, bytes32 evidenceHash)",
  "event OwnershipTransferred(address indexed previousOwner, address indexed newOwner)",
  "event ResultCommitted(bytes32 indexed taskId, bytes32 resultHash, address leader, uint8 confirms, uint8 confidence)",
  "event ResultRejected(bytes32 indexed taskId, address leader, string reason)",
  "error OwnableInvalidOwner(address owner)",
  "error OwnableUnauthorizedAccount(address account)",
] as const);
