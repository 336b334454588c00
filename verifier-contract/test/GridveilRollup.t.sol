// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Vm} from "forge-std/Test.sol";
import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IGridveilRollup} from "../contracts/IGridveilRollup.sol";
import {Parameters} from "../contracts/Parameters.sol";
import {Registry} from "../contracts/Registry.sol";
import {Roots} from "../contracts/Roots.sol";
import {Settle} from "../contracts/Settle.sol";
import {Vault} from "../contracts/Vault.sol";
import {Root} from "../contracts/Types.sol";
import {IRegistry} from "../contracts/interfaces/IRegistry.sol";
import {ISettle} from "../contracts/interfaces/ISettle.sol";
import {AcceptAll, AcceptOne, Burner, Relay, Rollup, RollupTest, Silent} from "./RollupTest.sol";

contract GridveilRollupTest is RollupTest {
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

    /// @dev What the constructor says: who reads L1 alone begins with it.
    function test_eventsOfTheConstructor() public {
        vm.recordLogs();
        address verifier = address(new AcceptAll());
        Rollup other = deploy(verifier);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        bytes32[4] memory topics = [
            IRegistry.ShapeRegistered.selector,
            IRegistry.VerifierRegistered.selector,
            IRegistry.VerifierRegistered.selector,
            ISettle.Genesis.selector
        ];
        bytes[4] memory data = [
            abi.encode(SLOTS, M),
            abi.encode(verifier, verifier.codehash, PROOF_LENGTH, block.timestamp),
            abi.encode(verifier, verifier.codehash, CERTIFICATE_PROOF_LENGTH, block.timestamp),
            abi.encode(GENESIS, VERSION, true)
        ];
        uint256 at;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] == IAccessControl.RoleGranted.selector) continue;
            assertEq(logs[i].emitter, address(other));
            assertEq(logs[i].topics[0], topics[at]);
            assertEq(logs[i].data, data[at++]);
        }
        assertEq(at, 4);
    }

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

    function test_onlyOperator() public {
        bytes32 role = rollup.OPERATOR_ROLE();
        bytes32[] memory data = words(SLOTS + 2, 1);
        bytes4 error = IAccessControl.AccessControlUnauthorizedAccount.selector;
        vm.expectRevert(abi.encodeWithSelector(error, mdm, role));
        settleAs(mdm, batch(), data, proofBytes());
    }

    function test_onlyDirect() public {
        Relay relay = new Relay();
        bytes32 role = rollup.OPERATOR_ROLE();
        vm.prank(admin);
        rollup.grantRole(role, address(relay));
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

    function test_unknownCommunity() public {
        ISettle.Settlement memory s = batch();
        s.community = 8;
        expectSettleRevert(s, abi.encodeWithSelector(IRegistry.UnknownCommunity.selector, 8));
    }

    function test_periodNotOver() public {
        uint256 end = block.timestamp;
        vm.warp(end - 1);
        expectSettleRevert(batch(), abi.encodeWithSelector(ISettle.PeriodNotOver.selector, end, end - 1));
        vm.warp(end);
        settle(batch());
    }

    function test_retiredVersion() public {
        vm.expectEmit(address(rollup));
        emit IRegistry.CircuitVersionRetired(VERSION);
        vm.prank(upgrader);
        rollup.retireVersion(VERSION);
        expectSettleRevert(batch(), abi.encodeWithSelector(IRegistry.VersionRetired.selector, VERSION));
    }

    function test_unknownVersion() public {
        ISettle.Settlement memory s = batch();
        s.circuitVersion = 2;
        expectSettleRevert(s, abi.encodeWithSelector(IRegistry.UnknownVerifier.selector, 2, SHAPE));
    }

    function test_newVersionWaitsForTheDelay() public {
        address next = address(new AcceptAll());
        uint64 activeFrom = uint64(block.timestamp) + 14 days;
        vm.expectEmit(address(rollup));
        emit IRegistry.VerifierRegistered(2, SHAPE, next, next.codehash, PROOF_LENGTH, activeFrom);
        vm.prank(upgrader);
        rollup.registerVerifier(2, verifierInit(next));
        assertEq(rollup.verifierOf(2, SHAPE).activeFrom, activeFrom);
        assertEq(rollup.verifierOf(2, SHAPE).codehash, next.codehash);
        ISettle.Settlement memory s = batch();
        s.circuitVersion = 2;
        vm.warp(activeFrom - 1);
        expectSettleRevert(s, abi.encodeWithSelector(IRegistry.VerifierNotActive.selector, activeFrom));
        vm.warp(activeFrom);
        settle(s);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.VerifierAlreadyRegistered.selector, 2, SHAPE));
        vm.prank(upgrader);
        rollup.registerVerifier(2, verifierInit(next));
    }

    function test_verifierRegistrationRules() public {
        IRegistry.VerifierInit memory init = verifierInit(address(0xdead));
        vm.startPrank(upgrader);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NoCode.selector, address(0xdead)));
        rollup.registerVerifier(2, init);
        init.verifier = address(rollup);
        init.m = M + 1;
        vm.expectRevert(abi.encodeWithSelector(IRegistry.ShapeMismatch.selector, SHAPE));
        rollup.registerVerifier(2, init);
        rollup.retireVersion(3);
        init.m = M;
        init.proofLength = PROOF_LENGTH + 1;
        vm.expectRevert(abi.encodeWithSelector(IRegistry.ProofNotWords.selector, PROOF_LENGTH + 1));
        rollup.registerVerifier(2, init);
        init.proofLength = PROOF_LENGTH;
        vm.expectRevert(abi.encodeWithSelector(IRegistry.VersionRetired.selector, 3));
        rollup.registerVerifier(3, init);
        vm.stopPrank();
    }

    function test_proofLength() public {
        bytes32[] memory data = words(SLOTS + 2, 1);
        for (uint256 i = 0; i < 3; ++i) {
            uint256 length = [uint256(0), PROOF_LENGTH - 32, PROOF_LENGTH + 32][i];
            vm.expectRevert(abi.encodeWithSelector(IRegistry.ProofLength.selector, PROOF_LENGTH, length));
            settleAs(operator, batch(), data, new bytes(length));
        }
    }

    function testFuzz_dataLength(uint256 length) public {
        length = bound(length, 0, SLOTS + 3);
        vm.assume(length != SLOTS + 2);
        bytes32[] memory data = words(length, 1);
        vm.expectRevert(abi.encodeWithSelector(ISettle.DataLength.selector, SLOTS + 2, length));
        settleAs(operator, batch(), data, proofBytes());
    }

    function testFuzz_wordsBelowModulus(uint256 index, uint256 excess) public {
        bytes32[] memory data = words(SLOTS + 2, 1);
        index = bound(index, 0, data.length - 1);
        uint256 word = bound(excess, R, type(uint256).max);
        data[index] = bytes32(word);
        vm.expectRevert(abi.encodeWithSelector(ISettle.NotCanonical.selector, word));
        settleAs(operator, batch(), data, proofBytes());
    }

    function testFuzz_rootsBelowModulus(uint256 excess) public {
        uint256 word = bound(excess, R, type(uint256).max);
        ISettle.Settlement memory s = batch();
        s.newRoot = toRoot(word);
        expectSettleRevert(s, abi.encodeWithSelector(ISettle.NotCanonical.selector, word));
        s = batch();
        s.communityNew = bytes32(word);
        expectSettleRevert(s, abi.encodeWithSelector(ISettle.NotCanonical.selector, word));
    }

    // ------------------------------------------------------------ communities

    function test_communityRules() public {
        vm.startPrank(mdm);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.CommunityAlreadyRegistered.selector, COMMUNITY));
        rollup.registerCommunity(COMMUNITY, SHAPE, LENGTH, M, SET, TERMS);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.CommunityOutOfRange.selector, 65536));
        rollup.registerCommunity(65536, SHAPE, LENGTH, M, SET, TERMS);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.BadIntervalLength.selector, 901));
        rollup.registerCommunity(1, SHAPE, 901, M, SET, TERMS);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownShape.selector, 9));
        rollup.registerCommunity(1, 9, LENGTH, M, SET, TERMS);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.ShapeMismatch.selector, SHAPE));
        rollup.registerCommunity(1, SHAPE, LENGTH, M - 1, SET, TERMS);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownTariffSet.selector, 6));
        rollup.registerCommunity(1, SHAPE, LENGTH, M, 6, TERMS);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.TariffSetMismatch.selector, SET));
        rollup.registerCommunity(1, SHAPE, 900, M, SET, TERMS);
        vm.expectEmit(address(rollup));
        emit IRegistry.CommunityRegistered(65535, SHAPE, LENGTH, M, SET, TERMS);
        rollup.registerCommunity(65535, SHAPE, LENGTH, M, SET, TERMS);
        vm.stopPrank();
        assertTrue(rollup.communityOf(65535).registered);
    }

    // ---------------------------------------------------------------- tariffs

    function test_tariffRules() public {
        uint32 next = uint32(block.timestamp / LENGTH) + 1;
        vm.startPrank(authority);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.TariffNotLater.selector, first - 5, first - 5));
        rollup.registerTariff(SET, first - 5, TARIFF);
        // The warp left us exactly at the start of interval next - 1.
        vm.expectRevert(
            abi.encodeWithSelector(IRegistry.TariffAlreadyStarted.selector, block.timestamp, block.timestamp)
        );
        rollup.registerTariff(SET, next - 1, TARIFF);
        vm.expectRevert(abi.encodeWithSelector(ISettle.NotCanonical.selector, R));
        rollup.registerTariff(SET, next, toTariff(R));
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownTariffSet.selector, 77));
        rollup.registerTariff(77, next, TARIFF);
        vm.expectEmit(address(rollup));
        emit IRegistry.TariffRegistered(SET, 1, next, TARIFF);
        assertEq(rollup.registerTariff(SET, next, TARIFF), 1);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.TariffSetAlreadyOpen.selector, SET));
        rollup.openTariffSet(SET, LENGTH, M);
        vm.expectEmit(address(rollup));
        emit IRegistry.TariffSetOpened(SET + 1, 900, 96);
        rollup.openTariffSet(SET + 1, 900, 96);
        vm.stopPrank();
        assertEq(rollup.tariffCount(SET), 2);
    }

    function test_tariffInForce() public {
        uint32 next = uint32(block.timestamp / LENGTH) + 1;
        vm.prank(authority);
        rollup.registerTariff(SET, next, toTariff(0x7b));
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

    /// @dev Who is billed at a tariff can read of it an hour before, but on the local chain.
    function test_tariffNotice() public {
        assertEq(rollup.tariffNotice(), 0);
        vm.chainId(1);
        Rollup live = deployWith(liveConfig(), new IRegistry.VerifierInit[](0));
        assertEq(live.tariffNotice(), 1 hours);
        vm.startPrank(authority);
        live.openTariffSet(SET, LENGTH, M);
        uint32 next = uint32(block.timestamp / LENGTH) + 2;
        uint256 startsAt = uint256(next) * LENGTH;
        vm.warp(startsAt - 1 hours + 1);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.TariffTooSoon.selector, startsAt, startsAt + 1));
        live.registerTariff(SET, next, TARIFF);
        vm.warp(startsAt);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.TariffAlreadyStarted.selector, startsAt, startsAt));
        live.registerTariff(SET, next, TARIFF);
        vm.warp(startsAt - 1 hours);
        live.registerTariff(SET, next, TARIFF);
        vm.stopPrank();
    }

    function test_historicTariffsOnTheLocalChainOnly() public {
        IGridveilRollup.Config memory c = config();
        c.enforceFutureTariffs = false;
        Rollup local = deployWith(c, new IRegistry.VerifierInit[](0));
        vm.startPrank(authority);
        local.openTariffSet(SET, LENGTH, M);
        local.registerTariff(SET, 1, TARIFF);
        vm.stopPrank();
        vm.chainId(1);
        vm.expectRevert(IRegistry.LocalChainOnly.selector);
        deployWith(c, new IRegistry.VerifierInit[](0));
    }

    // ------------------------------------------------------------------ roles

    function testFuzz_roles(address who) public {
        vm.assume(
            who != mdm && who != authority && who != regulator && who != upgrader && who != admin && who != operator
        );
        bytes4 refused = IAccessControl.AccessControlUnauthorizedAccount.selector;
        bytes[6] memory calls = [
            abi.encodeCall(rollup.registerCommunity, (1, SHAPE, LENGTH, M, SET, TERMS)),
            abi.encodeCall(rollup.openTariffSet, (6, LENGTH, M)),
            abi.encodeCall(rollup.registerTariff, (SET, type(uint32).max, TARIFF)),
            abi.encodeCall(rollup.registerVerifier, (2, verifierInit(address(rollup)))),
            abi.encodeCall(rollup.retireVersion, (1)),
            abi.encodeCall(rollup.setDepositsPaused, (true))
        ];
        address[6] memory owners = [mdm, authority, authority, upgrader, upgrader, regulator];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(who);
            (bool ok, bytes memory answer) = address(rollup).call(calls[i]);
            assertFalse(ok);
            assertEq(bytes4(answer), refused);
            // Nobody else's role is enough either.
            for (uint256 j = 0; j < owners.length; ++j) {
                if (owners[j] != owners[i]) {
                    vm.prank(owners[j]);
                    (ok,) = address(rollup).call(calls[i]);
                    assertFalse(ok);
                }
            }
        }
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(owners[i]);
            (bool ok,) = address(rollup).call(calls[i]);
            assertTrue(ok);
        }
        assertTrue(rollup.depositsPaused());
    }

    function test_pauseDoesNotTouchSettlement() public {
        vm.prank(regulator);
        rollup.setDepositsPaused(true);
        settle(batch());
    }

    function test_codeSize() public {
        uint256 size = address(rollup).code.length;
        vm.snapshotValue("rollup-bytes", size);
        vm.snapshotValue("exits-bytes", address(exits).code.length);
        bytes memory template = vm.getDeployedCode("GridveilRollup.sol:GridveilRollup");
        vm.snapshotValue("rollup-runtime-codehash", uint256(keccak256(template)));
        assertLt(size, 24_576);
        assertLt(vm.getCode("GridveilRollup.sol:GridveilRollup").length, 49_152);
    }
}

