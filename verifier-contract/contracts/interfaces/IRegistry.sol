// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {CommunityId, GenesisTerms, TariffCommitment} from "../Types.sol";
import {ICouncil} from "./ICouncil.sol";

/// @title What is registered: roles, circuit shapes and their verifiers, tariffs, communities
/// @dev Rules: docs/spec/l1.md, "Registries".
interface IRegistry is ICouncil {
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
    /// @param hastened true if the council shortened its delay: while the emergency lasts its first use is not announced
    /// @param unsound true if it accepted two proofs that contradict each other: it is refused for ever
    /// @param codehash its code when it was registered, and whenever it is used
    struct Verifier {
        address verifier;
        uint32 proofLength;
        uint40 activeFrom;
        bool used;
        bool hastened;
        bool unsound;
        bytes32 codehash;
    }

    /// @notice Where a community is on its way to its end. Open: no end was announced. Closing: an end was announced;
    /// it still settles, and takes forced requests. Ending: it serves the requests that wait, and takes no more.
    /// Closed: no batch of it settles any more, for ever; its members exit.
    enum Stage {
        Open,
        Closing,
        Ending,
        Closed
    }

    /// @notice A community's fixed parameters.
    /// @param registered true from its registration on
    /// @param intervalLength seconds: 900, 1800 or 3600
    /// @param m intervals of one period
    /// @param shape id of its circuit shape
    /// @param tariffSet id of the set whose tariffs it is billed at
    struct Community {
        bool registered;
        uint16 intervalLength;
        uint16 m;
        uint32 shape;
        uint32 tariffSet;
    }

    /// @notice How a community ends.
    /// @param stage on the way to its end
    /// @param closesAt unix seconds at which the notice is over; 0 if no end was announced
    /// @param closedAfter the rollup's last batch when it was closed: no later root has another state of it
    struct End {
        Stage stage;
        uint40 closesAt;
        uint64 closedAfter;
    }

    /// @notice What all tariffs of a set have.
    /// @param intervalLength seconds: 900, 1800 or 3600
    /// @param m intervals of one period, not zero
    struct TariffSet {
        uint16 intervalLength;
        uint16 m;
    }

    /// @notice A published tariff: in force for the periods that start from `firstInterval` on, until the next one.
    /// @param firstInterval unix seconds divided by the set's interval length
    /// @param commitment of the prices
    struct Tariff {
        uint32 firstInterval;
        TariffCommitment commitment;
    }

    /// @notice What a batch is settled under.
    /// @param intervalLength seconds: 900, 1800 or 3600
    /// @param m intervals of one period
    /// @param shape id of the community's circuit shape
    /// @param slots member slots N of that shape
    /// @param tariffSet id of the community's tariff set
    /// @param verifier of the batch's version and that shape
    /// @param proofLength exact length of a proof, bytes
    /// @param used true if the verifier has had its first batch, or is the constructor's
    /// @param hastened true if its first use needs no announcement now
    /// @param activeFrom unix seconds from which it may be used, and its first use announced
    /// @param tariffCommitment of the tariff in force at the period's first interval
    struct BatchTerms {
        uint16 intervalLength;
        uint16 m;
        uint32 shape;
        uint32 slots;
        uint32 tariffSet;
        address verifier;
        uint32 proofLength;
        bool used;
        bool hastened;
        uint40 activeFrom;
        TariffCommitment tariffCommitment;
    }

    /// @notice A circuit shape and a verifier for it. A certificate verifier has shape, slots and m zero.
    /// @param shape id of the shape
    /// @param slots member slots N: a power of two from 2 to 65,536
    /// @param m intervals of one period, not zero
    /// @param verifier contract that takes instances and proof as raw calldata and returns the word 1
    /// @param proofLength exact length of a proof, bytes, a multiple of 32
    struct VerifierInit {
        uint32 shape;
        uint32 slots;
        uint16 m;
        address verifier;
        uint32 proofLength;
    }

    // ----------------------------------------------------------------- events

