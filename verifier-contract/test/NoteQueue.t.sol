// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Nullifier, RetirementCommitment, Root} from "../contracts/Types.sol";
import {ICertificates} from "../contracts/interfaces/ICertificates.sol";
import {IForcedQueue} from "../contracts/interfaces/IForcedQueue.sol";
import {IRegistry} from "../contracts/interfaces/IRegistry.sol";
import {IVault} from "../contracts/interfaces/IVault.sol";
import {CertificateTest} from "./CertificateTest.sol";
import {AcceptAll} from "./Verifiers.sol";

/// @dev The queue of notes: every pair is taken in in time, whoever fills it pays, and none outlives its version.
contract NoteQueueTest is CertificateTest {
    /// @dev Pairs that a batch takes.
    uint256 internal constant PAIRS = 8;

    function setUp() public {
        start(address(new AcceptAll()));
        bring();
    }

    function notOverdue(uint64 number, uint256 due) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ICertificates.NotOverdue.selector, number, due);
    }

    function freezeRefused(uint64 number, uint256 due) internal {
        vm.expectRevert(notOverdue(number, due));
        rollup.freezeForNotes(number);
    }

    /// @dev Pairs `from` to `to`, this one not included, each from a certificate with its number.
    function fill(uint256 from, uint256 to) internal {
        for (uint256 i = from; i < to; ++i) {
            certify(certificate(i, 0));
        }
    }

    /// @dev A batch that takes the pairs in.
    function take(uint256 from, uint256 to) internal {
        for (uint256 i = from; i < to; ++i) {
            putPair(certificate(i, 0));
        }
        bring();
    }

    // --------------------------------------------------------------- deadline

    /// @dev The operator cannot leave a buyer's certificates in the queue for ever.
    // L1C.8
    function test_aPairThatIsNotTakenInFreezes() public {
        freezeRefused(0, 0);
        certify(certificate(1, 0));
        certify(certificate(2, SEALED));
        uint256 due = block.timestamp + DEADLINE;
        ICertificates.WaitingPair[] memory pairs = certificates.waitingPairs(9);
        assertEq(pairs.length, 2);
        assertEq(certificates.waitingPairs(1).length, 1);
        assertEq(abi.encode(pairs[0]), abi.encode(expected(0, false, certificate(1, 0), due)));
        assertEq(abi.encode(pairs[1]), abi.encode(expected(1, false, certificate(2, SEALED), due)));
        vm.warp(due);
        freezeRefused(0, due);
        freezeRefused(2, 0);
        vm.warp(due + 1);
        Root root = rollup.stateRoot();
        vm.expectEmit(address(rollup));
        emit IForcedQueue.FrozenForNotes(0, root);
        vm.prank(makeAddr("anyone"));
        rollup.freezeForNotes(0);
        assertTrue(rollup.isFrozen());
        // Only a living rollup.
        vm.expectRevert(IForcedQueue.IsFrozen.selector);
        rollup.freezeForNotes(1);
        putPair(certificate(1, 0));
        bringRefused(abi.encodeWithSelector(IForcedQueue.IsFrozen.selector));
    }

    function expected(uint64 number, bool half, ICertificates.Certificate memory c, uint256 due)
        internal
        pure
        returns (ICertificates.WaitingPair memory)
    {
        return ICertificates.WaitingPair(number, half, c.nullifier, c.note1, c.note2, CERTIFICATE_VERSION, due);
    }

    /// @dev Taken in, however late, freezes nothing; half of a pair is not taken in.
    // L1C.8
    function test_aPairTakenInLateFreezesNothing() public {
        ICertificates.Certificate memory c = certificate(1, 0);
        certify(c);
        uint256 due = block.timestamp + DEADLINE;
        vm.warp(due + 1);
        put(20, 0, 0, c.note1);
        bring();
        assertEq(certificates.pendingNoteCount(), 1);
        assertEq(certificates.pendingNotes(9).length, 1);
        assertEq(certificates.pendingNotes(9)[0], c.note2);
        assertTrue(certificates.waitingPairs(1)[0].half);
        uint256 before = vm.snapshotState();
        rollup.freezeForNotes(0);
        vm.revertToState(before);
        put(20, 0, 0, c.note2);
        bring();
        freezeRefused(0, 0);
        assertEq(certificates.pendingNoteCount(), 0);
    }

    /// @dev A flood freezes nothing: each eight pairs ahead are a batch, and each batch has a deadline. A community of
    /// which one batch comes in a deadline keeps up with any queue.
    // L1C.8
    function test_aFloodIsTakenInInTime() public {
        uint256 count = 5 * PAIRS + 3;
        fill(0, count);
        uint256 begin = block.timestamp;
        ICertificates.WaitingPair[] memory pairs = certificates.waitingPairs(count);
        for (uint256 i = 0; i < count; ++i) {
            assertEq(pairs[i].due, begin + DEADLINE * (1 + i / PAIRS));
        }
        for (uint256 i = 0; i < count; i += PAIRS) {
            // As late as it may be.
            vm.warp(begin + DEADLINE * (1 + i / PAIRS));
            for (uint64 number = 0; number < count; ++number) {
                vm.expectPartialRevert(ICertificates.NotOverdue.selector);
                rollup.freezeForNotes(number);
            }
            take(i, i + PAIRS < count ? i + PAIRS : count);
        }
        assertEq(certificates.pendingNoteCount(), 0);
    }

    /// @dev Who came when the queue had become short is due before those who came when it was long. Each pair has its
    /// own deadline.
    function test_eachPairHasItsOwnDeadline() public {
        fill(0, 3 * PAIRS);
        take(0, PAIRS);
        take(PAIRS, 3 * PAIRS - 1);
        certify(certificate(99, 0));
        uint64 last = uint64(3 * PAIRS);
        uint256 due = block.timestamp + DEADLINE;
        vm.warp(due + 1);
        freezeRefused(last - 1, due + 2 * DEADLINE);
        rollup.freezeForNotes(last);
    }

    // -------------------------------------------------------------------- fee

    /// @dev Every eight pairs that wait double the fee, up to 1,024 times the first; what is over comes back at once.
    // L1C.9
    function test_theQueueIsDear() public {
        address payer = makeAddr("payer");
        vm.deal(payer, 1000 ether);
        uint256 paid;
        for (uint256 i = 0; i < 12 * PAIRS; ++i) {
            uint256 doublings = i / PAIRS < 10 ? i / PAIRS : 10;
            uint256 fee = certificates.fee();
            assertEq(fee, FEE << doublings);
            ICertificates.Certificate memory c = certificate(i, 0);
            bytes memory proof = new bytes(CERTIFICATE_PROOF_LENGTH);
            vm.startPrank(payer);
            vm.expectRevert(abi.encodeWithSelector(ICertificates.FeeTooLow.selector, fee, fee - 1));
            certificates.certify{value: fee - 1}(c, proof);
            certificates.certify{value: fee + i}(c, proof);
            vm.stopPrank();
            paid += fee;
        }
        assertEq(payer.balance, 1000 ether - paid);
        assertEq(address(certificates).balance, paid);
        // To keep everybody waiting for eleven batches: five ether, and two and a half for each batch.
        assertEq(paid, PAIRS * FEE * (2 ** 11 - 1 + 2 ** 10));
    }

    /// @dev Who takes a pair in has its fee: the treasury, to which fee accounts go.
    // L1C.9
    function test_theFeeGoesToWhoTakesThePairIn() public {
        fill(0, PAIRS + 1);
        put(20, 0, 0, certificate(0, 0).note1);
        bring();
        assertEq(certificates.feeOwed(treasury), 0);
        put(20, 0, 0, certificate(0, 0).note2);
        bring();
        assertEq(certificates.feeOwed(treasury), FEE);
        take(1, PAIRS + 1);
        assertEq(certificates.feeOwed(treasury), (PAIRS + 2) * FEE);
        assertEq(certificates.fee(), FEE);
        vm.expectEmit(address(certificates));
        emit ICertificates.FeeWithdrawn(treasury, (PAIRS + 2) * FEE);
        certificates.withdrawFee(treasury);
        assertEq(treasury.balance, (PAIRS + 2) * FEE);
        assertEq(address(certificates).balance, 0);
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingToWithdraw.selector, treasury));
        certificates.withdrawFee(treasury);
    }

    /// @dev No batch takes them in: the fees come back, the spendings stand. Later retirements cost nothing.
    function test_frozenQueueGivesFeesBack() public {
        certify(certificate(1, SEALED));
        certify(certificate(2, 0));
        put(20, 0, 0, certificate(1, SEALED).note1);
        bring();
        freezeRollup();
        assertEq(certificates.fee(), 0);
        uint256 before = address(this).balance;
        certificates.certify{value: 5}(certificate(3, SEALED), new bytes(CERTIFICATE_PROOF_LENGTH));
        assertEq(address(this).balance, before);
        vm.expectEmit(address(certificates));
        emit ICertificates.NotesDropped(certificate(1, SEALED).nullifier, CERTIFICATE_VERSION, false);
        assertEq(certificates.dropNotes(9), 2);
        assertEq(certificates.feeOwed(address(this)), 2 * FEE);
        assertEq(certificates.pendingNoteCount(), 0);
        for (uint256 i = 1; i < 4; ++i) {
            assertTrue(certificates.nullifierUsed(certificate(i, SEALED).nullifier));
        }
        vm.expectRevert(ICertificates.NothingToDrop.selector);
        certificates.dropNotes(9);
        certificates.withdrawFee(address(this));
        assertEq(address(certificates).balance, 0);
    }

    receive() external payable {}

    // --------------------------------------------------------------- versions

    /// @dev Another version of certificates that is in use.
    function secondVersion() internal returns (uint32 version) {
        version = CERTIFICATE_VERSION + 1;
        IRegistry.VerifierInit memory init;
        (init.verifier, init.proofLength) = (address(new AcceptAll()), CERTIFICATE_PROOF_LENGTH);
        vm.prank(upgrader);
        registry.registerVerifier(version, init);
        vm.warp(block.timestamp + 14 days);
        announceUpgrade(version);
    }

    /// @dev The version may have been unsound: no batch takes its notes in, and an honest holder loses nothing.
    // L1C.10
    function test_notesDoNotOutliveTheirVersion() public {
        uint32 later = secondVersion();
        address payer = makeAddr("payer");
        ICertificates.Certificate memory lost = certificate(1, PUBLIC | 1 << 8);
        ICertificates.Certificate memory next = certificate(2, 0);
        next.circuitVersion = later;
        vm.deal(payer, 1 ether);
        vm.prank(payer);
        certificates.certify{value: FEE}(lost, new bytes(CERTIFICATE_PROOF_LENGTH));
        certify(next);
        vm.expectRevert(ICertificates.NothingToDrop.selector);
        certificates.dropNotes(1);
        assertEq(certificates.pendingNotes(9).length, 4);
        retireVersion(CERTIFICATE_VERSION);
        putPair(lost);
        bringRefused(abi.encodeWithSelector(ICertificates.NoteRetired.selector, 0, CERTIFICATE_VERSION));
        // What a batch may take in ends before it, and what is behind waits until it is dropped.
        assertEq(certificates.pendingNotes(9).length, 0);
        vm.warp(block.timestamp + 30 days);
        freezeRefused(0, 0);

        vm.expectEmit(address(certificates));
        emit ICertificates.NotesDropped(lost.nullifier, CERTIFICATE_VERSION, true);
        assertEq(certificates.dropNotes(9), 1);
        assertEq(certificates.feeOwed(payer), FEE);
        assertEq(certificates.feeOwed(treasury), 0);
        // The retirement is undone with the spending, and the note is spendable, once.
        assertFalse(certificates.nullifierUsed(lost.nullifier));
        assertFalse(certificates.spendingOf(lost.nullifier).retires);
        refused(lost, abi.encodeWithSelector(IRegistry.VersionRetired.selector, CERTIFICATE_VERSION));
        lost.circuitVersion = later;
        certify(lost);
        refused(lost, abi.encodeWithSelector(ICertificates.NullifierUsed.selector, lost.nullifier));
        putPair(next);
        putPair(lost);
        bring();
        assertEq(certificates.pendingNoteCount(), 0);
    }

    /// @dev A pair is in the state, or it is spendable again, never both: the second note of one whose first is in the
    /// state follows it.
    // L1C.10
    function test_halfAPairIsNotDropped() public {
        ICertificates.Certificate memory half = certificate(1, 0);
        certify(half);
        certify(certificate(2, 0));
        put(20, 0, 0, half.note1);
        bring();
        retireVersion(CERTIFICATE_VERSION);
        vm.expectRevert(ICertificates.NothingToDrop.selector);
        certificates.dropNotes(9);
        assertEq(certificates.pendingNotes(9).length, 1);
        uint256 due = block.timestamp + DEADLINE;
        vm.warp(due + 1);
        uint256 before = vm.snapshotState();
        rollup.freezeForNotes(0);
        // Frozen, it is dropped and stays spent: its first note is in the state.
        assertEq(certificates.dropNotes(1), 1);
        assertTrue(certificates.nullifierUsed(half.nullifier));
        assertEq(certificates.dropNotes(1), 1);
        assertFalse(certificates.nullifierUsed(certificate(2, 0).nullifier));
        vm.revertToState(before);
        put(20, 0, 0, half.note2);
        bring();
        assertEq(certificates.dropNotes(9), 1);
        assertTrue(certificates.nullifierUsed(half.nullifier));
        assertFalse(certificates.nullifierUsed(certificate(2, 0).nullifier));
    }

    /// @dev As many as one call can carry.
    function test_dropsAsManyAsAreAskedFor() public {
        fill(0, 20);
        retireVersion(CERTIFICATE_VERSION);
        assertEq(certificates.dropNotes(7), 7);
        assertEq(certificates.waitingPairs(99).length, 13);
        assertEq(certificates.dropNotes(99), 13);
        assertEq(certificates.feeOwed(address(this)), (8 + 8 * 2 + 4 * 4) * FEE);
        assertEq(certificates.feeOwed(address(this)), address(certificates).balance);
    }

    // ------------------------------------------------------------ retirements

    /// @dev Whoever knows the salts of a retirement could have it first. It stops nobody.
    // L1C.6
    function test_whoKnowsTheSaltsBlocksNoRetirement() public {
        ICertificates.Certificate memory first_ = certificate(1, SEALED);
        first_.retirement = RetirementCommitment.wrap(bytes32(uint256(0x5a17)));
        ICertificates.Certificate memory own = certificate(2, SEALED);
        own.retirement = first_.retirement;
        vm.prank(makeAddr("who knows the salts"));
        vm.deal(makeAddr("who knows the salts"), 1 ether);
        certificates.certify{value: FEE}(first_, new bytes(CERTIFICATE_PROOF_LENGTH));
        vm.warp(block.timestamp + 1);
        certify(own);
        ICertificates.Spending memory spending = certificates.spendingOf(own.nullifier);
        assertEq(spending.time, block.timestamp);
        assertEq(spending.circuitVersion, CERTIFICATE_VERSION);
        assertEq(spending.payer, address(this));
        assertTrue(spending.retires);
        assertFalse(certificates.spendingOf(Nullifier.wrap(bytes32(uint256(5)))).retires);
    }
}
