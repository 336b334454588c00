// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Settlement of batches
/// @dev Rules: docs/spec/l1.md, "What `settle` checks" and "Records".
interface ISettle {
    // ------------------------------------------------------------------ types

    /// @notice What a batch settles, besides data and proof.
    /// @param circuitVersion version of the circuit the proof is for
    /// @param community index of the community
    /// @param firstInterval first interval of the period
    /// @param tariffIndex index, in the community's tariff set, of the tariff in force at the period's start
    /// @param newRoot state root after
    /// @param communityNew community node after
    /// @param opsDigest digest of the records, 0 if there are none
    struct Settlement {
        uint32 circuitVersion;
        uint32 community;
        uint32 firstInterval;
        uint32 tariffIndex;
        bytes32 newRoot;
        bytes32 communityNew;
        bytes32 opsDigest;
    }

    // ----------------------------------------------------------------- events

    /// @notice A batch is final. Its data and proof are the calldata of this transaction, which calls `settle`
    /// directly. The effects of its records follow as events.
    event BatchSettled(
        uint64 indexed batch,
        uint32 indexed community,
        uint32 indexed firstInterval,
        bytes32 oldRoot,
        bytes32 newRoot,
        bytes32 communityNew,
        bytes32 tariffCommitment,
        uint32 circuitVersion
    );
    /// @notice The state before the first batch.
    event Genesis(bytes32 root, uint32 circuitVersion, bool enforceFutureTariffs);
    event CommunityInitialised(uint32 indexed community, bytes32 genesisTerms);
    event Corrected(uint32 indexed community, uint32 indexed firstInterval, bytes32 tariffCommitment);

    // ----------------------------------------------------------------- errors

    /// @notice `settle` was not called directly by an account without code: its calldata would not be the
    /// transaction's.
    error NotDirectCall();
    /// @notice The calldata is not the standard encoding: data and proof lie elsewhere, or the proof is not whole
    /// words.
    error NotStandardEncoding();
    /// @notice The calldata has bytes after the proof.
    error TrailingBytes(uint256 expected, uint256 actual);
    /// @notice The tariff of that index is not the one in force at the period's start.
    error TariffNotInForce(uint256 tariffIndex);
    error PeriodNotOver(uint256 endsAt, uint256 timestamp);
    /// @notice Not N + 2 words and whole records; `expected` is N + 2.
    error DataLength(uint256 expected, uint256 actual);
    /// @notice A word is not below the scalar field's modulus.
    error NotCanonical(uint256 word);
    error RootAlreadyFinalised(bytes32 root);

    // Errors of records; `index` is the record's in the batch.
    /// @notice The record has an unknown kind, or a field its kind does not have is not zero.
    error BadRecord(uint256 index);
    /// @notice The period is not before the batch's, or the commitment is not of the tariff in force then.
    error CorrectionTariff(uint256 index, uint256 firstInterval);
    /// @notice The record is not the first of the community's first batch.
    error AlreadyInitialised(uint256 index);
    /// @notice Not what the meter data manager registered.
    error NotGenesisTerms(uint256 index, bytes32 terms);

    // ---------------------------------------------------------------- actions

    /// @notice Settles one period of one community: checks the proof that leads from the current root to `newRoot`,
    /// makes it final, and then gives every record its effect.
    /// @param batch what is settled
    /// @param data new leaves in slot order, header leaf, certificates root, then two words a record: all canonical
    /// @param proof of the exact length of the verifier
    function settle(Settlement calldata batch, bytes32[] calldata data, bytes calldata proof) external;

    // ------------------------------------------------------------------ views

    /// @notice The current state root.
    function stateRoot() external view returns (bytes32);
    /// @notice Settled batches so far.
    function batchCount() external view returns (uint64);
    /// @notice State root before the first batch. The root after a later one is in its `BatchSettled`, found by the
    /// indexed number.
    function genesisRoot() external view returns (bytes32);
    /// @notice True if `root` was the state root at some time, the genesis included.
    function isFinalised(bytes32 root) external view returns (bool);
}
