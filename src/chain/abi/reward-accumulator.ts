import { parseAbi } from "viem";

/**
 * RewardAccumulator: what nodes earn per cycle, until it is released (PROTOCOL.md 14).
 * The last 3 errors are not in the published interface: the devnet's contracts and the contracts they call raise them.
 */
export const rewardAccumulatorAbi = parseAbi([
  "function accrue(address node, uint64 cycleEpoch, uint256 escrowId, uint8 role, uint256 amount, bytes32 workRef)",
  "function release(address node, uint64 cycleEpoch)",
  "function forfeit(address node, uint64 cycleEpoch)",
  "function setAccruer(address accruer, bool ok)",
  "function isAccruer(address accruer) view returns (bool)",
  "function pendingItems(address node, uint64 cycleEpoch) view returns ((uint256 escrowId, uint256 amount, bytes32 workRef, uint8 role, uint8 status)[])",
  "function pendingTotal(address node, uint64 cycleEpoch) view returns (uint256 total)",
  "function workCount(address node, uint64 cycleEpoch) view returns (uint64)",
  "function validationCount(address node, uint64 cycleEpoch) view returns (uint64)",
  "function owner() view returns (address)",
  "function renounceOwnership()",
  "function transferOwnership(address newOwner)",
  "event Accrued(address indexed node, uint64 indexed cycleEpoch, uint256 indexed escrowId, uint8 role, uint256 amount, bytes32 workRef)",
  "event Forfeited(address indexed node, uint64 indexed cycleEpoch, uint256 itemCount)",
  "event Released(address indexed node, uint64 indexed cycleEpoch, uint256 totalAmount, uint256 itemCount)",
  "event OwnershipTransferred(address indexed previousOwner, address indexed newOwner)",
  "error AccuracyFailed()",
  "error AlreadyReleased()",
  "error CycleNotEnded()",
  "error NoPendingItems()",
  "error NotAuthorizedAccruer()",
  "error ValidationProportionFailed()",
  "error WorkProportionFailed()",
  "error ZeroAmount()",
  "error OwnableInvalidOwner(address owner)",
  "error OwnableUnauthorizedAccount(address account)",
  "error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed)",
] as const);
