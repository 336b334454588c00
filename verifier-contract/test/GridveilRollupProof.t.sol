// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";
import {stdJson} from "forge-std/StdJson.sol";
import {IGridveilRollup} from "../contracts/IGridveilRollup.sol";
import {GenesisTerms, Root, TariffCommitment} from "../contracts/Types.sol";
import {IRegistry} from "../contracts/interfaces/IRegistry.sol";
import {ISettle} from "../contracts/interfaces/ISettle.sol";
import {TestToken} from "../contracts/test/TestToken.sol";

/// @dev The generated verifier, a real proof, and corruptions of it.
contract GridveilRollupProofTest is Test {
    using stdJson for string;

    uint256 internal constant R = 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;
    string internal json;
    IGridveilRollup internal rollup;
    address internal verifier = makeAddr("verifier");
    address internal operator = makeAddr("operator");
    ISettle.Settlement internal batch;
    bytes32[] internal data;
    bytes internal proof;

    function setUp() public {
        json = vm.readFile("test/fixtures/settlement.json");
        vm.etch(verifier, json.readBytes(".verifier_runtime"));
        uint16 m = uint16(json.readUint(".m"));
        uint16 length = uint16(json.readUint(".interval_length"));
        uint32 first = uint32(json.readUint(".first_interval"));
        uint32 community = uint32(json.readUint(".community"));
        proof = json.readBytes(".proof");
        data = json.readBytes32Array(".data");
        IRegistry.VerifierInit[] memory verifiers = new IRegistry.VerifierInit[](1);
        verifiers[0] = IRegistry.VerifierInit({
            shape: 1,
            slots: uint32(json.readUint(".slots")),
            m: m,
            verifier: verifier,
            proofLength: uint32(proof.length)
        });
        vm.warp(uint256(first) * length - 1);
        IGridveilRollup.Config memory config = IGridveilRollup.Config({
            admin: address(this),
            operator: operator,
            mdm: address(this),
            tariffAuthority: address(this),
            regulator: address(this),
            upgrader: address(this),
            genesisRoot: Root.wrap(json.readBytes32(".old_root")),
            circuitVersion: uint32(json.readUint(".circuit_version")),
            verifierDelay: 14 days,
            enforceFutureTariffs: true,
            certificateVerifier: address(0),
            certificateProofLength: 0,
            token: address(new TestToken()),
            tokenPerUnit: 10_000,
            forcedDeadline: 7 days,
            refundDelay: 6 hours,
            forcedBond: 0.01 ether,
            treasury: address(this),
            poseidon: poseidon()
        });
        address at = json.readAddress(".rollup");
        deployCodeTo("GridveilRollup.sol:GridveilRollup", abi.encode(config, verifiers), at);
        rollup = IGridveilRollup(at);
        rollup.openTariffSet(1, length, m);
        rollup.registerTariff(1, first, TariffCommitment.wrap(json.readBytes32(".tariff_commitment")));
        rollup.registerCommunity(community, 1, length, m, 1, GenesisTerms.wrap(0));
        vm.warp(uint256(first + m) * length);
        batch = ISettle.Settlement({
            circuitVersion: config.circuitVersion,
            community: community,
            firstInterval: first,
            tariffIndex: 0,
            newRoot: Root.wrap(json.readBytes32(".new_root")),
            communityNew: json.readBytes32(".community_new"),
            opsDigest: json.readBytes32(".ops_digest")
        });
    }

    function poseidon() internal returns (address at) {
        bytes memory code = vm.readFile("artifacts/PoseidonT5.json").readBytes(".bytecode");
        assembly ("memory-safe") {
            at := create(0, add(code, 0x20), mload(code))
        }
    }

    function settle(bytes memory proof_) internal {
        vm.prank(operator, operator);
        rollup.settle(batch, data, proof_);
    }

    function test_validProof() public {
        settle(proof);
        assertEq(Root.unwrap(rollup.stateRoot()), Root.unwrap(batch.newRoot));
    }

    /// @dev The same batch again: the proof leads from a root that is no longer the current one.
    function test_sameProofTwice() public {
        settle(proof);
        vm.expectRevert(IRegistry.ProofRejected.selector);
        settle(proof);
        assertEq(rollup.batchCount(), 1);
    }

    function test_gasOfSettle() public {
        bytes memory call = abi.encodeCall(ISettle.settle, (batch, data, proof));
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
        if (field == 0) batch.newRoot = Root.wrap(bytes32(addmod(uint256(Root.unwrap(batch.newRoot)), delta, R)));
        if (field == 1) batch.communityNew = bytes32(addmod(uint256(batch.communityNew), delta, R));
        if (field == 2) data[delta % data.length] = bytes32(addmod(uint256(data[delta % data.length]), 1, R));
        if (field == 3) {
            // Later periods are over too.
            batch.firstInterval += uint32(1 + delta % 1000);
            vm.warp(block.timestamp + 1001 * 3600);
        }
        vm.expectRevert(IRegistry.ProofRejected.selector);
        settle(proof);
    }
}
