// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Constants} from "./Constants.sol";
import {Field} from "./Field.sol";
import {IGridveilRollup} from "./IGridveilRollup.sol";
import {ICertificates} from "./interfaces/ICertificates.sol";
import {IForcedQueue} from "./interfaces/IForcedQueue.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IVault} from "./interfaces/IVault.sol";
import {Note, NotePair, NoteQueue} from "./operations/Note.sol";
import {Proofs} from "./Proofs.sol";
import {CommunityId, NoteCommitment, Nullifier, RetirementCommitment, Root} from "./Types.sol";

/// @title Certificates: transfers and retirements by their owners
/// @notice Created with the rollup. It holds no money but the fees of the notes in its queue. Batches take
/// the notes in.
contract GridveilCertificates is ICertificates {
    using Note for NoteQueue;

    /// @dev Public inputs of a certificate proof.
    uint256 private constant INSTANCES = 9;
    /// @dev The fee doubles with every batch's worth of pairs ahead, up to 1,024 times the first.
    uint256 private constant MAX_DOUBLINGS = 10;
    /// @dev First fee in parts of the forced queue's first bond: about what a batch pays to take a pair in.
    uint256 private constant FEES_PER_BOND = 32;

    /// @inheritdoc ICertificates
    IGridveilRollup public immutable rollup;
    IRegistry private immutable _registry;
    /// @dev Gets the fees of what was taken in, as it gets what leaves the fee accounts.
    address private immutable _treasury;
    /// @inheritdoc ICertificates
    uint64 public immutable noteDeadline;
    uint256 private immutable _firstFee;

    NoteQueue private _notes;
    mapping(Nullifier nullifier => Spending) private _spendings;
    /// @inheritdoc ICertificates
    mapping(address account => uint256 amount) public feeOwed;

    constructor(IGridveilRollup rollup_, IRegistry registry, address treasury, uint64 deadline, uint128 forcedBond) {
        rollup = rollup_;
        _registry = registry;
        _treasury = treasury;
        noteDeadline = deadline;
        _firstFee = forcedBond / FEES_PER_BOND;
    }

    /// @inheritdoc ICertificates
    function certify(Certificate calldata c, bytes calldata proof) external payable {
        if (c.circuitVersion < Constants.FIRST_CERTIFICATE_VERSION) revert NotCertificateVersion(c.circuitVersion);
        _checkKind(c);
        (bool finalised, bool frozen) = rollup.anchorState(c.anchor);
        if (!finalised) revert NotFinalised(c.anchor);
        if (nullifierUsed(c.nullifier)) revert NullifierUsed(c.nullifier);
        if (NoteCommitment.unwrap(c.note1) == 0 || NoteCommitment.unwrap(c.note2) == 0) revert ZeroNote();
        // No batch will take the notes in: a transfer would be lost. A retirement stands; what is left of its note is
        // lost.
        if (frozen && c.kind == 0) revert IForcedQueue.IsFrozen();
        _prove(c, proof);

        uint256 due;
        uint16 ahead;
        if (!frozen) {
            ahead = _notes.batchesAhead();
            due = _fee(ahead);
            if (msg.value < due) revert FeeTooLow(due, msg.value);
            _notes.push(c.note1, c.note2, c.nullifier);
        }
        _spendings[c.nullifier] = Spending({
            payer: msg.sender,
            time: uint40(block.timestamp),
            circuitVersion: c.circuitVersion,
            batchesAhead: ahead,
            retires: c.kind != 0
        });
        emit CertificateSpent(
            c.nullifier, c.retirement, c.circuitVersion, c.anchor, c.note1, c.note2, c.disclosed, c.beneficiary, c.kind
        );
        // The fee may have fallen, and who offered more for the case that it rises has it back.
        if (msg.value > due) Address.sendValue(payable(msg.sender), msg.value - due);
    }

    function _prove(Certificate calldata c, bytes calldata proof) private {
        uint256[INSTANCES] memory instances;
        instances[0] = Proofs.domain(address(rollup), c.circuitVersion);
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
    }

    /// @inheritdoc ICertificates
    function append(uint256 index, CommunityId community, NoteCommitment note) external {
        if (msg.sender != address(rollup)) revert IRegistry.NotRollup(msg.sender);
        Spending storage spending = _spendings[_notes.pairs[_notes.head].nullifier];
        bool second = _notes.append(index, community, note);
        if (second) {
            feeOwed[_treasury] += _fee(spending.batchesAhead);
        } else if (_registry.isRetired(spending.circuitVersion)) {
            revert NoteRetired(index, spending.circuitVersion);
        }
    }

    /// @inheritdoc ICertificates
    function dropNotes(uint256 limit) external returns (uint256 dropped) {
        bool frozen = rollup.isFrozen();
        for (uint256 waiting = _notes.length(); dropped < limit && dropped < waiting; ++dropped) {
            // What is half in the state is never spendable again.
            bool half = _notes.half;
            Spending memory spending = _spendings[_notes.pairs[_notes.head].nullifier];
            bool undone = !half && _registry.isRetired(spending.circuitVersion);
            if (!undone && !frozen) break;
            Nullifier nullifier = _notes.drop();
            feeOwed[spending.payer] += _fee(spending.batchesAhead);
            if (undone) delete _spendings[nullifier];
            emit NotesDropped(nullifier, spending.circuitVersion, undone);
        }
        if (dropped == 0) revert NothingToDrop();
    }

    /// @inheritdoc ICertificates
    function withdrawFee(address account) external {
        uint256 amount = feeOwed[account];
        if (amount == 0) revert IVault.NothingToWithdraw(account);
        feeOwed[account] = 0;
        emit FeeWithdrawn(account, amount);
        Address.sendValue(payable(account), amount);
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

    function _fee(uint256 ahead) private view returns (uint256) {
        return _firstFee << (ahead < MAX_DOUBLINGS ? ahead : MAX_DOUBLINGS);
    }

    /// @dev A deadline for the batch that takes the pair in, and one for each that the pairs ahead fill: of the two
    /// periods that fit into a deadline (FORCED.6) one batch is enough.
    function _dueOf(Spending memory spending) private view returns (uint256) {
        return spending.time + uint256(noteDeadline) * (1 + uint256(spending.batchesAhead));
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc ICertificates
    function requireOverdue(uint64 number) external view {
        uint256 due;
        if (number >= _notes.head && number < _notes.tail) {
            Spending memory spending = _spendings[_notes.pairs[number].nullifier];
            bool half = number == _notes.head && _notes.half;
            if (half || !_registry.isRetired(spending.circuitVersion)) due = _dueOf(spending);
        }
        if (due == 0 || block.timestamp <= due) revert NotOverdue(number, due);
    }

    /// @inheritdoc ICertificates
    function nullifierUsed(Nullifier nullifier) public view returns (bool) {
        return _spendings[nullifier].time != 0;
    }

    /// @inheritdoc ICertificates
    function spendingOf(Nullifier nullifier) external view returns (Spending memory) {
        return _spendings[nullifier];
    }

    /// @inheritdoc ICertificates
    function fee() external view returns (uint256) {
        return rollup.isFrozen() ? 0 : _fee(_notes.batchesAhead());
    }

    /// @inheritdoc ICertificates
    function pendingNoteCount() external view returns (uint256) {
        return _notes.length() * 2 - (_notes.half ? 1 : 0);
    }

    /// @inheritdoc ICertificates
    function pendingNotes(uint256 limit) external view returns (NoteCommitment[] memory notes) {
        uint256 count = _notes.length() * 2;
        uint256 skipped = _notes.half ? 1 : 0;
        count = count < limit + skipped ? count : limit + skipped;
        notes = new NoteCommitment[](count);
        uint256 found;
        for (uint256 i = skipped; i < count; ++i) {
            NotePair storage pair = _notes.pairs[_notes.head + i / 2];
            if (i & 1 == 0 && _registry.isRetired(_spendings[pair.nullifier].circuitVersion)) break;
            notes[found++] = i & 1 == 0 ? pair.note1 : pair.note2;
        }
        assembly ("memory-safe") {
            mstore(notes, found)
        }
    }

    /// @inheritdoc ICertificates
    function waitingPairs(uint256 limit) external view returns (WaitingPair[] memory pairs) {
        uint256 count = _notes.length();
        pairs = new WaitingPair[](count < limit ? count : limit);
        for (uint256 i = 0; i < pairs.length; ++i) {
            uint64 number = _notes.head + uint64(i);
            NotePair memory pair = _notes.pairs[number];
            Spending memory spending = _spendings[pair.nullifier];
            pairs[i] = WaitingPair({
                number: number,
                half: i == 0 && _notes.half,
                nullifier: pair.nullifier,
                note1: pair.note1,
                note2: pair.note2,
                circuitVersion: spending.circuitVersion,
                due: _dueOf(spending)
            });
        }
    }
}
