// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Vm} from "forge-std/Test.sol";
import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {Root} from "../contracts/Types.sol";
import {IRegistry} from "../contracts/interfaces/IRegistry.sol";
import {ISettle} from "../contracts/interfaces/ISettle.sol";
import {RollupTest} from "./RollupTest.sol";
import {AcceptAll} from "./Verifiers.sol";

/// @dev Passes a call on, as a contract between the operator and the rollup would.
contract Relay {
    function relay(address to, bytes calldata data) external {
        (bool ok, bytes memory answer) = to.call(data);
        if (!ok) {
            assembly { revert(add(answer, 0x20), mload(answer)) }
        }
    }
}

/// @dev What `settle` checks, but for the proof and the records.
contract SettleTest is RollupTest {
    function setUp() public {
        start(address(new AcceptAll()));
    }

    function test_settles() public {
        vm.expectEmit(address(rollup));
        emit ISettle.BatchSettled(1, COMMUNITY, first, GENESIS, batch().newRoot, batch().communityNew, TARIFF, VERSION);
        settle(batch());
        assertEq(rollup.stateRoot(), batch().newRoot);
        assertEq(rollup.batchCount(), 1);
        assertEq(rollup.genesisRoot(), GENESIS);
        assertTrue(rollup.isFinalised(GENESIS));
        assertTrue(rollup.isFinalised(batch().newRoot));
        assertFalse(rollup.isFinalised(toRoot(9)));
    }

    // L1.8
    function test_everyRootStaysFinalised() public {
        ISettle.Settlement memory s = batch();
        assertEq(rollup.batchCount(), 0);
        vm.recordLogs();
        for (uint256 i = 1; i < 5; ++i) {
            s.newRoot = toRoot(0x5000 + i);
            settle(s);
            assertEq(rollup.batchCount(), i);
        }
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, 4);
        for (uint256 i = 1; i < 5; ++i) {
            assertTrue(rollup.isFinalised(toRoot(0x5000 + i)));
            assertEq(logs[i - 1].topics[0], ISettle.BatchSettled.selector);
            assertEq(uint256(logs[i - 1].topics[1]), i);
            (Root oldRoot, Root newRoot) = abi.decode(logs[i - 1].data, (Root, Root));
            assertEq(oldRoot, i == 1 ? GENESIS : toRoot(0x5000 + i - 1));
            assertEq(newRoot, toRoot(0x5000 + i));
        }
        s.newRoot = GENESIS;
        expectSettleRevert(s, abi.encodeWithSelector(ISettle.RootAlreadyFinalised.selector, s.newRoot));
        s.newRoot = toRoot(0x5004);
        expectSettleRevert(s, abi.encodeWithSelector(ISettle.RootAlreadyFinalised.selector, s.newRoot));
        s.newRoot = toRoot(0x5002);
        expectSettleRevert(s, abi.encodeWithSelector(ISettle.RootAlreadyFinalised.selector, s.newRoot));
    }

    // L1.1
    function test_onlyOperator() public {
        bytes32 role = registry.OPERATOR_ROLE();
        bytes32[] memory data = words(SLOTS + 2, 1);
        bytes4 error = IAccessControl.AccessControlUnauthorizedAccount.selector;
        vm.expectRevert(abi.encodeWithSelector(error, mdm, role));
        settleAs(mdm, batch(), data, proofBytes());
    }

    // L1.1
    function test_onlyDirect() public {
        Relay relay = new Relay();
        bytes32 role = registry.OPERATOR_ROLE();
        vm.prank(admin);
        registry.grantRole(role, address(relay));
        bytes memory call = abi.encodeCall(ISettle.settle, (batch(), words(SLOTS + 2, 1), proofBytes()));
        vm.prank(operator, operator);
        vm.expectRevert(ISettle.NotDirectCall.selector);
        relay.relay(address(rollup), call);
    }

    /// @dev An account whose code is a delegate's (EIP-7702) calls as its transaction's origin, but what it calls with
    /// is not the transaction's calldata: it settles twice in one.
    function test_delegatedOperatorIsNotDirect() public {
        vm.etch(operator, address(new Relay()).code);
        bytes memory call = abi.encodeCall(ISettle.settle, (batch(), words(SLOTS + 2, 1), proofBytes()));
        vm.prank(operator, operator);
        vm.expectRevert(ISettle.NotDirectCall.selector);
        Relay(operator).relay(address(rollup), call);
        expectSettleRevert(batch(), abi.encodeWithSelector(ISettle.NotDirectCall.selector));
        vm.etch(operator, "");
        settle(batch());
    }

    function raw(ISettle.Settlement memory s, uint256 dataAt, uint256 proofAt, bytes memory tail)
        internal
        pure
        returns (bytes memory)
    {
        return bytes.concat(ISettle.settle.selector, abi.encode(s), abi.encode(dataAt, proofAt), tail);
    }

    function refusedEncoding(bytes memory input) internal {
        vm.prank(operator, operator);
        (bool ok, bytes memory answer) = address(rollup).call(input);
        assertFalse(ok);
        assertEq(answer, abi.encodeWithSelector(ISettle.NotStandardEncoding.selector));
    }

    /// @dev One batch has one encoding.
    // L1.1
    function test_otherEncodings() public {
        ISettle.Settlement memory s = batch();
        bytes32[] memory leaves = words(SLOTS + 2, 1);
        bytes memory data = bytes.concat(abi.encode(leaves.length), abi.encodePacked(leaves));
        bytes memory proof = bytes.concat(abi.encode(PROOF_LENGTH), proofBytes());
        bytes memory standard = raw(s, 288, 288 + data.length, bytes.concat(data, proof));
        assertEq(standard, abi.encodeCall(ISettle.settle, (s, leaves, proofBytes())));
        // The same length: the proof first; the data twice over, once as the proof.
        refusedEncoding(raw(s, 288 + proof.length, 288, bytes.concat(proof, data)));
        refusedEncoding(raw(s, 288, 288, bytes.concat(data, proof)));
        // A gap before both, or between them.
        refusedEncoding(raw(s, 320, 320 + data.length, bytes.concat(bytes32(0), data, proof)));
        refusedEncoding(raw(s, 288, 320 + data.length, bytes.concat(data, bytes32(0), proof)));
        // A proof with padding, which could be anything.
        bytes memory padded = bytes.concat(abi.encode(PROOF_LENGTH - 1), proofBytes());
        refusedEncoding(raw(s, 288, 288 + data.length, bytes.concat(data, padded)));
        vm.prank(operator, operator);
        (bool ok,) = address(rollup).call(standard);
        assertTrue(ok);
    }

    // L1.1
    function test_trailingBytes() public {
        bytes memory call = abi.encodeCall(ISettle.settle, (batch(), words(SLOTS + 2, 1), proofBytes()));
        vm.prank(operator, operator);
        (bool ok, bytes memory answer) = address(rollup).call(bytes.concat(call, hex"00"));
        assertFalse(ok);
        assertEq(bytes4(answer), ISettle.TrailingBytes.selector);
        vm.prank(operator, operator);
        (ok,) = address(rollup).call(call);
        assertTrue(ok);
    }

    // L1.2
    function test_unknownCommunity() public {
        ISettle.Settlement memory s = batch();
        s.community = id(8);
        expectSettleRevert(s, abi.encodeWithSelector(IRegistry.UnknownCommunity.selector, 8));
    }

    // L1.3
    function test_periodNotOver() public {
        uint256 end = block.timestamp;
        vm.warp(end - 1);
        expectSettleRevert(batch(), abi.encodeWithSelector(ISettle.PeriodNotOver.selector, end, end - 1));
        vm.warp(end);
        settle(batch());
    }

    // L1.7
    function test_proofLength() public {
        bytes32[] memory data = words(SLOTS + 2, 1);
        for (uint256 i = 0; i < 3; ++i) {
            uint256 length = [uint256(0), PROOF_LENGTH - 32, PROOF_LENGTH + 32][i];
            vm.expectRevert(abi.encodeWithSelector(IRegistry.ProofLength.selector, PROOF_LENGTH, length));
            settleAs(operator, batch(), data, new bytes(length));
        }
    }

    // L1.4
    function testFuzz_dataLength(uint256 length) public {
        length = bound(length, 0, SLOTS + 3);
        vm.assume(length != SLOTS + 2);
        bytes32[] memory data = words(length, 1);
        vm.expectRevert(abi.encodeWithSelector(ISettle.DataLength.selector, SLOTS + 2, length));
        settleAs(operator, batch(), data, proofBytes());
    }

    // L1.4
    function testFuzz_wordsBelowModulus(uint256 index, uint256 excess) public {
        bytes32[] memory data = words(SLOTS + 2, 1);
        index = bound(index, 0, data.length - 1);
        uint256 word = bound(excess, R, type(uint256).max);
        data[index] = bytes32(word);
        vm.expectRevert(abi.encodeWithSelector(ISettle.NotCanonical.selector, word));
        settleAs(operator, batch(), data, proofBytes());
    }

    // L1.4
    function testFuzz_rootsBelowModulus(uint256 excess) public {
        uint256 word = bound(excess, R, type(uint256).max);
        ISettle.Settlement memory s = batch();
        s.newRoot = toRoot(word);
        expectSettleRevert(s, abi.encodeWithSelector(ISettle.NotCanonical.selector, word));
        s = batch();
        s.communityNew = bytes32(word);
        expectSettleRevert(s, abi.encodeWithSelector(ISettle.NotCanonical.selector, word));
    }

    // L1.5
    function test_tariffInForce() public {
        uint32 next = uint32(block.timestamp / LENGTH) + 1;
        vm.prank(authority);
        registry.registerTariff(SET, next, toTariff(0x7b));
        vm.warp(uint256(next + 2 * M) * LENGTH);
        ISettle.Settlement memory s = batch();
        // The last interval before the new tariff: still the old one.
        s.firstInterval = next - 1;
        s.tariffIndex = 1;
        expectSettleRevert(s, abi.encodeWithSelector(ISettle.TariffNotInForce.selector, 1));
        s.tariffIndex = 0;
        settle(s);
        s.firstInterval = next;
        s.newRoot = toRoot(0x4444);
        expectSettleRevert(s, abi.encodeWithSelector(ISettle.TariffNotInForce.selector, 0));
        s.tariffIndex = 2;
        expectSettleRevert(s, abi.encodeWithSelector(ISettle.TariffNotInForce.selector, 2));
        s.tariffIndex = 1;
        settle(s);
        // Before the first tariff there is none.
        s.firstInterval = first - 6;
        s.tariffIndex = 0;
        s.newRoot = toRoot(0x4445);
        expectSettleRevert(s, abi.encodeWithSelector(ISettle.TariffNotInForce.selector, 0));
    }
}
