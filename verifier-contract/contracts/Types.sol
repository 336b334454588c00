// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

// Words that mean something: each has a type of its own, so that none is taken for another. All are elements of BN254's
// scalar field; the ABI encodes them as bytes32.

/// @notice Root of the state tree, docs/spec/state.md.
type Root is bytes32;

/// @notice Commitment to the key of an account's owner, docs/spec/state.md.
type Owner is bytes32;

/// @notice Hiding commitment under which money is on its way: P(owner, amount + payout 2^64, sa, sb),
/// docs/spec/operations.md.
type Claim is bytes32;

/// @notice Commitment to a tariff's prices.
type TariffCommitment is bytes32;

/// @notice Commitment to what a community's initialisation must have: P(mdm_x, mdm_y, mechanism, first_interval).
type GenesisTerms is bytes32;

/// @notice Commitment to a certificate note, docs/spec/certificates.md.
type NoteCommitment is bytes32;

/// @notice What a certificate note shows when it is spent, and cannot be linked to it by.
type Nullifier is bytes32;

/// @notice Commitment to a retirement of certificates.
type RetirementCommitment is bytes32;

/// @notice Which community: its district in the low sixteen bits, its index in the district in the high sixteen. A
/// district is a leaf of the state tree, docs/spec/state.md, and has one community for now, of index 0, so that its
/// number is the district's.
type CommunityId is uint32;

using {districtOf, indexOf} for CommunityId global;

/// @dev The leaf of the state tree, below 65,536.
function districtOf(CommunityId community) pure returns (uint32 district) {
    return CommunityId.unwrap(community) & 0xffff;
}

/// @dev The place in the district, below 65,536.
function indexOf(CommunityId community) pure returns (uint32 index) {
    return CommunityId.unwrap(community) >> 16;
}
