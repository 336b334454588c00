// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICertificates} from "../interfaces/ICertificates.sol";
import {CommunityId, NoteCommitment, Nullifier} from "../Types.sol";

/// @dev The two notes of one certificate proof, and the nullifier of the note they were made of.
struct NotePair {
    NoteCommitment note1;
    NoteCommitment note2;
    Nullifier nullifier;
}

/// @dev Pairs that wait for a batch, of any community, first in, first out. Not bounded: nothing walks through it, and a
/// bound would let one who fills it stop the others' retirements.
struct NoteQueue {
    /// Number of the first pair that waits.
    uint64 head;
    /// Number of the next pair.
    uint64 tail;
    /// The first note of the head is in the state: the second follows, whatever happens.
    bool half;
    mapping(uint256 number => NotePair) pairs;
}

/// @title Record 20: a batch appends the next note of the queue to its certificates tree
library Note {
    /// @dev Kind of the record.
    uint256 internal constant KIND = 20;
    /// @dev Pairs that one batch takes: 16 notes.
    uint256 internal constant PAIRS_PER_BATCH = 8;

    function length(NoteQueue storage queue) internal view returns (uint256) {
        return queue.tail - queue.head;
    }

    /// @dev Batches that the pairs before the next one fill, at most 65,535.
    function batchesAhead(NoteQueue storage queue) internal view returns (uint16) {
        uint256 ahead = length(queue) / PAIRS_PER_BATCH;
        return ahead > type(uint16).max ? type(uint16).max : uint16(ahead);
    }

    function push(NoteQueue storage queue, NoteCommitment note1, NoteCommitment note2, Nullifier nullifier) internal {
        queue.pairs[queue.tail++] = NotePair({note1: note1, note2: note2, nullifier: nullifier});
    }

    /// @dev Whole pairs alone are taken out like this.
    function drop(NoteQueue storage queue) internal returns (Nullifier nullifier) {
        uint64 head = queue.head++;
        nullifier = queue.pairs[head].nullifier;
        delete queue.pairs[head];
        queue.half = false;
    }

    /// @dev Tells if it was the second note of its pair. Notes are not zero, so an empty queue's head never fits.
    function append(NoteQueue storage queue, uint256 index, CommunityId community, NoteCommitment note)
        internal
        returns (bool second)
    {
        uint64 head = queue.head;
        NotePair storage pair = queue.pairs[head];
        second = queue.half;
        NoteCommitment expected = second ? pair.note2 : pair.note1;
        if (NoteCommitment.unwrap(note) == 0 || NoteCommitment.unwrap(expected) != NoteCommitment.unwrap(note)) {
            revert ICertificates.NotHeadNote(index, note);
        }
        if (second) {
            delete queue.pairs[head];
            queue.head = head + 1;
        }
        queue.half = !second;
        emit ICertificates.NoteAppended(note, community);
    }
}
