// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {Claim, CommunityId, Root} from "../contracts/Types.sol";
import {IExits} from "../contracts/interfaces/IExits.sol";
import {IForcedQueue} from "../contracts/interfaces/IForcedQueue.sol";
import {IRegistry} from "../contracts/interfaces/IRegistry.sol";
import {ISettle} from "../contracts/interfaces/ISettle.sol";
import {IVault} from "../contracts/interfaces/IVault.sol";
import {Trees} from "./Trees.sol";
import {AcceptAll} from "./Verifiers.sol";

/// @dev A community ends: announced, then no more requests, then closed; its members leave, the others go on.
contract ClosingTest is Trees {
    CommunityId internal constant OTHER = CommunityId.wrap(4000);
    uint64 internal constant NOTICE = 14 days;

    function setUp() public {
        start(address(new AcceptAll()));
        registerCommunity(OTHER, SHAPE);
    }

    function announce(CommunityId community) internal {
        vm.prank(mdm);
        registry.announceClosing(community);
    }

    function close(CommunityId community) internal {
        vm.prank(mdm);
        registry.closeCommunity(community);
    }

    /// @dev A state with an account of the community, then its end.
    function closeAt(Root root) internal {
        roots = uint256(Root.unwrap(root)) - 1;
        bring();
        announce(COMMUNITY);
        vm.warp(block.timestamp + NOTICE);
        close(COMMUNITY);
    }

    function stageOf(CommunityId community) internal view returns (IRegistry.Stage) {
        return registry.endOf(community).stage;
    }

    // CLOSE.1
    function test_theMeterDataManagerAnnouncesOnce() public {
        vm.expectPartialRevert(IAccessControl.AccessControlUnauthorizedAccount.selector);
        registry.announceClosing(COMMUNITY);
        vm.startPrank(mdm);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownCommunity.selector, 99));
        registry.announceClosing(id(99));
        vm.expectEmit(address(registry));
        emit IRegistry.CommunityClosing(COMMUNITY, uint40(block.timestamp + NOTICE));
        registry.announceClosing(COMMUNITY);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.AlreadyClosing.selector, COMMUNITY));
        registry.announceClosing(COMMUNITY);
    }

    // CLOSE.1: off the local chain nobody can deploy with a notice that is shorter than the way out.
    function test_theNoticeIsLongEnoughToLeave() public {
        assertEq(registry.verifierDelay(), NOTICE);
        announce(COMMUNITY);
        uint256 closesAt = block.timestamp + NOTICE;
        vm.warp(closesAt - 1);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NoticeNotOver.selector, COMMUNITY, closesAt));
        close(COMMUNITY);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NoticeNotOver.selector, OTHER, 0));
        close(OTHER);
        vm.warp(closesAt);
        close(COMMUNITY);
        assertTrue(registry.isClosed(COMMUNITY));
    }

    /// @dev While it is announced all goes on as before: who wants to leave is served.
    function test_duringTheNoticeItSettlesAndServes() public {
        bring();
        announce(COMMUNITY);
        bring();
        request(member, COMMUNITY, 1);
        put(10, 0, 1, toWord(member));
        bring();
        assertEq(uint256(stageOf(COMMUNITY)), uint256(IRegistry.Stage.Closing));
    }

    // CLOSE.2
    function test_onlyTheMeterDataManagerEndsTheRequests() public {
        announce(COMMUNITY);
        vm.warp(block.timestamp + NOTICE);
        vm.expectPartialRevert(IAccessControl.AccessControlUnauthorizedAccount.selector);
        registry.closeCommunity(COMMUNITY);
    }

    // CLOSE.2: who asked and found no place holds the end up for a day after a place is free.
    function test_notWhileAQueueIsFull() public {
        bring();
        announce(COMMUNITY);
        vm.warp(block.timestamp + NOTICE);
        for (uint160 i = 0; i < 8; ++i) {
            request(address(0x7000 + i), COMMUNITY, 0);
        }
        vm.expectRevert(abi.encodeWithSelector(IForcedQueue.QueueWasFull.selector, 0));
        close(COMMUNITY);
        put(10, 0, 0, toWord(address(0x7000)));
        bring();
        uint256 from = block.timestamp + rollup.QUIET_TIME();
        vm.expectRevert(abi.encodeWithSelector(IForcedQueue.QueueWasFull.selector, from));
        close(COMMUNITY);
        vm.warp(from);
        close(COMMUNITY);
        assertEq(uint256(stageOf(COMMUNITY)), uint256(IRegistry.Stage.Ending));
    }

    // CLOSE.3: who waits is served before it is closed, and a stranger cannot ask for ever.
    function test_requestsThatWaitAreServedFirst() public {
        bring();
        announce(COMMUNITY);
        vm.warp(block.timestamp + NOTICE);
        request(member, COMMUNITY, 1);
        vm.expectEmit(address(registry));
        emit IRegistry.CommunityEnding(COMMUNITY);
        close(COMMUNITY);
        vm.deal(operator, 1 ether);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.CommunityIsClosed.selector, COMMUNITY));
        rollup.forceWithdraw{value: 1 ether}(COMMUNITY, 2);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RequestsWait.selector, COMMUNITY, 1));
        close(COMMUNITY);
        put(10, 0, 1, toWord(member));
        bring();
        // Now anybody: nobody who may not ask any more depends on the meter data manager.
        vm.expectEmit(address(registry));
        emit IRegistry.CommunityClosed(COMMUNITY, 2);
        registry.closeCommunity(COMMUNITY);
    }

    // CLOSE.3: who waits and is not served freezes, also when the community ends.
    function test_whoIsNotServedFreezes() public {
        bring();
        announce(COMMUNITY);
        vm.warp(block.timestamp + NOTICE);
        request(member, COMMUNITY, 1);
        close(COMMUNITY);
        vm.warp(block.timestamp + DEADLINE + 1);
        rollup.freeze(COMMUNITY);
        vm.expectRevert(IForcedQueue.IsFrozen.selector);
        registry.closeCommunity(COMMUNITY);
    }

    // CLOSE.4
    function test_aClosedCommunityTakesNothingForEver() public {
        bring();
        announce(COMMUNITY);
        vm.warp(block.timestamp + NOTICE);
        close(COMMUNITY);
        expectSettleRevert(nextBatch(), abi.encodeWithSelector(IRegistry.CommunityIsClosed.selector, COMMUNITY));
        vm.deal(member, 1 ether);
        vm.prank(member);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.CommunityIsClosed.selector, COMMUNITY));
        rollup.forceWithdraw{value: 1 ether}(COMMUNITY, 1);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.CommunityIsClosed.selector, COMMUNITY));
        rollup.freeze(COMMUNITY);
        vm.startPrank(mdm);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.CommunityIsClosed.selector, COMMUNITY));
        registry.closeCommunity(COMMUNITY);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.AlreadyClosing.selector, COMMUNITY));
        registry.announceClosing(COMMUNITY);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.CommunityAlreadyRegistered.selector, COMMUNITY));
        registry.registerCommunity(COMMUNITY, SHAPE, LENGTH, M, SET, TERMS);
        vm.stopPrank();
        // The others go on.
        bringTo(OTHER, SLOTS);
    }

    /// @dev What the change is for: before, one request to a community that has ended froze everybody.
    function test_aFinishedCommunityFreezesNobody() public {
        bring();
        bringTo(OTHER, SLOTS);
        announce(COMMUNITY);
        vm.warp(block.timestamp + NOTICE);
        close(COMMUNITY);
        vm.deal(member, 1 ether);
        vm.prank(member);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.CommunityIsClosed.selector, COMMUNITY));
        rollup.forceWithdraw{value: BOND}(COMMUNITY, 0);
        vm.warp(block.timestamp + 365 days);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.CommunityIsClosed.selector, COMMUNITY));
        rollup.freeze(COMMUNITY);
        bringTo(OTHER, SLOTS);
    }

    // EXIT.8: also one that never settled, whose members are in the genesis state.
    function test_aCommunityThatNeverSettledIsClosedToo() public {
        announce(OTHER);
        vm.warp(block.timestamp + NOTICE);
        close(OTHER);
        assertEq(registry.endOf(OTHER).closedAfter, 0);
        (IExits.ExitOpening memory o,) = opening(OTHER, SLOTS, 2, 5, 1);
        vm.expectPartialRevert(IExits.NotInState.selector);
        exits.exit(o);
    }

    // EXIT.8
    function test_membersLeaveAClosedCommunity() public {
        (IExits.ExitOpening memory o, Root root) = opening(COMMUNITY, SLOTS, 2, uint64(40 * UNIT), 1);
        fillPool(100);
        roots = uint256(Root.unwrap(root)) - 1;
        bring();
        announce(COMMUNITY);
        vm.expectRevert(IForcedQueue.NotFrozen.selector);
        exits.exit(o);
        vm.warp(block.timestamp + NOTICE);
        close(COMMUNITY);
        uint256 before = vm.snapshotState();
        exits.exit(o);
        assertEq(rollup.withdrawable(member), 40 * TOKEN_PER_UNIT);
        vm.revertToState(before);
        // Batches of others do not come in between: the same opening, after any number of them.
        bringTo(OTHER, SLOTS);
        bringTo(OTHER, SLOTS);
        exits.exit(o);
        assertEq(rollup.withdrawable(member), 40 * TOKEN_PER_UNIT);
        vm.expectRevert(abi.encodeWithSelector(IVault.AlreadyExited.selector, COMMUNITY, 2));
        exits.exit(o);
        // Nor when the rollup freezes later.
        request(makeAddr("ignored"), OTHER, 0);
        vm.warp(block.timestamp + DEADLINE + 1);
        rollup.freeze(OTHER);
        vm.expectRevert(abi.encodeWithSelector(IVault.AlreadyExited.selector, COMMUNITY, 2));
        exits.exit(o);
    }

    // EXIT.8: a state before the last one is of balances that were spent since.
    function test_noExitFromAnEarlierState() public {
        (IExits.ExitOpening memory o, Root root) = opening(COMMUNITY, SLOTS, 2, uint64(40 * UNIT), 1);
        (IExits.ExitOpening memory last, Root lastRoot) = opening(COMMUNITY, SLOTS, 2, 1, 2);
        fillPool(100);
        roots = uint256(Root.unwrap(root)) - 1;
        bring();
        closeAt(lastRoot);
        vm.expectRevert(abi.encodeWithSelector(IExits.NotInState.selector, root));
        exits.exit(o);
        exits.exit(last);
        assertEq(rollup.hasExited(COMMUNITY, 2), true);
    }

    // EXIT.8: a closed community does not open the others.
    function test_noExitFromALivingCommunity() public {
        (IExits.ExitOpening memory o, Root root) = opening(OTHER, SLOTS, 2, uint64(40 * UNIT), 1);
        fillPool(100);
        closeAt(root);
        vm.expectRevert(IForcedQueue.NotFrozen.selector);
        exits.exit(o);
        // The vault looks itself.
        vm.startPrank(address(exits));
        vm.expectRevert(IForcedQueue.NotFrozen.selector);
        rollup.releaseSlot(OTHER, 2, member, 1);
        vm.expectRevert(IForcedQueue.NotFrozen.selector);
        rollup.releaseClaim(toClaim(1), member, 1);
    }

    /// @dev A claim names nobody's community: what was deposited for a member of a closed one comes back as ever.
    function test_aDepositForAClosedCommunityComesBack() public {
        bring();
        Claim claim = toClaim(0xdede);
        makeDeposit(member, claim, 5);
        announce(COMMUNITY);
        vm.warp(block.timestamp + NOTICE);
        close(COMMUNITY);
        vm.prank(member);
        rollup.requestRefund(claim);
        vm.warp(block.timestamp + REFUND_DELAY);
        rollup.refund(claim);
        assertEq(token.balanceOf(member), 5 * TOKEN_PER_UNIT);
    }
}
