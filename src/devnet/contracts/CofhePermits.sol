// SPDX-License-Identifier: MIT
pragma solidity 0.8.28;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {Permission, signerOf} from "./CofheTypes.sol";

interface IPermitValidator {
    function disabled(address issuer, uint256 id) external view returns (bool);
}

/// EIP-712 permits as the CoFHE SDK signs them. The domain is computed at each call, since genesis code has no constructor.
abstract contract CofhePermits {
    bytes32 private constant DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant SELF_TYPE = keccak256(
        "PermissionedV2IssuerSelf(address issuer,uint64 expiration,address recipient,uint256 validatorId,address validatorContract,bytes32 sealingKey)"
    );
    bytes32 private constant SHARED_TYPE = keccak256(
        "PermissionedV2IssuerShared(address issuer,uint64 expiration,address recipient,uint256 validatorId,address validatorContract)"
    );
    bytes32 private constant RECIPIENT_TYPE =
        keccak256("PermissionedV2Recipient(bytes32 sealingKey,bytes issuerSignature)");

    error PermissionInvalid_Expired();
    error PermissionInvalid_IssuerSignature();
    error PermissionInvalid_RecipientSignature();
    error PermissionInvalid_Disabled();

    function eip712Domain()
        external
        view
        returns (bytes1, string memory, string memory, uint256, address, bytes32, uint256[] memory)
    {
        return (hex"0f", "ACL", "1", block.chainid, address(this), bytes32(0), new uint256[](0));
    }

    /// True, or a revert that says what is wrong with the permit.
    function checkPermitValidity(Permission calldata permission) public view returns (bool) {
        if (permission.expiration < block.timestamp) revert PermissionInvalid_Expired();
        if (_signer(_issuerHash(permission), permission.issuerSignature) != permission.issuer) {
            revert PermissionInvalid_IssuerSignature();
        }
        if (permission.recipient != address(0)) {
            bytes32 hash =
                keccak256(abi.encode(RECIPIENT_TYPE, permission.sealingKey, keccak256(permission.issuerSignature)));
            if (_signer(hash, permission.recipientSignature) != permission.recipient) {
                revert PermissionInvalid_RecipientSignature();
            }
        }
        if (
            permission.validatorContract != address(0)
                && IPermitValidator(permission.validatorContract).disabled(permission.issuer, permission.validatorId)
        ) revert PermissionInvalid_Disabled();
        return true;
    }

    function _issuerHash(Permission calldata permission) private pure returns (bytes32) {
        bytes memory common = abi.encode(
            permission.issuer,
            permission.expiration,
            permission.recipient,
            permission.validatorId,
            permission.validatorContract
        );
        return permission.recipient == address(0)
            ? keccak256(bytes.concat(SELF_TYPE, common, permission.sealingKey))
            : keccak256(bytes.concat(SHARED_TYPE, common));
    }

    /// Never zero for a valid signature; an invalid one gives an address that no issuer can have.
    function _signer(bytes32 structHash, bytes calldata signature) private view returns (address signer) {
        bytes32 domain =
            keccak256(abi.encode(DOMAIN_TYPE, keccak256("ACL"), keccak256("1"), block.chainid, address(this)));
        signer = signerOf(MessageHashUtils.toTypedDataHash(domain, structHash), signature);
        if (signer == address(0)) signer = address(this);
    }
}
