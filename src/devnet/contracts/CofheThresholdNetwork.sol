// SPDX-License-Identifier: MIT
pragma solidity 0.8.28;

import {CofhePermits} from "./CofhePermits.sol";
import {CofheTaskManager} from "./CofheTaskManager.sol";
import {Permission, TASK_MANAGER} from "./CofheTypes.sol";

/// Stand-in for the network that decrypts: answers whoever holds a permit of an allowed account, sealed with the permit's key.
contract CofheThresholdNetwork {
    function exists() external pure returns (bool) {
        return true;
    }

    /// `problem` is empty, or the reason that the SDK shows; nothing is returned then.
    function querySealOutput(uint256 handle, uint256, Permission calldata permission)
        external
        view
        returns (bool allowed, string memory problem, bytes32 sealed_)
    {
        try CofheTaskManager(TASK_MANAGER).isAllowedWithPermission(permission, handle) returns (bool ok) {
            if (!ok || !CofheTaskManager(TASK_MANAGER).isKnown(handle)) return (false, "NotAllowed", 0);
        } catch (bytes memory reason) {
            return (false, _name(bytes4(reason)), 0);
        }
        return (true, "", bytes32(CofheTaskManager(TASK_MANAGER).plaintextOf(handle)) ^ permission.sealingKey);
    }

    function _name(bytes4 selector) private pure returns (string memory) {
        if (selector == CofhePermits.PermissionInvalid_Expired.selector) return "PermissionInvalid_Expired";
        if (selector == CofhePermits.PermissionInvalid_IssuerSignature.selector) {
            return "PermissionInvalid_IssuerSignature";
        }
        if (selector == CofhePermits.PermissionInvalid_RecipientSignature.selector) {
            return "PermissionInvalid_RecipientSignature";
        }
        if (selector == CofhePermits.PermissionInvalid_Disabled.selector) return "PermissionInvalid_Disabled";
        return "Low Level";
    }
}
