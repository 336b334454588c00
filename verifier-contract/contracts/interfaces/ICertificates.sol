// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IGridveilRollup} from "../IGridveilRollup.sol";
import {CommunityId, NoteCommitment, Nullifier, RetirementCommitment, Root} from "../Types.sol";

/// @title Certificates: transfers and retirements by their owners
/// @notice Rules: docs/spec/l1.md, "Certificates"; the statement that is proven: docs/spec/certificates.md.
interface ICertificates {
    // ------------------------------------------------------------------ types

    /// @notice The public inputs of a certificate proof, besides the domain.
    /// @dev All words but `kind` are elements of the scalar field, in one encoding each: `ISettle.NotCanonical`.
    /// @param circuitVersion version of the certificate circuit, from `IRegistry.CERTIFICATE_VERSION` on
    /// @param anchor any state root that was ever final, the genesis root included
    /// @param nullifier of the note that is spent: one note has one, and it is used once
    /// @param note1 commitment of the first new note, not zero; an unused note has the amount 0
    /// @param note2 commitment of the second new note, not zero
    /// @param retirement commitment of what is retired; 0 if nothing is
    /// @param disclosed amount and origin of a public retirement; 0 for the other kinds
    /// @param beneficiary of a public retirement, 0 if it names nobody; 0 for the other kinds
    /// @param kind 0 nothing retired; 1 public, with the purpose (1 to 3) in the next byte; 2 sealed, with purpose 1
    struct Certificate {
        uint32 circuitVersion;
        Root anchor;
        Nullifier nullifier;
        NoteCommitment note1;
        NoteCommitment note2;
        RetirementCommitment retirement;
        bytes32 disclosed;
        bytes32 beneficiary;
        uint256 kind;
    }

    /// @notice A spent note.
    /// @param payer who brought the certificate, and has the fee back if no batch takes its notes in
    /// @param time unix seconds at which it was spent; 0 if it was not
    /// @param circuitVersion of the proof
    /// @param batchesAhead batches that the pairs ahead of its new notes filled
    /// @param retires true if something was retired; what, is in `CertificateSpent`
    struct Spending {
        address payer;
        uint40 time;
        uint32 circuitVersion;
        uint16 batchesAhead;
        bool retires;
    }

    /// @notice The two notes of a certificate that wait for a batch.
    /// @param number of the pair among all that ever waited
    /// @param half true if the first note is in the state already
    /// @param nullifier of the note they were made of
    /// @param note1 the first
    /// @param note2 the second
    /// @param circuitVersion of the proof
    /// @param due unix seconds after which anyone freezes the rollup on account of them
    struct WaitingPair {
        uint64 number;
        bool half;
        Nullifier nullifier;
        NoteCommitment note1;
        NoteCommitment note2;
        uint32 circuitVersion;
        uint256 due;
    }

    // ----------------------------------------------------------------- events

    /// @notice A note was spent. The parameters are those of `Certificate`: with the domain they are all public inputs
    /// of the proof.
    /// @param nullifier of the spent note
    /// @param retirement commitment of what was retired, 0 if nothing was
    /// @param circuitVersion version of the certificate circuit
    /// @param anchor state root that the spent note was in
    /// @param note1 first new note; it waits in the queue, unless the rollup is frozen
    /// @param note2 second new note, behind the first
    /// @param disclosed amount and origin of a public retirement, else 0
    /// @param beneficiary of a public retirement, else 0
    /// @param kind as in `Certificate`
    event CertificateSpent(
        Nullifier indexed nullifier,
        RetirementCommitment indexed retirement,
        uint32 indexed circuitVersion,
        Root anchor,
        NoteCommitment note1,
        NoteCommitment note2,
        bytes32 disclosed,
        bytes32 beneficiary,
        uint256 kind
    );
    /// @notice A pair of notes left the head of the queue, and no batch takes it in.
    /// @param nullifier of the note they were made of, as in its `CertificateSpent`
    /// @param circuitVersion of the proof
    /// @param undone true if the spending is undone, and its retirement with it: the version was retired before a batch
    /// took a note of the pair in, and the spent note may be spent again under another. False if the rollup is frozen
    /// and the spending stands
    event NotesDropped(Nullifier indexed nullifier, uint32 indexed circuitVersion, bool undone);
    /// @notice An account was paid the fees that were owed to it.
    /// @param account that was paid
    /// @param amount wei
    event FeeWithdrawn(address indexed account, uint256 amount);
    /// @notice A batch's record took the head of the queue of notes into the state.
    /// @param note commitment of the note
    /// @param community whose certificates tree has it now
    event NoteAppended(NoteCommitment indexed note, CommunityId indexed community);

    // ----------------------------------------------------------------- errors

