// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Constants} from "./Constants.sol";
import {Field} from "./Field.sol";
import {IGridveilRollup} from "./IGridveilRollup.sol";
import {IParts} from "./interfaces/IParts.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {Roles} from "./Roles.sol";
import {Tariffs} from "./Tariffs.sol";
import {GenesisTerms} from "./Types.sol";
import {Verifiers} from "./Verifiers.sol";

/// @title What authorities publish: roles, shapes and verifiers, tariffs, communities
/// @notice Created by the rollup's constructor. It moves no money and no root: the rollup asks it under which terms a
/// batch is settled.
contract GridveilRegistry is Verifiers, Tariffs {
    /// @inheritdoc IRegistry
    address public immutable rollup;
    /// @dev As in the rollup.
    uint64 private immutable _forcedDeadline;

    mapping(uint32 community => Community) private _communities;
    /// @inheritdoc IRegistry
    mapping(uint32 community => GenesisTerms) public genesisTermsOf;

    /// @dev The caller becomes the rollup.
    constructor(IGridveilRollup.Config memory config, VerifierInit[] memory verifiers)
        Roles(config)
        Verifiers(config, verifiers)
        Tariffs(config)
    {
        rollup = msg.sender;
        _forcedDeadline = config.forcedDeadline;
    }

    /// @inheritdoc IRegistry
    function registerCommunity(
        uint32 community,
        uint32 shape,
        uint16 intervalLength,
        uint16 m,
        uint32 tariffSet,
        GenesisTerms genesisTerms
    ) external onlyRole(MDM_ROLE) {
        if (community >= Constants.MAX_COMMUNITIES) revert CommunityOutOfRange(community);
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
        _communities[community] =
            Community({registered: true, intervalLength: intervalLength, m: m, shape: shape, tariffSet: tariffSet});
        genesisTermsOf[community] = genesisTerms;
        emit CommunityRegistered(community, shape, intervalLength, m, tariffSet, genesisTerms);
    }

    // ----------------------------------------------------------- for a batch

    /// @inheritdoc IRegistry
    function batchTerms(
        address operator,
        uint32 circuitVersion,
        uint32 community,
        uint32 firstInterval,
        uint32 tariffIndex
    ) external view returns (BatchTerms memory terms) {
        _checkRole(OPERATOR_ROLE, operator);
        Community memory c = _communities[community];
        if (!c.registered) revert UnknownCommunity(community);
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
    }

    /// @inheritdoc IRegistry
    function noteFirstUse(uint32 circuitVersion, uint32 shape) external {
        bool belongs = msg.sender == rollup || msg.sender == address(IParts(rollup).certificates());
        if (!belongs) revert NotRollup(msg.sender);
        Verifier storage record = _verifiers[circuitVersion][shape];
        record.used = true;
        emit VerifierFirstUsed(circuitVersion, shape, record.verifier);
    }

    /// @inheritdoc IRegistry
    function certificateVerifier(uint32 circuitVersion) external view returns (Verifier memory) {
        return _usable(circuitVersion, 0);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IRegistry
    function communityOf(uint32 community) external view returns (Community memory) {
        return _communities[community];
    }

    /// @inheritdoc IRegistry
    function slotsOf(uint32 community) external view returns (uint32 slots) {
        Community storage c = _communities[community];
        if (!c.registered) revert UnknownCommunity(community);
        return _shapes[c.shape].slots;
    }
}