/// @dev What the verifier is given: exactly the ten instances and the proof.
contract GridveilRollupInstancesTest is RollupTest {
    function polynomial(bytes32[] memory data, uint256 z) internal pure returns (uint256 y) {
        uint256 power = 1;
        for (uint256 i = 0; i < data.length; ++i) {
            y = addmod(y, mulmod(uint256(data[i]), power, R), R);
            power = mulmod(power, z, R);
        }
    }

    function challenge(uint256 domain, ISettle.Settlement memory s, bytes32[] memory data)
        internal
        pure
        returns (uint256)
    {
        bytes32 hash = keccak256(abi.encodePacked(data));
        return uint256(keccak256(abi.encode(domain, GENESIS, s.newRoot, s.communityNew, s.opsDigest, hash))) % R;
    }

    function expectedCalldata(address at, ISettle.Settlement memory s, bytes32[] memory data, bytes memory proof)
        internal
        view
        returns (bytes memory)
    {
        uint256 domain = uint256(keccak256(abi.encode(block.chainid, at, uint256(s.circuitVersion)))) % R;
        uint256 z = challenge(domain, s, data);
        uint256 period = uint256(s.firstInterval) + uint256(LENGTH) * 2 ** 32 + uint256(M) * 2 ** 48;
        return bytes.concat(
            abi.encode(domain, GENESIS, s.newRoot, uint256(s.community), period, TARIFF),
            abi.encode(s.communityNew, s.opsDigest, z, polynomial(data, z)),
            proof
        );
    }

    function prepare(uint256 seed) internal returns (ISettle.Settlement memory s, bytes32[] memory data) {
        vm.warp(1_764_000_000);
        first = uint32(block.timestamp / LENGTH) + 10;
        data = words(SLOTS + 2, seed);
        s = batch();
        s.newRoot = toRoot(uint256(keccak256(abi.encode(seed, "root"))) % R);
        s.communityNew = bytes32(uint256(keccak256(abi.encode(seed, "node"))) % R);
    }

    function testFuzz_instances(uint256 seed) public {
        (ISettle.Settlement memory s, bytes32[] memory data) = prepare(seed);
        // The rollup is deployed next, after the verifier.
        address at = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        start(address(new AcceptOne(keccak256(expectedCalldata(at, s, data, proofBytes())))));
        assertEq(address(rollup), at);
        settleAs(operator, s, data, proofBytes());
    }

    function testFuzz_anyOtherDataIsRefused(uint256 seed, uint256 index, uint256 delta) public {
        (ISettle.Settlement memory s, bytes32[] memory data) = prepare(seed);
        address at = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        start(address(new AcceptOne(keccak256(expectedCalldata(at, s, data, proofBytes())))));
        index = bound(index, 0, data.length - 1);
        data[index] = bytes32(addmod(uint256(data[index]), bound(delta, 1, R - 1), R));
        vm.expectRevert(IRegistry.ProofRejected.selector);
        settleAs(operator, s, data, proofBytes());
    }

    function test_otherDeployment() public {
        (ISettle.Settlement memory s, bytes32[] memory data) = prepare(1);
        start(address(new AcceptOne(keccak256(expectedCalldata(address(0xbeef), s, data, proofBytes())))));
        vm.expectRevert(IRegistry.ProofRejected.selector);
        settleAs(operator, s, data, proofBytes());
    }

    function test_otherChain() public {
        (ISettle.Settlement memory s, bytes32[] memory data) = prepare(1);
        address at = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        start(address(new AcceptOne(keccak256(expectedCalldata(at, s, data, proofBytes())))));
        vm.chainId(31338);
        vm.expectRevert(IRegistry.ProofRejected.selector);
        settleAs(operator, s, data, proofBytes());
    }

    function test_staleRoot() public {
        (ISettle.Settlement memory s, bytes32[] memory data) = prepare(1);
        address at = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        start(address(new AcceptOne(keccak256(expectedCalldata(at, s, data, proofBytes())))));
        settleAs(operator, s, data, proofBytes());
        // The same proof again: the current root is not the one it starts from.
        vm.expectRevert(IRegistry.ProofRejected.selector);
        settleAs(operator, s, data, proofBytes());
    }

    function test_silentVerifierIsRefused() public {
        (ISettle.Settlement memory s, bytes32[] memory data) = prepare(1);
        start(address(new Silent()));
        vm.expectRevert(IRegistry.ProofRejected.selector);
        settleAs(operator, s, data, proofBytes());
    }

    function test_burningVerifierCostsAtMostTheCap() public {
        (ISettle.Settlement memory s, bytes32[] memory data) = prepare(1);
        start(address(new Burner()));
        uint256 before = gasleft();
        vm.expectRevert(IRegistry.ProofRejected.selector);
        settleAs(operator, s, data, proofBytes());
        assertLt(before - gasleft(), rollup.VERIFIER_GAS() + 300_000);
    }
}

