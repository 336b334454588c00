// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IForcedQueue} from "../contracts/interfaces/IForcedQueue.sol";
import {IRegistry} from "../contracts/interfaces/IRegistry.sol";
import {ISettle} from "../contracts/interfaces/ISettle.sol";
import {RollupTest} from "./RollupTest.sol";
import {AcceptAll, Silent} from "./Verifiers.sol";

/// @dev A verifier that nobody trusts waits until everybody who wants to leave has left.
contract UpgradesTest is RollupTest {
    uint32 internal constant LARGE = 20;
    uint32 internal constant LARGE_SHAPE = 77;
    uint32 internal constant LARGE_SLOTS = 32;
    uint32 internal constant NEXT = 2;
    uint256 internal served;

    function setUp() public {
        vm.warp(1_764_000_000);
        address verifier = address(new AcceptAll());
        IRegistry.VerifierInit[] memory verifiers = new IRegistry.VerifierInit[](2);
        (verifiers[0], verifiers[1]) = (verifierInit(verifier), verifierInit(verifier, LARGE_SHAPE, LARGE_SLOTS));
        rollup = deployWith(config(), verifiers);
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
        rollup.registerVerifier(NEXT, verifierInit(verifier));
        rollup.registerVerifier(NEXT, verifierInit(verifier, LARGE_SHAPE, LARGE_SLOTS));
        vm.stopPrank();
        activeFrom = block.timestamp + 14 days;
    }

    function who(uint256 slot) internal pure returns (address) {
        return address(uint160(0x9000 + slot));
    }

    function request(uint32 community, uint32 slot) internal {
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
        (uint32 waiting,) = rollup.forcedWaiting();
        assertEq(waiting, expected);
    }

    function waits(uint256 waiting, uint256 from) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IForcedQueue.UpgradeWaits.selector, waiting, from);
    }

    /// @dev Eight a queue, and an operator that serves as late as it can, would let sixteen leave within the delay. All
    /// of them do.
    // L1.11
    function test_everybodyLeavesBeforeANewVerifierIsUsed() public {
        uint256 activeFrom = register(address(new AcceptAll()));
        for (uint32 slot = 0; slot < LARGE_SLOTS; slot += 8) {
            for (uint32 i = slot; i < slot + 8; ++i) {
                request(LARGE, i);
            }
            checkWaiting(8);
            vm.warp(block.timestamp + DEADLINE - 1);
            if (block.timestamp >= activeFrom) largeRefused(NEXT, waits(8, rollupServedAt() + 1 days));
            serveAll();
            // At once, before others could take the places: not yet.
            if (block.timestamp >= activeFrom) {
                largeRefused(NEXT, waits(0, block.timestamp + 1 days));
                vm.warp(block.timestamp + 1 days - 1);
                largeRefused(NEXT, waits(0, block.timestamp + 1));
            }
        }
        assertEq(served, LARGE_SLOTS);
        checkWaiting(0);
        vm.warp(block.timestamp + 1);
        large(NEXT);
        assertFalse(rollup.isFrozen());
    }

    function rollupServedAt() internal view returns (uint256 at) {
        (, at) = rollup.forcedWaiting();
    }

    /// @dev The state root is one: a request in any community holds off the first batch of every other.
    // L1.11
    function test_aRequestInAnotherCommunityHoldsItOff() public {
        vm.warp(register(address(new AcceptAll())));
        request(COMMUNITY, 1);
        checkWaiting(1);
        largeRefused(NEXT, waits(1, 0));
        ISettle.Settlement memory s = nextBatch();
        s.circuitVersion = NEXT;
        expectSettleRevert(s, waits(1, 0));
        // The new version cannot serve it either.
        put(10, 1, 1, toWord(who(1)));
        s = nextBatch();
        s.circuitVersion = NEXT;
        bytes32[] memory data = recordData();
        vm.expectRevert(waits(1, 0));
        settleAs(operator, s, data, proofBytes());
        // The old one can, also without effect.
        delete pending;
        put(10, 0, 1, toWord(who(1)));
        bring();
        checkWaiting(0);
        vm.warp(block.timestamp + rollup.QUIET_TIME());
        large(NEXT);
    }

    /// @dev Each verifier for itself, also one of a new shape under the old version; once used, requests hold up
    /// nothing.
    function test_usedOnce() public {
        address verifier = address(new AcceptAll());
        vm.warp(register(verifier));
        assertTrue(rollup.verifierOf(VERSION, SHAPE).used);
        assertFalse(rollup.verifierOf(NEXT, LARGE_SHAPE).used);
        vm.expectEmit(address(rollup));
        emit IRegistry.VerifierFirstUsed(NEXT, LARGE_SHAPE, verifier);
        large(NEXT);
        assertTrue(rollup.verifierOf(NEXT, LARGE_SHAPE).used);
        assertFalse(rollup.verifierOf(NEXT, SHAPE).used);
        request(COMMUNITY, 1);
        large(NEXT);
        large(VERSION);
        ISettle.Settlement memory s = nextBatch();
        s.circuitVersion = NEXT;
        expectSettleRevert(s, waits(1, 0));

        registerShape(99, LARGE_SLOTS);
        registerCommunity(LARGE + 1, 99);
        vm.warp(block.timestamp + 14 days);
        bytes32[] memory data;
        (s, data) = largeBatch(VERSION);
        s.community = LARGE + 1;
        vm.expectRevert(waits(1, 0));
        settleAs(operator, s, data, proofBytes());
    }

    /// @dev In an emergency: the version is retired, nobody serves, anybody freezes, everybody leaves.
    function test_emergencyIsTheFreeze() public {
        vm.warp(register(address(new AcceptAll())));
        request(LARGE, 3);
        vm.prank(upgrader);
        rollup.retireVersion(VERSION);
        put(10, 1, 3, toWord(who(3)));
        largeRefused(VERSION, abi.encodeWithSelector(IRegistry.VersionRetired.selector, VERSION));
        largeRefused(NEXT, waits(1, 0));
        vm.warp(block.timestamp + DEADLINE + 1);
        rollup.freeze(LARGE);
    }

    /// @dev What waited is what is used: the code of an account with a key can be changed.
    function test_verifierWhoseCodeChanges() public {
        address later = makeAddr("an account with a key");
        vm.etch(later, address(new Silent()).code);
        vm.warp(register(later));
        largeRefused(NEXT, abi.encodeWithSelector(IRegistry.ProofRejected.selector));
        vm.etch(later, address(new AcceptAll()).code);
        largeRefused(NEXT, abi.encodeWithSelector(IRegistry.VerifierChanged.selector, later));
    }
}