    /// @notice A shape is fixed by its first verifier.
    /// @param shape id of the shape
    /// @param slots member slots N
    /// @param m intervals of one period
    event ShapeRegistered(uint32 indexed shape, uint32 slots, uint16 m);
    /// @notice A verifier was registered. Who does not trust it has until `activeFrom`, and longer, to leave.
    /// @param circuitVersion version of the circuit
    /// @param shape id of the shape; 0 for a certificate verifier
    /// @param verifier its address
    /// @param codehash of its code
    /// @param proofLength exact length of a proof, bytes
    /// @param activeFrom unix seconds from which it may be used
    event VerifierRegistered(
        uint32 indexed circuitVersion,
        uint32 indexed shape,
        address verifier,
        bytes32 codehash,
        uint32 proofLength,
        uint64 activeFrom
    );
    /// @notice A verifier that was registered later has its first batch, the one of this transaction.
    /// @param circuitVersion version of the circuit
    /// @param shape id of the shape
    /// @param verifier its address
    event VerifierFirstUsed(uint32 indexed circuitVersion, uint32 indexed shape, address verifier);
    /// @notice A circuit version is refused from now on, for ever.
    /// @param circuitVersion version of the circuit
    event CircuitVersionRetired(uint32 indexed circuitVersion);
    /// @notice A community was registered. Its parameters do not change.
    /// @param community which
    /// @param shape id of its circuit shape
    /// @param intervalLength seconds
    /// @param m intervals of one period
    /// @param tariffSet id of the set whose tariffs it is billed at
    /// @param genesisTerms what its initialisation must have; 0 if it has none
    event CommunityRegistered(
        CommunityId indexed community,
        uint32 indexed shape,
        uint16 intervalLength,
        uint16 m,
        uint32 indexed tariffSet,
        GenesisTerms genesisTerms
    );
    /// @notice A community's end was announced. It still settles. Who wants to leave by force asks before that.
    /// @param community which
    /// @param closesAt unix seconds at which the notice is over
    event CommunityClosing(CommunityId indexed community, uint40 closesAt);
    /// @notice A community takes no forced request any more. Those that wait are served, then it is closed.
    /// @param community which
    event CommunityEnding(CommunityId indexed community);
    /// @notice A community is closed, for ever: its members exit through `IExits`.
    /// @param community which
    /// @param lastBatch the rollup's last one; the root after it, and every later one, has the community's last state
    event CommunityClosed(CommunityId indexed community, uint64 lastBatch);
    /// @notice A tariff set was opened. It has no tariff yet.
    /// @param tariffSet its id
    /// @param intervalLength seconds
    /// @param m intervals of one period
    event TariffSetOpened(uint32 indexed tariffSet, uint16 intervalLength, uint16 m);
    /// @notice A tariff was published. It does not change.
    /// @param tariffSet id of its set
    /// @param index of the tariff in its set
    /// @param firstInterval from which it is in force
    /// @param commitment of the prices
    event TariffRegistered(
        uint32 indexed tariffSet, uint32 indexed index, uint32 firstInterval, TariffCommitment commitment
    );

    // ----------------------------------------------------------------- errors

