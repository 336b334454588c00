// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICertificates} from "../interfaces/ICertificates.sol";
import {NoteCommitment} from "../Types.sol";

/// @dev Notes of certificate proofs that wait for a batch, of any community. Not bounded: nothing walks through it, and
/// a bound would let one who fills it stop the others' retirements.
struct NoteQueue {
    uint64 head;
    uint64 tail;
    mapping(uint256 position => NoteCommitment) notes;
}

/// @title Record 20: a batch appends the next note of the queue to its certificates tree
library Note {
    /// @dev Kind of the record.
    uint256 internal constant KIND = 20;

    function push(NoteQueue storage queue, NoteCommitment note1, NoteCommitment note2) internal {
        uint64 tail = queue.tail;
        queue.notes[tail] = note1;
        queue.notes[tail + 1] = note2;
        queue.tail = tail + 2;
    }

    /// @dev A note that is not zero waits at every position from head to tail, so an empty queue's head never fits.
    function append(NoteQueue storage queue, uint256 index, uint32 community, NoteCommitment note) internal {
        uint64 head = queue.head;
        if (NoteCommitment.unwrap(note) == 0 || NoteCommitment.unwrap(queue.notes[head]) != NoteCommitment.unwrap(note))
        {
            revert ICertificates.NotHeadNote(index, note);
        }
        queue.notes[head] = NoteCommitment.wrap(0);
        queue.head = head + 1;
        emit ICertificates.NoteAppended(note, community);
    }
}
