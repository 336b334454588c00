// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Constants} from "./Constants.sol";
import {Field} from "./Field.sol";
import {IGridveilRollup} from "./IGridveilRollup.sol";
import {ICouncil} from "./interfaces/ICouncil.sol";
import {IForcedQueue} from "./interfaces/IForcedQueue.sol";
import {Proofs} from "./Proofs.sol";
import {Verifiers} from "./Verifiers.sol";

/// @title What a Safe tells of itself
interface ISafe {
    /// @notice Signatures that a transaction needs.
    /// @return threshold at least one
    function getThreshold() external view returns (uint256 threshold);
    /// @notice Whose signatures count.
    /// @return owners their accounts
    function getOwners() external view returns (address[] memory owners);
}

/// @title Unsound verifiers, and what the council may do about them
/// @dev A sound verifier is never proven unsound: of the two statements one would be false, whatever the state and
/// whatever was settled before, and it accepts no proof of that. What the council may do begins with such a proof and ends
/// with the next verifier's first batch.
abstract contract Council is Verifiers {
    /// @dev Rows of a settlement's instances.
    uint256 private constant INSTANCES = 10;
    /// @dev Fewest owners of a council.
    uint256 private constant COUNCIL_OWNERS = 8;

    /// @dev As in the rollup.
    uint64 internal immutable _forcedDeadline;

    address private _council;
    address private _appointed;
    uint40 private _appointedFrom;
    /// @dev A hastened verifier can change the state of all communities: until then the members of all may leave.
    uint40 private _leaveUntil;
    mapping(uint32 shape => Halt) private _halts;

    constructor(IGridveilRollup.Config memory config) {
        _forcedDeadline = config.forcedDeadline;
        if (config.council != address(0)) {
            _requireSafe(config.council);
            _council = config.council;
            emit CouncilAppointed(config.council, uint40(block.timestamp));
        }
    }

    /// @dev The rollup.
    function _books() internal view virtual returns (IGridveilRollup);

    // ---------------------------------------------------------------- council

    /// @inheritdoc ICouncil
    function appointCouncil(address council_) external onlyRole(DEFAULT_ADMIN_ROLE) {
        if (council_ != address(0)) _requireSafe(council_);
        _council = council();
        (_appointed, _appointedFrom) = (council_, uint40(block.timestamp + verifierDelay));
        emit CouncilAppointed(council_, _appointedFrom);
    }

    /// @inheritdoc ICouncil
    function council() public view returns (address) {
        return _appointedFrom != 0 && block.timestamp >= _appointedFrom ? _appointed : _council;
    }

    /// @dev Its owners may have changed since it was appointed.
    function _requireSafe(address council_) private view {
        uint256 threshold = ISafe(council_).getThreshold();
        uint256 owners = ISafe(council_).getOwners().length;
        if (owners < COUNCIL_OWNERS || 4 * threshold < 3 * owners) revert NotCouncil(council_, threshold, owners);
    }

    /// @inheritdoc ICouncil
    function hasten(uint32 circuitVersion, uint32 shape) external {
        if (msg.sender != council()) revert OnlyCouncil(msg.sender);
        _requireSafe(msg.sender);
        // Used while the emergency lasts, or announced as any other.
        uint40 activeFrom = uint40(block.timestamp + _forcedDeadline);
        if (!_inEmergency(shape) || activeFrom > _emergencyEnd(shape)) revert NoEmergency(shape);
        Verifier storage record = _verifiers[circuitVersion][shape];
        bool settles = circuitVersion < Constants.FIRST_CERTIFICATE_VERSION && record.verifier != address(0);
        if (!settles) revert UnknownVerifier(circuitVersion, shape);
        if (record.used || record.hastened) revert AlreadyHastened(circuitVersion, shape);
        (record.activeFrom, record.hastened, _leaveUntil) = (activeFrom, true, activeFrom);
        emit VerifierHastened(circuitVersion, shape, activeFrom);
    }

    // ------------------------------------------------------- unsound verifiers

    /// @inheritdoc ICouncil
    function proveUnsound(
        uint32 circuitVersion,
        uint32 shape,
        uint256[INSTANCES] calldata a,
        bytes calldata proofA,
        uint256[INSTANCES] calldata b,
        bytes calldata proofB
    ) external {
        Verifier memory record = _verifiers[circuitVersion][shape];
        // Of one that nobody may use any more, or that nobody used yet, nothing follows for the rollup.
        bool inUse = record.used && !record.unsound && !isRetired[circuitVersion];
        if (!inUse || circuitVersion >= Constants.FIRST_CERTIFICATE_VERSION) revert NotInUse(circuitVersion, shape);
        if (record.verifier.codehash != record.codehash) revert VerifierChanged(record.verifier);
        if (_books().isFrozen()) revert IForcedQueue.IsFrozen();
        uint256 domain = _books().domain(circuitVersion);
        _requireStatement(a, domain);
        _requireStatement(b, domain);
        if (!_contradict(a, b)) revert NoContradiction();
        _requireAccepted(record, a, proofA);
        _requireAccepted(record, b, proofB);
        _verifiers[circuitVersion][shape].unsound = true;
        uint40 heldUntil_ = council() == address(0) ? 0 : uint40(block.timestamp + 2 * _forcedDeadline);
        _halts[shape] = Halt(uint40(block.timestamp), heldUntil_);
        emit VerifierUnsound(circuitVersion, shape, record.verifier);
    }

    /// @dev Only what L1 could have composed: the same element must not come in two words, nor a community twice.
    function _requireStatement(uint256[INSTANCES] calldata rows, uint256 domain) private pure {
        bool canonical = rows[0] == domain && rows[3] < Constants.DISTRICTS;
        for (uint256 i = 0; i < INSTANCES; ++i) {
            canonical = canonical && rows[i] < Field.R;
        }
        if (!canonical) revert NotAStatement();
    }

    /// @dev From one old root: rows are 1 old root, 2 new root, 3 community, 6 community node. The siblings of a
    /// community's place are fixed by the old root, and a batch changes this place alone. Nothing else is compared: one old
    /// root has many true successors, also of one community and period.
    function _contradict(uint256[INSTANCES] calldata a, uint256[INSTANCES] calldata b) private pure returns (bool) {
        if (a[1] != b[1]) return false;
        bool sameRoot = a[2] == b[2];
        // One new root through two places: neither place changed, but another root says that one did.
        if (a[3] != b[3]) return sameRoot && a[2] != a[1];
        // One node in one place leads to one root, and one root has one node there.
        return sameRoot != (a[6] == b[6]);
    }

    function _requireAccepted(Verifier memory record, uint256[INSTANCES] memory rows, bytes calldata proof)
        private
        view
    {
        uint256 at;
        assembly ("memory-safe") {
            at := rows
        }
        Proofs.requireAccepted(record.verifier, record.proofLength, at, INSTANCES, proof);
    }

    function _emergencyEnd(uint32 shape) private view returns (uint256) {
        return _halts[shape].provenAt + 2 * _forcedDeadline;
    }

    function _inEmergency(uint32 shape) internal view returns (bool) {
        return _halts[shape].provenAt != 0 && block.timestamp <= _emergencyEnd(shape);
    }

    function _mayLeave(uint32 shape) internal view returns (bool) {
        return !_books().isFrozen() && (_inEmergency(shape) || block.timestamp < _leaveUntil);
    }

    /// @dev A later verifier has settled.
    function _resume(uint32 shape) internal {
        if (_halts[shape].provenAt != 0) _halts[shape].provenAt = 0;
    }

    /// @inheritdoc ICouncil
    function isUnsound(uint32 circuitVersion, uint32 shape) external view returns (bool) {
        return _verifiers[circuitVersion][shape].unsound;
    }

    /// @inheritdoc ICouncil
    function haltOf(uint32 shape) public view returns (Halt memory) {
        return _halts[shape];
    }
}
