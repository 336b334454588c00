// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IGridveilRollup} from "../IGridveilRollup.sol";
import {NoteCommitment, Nullifier, RetirementCommitment, Root} from "../Types.sol";

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

    // ----------------------------------------------------------------- events

    /// @notice A note was spent. The parameters are those of `Certificate`.
    /// @param nullifier of the spent note
    /// @param note1 first new note; it waits in the queue, unless the rollup is frozen
    /// @param note2 second new note, behind the first
    /// @param retirement commitment of what was retired, 0 if nothing was
    /// @param disclosed amount and origin of a public retirement, else 0
    /// @param beneficiary of a public retirement, else 0
    /// @param kind as in `Certificate`
    event CertificateSpent(
        Nullifier indexed nullifier,
        NoteCommitment note1,
        NoteCommitment note2,
        RetirementCommitment indexed retirement,
        bytes32 disclosed,
        bytes32 beneficiary,
        uint256 kind
    );
    /// @notice A batch's record took the head of the queue of notes into the state.
    /// @param note commitment of the note
    /// @param community whose certificates tree has it now
    event NoteAppended(NoteCommitment indexed note, uint32 indexed community);

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
    /// @notice The same commitment was retired before. Prove with fresh salts.
    /// @param retirement the commitment
    error RetirementUsed(RetirementCommitment retirement);
    /// @notice One of the two new notes is zero. An unused note is one with the amount 0, not the word 0.
    error ZeroNote();
    /// @notice The kind is none of those of `Certificate`, or a field that it does not have is not zero.
    /// @param kind as it was given
    error BadKind(uint256 kind);
    /// @notice The record's note is not the head of the queue. Take the notes in as `pendingNotes` lists them.
    /// @param index of the record in the batch
    /// @param note the record's
    error NotHeadNote(uint256 index, NoteCommitment note);

    // ---------------------------------------------------------------- actions

    /// @notice Spends a note for two new ones and, if it says so, retires. Anyone may bring it; when frozen only
    /// retirements.
    /// @param certificate the public inputs
    /// @param proof of the exact length of the version's verifier
    function certify(Certificate calldata certificate, bytes calldata proof) external;

    /// @notice Record 20: takes the head of the queue into the state. The rollup alone may call.
    /// @param index of the record in the batch
    /// @param community whose certificates tree has the note from now on
    /// @param note the record's; the head of the queue, not zero
    function append(uint256 index, uint32 community, NoteCommitment note) external;

    // ------------------------------------------------------------------ views

    /// @notice The rollup that takes the notes in.
    /// @return rollup the creator of this contract
    function rollup() external view returns (IGridveilRollup rollup);
    /// @notice True if the note of this nullifier was spent.
    /// @param nullifier of a note
    /// @return used true from the transaction on that spent it
    function nullifierUsed(Nullifier nullifier) external view returns (bool used);
    /// @notice When something was retired.
    /// @param retirement its commitment
    /// @return blockNumber of the retirement; 0 if there is none
    function retirementOf(RetirementCommitment retirement) external view returns (uint256 blockNumber);
    /// @notice How many notes wait for a batch.
    /// @return count of notes
    function pendingNoteCount() external view returns (uint256 count);
    /// @notice The first notes that wait, head first.
    /// @param limit the most that are wanted
    /// @return notes `limit` commitments, or as many as wait
    function pendingNotes(uint256 limit) external view returns (NoteCommitment[] memory notes);
}
