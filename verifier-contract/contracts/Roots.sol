// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IForcedQueue} from "./interfaces/IForcedQueue.sol";
import {ISettle} from "./interfaces/ISettle.sol";
import {Field} from "./Field.sol";
import {IGridveilRollup} from "./IGridveilRollup.sol";
import {CommunityId, Root} from "./Types.sol";

/// @title The state roots, and whether there will be another
abstract contract Roots is ISettle, IForcedQueue {
    /// @dev Set in the current root's number: there is no next one.
    uint256 internal constant FROZEN = 1 << 255;
    /// @dev Place, in the same word, of the freeze's unix seconds.
    uint256 internal constant FROZEN_AT = 64;

    /// @inheritdoc ISettle
    Root public immutable genesisRoot;
    /// @inheritdoc ISettle
    Root public stateRoot;
    /// @dev Batch number plus one, so that the genesis root is found too. The current root's entry is the count of
    /// batches, and says if the rollup is frozen: a settlement reads it anyway.
    mapping(Root root => uint256 batchPlusOne) internal _batchOf;
    /// @inheritdoc ISettle
    mapping(CommunityId community => uint40 time) public settledThrough;

    constructor(IGridveilRollup.Config memory config) {
        Field.requireCanonical(Root.unwrap(config.genesisRoot));
        genesisRoot = config.genesisRoot;
        stateRoot = config.genesisRoot;
        _batchOf[config.genesisRoot] = 1;
        emit Genesis(config.genesisRoot, config.circuitVersion, config.enforceFutureTariffs);
    }

    /// @inheritdoc ISettle
    function batchCount() external view returns (uint64) {
        return uint64(_batchOf[stateRoot]) - 1;
    }

    /// @inheritdoc ISettle
    function isFinalised(Root root) external view returns (bool) {
        return _batchOf[root] != 0;
    }

    /// @inheritdoc ISettle
    function finalisedAt(Root root) external view returns (uint64) {
        return uint64(_batchOf[root]);
    }

    /// @inheritdoc ISettle
    function anchorState(Root anchor) external view returns (bool finalised, bool frozen) {
        return (_batchOf[anchor] != 0, isFrozen());
    }

    /// @inheritdoc IForcedQueue
    function isFrozen() public view returns (bool) {
        return _batchOf[stateRoot] & FROZEN != 0;
    }

    /// @inheritdoc IForcedQueue
    function frozenAt() public view returns (uint40) {
        return uint40(_batchOf[stateRoot] >> FROZEN_AT);
    }

    function _requireLive() internal view {
        if (isFrozen()) revert IsFrozen();
    }

    function _requireFrozen() internal view {
        if (!isFrozen()) revert NotFrozen();
    }
}
