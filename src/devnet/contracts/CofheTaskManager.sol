// SPDX-License-Identifier: MIT
pragma solidity 0.8.28;

import {EncryptedInput} from "@fhenixprotocol/cofhe-contracts/ICofhe.sol";

import {CofhePermits} from "./CofhePermits.sol";
import {Permission, ZK_VERIFIER, ZK_VERIFIER_SIGNER, makeHandle, signerOf} from "./CofheTypes.sol";

/// Stand-in for CoFHE's TaskManager and its access list in one contract. It holds plaintexts, by nature: for a devnet only.
contract CofheTaskManager is CofhePermits {
    mapping(uint256 handle => uint256) public plaintextOf;
    mapping(uint256 handle => bool) public isKnown;
    mapping(uint256 handle => mapping(address => bool)) private _allowed;

    error ACLNotAllowed(uint256 handle, address account);
    error InvalidSigner(address signer, address expectedSigner);
    error HandleTaken(uint256 handle);
    error OnlyZkVerifier();

    function acl() external view returns (address) {
        return address(this);
    }

    function exists() external pure returns (bool) {
        return true;
    }

    /// Idempotent; a second plaintext for the same handle is refused.
    function insertPlaintext(uint256 handle, uint256 value) external {
        if (msg.sender != ZK_VERIFIER) revert OnlyZkVerifier();
        if (isKnown[handle] && plaintextOf[handle] != value) revert HandleTaken(handle);
        plaintextOf[handle] = value;
        isKnown[handle] = true;
    }

    /// The handle of a signed input, which the caller may use until the transaction ends. The signature binds the handle to
    /// `sender`, so that nobody else can submit it (PROTOCOL.md 2.3).
    function verifyInput(EncryptedInput calldata input, address sender) external returns (uint256 handle) {
        bytes32 hash =
            keccak256(abi.encodePacked(input.ctHash, input.utype, input.securityZone, sender, block.chainid));
        address signer = signerOf(hash, input.signature);
        if (signer != ZK_VERIFIER_SIGNER) revert InvalidSigner(signer, ZK_VERIFIER_SIGNER);
        handle = makeHandle(input.ctHash, input.utype, input.securityZone);
        _allowTransient(handle, msg.sender);
    }

    function allow(uint256 handle, address account) external {
        _requireAllowed(handle);
        _allowed[handle][account] = true;
    }

    function allowTransient(uint256 handle, address account) external {
        _requireAllowed(handle);
        _allowTransient(handle, account);
    }

    function isAllowedWithPermission(Permission calldata permission, uint256 handle) external view returns (bool) {
        return checkPermitValidity(permission) && isAllowed(handle, permission.issuer);
    }

    function isAllowed(uint256 handle, address account) public view returns (bool allowed) {
        if (_allowed[handle][account]) return true;
        bytes32 slot = _transientSlot(handle, account);
        assembly {
            allowed := tload(slot)
        }
    }

    function _allowTransient(uint256 handle, address account) private {
        bytes32 slot = _transientSlot(handle, account);
        assembly {
            tstore(slot, 1)
        }
    }

    function _requireAllowed(uint256 handle) private view {
        if (!isAllowed(handle, msg.sender)) revert ACLNotAllowed(handle, msg.sender);
    }

    function _transientSlot(uint256 handle, address account) private pure returns (bytes32) {
        return keccak256(abi.encode(handle, account));
    }
}
