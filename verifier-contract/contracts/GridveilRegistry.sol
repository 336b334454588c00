// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Constants} from "./Constants.sol";
import {Council} from "./Council.sol";
import {Field} from "./Field.sol";
import {IGridveilRollup} from "./IGridveilRollup.sol";
import {ICouncil} from "./interfaces/ICouncil.sol";
import {IForcedQueue} from "./interfaces/IForcedQueue.sol";
import {IParts} from "./interfaces/IParts.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IVault} from "./interfaces/IVault.sol";
import {Roles} from "./Roles.sol";
import {Tariffs} from "./Tariffs.sol";
import {CommunityId, GenesisTerms} from "./Types.sol";
import {Verifiers} from "./Verifiers.sol";

/// @dev `IRegistry.Community` and `IRegistry.End` in one storage slot: a batch reads it.
struct Entry {
    bool registered;
    uint16 intervalLength;
    uint16 m;
    uint32 shape;
    uint32 tariffSet;
    IRegistry.Stage stage;
    uint40 closesAt;
    uint64 closedAfter;
}

/// @title What authorities publish: roles, shapes and verifiers, tariffs, communities
/// @notice Created by the rollup's constructor. It moves no money and no root: the rollup asks it under which terms a
/// batch is settled.
contract GridveilRegistry is Council, Tariffs {
    /// @inheritdoc IRegistry
    address public immutable rollup;

    mapping(CommunityId community => Entry) private _communities;
    /// @inheritdoc IRegistry
    mapping(CommunityId community => GenesisTerms) public genesisTermsOf;

    /// @dev The caller becomes the rollup.
    constructor(IGridveilRollup.Config memory config, VerifierInit[] memory verifiers)
        Roles(config)
        Verifiers(config, verifiers)
        Council(config)
        Tariffs(config)
    {
        rollup = msg.sender;
    }

    function _books() internal view override returns (IGridveilRollup) {
        return IGridveilRollup(rollup);
    }

    /// @inheritdoc IRegistry
    function registerCommunity(
        CommunityId community,
        uint32 shape,
        uint16 intervalLength,
        uint16 m,
        uint32 tariffSet,
        GenesisTerms genesisTerms
    ) external onlyRole(MDM_ROLE) {
        if (community.indexOf() != 0) revert CommunityOutOfRange(community);
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
        if (2 * period > _forcedDeadline) revert PeriodTooLong(period, _forcedDeadline);
        Field.requireCanonical(GenesisTerms.unwrap(genesisTerms));
        Entry storage c = _communities[community];
        (c.registered, c.intervalLength, c.m, c.shape, c.tariffSet) = (true, intervalLength, m, shape, tariffSet);
        genesisTermsOf[community] = genesisTerms;
        emit CommunityRegistered(community, shape, intervalLength, m, tariffSet, genesisTerms);
    }

    // --------------------------------------------------- the end of a community

    /// @inheritdoc IRegistry
    function announceClosing(CommunityId community) external onlyRole(MDM_ROLE) {
        Entry storage c = _registered(community);
        if (c.stage != Stage.Open) revert AlreadyClosing(community);
        uint40 closesAt = uint40(block.timestamp + verifierDelay);
        (c.stage, c.closesAt) = (Stage.Closing, closesAt);
        emit CommunityClosing(community, closesAt);
    }

    /// @inheritdoc IRegistry
    function closeCommunity(CommunityId community) external {
        Entry storage c = _registered(community);
        Stage stage = c.stage;
        if (stage == Stage.Closed) revert CommunityIsClosed(community);
        if (stage == Stage.Open || block.timestamp < c.closesAt) revert NoticeNotOver(community, c.closesAt);
        IGridveilRollup books = _books();
        if (books.isFrozen()) revert IForcedQueue.IsFrozen();
        uint256 waiting = books.forcedQueueOf(community).length;
        if (stage == Stage.Closing) {
            _checkRole(MDM_ROLE);
            books.requirePlaces();
            c.stage = Stage.Ending;
            emit CommunityEnding(community);
            if (waiting != 0) return;
        }
        if (waiting != 0) revert RequestsWait(community, waiting);
        _close(c, community);
    }

    /// @inheritdoc ICouncil
    function closeByExit(CommunityId community) external {
        if (msg.sender != address(_books().exits())) revert IVault.NotExits(msg.sender);
        _close(_registered(community), community);
    }

    function _close(Entry storage c, CommunityId community) private {
        uint64 lastBatch = _books().batchCount();
        (c.stage, c.closedAfter) = (Stage.Closed, lastBatch);
        emit CommunityClosed(community, lastBatch);
    }

    function _registered(CommunityId community) private view returns (Entry storage c) {
        c = _communities[community];
        if (!c.registered) revert UnknownCommunity(community);
    }

    // ----------------------------------------------------------- for a batch

    /// @inheritdoc IRegistry
    function batchTerms(
        address operator,
        uint32 circuitVersion,
        CommunityId community,
        uint32 firstInterval,
        uint32 tariffIndex
    ) external view returns (BatchTerms memory terms) {
        _checkRole(OPERATOR_ROLE, operator);
        Entry memory c = _communities[community];
        if (!c.registered) revert UnknownCommunity(community);
        if (c.stage == Stage.Closed) revert CommunityIsClosed(community);
        terms.intervalLength = c.intervalLength;
        terms.m = c.m;
        terms.shape = c.shape;
        terms.tariffSet = c.tariffSet;
        terms.slots = _shapes[c.shape].slots;
        terms.tariffCommitment = _tariffInForce(c.tariffSet, firstInterval, tariffIndex);
        if (circuitVersion >= Constants.FIRST_CERTIFICATE_VERSION) revert UnknownVerifier(circuitVersion, c.shape);
        Verifier memory record = _usable(circuitVersion, c.shape);
        (terms.verifier, terms.proofLength) = (record.verifier, record.proofLength);
        (terms.used, terms.activeFrom) = (record.used, record.activeFrom);
        terms.hastened = record.hastened && _inEmergency(c.shape);
    }

    /// @inheritdoc IRegistry
    function noteFirstUse(uint32 circuitVersion, uint32 shape) external {
        bool belongs = msg.sender == rollup || msg.sender == address(IParts(rollup).certificates());
        if (!belongs) revert NotRollup(msg.sender);
        Verifier storage record = _verifiers[circuitVersion][shape];
        record.used = true;
        // A certificate's verifier is of no shape, and mends none.
        if (circuitVersion < Constants.FIRST_CERTIFICATE_VERSION) _resume(shape);
        emit VerifierFirstUsed(circuitVersion, shape, record.verifier);
    }

    /// @inheritdoc IRegistry
    function certificateVerifier(uint32 circuitVersion) external view returns (Verifier memory) {
        return _usable(circuitVersion, 0);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IRegistry
    function communityOf(CommunityId community) external view returns (Community memory) {
        Entry memory c = _communities[community];
        return Community(c.registered, c.intervalLength, c.m, c.shape, c.tariffSet);
    }

    /// @inheritdoc IRegistry
    function endOf(CommunityId community) external view returns (End memory) {
        Entry memory c = _communities[community];
        return End(c.stage, c.closesAt, c.closedAfter);
    }

    /// @inheritdoc IRegistry
    function slotsOf(CommunityId community) external view returns (uint32 slots) {
        return _shapes[_registered(community).shape].slots;
    }

    /// @inheritdoc IRegistry
    function forcedSlotsOf(CommunityId community) external view returns (uint32 slots) {
        Entry storage c = _registered(community);
        if (c.stage > Stage.Closing) revert CommunityIsClosed(community);
        return _shapes[c.shape].slots;
    }

    /// @inheritdoc ICouncil
    function inEmergency(CommunityId community) external view returns (bool) {
        return _mayLeave(_registered(community).shape);
    }

    /// @inheritdoc ICouncil
    function heldUntil(CommunityId community) external view returns (uint256) {
        Entry storage c = _communities[community];
        if (c.stage == Stage.Closed) revert CommunityIsClosed(community);
        return haltOf(c.shape).heldUntil;
    }

    /// @inheritdoc IRegistry
    function isClosed(CommunityId community) external view returns (bool) {
        return _communities[community].stage == Stage.Closed;
    }
}