contract DataBinding is Settle {
    constructor(IGridveilRollup.Config memory config, VerifierInit[] memory verifiers)
        Parameters(config)
        Roots(config)
        Registry(config, verifiers)
        Vault(config.poseidon)
    {}

    function bind(uint256[10] memory instances, bytes32[] calldata data) external view returns (uint256 z, uint256 y) {
        return _bindData(instances, data);
    }

    function gasOf(uint256[10] memory instances, bytes32[] calldata data) external view returns (uint256 used) {
        used = gasleft();
        _bindData(instances, data);
        used -= gasleft();
    }
}

/// @dev The unrolled evaluation against a plain one.
contract GridveilRollupDataTest is RollupTest {
    DataBinding internal binding;
    uint256[10] internal rows;

    function setUp() public {
        binding = new DataBinding(config(), new IRegistry.VerifierInit[](0));
        for (uint256 i = 0; i < 8; ++i) {
            rows[i] = uint256(keccak256(abi.encode("row", i))) % R;
        }
    }

    function check(bytes32[] memory data) internal view {
        (uint256 z, uint256 y) = binding.bind(rows, data);
        bytes32 hash = keccak256(abi.encodePacked(data));
        uint256 expectedZ = uint256(keccak256(abi.encode(rows[0], rows[1], rows[2], rows[6], rows[7], hash))) % R;
        uint256 expectedY;
        uint256 power = 1;
        for (uint256 i = 0; i < data.length; ++i) {
            expectedY = addmod(expectedY, mulmod(uint256(data[i]), power, R), R);
            power = mulmod(power, expectedZ, R);
        }
        assertEq(z, expectedZ);
        assertEq(y, expectedY);
    }

    function constant_(uint256 count, uint256 value) internal pure returns (bytes32[] memory data) {
        data = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            data[i] = bytes32(value);
        }
    }

    /// @dev Every remainder of eight, at every number of turns up to five, and the ends of the range of words.
    function test_everyCount() public view {
        for (uint256 count = 0; count <= 42; ++count) {
            check(words(count, count));
            check(constant_(count, 0));
            check(constant_(count, 1));
            check(constant_(count, R - 1));
        }
        for (uint256 count = 512; count <= 520; ++count) {
            check(words(count, count));
            check(constant_(count, R - 1));
        }
    }

    function testFuzz_agreesWithReference(uint256 count, uint256 seed) public view {
        check(words(bound(count, 2, 600), seed));
    }

    function testFuzz_boundaryWords(uint256 count, uint256 seed) public view {
        bytes32[] memory data = words(bound(count, 2, 600), seed);
        for (uint256 i = 0; i < data.length; ++i) {
            uint256 choice = uint256(keccak256(abi.encode(seed, i, "choice"))) % 4;
            if (choice == 0) data[i] = bytes32(0);
            if (choice == 1) data[i] = bytes32(R - 1);
        }
        check(data);
    }

    function refused(bytes32[] memory data, uint256 word) internal {
        vm.expectRevert(abi.encodeWithSelector(ISettle.NotCanonical.selector, word));
        binding.bind(rows, data);
    }

    /// @dev At every position, by one and by as much as a word can be.
    function test_nonCanonicalWordAtEveryPosition() public {
        for (uint256 count = 2; count <= 26; ++count) {
            for (uint256 i = 0; i < count; ++i) {
                bytes32[] memory data = words(count, 1);
                data[i] = bytes32(R);
                refused(data, R);
                data[i] = bytes32(type(uint256).max);
                refused(data, type(uint256).max);
            }
        }
    }

    function testFuzz_nonCanonicalWord(uint256 count, uint256 index, uint256 excess) public {
        bytes32[] memory data = words(bound(count, 2, 600), 1);
        uint256 word = bound(excess, R, type(uint256).max);
        data[bound(index, 0, data.length - 1)] = bytes32(word);
        refused(data, word);
    }

    /// @dev The first one in order is named, as before.
    function testFuzz_twoNonCanonicalWords(uint256 count, uint256 first_, uint256 second, uint256 excess) public {
        bytes32[] memory data = words(bound(count, 2, 600), 1);
        first_ = bound(first_, 0, data.length - 2);
        second = bound(second, first_ + 1, data.length - 1);
        uint256 word = bound(excess, R, type(uint256).max - 1);
        data[first_] = bytes32(word);
        data[second] = bytes32(word + 1);
        refused(data, word);
    }

    /// @dev Copying and hashing (13 with the memory), and evaluation.
    function test_gasOfWord() public {
        uint256 perWord = (binding.gasOf(rows, words(514, 1)) - binding.gasOf(rows, words(2, 1))) / 512;
        vm.snapshotValue("data-gas-per-word", perWord);
        assertLe(perWord, 70);
    }
}

