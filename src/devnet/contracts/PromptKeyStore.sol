// SPDX-License-Identifier: MIT
pragma solidity 0.8.28;

import {FHE, InEuint128, euint128} from "@fhenixprotocol/cofhe-contracts/FHE.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";

/// The encrypted AES keys of prompts and outputs (PROTOCOL.md 2.4), with the deployed contract's interface but stricter:
/// the first key of a job stays, an output key can only come from a node that was allowed to read the prompt key, and the
/// ICL is set once, by whoever deployed the contract (PROTOCOL.md 18).
contract PromptKeyStore {
    struct OutputKey {
        uint256 KoH;
        uint256 KoL;
    }

    struct Key {
        euint128 high;
        euint128 low;
    }

    address private immutable _deployer = msg.sender;
    address public icl;
    mapping(bytes32 jobId => OutputKey) public outputKeys;
    mapping(bytes32 jobId => Key) private _keys;
    mapping(bytes32 jobId => mapping(address node => bool)) private _allowed;
    /// The job whose output key an id is: known once the prompt key of that job is stored.
    mapping(bytes32 outputKeyId => bytes32 jobId) private _promptOf;

    event KeyStored(
        bytes32 indexed jobId, address indexed submitter, uint256 highHandle, uint256 lowHandle, address[] allowedNodes
    );
    event DecryptAccessGranted(bytes32 indexed jobId, address indexed node);
    event OutputKeyStored(bytes32 indexed jobId, uint256 koHighHandle, uint256 koLowHandle, address indexed userAddress);

    error KeyAlreadyStored(bytes32 jobId);
    error UnknownKey(bytes32 jobId);
    error NotAllowedNode(bytes32 jobId, address account);
    error NotICL(address account);
    error ICLAlreadySet();
    error NotDeployer(address account);
    error ZeroAddress();

    modifier onlyICL() {
        if (msg.sender != icl) revert NotICL(msg.sender);
        _;
    }

    function setICL(address _icl) external {
        if (msg.sender != _deployer) revert NotDeployer(msg.sender);
        if (icl != address(0)) revert ICLAlreadySet();
        if (_icl == address(0)) revert ZeroAddress();
        icl = _icl;
    }

    function storeKey(
        bytes32 jobId,
        InEuint128 calldata encHigh,
        InEuint128 calldata encLow,
        address[] calldata allowedNodes
    ) external {
        if (_isStored(jobId)) revert KeyAlreadyStored(jobId);
        bytes32 promptJobId = _promptOf[jobId];
        if (promptJobId == 0) _reserveOutputKey(jobId);
        else if (!_allowed[promptJobId][msg.sender]) revert NotAllowedNode(promptJobId, msg.sender);

        Key memory key = Key(FHE.asEuint128(encHigh), FHE.asEuint128(encLow));
        _keys[jobId] = key;
        FHE.allowThis(key.high);
        FHE.allowThis(key.low);
        for (uint256 i; i < allowedNodes.length; i++) {
            _allow(jobId, key, allowedNodes[i]);
        }
        emit KeyStored(jobId, msg.sender, _handle(key.high), _handle(key.low), allowedNodes);
    }

    function grantDecryptAccess(bytes32 jobId, address node) external onlyICL {
        if (_handle(_keys[jobId].high) == 0) revert UnknownKey(jobId);
        _allow(jobId, _keys[jobId], node);
        emit DecryptAccessGranted(jobId, node);
    }

    /// Works only for handles that this contract may grant: one that another contract owns reverts with ACLNotAllowed.
    function storeOutputKey(bytes32 jobId, uint256 koHighHandle, uint256 koLowHandle, address userAddress)
        external
        onlyICL
    {
        if (_isStored(jobId)) revert KeyAlreadyStored(jobId);
        outputKeys[jobId] = OutputKey(koHighHandle, koLowHandle);
        FHE.allow(euint128.wrap(bytes32(koHighHandle)), userAddress);
        FHE.allow(euint128.wrap(bytes32(koLowHandle)), userAddress);
        emit OutputKeyStored(jobId, koHighHandle, koLowHandle, userAddress);
    }

    /// Handles of the two halves; both 0 for a job without a key.
    function getEncryptedKey(bytes32 jobId) external view returns (uint256, uint256) {
        return (_handle(_keys[jobId].high), _handle(_keys[jobId].low));
    }

    /// Task ids travel as text, with or without "0x", and output keys are stored under the hash of that text.
    function _reserveOutputKey(bytes32 jobId) private {
        string memory digits = Strings.toHexString(uint256(jobId), 32);
        bytes32 prefixed = keccak256(bytes.concat(bytes(digits), ":output-key"));
        assembly ("memory-safe") {
            let length := sub(mload(digits), 2)
            digits := add(digits, 2)
            mstore(digits, length)
        }
        bytes32 bare = keccak256(bytes.concat(bytes(digits), ":output-key"));
        if (_isStored(prefixed)) revert KeyAlreadyStored(prefixed);
        if (_isStored(bare)) revert KeyAlreadyStored(bare);
        _promptOf[prefixed] = jobId;
        _promptOf[bare] = jobId;
    }

    function _allow(bytes32 jobId, Key memory key, address account) private {
        _allowed[jobId][account] = true;
        FHE.allow(key.high, account);
        FHE.allow(key.low, account);
    }

    function _isStored(bytes32 jobId) private view returns (bool) {
        return _handle(_keys[jobId].high) != 0 || outputKeys[jobId].KoH != 0;
    }

    function _handle(euint128 value) private pure returns (uint256) {
        return uint256(euint128.unwrap(value));
    }
}
