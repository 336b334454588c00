// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Constants} from "./Constants.sol";
import {IGridveilRollup} from "./IGridveilRollup.sol";
import {ICouncil} from "./interfaces/ICouncil.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IVault} from "./interfaces/IVault.sol";
import {Roles} from "./Roles.sol";

/// @title Shapes and the verifiers of circuit versions
abstract contract Verifiers is Roles {
    /// @inheritdoc IRegistry
    uint32 public constant CERTIFICATE_VERSION = Constants.FIRST_CERTIFICATE_VERSION;
    /// @inheritdoc IRegistry
    uint64 public immutable verifierDelay;

    mapping(uint32 shape => Shape) internal _shapes;
    mapping(uint32 circuitVersion => mapping(uint32 shape => Verifier)) internal _verifiers;
    /// @inheritdoc IRegistry
    mapping(uint32 circuitVersion => bool retired) public isRetired;

    constructor(IGridveilRollup.Config memory config, VerifierInit[] memory verifiers) {
        if (config.verifierDelay > 3650 days) revert IVault.BadConfig("verifierDelay");
        // Members must be able to leave before a verifier they do not trust is used.
        if (block.chainid != Constants.LOCAL_CHAIN_ID && config.verifierDelay < config.forcedDeadline + 7 days) {
            revert IVault.BadConfig("verifierDelay");
        }
        verifierDelay = config.verifierDelay;
        if (config.circuitVersion >= Constants.FIRST_CERTIFICATE_VERSION) {
            revert UnknownVerifier(config.circuitVersion, 0);
        }
        for (uint256 i = 0; i < verifiers.length; ++i) {
            _registerVerifier(config.circuitVersion, verifiers[i], uint40(block.timestamp), true);
        }
        if (config.certificateVerifier != address(0)) {
            VerifierInit memory init;
            init.verifier = config.certificateVerifier;
            init.proofLength = config.certificateProofLength;
            _registerVerifier(Constants.FIRST_CERTIFICATE_VERSION, init, uint40(block.timestamp), true);
        }
    }

    /// @inheritdoc IRegistry
    function registerVerifier(uint32 circuitVersion, VerifierInit calldata init) external onlyRole(UPGRADER_ROLE) {
        _registerVerifier(circuitVersion, init, uint40(block.timestamp + verifierDelay), false);
    }

    /// @inheritdoc IRegistry
    function retireVersion(uint32 circuitVersion) external onlyRole(UPGRADER_ROLE) {
        isRetired[circuitVersion] = true;
        emit CircuitVersionRetired(circuitVersion);
    }

    function _registerVerifier(uint32 circuitVersion, VerifierInit memory init, uint40 activeFrom, bool used) private {
        if (isRetired[circuitVersion]) revert VersionRetired(circuitVersion);
        if (_verifiers[circuitVersion][init.shape].verifier != address(0)) {
            revert VerifierAlreadyRegistered(circuitVersion, init.shape);
        }
        if (init.verifier.code.length == 0) revert NoCode(init.verifier);
        if (init.proofLength & 31 != 0) revert ProofNotWords(init.proofLength);
        if (circuitVersion < Constants.FIRST_CERTIFICATE_VERSION) {
            _fixShape(init);
        } else if (init.shape != 0 || init.slots != 0 || init.m != 0) {
            revert ShapeMismatch(init.shape);
        }
        bytes32 codehash = init.verifier.codehash;
        _verifiers[circuitVersion][init.shape] = Verifier({
            verifier: init.verifier,
            proofLength: init.proofLength,
            activeFrom: activeFrom,
            used: used,
            hastened: false,
            unsound: false,
            codehash: codehash
        });
        emit VerifierRegistered(circuitVersion, init.shape, init.verifier, codehash, init.proofLength, activeFrom);
    }

    /// @dev A shape's first verifier fixes it.
    function _fixShape(VerifierInit memory init) private {
        Shape memory s = _shapes[init.shape];
        if (s.slots == 0) {
            // The members tree is dense over a power of two: exits climb it.
            bool dense = init.slots >= 2 && init.slots <= 4 ** 8 && init.slots & (init.slots - 1) == 0;
            if (!dense || init.m == 0) revert ShapeMismatch(init.shape);
            _shapes[init.shape] = Shape({slots: init.slots, m: init.m});
            emit ShapeRegistered(init.shape, init.slots, init.m);
        } else if (s.slots != init.slots || s.m != init.m) {
            revert ShapeMismatch(init.shape);
        }
    }

    /// @dev The verifier of a version and shape, if it may be used now but for the first use's own rule.
    function _usable(uint32 circuitVersion, uint32 shape) internal view returns (Verifier memory record) {
        if (isRetired[circuitVersion]) revert VersionRetired(circuitVersion);
        record = _verifiers[circuitVersion][shape];
        if (record.verifier == address(0)) revert UnknownVerifier(circuitVersion, shape);
        if (record.unsound) revert ICouncil.VerifierIsUnsound(circuitVersion, shape);
        if (record.activeFrom > block.timestamp) revert VerifierNotActive(record.activeFrom);
        // An account's code may change: since EIP-7702 by its key.
        if (record.verifier.codehash != record.codehash) revert VerifierChanged(record.verifier);
    }

    /// @inheritdoc IRegistry
    function shapeOf(uint32 shape) external view returns (Shape memory) {
        return _shapes[shape];
    }

    /// @inheritdoc IRegistry
    function verifierOf(uint32 circuitVersion, uint32 shape) external view returns (Verifier memory) {
        return _verifiers[circuitVersion][shape];
    }
}
