// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Forced withdrawals and the freeze
/// @notice An account that the operator ignores asks L1. If its request is not served within the deadline, anyone
/// freezes the rollup for ever and everybody exits. Rules: docs/spec/l1.md, "Forced withdrawals".
interface IForcedQueue {
    // ------------------------------------------------------------------ types

    /// @notice A request in a community's queue.
    /// @param time unix seconds of the request
    /// @param bond wei
    struct ForcedEntry {
        address requester;
        uint32 slot;
        uint40 time;
        uint128 bond;
    }

    // ----------------------------------------------------------------- events

    event ForcedRequested(
        uint32 indexed community, uint32 indexed slot, address indexed requester, uint32 position, uint128 bond
    );
    /// @notice A batch's record served the head; 0 units: proven to have no effect, and the bond is lost.
    event ForcedServed(
        uint32 indexed community, uint32 indexed slot, address indexed requester, uint48 units, uint128 bond
    );
    event BondReturned(uint32 indexed community, address indexed requester, uint128 bond);
    /// @notice For ever: `root` is the last state.
    event Frozen(uint32 indexed community, bytes32 root);

    // ----------------------------------------------------------------- errors

    error IsFrozen();
    error NotFrozen();
    error NotStarted(uint32 community);
    error SlotOutOfRange(uint32 slot);
    error BondTooLow(uint256 required, uint256 paid);
    error QueueFull(uint32 community);
    error AlreadyQueued(uint32 community, uint32 slot, address requester);
    /// @notice A request for the slot was paid lately: the next one may come at `from`.
    error SlotPaidLately(uint32 community, uint32 slot, uint256 from);
    /// @notice A verifier that was registered later has its first batch only after a day without any waiting request:
    /// `waiting` requests of all communities wait, or the last of them was served less than a day before `from`.
    error UpgradeWaits(uint256 waiting, uint256 from);
    /// @notice The queue's head is younger than the deadline (`deadline` is 0 if the queue is empty).
    error DeadlineNotOver(uint32 community, uint256 deadline);
    /// @notice The record's slot and requester are not those of the queue's head; `index` is the record's in the batch.
    error ForcedNotHead(uint256 index);

    // ---------------------------------------------------------------- actions

    /// @notice Asks for the whole balance of a slot; it is paid if the caller is the slot's payout account. The bond
    /// comes back with it. A slot that was paid waits `forcedDeadline` for its next request.
    function forceWithdraw(uint32 community, uint32 slot) external payable;

    /// @notice Freezes the rollup for ever if the head of the community's queue is older than the deadline. Anyone may
    /// call.
    function freeze(uint32 community) external;

    /// @notice When frozen: returns the bonds of a community's open requests. Anyone may call.
    function returnBonds(uint32 community) external;

    // ------------------------------------------------------------------ views

    function isFrozen() external view returns (bool);
    /// @notice Open requests of a community, head first.
    function forcedQueueOf(uint32 community) external view returns (ForcedEntry[] memory);
    /// @notice Requests that wait in all communities, and unix seconds of the last one that was served; 0 if there was
    /// none. A later verifier's first batch depends on both.
    function forcedWaiting() external view returns (uint32 waiting, uint40 servedAt);
    /// @notice Bond of the next request, wei: doubles with every open one.
    function forcedBondOf(uint32 community) external view returns (uint256);
}
