// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {stdJson} from "forge-std/StdJson.sol";
import {IGridveilRollup} from "../contracts/IGridveilRollup.sol";
import {CommunityId, GenesisTerms, Root, TariffCommitment} from "../contracts/Types.sol";
import {IRegistry} from "../contracts/interfaces/IRegistry.sol";
import {ISettle} from "../contracts/interfaces/ISettle.sol";
import {Rollup, RollupTest} from "./RollupTest.sol";

/// @dev The generated verifier, a real proof, and corruptions of it.
contract GridveilRollupProofTest is RollupTest {
    using stdJson for string;

    address internal verifier = makeAddr("verifier");
    ISettle.Settlement internal settlement;
    bytes32[] internal data;
    bytes internal proof;

    function setUp() public {
        string memory json = vm.readFile("test/fixtures/settlement.json");
        vm.etch(verifier, json.readBytes(".verifier_runtime"));
        uint16 m = uint16(json.readUint(".m"));
        uint16 length = uint16(json.readUint(".interval_length"));
        CommunityId community = id(uint32(json.readUint(".community")));
        first = uint32(json.readUint(".first_interval"));
        proof = json.readBytes(".proof");
        data = json.readBytes32Array(".data");
        settlement = ISettle.Settlement({
            circuitVersion: uint32(json.readUint(".circuit_version")),
            community: community,
            firstInterval: first,
            tariffIndex: 0,
            newRoot: Root.wrap(json.readBytes32(".new_root")),
            communityNew: json.readBytes32(".community_new"),
            opsDigest: json.readBytes32(".ops_digest")
        });
        vm.warp(uint256(first) * length - 1);
        deployAt(json);
        vm.startPrank(authority);
        registry.openTariffSet(SET, length, m);
        registry.registerTariff(SET, first, TariffCommitment.wrap(json.readBytes32(".tariff_commitment")));
        vm.stopPrank();
        vm.prank(mdm);
        registry.registerCommunity(community, SHAPE, length, m, SET, GenesisTerms.wrap(0));
        vm.warp(uint256(first + m) * length);
    }

    /// @dev The rollup at the address that the proof is for.
    function deployAt(string memory json) internal {
        IRegistry.VerifierInit[] memory verifiers = new IRegistry.VerifierInit[](1);
        verifiers[0] = verifierInit(verifier, SHAPE, uint32(json.readUint(".slots")));
        (verifiers[0].m, verifiers[0].proofLength) = (uint16(json.readUint(".m")), uint32(proof.length));
        IGridveilRollup.Config memory c = config();
        (c.genesisRoot, c.circuitVersion) = (Root.wrap(json.readBytes32(".old_root")), settlement.circuitVersion);
        address at = json.readAddress(".rollup");
        deployCodeTo("GridveilRollup.sol:GridveilRollup", abi.encode(c, verifiers), at);
        adopt(Rollup(at));
    }

    function settle(bytes memory proof_) internal {
        vm.prank(operator, operator);
        rollup.settle(settlement, data, proof_);
    }

    function test_validProof() public {
        settle(proof);
        assertEq(rollup.stateRoot(), settlement.newRoot);
    }

    /// @dev The same batch again: the proof leads from a root that is no longer the current one.
    // L1.8
    function test_sameProofTwice() public {
        settle(proof);
        vm.expectRevert(IRegistry.ProofRejected.selector);
        settle(proof);
        assertEq(rollup.batchCount(), 1);
    }

    function test_gasOfSettle() public {
        bytes memory call = abi.encodeCall(ISettle.settle, (settlement, data, proof));
        uint256 intrinsic = 21_000;
        for (uint256 i = 0; i < call.length; ++i) {
            intrinsic += call[i] == 0 ? 4 : 16;
        }
        vm.prank(operator, operator);
        uint256 before = gasleft();
        (bool ok,) = address(rollup).call(call);
        uint256 used = before - gasleft() + intrinsic;
        assertTrue(ok);
        vm.snapshotValue("settle-home-32x24-total-gas", used);
        vm.snapshotValue("settlement-verifier-bytes", verifier.code.length);
        vm.snapshotValue("settlement-verifier-codehash", uint256(verifier.codehash));
        assertLt(used, 900_000);
    }

    function testFuzz_corruptedProof(uint256 word, uint256 bit) public {
        word = bound(word, 0, proof.length / 32 - 1);
        bit = bound(bit, 0, 255);
        bytes memory bad = proof;
        bad[32 * word + bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        vm.expectRevert(IRegistry.ProofRejected.selector);
        settle(bad);
    }

    function test_corruptedProofLadder() public {
        for (uint256 word = 0; word < proof.length / 32; ++word) {
            bytes memory bad = bytes.concat(proof);
            bad[32 * word + 31] ^= 0x01;
            vm.expectRevert(IRegistry.ProofRejected.selector);
            settle(bad);
        }
        vm.expectRevert(IRegistry.ProofRejected.selector);
        settle(new bytes(proof.length));
        settle(proof);
    }

    function testFuzz_otherPublicInputs(uint256 field, uint256 delta) public {
        field = bound(field, 0, 3);
        delta = bound(delta, 1, R - 1);
        if (field == 0) settlement.newRoot = toRoot(addmod(uint256(Root.unwrap(settlement.newRoot)), delta, R));
        if (field == 1) settlement.communityNew = bytes32(addmod(uint256(settlement.communityNew), delta, R));
        if (field == 2) data[delta % data.length] = bytes32(addmod(uint256(data[delta % data.length]), 1, R));
        if (field == 3) {
            // Later periods are over too.
            settlement.firstInterval += uint32(1 + delta % 1000);
            vm.warp(block.timestamp + 1001 * 3600);
        }
        vm.expectRevert(IRegistry.ProofRejected.selector);
        settle(proof);
    }
}
