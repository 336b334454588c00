// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IPoseidon} from "../contracts/Exits.sol";
import {CommunityId, Root} from "../contracts/Types.sol";
import {IExits} from "../contracts/interfaces/IExits.sol";
import {RollupTest} from "./RollupTest.sol";

/// @dev Trees of docs/spec/state.md, level by level, to compare the exits' climb with.
abstract contract Trees is RollupTest {
    function hash(uint256 a, uint256 b, uint256 c, uint256 d) internal view returns (uint256) {
        return IPoseidon(poseidon).hash([a, b, c, d]);
    }

    /// @dev All levels of the dense tree, leaves first.
    function dense(uint256[] memory leaves) internal view returns (uint256[][] memory levels) {
        levels = new uint256[][](20);
        levels[0] = leaves;
        uint256 level = 0;
        while (levels[level].length > 1) {
            uint256[] memory below = levels[level];
            uint256[] memory above = new uint256[]((below.length + 3) / 4);
            for (uint256 i = 0; i < above.length; ++i) {
                uint256[4] memory children;
                for (uint256 j = 0; j < 4 && 4 * i + j < below.length; ++j) {
                    children[j] = below[4 * i + j];
                }
                above[i] = hash(children[0], children[1], children[2], children[3]);
            }
            levels[++level] = above;
        }
        assembly ("memory-safe") {
            mstore(levels, add(level, 1))
        }
    }

    /// @dev Siblings of a leaf of the dense tree.
    function siblingsOf(uint256[][] memory levels, uint256 index) internal pure returns (bytes32[] memory out) {
        out = new bytes32[](3 * (levels.length - 1));
        uint256 at;
        for (uint256 level = 0; level + 1 < levels.length; ++level) {
            uint256 group = index & ~uint256(3);
            for (uint256 j = 0; j < 4; ++j) {
                if (group + j == index) continue;
                out[at++] = group + j < levels[level].length ? bytes32(levels[level][group + j]) : bytes32(0);
            }
            index >>= 2;
        }
    }

    /// @dev The state tree with two communities, and the siblings of the first.
    function state(uint256 index, uint256 node, uint256 otherIndex, uint256 other)
        internal
        view
        returns (uint256 root, bytes32[] memory siblings)
    {
        siblings = new bytes32[](24);
        uint256 empty = 0;
        for (uint256 level = 0; level < 8; ++level) {
            uint256[4] memory children = [empty, empty, empty, empty];
            children[index & 3] = node;
            if (index >> 2 == otherIndex >> 2 && index != otherIndex) children[otherIndex & 3] = other;
            uint256 at = 3 * level;
            for (uint256 j = 0; j < 4; ++j) {
                if (j != index & 3) siblings[at++] = bytes32(children[j]);
            }
            node = hash(children[0], children[1], children[2], children[3]);
            if (index >> 2 != otherIndex >> 2) {
                uint256[4] memory others = [empty, empty, empty, empty];
                others[otherIndex & 3] = other;
                other = hash(others[0], others[1], others[2], others[3]);
            }
            empty = hash(empty, empty, empty, empty);
            (index, otherIndex) = (index >> 2, otherIndex >> 2);
        }
        root = node;
    }

    function exitCommitment(IExits.ExitOpening memory o) internal view returns (uint256) {
        return hash(o.balance, uint256(uint160(o.payout)), uint256(o.s1), uint256(o.s2));
    }

    /// @dev An opening of one slot among `slots`, and the root it leads to.
    function opening(CommunityId community, uint32 slots, uint32 slot, uint64 balance, uint256 seed)
        internal
        view
        returns (IExits.ExitOpening memory o, Root root)
    {
        bytes32[] memory w = words(5, seed);
        o.community = community;
        o.slot = slot;
        o.balance = balance;
        o.payout = member;
        (o.s1, o.s2, o.privateCommitment, o.headerLeaf, o.certificatesRoot) = (w[0], w[1], w[2], w[3], w[4]);
        uint256[] memory leaves = new uint256[](slots);
        for (uint256 i = 0; i < slots; ++i) {
            leaves[i] = uint256(keccak256(abi.encode(seed, "leaf", i))) % R;
        }
        leaves[slot] = hash(exitCommitment(o), uint256(o.privateCommitment), 0, 0);
        uint256[][] memory levels = dense(leaves);
        uint256 node = hash(uint256(o.headerLeaf), levels[levels.length - 1][0], uint256(o.certificatesRoot), 0);
        bytes32[] memory members = siblingsOf(levels, slot);
        (uint256 stateRoot, bytes32[] memory above) = state(community.districtOf(), node, seed % 65536, seed % R);
        o.siblings = new bytes32[](members.length + 24);
        for (uint256 i = 0; i < o.siblings.length; ++i) {
            o.siblings[i] = i < members.length ? members[i] : above[i - members.length];
        }
        root = toRoot(stateRoot);
    }

    /// @dev Registers a community of a shape of its own.
    function register(CommunityId community, uint32 slots) internal {
        registerShape(1000 + slots, slots);
        registerCommunity(community, 1000 + slots);
    }

    /// @dev Makes `root` the last state, with units in the pool, and freezes.
    function freezeAt(Root root, uint48 units) internal {
        if (units > 0) fillPool(units);
        roots = uint256(Root.unwrap(root)) - 1;
        bring();
        assertEq(rollup.stateRoot(), root);
        freezeRollup();
    }
}
