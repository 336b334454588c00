// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {CommunityId, Root} from "../contracts/Types.sol";
import {IForcedQueue} from "../contracts/interfaces/IForcedQueue.sol";
import {IRegistry} from "../contracts/interfaces/IRegistry.sol";
import {IVault} from "../contracts/interfaces/IVault.sol";
import {RollupTest} from "./RollupTest.sol";
import {AcceptAll} from "./Verifiers.sol";

contract ForcedQueueTest is RollupTest {
    function setUp() public {
        start(address(new AcceptAll()));
        bring();
    }

    function request(address who, uint32 slot) internal {
        request(who, COMMUNITY, slot);
    }

    function test_requestIsServed() public {
        fillPool(100);
        uint256 bond = rollup.forcedBondOf(COMMUNITY);
        assertEq(bond, BOND);
        vm.expectEmit(address(rollup));
        emit IForcedQueue.ForcedRequested(COMMUNITY, 2, member, 0, member, BOND);
        request(member, 2);
        IForcedQueue.ForcedEntry[] memory queue = rollup.forcedQueueOf(COMMUNITY);
        assertEq(queue.length, 1);
        assertEq(abi.encode(queue[0]), abi.encode(member, 2, block.timestamp, 0, member, BOND));
        put(10, 70, 2, toWord(member));
        vm.expectEmit(address(rollup));
        emit IForcedQueue.ForcedServed(COMMUNITY, 2, member, 70, BOND);
        bring();
        assertEq(rollup.withdrawable(member), 70 * TOKEN_PER_UNIT);
        assertEq(rollup.ethOwed(member), BOND);
        rollup.withdrawEth(member);
        assertEq(member.balance, BOND);
        assertEq(rollup.forcedQueueOf(COMMUNITY).length, 0);
    }

    /// @dev A slot that was paid waits: by requests of eight accounts of their own, whose bonds come back, somebody
    /// could keep a queue full for nothing. A stranger's request, which has no effect, keeps nobody waiting.
    // FORCED.4
    function test_paidSlotWaits() public {
        fillPool(100);
        request(makeAddr("stranger"), 2);
        put(10, 0, 2, toWord(makeAddr("stranger")));
        bring();
        request(member, 2);
        put(10, 70, 2, toWord(member));
        bring();
        uint256 from = block.timestamp + DEADLINE;
        vm.deal(member, 1 ether);
        vm.startPrank(member);
        vm.warp(from - 1);
        vm.expectRevert(abi.encodeWithSelector(IForcedQueue.SlotPaidLately.selector, COMMUNITY, 2, from));
        rollup.forceWithdraw{value: BOND}(COMMUNITY, 2);
        rollup.forceWithdraw{value: BOND}(COMMUNITY, 1);
        vm.warp(from);
        rollup.forceWithdraw{value: 2 * BOND}(COMMUNITY, 2);
        vm.stopPrank();
    }

    /// @dev Somebody with eight accounts, served and back in the same block, would stand in the queue for ever.
    function test_eightAccountsDoNotHoldAQueue() public {
        CommunityId community = id(9);
        registerShape(77, 32);
        vm.warp(block.timestamp + 14 days);
        announceUpgrade(VERSION);
        registerCommunity(community, 77);
        fillPool(1000);
        bringTo(community, 32);
        address holder = makeAddr("holder of eight accounts");
        vm.deal(holder, 1000 ether);
        vm.deal(member, 1000 ether);
        vm.startPrank(holder);
        for (uint32 i = 0; i < 8; ++i) {
            rollup.forceWithdraw{value: uint256(BOND) << i}(community, i);
        }
        vm.stopPrank();
        vm.warp(block.timestamp + DEADLINE);
        for (uint256 i = 0; i < 8; ++i) {
            put(10, 1, i, toWord(holder));
        }
        bringTo(community, 32);
        for (uint32 i = 0; i < 8; ++i) {
            vm.prank(holder);
            vm.expectRevert(
                abi.encodeWithSelector(IForcedQueue.SlotPaidLately.selector, community, i, block.timestamp + DEADLINE)
            );
            rollup.forceWithdraw{value: 2 ether}(community, i);
        }
        vm.prank(member);
        rollup.forceWithdraw{value: BOND}(community, 20);
    }

    /// @dev Nobody gets the bond of a request without effect: not the operator's side either, which could fill the
    /// queue for nothing.
    // FORCED.4
    function test_requestWithoutEffectLosesItsBond() public {
        request(member, 2);
        put(10, 0, 2, toWord(member));
        bring();
        assertEq(rollup.ethOwed(member), 0);
        assertEq(rollup.ethOwed(treasury), 0);
        assertEq(address(rollup).balance, BOND);
        assertEq(rollup.forcedQueueOf(COMMUNITY).length, 0);
    }

    function test_onlyTheHeadIsServed() public {
        address other = makeAddr("other");
        fillPool(100);
        request(member, 2);
        request(other, 3);
        bytes memory notHead = abi.encodeWithSelector(IForcedQueue.ForcedNotHead.selector, 0);
        put(10, 1, 3, toWord(other));
        bringRefused(notHead);
        put(10, 1, 3, toWord(member));
        bringRefused(notHead);
        put(10, 1, 2, toWord(other));
        bringRefused(notHead);
        put(10, 1, 2, bytes32(uint256(toWord(member)) | 1 << 160));
        bringRefused(notHead);
        put(10, 1, 2, toWord(member));
        put(10, 2, 3, toWord(other));
        bring();
        assertEq(rollup.withdrawable(other), 2 * TOKEN_PER_UNIT);
        put(10, 1, 2, toWord(member));
        bringRefused(notHead);
    }

    function test_refusals() public {
        vm.deal(member, 100 ether);
        vm.startPrank(member);
        vm.expectRevert(abi.encodeWithSelector(IForcedQueue.BondTooLow.selector, BOND, BOND - 1));
        rollup.forceWithdraw{value: BOND - 1}(COMMUNITY, 0);
        vm.expectRevert(abi.encodeWithSelector(IForcedQueue.SlotOutOfRange.selector, SLOTS));
        rollup.forceWithdraw{value: BOND}(COMMUNITY, SLOTS);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownCommunity.selector, 9));
        rollup.forceWithdraw{value: BOND}(id(9), 0);
        rollup.forceWithdraw{value: BOND}(COMMUNITY, 0);
        vm.expectRevert(abi.encodeWithSelector(IForcedQueue.AlreadyQueued.selector, COMMUNITY, 0, member));
        rollup.forceWithdraw{value: 2 * BOND}(COMMUNITY, 0);
        vm.stopPrank();
        vm.expectRevert(IForcedQueue.NotFrozen.selector);
        rollup.returnBonds(COMMUNITY);
    }

    /// @dev A community that cannot settle yet must not be able to freeze the others.
    function test_noRequestBeforeTheFirstBatch() public {
        registerCommunity(id(1), SHAPE);
        vm.deal(member, BOND);
        vm.prank(member);
        vm.expectRevert(abi.encodeWithSelector(IForcedQueue.NotStarted.selector, 1));
        rollup.forceWithdraw{value: BOND}(id(1), 0);
    }

    /// @dev Each open request doubles the price of the next; eight are the most.
    function test_queueIsBoundedAndDear() public {
        uint256 paid;
        for (uint160 i = 0; i < 8; ++i) {
            uint256 bond = rollup.forcedBondOf(COMMUNITY);
            assertEq(bond, uint256(BOND) << i);
            paid += bond;
            request(address(0x1000 + i), 0);
        }
        assertEq(paid, 255 * uint256(BOND));
        vm.deal(member, 1000 ether);
        vm.prank(member);
        vm.expectRevert(abi.encodeWithSelector(IForcedQueue.QueueFull.selector, COMMUNITY));
        rollup.forceWithdraw{value: 1000 ether}(COMMUNITY, 1);
    }

    /// @dev Who pays more, because others might come first, has it back.
    function test_overpaidBondComesBack() public {
        fillPool(1);
        vm.deal(member, 1 ether);
        vm.prank(member);
        rollup.forceWithdraw{value: 1 ether}(COMMUNITY, 0);
        put(10, 1, 0, toWord(member));
        bring();
        assertEq(rollup.ethOwed(member), 1 ether);
    }

    function test_freeze() public {
        vm.expectRevert(abi.encodeWithSelector(IForcedQueue.DeadlineNotOver.selector, COMMUNITY, 0));
        rollup.freeze(COMMUNITY);
        request(member, 1);
        request(makeAddr("other"), 1);
        uint256 deadline = block.timestamp + DEADLINE;
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(IForcedQueue.DeadlineNotOver.selector, COMMUNITY, deadline));
        rollup.freeze(COMMUNITY);
        vm.warp(deadline + 1);
        Root root = rollup.stateRoot();
        vm.expectEmit(address(rollup));
        emit IForcedQueue.Frozen(COMMUNITY, root);
        vm.prank(makeAddr("anyone"));
        rollup.freeze(COMMUNITY);
        assertTrue(rollup.isFrozen());
        assertTrue(rollup.isFinalised(root));
        assertEq(rollup.batchCount(), 1);

        bytes memory frozen = abi.encodeWithSelector(IForcedQueue.IsFrozen.selector);
        vm.expectRevert(frozen);
        rollup.freeze(COMMUNITY);
        bringRefused(frozen);
        vm.expectRevert(frozen);
        rollup.deposit(toClaim(1), 1);
        vm.prank(operator);
        vm.expectRevert(frozen);
        rollup.addSupplierUnits(1);
        vm.deal(member, 1 ether);
        vm.prank(member);
        vm.expectRevert(frozen);
        rollup.forceWithdraw{value: 1 ether}(COMMUNITY, 2);

        vm.expectEmit(address(rollup));
        emit IForcedQueue.BondReturned(COMMUNITY, member, BOND);
        rollup.returnBonds(COMMUNITY);
        assertEq(rollup.ethOwed(member), BOND);
        assertEq(rollup.forcedWaiting().waiting, 0);
        assertEq(rollup.ethOwed(makeAddr("other")), 2 * BOND);
        rollup.returnBonds(COMMUNITY);
        vm.expectEmit(address(rollup));
        emit IVault.EthWithdrawn(member, BOND);
        rollup.withdrawEth(member);
        rollup.withdrawEth(makeAddr("other"));
        assertEq(address(rollup).balance, 0);
    }

    /// @dev A freeze costs no more than a bond that comes back: who freezes is whoever asked and was not served, member
    /// or not.
    function test_strangersRequestFreezesToo() public {
        address stranger = makeAddr("stranger");
        request(stranger, 0);
        vm.warp(block.timestamp + DEADLINE + 1);
        vm.prank(stranger);
        rollup.freeze(COMMUNITY);
        rollup.returnBonds(COMMUNITY);
        rollup.withdrawEth(stranger);
        assertEq(stranger.balance, BOND);
    }

    /// @dev A request served in time, however late, freezes nothing.
    function test_servedHeadDoesNotFreeze() public {
        request(member, 1);
        vm.warp(block.timestamp + DEADLINE + 1);
        put(10, 0, 1, toWord(member));
        bring();
        vm.expectRevert(abi.encodeWithSelector(IForcedQueue.DeadlineNotOver.selector, COMMUNITY, 0));
        rollup.freeze(COMMUNITY);
    }

    // FORCED.6
    function test_periodThatDoesNotFitTheDeadline() public {
        IRegistry.VerifierInit memory init = verifierInit(address(new AcceptAll()));
        (init.shape, init.m) = (9, 97);
        vm.prank(upgrader);
        registry.registerVerifier(VERSION, init);
        vm.prank(authority);
        registry.openTariffSet(9, LENGTH, 97);
        vm.prank(mdm);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.PeriodTooLong.selector, 97 hours, DEADLINE));
        registry.registerCommunity(id(2), 9, LENGTH, 97, 9, TERMS);
    }
}
