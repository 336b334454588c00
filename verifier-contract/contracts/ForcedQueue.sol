// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Constants} from "./Constants.sol";
import {IForcedQueue} from "./interfaces/IForcedQueue.sol";
import {Forced, ForcedList} from "./operations/Forced.sol";
import {SignedRequests} from "./SignedRequests.sol";
import {Vault} from "./Vault.sol";
import {CommunityId, Root} from "./Types.sol";

/// @title Forced withdrawals and the freeze
abstract contract ForcedQueue is Vault {
    using Forced for ForcedList;

    /// @notice Seconds for which every queue must have had a place when an upgrade is announced, or a community's
    /// requests end: who is told of a place must have the time to take it.
    uint256 public constant QUIET_TIME = 1 days;

    mapping(CommunityId community => ForcedList) internal _forced;
    /// @dev Of all communities: the state root is one, and a verifier of one community can change all of it.
    Waiting private _state;
    /// @inheritdoc IForcedQueue
    mapping(address requester => uint256 nonce) public forcedNonceOf;

    /// @inheritdoc IForcedQueue
    function forceWithdraw(CommunityId community, uint32 slot) external payable {
        _ask(community, slot, msg.sender);
    }

    /// @inheritdoc IForcedQueue
    function forceWithdrawFor(
        CommunityId community,
        uint32 slot,
        address requester,
        uint256 deadline,
        bytes calldata signature
    ) external payable {
        SignedRequests.check(community, slot, requester, forcedNonceOf[requester]++, deadline, signature);
        _ask(community, slot, requester);
    }

    function _ask(CommunityId community, uint32 slot, address requester) private {
        _requireLive();
        uint256 slots = registry.forcedSlotsOf(community);
        // Before its first batch a community cannot serve: one could freeze the rollup with a request to it.
        if (settledThrough[community] == 0) revert NotStarted(community);
        if (slot >= slots) revert SlotOutOfRange(slot);
        bool full = _forced[community].push(community, slot, requester, forcedBond, forcedDeadline, _state.epoch);
        ++_state.waiting;
        if (full) ++_state.fullQueues;
    }

    /// @inheritdoc IForcedQueue
    function freeze(CommunityId community) external {
        ForcedList storage list = _forced[community];
        uint256 held = registry.heldUntil(community);
        if (list.head == list.tail) revert DeadlineNotOver(community, 0);
        uint256 deadline = uint256(list.entries[list.head].time) + forcedDeadline;
        if (deadline < held) deadline = held;
        if (block.timestamp <= deadline) revert DeadlineNotOver(community, deadline);
        emit Frozen(community, _freeze());
    }

    /// @inheritdoc IForcedQueue
    function freezeForNotes(uint64 number) external {
        certificates.requireOverdue(number);
        emit FrozenForNotes(number, _freeze());
    }

    /// @dev Once.
    function _freeze() private returns (Root root) {
        _requireLive();
        root = stateRoot;
        _batchOf[root] |= FROZEN | block.timestamp << FROZEN_AT;
    }

    /// @inheritdoc IForcedQueue
    function returnBonds(CommunityId community) external {
        if (!isFrozen() && !registry.isClosed(community)) revert NotFrozen();
        ForcedList storage list = _forced[community];
        while (list.head != list.tail) {
            bool full = list.isFull();
            ForcedEntry memory entry = list.pop();
            _left(entry.epoch, full);
            ethOwed[entry.payer] += entry.bond;
            emit BondReturned(community, entry.payer, entry.bond);
        }
    }

    /// @dev Record 10.
    function _serve(uint256 index, CommunityId community, uint256 slot, bytes32 requester, uint256 units) internal {
        ForcedList storage list = _forced[community];
        bool full = list.isFull();
        ForcedEntry memory entry = list.serve(_ledger, ethOwed, index, community, slot, requester, units, tokenPerUnit);
        _left(entry.epoch, full);
    }

    /// @dev A request left its queue, which was full or not.
    function _left(uint24 epoch, bool full) private {
        Waiting memory state = _state;
        --state.waiting;
        if (epoch < state.epoch) --state.before;
        if (full) {
            --state.fullQueues;
            state.fullAt = uint40(block.timestamp);
        }
        _state = state;
    }

    // --------------------------------------------------------------- upgrades

    /// @inheritdoc IForcedQueue
    function announceUpgrade(uint32 circuitVersion) external {
        registry.checkRole(Constants.UPGRADER, msg.sender);
        _requireLive();
        requirePlaces();
        Waiting memory state = _state;
        state.before = state.waiting;
        ++state.epoch;
        state.circuitVersion = circuitVersion;
        state.announcedAt = uint40(block.timestamp);
        _state = state;
        emit UpgradeAnnounced(circuitVersion, state.waiting);
    }

    /// @inheritdoc IForcedQueue
    function requirePlaces() public view {
        Waiting memory state = _state;
        uint256 from = state.fullQueues != 0 || state.fullAt == 0 ? 0 : state.fullAt + QUIET_TIME;
        if (state.fullQueues != 0 || block.timestamp < from) revert QueueWasFull(from);
    }

    /// @inheritdoc IForcedQueue
    function requireFirstUse(uint32 circuitVersion, uint40 activeFrom) public view {
        Waiting memory state = _state;
        if (state.circuitVersion != circuitVersion || state.announcedAt < activeFrom) {
            revert UpgradeNotAnnounced(circuitVersion, activeFrom);
        }
        if (state.before != 0) revert UpgradeWaits(state.before);
    }

    /// @inheritdoc IForcedQueue
    function forcedWaiting() external view returns (Waiting memory) {
        return _state;
    }

    /// @inheritdoc IForcedQueue
    function forcedQueueOf(CommunityId community) external view returns (ForcedEntry[] memory entries) {
        ForcedList storage list = _forced[community];
        entries = new ForcedEntry[](list.tail - list.head);
        for (uint256 i = 0; i < entries.length; ++i) {
            entries[i] = list.entries[list.head + i];
        }
    }

    /// @inheritdoc IForcedQueue
    function forcedBondOf(CommunityId community) external view returns (uint256) {
        return _forced[community].nextBond(forcedBond);
    }
}
