// SPDX-License-Identifier: MIT
pragma solidity 0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// Gives `dripAmount` BLIND of its own balance to whoever asks, once per `cooldown` seconds.
contract BlindFaucet {
    using SafeERC20 for IERC20;

    address public immutable blind;
    uint256 public immutable dripAmount;
    uint256 public immutable cooldown;

    /// Unix time of an account's last drip; 0 if it never asked.
    mapping(address => uint256) public lastDrip;

    event Drip(address indexed recipient, uint256 amount);

    error CooldownActive(uint256 availableAt);

    constructor(address _blind, uint256 _dripAmount, uint256 _cooldown) {
        blind = _blind;
        dripAmount = _dripAmount;
        cooldown = _cooldown;
    }

    function drip() external {
        uint256 last = lastDrip[msg.sender];
        if (last != 0 && block.timestamp < last + cooldown) revert CooldownActive(last + cooldown);
        lastDrip[msg.sender] = block.timestamp;
        IERC20(blind).safeTransfer(msg.sender, dripAmount);
        emit Drip(msg.sender, dripAmount);
    }
}
