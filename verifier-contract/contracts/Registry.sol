// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Field} from "./Field.sol";
import {IGridveilRollup} from "./IGridveilRollup.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {Parameters} from "./Parameters.sol";
import {GenesisTerms, TariffCommitment} from "./Types.sol";

/// @title Shapes, verifiers, tariffs, communities
abstract contract Registry is Parameters, IRegistry {
    mapping(uint32 community => Community) internal _communities;
    /// @inheritdoc IRegistry
    mapping(uint32 community => GenesisTerms) public genesisTermsOf;
    mapping(uint32 shape => Shape) internal _shapes;
    mapping(uint32 circuitVersion => mapping(uint32 shape => Verifier)) private _verifiers;
    /// @inheritdoc IRegistry
    mapping(uint32 circuitVersion => bool retired) public isRetired;
    mapping(uint32 tariffSet => TariffSet) private _tariffSets;
    mapping(uint32 tariffSet => Tariff[]) internal _tariffs;

    constructor(IGridveilRollup.Config memory config, VerifierInit[] memory verifiers) {
        if (config.circuitVersion >= CERTIFICATE_VERSION) revert UnknownVerifier(config.circuitVersion, 0);
        for (uint256 i = 0; i < verifiers.length; ++i) {
            _registerVerifier(config.circuitVersion, verifiers[i], uint40(block.timestamp), true);
        }
        if (config.certificateVerifier != address(0)) {
            VerifierInit memory init;
            init.verifier = config.certificateVerifier;
            init.proofLength = config.certificateProofLength;
            _registerVerifier(CERTIFICATE_VERSION, init, uint40(block.timestamp), true);
        }
    }

    // ------------------------------------------------------------ communities

    /// @inheritdoc IRegistry
    function registerCommunity(
        uint32 community,
        uint32 shape,
        uint16 intervalLength,
        uint16 m,
        uint32 tariffSet,
        GenesisTerms genesisTerms
    ) external onlyRole(MDM_ROLE) {
        if (community >= MAX_COMMUNITIES) revert CommunityOutOfRange(community);
        if (_communities[community].registered) revert CommunityAlreadyRegistered(community);
        _requireIntervalLength(intervalLength);
        Shape memory s = _shapes[shape];
        if (s.slots == 0) revert UnknownShape(shape);
        if (s.m != m) revert ShapeMismatch(shape);
        TariffSet memory set = _tariffSets[tariffSet];
        if (set.m == 0) revert UnknownTariffSet(tariffSet);
        if (set.m != m || set.intervalLength != intervalLength) revert TariffSetMismatch(tariffSet);
        // A request that just missed a batch waits for the end of the next period: the operator must be able to serve
        // it.
        uint256 period = uint256(m) * intervalLength;
        if (2 * period > forcedDeadline) revert PeriodTooLong(period, forcedDeadline);
        Field.requireCanonical(GenesisTerms.unwrap(genesisTerms));
        _communities[community] = Community({
            registered: true, started: false, intervalLength: intervalLength, m: m, shape: shape, tariffSet: tariffSet
        });
        genesisTermsOf[community] = genesisTerms;
        emit CommunityRegistered(community, shape, intervalLength, m, tariffSet, genesisTerms);
    }

    function _requireIntervalLength(uint16 intervalLength) private pure {
        if (intervalLength != 900 && intervalLength != 1800 && intervalLength != 3600) {
            revert BadIntervalLength(intervalLength);
        }
    }

    // ---------------------------------------------------------------- tariffs

    /// @inheritdoc IRegistry
    function openTariffSet(uint32 tariffSet, uint16 intervalLength, uint16 m) external onlyRole(TARIFF_ROLE) {
        _requireIntervalLength(intervalLength);
        if (m == 0) revert TariffSetMismatch(tariffSet);
        if (_tariffSets[tariffSet].m != 0) revert TariffSetAlreadyOpen(tariffSet);
        _tariffSets[tariffSet] = TariffSet({intervalLength: intervalLength, m: m});
        emit TariffSetOpened(tariffSet, intervalLength, m);
    }

    /// @inheritdoc IRegistry
    function registerTariff(uint32 tariffSet, uint32 firstInterval, TariffCommitment commitment)
        external
        onlyRole(TARIFF_ROLE)
        returns (uint32 index)
    {
        TariffSet memory set = _tariffSets[tariffSet];
        if (set.m == 0) revert UnknownTariffSet(tariffSet);
        Field.requireCanonical(TariffCommitment.unwrap(commitment));
        Tariff[] storage tariffs = _tariffs[tariffSet];
        index = uint32(tariffs.length);
        if (index > 0) {
            uint32 last = tariffs[index - 1].firstInterval;
            if (firstInterval <= last) revert TariffNotLater(firstInterval, last);
        }
        uint256 startsAt = uint256(firstInterval) * set.intervalLength;
        if (enforceFutureTariffs) {
            if (startsAt <= block.timestamp) revert TariffAlreadyStarted(startsAt, block.timestamp);
            if (startsAt < block.timestamp + tariffNotice) {
                revert TariffTooSoon(startsAt, block.timestamp + tariffNotice);
            }
        }
        tariffs.push(Tariff({firstInterval: firstInterval, commitment: commitment}));
        emit TariffRegistered(tariffSet, index, firstInterval, commitment);
    }

    // -------------------------------------------------------------- verifiers

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
        if (circuitVersion < CERTIFICATE_VERSION) {
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

    /// @dev Calls the verifier of a version and shape with `count` instances, which lie in memory at `instances`, and
    /// the proof. Tells if it is the constructor's, or was noted as used.
    function _verify(uint32 circuitVersion, uint32 shape, uint256 instances, uint256 count, bytes calldata proof)
        internal
        view
        returns (bool used)
    {
        if (isRetired[circuitVersion]) revert VersionRetired(circuitVersion);
        Verifier storage record = _verifiers[circuitVersion][shape];
        address verifier = record.verifier;
        if (verifier == address(0)) revert UnknownVerifier(circuitVersion, shape);
        if (record.activeFrom > block.timestamp) revert VerifierNotActive(record.activeFrom);
        if (proof.length != record.proofLength) revert ProofLength(record.proofLength, proof.length);
        // An account's code may change: since EIP-7702 by its key.
        if (verifier.codehash != record.codehash) revert VerifierChanged(verifier);
        used = record.used;
        bool accepted;
        assembly ("memory-safe") {
            let free := mload(0x40)
            let size := shl(5, count)
            mcopy(free, instances, size)
            calldatacopy(add(free, size), proof.offset, proof.length)
            // A contract without code would return nothing: the word 1 is required.
            accepted := staticcall(VERIFIER_GAS, verifier, free, add(proof.length, size), 0x00, 0x20)
            accepted := and(accepted, and(eq(returndatasize(), 0x20), eq(mload(0x00), 1)))
        }
        if (!accepted) revert ProofRejected();
    }

    function _noteUse(uint32 circuitVersion, uint32 shape) internal {
        Verifier storage record = _verifiers[circuitVersion][shape];
        record.used = true;
        emit VerifierFirstUsed(circuitVersion, shape, record.verifier);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IRegistry
    function domain(uint32 circuitVersion) public view returns (uint256) {
        return uint256(keccak256(abi.encode(block.chainid, address(this), uint256(circuitVersion)))) % Field.R;
    }

    /// @inheritdoc IRegistry
    function communityOf(uint32 community) external view returns (Community memory) {
        return _communities[community];
    }

    /// @inheritdoc IRegistry
    function shapeOf(uint32 shape) external view returns (Shape memory) {
        return _shapes[shape];
    }

    /// @inheritdoc IRegistry
    function verifierOf(uint32 circuitVersion, uint32 shape) external view returns (Verifier memory) {
        return _verifiers[circuitVersion][shape];
    }

    /// @inheritdoc IRegistry
    function tariffSetOf(uint32 tariffSet) external view returns (TariffSet memory) {
        return _tariffSets[tariffSet];
    }

    /// @inheritdoc IRegistry
    function tariffCount(uint32 tariffSet) external view returns (uint256) {
        return _tariffs[tariffSet].length;
    }

    /// @inheritdoc IRegistry
    function tariffAt(uint32 tariffSet, uint256 index) external view returns (Tariff memory) {
        return _tariffs[tariffSet][index];
    }
}