    /// @notice The version is of the settlement circuit. Prove with the certificate circuit.
    /// @param circuitVersion as it was given, below `IRegistry.CERTIFICATE_VERSION`
    error NotCertificateVersion(uint32 circuitVersion);
    /// @notice The anchor was never a state root. Prove against one for which `ISettle.isFinalised` is true.
    /// @param anchor as it was given
    error NotFinalised(Root anchor);
    /// @notice The note was spent before, by this or by another transaction. It cannot be spent again.
    /// @param nullifier of the note
    error NullifierUsed(Nullifier nullifier);
    /// @notice The fee does not suffice. Send what `fee` says, or more: what is over comes back at once.
    /// @param required wei
    /// @param paid wei
    error FeeTooLow(uint256 required, uint256 paid);
    /// @notice One of the two new notes is zero. An unused note is one with the amount 0, not the word 0.
    error ZeroNote();
    /// @notice The kind is none of those of `Certificate`, or a field that it does not have is not zero.
    /// @param kind as it was given
    error BadKind(uint256 kind);
    /// @notice The record's note is not the head of the queue. Take the notes in as `pendingNotes` lists them.
    /// @param index of the record in the batch
    /// @param note the record's
    error NotHeadNote(uint256 index, NoteCommitment note);
    /// @notice The note's circuit version is retired, which may be because it was unsound. Drop it: `dropNotes`.
    /// @param index of the record in the batch
    /// @param circuitVersion of the note's proof
    error NoteRetired(uint256 index, uint32 circuitVersion);
    /// @notice The head of the queue may still be taken in, or the queue is empty.
    error NothingToDrop();
    /// @notice The pair may still be taken in in time, does not wait, or is of a retired version: then drop it.
    /// @param number of the pair
    /// @param due unix seconds after which the freeze is possible; 0 if it is not
    error NotOverdue(uint64 number, uint256 due);

    // ---------------------------------------------------------------- actions

    /// @notice Spends a note for two new ones and, if it says so, retires. Anyone may bring it; when frozen only
    /// retirements. The value is the fee, at least `fee` wei; what is over comes back at once.
    /// @param certificate the public inputs
    /// @param proof of the exact length of the version's verifier
    function certify(Certificate calldata certificate, bytes calldata proof) external payable;

    /// @notice Takes pairs out of the head of the queue that no batch may take in: those of a retired version, whose
    /// notes may be spent again, and when frozen all, of which the spending stands. The fees go back to who paid them.
    /// Anyone may call.
    /// @param limit the most pairs that are dropped
    /// @return dropped how many were, at least one
    function dropNotes(uint256 limit) external returns (uint256 dropped);

    /// @notice Pays an account the fees that are owed to it: of dropped notes, or as the treasury of those that were
    /// taken in. Anyone may call.
    /// @param account that is paid
    function withdrawFee(address account) external;

    /// @notice Record 20: takes the head of the queue into the state. The rollup alone may call.
    /// @param index of the record in the batch
    /// @param community whose certificates tree has the note from now on
    /// @param note the record's; the head of the queue, not zero
    function append(uint256 index, CommunityId community, NoteCommitment note) external;

    // ------------------------------------------------------------------ views

    /// @notice The rollup that takes the notes in.
    /// @return rollup the creator of this contract
    function rollup() external view returns (IGridveilRollup rollup);
    /// @notice Seconds within which a pair of notes must be taken in; for every eight pairs ahead of it as many more.
    /// @return deadline the forced queue's
    function noteDeadline() external view returns (uint64 deadline);
    /// @notice Fee of the next certificate: it doubles with every eight pairs that wait, up to 1,024 times the first.
    /// @return amount wei; 0 when frozen
    function fee() external view returns (uint256 amount);
    /// @notice Fees owed to an account.
    /// @param account that is owed
    /// @return amount wei
    function feeOwed(address account) external view returns (uint256 amount);
    /// @notice True if the note of this nullifier was spent.
    /// @param nullifier of a note
    /// @return used true from the transaction on that spent it, unless it was dropped
    function nullifierUsed(Nullifier nullifier) external view returns (bool used);
    /// @notice How a note was spent.
    /// @param nullifier of the note
    /// @return spending with time 0 if it was not, or was dropped
    function spendingOf(Nullifier nullifier) external view returns (Spending memory spending);
    /// @notice How many notes wait for a batch.
    /// @return count of notes
    function pendingNoteCount() external view returns (uint256 count);
    /// @notice The first notes that a batch may take in, head first.
    /// @param limit the most that are wanted
    /// @return notes `limit` commitments, or as many as wait before the first of a retired version
    function pendingNotes(uint256 limit) external view returns (NoteCommitment[] memory notes);
    /// @notice The first pairs that wait, head first, of retired versions too.
    /// @param limit the most that are wanted
    /// @return pairs `limit` pairs, or as many as wait
    function waitingPairs(uint256 limit) external view returns (WaitingPair[] memory pairs);
    /// @notice Reverts if the rollup may not be frozen on account of a pair: `NotOverdue`.
    /// @param number of the pair
    function requireOverdue(uint64 number) external view;
}
