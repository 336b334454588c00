// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {CommunityId, GenesisTerms, Root, TariffCommitment} from "../Types.sol";

/// @title Settlement of batches
/// @dev Rules: docs/spec/l1.md, "What `settle` checks" and "Records".
interface ISettle {
    // ------------------------------------------------------------------ types

    /// @notice What a batch settles, besides data and proof.
    /// @param circuitVersion version of the circuit the proof is for
    /// @param community which
    /// @param firstInterval first interval of the period
    /// @param tariffIndex index, in the community's tariff set, of the tariff in force at the period's start
    /// @param newRoot state root after
    /// @param communityNew community node after
    /// @param opsDigest digest of the records, 0 if there are none
    struct Settlement {
        uint32 circuitVersion;
        CommunityId community;
        uint32 firstInterval;
        uint32 tariffIndex;
        Root newRoot;
        bytes32 communityNew;
        bytes32 opsDigest;
    }

    // ----------------------------------------------------------------- events

    /// @notice A batch is final. Its data and proof are the calldata of this transaction, which calls `settle`
    /// directly. The effects of its records follow as events.
    /// @param batch its number, from 1 on
    /// @param community that was settled
    /// @param firstInterval first interval of the period
    /// @param oldRoot state root before
    /// @param newRoot state root after
    /// @param communityNew community node after
    /// @param tariffCommitment of the tariff in force at the period's start
    /// @param circuitVersion version of the circuit of the proof
    event BatchSettled(
        uint64 indexed batch,
        CommunityId indexed community,
        uint32 indexed firstInterval,
        Root oldRoot,
        Root newRoot,
        bytes32 communityNew,
        TariffCommitment tariffCommitment,
        uint32 circuitVersion
    );
    /// @notice The state before the first batch, told by the constructor.
    /// @param root state root
    /// @param circuitVersion version of the constructor's settlement verifiers
    /// @param enforceFutureTariffs true if tariffs must be registered before they start
    event Genesis(Root root, uint32 circuitVersion, bool enforceFutureTariffs);
    /// @notice Record 21: the community's first batch put it into the state.
    /// @param community which
    /// @param genesisTerms it has, as registered
    event CommunityInitialised(CommunityId indexed community, GenesisTerms genesisTerms);
    /// @notice Record 11: the batch booked the difference of an earlier period.
    /// @param community which
    /// @param firstInterval first interval of the earlier period
    /// @param tariffCommitment of the tariff in force then
    event Corrected(CommunityId indexed community, uint32 indexed firstInterval, TariffCommitment tariffCommitment);

    // ----------------------------------------------------------------- errors

    /// @notice `settle` was not called directly by an account without code: its calldata would not be the
    /// transaction's. Send it from the operator's own key, not through a contract.
    error NotDirectCall();
    /// @notice The calldata is not the standard encoding: data and proof lie elsewhere, or the proof is not whole
    /// words.
    error NotStandardEncoding();
    /// @notice The calldata has bytes after the proof. Send none.
    /// @param expected bytes
    /// @param actual bytes
    error TrailingBytes(uint256 expected, uint256 actual);
    /// @notice The tariff of that index is not the one in force at the period's start.
    /// @param tariffIndex as it was given
    error TariffNotInForce(uint256 tariffIndex);
    /// @notice The period is not over. Settle it later.
    /// @param endsAt unix seconds
    /// @param timestamp of the block, unix seconds
    error PeriodNotOver(uint256 endsAt, uint256 timestamp);
    /// @notice The data are not the leaves' words and whole records, at most 256.
    /// @param expected words without records: N + 2
    /// @param actual words
    error DataLength(uint256 expected, uint256 actual);
    /// @notice A word is not below the scalar field's modulus: the same element would have two encodings.
    /// @param word as it was given
    error NotCanonical(uint256 word);
    /// @notice The new root was a state root before: the state does not go back.
    /// @param root as it was given
    error RootAlreadyFinalised(Root root);

    // Errors of records; `index` is the record's in the batch. Each refuses the whole batch.

    /// @notice The record has an unknown kind, or a field its kind does not have is not zero.
    /// @param index of the record
    error BadRecord(uint256 index);
    /// @notice Record 11: the period is not before the batch's, or the commitment is not of the tariff in force then.
    /// @param index of the record
    /// @param firstInterval of the record
    error CorrectionTariff(uint256 index, uint256 firstInterval);
    /// @notice Record 21 is not the first record of the community's first batch.
    /// @param index of the record
    error AlreadyInitialised(uint256 index);
    /// @notice Record 21 has other terms than the meter data manager registered, or none were registered.
    /// @param index of the record
    /// @param terms of the record
    error NotGenesisTerms(uint256 index, GenesisTerms terms);

    // ---------------------------------------------------------------- actions

    /// @notice Settles one period of one community: checks the proof that leads from the current root to `newRoot`,
    /// makes it final, and then gives every record its effect. The operator alone may call, as the transaction's origin
    /// and from an account without code.
    /// @param batch what is settled
    /// @param data new leaves in slot order, header leaf, certificates root, then two words a record: all canonical
    /// @param proof of the exact length of the verifier
    function settle(Settlement calldata batch, bytes32[] calldata data, bytes calldata proof) external;

    // ------------------------------------------------------------------ views

    /// @notice How far a community is settled.
    /// @param community which
    /// @return time end of its last settled period, unix seconds; 0 before its first batch
    function settledThrough(CommunityId community) external view returns (uint40 time);
    /// @notice The current state root.
    /// @return root the new root of the last batch, or the genesis root
    function stateRoot() external view returns (Root root);
    /// @notice Settled batches so far.
    /// @return count also the number of the last one
    function batchCount() external view returns (uint64 count);
    /// @notice State root before the first batch. The root after a later one is in its `BatchSettled`, found by the
    /// indexed number.
    /// @return root as the constructor was told
    function genesisRoot() external view returns (Root root);
    /// @notice True if `root` was the state root at some time, the genesis included.
    /// @param root any word
    /// @return finalised true from its batch on
    function isFinalised(Root root) external view returns (bool finalised);
    /// @notice After which batch `root` was the state root.
    /// @param root any word
    /// @return batchPlusOne number of the batch and one: 1 for the genesis; 0 if it never was
    function finalisedAt(Root root) external view returns (uint64 batchPlusOne);
    /// @notice `isFinalised` and `IForcedQueue.isFrozen` in one call.
    /// @param anchor any word
    /// @return finalised true if it was the state root at some time
    /// @return frozen true if there will be no other state root than the present one
    function anchorState(Root anchor) external view returns (bool finalised, bool frozen);
}