    /// @notice No community of that index is registered.
    /// @param community as it was given
    error UnknownCommunity(CommunityId community);
    /// @notice A community of that index is registered, and is not changed. Take another index.
    /// @param community as it was given
    error CommunityAlreadyRegistered(CommunityId community);
    /// @notice The community's end was announced before, and is not announced twice.
    /// @param community as it was given
    error AlreadyClosing(CommunityId community);
    /// @notice The community is closed, or takes no forced request any more because it is about to be. Leave it through
    /// `IExits` when it is closed.
    /// @param community as it was given
    error CommunityIsClosed(CommunityId community);
    /// @notice The end of the community was not announced, or the notice is not over. Announce it, and wait.
    /// @param community as it was given
    /// @param closesAt unix seconds at which the notice is over; 0 if none was announced
    error NoticeNotOver(CommunityId community, uint256 closesAt);
    /// @notice Forced requests of the community wait still. Serve them, then close it.
    /// @param community as it was given
    /// @param waiting requests
    error RequestsWait(CommunityId community, uint256 waiting);
    /// @notice A district has one community for now, of index 0. Take a number below 65,536.
    /// @param community as it was given
    error CommunityOutOfRange(CommunityId community);
    /// @notice An interval has 900, 1800 or 3600 seconds.
    /// @param intervalLength as it was given
    error BadIntervalLength(uint16 intervalLength);
    /// @notice Two periods do not fit into the forced deadline: a served request could come too late. Take a shape with
    /// fewer intervals, or shorter ones.
    /// @param period seconds
    /// @param forcedDeadline seconds
    error PeriodTooLong(uint256 period, uint256 forcedDeadline);
    /// @notice No verifier of that shape was ever registered.
    /// @param shape as it was given
    error UnknownShape(uint32 shape);
    /// @notice Slots or m are not the shape's, or are none that a shape can have.
    /// @param shape as it was given
    error ShapeMismatch(uint32 shape);
    /// @notice No verifier is registered for that version and shape, or the version is of the other circuit.
    /// @param circuitVersion as it was given
    /// @param shape of the community; 0 for a certificate
    error UnknownVerifier(uint32 circuitVersion, uint32 shape);
    /// @notice A verifier is registered for that version and shape, and is not exchanged. Take another version.
    /// @param circuitVersion as it was given
    /// @param shape as it was given
    error VerifierAlreadyRegistered(uint32 circuitVersion, uint32 shape);
    /// @notice The verifier's delay is not over. Use the old version until then.
    /// @param activeFrom unix seconds from which it may be used
    error VerifierNotActive(uint64 activeFrom);
    /// @notice The version was retired. Use another one.
    /// @param circuitVersion as it was given
    error VersionRetired(uint32 circuitVersion);
    /// @notice There is no code at an address that must have some: every call to it would succeed.
    /// @param verifier the address
    error NoCode(address verifier);
    /// @notice No tariff set of that id is open.
    /// @param tariffSet as it was given
    error UnknownTariffSet(uint32 tariffSet);
    /// @notice A tariff set of that id is open, and is not changed. Take another id.
    /// @param tariffSet as it was given
    error TariffSetAlreadyOpen(uint32 tariffSet);
    /// @notice The set's interval length or m is not the community's; or m is zero.
    /// @param tariffSet as it was given
    error TariffSetMismatch(uint32 tariffSet);
    /// @notice A tariff starts after the set's last one.
    /// @param firstInterval as it was given
    /// @param lastFirstInterval of the set's last tariff
    error TariffNotLater(uint32 firstInterval, uint32 lastFirstInterval);
    /// @notice The tariff would have started already. Publish a later one.
    /// @param startsAt unix seconds
    /// @param timestamp of the block, unix seconds
    error TariffAlreadyStarted(uint256 startsAt, uint256 timestamp);
    /// @notice The tariff starts within the notice. Publish a later one.
    /// @param startsAt unix seconds
    /// @param earliest unix seconds at which a tariff may start now
    error TariffTooSoon(uint256 startsAt, uint256 earliest);
    /// @notice The proof does not have the verifier's length.
    /// @param expected bytes
    /// @param actual bytes
    error ProofLength(uint256 expected, uint256 actual);
    /// @notice A proof's length is a multiple of 32: padding could be written in many ways.
    /// @param proofLength as it was given, bytes
    error ProofNotWords(uint32 proofLength);
    /// @notice The code at the verifier's address is not the one that was registered. Register another verifier.
    /// @param verifier the address
    error VerifierChanged(address verifier);
    /// @notice The verifier does not accept the proof for these public inputs: for this state root, tariff and chain.
    error ProofRejected();
    /// @notice Tariffs that start in the past are for the local chain.
    error LocalChainOnly();
    /// @notice The rollup, or a contract that belongs to it, alone may call.
    /// @param caller who called
    error NotRollup(address caller);

    // ---------------------------------------------------------------- actions

