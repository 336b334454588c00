// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IForcedQueue} from "../interfaces/IForcedQueue.sol";
import {Books, Ledger} from "../Ledger.sol";
import {CommunityId} from "../Types.sol";

/// @dev A community's requests, first in, first out.
struct ForcedList {
    uint32 head;
    uint32 tail;
    mapping(uint256 position => IForcedQueue.ForcedEntry) entries;
    mapping(uint32 slot => mapping(address requester => bool)) open;
    /// Unix seconds of a slot's last request that was paid: only the payout account can make one.
    mapping(uint32 slot => uint256) paidAt;
}

/// @title Record 10: a batch serves the head of its community's forced queue
library Forced {
    using Books for Ledger;

    /// @dev Kind of the record.
    uint256 internal constant KIND = 10;
    /// @dev Open requests of one community.
    uint256 internal constant MAX_OPEN = 8;

    /// @dev Bond of the next request: who fills the queue with requests that have no effect pays 255 times the first
    /// one's, and gets nothing of it back. Who fills it with accounts of their own has the bonds back, but needs other
    /// accounts for the next time.
    function nextBond(ForcedList storage list, uint256 base) internal view returns (uint256) {
        return base << (list.tail - list.head);
    }

    function isFull(ForcedList storage list) internal view returns (bool) {
        return list.tail - list.head == MAX_OPEN;
    }

    /// @dev Tells if the queue is full from now on.
    function push(
        ForcedList storage list,
        CommunityId community,
        uint32 slot,
        address requester,
        uint256 base,
        uint256 wait,
        uint24 epoch
    ) internal returns (bool full) {
        if (isFull(list)) revert IForcedQueue.QueueFull(community);
        if (list.open[slot][requester]) revert IForcedQueue.AlreadyQueued(community, slot, requester);
        uint256 paidAt = list.paidAt[slot];
        if (paidAt != 0 && block.timestamp < paidAt + wait) {
            revert IForcedQueue.SlotPaidLately(community, slot, paidAt + wait);
        }
        uint256 required = nextBond(list, base);
        if (msg.value < required) revert IForcedQueue.BondTooLow(required, msg.value);
        uint96 bond = SafeCast.toUint96(msg.value);
        uint32 position = list.tail++;
        list.open[slot][requester] = true;
        list.entries[position] = IForcedQueue.ForcedEntry({
            requester: requester, slot: slot, time: uint40(block.timestamp), epoch: epoch, payer: msg.sender, bond: bond
        });
        full = isFull(list);
        emit IForcedQueue.ForcedRequested(community, slot, requester, position, msg.sender, bond);
    }

    function pop(ForcedList storage list) internal returns (IForcedQueue.ForcedEntry memory entry) {
        uint32 position = list.head++;
        entry = list.entries[position];
        delete list.entries[position];
        delete list.open[entry.slot][entry.requester];
    }

    /// @dev The bond goes back with a payment, to who paid it. That of a request without effect stays here for ever: if anybody got it,
    /// that one could fill the queue for nothing.
    function serve(
        ForcedList storage list,
        Ledger storage ledger,
        mapping(address => uint256) storage ethOwed,
        uint256 index,
        CommunityId community,
        uint256 slot,
        bytes32 requester,
        uint256 units,
        uint256 tokenPerUnit
    ) internal returns (IForcedQueue.ForcedEntry memory entry) {
        if (list.head == list.tail) revert IForcedQueue.ForcedNotHead(index);
        entry = pop(list);
        if (entry.slot != slot || bytes32(uint256(uint160(entry.requester))) != requester) {
            revert IForcedQueue.ForcedNotHead(index);
        }
        if (units != 0) {
            list.paidAt[entry.slot] = block.timestamp;
            ledger.credit(index, entry.requester, units, tokenPerUnit);
            ethOwed[entry.payer] += entry.bond;
        }
        emit IForcedQueue.ForcedServed(community, entry.slot, entry.requester, uint48(units), entry.bond);
    }
}
