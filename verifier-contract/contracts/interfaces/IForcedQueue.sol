// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {CommunityId, Root} from "../Types.sol";

/// @title Forced withdrawals and the freeze
/// @notice An account that the operator ignores asks L1. If its request is not served within the deadline, anyone
/// freezes the rollup for ever and everybody exits. Rules: docs/spec/l1.md, "Forced withdrawals".
interface IForcedQueue {
    // ------------------------------------------------------------------ types

    /// @notice A request in a community's queue.
    /// @param requester who asked, and who is paid if it is the slot's payout account
    /// @param slot whose balance was asked for
    /// @param time unix seconds of the request
    /// @param epoch announcements of upgrades before the request
    /// @param payer who brought the bond, and gets it back
    /// @param bond wei that came with it
    struct ForcedEntry {
        address requester;
        uint32 slot;
        uint40 time;
        uint24 epoch;
        address payer;
        uint96 bond;
    }

    /// @notice What waits in all forced queues, and the upgrade that was announced last.
    /// @param waiting requests of all communities that wait
    /// @param before those of them that were there when the upgrade was announced
    /// @param epoch announcements so far
    /// @param circuitVersion that was announced; 0 if none was
    /// @param announcedAt unix seconds; 0 if none was
    /// @param fullQueues communities whose queue is full
    /// @param fullAt unix seconds at which a full queue was served last; 0 if none was
    struct Waiting {
        uint32 waiting;
        uint32 before;
        uint24 epoch;
        uint32 circuitVersion;
        uint40 announcedAt;
        uint32 fullQueues;
        uint40 fullAt;
    }

    // ----------------------------------------------------------------- events

    /// @notice A request was put at the end of a community's queue.
    /// @param community which
    /// @param slot whose balance is asked for
    /// @param requester who asked
    /// @param position of the request among all that the community ever had
    /// @param payer who brought the bond: the requester, or who sent its signed request
    /// @param bond wei that came with it
    event ForcedRequested(
        CommunityId indexed community,
        uint32 indexed slot,
        address indexed requester,
        uint32 position,
        address payer,
        uint128 bond
    );
    /// @notice A batch's record served the head of a community's queue.
    /// @param community which
    /// @param slot whose balance was asked for
    /// @param requester who asked, and may now withdraw the units; the bond is its payer's
    /// @param units that were paid; 0 if the request is proven to have no effect, and then the bond is lost
    /// @param bond wei that came with the request
    event ForcedServed(
        CommunityId indexed community, uint32 indexed slot, address indexed requester, uint48 units, uint128 bond
    );
    /// @notice The first use of a circuit version was announced: it comes when all who wait now are served.
    /// @param circuitVersion version of the circuit
    /// @param waiting requests of all communities that wait
    event UpgradeAnnounced(uint32 indexed circuitVersion, uint32 waiting);
    /// @notice The rollup is frozen and a bond is owed to its payer: `IVault.withdrawEth` pays it.
    /// @param community which
    /// @param payer who brought it
    /// @param bond wei
    event BondReturned(CommunityId indexed community, address indexed payer, uint128 bond);
    /// @notice The rollup is frozen, for ever.
    /// @param community whose request was not served in time
    /// @param root the last state, which everybody exits from
    event Frozen(CommunityId indexed community, Root root);
    /// @notice The rollup is frozen, for ever.
    /// @param number of the pair of notes that was not taken in in time
    /// @param root the last state, which everybody exits from
    event FrozenForNotes(uint64 indexed number, Root root);

    // ----------------------------------------------------------------- errors

    /// @notice The rollup is frozen: nothing comes in and no batch settles. Leave through `IExits`.
    error IsFrozen();
    /// @notice The rollup is not frozen, nor the community closed: exits are from a frozen rollup, a closed community, or
    /// one in an emergency (`ICouncil.inEmergency`) with a unit or more; bonds return in the first two.
    error NotFrozen();
    /// @notice The community has not settled yet, so it could not serve a request. Ask after its first batch.
    /// @param community which
    error NotStarted(CommunityId community);
    /// @notice The community's shape has no such slot.
    /// @param slot as it was given
    error SlotOutOfRange(uint32 slot);
    /// @notice The bond does not suffice. Send what `forcedBondOf` says, or more: it comes back whole.
    /// @param required wei
    /// @param paid wei
    error BondTooLow(uint256 required, uint256 paid);
    /// @notice Eight requests of the community wait. Ask again when one was served.
    /// @param community which
    error QueueFull(CommunityId community);
    /// @notice The requester has an open request for this slot. Wait until it is served, or freeze after the deadline.
    /// @param community which
    /// @param slot of the request
    /// @param requester who asks
    error AlreadyQueued(CommunityId community, uint32 slot, address requester);
    /// @notice The time in which a signed request may be sent is over. Have another one signed.
    /// @param deadline unix seconds
    error RequestExpired(uint256 deadline);
    /// @notice The signature is not the requester's for this request: another chain or rollup, other fields, or a nonce
    /// that was used. `forcedNonceOf` says which one comes next.
    /// @param requester as it was given
    /// @param nonce that it had to be signed for
    error NotSigned(address requester, uint256 nonce);
    /// @notice A request for the slot was paid lately. Ask again later.
    /// @param community which
    /// @param slot of the request
    /// @param from unix seconds from which the next request may come
    error SlotPaidLately(CommunityId community, uint32 slot, uint256 from);
    /// @notice A verifier that was registered later is used only after its first use was announced, when its delay was
    /// over. Announce it: `announceUpgrade`.
    /// @param circuitVersion of the verifier
    /// @param from unix seconds from which its first use may be announced
    error UpgradeNotAnnounced(uint32 circuitVersion, uint256 from);
    /// @notice Requests that were there at the announcement wait still. Serve them with the old version, then bring the
    /// batch.
    /// @param waiting requests of all communities that were there and wait
    error UpgradeWaits(uint256 waiting);
    /// @notice Somebody who wanted to leave may have found a queue full. Announce the upgrade, or end the community's
    /// requests, when every queue has had a place for a day.
    /// @param from unix seconds; 0 while a queue is full
    error QueueWasFull(uint256 from);
    /// @notice The head of the queue may still be served in time, or the queue is empty.
    /// @param community which
    /// @param deadline unix seconds after which the freeze is possible; 0 if the queue is empty
    error DeadlineNotOver(CommunityId community, uint256 deadline);
    /// @notice The record's slot and requester are not those of the queue's head. Serve as `forcedQueueOf` lists.
    /// @param index of the record in the batch
    error ForcedNotHead(uint256 index);

