// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IForcedQueue} from "../contracts/interfaces/IForcedQueue.sol";
import {IRegistry} from "../contracts/interfaces/IRegistry.sol";
import {ISettle} from "../contracts/interfaces/ISettle.sol";
import {RollupTest} from "./RollupTest.sol";
import {AcceptAll, Silent} from "./Verifiers.sol";
import {CommunityId} from "../contracts/Types.sol";

/// @dev A verifier that nobody trusts waits until everybody who wants to leave has left.
contract UpgradesTest is RollupTest {
    CommunityId internal constant LARGE = CommunityId.wrap(20);
    uint32 internal constant LARGE_SHAPE = 77;
    uint32 internal constant LARGE_SLOTS = 32;
    uint32 internal constant NEXT = 2;
    uint256 internal served;

    function setUp() public {
        vm.warp(1_764_000_000);
        address verifier = address(new AcceptAll());
        IRegistry.VerifierInit[] memory verifiers = new IRegistry.VerifierInit[](2);
        (verifiers[0], verifiers[1]) = (verifierInit(verifier), verifierInit(verifier, LARGE_SHAPE, LARGE_SLOTS));
        adopt(deployWith(config(), verifiers));
        openPeriod();
        registerCommunity(COMMUNITY, SHAPE);
        registerCommunity(LARGE, LARGE_SHAPE);
        vm.warp(uint256(first + M) * LENGTH);
        bring();
        large(VERSION);
        fillPool(1000);
    }

    function register(address verifier) internal returns (uint256 activeFrom) {
        vm.startPrank(upgrader);
        registry.registerVerifier(NEXT, verifierInit(verifier));
        registry.registerVerifier(NEXT, verifierInit(verifier, LARGE_SHAPE, LARGE_SLOTS));
        vm.stopPrank();
        activeFrom = block.timestamp + 14 days;
    }

    function who(uint256 slot) internal pure returns (address) {
        return address(uint160(0x9000 + slot));
    }

    function request(CommunityId community, uint32 slot) internal {
        request(who(slot), community, slot);
    }

    /// @dev A batch of the large community with the records that were put.
    function largeBatch(uint32 version) internal returns (ISettle.Settlement memory s, bytes32[] memory data) {
        (s, data) = nextBatchOf(LARGE, LARGE_SLOTS);
        s.circuitVersion = version;
    }

    function large(uint32 version) internal {
        (ISettle.Settlement memory s, bytes32[] memory data) = largeBatch(version);
        settleAs(operator, s, data, proofBytes());
    }

    function largeRefused(uint32 version, bytes memory error) internal {
        (ISettle.Settlement memory s, bytes32[] memory data) = largeBatch(version);
        vm.expectRevert(error);
        settleAs(operator, s, data, proofBytes());
    }

    /// @dev The old version serves all that wait in the large community.
    function serveAll() internal {
        IForcedQueue.ForcedEntry[] memory queue = rollup.forcedQueueOf(LARGE);
        for (uint256 i = 0; i < queue.length; ++i) {
            put(10, 1, queue[i].slot, toWord(queue[i].requester));
        }
        large(VERSION);
        served += queue.length;
    }

    function checkWaiting(uint32 expected) internal view {
        assertEq(rollup.forcedWaiting().waiting, expected);
    }

    function waits(uint256 waiting) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IForcedQueue.UpgradeWaits.selector, waiting);
    }

    function notAnnounced(uint32 version, uint256 from) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IForcedQueue.UpgradeNotAnnounced.selector, version, from);
    }

    function announceRefused(uint256 from) internal {
        vm.expectRevert(abi.encodeWithSelector(IForcedQueue.QueueWasFull.selector, from));
        announceUpgrade(NEXT);
    }

    /// @dev Eight a queue, and an operator that serves as late as it can, would let sixteen leave within the delay. All
    /// of them do: while a queue is full, and for a day afterwards, the upgrade cannot be announced.
    // L1.11
    function test_everybodyLeavesBeforeANewVerifierIsUsed() public {
        uint256 activeFrom = register(address(new AcceptAll()));
        for (uint32 slot = 0; slot < LARGE_SLOTS; slot += 8) {
            for (uint32 i = slot; i < slot + 8; ++i) {
                request(LARGE, i);
            }
            checkWaiting(8);
            vm.warp(block.timestamp + DEADLINE - 1);
            announceRefused(0);
            if (block.timestamp >= activeFrom) largeRefused(NEXT, notAnnounced(NEXT, activeFrom));
            serveAll();
            // At once, before others could take the places: not yet.
            announceRefused(block.timestamp + 1 days);
            vm.warp(block.timestamp + 1 days - 1);
            announceRefused(block.timestamp + 1);
        }
        assertEq(served, LARGE_SLOTS);
        checkWaiting(0);
        vm.warp(block.timestamp + 1);
        announceUpgrade(NEXT);
        large(NEXT);
        assertFalse(rollup.isFrozen());
    }

    /// @dev The state root is one: who waits in any community at the announcement holds off the first batch of every
    /// other. Who asks later does not.
    // L1.11
    function test_whoWaitsAtTheAnnouncementIsServedByTheOldVersion() public {
        vm.warp(register(address(new AcceptAll())));
        request(COMMUNITY, 1);
        request(LARGE, 5);
        vm.expectEmit(address(rollup));
        emit IForcedQueue.UpgradeAnnounced(NEXT, 2);
        announceUpgrade(NEXT);
        request(COMMUNITY, 2);
        checkWaiting(3);
        largeRefused(NEXT, waits(2));
        put(10, 1, 5, toWord(who(5)));
        large(VERSION);
        largeRefused(NEXT, waits(1));
        // The new version cannot serve it either.
        put(10, 1, 1, toWord(who(1)));
        ISettle.Settlement memory s = nextBatch();
        s.circuitVersion = NEXT;
        bytes32[] memory data = recordData();
        vm.expectRevert(waits(1));
        settleAs(operator, s, data, proofBytes());
        // The old one can, also without effect.
        delete pending;
        put(10, 0, 1, toWord(who(1)));
        bring();
        checkWaiting(1);
        large(NEXT);
    }

    /// @dev A stranger with a request in every block vetoes nothing, and ends nothing: neither one that comes between
    /// the closing of a period and its batch, nor one that comes when no old version is left to serve it.
    // L1.11
    function test_aStrangerHoldsNothingOff() public {
        vm.warp(register(address(new AcceptAll())));
        for (uint32 i = 0; i < 7; ++i) {
            request(LARGE, i);
        }
        announceUpgrade(NEXT);
        for (uint256 i = 0; i < 7; ++i) {
            put(10, 0, i, toWord(who(i)));
        }
        large(VERSION);
        for (uint32 i = 10; i < 18; ++i) {
            request(LARGE, i);
        }
        request(COMMUNITY, 1);
        // The first batch under the new version, with those who came after the announcement.
        for (uint256 i = 10; i < 18; ++i) {
            put(10, 0, i, toWord(who(i)));
        }
        large(NEXT);
        put(10, 0, 1, toWord(who(1)));
        ISettle.Settlement memory s = nextBatch();
        s.circuitVersion = NEXT;
        bytes32[] memory data = recordData();
        settleAs(operator, s, data, proofBytes());
        checkWaiting(0);
    }

    /// @dev Each verifier for itself, also one of a new shape under the old version, and one whose delay ended after the
    /// announcement; once used, requests hold up nothing.
    function test_usedOnce() public {
        address verifier = address(new AcceptAll());
        uint256 activeFrom = register(verifier);
        vm.warp(activeFrom - 1);
        announceUpgrade(NEXT);
        vm.warp(activeFrom);
        largeRefused(NEXT, notAnnounced(NEXT, activeFrom));
        announceUpgrade(NEXT);
        assertTrue(registry.verifierOf(VERSION, SHAPE).used);
        assertFalse(registry.verifierOf(NEXT, LARGE_SHAPE).used);
        vm.expectEmit(address(registry));
        emit IRegistry.VerifierFirstUsed(NEXT, LARGE_SHAPE, verifier);
        large(NEXT);
        assertTrue(registry.verifierOf(NEXT, LARGE_SHAPE).used);
        assertFalse(registry.verifierOf(NEXT, SHAPE).used);
        request(COMMUNITY, 1);
        // A later announcement takes the place of an earlier one.
        announceUpgrade(VERSION);
        large(NEXT);
        large(VERSION);
        ISettle.Settlement memory s = nextBatch();
        s.circuitVersion = NEXT;
        expectSettleRevert(s, notAnnounced(NEXT, activeFrom));

        registerShape(99, LARGE_SLOTS);
        registerCommunity(id(9), 99);
        uint256 from = block.timestamp + 14 days;
        vm.warp(from);
        bytes32[] memory data;
        (s, data) = largeBatch(VERSION);
        s.community = id(9);
        vm.expectRevert(notAnnounced(VERSION, from));
        settleAs(operator, s, data, proofBytes());
    }

    function test_whoAnnounces() public {
        register(address(new AcceptAll()));
        vm.expectRevert(
            abi.encodeWithSelector(
                IAccessControl.AccessControlUnauthorizedAccount.selector, operator, registry.UPGRADER_ROLE()
            )
        );
        vm.prank(operator);
        rollup.announceUpgrade(NEXT);
        freezeRollup();
        vm.expectRevert(IForcedQueue.IsFrozen.selector);
        announceUpgrade(NEXT);
    }

    /// @dev The count of full queues follows every way in and out.
    function test_fullQueues() public {
        for (uint32 i = 0; i < 8; ++i) {
            request(LARGE, i);
            assertEq(rollup.forcedWaiting().fullQueues, i == 7 ? 1 : 0);
        }
        for (uint32 i = 0; i < SLOTS; ++i) {
            request(makeAddr("one"), COMMUNITY, i);
            request(makeAddr("two"), COMMUNITY, i);
        }
        assertEq(rollup.forcedWaiting().fullQueues, 2);
        put(10, 1, 0, toWord(who(0)));
        large(VERSION);
        assertEq(rollup.forcedWaiting().fullQueues, 1);
        announceRefused(0);
        request(LARGE, 20);
        assertEq(rollup.forcedWaiting().fullQueues, 2);
    }

    /// @dev In an emergency: the version is retired, nobody serves, anybody freezes, everybody leaves.
    function test_emergencyIsTheFreeze() public {
        vm.warp(register(address(new AcceptAll())));
        request(LARGE, 3);
        vm.prank(upgrader);
        registry.retireVersion(VERSION);
        put(10, 1, 3, toWord(who(3)));
        largeRefused(VERSION, abi.encodeWithSelector(IRegistry.VersionRetired.selector, VERSION));
        largeRefused(NEXT, notAnnounced(NEXT, block.timestamp));
        vm.warp(block.timestamp + DEADLINE + 1);
        rollup.freeze(LARGE);
    }

    /// @dev What waited is what is used: the code of an account with a key can be changed.
    function test_verifierWhoseCodeChanges() public {
        address later = makeAddr("an account with a key");
        vm.etch(later, address(new Silent()).code);
        vm.warp(register(later));
        announceUpgrade(NEXT);
        largeRefused(NEXT, abi.encodeWithSelector(IRegistry.ProofRejected.selector));
        vm.etch(later, address(new AcceptAll()).code);
        largeRefused(NEXT, abi.encodeWithSelector(IRegistry.VerifierChanged.selector, later));
    }
}
