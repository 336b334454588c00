// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title What is registered: circuit shapes and their verifiers, tariffs, communities
/// @dev Rules: docs/spec/l1.md, "Registries".
interface IRegistry {
    // ------------------------------------------------------------------ types

    /// @notice What a circuit shape fixes.
    /// @param slots member slots N, a power of two; the data vector of a batch has N + 2 words and two a record
    /// @param m intervals of one period
    struct Shape {
        uint32 slots;
        uint16 m;
    }

    /// @notice A proof verifier of one circuit version and shape.
    /// @param verifier contract that takes instances and proof as raw calldata and returns the word 1
    /// @param proofLength exact length of a proof, bytes
    /// @param activeFrom unix seconds from which it may be used
    /// @param used true from its first batch on; for the constructor's verifiers from the beginning
    /// @param codehash its code when it was registered, and whenever it is used
    struct Verifier {
        address verifier;
        uint32 proofLength;
        uint40 activeFrom;
        bool used;
        bytes32 codehash;
    }

    /// @notice A community's fixed parameters, one storage slot.
    /// @param started true from its first settlement on
    /// @param intervalLength seconds: 900, 1800 or 3600
    struct Community {
        bool registered;
        bool started;
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

    /// @notice A circuit shape and its first verifier, for the constructor. A certificate verifier has shape, slots and
    /// m zero.
    struct VerifierInit {
        uint32 shape;
        uint32 slots;
        uint16 m;
        address verifier;
        uint32 proofLength;
    }

    // ----------------------------------------------------------------- events

    event ShapeRegistered(uint32 indexed shape, uint32 slots, uint16 m);
    event VerifierRegistered(
        uint32 indexed circuitVersion,
        uint32 indexed shape,
        address verifier,
        bytes32 codehash,
        uint32 proofLength,
        uint64 activeFrom
    );
    /// @notice A verifier that was registered later has its first batch, the one of this transaction.
    event VerifierFirstUsed(uint32 indexed circuitVersion, uint32 indexed shape, address verifier);
    event CircuitVersionRetired(uint32 indexed circuitVersion);
    event CommunityRegistered(
        uint32 indexed community,
        uint32 indexed shape,
        uint16 intervalLength,
        uint16 m,
        uint32 indexed tariffSet,
        bytes32 genesisTerms
    );
    event TariffSetOpened(uint32 indexed tariffSet, uint16 intervalLength, uint16 m);
    event TariffRegistered(uint32 indexed tariffSet, uint32 indexed index, uint32 firstInterval, bytes32 commitment);

    // ----------------------------------------------------------------- errors

    error UnknownCommunity(uint32 community);
    error CommunityAlreadyRegistered(uint32 community);
    /// @notice The state tree has 4^8 communities.
    error CommunityOutOfRange(uint32 community);
    error BadIntervalLength(uint16 intervalLength);
    /// @notice Two periods do not fit into the forced deadline: a served request could come too late.
    error PeriodTooLong(uint256 period, uint256 forcedDeadline);
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
    /// @notice It starts within the notice: `earliest` is possible.
    error TariffTooSoon(uint256 startsAt, uint256 earliest);
    error ProofLength(uint256 expected, uint256 actual);
    /// @notice A proof's length is a multiple of 32: padding could be written in many ways.
    error ProofNotWords(uint32 proofLength);
    /// @notice The code at the verifier's address is not the one that was registered.
    error VerifierChanged(address verifier);
    error ProofRejected();
    /// @notice Tariffs that start in the past are for the local chain.
    error LocalChainOnly();

    // ---------------------------------------------------------------- actions

    /// @notice Registers a community's fixed parameters, once. They must be those of its shape and tariff set.
    /// @param genesisTerms P(mdm_x, mdm_y, mechanism, first_interval), which its initialisation must have; 0 if
    /// it has none
    function registerCommunity(
        uint32 community,
        uint32 shape,
        uint16 intervalLength,
        uint16 m,
        uint32 tariffSet,
        bytes32 genesisTerms
    ) external;

    /// @notice Opens a tariff set for communities of that interval length and period.
    function openTariffSet(uint32 tariffSet, uint16 intervalLength, uint16 m) external;

    /// @notice Publishes a tariff: write-once, in strictly increasing order of start, `tariffNotice` before it starts.
    /// @return index of the tariff in its set
    function registerTariff(uint32 tariffSet, uint32 firstInterval, bytes32 commitment) external returns (uint32 index);

    /// @notice Registers a verifier, usable after the delay, and for its first batch only when no forced request waits
    /// or waited lately: `IForcedQueue.UpgradeWaits`. A new shape is registered with its first verifier.
    /// @param circuitVersion from `CERTIFICATE_VERSION` on: of the certificate circuit
    function registerVerifier(uint32 circuitVersion, VerifierInit calldata init) external;

    /// @notice Refuses a circuit version from now on.
    function retireVersion(uint32 circuitVersion) external;

    // ------------------------------------------------------------------ views

    /// @notice The domain value of a circuit version: keccak256(chain id, this contract, version) mod r.
    function domain(uint32 circuitVersion) external view returns (uint256);
    function communityOf(uint32 community) external view returns (Community memory);
    /// @notice What the community's initialisation must have.
    function genesisTermsOf(uint32 community) external view returns (bytes32);
    function shapeOf(uint32 shape) external view returns (Shape memory);
    function verifierOf(uint32 circuitVersion, uint32 shape) external view returns (Verifier memory);
    function isRetired(uint32 circuitVersion) external view returns (bool);
    function tariffSetOf(uint32 tariffSet) external view returns (TariffSet memory);
    function tariffCount(uint32 tariffSet) external view returns (uint256);
    function tariffAt(uint32 tariffSet, uint256 index) external view returns (Tariff memory);
}
