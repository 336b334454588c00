// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IGridveilRollup} from "../IGridveilRollup.sol";
import {CommunityId, Owner, Root} from "../Types.sol";

/// @title Exits from a frozen rollup and from closed communities
/// @notice Everybody opens what they own in the last final state of the rollup, or of the closed community. Rules: docs/spec/l1.md, "Exits".
interface IExits {
    /// @notice A slot's balance and its path to the state root, docs/spec/state.md.
    /// @param community which
    /// @param slot of the member, below the shape's slots
    /// @param balance nano, exactly what the slot has
    /// @param payout account that is credited: the one in the slot's leaf
    /// @param s1 first salt of exit_c
    /// @param s2 second salt of exit_c
    /// @param privateCommitment private_c of the leaf
    /// @param headerLeaf of the community
    /// @param certificatesRoot of the community
    /// @param siblings three a level, left to right, from the leaf up: the members tree's levels, then the state tree's
    /// eight
    struct ExitOpening {
        CommunityId community;
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

    /// @notice The code at the address is not PoseidonT5's. Deploy artifacts/PoseidonT5.json and give its address.
    /// @param poseidon the address as it was given
    error NotPoseidon(address poseidon);
    /// @notice The path is not as long as the shape and the state tree are deep.
    /// @param expected three siblings a level
    /// @param actual how many were given
    error SiblingCount(uint256 expected, uint256 actual);
    /// @notice The path does not lead to the state root, nor, from a closed community, to one since it was closed:
    /// something of the opening is not what the last state has. Take
    /// the opening from the data of the last batches.
    /// @param root where it leads to
    error NotInState(Root root);

    /// @notice When frozen, or the community is closed: credits a slot's balance to its payout account, once. Also in an
    /// emergency (`ICouncil.inEmergency`), of a unit or more, which closes the community. Anyone who knows the opening may
    /// call. `IVault.withdraw` pays it.
    /// @param opening the slot and its path
    function exit(ExitOpening calldata opening) external;

    /// @notice When frozen: credits a sent and not received claim to the payout account within it, once. Anyone who
    /// knows the opening may call. `IVault.withdraw` pays it.
    /// @param recipient owner commitment of the recipient
    /// @param amount nano
    /// @param payout account that is credited: the one in the claim
    /// @param sa first salt of the claim
    /// @param sb second salt of the claim
    function exitClaim(Owner recipient, uint64 amount, address payout, bytes32 sa, bytes32 sb) external;

    /// @notice The rollup that created this contract.
    /// @return rollup whose last state is opened, and whose books pay
    function rollup() external view returns (IGridveilRollup rollup);
    /// @notice The hasher: PoseidonT5 of the npm package poseidon-solidity.
    /// @return poseidon its address
    function poseidon() external view returns (address poseidon);
}
