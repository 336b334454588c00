// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {CommunityId, Root} from "../contracts/Types.sol";
import {ICouncil} from "../contracts/interfaces/ICouncil.sol";
import {IGridveilRollup} from "../contracts/IGridveilRollup.sol";
import {IExits} from "../contracts/interfaces/IExits.sol";
import {IForcedQueue} from "../contracts/interfaces/IForcedQueue.sol";
import {IRegistry} from "../contracts/interfaces/IRegistry.sol";
import {ISettle} from "../contracts/interfaces/ISettle.sol";
import {IVault} from "../contracts/interfaces/IVault.sol";
import {Safe} from "./Safe.sol";
import {Trees} from "./Trees.sol";
import {AcceptAll, AcceptOne} from "./Verifiers.sol";

/// @dev A verifier in use is proven unsound; what follows, and what does not. COUNCIL.1 to COUNCIL.6
contract CouncilTest is Trees {
    CommunityId internal constant OTHER = CommunityId.wrap(4000);
    uint32 internal constant NEXT = 2;
    uint64 internal constant DELAY = 14 days;

    Safe internal safe = new Safe(6, 8);

    function setUp() public {
        start(address(new AcceptAll()));
        registerCommunity(OTHER, SHAPE);
        bring();
    }

    function appoint() internal {
        vm.prank(admin);
        registry.appointCouncil(address(safe));
        vm.warp(block.timestamp + DELAY);
    }

    function registerNext() internal {
        IRegistry.VerifierInit memory init = verifierInit(address(new AcceptAll()));
        vm.prank(upgrader);
        registry.registerVerifier(NEXT, init);
    }

    function statement() internal view returns (uint256[10] memory rows) {
        rows = [
            rollup.domain(VERSION),
            uint256(Root.unwrap(rollup.stateRoot())),
            0x77,
            uint256(COMMUNITY.districtOf()),
            uint256(first) | uint256(LENGTH) << 32 | uint256(M) << 48,
            0x7a,
            0x66,
            0,
            1,
            2
        ];
    }

    function prove(uint256[10] memory a, uint256[10] memory b) internal {
        registry.proveUnsound(VERSION, SHAPE, a, proofBytes(), b, proofBytes());
    }

    function proven() internal {
        uint256[10] memory b = statement();
        b[2] = 0x78;
        prove(statement(), b);
    }

    function noContradiction(uint256[10] memory a, uint256[10] memory b) internal {
        vm.expectRevert(ICouncil.NoContradiction.selector);
        prove(a, b);
        vm.expectRevert(ICouncil.NoContradiction.selector);
        prove(b, a);
    }

    function contradicts(uint256[10] memory a, uint256[10] memory b) internal {
        uint256 before = vm.snapshotState();
        prove(a, b);
        assertTrue(registry.isUnsound(VERSION, SHAPE));
        vm.revertToState(before);
        prove(b, a);
        vm.revertToState(before);
    }

    // ------------------------------------------------------------ COUNCIL.1

    function test_whatContradicts() public {
        uint256[10] memory a = statement();
        uint256[10] memory b = statement();
        b[2] = 0x78;
        contradicts(a, b);
        b = statement();
        b[6] = 0x67;
        contradicts(a, b);
        b = statement();
        (b[3], b[6]) = (OTHER.districtOf(), 0x99);
        contradicts(a, b);
        // Of any old root, and of any period.
        (a[1], b[1]) = (0x55, 0x55);
        b[4] += M;
        contradicts(a, b);
    }

    /// @dev What two true statements can say: the same twice, other contents of one period, other communities, other old
    /// roots, other records, other prices.
    function test_whatDoesNot() public {
        uint256[10] memory a = statement();
        noContradiction(a, statement());
        uint256[10] memory b = statement();
        (b[2], b[6]) = (0x78, 0x67);
        noContradiction(a, b);
        b[3] = OTHER.districtOf();
        noContradiction(a, b);
        b[4] += M;
        noContradiction(a, b);
        b = statement();
        (b[1], b[2]) = (0x55, 0x78);
        noContradiction(a, b);
        b[6] = 0x67;
        noContradiction(a, b);
        // One old root, one community, one period, and everything else another: the operator proved two batches, and brings
        // one.
        b = statement();
        (b[2], b[5], b[6], b[7], b[8], b[9]) = (0x78, 1, 0x67, 2, 3, 4);
        noContradiction(a, b);
        // Another period: a state that an earlier verifier spoilt may have more than one next period.
        b[4] += M;
        noContradiction(a, b);
        b = statement();
        (b[5], b[7], b[8], b[9]) = (1, 2, 3, 4);
        noContradiction(a, b);
        // The root does not change: no batch at all, of whatever community.
        (a[2], b[2], b[3]) = (a[1], a[1], OTHER.districtOf());
        noContradiction(a, b);
    }

    /// @dev The same element in two words, and the same place under two names, are no contradiction.
    function test_onlyStatementsThatL1WouldCompose() public {
        for (uint256 row = 1; row < 10; ++row) {
            uint256[10] memory a = statement();
            uint256[10] memory b = statement();
            b[row] += R;
            vm.expectRevert(ICouncil.NotAStatement.selector);
            prove(a, b);
        }
        uint256[10] memory good = statement();
        uint256[10] memory c = statement();
        (c[3], c[2]) = (uint256(COMMUNITY.districtOf()) + 65_536, 0x77);
        vm.expectRevert(ICouncil.NotAStatement.selector);
        prove(good, c);
        c = statement();
        (c[0], c[2]) = (rollup.domain(NEXT), 0x78);
        vm.expectRevert(ICouncil.NotAStatement.selector);
        prove(good, c);
    }

    // ------------------------------------------------------------ COUNCIL.2

    /// @dev A sound verifier accepts one of the two at most: nobody stops a rollup by words.
    function test_bothProofsAreAccepted() public {
        uint256[10] memory a = statement();
        uint256[10] memory b = statement();
        b[2] = 0x78;
        vm.expectPartialRevert(IRegistry.ProofLength.selector);
        registry.proveUnsound(VERSION, SHAPE, a, new bytes(32), b, proofBytes());
        vm.expectPartialRevert(IRegistry.ProofLength.selector);
        registry.proveUnsound(VERSION, SHAPE, a, proofBytes(), b, new bytes(32));
        IRegistry.Verifier memory verifier = registry.verifierOf(VERSION, SHAPE);
        vm.etch(verifier.verifier, hex"00");
        vm.expectRevert(abi.encodeWithSelector(IRegistry.VerifierChanged.selector, verifier.verifier));
        prove(a, b);
    }

    /// @dev The verifier accepts one of the statements, and no other: it stays.
    function test_oneAcceptedProofIsNotEnough() public {
        uint256[10] memory a = statement();
        uint256[10] memory b = statement();
        (a[0], b[0], b[2]) = (rollup.domain(NEXT), rollup.domain(NEXT), 0x78);
        address honest = address(new AcceptOne(keccak256(abi.encodePacked(a, proofBytes()))));
        vm.prank(upgrader);
        registry.registerVerifier(NEXT, verifierInit(honest));
        // In use, as if its first batch had come.
        vm.prank(address(rollup));
        registry.noteFirstUse(NEXT, SHAPE);
        vm.expectRevert(IRegistry.ProofRejected.selector);
        registry.proveUnsound(NEXT, SHAPE, a, proofBytes(), b, proofBytes());
        vm.expectRevert(IRegistry.ProofRejected.selector);
        registry.proveUnsound(NEXT, SHAPE, b, proofBytes(), a, proofBytes());
        assertFalse(registry.isUnsound(NEXT, SHAPE));
    }

    /// @dev A verifier that nobody uses proves nothing about the rollup: else the upgrader registers a bad one, and has the
    /// council's power for the price of it.
    function test_onlyOfAVerifierInUse() public {
        registerNext();
        uint256[10] memory a = statement();
        a[0] = rollup.domain(NEXT);
        uint256[10] memory b = a;
        vm.expectRevert(abi.encodeWithSelector(ICouncil.NotInUse.selector, NEXT, SHAPE));
        registry.proveUnsound(NEXT, SHAPE, a, proofBytes(), b, proofBytes());
        vm.expectRevert(abi.encodeWithSelector(ICouncil.NotInUse.selector, VERSION, 99));
        registry.proveUnsound(VERSION, 99, a, proofBytes(), b, proofBytes());
        vm.expectRevert(abi.encodeWithSelector(ICouncil.NotInUse.selector, CERTIFICATE_VERSION, 0));
        registry.proveUnsound(CERTIFICATE_VERSION, 0, a, proofBytes(), b, proofBytes());
        proven();
        b = statement();
        b[2] = 0x78;
        a = statement();
        vm.expectRevert(abi.encodeWithSelector(ICouncil.NotInUse.selector, VERSION, SHAPE));
        prove(a, b);
    }

    /// @dev A retired version endangers nobody: who finds its bug later stops nothing by it.
    function test_notOfARetiredVersion() public {
        uint256[10] memory a = statement();
        uint256[10] memory b = statement();
        b[2] = 0x78;
        vm.prank(upgrader);
        registry.retireVersion(VERSION);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.NotInUse.selector, VERSION, SHAPE));
        prove(a, b);
    }

    function test_notWhenFrozen() public {
        freezeRollup();
        uint256[10] memory a = statement();
        vm.expectRevert(IForcedQueue.IsFrozen.selector);
        prove(a, a);
    }

    /// @dev Its batches are refused, those of another shape are not.
    function test_theVerifierIsRefusedForEver() public {
        uint32 shape = 1000 + 2;
        register(id(20), 2);
        vm.warp(block.timestamp + DELAY);
        announceUpgrade(VERSION);
        bringTo(id(20), 2);
        vm.expectEmit(address(registry));
        emit ICouncil.VerifierUnsound(VERSION, SHAPE, registry.verifierOf(VERSION, SHAPE).verifier);
        proven();
        expectSettleRevert(nextBatch(), abi.encodeWithSelector(ICouncil.VerifierIsUnsound.selector, VERSION, SHAPE));
        assertFalse(registry.isUnsound(VERSION, shape));
        bringTo(id(20), 2);
    }

    // ------------------------------------------------------------ COUNCIL.3

    function test_theCouncilIsASafeAndWaits() public {
        vm.expectPartialRevert(IAccessControl.AccessControlUnauthorizedAccount.selector);
        registry.appointCouncil(address(safe));
        vm.startPrank(admin);
        address[3] memory bad = [address(new Safe(5, 8)), address(new Safe(6, 7)), address(new Safe(8, 11))];
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectPartialRevert(ICouncil.NotCouncil.selector);
            registry.appointCouncil(bad[i]);
        }
        vm.expectRevert();
        registry.appointCouncil(makeAddr("an account with a key"));
        registry.appointCouncil(address(safe));
        assertEq(registry.council(), address(0));
        vm.warp(block.timestamp + DELAY);
        assertEq(registry.council(), address(safe));
        // The next one: until then the one before stays.
        address next = address(new Safe(9, 12));
        registry.appointCouncil(next);
        assertEq(registry.council(), address(safe));
        vm.warp(block.timestamp + DELAY);
        assertEq(registry.council(), next);
        registry.appointCouncil(address(0));
        assertEq(registry.council(), next);
        vm.warp(block.timestamp + DELAY);
        assertEq(registry.council(), address(0));
    }

    /// @dev The first one may be the constructor's.
    function test_theConstructorAppointsACouncil() public {
        IGridveilRollup.Config memory c = config();
        c.council = address(safe);
        IRegistry.VerifierInit[] memory verifiers = new IRegistry.VerifierInit[](0);
        assertEq(registryOf(deployWith(c, verifiers)).council(), address(safe));
        c.council = address(new Safe(5, 8));
        vm.expectPartialRevert(ICouncil.NotCouncil.selector);
        deployWith(c, verifiers);
    }

    // ------------------------------------------------------------ COUNCIL.4

    function hasten() internal {
        vm.prank(address(safe));
        registry.hasten(NEXT, SHAPE);
    }

    /// @dev What it is for: a fix is used after a forced deadline, not after the ordinary delay, and who waits does not veto
    /// it.
    function test_theCouncilShortensTheDelay() public {
        appoint();
        request(member, COMMUNITY, 0);
        proven();
        registerNext();
        uint40 from = uint40(block.timestamp + DEADLINE);
        vm.expectEmit(address(registry));
        emit ICouncil.VerifierHastened(NEXT, SHAPE, from);
        hasten();
        ISettle.Settlement memory s = nextBatch();
        s.circuitVersion = NEXT;
        vm.warp(from - 1);
        expectSettleRevert(s, abi.encodeWithSelector(IRegistry.VerifierNotActive.selector, from));
        vm.warp(from);
        settle(s);
        assertEq(registry.haltOf(SHAPE).provenAt, 0);
        assertFalse(registry.inEmergency(COMMUNITY));
        // It is the emergency's end: nothing more is hastened.
        vm.prank(address(safe));
        vm.expectRevert(abi.encodeWithSelector(ICouncil.NoEmergency.selector, SHAPE));
        registry.hasten(3, SHAPE);
    }

    /// @dev A fix that was registered before: a forced deadline from the proof on, for those who leave.
    function test_membersHaveADeadlineFromTheProofOn() public {
        appoint();
        registerNext();
        vm.warp(block.timestamp + 10 days);
        proven();
        uint40 from = uint40(block.timestamp + DEADLINE);
        hasten();
        assertEq(registry.verifierOf(NEXT, SHAPE).activeFrom, from);
    }

    function test_whatTheCouncilMayNot() public {
        appoint();
        registerNext();
        // Without a proof nothing.
        vm.prank(address(safe));
        vm.expectRevert(abi.encodeWithSelector(ICouncil.NoEmergency.selector, SHAPE));
        registry.hasten(NEXT, SHAPE);
        proven();
        vm.expectRevert(abi.encodeWithSelector(ICouncil.OnlyCouncil.selector, address(this)));
        registry.hasten(NEXT, SHAPE);
        vm.startPrank(address(safe));
        // Only a registered verifier, and not the one in use; nothing of another shape, nor of certificates.
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownVerifier.selector, 3, SHAPE));
        registry.hasten(3, SHAPE);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.AlreadyHastened.selector, VERSION, SHAPE));
        registry.hasten(VERSION, SHAPE);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.NoEmergency.selector, SHAPE + 1));
        registry.hasten(NEXT, SHAPE + 1);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownVerifier.selector, CERTIFICATE_VERSION, SHAPE));
        registry.hasten(CERTIFICATE_VERSION, SHAPE);
        vm.stopPrank();
        safe.set(5);
        vm.prank(address(safe));
        vm.expectRevert(abi.encodeWithSelector(ICouncil.NotCouncil.selector, address(safe), 5, 8));
        registry.hasten(NEXT, SHAPE);
        safe.set(6);
        // Too late: its first use could not come in time.
        uint256 before = vm.snapshotState();
        vm.warp(block.timestamp + DEADLINE + 1);
        vm.prank(address(safe));
        vm.expectRevert(abi.encodeWithSelector(ICouncil.NoEmergency.selector, SHAPE));
        registry.hasten(NEXT, SHAPE);
        vm.revertToState(before);
        // Twice, which would put the fix off.
        vm.startPrank(address(safe));
        registry.hasten(NEXT, SHAPE);
        vm.expectRevert(abi.encodeWithSelector(ICouncil.AlreadyHastened.selector, NEXT, SHAPE));
        registry.hasten(NEXT, SHAPE);
        vm.stopPrank();
    }

    /// @dev What was hastened and not used in time is announced as any other.
    function test_afterTheEmergencyTheFirstUseIsAnnounced() public {
        appoint();
        proven();
        registerNext();
        hasten();
        ISettle.Settlement memory s = nextBatch();
        s.circuitVersion = NEXT;
        vm.warp(block.timestamp + 2 * DEADLINE);
        uint256 before = vm.snapshotState();
        settle(s);
        vm.revertToState(before);
        vm.warp(block.timestamp + 1);
        expectSettleRevert(
            s,
            abi.encodeWithSelector(
                IForcedQueue.UpgradeNotAnnounced.selector, NEXT, registry.verifierOf(NEXT, SHAPE).activeFrom
            )
        );
    }

    /// @dev A hastened verifier can change the state of all: the members of every shape may leave before it. One of
    /// certificates mends nothing.
    function test_allMayLeaveBeforeAHastenedVerifierIsUsed() public {
        uint32 shape = 1000 + 2;
        registerShape(shape, 2);
        registerCommunity(id(20), shape);
        appoint();
        proven();
        registerNext();
        assertTrue(registry.inEmergency(OTHER));
        assertFalse(registry.inEmergency(id(20)));
        hasten();
        assertTrue(registry.inEmergency(id(20)));
        vm.prank(address(rollup));
        registry.noteFirstUse(CERTIFICATE_VERSION, SHAPE);
        assertTrue(registry.haltOf(SHAPE).provenAt != 0);
        vm.warp(block.timestamp + DEADLINE - 1);
        assertTrue(registry.inEmergency(id(20)));
        vm.warp(block.timestamp + 1);
        assertFalse(registry.inEmergency(id(20)));
        assertTrue(registry.inEmergency(OTHER));
    }

    /// @dev One request before the proof does not end the rollup while the council can mend it; afterwards it does.
    function test_theFreezeWaitsForTheCouncil() public {
        appoint();
        request(member, COMMUNITY, 0);
        vm.warp(block.timestamp + DEADLINE);
        proven();
        uint256 held = block.timestamp + 2 * DEADLINE;
        vm.warp(held);
        vm.expectRevert(abi.encodeWithSelector(IForcedQueue.DeadlineNotOver.selector, COMMUNITY, held));
        rollup.freeze(COMMUNITY);
        vm.warp(held + 1);
        rollup.freeze(COMMUNITY);
    }

    /// @dev Without a council there is nobody to wait for.
    function test_withoutACouncilTheFreezeDoesNotWait() public {
        request(member, COMMUNITY, 0);
        proven();
        vm.warp(block.timestamp + DEADLINE + 1);
        rollup.freeze(COMMUNITY);
    }

    // ------------------------------------------------------------ COUNCIL.5

    /// @dev Exits are open meanwhile. The slot keeps its balance in the state, so its community is closed.
    function test_membersExitMeanwhileAndTheirCommunityIsClosed() public {
        (IExits.ExitOpening memory o, Root root) = opening(COMMUNITY, SLOTS, 2, uint64(40 * UNIT), 1);
        fillPool(100);
        bringTo(OTHER, SLOTS);
        roots = uint256(Root.unwrap(root)) - 1;
        bring();
        for (uint160 i = 0; i < 8; ++i) {
            request(address(0x7000 + i), COMMUNITY, 0);
        }
        vm.expectRevert(IForcedQueue.NotFrozen.selector);
        exits.exit(o);
        proven();
        exits.exit(o);
        assertEq(rollup.withdrawable(member), 40 * TOKEN_PER_UNIT);
        assertTrue(registry.isClosed(COMMUNITY));
        assertFalse(registry.isClosed(OTHER));
        vm.expectRevert(abi.encodeWithSelector(IVault.AlreadyExited.selector, COMMUNITY, 2));
        exits.exit(o);
        // Who waited there has the bond back, and freezes nobody.
        rollup.returnBonds(COMMUNITY);
        assertEq(rollup.ethOwed(address(0x7000)), BOND);
        assertEq(rollup.forcedWaiting().waiting, 0);
        assertEq(rollup.forcedWaiting().fullQueues, 0);
        vm.warp(block.timestamp + 365 days);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.CommunityIsClosed.selector, COMMUNITY));
        rollup.freeze(COMMUNITY);
        vm.expectRevert(IForcedQueue.NotFrozen.selector);
        rollup.returnBonds(OTHER);
    }

    /// @dev An account without money ends nobody's community, nor does a stranger, nor a state of the past.
    function test_whoDoesNotExit() public {
        (IExits.ExitOpening memory o, Root root) = opening(COMMUNITY, SLOTS, 2, uint64(UNIT) - 1, 1);
        fillPool(100);
        roots = uint256(Root.unwrap(root)) - 1;
        bring();
        proven();
        vm.expectRevert(IForcedQueue.NotFrozen.selector);
        exits.exit(o);
        (o,) = opening(COMMUNITY, SLOTS, 2, uint64(UNIT), 9);
        vm.expectPartialRevert(IExits.NotInState.selector);
        exits.exit(o);
        vm.expectPartialRevert(IVault.NotExits.selector);
        registry.closeByExit(COMMUNITY);
        assertFalse(registry.isClosed(COMMUNITY));
    }

    /// @dev After the next verifier's first batch, and when the time is over, nobody exits any more.
    function test_theExitsAreClosedAgain() public {
        (IExits.ExitOpening memory o, Root root) = opening(COMMUNITY, SLOTS, 2, uint64(40 * UNIT), 1);
        fillPool(100);
        roots = uint256(Root.unwrap(root)) - 1;
        bring();
        proven();
        vm.warp(block.timestamp + 2 * DEADLINE);
        uint256 before = vm.snapshotState();
        exits.exit(o);
        vm.revertToState(before);
        vm.warp(block.timestamp + 1);
        vm.expectRevert(IForcedQueue.NotFrozen.selector);
        exits.exit(o);
    }
}
