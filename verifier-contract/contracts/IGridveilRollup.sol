// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Gridveil settlement on L1, version 1
/// @notice Keeps the state roots of a validity rollup for private energy settlement. A batch is one community's settlement of one period;
/// it is proven and final in the transaction that brings it, so no unproven batch ever exists. What members consume, owe and own is not
/// here: `data` are hiding commitments.
/// @dev Roles: operator (brings batches), manager (registers communities), tariff authority, regulator (the deposit pause flag), upgrader
/// (circuit versions, meant to be a timelock; the contract adds its own delay). Specification: docs/spec/l1.md.
interface IGridveilRollup {
    // ------------------------------------------------------------------ types

    /// @notice What a circuit shape fixes.
    /// @param slots member slots N; the data vector of a batch has N + 2 words
    /// @param m intervals of one period
    struct Shape {
        uint32 slots;
        uint16 m;
    }

    /// @notice A proof verifier of one circuit version and shape.
    /// @param verifier contract that takes instances and proof as raw calldata and returns the word 1
    /// @param proofLength exact length of a proof, bytes
    /// @param activeFrom unix seconds from which it may be used
    /// @param codehash its code when it was registered
    struct Verifier {
        address verifier;
        uint32 proofLength;
        uint64 activeFrom;
        bytes32 codehash;
    }

    /// @notice A community's fixed parameters.
    /// @param intervalLength seconds: 900, 1800 or 3600
    struct Community {
        bool registered;
        uint16 intervalLength;
        uint16 m;
        uint32 shape;
        uint32 tariffSet;
    }

    /// @notice Interval length (seconds) and period length (intervals) that all tariffs of a set have.
    struct TariffSet {
        uint16 intervalLength;
        uint16 m;
    }

    /// @notice A published tariff: in force for the periods that start from `firstInterval` on, until the next one.
    struct Tariff {
        uint32 firstInterval;
        bytes32 commitment;
    }

    /// @notice A circuit shape and its first verifier, for the constructor.
    struct VerifierInit {
        uint32 shape;
        uint32 slots;
        uint16 m;
        address verifier;
        uint32 proofLength;
    }

    /// @notice What a batch settles, besides data and proof.
    /// @param circuitVersion version of the circuit the proof is for
    /// @param community index of the community
    /// @param firstInterval first interval of the period
    /// @param tariffIndex index, in the community's tariff set, of the tariff in force at the period's start
    /// @param newRoot state root after
    /// @param communityNew community node after
    struct Settlement {
        uint32 circuitVersion;
        uint32 community;
        uint32 firstInterval;
        uint32 tariffIndex;
        bytes32 newRoot;
        bytes32 communityNew;
    }

    /// @notice Constructor arguments.
    /// @param verifierDelay seconds between a verifier's registration and its first use
    /// @param enforceFutureTariffs tariffs must be registered before they start; false only on the local chain 31337
    struct Config {
        address admin;
        address operator;
        address manager;
        address tariffAuthority;
        address regulator;
        address upgrader;
        bytes32 genesisRoot;
        uint32 circuitVersion;
        uint64 verifierDelay;
        bool enforceFutureTariffs;
    }

    // ----------------------------------------------------------------- events

    /// @notice A batch is final. Its data and proof are the calldata of this transaction, which calls `settle` directly.
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
    event ShapeRegistered(uint32 indexed shape, uint32 slots, uint16 m);
    event VerifierRegistered(
        uint32 indexed circuitVersion, uint32 indexed shape, address verifier, bytes32 codehash, uint32 proofLength, uint64 activeFrom
    );
    event CircuitVersionRetired(uint32 indexed circuitVersion);
    event CommunityRegistered(uint32 indexed community, uint32 indexed shape, uint16 intervalLength, uint16 m, uint32 indexed tariffSet);
    event TariffSetOpened(uint32 indexed tariffSet, uint16 intervalLength, uint16 m);
    event TariffRegistered(uint32 indexed tariffSet, uint32 indexed index, uint32 firstInterval, bytes32 commitment);
    event DepositsPaused(bool paused);

    // ----------------------------------------------------------------- errors

