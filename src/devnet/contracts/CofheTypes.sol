// SPDX-License-Identifier: MIT
pragma solidity 0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

// Where the CoFHE SDK and the CoFHE library look for the services on chain id 31337. All three are genesis code: they have neither
// constructor nor initialiser.
address constant TASK_MANAGER = 0xeA30c4B8b44078Bbf8a6ef5b9f1eC1626C7848D9;
address constant ZK_VERIFIER = 0x0000000000000000000000000000000000005001;

// Signs encrypted inputs; its key is a public constant of the CoFHE SDK.
address constant ZK_VERIFIER_SIGNER = 0x6E12D8C87503D4287c294f2Fdef96ACd9DFf6bd2;

/// What a permit proves, in the layout of the CoFHE SDK.
struct Permission {
    address issuer;
    uint64 expiration;
    address recipient;
    uint256 validatorId;
    address validatorContract;
    bytes32 sealingKey;
    bytes issuerSignature;
    bytes recipientSignature;
}

/// A handle: random bits, then the type and the security zone in the last two bytes.
function makeHandle(uint256 bits, uint8 utype, uint8 securityZone) pure returns (uint256) {
    return (bits & ~uint256(0xffff)) | (uint256(utype & 0x7f) << 8) | securityZone;
}

/// The signer of `hash`, or zero if the signature is not one.
function signerOf(bytes32 hash, bytes memory signature) pure returns (address signer) {
    (signer,,) = ECDSA.tryRecover(hash, signature);
}
