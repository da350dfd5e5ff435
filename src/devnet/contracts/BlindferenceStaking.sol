// SPDX-License-Identifier: MIT
pragma solidity 0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

/// Stakes of the operators in BLIND (PROTOCOL.md 14): leaving takes 96 hours, and three failures in a row cost the whole stake.
/// As on the public network, an amount that is already unbonding can no longer be slashed.
contract BlindferenceStaking is Ownable, ReentrancyGuard {
    using SafeERC20 for IERC20;

    struct StakeInfo {
        uint256 staked;
        uint256 unbonding;
        uint256 unbondingAvailableAt;
        uint256 consecutiveFailures;
        bool active;
    }

    /// Least amount of one call of `stake`, not of the sum.
    uint256 public constant MIN_STAKE = 1000e18;
    uint256 public constant UNBONDING_PERIOD = 96 hours;
    uint256 public constant MAX_CONSECUTIVE_FAILURES = 3;

    address public immutable blindToken;
    uint256 public totalStaked;
    mapping(address => StakeInfo) public stakes;
    mapping(address => bool) public authorizedSlasher;

    event Staked(address indexed node, uint256 amount, uint256 totalStaked);
    event UnstakeInitiated(address indexed node, uint256 amount, uint256 availableAt);
    event UnstakeCompleted(address indexed node, uint256 amount);
    event ConsecutiveFailuresUpdated(address indexed node, uint256 count);
    event Slashed(address indexed node, uint256 amount, string reason);
    event SlasherSet(address indexed slasher, bool authorized);

    error BelowMinimumStake(uint256 amount, uint256 minimum);
    error NothingStaked();
    error NothingUnbonding();
    error StillUnbonding(uint256 availableAt);
    error NotSlasher(address account);

    modifier onlySlasher() {
        if (!authorizedSlasher[msg.sender]) revert NotSlasher(msg.sender);
        _;
    }

    constructor(address _blindToken, address _owner) Ownable(_owner) {
        blindToken = _blindToken;
    }

    function stake(uint256 amount) external nonReentrant {
        if (amount < MIN_STAKE) revert BelowMinimumStake(amount, MIN_STAKE);
        StakeInfo storage info = stakes[msg.sender];
        info.staked += amount;
        info.active = true;
        totalStaked += amount;
        IERC20(blindToken).safeTransferFrom(msg.sender, address(this), amount);
        emit Staked(msg.sender, amount, info.staked);
    }

    /// Moves the whole stake to unbonding. An amount that was unbonding already starts its 96 hours anew.
    function initiateUnstake() external nonReentrant {
        StakeInfo storage info = stakes[msg.sender];
        uint256 amount = info.staked;
        if (amount == 0) revert NothingStaked();
        info.staked = 0;
        info.active = false;
        info.unbonding += amount;
        info.unbondingAvailableAt = block.timestamp + UNBONDING_PERIOD;
        totalStaked -= amount;
        emit UnstakeInitiated(msg.sender, amount, info.unbondingAvailableAt);
    }

    function completeUnstake() external nonReentrant {
        StakeInfo storage info = stakes[msg.sender];
        uint256 amount = info.unbonding;
        if (amount == 0) revert NothingUnbonding();
        if (block.timestamp < info.unbondingAvailableAt) revert StillUnbonding(info.unbondingAvailableAt);
        info.unbonding = 0;
        info.unbondingAvailableAt = 0;
        IERC20(blindToken).safeTransfer(msg.sender, amount);
        emit UnstakeCompleted(msg.sender, amount);
    }

    /// Counts a failure; the third in a row moves the whole stake to the owner. A node without a stake is not counted.
    function recordFailure(address node) external onlySlasher nonReentrant {
        StakeInfo storage info = stakes[node];
        if (info.staked == 0) return;
        info.consecutiveFailures++;
        if (info.consecutiveFailures < MAX_CONSECUTIVE_FAILURES) {
            emit ConsecutiveFailuresUpdated(node, info.consecutiveFailures);
            return;
        }
        info.consecutiveFailures = 0;
        emit ConsecutiveFailuresUpdated(node, 0);
        _slash(node, info.staked, "3 consecutive failures");
    }

    function resetFailures(address node) external onlySlasher {
        stakes[node].consecutiveFailures = 0;
        emit ConsecutiveFailuresUpdated(node, 0);
    }

    /// Takes `amount`, at most the whole stake, for the owner.
    function slash(address node, uint256 amount, string calldata reason) external onlySlasher nonReentrant {
        uint256 staked = stakes[node].staked;
        if (staked == 0) revert NothingStaked();
        _slash(node, amount < staked ? amount : staked, reason);
    }

    function setSlasher(address slasher, bool authorized) external onlyOwner {
        authorizedSlasher[slasher] = authorized;
        emit SlasherSet(slasher, authorized);
    }

    function getStakeInfo(address node) external view returns (StakeInfo memory) {
        return stakes[node];
    }

    function isActive(address node) external view returns (bool) {
        return stakes[node].active;
    }

    function canCompleteUnstake(address node) external view returns (bool) {
        StakeInfo storage info = stakes[node];
        return info.unbonding > 0 && block.timestamp >= info.unbondingAvailableAt;
    }

    function _slash(address node, uint256 amount, string memory reason) private {
        StakeInfo storage info = stakes[node];
        info.staked -= amount;
        info.active = info.staked >= MIN_STAKE;
        totalStaked -= amount;
        IERC20(blindToken).safeTransfer(owner(), amount);
        emit Slashed(node, amount, reason);
    }
}
