// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Claim, CommunityId, Owner, Root} from "../contracts/Types.sol";
import {IExits} from "../contracts/interfaces/IExits.sol";
import {IForcedQueue} from "../contracts/interfaces/IForcedQueue.sol";
import {IRegistry} from "../contracts/interfaces/IRegistry.sol";
import {IVault} from "../contracts/interfaces/IVault.sol";
import {Trees} from "./Trees.sol";
import {AcceptAll} from "./Verifiers.sol";

contract ExitsTest is Trees {
    uint64 internal constant UNIT64 = uint64(UNIT);

    function setUp() public {
        start(address(new AcceptAll()));
    }

    /// @dev circomlib's vector for poseidon([1, 2, 3, 4]).
    function test_poseidonIsCircomlibs() public view {
        assertEq(hash(1, 2, 3, 4), 0x299c867db6c1fdd79dcefa40e4510b9837e60ebb1ce0663dbaa525df65250465);
    }

    function test_exit() public {
        (IExits.ExitOpening memory o, Root root) = opening(COMMUNITY, SLOTS, 2, 123_456_789, 1);
        vm.expectRevert(IForcedQueue.NotFrozen.selector);
        exits.exit(o);
        freezeAt(root, 100);
        uint256 amount = uint256(123_456_789) * TOKEN_PER_UNIT / UNIT;
        vm.expectEmit(address(rollup));
        emit IVault.Exited(COMMUNITY, 2, member, 123_456_789, amount);
        exits.exit(o);
        assertTrue(rollup.hasExited(COMMUNITY, 2));
        assertEq(rollup.withdrawable(member), amount);
        (uint64 pool,,) = rollup.totals();
        assertEq(pool, 100 * UNIT - 123_456_789);
        rollup.withdraw(member);
        assertEq(token.balanceOf(member), amount);
        vm.expectRevert(abi.encodeWithSelector(IVault.AlreadyExited.selector, COMMUNITY, 2));
        exits.exit(o);
    }

    // EXIT.1, EXIT.2
    function test_exitRefusals() public {
        (IExits.ExitOpening memory o, Root root) = opening(COMMUNITY, SLOTS, 2, 5, 1);
        freezeAt(root, 1);
        o.slot = SLOTS;
        vm.expectRevert(abi.encodeWithSelector(IForcedQueue.SlotOutOfRange.selector, SLOTS));
        exits.exit(o);
        o.slot = 2;
        o.community = id(99);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownCommunity.selector, 99));
        exits.exit(o);
        o.community = COMMUNITY;
        bytes32[] memory siblings = o.siblings;
        o.siblings = new bytes32[](siblings.length - 3);
        vm.expectRevert(abi.encodeWithSelector(IExits.SiblingCount.selector, 27, 24));
        exits.exit(o);
        o.siblings = siblings;
        exits.exit(o);
    }

    // EXIT.3: balance + r and payout + r hash as balance and payout do, and no such word gets in.
    function test_balanceAndPayoutAreBelowTheModulus() public {
        (IExits.ExitOpening memory o, Root root) = opening(COMMUNITY, SLOTS, 2, 5, 1);
        freezeAt(root, 1);
        bytes memory encoded = abi.encodeCall(IExits.exit, (o));
        // Words of the call: selector, offset of the opening, community, slot, balance, payout.
        uint256[2] memory at = [uint256(4 + 32 * 3), 4 + 32 * 4];
        for (uint256 i = 0; i < 2; ++i) {
            uint256 position = 32 + at[i];
            uint256 honest;
            assembly {
                honest := mload(add(encoded, position))
            }
            assertEq(honest, i == 0 ? 5 : uint256(uint160(o.payout)));
            uint256[2] memory lies = [honest + R, honest + (i == 0 ? uint256(1) << 64 : uint256(1) << 160)];
            for (uint256 j = 0; j < 2; ++j) {
                uint256 lie = lies[j];
                assembly {
                    mstore(add(encoded, position), lie)
                }
                (bool taken, bytes memory answer) = address(exits).call(encoded);
                assertFalse(taken);
                assertEq(answer.length, 0, "refused before anything is looked at");
            }
            assembly {
                mstore(add(encoded, position), honest)
            }
        }
        (bool ok,) = address(exits).call(encoded);
        assertTrue(ok);
    }

    /// @dev No sound state has it; the vault does not pay what it does not have.
    function test_poolShort() public {
        (IExits.ExitOpening memory o, Root root) = opening(COMMUNITY, SLOTS, 2, uint64(UNIT) + 1, 1);
        freezeAt(root, 1);
        vm.expectRevert(abi.encodeWithSelector(IVault.PoolShort.selector, UNIT, UNIT + 1));
        exits.exit(o);
    }

    function refused(IExits.ExitOpening memory o) internal {
        vm.expectPartialRevert(IExits.NotInState.selector);
        exits.exit(o);
    }

    /// @dev Every shape, every slot, any balance; and nothing but the true opening.
    /// forge-config: default.fuzz.runs = 40
    function testFuzz_exit(uint256 shape, uint32 slot, CommunityId community, uint64 balance, uint256 seed) public {
        uint32 slots = [uint32(2), 4, 8, 32, 128][shape % 5];
        slot = slot % slots;
        community = id(uint32(bound(CommunityId.unwrap(community), 8, 65535)));
        balance = uint64(bound(balance, 0, 1000 * UNIT));
        (IExits.ExitOpening memory o, Root root) = opening(community, slots, slot, balance, seed);
        register(community, slots);
        freezeAt(root, 1000);

        o.balance += 1;
        refused(o);
        o.balance -= 1;
        o.payout = operator;
        refused(o);
        o.payout = member;
        o.slot = slot ^ 1;
        refused(o);
        o.slot = slot;
        bytes32 good = o.siblings[seed % o.siblings.length];
        o.siblings[seed % o.siblings.length] = bytes32(addmod(uint256(good), 1, R));
        refused(o);
        o.siblings[seed % o.siblings.length] = good;
        (o.headerLeaf, o.certificatesRoot) = (o.certificatesRoot, o.headerLeaf);
        refused(o);
        (o.headerLeaf, o.certificatesRoot) = (o.certificatesRoot, o.headerLeaf);
        (o.s1, o.s2) = (o.s2, o.s1);
        refused(o);
        (o.s1, o.s2) = (o.s2, o.s1);

        exits.exit(o);
        assertEq(rollup.withdrawable(member), uint256(balance) * TOKEN_PER_UNIT / UNIT);
        // The same element, written otherwise, opens the same slot, which is closed.
        if (uint256(o.s1) < type(uint256).max - R) o.s1 = bytes32(uint256(o.s1) + R);
        vm.expectRevert(abi.encodeWithSelector(IVault.AlreadyExited.selector, community, slot));
        exits.exit(o);
    }

    /// @dev The largest shape that is deployed, at its ends and in the middle: four levels and a half.
    function test_exitOf512() public {
        uint32[4] memory slots = [uint32(0), 255, 256, 511];
        for (uint256 i = 0; i < 4; ++i) {
            uint256 before = vm.snapshotState();
            (IExits.ExitOpening memory o, Root root) = opening(id(20), 512, slots[i], 123 * UNIT64, 5 + i);
            register(id(20), 512);
            freezeAt(root, 123);
            o.slot = slots[i] ^ 256;
            refused(o);
            o.slot = slots[i];
            exits.exit(o);
            assertEq(rollup.withdrawable(member), 123 * TOKEN_PER_UNIT);
            vm.revertToState(before);
        }
    }

    /// @dev What a supplier account got from the operator, and what a fee account has, belongs to no slot: it stays in
    /// the pool.
    function test_supplierMoneyStaysInThePool() public {
        fund(operator, 500);
        vm.prank(operator);
        rollup.addSupplierUnits(500);
        put(16, 500, 0, 0);
        bring();
        freezeRollup();
        (uint64 pool,, uint64 funds) = rollup.totals();
        assertEq(pool, 500 * UNIT);
        assertEq(funds, 0);
        vm.expectRevert(abi.encodeWithSelector(IVault.SupplierFundsShort.selector, 0, 1));
        rollup.removeSupplierUnits(1);
    }

    // ----------------------------------------------------------------- claims

    function claimOf(Owner recipient, uint64 amount, address payout, bytes32 sa, bytes32 sb)
        internal
        view
        returns (Claim)
    {
        return toClaim(
            hash(
                uint256(Owner.unwrap(recipient)),
                uint256(amount) | uint256(uint160(payout)) << 64,
                uint256(sa),
                uint256(sb)
            )
        );
    }

    function testFuzz_exitClaim(uint64 amount, uint256 seed) public {
        amount = uint64(bound(amount, 0, 50 * UNIT));
        bytes32[] memory w = words(3, seed);
        Owner recipient = Owner.wrap(w[0]);
        Claim claim = claimOf(recipient, amount, member, w[1], w[2]);
        fillPool(50);
        put(3, 0, 0, claim);
        bring();
        vm.expectRevert(IForcedQueue.NotFrozen.selector);
        exits.exitClaim(recipient, amount, member, w[1], w[2]);
        freezeRollup();
        vm.expectPartialRevert(IVault.ClaimNotOpen.selector);
        exits.exitClaim(recipient, amount + 1, member, w[1], w[2]);
        vm.expectPartialRevert(IVault.ClaimNotOpen.selector);
        exits.exitClaim(recipient, amount, operator, w[1], w[2]);
        vm.expectEmit(address(rollup));
        emit IVault.ClaimExited(claim, member, amount, uint256(amount) * TOKEN_PER_UNIT / UNIT);
        exits.exitClaim(recipient, amount, member, w[1], w[2]);
        vm.expectRevert(abi.encodeWithSelector(IVault.ClaimNotOpen.selector, claim));
        exits.exitClaim(recipient, amount, member, w[1], w[2]);
    }

    function test_receivedClaimDoesNotExit() public {
        Claim claim = claimOf(toOwner(1), 5, member, 0, 0);
        put(3, 0, 0, claim);
        put(4, 0, 0, claim);
        bring();
        freezeRollup();
        vm.expectRevert(abi.encodeWithSelector(IVault.ClaimNotOpen.selector, claim));
        exits.exitClaim(toOwner(1), 5, member, 0, 0);
    }

    /// @dev A deposit of that claim is not a transfer: it is refunded.
    function test_depositDoesNotExit() public {
        Claim claim = claimOf(toOwner(1), uint64(5 * UNIT), member, 0, 0);
        makeDeposit(member, claim, 5);
        freezeRollup();
        vm.expectRevert(abi.encodeWithSelector(IVault.ClaimNotOpen.selector, claim));
        exits.exitClaim(toOwner(1), uint64(5 * UNIT), member, 0, 0);
        rollup.refund(claim);
    }

    // EXIT.7
    function test_onlyPoseidonsCode() public {
        vm.expectRevert();
        deployCode("Exits.sol:Exits", abi.encode(rollup, registry, address(token)));
        vm.expectRevert();
        deployCode("Exits.sol:Exits", abi.encode(rollup, registry, address(0)));
        deployCode("Exits.sol:Exits", abi.encode(rollup, registry, deployPoseidon()));
    }
}
