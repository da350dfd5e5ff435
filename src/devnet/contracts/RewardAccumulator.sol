// SPDX-License-Identifier: MIT
pragma solidity 0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {BlindferenceStaking} from "./BlindferenceStaking.sol";

/// Collects what nodes earn per cycle and pays it after the cycle, in BLIND out of its own balance.
/// Cycle `n` is the time from `n * cycleSeconds` up to, not including, `(n + 1) * cycleSeconds`, in Unix seconds.
/// Role 0 is work (leader), every other role is validation (verifier).
contract RewardAccumulator is Ownable {
    using SafeERC20 for IERC20;

    struct Item {
        uint256 escrowId;
        uint256 amount;
        bytes32 workRef;
        uint8 role;
        uint8 status;
    }

    struct Cycle {
        Item[] items;
        uint64 work;
        uint64 validations;
        bool closed;
    }

    uint8 private constant PENDING = 0;
    uint8 private constant RELEASED = 1;
    uint8 private constant FORFEITED = 2;

    address public immutable blind;
    /// A node that has failures on record here at release fails the accuracy gate. Zero turns the gate off.
    BlindferenceStaking public immutable reputation;
    uint64 public immutable cycleSeconds;
    uint64 public immutable minWorkPerCycle;
    uint64 public immutable minValidationPerCycle;

    mapping(address => bool) public isAccruer;
    mapping(address node => mapping(uint64 cycleEpoch => Cycle)) private _cycles;

    event Accrued(
        address indexed node, uint64 indexed cycleEpoch, uint256 indexed escrowId, uint8 role, uint256 amount, bytes32 workRef
    );
    event Released(address indexed node, uint64 indexed cycleEpoch, uint256 totalAmount, uint256 itemCount);
    event Forfeited(address indexed node, uint64 indexed cycleEpoch, uint256 itemCount);

    error AccuracyFailed();
    error AlreadyReleased();
    error CycleNotEnded();
    error NoPendingItems();
    error NotAuthorizedAccruer();
    error ValidationProportionFailed();
    error WorkProportionFailed();
    error ZeroAmount();

    constructor(
        address owner_,
        address blind_,
        address reputation_,
        uint64 cycleSeconds_,
        uint64 minWorkPerCycle_,
        uint64 minValidationPerCycle_
    ) Ownable(owner_) {
        blind = blind_;
        reputation = BlindferenceStaking(reputation_);
        cycleSeconds = cycleSeconds_;
        minWorkPerCycle = minWorkPerCycle_;
        minValidationPerCycle = minValidationPerCycle_;
    }

    function setAccruer(address accruer, bool ok) external onlyOwner {
        isAccruer[accruer] = ok;
    }

    function accrue(address node, uint64 cycleEpoch, uint256 escrowId, uint8 role, uint256 amount, bytes32 workRef)
        external
    {
        if (!isAccruer[msg.sender]) revert NotAuthorizedAccruer();
        if (amount == 0) revert ZeroAmount();
        Cycle storage cycle = _cycles[node][cycleEpoch];
        if (cycle.closed) revert AlreadyReleased();
        cycle.items.push(Item(escrowId, amount, workRef, role, PENDING));
        if (role == 0) cycle.work++;
        else cycle.validations++;
        emit Accrued(node, cycleEpoch, escrowId, role, amount, workRef);
    }

    /// Pays the node what it earned in a cycle that is over. Anybody may call this: the money goes to the node.
    function release(address node, uint64 cycleEpoch) external {
        Cycle storage cycle = _closable(node, cycleEpoch);
        if (block.timestamp < (uint256(cycleEpoch) + 1) * cycleSeconds) revert CycleNotEnded();
        if (address(reputation) != address(0) && reputation.getStakeInfo(node).consecutiveFailures > 0) {
            revert AccuracyFailed();
        }
        if (cycle.work < minWorkPerCycle) revert WorkProportionFailed();
        if (cycle.validations < minValidationPerCycle) revert ValidationProportionFailed();
        uint256 total = pendingTotal(node, cycleEpoch);
        _close(cycle, RELEASED);
        IERC20(blind).safeTransfer(node, total);
        emit Released(node, cycleEpoch, total, cycle.items.length);
    }

    /// Gives up what a node has pending in a cycle; nothing is paid.
    function forfeit(address node, uint64 cycleEpoch) external onlyOwner {
        Cycle storage cycle = _closable(node, cycleEpoch);
        _close(cycle, FORFEITED);
        emit Forfeited(node, cycleEpoch, cycle.items.length);
    }

    function pendingItems(address node, uint64 cycleEpoch) external view returns (Item[] memory) {
        return _cycles[node][cycleEpoch].items;
    }

    function workCount(address node, uint64 cycleEpoch) external view returns (uint64) {
        return _cycles[node][cycleEpoch].work;
    }

    function validationCount(address node, uint64 cycleEpoch) external view returns (uint64) {
        return _cycles[node][cycleEpoch].validations;
    }

    function currentCycle() external view returns (uint64) {
        return uint64(block.timestamp / cycleSeconds);
    }

    function pendingTotal(address node, uint64 cycleEpoch) public view returns (uint256 total) {
        Cycle storage cycle = _cycles[node][cycleEpoch];
        if (cycle.closed) return 0;
        for (uint256 i; i < cycle.items.length; i++) {
            total += cycle.items[i].amount;
        }
    }

    function _closable(address node, uint64 cycleEpoch) private view returns (Cycle storage cycle) {
        cycle = _cycles[node][cycleEpoch];
        if (cycle.closed) revert AlreadyReleased();
        if (cycle.items.length == 0) revert NoPendingItems();
    }

    function _close(Cycle storage cycle, uint8 status) private {
        cycle.closed = true;
        for (uint256 i; i < cycle.items.length; i++) {
            cycle.items[i].status = status;
        }
    }
}
