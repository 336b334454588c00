// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Claim, Root} from "../contracts/Types.sol";
import {IExits} from "../contracts/interfaces/IExits.sol";
import {IVault} from "../contracts/interfaces/IVault.sol";
import {TestToken} from "../contracts/test/TestToken.sol";
import {Trees} from "./Trees.sol";
import {AcceptAll} from "./Verifiers.sol";

/// @dev A token whose issuer refuses accounts, as those of stable coins do.
contract RefusingToken is TestToken {
    error Refused(address account);

    mapping(address account => bool) public refuses;

    function refuse(address account, bool refused) external {
        refuses[account] = refused;
    }

    function _update(address from, address to, uint256 value) internal override {
        if (refuses[from]) revert Refused(from);
        if (refuses[to]) revert Refused(to);
        super._update(from, to, value);
    }
}

/// @dev What is left after a freeze; and a token that refuses somebody (docs/token.md).
contract RestTest is Trees {
    RefusingToken internal refusing;

    function setUp() public {
        refusing = new RefusingToken();
        token = refusing;
        start(address(new AcceptAll()));
    }

    function refused(address account) internal {
        vm.expectRevert(abi.encodeWithSelector(RefusingToken.Refused.selector, account));
    }

    // VAULT.8
    function test_theRestIsTheTreasurysAfterTenYears() public {
        vm.expectRevert(abi.encodeWithSelector(IVault.RestNotDue.selector, 0));
        rollup.sweepRest();
        (IExits.ExitOpening memory o, Root root) = opening(COMMUNITY, SLOTS, 2, uint64(40 * UNIT), 1);
        (Claim open, Claim taken) = (toClaim(0xabc), toClaim(0xabd));
        makeDeposit(member, open, 7);
        put(2, 3, 0, toWord(operator));
        makeDeposit(member, taken, 3);
        put(1, 3, 0, taken);
        (pending[0], pending[1], pending[2], pending[3]) = (pending[2], pending[3], pending[0], pending[1]);
        bring();
        freezeAt(root, 100);
        assertEq(rollup.frozenAt(), block.timestamp);
        uint256 from = block.timestamp + 3650 days;
        vm.warp(from - 1);
        vm.expectRevert(abi.encodeWithSelector(IVault.RestNotDue.selector, from));
        rollup.sweepRest();
        exits.exit(o);
        vm.warp(from);
        vm.expectEmit(address(rollup));
        emit IVault.RestSwept(uint64(60 * UNIT), 60 * TOKEN_PER_UNIT);
        rollup.sweepRest();
        assertEq(rollup.withdrawable(treasury), 60 * TOKEN_PER_UNIT);
        // What was credited, and deposits that nobody took in, are who they were.
        rollup.withdraw(treasury);
        rollup.withdraw(member);
        rollup.withdraw(operator);
        rollup.refund(open);
        assertEq(refusing.balanceOf(member), 47 * TOKEN_PER_UNIT);
        assertEq(refusing.balanceOf(operator), 3 * TOKEN_PER_UNIT);
        assertEq(refusing.balanceOf(address(rollup)), 0);
        rollup.sweepRest();
        assertEq(rollup.withdrawable(treasury), 0);
    }

    // VAULT.9: who is refused waits, and nobody else.
    function test_aRefusedAccountHoldsNobodyUp() public {
        fillPool(100);
        put(2, 10, 0, toWord(member));
        put(2, 20, 0, toWord(operator));
        bring();
        refusing.refuse(member, true);
        refused(member);
        rollup.withdraw(member);
        rollup.withdraw(operator);
        assertEq(refusing.balanceOf(operator), 20 * TOKEN_PER_UNIT);
        bring();
        // Nothing of it is lost.
        assertEq(rollup.withdrawable(member), 10 * TOKEN_PER_UNIT);
        refusing.refuse(member, false);
        rollup.withdraw(member);
        assertEq(refusing.balanceOf(member), 10 * TOKEN_PER_UNIT);
    }

    // VAULT.9: a depositor who is refused cannot be paid back; the deposit stays open, and a batch may take it in.
    function test_aRefusedDepositorsDepositStaysOpen() public {
        makeDeposit(member, toClaim(5), 5);
        vm.prank(member);
        rollup.requestRefund(toClaim(5));
        vm.warp(block.timestamp + REFUND_DELAY);
        refusing.refuse(member, true);
        refused(member);
        rollup.refund(toClaim(5));
        put(1, 5, 0, toClaim(5));
        bring();
        assertEq(uint256(rollup.depositOf(toClaim(5)).state), uint256(IVault.DepositState.Consumed));
    }

    // VAULT.9: the rollup itself is refused. It settles, serves, freezes and keeps books; no token moves until it may.
    function test_theRefusedRollupKeepsItsBooks() public {
        (IExits.ExitOpening memory o, Root root) = opening(COMMUNITY, SLOTS, 2, uint64(40 * UNIT), 1);
        fund(member, 10);
        fillPool(100);
        refusing.refuse(address(rollup), true);
        vm.prank(member);
        refused(address(rollup));
        rollup.deposit(toClaim(9), 1);
        assertEq(uint256(rollup.depositOf(toClaim(9)).state), uint256(IVault.DepositState.None));
        put(2, 10, 0, toWord(operator));
        bring();
        freezeAt(root, 0);
        exits.exit(o);
        refused(address(rollup));
        rollup.withdraw(member);
        refused(address(rollup));
        rollup.withdraw(operator);
        assertEq(rollup.withdrawable(member), 40 * TOKEN_PER_UNIT);
        assertEq(rollup.withdrawable(operator), 10 * TOKEN_PER_UNIT);
        refusing.refuse(address(rollup), false);
        rollup.withdraw(member);
        rollup.withdraw(operator);
        assertEq(refusing.balanceOf(member), 50 * TOKEN_PER_UNIT);
    }
}
