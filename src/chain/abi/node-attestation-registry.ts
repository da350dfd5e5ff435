import { parseAbi } from "viem";

/**
 * NodeAttestationRegistry: attestations that nodes have signed (PROTOCOL.md 2.9).
 * The last error is not in the published interface: the devnet's contract raises it.
 */
export const nodeAttestationRegistryAbi = parseAbi([
  "function attestationOf(address node, bytes32 attestationType, address counterparty) view returns ((bytes32 attestationType, bytes32 documentHash, address counterparty, uint64 effectiveAt, uint64 expiresAt, bool revoked))",
  "function commit(address node, bytes32 attestationType, bytes32 documentHash, address counterparty, uint64 effectiveAt, uint64 expiresAt, bytes signature)",
  "function digest(address node, bytes32 attestationType, bytes32 documentHash, address counterparty, uint64 effectiveAt, uint64 expiresAt) view returns (bytes32)",
  "function hasValid(address node, bytes32 attestationType, address counterparty) view returns (bool)",
  "function owner() view returns (address)",
  "function renounceOwnership()",
  "function revoke(bytes32 attestationType, address counterparty)",
  "function transferOwnership(address newOwner)",
  "event AttestationCommitted(address indexed node, bytes32 indexed attestationType, address indexed counterparty, bytes32 documentHash, uint64 effectiveAt, uint64 expiresAt)",
  "event AttestationRevoked(address indexed node, bytes32 indexed attestationType, address indexed counterparty)",
  "event OwnershipTransferred(address indexed previousOwner, address indexed newOwner)",
  "error AttestationExpired()",
  "error AttestationNotFound()",
  "error CounterpartyConflict()",
  "error ECDSAInvalidSignature()",
  "error ECDSAInvalidSignatureLength(uint256 length)",
  "error ECDSAInvalidSignatureS(bytes32 s)",
  "error InvalidSignature()",
  "error InvalidWindow()",
  "error NotNode()",
  "error OwnableInvalidOwner(address owner)",
  "error OwnableUnauthorizedAccount(address account)",
  "error ReentrancyGuardReentrantCall()",
  "error SignatureUsed()",
] as const);
