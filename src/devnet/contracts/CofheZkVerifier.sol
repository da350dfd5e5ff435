// SPDX-License-Identifier: MIT
pragma solidity 0.8.28;

import {CofheTaskManager} from "./CofheTaskManager.sol";
import {TASK_MANAGER, makeHandle} from "./CofheTypes.sol";

/// Stand-in for CoFHE's verifier of encryption proofs: the SDK asks it for handles and hands it the plaintexts.
/// Anybody may insert, since what makes an input usable is the signature that the task manager checks.
contract CofheZkVerifier {
    uint256 private _inserts;

    function exists() external pure returns (bool) {
        return true;
    }

    function zkVerifyCalcCtHashesPacked(
        uint256[] calldata values,
        uint8[] calldata utypes,
        address user,
        uint8 securityZone,
        uint256 chainId
    ) external view returns (uint256[] memory handles) {
        handles = new uint256[](values.length);
        for (uint256 i; i < values.length; i++) {
            bytes32 bits = keccak256(abi.encode(values[i], user, chainId, _inserts, i));
            handles[i] = makeHandle(uint256(bits), utypes[i], securityZone);
        }
    }

    function insertPackedCtHashes(uint256[] calldata handles, uint256[] calldata values) external {
        for (uint256 i; i < handles.length; i++) {
            CofheTaskManager(TASK_MANAGER).insertPlaintext(handles[i], values[i]);
        }
        _inserts++;
    }
}
