// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Claim, GenesisTerms, TariffCommitment} from "../contracts/Types.sol";
import {ICertificates} from "../contracts/interfaces/ICertificates.sol";
import {IForcedQueue} from "../contracts/interfaces/IForcedQueue.sol";
import {ISettle} from "../contracts/interfaces/ISettle.sol";
import {IVault} from "../contracts/interfaces/IVault.sol";
import {RollupTest} from "./RollupTest.sol";
import {AcceptAll} from "./Verifiers.sol";

/// @dev What each record of a batch does, and every reason to refuse it.
contract RecordsTest is RollupTest {
    Claim internal constant CLAIM = Claim.wrap(bytes32(uint256(0xc1a1)));

    function setUp() public {
        start(address(new AcceptAll()));
    }

    function checkPool(uint256 units) internal view {
        (uint64 pool,,) = rollup.totals();
        assertEq(pool, units * UNIT);
    }

    function bad(uint256 index) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ISettle.BadRecord.selector, index);
    }

    // ----------------------------------------------------------------- format

    function test_lengthsOfRecords() public {
        bytes32[] memory data = words(SLOTS + 3, 1);
        vm.expectRevert(abi.encodeWithSelector(ISettle.DataLength.selector, SLOTS + 2, SLOTS + 3));
        settleAs(operator, batch(), data, proofBytes());
        data = words(SLOTS + 2 + 2 * 257, 1);
        vm.expectRevert(abi.encodeWithSelector(ISettle.DataLength.selector, SLOTS + 2, data.length));
        settleAs(operator, batch(), data, proofBytes());
    }

    /// @dev Words of zeros after the last record would not change the data's evaluation.
    function test_kindZeroIsRefused() public {
        put(0, 0, 0, 0);
        bringRefused(bad(0));
    }

    function testFuzz_unknownKinds(uint8 kind) public {
        bool known = (kind >= 1 && kind <= 4) || kind == 10 || kind == 11 || (kind >= 16 && kind <= 18) || kind == 20
            || kind == 21;
        vm.assume(!known);
        put(3, 0, 0, CLAIM);
        put(kind, 0, 0, 0);
        bringRefused(bad(1));
    }

    function testFuzz_fieldsAKindDoesNotHave(uint256 pick, uint256 x) public {
        uint8[9] memory withoutX = [1, 2, 3, 4, 16, 17, 18, 20, 21];
        x = bound(x, 1, 2 ** 150);
        put(withoutX[pick % 9], 0, x, 0);
        bringRefused(bad(0));
        uint8[5] memory withoutUnits = [3, 4, 11, 20, 21];
        put(withoutUnits[pick % 5], 1, 0, CLAIM);
        bringRefused(bad(0));
        uint8[2] memory withX = [10, 11];
        put(withX[pick % 2], 0, uint256(type(uint32).max) + 1, CLAIM);
        bringRefused(bad(0));
        put(16 + pick % 3, 0, 0, CLAIM);
        bringRefused(bad(0));
    }

    function test_nonCanonicalRecord() public {
        put(3, 0, 0, toClaim(R));
        bringRefused(abi.encodeWithSelector(ISettle.NotCanonical.selector, R));
    }

    function test_nonCanonicalDigest() public {
        ISettle.Settlement memory s = batch();
        s.opsDigest = bytes32(R);
        expectSettleRevert(s, abi.encodeWithSelector(ISettle.NotCanonical.selector, R));
    }

    // ---------------------------------------------------------------- deposit

    function test_depositIsConsumedOnce() public {
        makeDeposit(member, CLAIM, 500);
        put(1, 500, 0, CLAIM);
        vm.expectEmit(address(rollup));
        emit IVault.DepositConsumed(CLAIM, 500);
        bring();
        checkPool(500);
        assertEq(uint256(rollup.depositOf(CLAIM).state), uint256(IVault.DepositState.Consumed));
        put(1, 500, 0, CLAIM);
        bringRefused(abi.encodeWithSelector(IVault.DepositNotOpen.selector, 0, CLAIM));
        vm.prank(member);
        vm.expectRevert(abi.encodeWithSelector(IVault.NotOpen.selector, CLAIM));
        rollup.requestRefund(CLAIM);
        vm.expectRevert(abi.encodeWithSelector(IVault.NotOpen.selector, CLAIM));
        rollup.refund(CLAIM);
    }

    function test_depositTwiceInOneBatch() public {
        makeDeposit(member, CLAIM, 500);
        put(1, 500, 0, CLAIM);
        put(1, 500, 0, CLAIM);
        bringRefused(abi.encodeWithSelector(IVault.DepositNotOpen.selector, 1, CLAIM));
        checkPool(0);
    }

    function test_depositOfOtherUnits() public {
        makeDeposit(member, CLAIM, 500);
        put(1, 501, 0, CLAIM);
        bringRefused(abi.encodeWithSelector(IVault.DepositUnits.selector, 0, 500, 501));
    }

    /// @dev Who asks for a refund while a batch is on its way does not stop it.
    function test_requestedRefundDoesNotStopABatch() public {
        makeDeposit(member, CLAIM, 500);
        vm.prank(member);
        rollup.requestRefund(CLAIM);
        vm.warp(block.timestamp + REFUND_DELAY - 1);
        vm.expectRevert();
        rollup.refund(CLAIM);
        put(1, 500, 0, CLAIM);
        bring();
        vm.warp(block.timestamp + 1);
        vm.expectRevert(abi.encodeWithSelector(IVault.NotOpen.selector, CLAIM));
        rollup.refund(CLAIM);
    }

    // --------------------------------------------------------------- withdraw

    function test_withdraw() public {
        fillPool(500);
        put(2, 120, 0, toWord(member));
        vm.expectEmit(address(rollup));
        emit IVault.WithdrawalCredited(member, 120);
        bring();
        checkPool(380);
        assertEq(rollup.withdrawable(member), 120 * TOKEN_PER_UNIT);
        put(2, 381, 0, toWord(member));
        bringRefused(abi.encodeWithSelector(IVault.Insolvent.selector, 0));
        put(2, 0, 0, toWord(member));
        put(2, 380, 0, bytes32(uint256(1) << 160));
        bringRefused(bad(1));
        // Closing an account with less than a unit.
        put(2, 0, 0, toWord(member));
        bring();
    }

    // --------------------------------------------------------------- transfer

    function test_sendAndReceive() public {
        put(4, 0, 0, CLAIM);
        bringRefused(abi.encodeWithSelector(IVault.TransferNotOpen.selector, 0, CLAIM));
        put(3, 0, 0, CLAIM);
        vm.expectEmit(address(rollup));
        emit IVault.TransferOpened(CLAIM);
        bring();
        put(3, 0, 0, CLAIM);
        bringRefused(abi.encodeWithSelector(IVault.TransferNotNew.selector, 0, CLAIM));
        put(4, 0, 0, CLAIM);
        vm.expectEmit(address(rollup));
        emit IVault.TransferReceived(CLAIM);
        bring();
        assertEq(uint256(rollup.transferOf(CLAIM)), uint256(IVault.TransferState.Received));
        put(4, 0, 0, CLAIM);
        bringRefused(abi.encodeWithSelector(IVault.TransferNotOpen.selector, 0, CLAIM));
        put(3, 0, 0, CLAIM);
        bringRefused(abi.encodeWithSelector(IVault.TransferNotNew.selector, 0, CLAIM));
    }

    /// @dev A griefer who sees the batch deposits under a transfer's claim first: the batch goes through.
    function test_depositDoesNotStopATransfer() public {
        makeDeposit(makeAddr("griefer"), CLAIM, 1);
        put(3, 0, 0, CLAIM);
        bring();
        put(4, 0, 0, CLAIM);
        bring();
        // The deposit is what it was: taken in once, for its own units.
        put(4, 0, 0, CLAIM);
        bringRefused(abi.encodeWithSelector(IVault.TransferNotOpen.selector, 0, CLAIM));
        put(1, 1, 0, CLAIM);
        bring();
        checkPool(1);
    }

    // ------------------------------------------------------------- correction

    function test_correction() public {
        uint32 next = uint32(block.timestamp / LENGTH) + 1;
        TariffCommitment second = toTariff(0x7b);
        vm.prank(authority);
        registry.registerTariff(SET, next, second);
        vm.warp(uint256(next + 3 * M) * LENGTH);
        // The first tariff is from first - 5 on.
        (first, tariffIndex) = (next + M, 1);
        uint32[4] memory intervals = [next - 1, next, next + M - 1, next - M - 5];
        TariffCommitment[4] memory commitments = [TARIFF, second, second, TARIFF];
        TariffCommitment[4] memory others = [second, TARIFF, TARIFF, second];
        for (uint256 i = 0; i < 4; ++i) {
            put(11, 0, intervals[i], others[i]);
            bringRefused(abi.encodeWithSelector(ISettle.CorrectionTariff.selector, 0, intervals[i]));
            put(11, 0, intervals[i], commitments[i]);
            vm.expectEmit(address(rollup));
            emit ISettle.Corrected(COMMUNITY, intervals[i], commitments[i]);
            bring();
        }
        put(11, 0, first, second);
        bringRefused(abi.encodeWithSelector(ISettle.CorrectionTariff.selector, 0, first));
        put(11, 0, 1, TARIFF);
        bringRefused(abi.encodeWithSelector(ISettle.CorrectionTariff.selector, 0, 1));
    }

    /// @dev The search against a plain walk.
    function testFuzz_correctionFindsTheTariff(uint256 count, uint32 at) public {
        count = bound(count, 0, 12);
        uint32 next = uint32(block.timestamp / LENGTH) + 1;
        vm.startPrank(authority);
        for (uint256 i = 0; i < count; ++i) {
            registry.registerTariff(SET, next + uint32(7 * i), toTariff(0x100 + i));
        }
        vm.stopPrank();
        (first, tariffIndex) = (next + 200, uint32(count));
        vm.warp(uint256(first + M) * LENGTH);
        at = uint32(bound(at, next - M - 5, next + 120));
        TariffCommitment expected = TARIFF;
        if (at >= next && count > 0) {
            uint256 index = (at - next) / 7;
            expected = toTariff(0x100 + (index < count ? index : count - 1));
        }
        put(11, 0, at, expected);
        bring();
    }

    // ------------------------------------------------------- supplier account

    function test_supplierAccount() public {
        fund(operator, 100);
        vm.prank(operator);
        rollup.addSupplierUnits(100);
        put(16, 101, 0, 0);
        bringRefused(abi.encodeWithSelector(IVault.SupplierShort.selector, 0, 100, 101));
        put(16, 60, 0, 0);
        vm.expectEmit(address(rollup));
        emit IVault.HeaderMoneyMoved(COMMUNITY, 16, 60);
        bring();
        checkPool(60);
        put(17, 20, 0, 0);
        put(18, 5, 0, 0);
        bring();
        checkPool(35);
        assertEq(rollup.withdrawable(treasury), 25 * TOKEN_PER_UNIT);
        put(18, 36, 0, 0);
        bringRefused(abi.encodeWithSelector(IVault.Insolvent.selector, 0));
        (,, uint64 funds) = rollup.totals();
        assertEq(funds, 40);
    }

    // ---------------------------------------------------------- initialisation

    function test_initialisation() public {
        put(21, 0, 0, TARIFF);
        bringRefused(abi.encodeWithSelector(ISettle.NotGenesisTerms.selector, 0, TARIFF));
        put(3, 0, 0, CLAIM);
        put(21, 0, 0, TERMS);
        bringRefused(abi.encodeWithSelector(ISettle.AlreadyInitialised.selector, 1));
        put(21, 0, 0, TERMS);
        vm.expectEmit(address(rollup));
        emit ISettle.CommunityInitialised(COMMUNITY, TERMS);
        bring();
        assertTrue(rollup.settledThrough(COMMUNITY) != 0);
        put(21, 0, 0, TERMS);
        bringRefused(abi.encodeWithSelector(ISettle.AlreadyInitialised.selector, 0));
    }

    function test_noInitialisationWithoutTerms() public {
        vm.prank(mdm);
        registry.registerCommunity(id(1), SHAPE, LENGTH, M, SET, GenesisTerms.wrap(0));
        ISettle.Settlement memory s = nextBatch();
        s.community = id(1);
        put(21, 0, 0, 0);
        bytes32[] memory data = recordData();
        vm.expectRevert(abi.encodeWithSelector(ISettle.NotGenesisTerms.selector, 0, 0));
        settleAs(operator, s, data, proofBytes());
    }

    // ----------------------------------------------------------------- forced

    function test_recordsOfAnEmptyQueue() public {
        put(10, 0, 0, toWord(member));
        bringRefused(abi.encodeWithSelector(IForcedQueue.ForcedNotHead.selector, 0));
        put(20, 0, 0, 0);
        bringRefused(abi.encodeWithSelector(ICertificates.NotHeadNote.selector, 0, 0));
    }

    /// @dev The effects are the last thing: a refused record leaves nothing behind, an accepted batch all.
    function test_allOrNothing() public {
        fillPool(100);
        put(2, 10, 0, toWord(member));
        put(3, 0, 0, CLAIM);
        put(2, 91, 0, toWord(member));
        bringRefused(abi.encodeWithSelector(IVault.Insolvent.selector, 2));
        assertEq(rollup.withdrawable(member), 0);
        assertEq(uint256(rollup.transferOf(CLAIM)), 0);
    }
}
