// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Constants} from "./Constants.sol";
import {Field} from "./Field.sol";
import {IGridveilRollup} from "./IGridveilRollup.sol";
import {ICertificates} from "./interfaces/ICertificates.sol";
import {IForcedQueue} from "./interfaces/IForcedQueue.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {Note, NoteQueue} from "./operations/Note.sol";
import {Proofs} from "./Proofs.sol";
import {NoteCommitment, Nullifier, RetirementCommitment, Root} from "./Types.sol";

/// @title Certificates: transfers and retirements by their owners
/// @notice Created by the rollup's constructor. It holds no money. Batches take the notes in.
contract GridveilCertificates is ICertificates {
    using Note for NoteQueue;

    /// @dev Public inputs of a certificate proof.
    uint256 private constant INSTANCES = 9;

    /// @inheritdoc ICertificates
    IGridveilRollup public immutable rollup;
    IRegistry private immutable _registry;

    NoteQueue private _notes;
    /// @inheritdoc ICertificates
    mapping(Nullifier nullifier => bool) public nullifierUsed;
    /// @inheritdoc ICertificates
    mapping(RetirementCommitment retirement => uint256 blockNumber) public retirementOf;

    /// @dev The caller becomes the rollup.
    constructor(IRegistry registry) {
        rollup = IGridveilRollup(msg.sender);
        _registry = registry;
    }

    /// @inheritdoc ICertificates
    function certify(Certificate calldata c, bytes calldata proof) external {
        if (c.circuitVersion < Constants.FIRST_CERTIFICATE_VERSION) revert NotCertificateVersion(c.circuitVersion);
        _checkKind(c);
        if (!rollup.isFinalised(c.anchor)) revert NotFinalised(c.anchor);
        if (nullifierUsed[c.nullifier]) revert NullifierUsed(c.nullifier);
        if (NoteCommitment.unwrap(c.note1) == 0 || NoteCommitment.unwrap(c.note2) == 0) revert ZeroNote();
        bool frozen = rollup.isFrozen();
        // No batch will take the notes in: a transfer would be lost. A retirement stands; what is left of its note is
        // lost.
        if (frozen && c.kind == 0) revert IForcedQueue.IsFrozen();

        uint256[INSTANCES] memory instances;
        instances[0] = rollup.domain(c.circuitVersion);
        instances[1] = uint256(Root.unwrap(c.anchor));
        instances[2] = uint256(Nullifier.unwrap(c.nullifier));
        instances[3] = uint256(NoteCommitment.unwrap(c.note1));
        instances[4] = uint256(NoteCommitment.unwrap(c.note2));
        instances[5] = uint256(RetirementCommitment.unwrap(c.retirement));
        instances[6] = uint256(c.disclosed);
        instances[7] = uint256(c.beneficiary);
        instances[8] = c.kind;
        for (uint256 i = 2; i < 8; ++i) {
            Field.requireCanonical(bytes32(instances[i]));
        }
        uint256 at;
        assembly ("memory-safe") {
            at := instances
        }
        IRegistry.Verifier memory record = _registry.certificateVerifier(c.circuitVersion);
        if (!record.used) {
            rollup.requireFirstUse(c.circuitVersion, record.activeFrom);
            _registry.noteFirstUse(c.circuitVersion, 0);
        }
        Proofs.requireAccepted(record.verifier, record.proofLength, at, INSTANCES, proof);

        nullifierUsed[c.nullifier] = true;
        if (!frozen) _notes.push(c.note1, c.note2);
        if (RetirementCommitment.unwrap(c.retirement) != 0) {
            if (retirementOf[c.retirement] != 0) revert RetirementUsed(c.retirement);
            retirementOf[c.retirement] = block.number;
        }
        emit CertificateSpent(c.nullifier, c.note1, c.note2, c.retirement, c.disclosed, c.beneficiary, c.kind);
    }

    /// @inheritdoc ICertificates
    function append(uint256 index, uint32 community, NoteCommitment note) external {
        if (msg.sender != address(rollup)) revert IRegistry.NotRollup(msg.sender);
        _notes.append(index, community, note);
    }

    /// @dev Nothing retired: no commitment, nothing public. Sealed: a commitment alone. Public: the commitment and what
    /// is in it.
    function _checkKind(Certificate calldata c) private pure {
        bool retires = RetirementCommitment.unwrap(c.retirement) != 0;
        bool public_ = c.disclosed != 0;
        bool named = public_ || c.beneficiary != 0;
        bool good;
        if (c.kind == 0) good = !retires && !named;
        else if (c.kind == (2 | 1 << 8)) good = retires && !named;
        else if (c.kind == (1 | 1 << 8) || c.kind == (1 | 2 << 8) || c.kind == (1 | 3 << 8)) good = retires && public_;
        if (!good) revert BadKind(c.kind);
    }

    /// @inheritdoc ICertificates
    function pendingNoteCount() public view returns (uint256) {
        return _notes.tail - _notes.head;
    }

    /// @inheritdoc ICertificates
    function pendingNotes(uint256 limit) external view returns (NoteCommitment[] memory notes) {
        uint256 count = pendingNoteCount();
        notes = new NoteCommitment[](count < limit ? count : limit);
        for (uint256 i = 0; i < notes.length; ++i) {
            notes[i] = _notes.notes[_notes.head + i];
        }
    }
}