    /// @notice Registers a community's fixed parameters, once. They must be those of its shape and tariff set. The
    /// meter data manager alone may call.
    /// @param community its number, below 65,536
    /// @param shape id of a registered shape
    /// @param intervalLength seconds: 900, 1800 or 3600
    /// @param m intervals of one period, as in the shape and the tariff set
    /// @param tariffSet id of an open set
    /// @param genesisTerms P(mdm_x, mdm_y, mechanism, first_interval), which its initialisation must have; 0 if it has
    /// none
    function registerCommunity(
        CommunityId community,
        uint32 shape,
        uint16 intervalLength,
        uint16 m,
        uint32 tariffSet,
        GenesisTerms genesisTerms
    ) external;

    /// @notice Announces a community's end, once and for good: it can be closed when the notice, `verifierDelay`, is
    /// over. The meter data manager alone may call.
    /// @param community a registered community
    function announceClosing(CommunityId community) external;

    /// @notice Goes on with the end of a community whose notice is over, and refused when frozen. The first call, by the
    /// meter data manager alone, ends its forced requests: not while a queue is full nor within a day after, so that
    /// everybody who asked found a place. The community is closed, by the same call or by anybody's later one, when no
    /// request of it waits.
    /// @param community a community whose end was announced
    function closeCommunity(CommunityId community) external;

    /// @notice Opens a tariff set for communities of that interval length and period, once. The tariff authority alone
    /// may call.
    /// @param tariffSet id that is not taken
    /// @param intervalLength seconds: 900, 1800 or 3600
    /// @param m intervals of one period, not zero
    function openTariffSet(uint32 tariffSet, uint16 intervalLength, uint16 m) external;

    /// @notice Publishes a tariff: write-once, in strictly increasing order of start, `tariffNotice` before it starts.
    /// The tariff authority alone may call.
    /// @param tariffSet id of an open set
    /// @param firstInterval from which it is in force: unix seconds divided by the interval length
    /// @param commitment of the prices
    /// @return index of the tariff in its set
    function registerTariff(uint32 tariffSet, uint32 firstInterval, TariffCommitment commitment)
        external
        returns (uint32 index);

    /// @notice Registers a verifier, usable after the delay, and for the first time only when that was announced and
    /// all are served who waited then: `IForcedQueue.announceUpgrade`. A new shape is registered with its first verifier. The upgrader
    /// alone may call.
    /// @param circuitVersion from `CERTIFICATE_VERSION` on: of the certificate circuit
    /// @param init shape and verifier
    function registerVerifier(uint32 circuitVersion, VerifierInit calldata init) external;

    /// @notice Refuses a circuit version from now on, for ever. The upgrader alone may call.
    /// @param circuitVersion any version
    function retireVersion(uint32 circuitVersion) external;

    /// @notice Notes a verifier's first use. The rollup and its certificates alone may call.
    /// @param circuitVersion version of the circuit
    /// @param shape id of the shape
    function noteFirstUse(uint32 circuitVersion, uint32 shape) external;

    // ------------------------------------------------------------------ views

