// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IGridveilRollup} from "../contracts/IGridveilRollup.sol";
import {IRegistry} from "../contracts/interfaces/IRegistry.sol";
import {ISettle} from "../contracts/interfaces/ISettle.sol";
import {CommunityId} from "../contracts/Types.sol";
import {Registry, RollupTest} from "./RollupTest.sol";
import {AcceptAll} from "./Verifiers.sol";

/// @dev Communities, tariffs, verifiers: what is registered, and every reason to refuse it.
contract RegistryTest is RollupTest {
    function setUp() public {
        start(address(new AcceptAll()));
    }

    // --------------------------------------------------------- communities

    function test_communityRules() public {
        vm.startPrank(mdm);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.CommunityAlreadyRegistered.selector, COMMUNITY));
        registry.registerCommunity(COMMUNITY, SHAPE, LENGTH, M, SET, TERMS);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.CommunityOutOfRange.selector, 65536));
        registry.registerCommunity(id(65536), SHAPE, LENGTH, M, SET, TERMS);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.BadIntervalLength.selector, 901));
        registry.registerCommunity(id(1), SHAPE, 901, M, SET, TERMS);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownShape.selector, 9));
        registry.registerCommunity(id(1), 9, LENGTH, M, SET, TERMS);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.ShapeMismatch.selector, SHAPE));
        registry.registerCommunity(id(1), SHAPE, LENGTH, M - 1, SET, TERMS);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownTariffSet.selector, 6));
        registry.registerCommunity(id(1), SHAPE, LENGTH, M, 6, TERMS);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.TariffSetMismatch.selector, SET));
        registry.registerCommunity(id(1), SHAPE, 900, M, SET, TERMS);
        vm.expectEmit(address(registry));
        emit IRegistry.CommunityRegistered(id(65535), SHAPE, LENGTH, M, SET, TERMS);
        registry.registerCommunity(id(65535), SHAPE, LENGTH, M, SET, TERMS);
        vm.stopPrank();
        assertTrue(registry.communityOf(id(65535)).registered);
    }

    /// @dev A number is district and index, and nothing else; a second community of a district is refused.
    function testFuzz_districtAndIndex(uint16 district, uint16 index) public {
        CommunityId community = id(uint32(index) << 16 | district);
        assertEq(community.districtOf(), district);
        assertEq(community.indexOf(), index);
        vm.assume(index != 0);
        vm.prank(mdm);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.CommunityOutOfRange.selector, community));
        registry.registerCommunity(community, SHAPE, LENGTH, M, SET, TERMS);
    }

    // ------------------------------------------------------------- tariffs

    function test_tariffRules() public {
        uint32 next = uint32(block.timestamp / LENGTH) + 1;
        vm.startPrank(authority);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.TariffNotLater.selector, first - 5, first - 5));
        registry.registerTariff(SET, first - 5, TARIFF);
        // The warp left us exactly at the start of interval next - 1.
        vm.expectRevert(
            abi.encodeWithSelector(IRegistry.TariffAlreadyStarted.selector, block.timestamp, block.timestamp)
        );
        registry.registerTariff(SET, next - 1, TARIFF);
        vm.expectRevert(abi.encodeWithSelector(ISettle.NotCanonical.selector, R));
        registry.registerTariff(SET, next, toTariff(R));
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownTariffSet.selector, 77));
        registry.registerTariff(77, next, TARIFF);
        vm.expectEmit(address(registry));
        emit IRegistry.TariffRegistered(SET, 1, next, TARIFF);
        assertEq(registry.registerTariff(SET, next, TARIFF), 1);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.TariffSetAlreadyOpen.selector, SET));
        registry.openTariffSet(SET, LENGTH, M);
        vm.expectEmit(address(registry));
        emit IRegistry.TariffSetOpened(SET + 1, 900, 96);
        registry.openTariffSet(SET + 1, 900, 96);
        vm.stopPrank();
        assertEq(registry.tariffCount(SET), 2);
    }

    /// @dev Who is billed at a tariff can read of it an hour before, but on the local chain.
    function test_tariffNotice() public {
        assertEq(registry.tariffNotice(), 0);
        vm.chainId(1);
        Registry live = registryOf(deployWith(liveConfig(), new IRegistry.VerifierInit[](0)));
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
        Registry local = registryOf(deployWith(c, new IRegistry.VerifierInit[](0)));
        vm.startPrank(authority);
        local.openTariffSet(SET, LENGTH, M);
        local.registerTariff(SET, 1, TARIFF);
        vm.stopPrank();
        vm.chainId(1);
        vm.expectRevert(IRegistry.LocalChainOnly.selector);
        deployWith(c, new IRegistry.VerifierInit[](0));
    }

    // ----------------------------------------------------------- verifiers

    function test_retiredVersion() public {
        vm.expectEmit(address(registry));
        emit IRegistry.CircuitVersionRetired(VERSION);
        vm.prank(upgrader);
        registry.retireVersion(VERSION);
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
        vm.expectEmit(address(registry));
        emit IRegistry.VerifierRegistered(2, SHAPE, next, next.codehash, PROOF_LENGTH, activeFrom);
        vm.prank(upgrader);
        registry.registerVerifier(2, verifierInit(next));
        assertEq(registry.verifierOf(2, SHAPE).activeFrom, activeFrom);
        assertEq(registry.verifierOf(2, SHAPE).codehash, next.codehash);
        ISettle.Settlement memory s = batch();
        s.circuitVersion = 2;
        vm.warp(activeFrom - 1);
        expectSettleRevert(s, abi.encodeWithSelector(IRegistry.VerifierNotActive.selector, activeFrom));
        vm.warp(activeFrom);
        announceUpgrade(2);
        settle(s);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.VerifierAlreadyRegistered.selector, 2, SHAPE));
        vm.prank(upgrader);
        registry.registerVerifier(2, verifierInit(next));
    }

    function test_verifierRegistrationRules() public {
        IRegistry.VerifierInit memory init = verifierInit(address(0xdead));
        vm.startPrank(upgrader);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NoCode.selector, address(0xdead)));
        registry.registerVerifier(2, init);
        init.verifier = address(rollup);
        init.m = M + 1;
        vm.expectRevert(abi.encodeWithSelector(IRegistry.ShapeMismatch.selector, SHAPE));
        registry.registerVerifier(2, init);
        registry.retireVersion(3);
        init.m = M;
        init.proofLength = PROOF_LENGTH + 1;
        vm.expectRevert(abi.encodeWithSelector(IRegistry.ProofNotWords.selector, PROOF_LENGTH + 1));
        registry.registerVerifier(2, init);
        init.proofLength = PROOF_LENGTH;
        vm.expectRevert(abi.encodeWithSelector(IRegistry.VersionRetired.selector, 3));
        registry.registerVerifier(3, init);
        vm.stopPrank();
    }
}
