// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Certificates: transfers and retirements by their owners
/// @notice Rules: docs/spec/l1.md, "Certificates"; the statement that is proven: docs/spec/certificates.md.
interface ICertificates {
    // ------------------------------------------------------------------ types

    /// @notice The public inputs of a certificate proof, besides the domain.
    /// @param circuitVersion of the certificate circuit, from `CERTIFICATE_VERSION` on
    /// @param kind 0 nothing retired; 1 public, with the purpose (1 to 3) in the next byte; 2 sealed, with purpose 1
    struct Certificate {
        uint32 circuitVersion;
        bytes32 anchor;
        bytes32 nullifier;
        bytes32 note1;
        bytes32 note2;
        bytes32 retirement;
        bytes32 disclosed;
        bytes32 beneficiary;
        uint256 kind;
    }

    // ----------------------------------------------------------------- events

    event CertificateSpent(
        bytes32 indexed nullifier,
        bytes32 note1,
        bytes32 note2,
        bytes32 indexed retirement,
        bytes32 disclosed,
        bytes32 beneficiary,
        uint256 kind
    );
    /// @notice A batch's record took the head of the queue of notes into the state.
    event NoteAppended(bytes32 indexed note, uint32 indexed community);

    // ----------------------------------------------------------------- errors

    error NotCertificateVersion(uint32 circuitVersion);
    error NotFinalised(bytes32 anchor);
    error NullifierUsed(bytes32 nullifier);
    error RetirementUsed(bytes32 retirement);
    error ZeroNote();
    /// @notice The kind is none of the three, or a field it does not have is not zero.
    error BadKind(uint256 kind);
    /// @notice The record's note is not the head of the queue; `index` is the record's in the batch.
    error NotHeadNote(uint256 index, bytes32 note);

    // ---------------------------------------------------------------- actions

    /// @notice Spends a note for two new ones and, if it says so, retires. Anyone may bring it; when frozen only
    /// retirements.
    function certify(Certificate calldata certificate, bytes calldata proof) external;

    // ------------------------------------------------------------------ views

    function nullifierUsed(bytes32 nullifier) external view returns (bool);
    /// @notice Block of a retirement; 0 if there is none.
    function retirementOf(bytes32 retirement) external view returns (uint256);
    /// @notice Notes waiting for a batch.
    function pendingNoteCount() external view returns (uint256);
    /// @notice The first `limit` notes that wait.
    function pendingNotes(uint256 limit) external view returns (bytes32[] memory);
}
