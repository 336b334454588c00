// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {NoteCommitment, Nullifier, RetirementCommitment, Root} from "../contracts/Types.sol";
import {ICertificates} from "../contracts/interfaces/ICertificates.sol";
import {IForcedQueue} from "../contracts/interfaces/IForcedQueue.sol";
import {IRegistry} from "../contracts/interfaces/IRegistry.sol";
import {ISettle} from "../contracts/interfaces/ISettle.sol";
import {CertificateTest} from "./CertificateTest.sol";
import {AcceptAll, AcceptOne} from "./Verifiers.sol";

contract CertificatesTest is CertificateTest {
    function setUp() public {
        start(address(new AcceptAll()));
    }

    function test_transfer() public {
        ICertificates.Certificate memory c = certificate(1, 0);
        vm.expectEmit(address(certificates));
        emit ICertificates.CertificateSpent(
            c.nullifier, RetirementCommitment.wrap(0), CERTIFICATE_VERSION, GENESIS, c.note1, c.note2, 0, 0, 0
        );
        certify(c);
        assertTrue(certificates.nullifierUsed(c.nullifier));
        assertEq(certificates.pendingNoteCount(), 2);
        NoteCommitment[] memory notes = certificates.pendingNotes(10);
        assertEq(notes.length, 2);
        assertEq(notes[0], c.note1);
        assertEq(notes[1], c.note2);
        assertEq(certificates.pendingNotes(1).length, 1);
        c.note1 = toNote(5);
        refused(c, abi.encodeWithSelector(ICertificates.NullifierUsed.selector, c.nullifier));
    }

    function test_retirements() public {
        uint256[4] memory kinds = [PUBLIC | 1 << 8, PUBLIC | 2 << 8, PUBLIC | 3 << 8, SEALED];
        for (uint256 i = 0; i < 4; ++i) {
            ICertificates.Certificate memory c = certificate(i, kinds[i]);
            vm.expectEmit(address(certificates));
            emit ICertificates.CertificateSpent(
                c.nullifier,
                c.retirement,
                CERTIFICATE_VERSION,
                GENESIS,
                c.note1,
                c.note2,
                c.disclosed,
                c.beneficiary,
                c.kind
            );
            certify(c);
            assertTrue(certificates.spendingOf(c.nullifier).retires);
        }
        // Of nobody in particular.
        ICertificates.Certificate memory nobody = certificate(9, PUBLIC | 2 << 8);
        nobody.beneficiary = 0;
        certify(nobody);
    }

    function testFuzz_otherKinds(uint256 kind, uint256 seed) public {
        bool known = kind == 0 || kind == SEALED || kind == (PUBLIC | 1 << 8) || kind == (PUBLIC | 2 << 8)
            || kind == (PUBLIC | 3 << 8);
        vm.assume(!known);
        for (uint256 i = 0; i < 3; ++i) {
            ICertificates.Certificate memory c = certificate(seed, [uint256(0), SEALED, PUBLIC | 1 << 8][i]);
            c.kind = i == 2 ? kind : kind % 1000;
            if (c.kind != kind && (c.kind == 0 || c.kind >= 256)) continue;
            refused(c, abi.encodeWithSelector(ICertificates.BadKind.selector, c.kind));
        }
    }

    function test_fieldsOfKinds() public {
        ICertificates.Certificate memory c;
        bytes32 x = bytes32(uint256(1));
        for (uint256 i = 0; i < 8; ++i) {
            uint256 kind = i < 3 ? 0 : i < 6 ? SEALED : PUBLIC | 1 << 8;
            c = certificate(i, kind);
            if (i == 0) c.retirement = RetirementCommitment.wrap(x);
            if (i == 1 || i == 4) c.disclosed = x;
            if (i == 2 || i == 5) c.beneficiary = x;
            if (i == 3 || i == 6) c.retirement = RetirementCommitment.wrap(0);
            if (i == 7) c.disclosed = 0;
            refused(c, abi.encodeWithSelector(ICertificates.BadKind.selector, kind));
        }
    }

    function test_refusals() public {
        ICertificates.Certificate memory c = certificate(1, 0);
        c.anchor = toRoot(77);
        refused(c, abi.encodeWithSelector(ICertificates.NotFinalised.selector, c.anchor));
        c = certificate(1, 0);
        c.note1 = toNote(0);
        refused(c, abi.encodeWithSelector(ICertificates.ZeroNote.selector));
        c = certificate(1, 0);
        c.note2 = toNote(0);
        refused(c, abi.encodeWithSelector(ICertificates.ZeroNote.selector));
        c = certificate(1, 0);
        c.circuitVersion = VERSION;
        refused(c, abi.encodeWithSelector(ICertificates.NotCertificateVersion.selector, VERSION));
        c.circuitVersion = CERTIFICATE_VERSION + 1;
        refused(c, abi.encodeWithSelector(IRegistry.UnknownVerifier.selector, CERTIFICATE_VERSION + 1, 0));
        c = certificate(1, 0);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.ProofLength.selector, CERTIFICATE_PROOF_LENGTH, 3));
        certificates.certify(c, new bytes(3));
        vm.prank(upgrader);
        registry.retireVersion(CERTIFICATE_VERSION);
        refused(c, abi.encodeWithSelector(IRegistry.VersionRetired.selector, CERTIFICATE_VERSION));
    }

    function testFuzz_wordsBelowModulus(uint256 field, uint256 excess) public {
        bytes32 word = bytes32(bound(excess, R, type(uint256).max));
        ICertificates.Certificate memory c = certificate(1, PUBLIC | 1 << 8);
        field = field % 6;
        if (field == 0) c.nullifier = Nullifier.wrap(word);
        if (field == 1) c.note1 = NoteCommitment.wrap(word);
        if (field == 2) c.note2 = NoteCommitment.wrap(word);
        if (field == 3) c.retirement = RetirementCommitment.wrap(word);
        if (field == 4) c.disclosed = word;
        if (field == 5) c.beneficiary = word;
        refused(c, abi.encodeWithSelector(ISettle.NotCanonical.selector, word));
    }

    /// @dev Every final root is an anchor, for ever.
    function test_anchors() public {
        bring();
        Root old = rollup.stateRoot();
        bring();
        ICertificates.Certificate memory c = certificate(1, 0);
        c.anchor = old;
        certify(c);
    }

    /// @dev The verifier is given the nine instances and the proof.
    function testFuzz_instances(uint256 seed) public {
        vm.warp(1_764_000_000);
        ICertificates.Certificate memory c = certificate(seed, PUBLIC | 1 << 8);
        address at = nextRollup();
        uint256 domain = uint256(keccak256(abi.encode(block.chainid, at, uint256(CERTIFICATE_VERSION)))) % R;
        bytes memory input = abi.encode(domain, c.anchor, c.nullifier, c.note1, c.note2);
        input = bytes.concat(
            input, abi.encode(c.retirement, c.disclosed, c.beneficiary, c.kind), new bytes(CERTIFICATE_PROOF_LENGTH)
        );
        start(address(new AcceptOne(keccak256(input))));
        assertEq(address(rollup), at);
        c.kind = PUBLIC | 2 << 8;
        refused(c, abi.encodeWithSelector(IRegistry.ProofRejected.selector));
        c.kind = PUBLIC | 1 << 8;
        certify(c);
    }

    // ------------------------------------------------------------------ notes

    function test_notesAreTakenInInOrder() public {
        ICertificates.Certificate memory a = certificate(1, 0);
        ICertificates.Certificate memory b = certificate(2, 0);
        certify(a);
        certify(b);
        put(20, 0, 0, a.note2);
        bringRefused(abi.encodeWithSelector(ICertificates.NotHeadNote.selector, 0, a.note2));
        put(20, 0, 0, a.note1);
        put(20, 0, 0, a.note2);
        put(20, 0, 0, b.note1);
        vm.expectEmit(address(certificates));
        emit ICertificates.NoteAppended(a.note1, COMMUNITY);
        bring();
        assertEq(certificates.pendingNoteCount(), 1);
        assertEq(certificates.pendingNotes(5)[0], b.note2);
        put(20, 0, 0, a.note1);
        bringRefused(abi.encodeWithSelector(ICertificates.NotHeadNote.selector, 0, a.note1));
        put(20, 0, 0, b.note2);
        put(20, 0, 0, 0);
        bringRefused(abi.encodeWithSelector(ICertificates.NotHeadNote.selector, 1, 0));
        put(20, 0, 0, b.note2);
        bring();
        assertEq(certificates.pendingNoteCount(), 0);
    }

    function test_frozen() public {
        freezeRollup();
        refused(certificate(1, 0), abi.encodeWithSelector(IForcedQueue.IsFrozen.selector));
        certify(certificate(1, SEALED));
        certify(certificate(2, PUBLIC | 3 << 8));
        assertEq(certificates.pendingNoteCount(), 0);
    }

    // --------------------------------------------------------------- versions

    function test_certificateVersionsHaveNoShape() public {
        IRegistry.VerifierInit memory init = verifierInit(address(new AcceptAll()));
        vm.startPrank(upgrader);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.ShapeMismatch.selector, SHAPE));
        registry.registerVerifier(CERTIFICATE_VERSION + 1, init);
        (init.shape, init.slots, init.m, init.proofLength) = (0, 0, 0, CERTIFICATE_PROOF_LENGTH);
        registry.registerVerifier(CERTIFICATE_VERSION + 1, init);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.ShapeMismatch.selector, 0));
        registry.registerVerifier(VERSION, init);
        init.m = M;
        uint32[4] memory counts = [uint32(1), 3, 96, 4 ** 8 * 2];
        for (uint32 i = 0; i < 4; ++i) {
            (init.shape, init.slots) = (50 + i, counts[i]);
            vm.expectRevert(abi.encodeWithSelector(IRegistry.ShapeMismatch.selector, 50 + i));
            registry.registerVerifier(VERSION, init);
        }
        vm.stopPrank();
        ICertificates.Certificate memory c = certificate(1, 0);
        c.circuitVersion = CERTIFICATE_VERSION + 1;
        refused(c, abi.encodeWithSelector(IRegistry.VerifierNotActive.selector, block.timestamp + 14 days));
        // As a settlement's, its first use is announced.
        uint256 activeFrom = block.timestamp + 14 days;
        vm.warp(activeFrom);
        refused(
            c, abi.encodeWithSelector(IForcedQueue.UpgradeNotAnnounced.selector, CERTIFICATE_VERSION + 1, activeFrom)
        );
        announceUpgrade(CERTIFICATE_VERSION + 1);
        vm.expectEmit(address(registry));
        emit IRegistry.VerifierFirstUsed(CERTIFICATE_VERSION + 1, 0, init.verifier);
        certify(c);
        // Nor does a settlement go through a certificate's verifier.
        ISettle.Settlement memory s = batch();
        s.circuitVersion = CERTIFICATE_VERSION;
        expectSettleRevert(s, abi.encodeWithSelector(IRegistry.UnknownVerifier.selector, CERTIFICATE_VERSION, SHAPE));
    }
}
