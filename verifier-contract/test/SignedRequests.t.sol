// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IForcedQueue} from "../contracts/interfaces/IForcedQueue.sol";
import {RollupTest} from "./RollupTest.sol";
import {AcceptAll} from "./Verifiers.sol";

/// @dev A member without ether signs, somebody else sends and pays the bond. FORCED.7
contract SignedRequestsTest is RollupTest {
    uint256 internal constant KEY = 0xa11ce;
    address internal alice = vm.addr(KEY);
    address internal relay = makeAddr("relay");

    function setUp() public {
        start(address(new AcceptAll()));
        bring();
        vm.deal(relay, 10 ether);
    }

    function digest(address verifying, uint256 chain, uint32 slot, address requester, uint256 nonce, uint256 deadline)
        internal
        pure
        returns (bytes32)
    {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Gridveil"),
                keccak256("1"),
                chain,
                verifying
            )
        );
        bytes32 request = keccak256(
            abi.encode(
                keccak256(
                    "ForcedWithdrawal(uint32 community,uint32 slot,address requester,uint256 nonce,uint256 deadline)"
                ),
                COMMUNITY,
                slot,
                requester,
                nonce,
                deadline
            )
        );
        return keccak256(abi.encodePacked("\x19\x01", domain, request));
    }

    function sign(uint256 key, bytes32 what) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, what);
        return abi.encodePacked(r, s, v);
    }

    function signed(uint32 slot, uint256 nonce, uint256 deadline) internal view returns (bytes memory) {
        return sign(KEY, digest(address(rollup), block.chainid, slot, alice, nonce, deadline));
    }

    function send(uint32 slot, uint256 deadline, bytes memory signature) internal {
        vm.prank(relay);
        rollup.forceWithdrawFor{value: BOND}(COMMUNITY, slot, alice, deadline, signature);
    }

    function refused(uint32 slot, uint256 deadline, bytes memory signature, uint256 nonce) internal {
        vm.prank(relay);
        vm.expectRevert(abi.encodeWithSelector(IForcedQueue.NotSigned.selector, alice, nonce));
        rollup.forceWithdrawFor{value: BOND}(COMMUNITY, slot, alice, deadline, signature);
    }

    function test_theMemberIsPaidAndTheRelayHasItsBondBack() public {
        fillPool(100);
        uint256 deadline = block.timestamp + 1 days;
        vm.expectEmit(address(rollup));
        emit IForcedQueue.ForcedRequested(COMMUNITY, 2, alice, 0, relay, BOND);
        send(2, deadline, signed(2, 0, deadline));
        assertEq(alice.balance, 0);
        IForcedQueue.ForcedEntry[] memory queue = rollup.forcedQueueOf(COMMUNITY);
        assertEq(abi.encode(queue[0]), abi.encode(alice, 2, block.timestamp, 0, relay, BOND));
        put(10, 70, 2, toWord(alice));
        bring();
        assertEq(rollup.withdrawable(alice), 70 * TOKEN_PER_UNIT);
        assertEq(rollup.withdrawable(relay), 0);
        assertEq(rollup.ethOwed(alice), 0);
        assertEq(rollup.ethOwed(relay), BOND);
    }

    /// @dev A request without effect burns the bond of who sent it: the member has nothing to lose, so who sends it looks.
    function test_aRequestWithoutEffectBurnsTheRelaysBond() public {
        uint256 deadline = block.timestamp + 1 days;
        send(2, deadline, signed(2, 0, deadline));
        put(10, 0, 2, toWord(alice));
        bring();
        assertEq(rollup.ethOwed(alice) + rollup.ethOwed(relay), 0);
        assertEq(address(rollup).balance, BOND);
    }

    function test_whenFrozenTheBondIsTheRelays() public {
        uint256 deadline = block.timestamp + 1 days;
        send(2, deadline, signed(2, 0, deadline));
        vm.warp(block.timestamp + DEADLINE + 1);
        rollup.freeze(COMMUNITY);
        vm.expectEmit(address(rollup));
        emit IForcedQueue.BondReturned(COMMUNITY, relay, BOND);
        rollup.returnBonds(COMMUNITY);
        rollup.withdrawEth(relay);
        assertEq(relay.balance, 10 ether);
    }

    /// @dev Each signature counts once: not while it waits, not after it was served, not for another slot.
    function test_noSignatureCountsTwice() public {
        fillPool(100);
        uint256 deadline = block.timestamp + 30 days;
        bytes memory signature = signed(2, 0, deadline);
        send(2, deadline, signature);
        refused(2, deadline, signature, 1);
        put(10, 70, 2, toWord(alice));
        bring();
        vm.warp(block.timestamp + DEADLINE);
        refused(2, deadline, signature, 1);
        assertEq(rollup.forcedNonceOf(alice), 1);
        send(2, deadline, signed(2, 1, deadline));
    }

    /// @dev A refused request uses no nonce: the same signature is sent again later.
    function test_aRefusalUsesNothing() public {
        uint256 deadline = block.timestamp + 1 days;
        bytes memory signature = signed(2, 0, deadline);
        vm.prank(relay);
        vm.expectRevert(abi.encodeWithSelector(IForcedQueue.BondTooLow.selector, BOND, BOND - 1));
        rollup.forceWithdrawFor{value: BOND - 1}(COMMUNITY, 2, alice, deadline, signature);
        assertEq(rollup.forcedNonceOf(alice), 0);
        send(2, deadline, signature);
    }

    function test_itsTimeEnds() public {
        uint256 deadline = block.timestamp + 1 days;
        bytes memory signature = signed(2, 0, deadline);
        vm.warp(deadline + 1);
        vm.prank(relay);
        vm.expectRevert(abi.encodeWithSelector(IForcedQueue.RequestExpired.selector, deadline));
        rollup.forceWithdrawFor{value: BOND}(COMMUNITY, 2, alice, deadline, signature);
        vm.warp(deadline);
        send(2, deadline, signature);
    }

    function test_whatWasSignedForAnotherIsRefused() public {
        uint256 deadline = block.timestamp + 1 days;
        bytes memory good = signed(2, 0, deadline);
        refused(3, deadline, good, 0);
        refused(2, deadline + 1, good, 0);
        refused(2, deadline, sign(KEY, digest(address(this), block.chainid, 2, alice, 0, deadline)), 0);
        refused(2, deadline, sign(KEY, digest(address(rollup), 1, 2, alice, 0, deadline)), 0);
        refused(2, deadline, sign(KEY + 1, digest(address(rollup), block.chainid, 2, alice, 0, deadline)), 0);
        refused(2, deadline, signed(2, 1, deadline), 0);
        refused(2, deadline, "", 0);
        // The other half of the curve would be a second signature of the same request.
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, digest(address(rollup), block.chainid, 2, alice, 0, deadline));
        uint256 order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
        refused(2, deadline, abi.encodePacked(r, bytes32(order - uint256(s)), v == 27 ? uint8(28) : uint8(27)), 0);
        // Nobody asks for the account zero.
        vm.prank(relay);
        vm.expectRevert(abi.encodeWithSelector(IForcedQueue.NotSigned.selector, address(0), 0));
        rollup.forceWithdrawFor{value: BOND}(COMMUNITY, 2, address(0), deadline, "");
        send(2, deadline, good);
    }

    /// @dev All that holds for a request of one's own holds for a signed one.
    function test_theQueuesRulesHold() public {
        uint256 deadline = block.timestamp + 1 days;
        vm.deal(alice, 1 ether);
        vm.prank(alice);
        rollup.forceWithdraw{value: BOND}(COMMUNITY, 2);
        bytes memory signature = signed(2, 0, deadline);
        vm.prank(relay);
        vm.expectRevert(abi.encodeWithSelector(IForcedQueue.AlreadyQueued.selector, COMMUNITY, 2, alice));
        rollup.forceWithdrawFor{value: 2 * BOND}(COMMUNITY, 2, alice, deadline, signature);
        signature = signed(SLOTS, 0, deadline);
        vm.prank(relay);
        vm.expectRevert(abi.encodeWithSelector(IForcedQueue.SlotOutOfRange.selector, SLOTS));
        rollup.forceWithdrawFor{value: 2 * BOND}(COMMUNITY, SLOTS, alice, deadline, signature);
    }
}
