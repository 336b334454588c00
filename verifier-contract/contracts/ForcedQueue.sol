// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IForcedQueue} from "./interfaces/IForcedQueue.sol";
import {Forced, ForcedList} from "./operations/Forced.sol";
import {Registry} from "./Registry.sol";
import {Vault} from "./Vault.sol";
import {Root} from "./Types.sol";

/// @title Forced withdrawals and the freeze
abstract contract ForcedQueue is Registry, Vault {
    using Forced for ForcedList;

    mapping(uint32 community => ForcedList) internal _forced;
    /// @dev Of all communities: the state root is one, and a verifier of one community can change all of it.
    uint32 private _waiting;
    uint40 private _servedAt;

    /// @inheritdoc IForcedQueue
    function forceWithdraw(uint32 community, uint32 slot) external payable {
        _requireLive();
        Community memory c = _communities[community];
        if (!c.registered) revert UnknownCommunity(community);
        // Before its first batch a community cannot serve: one could freeze the rollup with a request to it.
        if (!c.started) revert NotStarted(community);
        if (slot >= _shapes[c.shape].slots) revert SlotOutOfRange(slot);
        _forced[community].push(community, slot, forcedBond, forcedDeadline);
        ++_waiting;
    }

    /// @inheritdoc IForcedQueue
    function freeze(uint32 community) external {
        _requireLive();
        ForcedList storage list = _forced[community];
        if (list.head == list.tail) revert DeadlineNotOver(community, 0);
        uint256 deadline = uint256(list.entries[list.head].time) + forcedDeadline;
        if (block.timestamp <= deadline) revert DeadlineNotOver(community, deadline);
        Root root = stateRoot;
        _batchOf[root] |= FROZEN;
        emit Frozen(community, root);
    }

    /// @inheritdoc IForcedQueue
    function returnBonds(uint32 community) external {
        _requireFrozen();
        ForcedList storage list = _forced[community];
        while (list.head != list.tail) {
            ForcedEntry memory entry = list.pop();
            --_waiting;
            ethOwed[entry.requester] += entry.bond;
            emit BondReturned(community, entry.requester, entry.bond);
        }
    }

    function _noteServed() internal {
        --_waiting;
        _servedAt = uint40(block.timestamp);
    }

    /// @dev Whoever wants to leave before a new verifier is used keeps it out: a place in a queue becomes free when a
    /// request is served, and is free for long enough to be taken.
    function _requireQuiet() internal view {
        uint256 waiting = _waiting;
        uint256 from = _servedAt == 0 ? 0 : _servedAt + QUIET_TIME;
        if (waiting != 0 || block.timestamp < from) revert UpgradeWaits(waiting, from);
    }

    /// @inheritdoc IForcedQueue
    function forcedWaiting() external view returns (uint32, uint40) {
        return (_waiting, _servedAt);
    }

    /// @inheritdoc IForcedQueue
    function forcedQueueOf(uint32 community) external view returns (ForcedEntry[] memory entries) {
        ForcedList storage list = _forced[community];
        entries = new ForcedEntry[](list.tail - list.head);
        for (uint256 i = 0; i < entries.length; ++i) {
            entries[i] = list.entries[list.head + i];
        }
    }

    /// @inheritdoc IForcedQueue
    function forcedBondOf(uint32 community) external view returns (uint256) {
        return _forced[community].nextBond(forcedBond);
    }
}
