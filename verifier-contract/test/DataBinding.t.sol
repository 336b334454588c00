// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IGridveilRollup} from "../contracts/IGridveilRollup.sol";
import {Parameters} from "../contracts/Parameters.sol";
import {Roots} from "../contracts/Roots.sol";
import {Settle} from "../contracts/Settle.sol";
import {IRegistry} from "../contracts/interfaces/IRegistry.sol";
import {ISettle} from "../contracts/interfaces/ISettle.sol";
import {RollupTest} from "./RollupTest.sol";

contract DataBinding is Settle {
    constructor(IGridveilRollup.Config memory config, IRegistry.VerifierInit[] memory verifiers)
        Parameters(config, verifiers)
        Roots(config)
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
