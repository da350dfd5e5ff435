// SPDX-License-Identifier: MIT
pragma solidity 0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

/// Attestations that a node has signed (PROTOCOL.md 2.9). Anybody may bring them on chain; only the node can revoke them.
/// A signature is good for one commit: otherwise anybody could undo a revocation, or go back to an older document.
contract NodeAttestationRegistry {
    struct Attestation {
        bytes32 attestationType;
        bytes32 documentHash;
        address counterparty;
        uint64 effectiveAt;
        uint64 expiresAt;
        bool revoked;
    }

    bytes32 private constant DOMAIN = keccak256("blindference.node-attestation.v1");

    mapping(address node => mapping(bytes32 attestationType => mapping(address counterparty => Attestation))) private _attestations;
    mapping(bytes32 digest => bool) private _used;

    event AttestationCommitted(
        address indexed node,
        bytes32 indexed attestationType,
        address indexed counterparty,
        bytes32 documentHash,
        uint64 effectiveAt,
        uint64 expiresAt
    );
    event AttestationRevoked(address indexed node, bytes32 indexed attestationType, address indexed counterparty);

    error AttestationExpired();
    error AttestationNotFound();
    error CounterpartyConflict();
    error InvalidSignature();
    error InvalidWindow();
    error SignatureUsed();

    function commit(
        address node,
        bytes32 attestationType,
        bytes32 documentHash,
        address counterparty,
        uint64 effectiveAt,
        uint64 expiresAt,
        bytes calldata signature
    ) external {
        if (counterparty == node) revert CounterpartyConflict();
        if (effectiveAt >= expiresAt) revert InvalidWindow();
        if (expiresAt <= block.timestamp) revert AttestationExpired();
        bytes32 hash = digest(node, attestationType, documentHash, counterparty, effectiveAt, expiresAt);
        if (_used[hash]) revert SignatureUsed();
        (address signer, ECDSA.RecoverError problem,) = ECDSA.tryRecover(MessageHashUtils.toEthSignedMessageHash(hash), signature);
        if (problem != ECDSA.RecoverError.NoError || signer != node) revert InvalidSignature();

        _used[hash] = true;
        _attestations[node][attestationType][counterparty] =
            Attestation(attestationType, documentHash, counterparty, effectiveAt, expiresAt, false);
        emit AttestationCommitted(node, attestationType, counterparty, documentHash, effectiveAt, expiresAt);
    }

    function revoke(bytes32 attestationType, address counterparty) external {
        Attestation storage entry = _attestations[msg.sender][attestationType][counterparty];
        if (entry.expiresAt == 0 || entry.revoked) revert AttestationNotFound();
        entry.revoked = true;
        emit AttestationRevoked(msg.sender, attestationType, counterparty);
    }

    function attestationOf(address node, bytes32 attestationType, address counterparty)
        external
        view
        returns (Attestation memory)
    {
        return _attestations[node][attestationType][counterparty];
    }

    function hasValid(address node, bytes32 attestationType, address counterparty) external view returns (bool) {
        Attestation storage entry = _attestations[node][attestationType][counterparty];
        return !entry.revoked && entry.effectiveAt <= block.timestamp && block.timestamp < entry.expiresAt;
    }

    function digest(
        address node,
        bytes32 attestationType,
        bytes32 documentHash,
        address counterparty,
        uint64 effectiveAt,
        uint64 expiresAt
    ) public view returns (bytes32) {
        return keccak256(
            abi.encode(
                DOMAIN,
                block.chainid,
                address(this),
                node,
                attestationType,
                documentHash,
                counterparty,
                effectiveAt,
                expiresAt
            )
        );
    }
}
