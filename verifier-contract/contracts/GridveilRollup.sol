// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {IGridveilRollup} from "./IGridveilRollup.sol";

/// @title Gridveil rollup, version 1
/// @notice See `IGridveilRollup` and docs/spec/l1.md.
contract GridveilRollup is IGridveilRollup, AccessControl {
    /// @notice Brings batches.
    bytes32 public constant OPERATOR_ROLE = keccak256("OPERATOR_ROLE");
    /// @notice Meter data manager: registers communities.
    bytes32 public constant MANAGER_ROLE = keccak256("MANAGER_ROLE");
    /// @notice Publishes tariffs.
    bytes32 public constant TARIFF_ROLE = keccak256("TARIFF_ROLE");
    /// @notice May pause deposits.
    bytes32 public constant REGULATOR_ROLE = keccak256("REGULATOR_ROLE");
    /// @notice Registers and retires circuit versions.
    bytes32 public constant UPGRADER_ROLE = keccak256("UPGRADER_ROLE");

    /// @notice Scalar field modulus of BN254.
    uint256 public constant R = 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;
    /// @notice Public inputs of a settlement proof.
    uint256 public constant INSTANCES = 10;
    /// @notice Most gas a verifier is given: a malformed proof must not cost the whole transaction.
    uint256 public constant VERIFIER_GAS = 1_500_000;
    /// @notice Communities in the state tree.
    uint32 public constant MAX_COMMUNITIES = 4 ** 8;
    /// @notice The chain on which development shortcuts are allowed.
    uint256 public constant LOCAL_CHAIN_ID = 31337;

    /// @notice Seconds between a verifier's registration and its first use.
    uint64 public immutable verifierDelay;
    /// @notice True if tariffs must be registered before they start.
    bool public immutable enforceFutureTariffs;

    /// @inheritdoc IGridveilRollup
    bytes32 public immutable genesisRoot;

    /// @inheritdoc IGridveilRollup
    bytes32 public stateRoot;
    /// @inheritdoc IGridveilRollup
    bool public depositsPaused;

    /// @dev Batch number plus one, so that the genesis root is found too. The current root's entry is the count of batches.
    mapping(bytes32 root => uint256 batchPlusOne) private _batchOf;
    mapping(uint32 community => Community) private _communities;
    mapping(uint32 shape => Shape) private _shapes;
    mapping(uint32 circuitVersion => mapping(uint32 shape => Verifier)) private _verifiers;
    /// @inheritdoc IGridveilRollup
    mapping(uint32 circuitVersion => bool retired) public isRetired;
    mapping(uint32 tariffSet => TariffSet) private _tariffSets;
    mapping(uint32 tariffSet => Tariff[]) private _tariffs;

    constructor(Config memory config, VerifierInit[] memory verifiers) {
        if (!config.enforceFutureTariffs && block.chainid != LOCAL_CHAIN_ID) revert LocalChainOnly();
        _requireCanonical(uint256(config.genesisRoot));
        _grantRole(DEFAULT_ADMIN_ROLE, config.admin);
        _grantRole(OPERATOR_ROLE, config.operator);
        _grantRole(MANAGER_ROLE, config.manager);
        _grantRole(TARIFF_ROLE, config.tariffAuthority);
        _grantRole(REGULATOR_ROLE, config.regulator);
        _grantRole(UPGRADER_ROLE, config.upgrader);
        verifierDelay = config.verifierDelay;
        enforceFutureTariffs = config.enforceFutureTariffs;
        genesisRoot = config.genesisRoot;
        stateRoot = config.genesisRoot;
        _batchOf[config.genesisRoot] = 1;
        emit Genesis(config.genesisRoot, config.circuitVersion, config.enforceFutureTariffs);
        for (uint256 i = 0; i < verifiers.length; ++i) {
            _registerVerifier(config.circuitVersion, verifiers[i], uint64(block.timestamp));
        }
    }

    // ----------------------------------------------------------------- settle

    /// @inheritdoc IGridveilRollup
    function settle(Settlement calldata batch, bytes32[] calldata data, bytes calldata proof) external onlyRole(OPERATOR_ROLE) {
        // The auditor reads data and proof from the transaction itself.
        // solhint-disable-next-line avoid-tx-origin
        if (msg.sender != tx.origin) revert NotDirectCall();
        // Standard encoding: six words, two offsets, data with its length, proof with its length, padded.
        uint256 expected = 4 + 32 * (10 + data.length + (proof.length + 31) / 32);
        if (msg.data.length != expected) revert TrailingBytes(expected, msg.data.length);

        Community memory c = _communities[batch.community];
        if (!c.registered) revert UnknownCommunity(batch.community);
        uint256 endsAt = (uint256(batch.firstInterval) + c.m) * c.intervalLength;
        if (endsAt > block.timestamp) revert PeriodNotOver(endsAt, block.timestamp);
        _checkLengths(c.shape, data.length);
        _requireCanonical(uint256(batch.newRoot));
        _requireCanonical(uint256(batch.communityNew));

        // The public inputs, docs/spec/state.md: all from the contract's own state, but the two new nodes.
        uint256[INSTANCES] memory instances;
        instances[0] = domain(batch.circuitVersion);
        instances[1] = uint256(stateRoot);
        instances[2] = uint256(batch.newRoot);
        instances[3] = batch.community;
        instances[4] = uint256(batch.firstInterval) | uint256(c.intervalLength) << 32 | uint256(c.m) << 48;
        instances[5] = uint256(_tariffInForce(c.tariffSet, batch.firstInterval, batch.tariffIndex));
        instances[6] = uint256(batch.communityNew);
        instances[7] = 0; // operations come with circuit version 2
        (instances[8], instances[9]) = _bindData(instances[0], batch.communityNew, data);
        _verify(batch.circuitVersion, c.shape, instances, proof);

        _finalise(batch, instances);
    }

    function _finalise(Settlement calldata settled, uint256[INSTANCES] memory instances) private {
        bytes32 newRoot = settled.newRoot;
        if (_batchOf[newRoot] != 0) revert RootAlreadyFinalised(newRoot);
        // The old root's batch number plus one.
        uint256 batch = _batchOf[bytes32(instances[1])];
        stateRoot = newRoot;
        _batchOf[newRoot] = batch + 1;
        emit BatchSettled(
            uint64(batch),
            settled.community,
            settled.firstInterval,
            bytes32(instances[1]),
            newRoot,
            settled.communityNew,
            bytes32(instances[5]),
            settled.circuitVersion
        );
    }

    function _checkLengths(uint32 shape, uint256 words) private view {
        uint256 expected = uint256(_shapes[shape].slots) + 2;
        if (words != expected) revert DataLength(expected, words);
    }

    function _tariffInForce(uint32 tariffSet, uint32 firstInterval, uint256 index) private view returns (bytes32) {
        Tariff[] storage tariffs = _tariffs[tariffSet];
        uint256 count = tariffs.length;
        if (index >= count) revert TariffNotInForce(index);
        Tariff storage tariff = tariffs[index];
        if (tariff.firstInterval > firstInterval) revert TariffNotInForce(index);
        if (index + 1 < count && tariffs[index + 1].firstInterval <= firstInterval) revert TariffNotInForce(index);
        return tariff.commitment;
    }

    /// @dev z = keccak256(domain, communityNew, keccak256(d)) mod r and y = sum d_i z^i, with every d_i checked to be canonical.
    /// Horner's rule from the last word on: first what is over eight words, then eight a turn. y is kept below 2 r, which is below
    /// 2^256, and reduced once at the end; a word of r or more, which alone could overflow it, is refused afterwards.
    function _bindData(uint256 domain_, bytes32 communityNew, bytes32[] calldata data) internal pure returns (uint256 z, uint256 y) {
        bool canonical = true;
        assembly ("memory-safe") {
            let free := mload(0x40)
            let at := add(free, shl(5, data.length))
            {
                calldatacopy(free, data.offset, sub(at, free))
                let hash := keccak256(free, sub(at, free))
                mstore(at, domain_)
                mstore(add(at, 0x20), communityNew)
                mstore(add(at, 0x40), hash)
                z := mod(keccak256(at, 0x60), R)
            }
            for { let turns := sub(at, and(sub(at, free), 0xe0)) } gt(at, turns) {} {
                at := sub(at, 0x20)
                let word := mload(at)
                canonical := and(canonical, lt(word, R))
                y := add(mulmod(y, z, R), word)
            }
            for {} gt(at, free) {} {
                at := sub(at, 0x100)
                {
                    let a := mload(add(at, 0xe0))
                    let b := mload(add(at, 0xc0))
                    let c := mload(add(at, 0xa0))
                    let d := mload(add(at, 0x80))
                    canonical := and(and(and(and(canonical, lt(a, R)), lt(b, R)), lt(c, R)), lt(d, R))
                    y := add(d, mulmod(z, add(c, mulmod(z, add(b, mulmod(z, add(a, mulmod(z, y, R)), R)), R)), R))
                }
                {
                    let a := mload(add(at, 0x60))
                    let b := mload(add(at, 0x40))
                    let c := mload(add(at, 0x20))
                    let d := mload(at)
                    canonical := and(and(and(and(canonical, lt(a, R)), lt(b, R)), lt(c, R)), lt(d, R))
                    y := add(d, mulmod(z, add(c, mulmod(z, add(b, mulmod(z, add(a, mulmod(z, y, R)), R)), R)), R))
                }
            }
            y := mod(y, R)
        }
        if (!canonical) {
            for (uint256 i = 0; i < data.length; ++i) {
                _requireCanonical(uint256(data[i]));
            }
        }
    }

    function _verify(uint32 circuitVersion, uint32 shape, uint256[INSTANCES] memory instances, bytes calldata proof) private view {
        if (isRetired[circuitVersion]) revert VersionRetired(circuitVersion);
        Verifier storage record = _verifiers[circuitVersion][shape];
        address verifier = record.verifier;
        if (verifier == address(0)) revert UnknownVerifier(circuitVersion, shape);
        if (record.activeFrom > block.timestamp) revert VerifierNotActive(record.activeFrom);
        if (proof.length != record.proofLength) revert ProofLength(record.proofLength, proof.length);
        bool accepted;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mcopy(free, instances, mul(0x20, INSTANCES))
            calldatacopy(add(free, mul(0x20, INSTANCES)), proof.offset, proof.length)
            let size := add(proof.length, mul(0x20, INSTANCES))
            // A contract without code would return nothing: the word 1 is required.
            accepted := staticcall(VERIFIER_GAS, verifier, free, size, 0x00, 0x20)
            accepted := and(accepted, and(eq(returndatasize(), 0x20), eq(mload(0x00), 1)))
        }
        if (!accepted) revert ProofRejected();
    }

    function _requireCanonical(uint256 word) private pure {
        if (word >= R) revert NotCanonical(word);
    }

    // ----------------------------------------------------------- registration

    /// @inheritdoc IGridveilRollup
    function registerCommunity(uint32 community, uint32 shape, uint16 intervalLength, uint16 m, uint32 tariffSet)
        external
        onlyRole(MANAGER_ROLE)
    {
        if (community >= MAX_COMMUNITIES) revert CommunityOutOfRange(community);
        if (_communities[community].registered) revert CommunityAlreadyRegistered(community);
        _requireIntervalLength(intervalLength);
        Shape memory s = _shapes[shape];
        if (s.slots == 0) revert UnknownShape(shape);
        if (s.m != m) revert ShapeMismatch(shape);
        TariffSet memory set = _tariffSets[tariffSet];
        if (set.m == 0) revert UnknownTariffSet(tariffSet);
        if (set.m != m || set.intervalLength != intervalLength) revert TariffSetMismatch(tariffSet);
        _communities[community] =
            Community({registered: true, intervalLength: intervalLength, m: m, shape: shape, tariffSet: tariffSet});
        emit CommunityRegistered(community, shape, intervalLength, m, tariffSet);
    }

    /// @inheritdoc IGridveilRollup
    function openTariffSet(uint32 tariffSet, uint16 intervalLength, uint16 m) external onlyRole(TARIFF_ROLE) {
        _requireIntervalLength(intervalLength);
        if (m == 0) revert TariffSetMismatch(tariffSet);
        if (_tariffSets[tariffSet].m != 0) revert TariffSetAlreadyOpen(tariffSet);
        _tariffSets[tariffSet] = TariffSet({intervalLength: intervalLength, m: m});
        emit TariffSetOpened(tariffSet, intervalLength, m);
    }

    /// @inheritdoc IGridveilRollup
    function registerTariff(uint32 tariffSet, uint32 firstInterval, bytes32 commitment)
        external
        onlyRole(TARIFF_ROLE)
        returns (uint32 index)
    {
        TariffSet memory set = _tariffSets[tariffSet];
        if (set.m == 0) revert UnknownTariffSet(tariffSet);
        _requireCanonical(uint256(commitment));
        Tariff[] storage tariffs = _tariffs[tariffSet];
        index = uint32(tariffs.length);
        if (index > 0) {
            uint32 last = tariffs[index - 1].firstInterval;
            if (firstInterval <= last) revert TariffNotLater(firstInterval, last);
        }
        uint256 startsAt = uint256(firstInterval) * set.intervalLength;
        if (enforceFutureTariffs && startsAt <= block.timestamp) revert TariffAlreadyStarted(startsAt, block.timestamp);
        tariffs.push(Tariff({firstInterval: firstInterval, commitment: commitment}));
        emit TariffRegistered(tariffSet, index, firstInterval, commitment);
    }

    /// @inheritdoc IGridveilRollup
    function registerVerifier(uint32 circuitVersion, VerifierInit calldata init) external onlyRole(UPGRADER_ROLE) {
        _registerVerifier(circuitVersion, init, uint64(block.timestamp) + verifierDelay);
    }

    function _registerVerifier(uint32 circuitVersion, VerifierInit memory init, uint64 activeFrom) private {
        if (isRetired[circuitVersion]) revert VersionRetired(circuitVersion);
        if (_verifiers[circuitVersion][init.shape].verifier != address(0)) revert VerifierAlreadyRegistered(circuitVersion, init.shape);
        if (init.verifier.code.length == 0) revert NoCode(init.verifier);
        Shape memory s = _shapes[init.shape];
        if (s.slots == 0) {
            if (init.slots == 0 || init.m == 0) revert ShapeMismatch(init.shape);
            _shapes[init.shape] = Shape({slots: init.slots, m: init.m});
            emit ShapeRegistered(init.shape, init.slots, init.m);
        } else if (s.slots != init.slots || s.m != init.m) {
            revert ShapeMismatch(init.shape);
        }
        bytes32 codehash = init.verifier.codehash;
        _verifiers[circuitVersion][init.shape] =
            Verifier({verifier: init.verifier, proofLength: init.proofLength, activeFrom: activeFrom, codehash: codehash});
        emit VerifierRegistered(circuitVersion, init.shape, init.verifier, codehash, init.proofLength, activeFrom);
    }

    /// @inheritdoc IGridveilRollup
    function retireVersion(uint32 circuitVersion) external onlyRole(UPGRADER_ROLE) {
        isRetired[circuitVersion] = true;
        emit CircuitVersionRetired(circuitVersion);
    }

    /// @inheritdoc IGridveilRollup
    function setDepositsPaused(bool paused) external onlyRole(REGULATOR_ROLE) {
        depositsPaused = paused;
        emit DepositsPaused(paused);
    }

    function _requireIntervalLength(uint16 intervalLength) private pure {
        if (intervalLength != 900 && intervalLength != 1800 && intervalLength != 3600) revert BadIntervalLength(intervalLength);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IGridveilRollup
    function batchCount() external view returns (uint64) {
        return uint64(_batchOf[stateRoot] - 1);
    }

    /// @inheritdoc IGridveilRollup
    function isFinalised(bytes32 root) external view returns (bool) {
        return _batchOf[root] != 0;
    }

    /// @inheritdoc IGridveilRollup
    function domain(uint32 circuitVersion) public view returns (uint256) {
        return uint256(keccak256(abi.encode(block.chainid, address(this), uint256(circuitVersion)))) % R;
    }

    /// @inheritdoc IGridveilRollup
    function communityOf(uint32 community) external view returns (Community memory) {
        return _communities[community];
    }

    /// @inheritdoc IGridveilRollup
    function shapeOf(uint32 shape) external view returns (Shape memory) {
        return _shapes[shape];
    }

    /// @inheritdoc IGridveilRollup
    function verifierOf(uint32 circuitVersion, uint32 shape) external view returns (Verifier memory) {
        return _verifiers[circuitVersion][shape];
    }

    /// @inheritdoc IGridveilRollup
    function tariffSetOf(uint32 tariffSet) external view returns (TariffSet memory) {
        return _tariffSets[tariffSet];
    }

    /// @inheritdoc IGridveilRollup
    function tariffCount(uint32 tariffSet) external view returns (uint256) {
        return _tariffs[tariffSet].length;
    }

    /// @inheritdoc IGridveilRollup
    function tariffAt(uint32 tariffSet, uint256 index) external view returns (Tariff memory) {
        return _tariffs[tariffSet][index];
    }
}
