// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IRegistry} from "../contracts/interfaces/IRegistry.sol";
import {ISettle} from "../contracts/interfaces/ISettle.sol";
import {Proofs} from "../contracts/Proofs.sol";
import {RollupTest} from "./RollupTest.sol";
import {AcceptOne, Burner, Silent} from "./Verifiers.sol";

/// @dev What the verifier is given: exactly the ten instances and the proof.
contract InstancesTest is RollupTest {
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
            abi.encode(domain, GENESIS, s.newRoot, uint256(s.community.districtOf()), period, TARIFF),
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

    /// @dev A rollup whose verifier accepts this batch alone.
    function startFor(ISettle.Settlement memory s, bytes32[] memory data) internal {
        address at = nextRollup();
        start(address(new AcceptOne(keccak256(expectedCalldata(at, s, data, proofBytes())))));
        assertEq(address(rollup), at);
    }

    function testFuzz_instances(uint256 seed) public {
        (ISettle.Settlement memory s, bytes32[] memory data) = prepare(seed);
        startFor(s, data);
        settleAs(operator, s, data, proofBytes());
    }

    function testFuzz_anyOtherDataIsRefused(uint256 seed, uint256 index, uint256 delta) public {
        (ISettle.Settlement memory s, bytes32[] memory data) = prepare(seed);
        startFor(s, data);
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
        startFor(s, data);
        vm.chainId(31338);
        vm.expectRevert(IRegistry.ProofRejected.selector);
        settleAs(operator, s, data, proofBytes());
    }

    function test_staleRoot() public {
        (ISettle.Settlement memory s, bytes32[] memory data) = prepare(1);
        startFor(s, data);
        settleAs(operator, s, data, proofBytes());
        // The same proof again: the current root is not the one it starts from.
        vm.expectRevert(IRegistry.ProofRejected.selector);
        settleAs(operator, s, data, proofBytes());
    }

    // L1.7
    function test_silentVerifierIsRefused() public {
        (ISettle.Settlement memory s, bytes32[] memory data) = prepare(1);
        start(address(new Silent()));
        vm.expectRevert(IRegistry.ProofRejected.selector);
        settleAs(operator, s, data, proofBytes());
    }

    // L1.7
    function test_burningVerifierCostsAtMostTheCap() public {
        (ISettle.Settlement memory s, bytes32[] memory data) = prepare(1);
        start(address(new Burner()));
        uint256 before = gasleft();
        vm.expectRevert(IRegistry.ProofRejected.selector);
        settleAs(operator, s, data, proofBytes());
        assertLt(before - gasleft(), Proofs.VERIFIER_GAS + 300_000);
    }
}
