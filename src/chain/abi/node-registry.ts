import { parseAbi } from "viem";

/**
 * NodeRegistry: who serves which models, with heartbeats (PROTOCOL.md 16).
 * The last 5 errors are not in the published interface: the devnet's contracts and the contracts they call raise them.
 */
export const nodeRegistryAbi = parseAbi([
  "function authorizedICL(address) view returns (bool)",
  "function getNode(address node) view returns ((address operator, uint8 tier, bytes32 attestationHash, uint64 registeredAt, uint64 lastHeartbeat, uint64 attestationExpires, bool active, string[] models, uint256 stake))",
  "function heartbeat()",
  "function heartbeatGraceSeconds() view returns (uint64)",
  "function isActive(address node) view returns (bool)",
  "function isAuthorizedICL(address addr) view returns (bool)",
  "function minStake() view returns (uint256)",
  "function nodes(address) view returns (address operator, uint8 tier, bytes32 attestationHash, uint64 registeredAt, uint64 lastHeartbeat, uint64 attestationExpires, bool active, uint256 stake)",
  "function owner() view returns (address)",
  "function register(uint8 tier, bytes32 attestationHash, uint64 attestationExpires, string[] models) payable returns (bool)",
  "function renounceOwnership()",
  "function setAuthorizedICL(address addr, bool authorized)",
  "function setHeartbeatGrace(uint64 seconds_)",
  "function setMinStake(uint256 amount)",
  "function transferOwnership(address newOwner)",
  "function updateAttestation(address node, bytes32 attestationHash, uint8 tier, uint64 expiresAt)",
  "function withdrawStake()",
  "event Heartbeat(address indexed node, uint64 timestamp)",
  "event NodeRegistered(address indexed node, uint8 tier, string[] models, uint256 stake)",
  "event NodeRemoved(address indexed node)",
  "event NodeUpdated(address indexed node, uint8 tier, bytes32 attestationHash, uint256 expiresAt)",
  "event OwnershipTransferred(address indexed previousOwner, address indexed newOwner)",
  "event StakeWithdrawn(address indexed node, uint256 amount)",
  "error OwnableInvalidOwner(address owner)",
  "error OwnableUnauthorizedAccount(address account)",
  "error ReentrancyGuardReentrantCall()",
  "error NotRegistered(address node)",
  "error InsufficientStake(uint256 stake, uint256 minimum)",
  "error StillActive(uint256 until)",
  "error NothingToWithdraw()",
  "error NotAuthorizedICL(address account)",
] as const);