    // ---------------------------------------------------------------- actions

    /// @notice Asks for the whole balance of a slot; it is paid if the caller is the slot's payout account. The bond
    /// comes back with it. A slot that was paid waits `forcedDeadline` for its next request. Anyone may call; who is
    /// not the payout account loses the bond. Refused by a community that ends. The value is the bond, at least `forcedBondOf` wei.
    /// @param community a community that has settled
    /// @param slot of the caller, below the shape's slots
    function forceWithdraw(CommunityId community, uint32 slot) external payable;

    /// @notice The same for another account, which has signed for it and needs no ether. The caller pays the bond, and it
    /// is the caller's that comes back, or is lost. Each signature counts once.
    /// @param community a community that has settled
    /// @param slot of the requester, below the shape's slots
    /// @param requester the slot's payout account, an account with a key
    /// @param deadline unix seconds until which it may be sent
    /// @param signature EIP-712, 65 bytes: ForcedWithdrawal(uint32 community,uint32 slot,address requester,uint256
    /// nonce,uint256 deadline) under the domain Gridveil, 1, chain id, this contract
    function forceWithdrawFor(
        CommunityId community,
        uint32 slot,
        address requester,
        uint256 deadline,
        bytes calldata signature
    ) external payable;

    /// @notice Freezes the rollup for ever if the head of the community's queue is older than the deadline, and the
    /// community is not held (`ICouncil.heldUntil`). Anyone may call.
    /// @param community whose queue's head waited too long
    function freeze(CommunityId community) external;

    /// @notice Freezes the rollup for ever if a pair of notes waits for longer than it must: `ICertificates.NotOverdue`.
    /// Anyone may call.
    /// @param number of the pair, as `ICertificates.waitingPairs` has it
    function freezeForNotes(uint64 number) external;

    /// @notice Announces the first use of a circuit version's verifiers. Who wants to leave before it has asked by now:
    /// since the registration there was time, and for the last day there was a place in every queue. Replaces an
    /// earlier announcement. The upgrader alone may call.
    /// @param circuitVersion of the settlement or of the certificate circuit
    function announceUpgrade(uint32 circuitVersion) external;

    /// @notice When frozen, or the community is closed: returns the bonds of a community's open requests. Anyone may call.
    /// @param community which
    function returnBonds(CommunityId community) external;

    // ------------------------------------------------------------------ views

    /// @notice True from the freeze on, for ever.
    /// @return frozen true if there will be no other state root
    function isFrozen() external view returns (bool frozen);
    /// @notice When the rollup froze.
    /// @return time unix seconds; 0 if it lives
    function frozenAt() external view returns (uint40 time);
    /// @notice Open requests of a community.
    /// @param community which
    /// @return entries at most eight, head first
    function forcedQueueOf(CommunityId community) external view returns (ForcedEntry[] memory entries);
    /// @notice The nonce that an account's next signed request has.
    /// @param requester any
    /// @return nonce requests of it that others sent
    function forcedNonceOf(address requester) external view returns (uint256 nonce);
    /// @notice What a later verifier's first use depends on.
    /// @return state of all queues
    function forcedWaiting() external view returns (Waiting memory state);
    /// @notice Reverts if a verifier that was never used may not be used now: `UpgradeNotAnnounced`, `UpgradeWaits`.
    /// @param circuitVersion of the verifier
    /// @param activeFrom unix seconds at which its delay is over
    function requireFirstUse(uint32 circuitVersion, uint40 activeFrom) external view;
    /// @notice Reverts if a queue of any community is full or was so within the last day: `QueueWasFull`.
    function requirePlaces() external view;
    /// @notice Bond of the next request: it doubles with every open one.
    /// @param community which
    /// @return bond wei
    function forcedBondOf(CommunityId community) external view returns (uint256 bond);
}