    /// @notice `settle` was not called directly by an account: its calldata would not be the transaction's.
    error NotDirectCall();
    /// @notice The calldata has bytes after the proof, or is not the standard encoding.
    error TrailingBytes(uint256 expected, uint256 actual);
    error UnknownCommunity(uint32 community);
    error CommunityAlreadyRegistered(uint32 community);
    /// @notice The state tree has 4^8 communities.
    error CommunityOutOfRange(uint32 community);
    error BadIntervalLength(uint16 intervalLength);
    error UnknownShape(uint32 shape);
    error ShapeMismatch(uint32 shape);
    error UnknownVerifier(uint32 circuitVersion, uint32 shape);
    error VerifierAlreadyRegistered(uint32 circuitVersion, uint32 shape);
    error VerifierNotActive(uint64 activeFrom);
    error VersionRetired(uint32 circuitVersion);
    /// @notice There is no code at the verifier's address: every call to it would succeed.
    error NoCode(address verifier);
    error UnknownTariffSet(uint32 tariffSet);
    error TariffSetAlreadyOpen(uint32 tariffSet);
    error TariffSetMismatch(uint32 tariffSet);
    error TariffNotLater(uint32 firstInterval, uint32 lastFirstInterval);
    error TariffAlreadyStarted(uint256 startsAt, uint256 timestamp);
    /// @notice The tariff of that index is not the one in force at the period's start.
    error TariffNotInForce(uint256 tariffIndex);
    error PeriodNotOver(uint256 endsAt, uint256 timestamp);
    error DataLength(uint256 expected, uint256 actual);
    error ProofLength(uint256 expected, uint256 actual);
    /// @notice A word is not below the scalar field's modulus.
    error NotCanonical(uint256 word);
    error RootAlreadyFinalised(bytes32 root);
    error ProofRejected();
    /// @notice Tariffs that start in the past are for the local chain.
    error LocalChainOnly();

    // ---------------------------------------------------------------- actions

    /// @notice Settles one period of one community: checks the proof that leads from the current root to `newRoot`, and makes it final.
    /// @param batch what is settled
    /// @param data new leaves in slot order, header leaf, certificates root: N + 2 canonical words
    /// @param proof of the exact length of the verifier
    function settle(Settlement calldata batch, bytes32[] calldata data, bytes calldata proof) external;

    /// @notice Registers a community's fixed parameters, once. They must be those of its shape and tariff set.
    function registerCommunity(uint32 community, uint32 shape, uint16 intervalLength, uint16 m, uint32 tariffSet) external;

    /// @notice Opens a tariff set for communities of that interval length and period.
    function openTariffSet(uint32 tariffSet, uint16 intervalLength, uint16 m) external;

    /// @notice Publishes a tariff: write-once, in strictly increasing order of start, before it starts.
    /// @return index of the tariff in its set
    function registerTariff(uint32 tariffSet, uint32 firstInterval, bytes32 commitment) external returns (uint32 index);

    /// @notice Registers a verifier, usable after the delay. A new shape is registered with its first verifier.
    function registerVerifier(uint32 circuitVersion, VerifierInit calldata init) external;

    /// @notice Refuses a circuit version from now on.
    function retireVersion(uint32 circuitVersion) external;

    /// @notice The regulator's pause flag for deposits (which a later version brings). Never touches settlement or exits.
    function setDepositsPaused(bool paused) external;

    // ------------------------------------------------------------------ views

    /// @notice The current state root.
    function stateRoot() external view returns (bytes32);
    /// @notice Settled batches so far.
    function batchCount() external view returns (uint64);
    /// @notice State root before the first batch. The root after a later one is in its `BatchSettled`, found by the indexed number.
    function genesisRoot() external view returns (bytes32);
    /// @notice True if `root` was the state root at some time, the genesis included.
    function isFinalised(bytes32 root) external view returns (bool);
    /// @notice The domain value of a circuit version: keccak256(chain id, this contract, version) mod r.
    function domain(uint32 circuitVersion) external view returns (uint256);
    function communityOf(uint32 community) external view returns (Community memory);
    function shapeOf(uint32 shape) external view returns (Shape memory);
    function verifierOf(uint32 circuitVersion, uint32 shape) external view returns (Verifier memory);
    function isRetired(uint32 circuitVersion) external view returns (bool);
    function tariffSetOf(uint32 tariffSet) external view returns (TariffSet memory);
    function tariffCount(uint32 tariffSet) external view returns (uint256);
    function tariffAt(uint32 tariffSet, uint256 index) external view returns (Tariff memory);
    function depositsPaused() external view returns (bool);
}
