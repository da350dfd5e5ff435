// SPDX-License-Identifier: MIT
pragma solidity 0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

/// Who serves which models. External functions are those of the public network's registry (PROTOCOL.md 16), with two of its
/// weaknesses (PROTOCOL.md 18) gone: plain transfers are refused instead of being trapped, and a deposit can be withdrawn as
/// soon as the node counts as inactive, without a heartbeat that would make it active again.
contract NodeRegistry is Ownable, ReentrancyGuard {
    struct Node {
        address operator;
        uint8 tier;
        bytes32 attestationHash;
        uint64 registeredAt;
        uint64 lastHeartbeat;
        uint64 attestationExpires;
        bool active;
        string[] models;
        uint256 stake;
    }

    mapping(address => Node) public nodes;
    mapping(address => bool) public authorizedICL;
    uint64 public heartbeatGraceSeconds = 11 days;
    uint256 public minStake;

    event NodeRegistered(address indexed node, uint8 tier, string[] models, uint256 stake);
    event NodeUpdated(address indexed node, uint8 tier, bytes32 attestationHash, uint256 expiresAt);
    event NodeRemoved(address indexed node);
    event Heartbeat(address indexed node, uint64 timestamp);
    event StakeWithdrawn(address indexed node, uint256 amount);

    error NotRegistered(address node);
    error InsufficientStake(uint256 stake, uint256 minimum);
    error StillActive(uint256 until);
    error NothingToWithdraw();
    error NotAuthorizedICL(address account);

    constructor(address owner_, address iclService) Ownable(owner_) {
        authorizedICL[iclService] = true;
    }

    /// Registers the sender, or replaces what it declared before; value sent is added to its deposit.
    function register(uint8 tier, bytes32 attestationHash, uint64 attestationExpires, string[] memory models)
        external
        payable
        returns (bool)
    {
        Node storage node = nodes[msg.sender];
        uint256 deposit = node.stake + msg.value;
        if (deposit < minStake) revert InsufficientStake(deposit, minStake);
        if (node.registeredAt == 0) node.registeredAt = uint64(block.timestamp);
        node.operator = msg.sender;
        node.tier = tier;
        node.attestationHash = attestationHash;
        node.attestationExpires = attestationExpires;
        node.lastHeartbeat = uint64(block.timestamp);
        node.active = true;
        node.models = models;
        node.stake = deposit;
        emit NodeRegistered(msg.sender, tier, models, deposit);
        return true;
    }

    function heartbeat() external {
        Node storage node = _registered(msg.sender);
        node.lastHeartbeat = uint64(block.timestamp);
        node.active = true;
        emit Heartbeat(msg.sender, uint64(block.timestamp));
    }

    function updateAttestation(address node, bytes32 attestationHash, uint8 tier, uint64 expiresAt) external {
        if (!authorizedICL[msg.sender]) revert NotAuthorizedICL(msg.sender);
        Node storage entry = _registered(node);
        entry.attestationHash = attestationHash;
        entry.tier = tier;
        entry.attestationExpires = expiresAt;
        emit NodeUpdated(node, tier, attestationHash, expiresAt);
    }

    /// Returns the deposit of a node whose last heartbeat is longer ago than the grace, and removes the node.
    function withdrawStake() external nonReentrant {
        Node storage node = _registered(msg.sender);
        if (isActive(msg.sender)) revert StillActive(uint256(node.lastHeartbeat) + heartbeatGraceSeconds);
        uint256 amount = node.stake;
        if (amount == 0) revert NothingToWithdraw();
        delete nodes[msg.sender];
        Address.sendValue(payable(msg.sender), amount);
        emit StakeWithdrawn(msg.sender, amount);
        emit NodeRemoved(msg.sender);
    }

    function setAuthorizedICL(address addr, bool authorized) external onlyOwner {
        authorizedICL[addr] = authorized;
    }

    function setHeartbeatGrace(uint64 seconds_) external onlyOwner {
        heartbeatGraceSeconds = seconds_;
    }

    function setMinStake(uint256 amount) external onlyOwner {
        minStake = amount;
    }

    function getNode(address node) external view returns (Node memory entry) {
        entry = nodes[node];
        entry.active = isActive(node);
    }

    function isAuthorizedICL(address addr) external view returns (bool) {
        return authorizedICL[addr];
    }

    /// Registered, and heard of within the grace. The attestation's expiry does not count: only the ICL can renew it here.
    function isActive(address node) public view returns (bool) {
        Node storage entry = nodes[node];
        return entry.active && block.timestamp <= uint256(entry.lastHeartbeat) + heartbeatGraceSeconds;
    }

    function _registered(address node) private view returns (Node storage entry) {
        entry = nodes[node];
        if (entry.registeredAt == 0) revert NotRegistered(node);
    }
}
