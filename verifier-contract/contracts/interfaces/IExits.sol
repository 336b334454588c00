// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IGridveilRollup} from "../IGridveilRollup.sol";

/// @title Exits from a frozen rollup
/// @notice Everybody opens what they own in the last final state. Rules: docs/spec/l1.md, "Exits".
interface IExits {
    /// @notice A slot's balance and its path to the state root, docs/spec/state.md.
    /// @param balance nano
    /// @param s1 first salt of exit_c
    /// @param privateCommitment private_c of the leaf
    /// @param siblings three a level, left to right, from the leaf up: the members tree's levels, then the state tree's
    /// eight
    struct ExitOpening {
        uint32 community;
        uint32 slot;
        uint64 balance;
        address payout;
        bytes32 s1;
        bytes32 s2;
        bytes32 privateCommitment;
        bytes32 headerLeaf;
        bytes32 certificatesRoot;
        bytes32[] siblings;
    }

    /// @notice The code at the address is not PoseidonT5's.
    error NotPoseidon(address poseidon);
    error SiblingCount(uint256 expected, uint256 actual);
    /// @notice The path does not lead to the state root.
    error NotInState(bytes32 root);

    /// @notice When frozen: credits a slot's balance to its payout account, once. Anyone who knows the opening may
    /// call.
    function exit(ExitOpening calldata opening) external;

    /// @notice When frozen: credits a sent and not received claim to the payout account within it, once.
    /// @param recipient owner commitment of the recipient
    /// @param amount nano
    function exitClaim(bytes32 recipient, uint64 amount, address payout, bytes32 sa, bytes32 sb) external;

    function rollup() external view returns (IGridveilRollup);
    /// @notice PoseidonT5 of the npm package poseidon-solidity.
    function poseidon() external view returns (address);
}