/// @dev The largest shape: what a settlement costs besides its proof's verification.
contract GridveilRollupGasTest is RollupTest {
    uint32 internal constant LARGEST = 512;

    function setUp() public {
        start(address(new AcceptAll()));
        IRegistry.VerifierInit memory init = verifierInit(address(new AcceptAll()));
        (init.shape, init.slots) = (SHAPE + 1, LARGEST);
        vm.prank(upgrader);
        rollup.registerVerifier(VERSION, init);
        vm.prank(mdm);
        rollup.registerCommunity(COMMUNITY + 1, SHAPE + 1, LENGTH, M, SET, TERMS);
        vm.warp(block.timestamp + 14 days);
        settle(batch());
        // Not the community's first batch, which is noted once.
        ISettle.Settlement memory s = batch();
        (s.community, s.newRoot) = (COMMUNITY + 1, toRoot(0x4443));
        settleAs(operator, s, words(LARGEST + 2, 2), proofBytes());
    }

    function test_gasOfLargestShape() public {
        ISettle.Settlement memory s = batch();
        (s.community, s.newRoot) = (COMMUNITY + 1, toRoot(0x4444));
        bytes memory input = abi.encodeCall(ISettle.settle, (s, words(LARGEST + 2, 1), proofBytes()));
        address to = address(rollup);
        bool ok;
        vm.prank(operator, operator);
        uint256 used = gasleft();
        // Not a Solidity call, which would copy the calldata first.
        assembly ("memory-safe") {
            ok := call(gas(), to, 0, add(input, 0x20), mload(input), 0, 0)
        }
        used -= gasleft();
        assertTrue(ok);
        vm.snapshotValue("settle-514-words-execution-gas-without-verifier", used);
    }
}
