// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {Claim} from "../contracts/Types.sol";
import {ISettle} from "../contracts/interfaces/ISettle.sol";
import {IRegistry} from "../contracts/interfaces/IRegistry.sol";
import {IVault} from "../contracts/interfaces/IVault.sol";
import {IGridveilRollup} from "../contracts/IGridveilRollup.sol";
import {RollupTest} from "./RollupTest.sol";
import {AcceptAll} from "./Verifiers.sol";

contract VaultTest is RollupTest {
    Claim internal constant CLAIM = Claim.wrap(bytes32(uint256(0xc1a1)));
    address internal stranger = makeAddr("stranger");

    function setUp() public {
        start(address(new AcceptAll()));
    }

    // --------------------------------------------------------------- deposits

    function test_deposit() public {
        fund(member, 500);
        vm.expectEmit(address(rollup));
        emit IVault.DepositMade(CLAIM, member, 500);
        vm.prank(member);
        rollup.deposit(CLAIM, 500);
        IVault.DepositEntry memory entry = rollup.depositOf(CLAIM);
        assertEq(entry.depositor, member);
        assertEq(entry.units, 500);
        assertEq(entry.refundableAt, 0);
        assertEq(uint256(entry.state), uint256(IVault.DepositState.Open));
        assertEq(token.balanceOf(address(rollup)), 500 * TOKEN_PER_UNIT);
        (uint64 pool, uint64 open, uint64 supplier) = rollup.totals();
        assertEq(pool, 0);
        assertEq(open, 500);
        assertEq(supplier, 0);
    }

    function test_depositRefusals() public {
        fund(member, 1000);
        vm.startPrank(member);
        vm.expectRevert(IVault.ZeroUnits.selector);
        rollup.deposit(CLAIM, 0);
        vm.expectRevert(abi.encodeWithSelector(IVault.ClaimUsed.selector, 0));
        rollup.deposit(toClaim(0), 1);
        vm.expectRevert(abi.encodeWithSelector(ISettle.NotCanonical.selector, R));
        rollup.deposit(toClaim(R), 1);
        rollup.deposit(CLAIM, 1);
        vm.expectRevert(abi.encodeWithSelector(IVault.ClaimUsed.selector, CLAIM));
        rollup.deposit(CLAIM, 1);
        vm.expectRevert();
        rollup.deposit(toClaim(2), 1000);
        vm.stopPrank();
    }

    // VAULT.3
    function test_cap() public {
        uint48 most = uint48((2 ** 62 - 1) / UNIT);
        fund(member, uint256(most) * 2);
        vm.startPrank(member);
        vm.expectRevert(abi.encodeWithSelector(IVault.CapExceeded.selector, (uint256(most) + 1) * UNIT));
        rollup.deposit(CLAIM, most + 1);
        vm.expectRevert();
        rollup.deposit(CLAIM, type(uint48).max);
        rollup.deposit(CLAIM, most);
        vm.expectRevert(abi.encodeWithSelector(IVault.CapExceeded.selector, (uint256(most) + 1) * UNIT));
        rollup.deposit(toClaim(2), 1);
        vm.stopPrank();
        fund(operator, 1);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IVault.CapExceeded.selector, (uint256(most) + 1) * UNIT));
        rollup.addSupplierUnits(1);
        put(1, most, 0, CLAIM);
        bring();
        put(2, most, 0, toWord(member));
        bring();
        assertEq(rollup.withdrawable(member), uint256(most) * TOKEN_PER_UNIT);
    }

    function test_pauseIsOfDepositsAlone() public {
        makeDeposit(member, CLAIM, 5);
        makeDeposit(member, toClaim(2), 5);
        vm.expectEmit(address(rollup));
        emit IVault.DepositsPaused(true);
        vm.prank(regulator);
        rollup.setDepositsPaused(true);
        vm.prank(member);
        vm.expectRevert(IVault.DepositsArePaused.selector);
        rollup.deposit(toClaim(3), 5);
        put(1, 5, 0, CLAIM);
        put(2, 5, 0, toWord(member));
        bring();
        rollup.withdraw(member);
        vm.prank(member);
        rollup.requestRefund(toClaim(2));
        vm.warp(block.timestamp + REFUND_DELAY);
        rollup.refund(toClaim(2));
        assertEq(token.balanceOf(member), 10 * TOKEN_PER_UNIT);
        vm.expectEmit(address(rollup));
        emit IVault.DepositsPaused(false);
        vm.prank(regulator);
        rollup.setDepositsPaused(false);
        makeDeposit(member, toClaim(3), 5);
        freezeRollup();
    }

    /// @dev VAULT.1's price: who sees a claim on its way may use it first, with one unit, which comes back. The member
    /// takes another claim.
    function test_claimUsedByAStranger() public {
        makeDeposit(stranger, CLAIM, 1);
        fund(member, 500);
        vm.startPrank(member);
        vm.expectRevert(abi.encodeWithSelector(IVault.ClaimUsed.selector, CLAIM));
        rollup.deposit(CLAIM, 500);
        rollup.deposit(toClaim(2), 500);
        vm.stopPrank();
        assertEq(rollup.depositOf(CLAIM).depositor, stranger);
    }

    // ---------------------------------------------------------------- refunds

    function test_refund() public {
        makeDeposit(member, CLAIM, 7);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IVault.NotDepositor.selector, CLAIM, member));
        rollup.requestRefund(CLAIM);
        vm.expectRevert(abi.encodeWithSelector(IVault.NotRefundable.selector, CLAIM, 0));
        rollup.refund(CLAIM);
        uint256 at = block.timestamp + REFUND_DELAY;
        vm.expectEmit(address(rollup));
        emit IVault.RefundRequested(CLAIM, uint40(at));
        vm.prank(member);
        rollup.requestRefund(CLAIM);
        vm.prank(member);
        vm.expectRevert(abi.encodeWithSelector(IVault.RefundAlreadyRequested.selector, CLAIM));
        rollup.requestRefund(CLAIM);
        vm.warp(at - 1);
        vm.expectRevert(abi.encodeWithSelector(IVault.NotRefundable.selector, CLAIM, at));
        rollup.refund(CLAIM);
        vm.warp(at);
        vm.expectEmit(address(rollup));
        emit IVault.Refunded(CLAIM, member, 7);
        vm.prank(stranger);
        rollup.refund(CLAIM);
        assertEq(token.balanceOf(member), 7 * TOKEN_PER_UNIT);
        vm.expectRevert(abi.encodeWithSelector(IVault.NotOpen.selector, CLAIM));
        rollup.refund(CLAIM);
        put(1, 7, 0, CLAIM);
        bringRefused(abi.encodeWithSelector(IVault.DepositNotOpen.selector, 0, CLAIM));
        // A claim is used once, whatever became of it.
        fund(member, 7);
        vm.prank(member);
        vm.expectRevert(abi.encodeWithSelector(IVault.ClaimUsed.selector, CLAIM));
        rollup.deposit(CLAIM, 7);
    }

    function test_unknownClaims() public {
        vm.expectRevert(abi.encodeWithSelector(IVault.NotOpen.selector, CLAIM));
        rollup.requestRefund(CLAIM);
        vm.expectRevert(abi.encodeWithSelector(IVault.NotOpen.selector, CLAIM));
        rollup.refund(CLAIM);
    }

    function test_frozenRefundsAtOnce() public {
        makeDeposit(member, CLAIM, 7);
        freezeRollup();
        vm.prank(stranger);
        rollup.refund(CLAIM);
        assertEq(token.balanceOf(member), 7 * TOKEN_PER_UNIT);
        vm.expectRevert(abi.encodeWithSelector(IVault.NotOpen.selector, CLAIM));
        rollup.refund(CLAIM);
    }

    // ------------------------------------------------------- supplier account

    function test_supplierFunds() public {
        bytes32 role = registry.OPERATOR_ROLE();
        bytes memory refused =
            abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, stranger, role);
        fund(operator, 10);
        vm.prank(stranger);
        vm.expectRevert(refused);
        rollup.addSupplierUnits(1);
        vm.startPrank(operator);
        vm.expectRevert(IVault.ZeroUnits.selector);
        rollup.addSupplierUnits(0);
        vm.expectEmit(address(rollup));
        emit IVault.SupplierFunded(10);
        rollup.addSupplierUnits(10);
        vm.expectRevert(abi.encodeWithSelector(IVault.SupplierFundsShort.selector, 10, 11));
        rollup.removeSupplierUnits(11);
        vm.expectEmit(address(rollup));
        emit IVault.SupplierUnfunded(4);
        rollup.removeSupplierUnits(4);
        vm.stopPrank();
        assertEq(rollup.withdrawable(treasury), 4 * TOKEN_PER_UNIT);
        // A stranger would take the funds from under a batch; when frozen they are of no other use.
        vm.prank(stranger);
        vm.expectRevert(refused);
        rollup.removeSupplierUnits(1);
        freezeRollup();
        vm.prank(stranger);
        rollup.removeSupplierUnits(6);
        assertEq(rollup.withdrawable(treasury), 10 * TOKEN_PER_UNIT);
    }

    // ------------------------------------------------------------ withdrawals

    function test_withdrawPaysOnce() public {
        fillPool(10);
        put(2, 10, 0, toWord(member));
        bring();
        vm.expectEmit(address(rollup));
        emit IVault.Withdrawn(member, 10 * TOKEN_PER_UNIT);
        vm.prank(stranger);
        rollup.withdraw(member);
        assertEq(token.balanceOf(member), 10 * TOKEN_PER_UNIT);
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingToWithdraw.selector, member));
        rollup.withdraw(member);
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingToWithdraw.selector, member));
        rollup.withdrawEth(member);
    }

    function test_nobodyElseReleases() public {
        freezeRollup();
        vm.expectRevert(abi.encodeWithSelector(IVault.NotExits.selector, address(this)));
        rollup.releaseSlot(COMMUNITY, 0, member, 1);
        vm.expectRevert(abi.encodeWithSelector(IVault.ClaimNotOpen.selector, CLAIM));
        rollup.releaseClaim(CLAIM, member, 1);
    }

    // ------------------------------------------------------------ configuration

    function refusedConfig(IGridveilRollup.Config memory c, string memory what) internal {
        vm.expectRevert(abi.encodeWithSelector(IVault.BadConfig.selector, what));
        deployWith(c, new IRegistry.VerifierInit[](0));
    }

    function test_configuration() public {
        IGridveilRollup.Config memory c = config();
        c.tokenPerUnit = 0;
        refusedConfig(c, "tokenPerUnit");
        c = config();
        c.treasury = address(0);
        refusedConfig(c, "treasury");
        c = config();
        c.forcedDeadline = 61 days;
        refusedConfig(c, "forcedDeadline");
        c.forcedDeadline = 0;
        refusedConfig(c, "forcedDeadline");
        c = config();
        c.refundDelay = 60 days + 1;
        refusedConfig(c, "refundDelay");
        c = config();
        c.verifierDelay = 3650 days + 1;
        refusedConfig(c, "verifierDelay");
        c = config();
        c.token = stranger;
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NoCode.selector, stranger));
        deployWith(c, new IRegistry.VerifierInit[](0));
        c = config();
        c.poseidon = address(token);
        vm.expectRevert();
        deployWith(c, new IRegistry.VerifierInit[](0));

        // Development shortcuts, elsewhere.
        c = config();
        (c.verifierDelay, c.refundDelay, c.forcedBond) = (0, 0, 0);
        deployWith(c, new IRegistry.VerifierInit[](0));
        vm.chainId(1);
        refusedConfig(c, "verifierDelay");
        c = liveConfig();
        c.verifierDelay = DEADLINE + 7 days - 1;
        refusedConfig(c, "verifierDelay");
        c = liveConfig();
        c.forcedDeadline = 2 days - 1;
        refusedConfig(c, "forcedDeadline");
        // An outage that is long enough for a refund to be paid under a batch is long enough for the freeze.
        c = liveConfig();
        c.refundDelay = DEADLINE - 1;
        refusedConfig(c, "refundDelay");
        c = liveConfig();
        c.forcedBond = 0;
        refusedConfig(c, "forcedBond");
        deployWith(liveConfig(), new IRegistry.VerifierInit[](0));
        c = liveConfig();
        (c.verifierDelay, c.forcedDeadline, c.refundDelay) = (67 days, 60 days, 60 days);
        deployWith(c, new IRegistry.VerifierInit[](0));
    }
}