    /// @notice The rollup whose batches are settled under these terms.
    /// @return rollup the creator of this contract
    function rollup() external view returns (address rollup);
    /// @notice Brings batches, funds supplier accounts.
    /// @return role its id
    function OPERATOR_ROLE() external view returns (bytes32 role);
    /// @notice The meter data manager: registers communities.
    /// @return role its id
    function MDM_ROLE() external view returns (bytes32 role);
    /// @notice Publishes tariffs.
    /// @return role its id
    function TARIFF_ROLE() external view returns (bytes32 role);
    /// @notice May pause deposits.
    /// @return role its id
    function REGULATOR_ROLE() external view returns (bytes32 role);
    /// @notice Registers, announces and retires circuit versions.
    /// @return role its id
    function UPGRADER_ROLE() external view returns (bytes32 role);
    /// @notice Reverts if the account does not have the role: `AccessControlUnauthorizedAccount`.
    /// @param role its id
    /// @param account any
    function checkRole(bytes32 role, address account) external view;
    /// @notice The certificate circuit's first version: all versions from here on are of it, all below of the
    /// settlement circuit.
    /// @return circuitVersion 1,000,001
    function CERTIFICATE_VERSION() external view returns (uint32 circuitVersion);
    /// @notice From a verifier's registration to its first use.
    /// @return delay seconds
    function verifierDelay() external view returns (uint64 delay);
    /// @notice Whether tariffs must be registered before they start.
    /// @return enforced false only on the local chain
    function enforceFutureTariffs() external view returns (bool enforced);
    /// @notice From a tariff's registration to its first interval, if that is enforced.
    /// @return notice seconds: an hour, on the local chain none
    function tariffNotice() external view returns (uint64 notice);
    /// @notice What a batch is settled under. Reverts where `settle` must: the operator has no such role, the community
    /// is not registered or is closed, the tariff is not in force, the version has no verifier that may be used.
    /// @param operator who brings the batch
    /// @param circuitVersion version of the circuit of the proof
    /// @param community which
    /// @param firstInterval first interval of the period
    /// @param tariffIndex index, in the community's set, of the tariff in force then
    /// @return terms as they are now
    function batchTerms(
        address operator,
        uint32 circuitVersion,
        CommunityId community,
        uint32 firstInterval,
        uint32 tariffIndex
    ) external view returns (BatchTerms memory terms);
    /// @notice The verifier of a certificate version. Reverts if its delay is not over, its code has changed or the
    /// version was retired.
    /// @param circuitVersion from `CERTIFICATE_VERSION` on
    /// @return record the verifier
    function certificateVerifier(uint32 circuitVersion) external view returns (Verifier memory record);
    /// @notice The tariff in force at an interval.
    /// @param tariffSet id of the set
    /// @param firstInterval unix seconds divided by the set's interval length
    /// @return found false if none is
    /// @return commitment of its prices
    function tariffInForce(uint32 tariffSet, uint256 firstInterval)
        external
        view
        returns (bool found, TariffCommitment commitment);
    /// @notice Member slots of a community. Reverts if it is not registered.
    /// @param community which
    /// @return slots of its shape
    function slotsOf(CommunityId community) external view returns (uint32 slots);
    /// @notice Member slots of a community that takes forced requests. Reverts if it takes none: it is not registered,
    /// or ends.
    /// @param community which
    /// @return slots of its shape
    function forcedSlotsOf(CommunityId community) external view returns (uint32 slots);
    /// @notice True if a community is closed: no batch of it settles any more.
    /// @param community which
    /// @return closed for ever
    function isClosed(CommunityId community) external view returns (bool closed);
    /// @notice A community's fixed parameters.
    /// @param community which
    /// @return parameters all zero if it is not registered
    function communityOf(CommunityId community) external view returns (Community memory parameters);
    /// @notice How a community ends.
    /// @param community which
    /// @return end all zero if no end was announced
    function endOf(CommunityId community) external view returns (End memory end);
    /// @notice What the community's initialisation must have.
    /// @param community which
    /// @return genesisTerms 0 if it has none
    function genesisTermsOf(CommunityId community) external view returns (GenesisTerms genesisTerms);
    /// @notice What a shape fixes.
    /// @param shape its id
    /// @return parameters all zero if it is not registered
    function shapeOf(uint32 shape) external view returns (Shape memory parameters);
    /// @notice The verifier of a version and shape.
    /// @param circuitVersion version of the circuit
    /// @param shape id of the shape; 0 for a certificate verifier
    /// @return verifier all zero if there is none
    function verifierOf(uint32 circuitVersion, uint32 shape) external view returns (Verifier memory verifier);
    /// @notice True if a circuit version was retired.
    /// @param circuitVersion any version
    /// @return retired true from its retirement on
    function isRetired(uint32 circuitVersion) external view returns (bool retired);
    /// @notice What all tariffs of a set have.
    /// @param tariffSet its id
    /// @return set all zero if it is not open
    function tariffSetOf(uint32 tariffSet) external view returns (TariffSet memory set);
    /// @notice How many tariffs a set has.
    /// @param tariffSet its id
    /// @return count of tariffs
    function tariffCount(uint32 tariffSet) external view returns (uint256 count);
    /// @notice A tariff of a set. Reverts without a reason if there is none.
    /// @param tariffSet id of the set
    /// @param index of the tariff, below `tariffCount`
    /// @return tariff as it was published
    function tariffAt(uint32 tariffSet, uint256 index) external view returns (Tariff memory tariff);
}
