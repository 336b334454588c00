// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";
import {stdJson} from "forge-std/StdJson.sol";
import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {Claim, CommunityId, GenesisTerms, NoteCommitment, Owner, Root, TariffCommitment} from "../contracts/Types.sol";
import {ICertificates} from "../contracts/interfaces/ICertificates.sol";
import {IRegistry} from "../contracts/interfaces/IRegistry.sol";
import {ISettle} from "../contracts/interfaces/ISettle.sol";
import {IExits} from "../contracts/interfaces/IExits.sol";
import {IGridveilRollup} from "../contracts/IGridveilRollup.sol";
import {AcceptAll} from "./Verifiers.sol";
import {TestToken} from "../contracts/test/TestToken.sol";

/// @dev The rollup's whole interface. The tests do not import the contract: it is compiled through the IR, they are
/// not.
interface Rollup is IGridveilRollup {
    function QUIET_TIME() external view returns (uint256);
}

/// @dev The registry's whole interface.
interface Registry is IRegistry, IAccessControl {}

abstract contract RollupTest is Test {
    using stdJson for string;

    uint256 internal constant R = 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;
    uint32 internal constant SHAPE = 3;
    uint32 internal constant SET = 5;
    CommunityId internal constant COMMUNITY = CommunityId.wrap(7);
    uint32 internal constant VERSION = 1;
    uint32 internal constant SLOTS = 4;
    uint16 internal constant M = 24;
    uint16 internal constant LENGTH = 3600;
    uint32 internal constant PROOF_LENGTH = 96;
    Root internal constant GENESIS = Root.wrap(bytes32(uint256(0x1234)));
    TariffCommitment internal constant TARIFF = TariffCommitment.wrap(bytes32(uint256(0x7a)));
    GenesisTerms internal constant TERMS = GenesisTerms.wrap(bytes32(uint256(0x6e6e)));
    uint32 internal constant CERTIFICATE_VERSION = 1_000_001;
    uint32 internal constant CERTIFICATE_PROOF_LENGTH = 64;
    uint64 internal constant TOKEN_PER_UNIT = 10_000;
    uint64 internal constant DEADLINE = 7 days;
    uint64 internal constant REFUND_DELAY = 6 hours;
    uint128 internal constant BOND = 0.01 ether;
    uint256 internal constant UNIT = 10_000_000;

    address internal operator = makeAddr("operator");
    address internal mdm = makeAddr("meter data manager");
    address internal authority = makeAddr("tariff authority");
    address internal regulator = makeAddr("regulator");
    address internal upgrader = makeAddr("upgrader");
    address internal admin = makeAddr("admin");
    address internal treasury = makeAddr("treasury");
    address internal member = makeAddr("member");

    TestToken internal token = new TestToken();
    address internal poseidon = deployPoseidon();
    address internal parts = deployCode("GridveilParts.sol:GridveilParts");
    Rollup internal rollup;
    Registry internal registry;
    ICertificates internal certificates;
    IExits internal exits;
    uint32 internal first;
    uint32 internal tariffIndex;

    function deployPoseidon() internal returns (address at) {
        bytes memory code = vm.readFile("artifacts/PoseidonT5.json").readBytes(".bytecode");
        assembly ("memory-safe") {
            at := create(0, add(code, 0x20), mload(code))
        }
    }

    function config() internal view returns (IGridveilRollup.Config memory) {
        return IGridveilRollup.Config({
            admin: admin,
            operator: operator,
            mdm: mdm,
            tariffAuthority: authority,
            regulator: regulator,
            upgrader: upgrader,
            council: address(0),
            genesisRoot: GENESIS,
            circuitVersion: VERSION,
            verifierDelay: 14 days,
            enforceFutureTariffs: true,
            certificateVerifier: address(0),
            certificateProofLength: 0,
            token: address(token),
            tokenPerUnit: TOKEN_PER_UNIT,
            forcedDeadline: DEADLINE,
            refundDelay: REFUND_DELAY,
            forcedBond: BOND,
            treasury: treasury,
            parts: parts,
            poseidon: poseidon
        });
    }

    /// @dev What holds on any chain but the local one.
    function liveConfig() internal view returns (IGridveilRollup.Config memory c) {
        c = config();
        c.refundDelay = c.forcedDeadline;
    }

    function verifierInit(address verifier) internal pure returns (IRegistry.VerifierInit memory) {
        return verifierInit(verifier, SHAPE, SLOTS);
    }

    function verifierInit(address verifier, uint32 shape, uint32 slots)
        internal
        pure
        returns (IRegistry.VerifierInit memory)
    {
        return IRegistry.VerifierInit(shape, slots, M, verifier, PROOF_LENGTH);
    }

    /// @dev Registers a verifier that accepts everything, for a shape of its own.
    function registerShape(uint32 shape, uint32 slots) internal {
        IRegistry.VerifierInit memory init = verifierInit(address(new AcceptAll()), shape, slots);
        vm.prank(upgrader);
        registry.registerVerifier(VERSION, init);
    }

    /// @dev Announces the first use of a version, whose delay must be over for it to count.
    function announceUpgrade(uint32 circuitVersion) internal {
        vm.prank(upgrader);
        rollup.announceUpgrade(circuitVersion);
    }

    /// @dev The community of a number.
    function id(uint32 number) internal pure returns (CommunityId) {
        return CommunityId.wrap(number);
    }

    function registerCommunity(CommunityId community, uint32 shape) internal {
        vm.prank(mdm);
        registry.registerCommunity(community, shape, LENGTH, M, SET, TERMS);
    }

    /// @dev Where `start` puts the rollup if its verifier is deployed right before.
    function nextRollup() internal view returns (address) {
        return vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
    }

    function deployWith(IGridveilRollup.Config memory c, IRegistry.VerifierInit[] memory verifiers)
        internal
        returns (Rollup)
    {
        return Rollup(deployCode("GridveilRollup.sol:GridveilRollup", abi.encode(c, verifiers)));
    }

    function deploy(address verifier) internal returns (Rollup) {
        IRegistry.VerifierInit[] memory verifiers = new IRegistry.VerifierInit[](1);
        verifiers[0] = verifierInit(verifier);
        IGridveilRollup.Config memory c = config();
        (c.certificateVerifier, c.certificateProofLength) = (verifier, CERTIFICATE_PROOF_LENGTH);
        return deployWith(c, verifiers);
    }

    function start(address verifier) internal {
        vm.warp(1_764_000_000);
        adopt(deploy(verifier));
        openPeriod();
        registerCommunity(COMMUNITY, SHAPE);
        vm.warp(uint256(first + M) * LENGTH);
    }

    /// @dev Makes it the rollup of the test, with the contracts that belong to it.
    function adopt(Rollup deployed) internal {
        rollup = deployed;
        registry = registryOf(deployed);
        certificates = deployed.certificates();
        exits = deployed.exits();
    }

    function registryOf(Rollup deployed) internal view returns (Registry) {
        return Registry(address(deployed.registry()));
    }

    /// @dev The first period to settle, ten intervals from now, and the tariff that is in force then.
    function openPeriod() internal {
        first = uint32(block.timestamp / LENGTH) + 10;
        vm.startPrank(authority);
        registry.openTariffSet(SET, LENGTH, M);
        registry.registerTariff(SET, first - 5, TARIFF);
        vm.stopPrank();
    }

    function batch() internal view returns (ISettle.Settlement memory) {
        return ISettle.Settlement({
            circuitVersion: VERSION,
            community: COMMUNITY,
            firstInterval: first,
            tariffIndex: tariffIndex,
            newRoot: toRoot(0x2222),
            communityNew: bytes32(uint256(0x3333)),
            opsDigest: 0
        });
    }

    function words(uint256 count, uint256 seed) internal pure returns (bytes32[] memory out) {
        out = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            out[i] = bytes32(uint256(keccak256(abi.encode(seed, i))) % R);
        }
    }

    function proofBytes() internal pure returns (bytes memory out) {
        out = new bytes(PROOF_LENGTH);
        for (uint256 i = 0; i < PROOF_LENGTH; ++i) {
            out[i] = bytes1(uint8(i + 1));
        }
    }

    function settleAs(address who, ISettle.Settlement memory s, bytes32[] memory data, bytes memory proof) internal {
        vm.prank(who, who);
        rollup.settle(s, data, proof);
    }

    function settle(ISettle.Settlement memory s) internal {
        settleAs(operator, s, words(SLOTS + 2, 1), proofBytes());
    }

    function expectSettleRevert(ISettle.Settlement memory s, bytes memory error) internal {
        bytes32[] memory data = words(SLOTS + 2, 1);
        vm.expectRevert(error);
        settleAs(operator, s, data, proofBytes());
    }

    // ---------------------------------------------------------------- records

    bytes32[] internal pending;
    uint256 internal roots = 0x10000;

    /// @dev Adds a record to the next batch.
    function put(uint256 kind, uint256 units, uint256 x, bytes32 w1) internal {
        pending.push(bytes32(kind | units << 8 | x << 56));
        pending.push(w1);
    }

    function put(uint256 kind, uint256 units, uint256 x, Claim claim) internal {
        put(kind, units, x, Claim.unwrap(claim));
    }

    function put(uint256 kind, uint256 units, uint256 x, TariffCommitment commitment) internal {
        put(kind, units, x, TariffCommitment.unwrap(commitment));
    }

    function put(uint256 kind, uint256 units, uint256 x, GenesisTerms terms) internal {
        put(kind, units, x, GenesisTerms.unwrap(terms));
    }

    function put(uint256 kind, uint256 units, uint256 x, NoteCommitment note) internal {
        put(kind, units, x, NoteCommitment.unwrap(note));
    }

    /// @dev Leaves, then the records that were put.
    function recordData() internal view returns (bytes32[] memory data) {
        return recordData(SLOTS);
    }

    function recordData(uint32 slots) internal view returns (bytes32[] memory data) {
        bytes32[] memory leaves = words(slots + 2, 1);
        data = new bytes32[](leaves.length + pending.length);
        for (uint256 i = 0; i < data.length; ++i) {
            data[i] = i < leaves.length ? leaves[i] : pending[i - leaves.length];
        }
    }

    function nextBatch() internal returns (ISettle.Settlement memory s) {
        s = batch();
        s.newRoot = toRoot(++roots);
        s.opsDigest = bytes32(roots + 1);
    }

    /// @dev The next batch of any community, with the records that were put.
    function nextBatchOf(CommunityId community, uint32 slots)
        internal
        returns (ISettle.Settlement memory s, bytes32[] memory data)
    {
        s = nextBatch();
        s.community = community;
        data = recordData(slots);
        delete pending;
    }

    /// @dev Settles a batch with the records that were put.
    function bring() internal {
        bringTo(COMMUNITY, SLOTS);
    }

    function bringTo(CommunityId community, uint32 slots) internal {
        (ISettle.Settlement memory s, bytes32[] memory data) = nextBatchOf(community, slots);
        settleAs(operator, s, data, proofBytes());
    }

    /// @dev The same, refused; nothing of it remains.
    function bringRefused(bytes memory error) internal {
        (ISettle.Settlement memory s, bytes32[] memory data) = nextBatchOf(COMMUNITY, SLOTS);
        Root before = rollup.stateRoot();
        vm.expectRevert(error);
        settleAs(operator, s, data, proofBytes());
        assertEq(rollup.stateRoot(), before);
    }

    function toRoot(uint256 word) internal pure returns (Root) {
        return Root.wrap(bytes32(word));
    }

    function toOwner(uint256 word) internal pure returns (Owner) {
        return Owner.wrap(bytes32(word));
    }

    function toClaim(uint256 word) internal pure returns (Claim) {
        return Claim.wrap(bytes32(word));
    }

    function toTariff(uint256 word) internal pure returns (TariffCommitment) {
        return TariffCommitment.wrap(bytes32(word));
    }

    function toNote(uint256 word) internal pure returns (NoteCommitment) {
        return NoteCommitment.wrap(bytes32(word));
    }

    function assertEq(Root a, Root b) internal pure {
        assertEq(Root.unwrap(a), Root.unwrap(b));
    }

    function assertEq(Root a, Root b, string memory what) internal pure {
        assertEq(Root.unwrap(a), Root.unwrap(b), what);
    }

    function assertEq(NoteCommitment a, NoteCommitment b) internal pure {
        assertEq(NoteCommitment.unwrap(a), NoteCommitment.unwrap(b));
    }

    function toWord(address account) internal pure returns (bytes32) {
        return bytes32(uint256(uint160(account)));
    }

    // ------------------------------------------------------------------ money

    function fund(address account, uint256 units) internal {
        token.mint(account, units * TOKEN_PER_UNIT);
        vm.prank(account);
        token.approve(address(rollup), type(uint256).max);
    }

    function makeDeposit(address account, Claim claim, uint48 units) internal {
        fund(account, units);
        vm.prank(account);
        rollup.deposit(claim, units);
    }

    /// @dev Units into the pool, through a deposit.
    function fillPool(uint48 units) internal {
        Claim claim = toClaim(0xf111 + roots);
        makeDeposit(member, claim, units);
        put(1, units, 0, claim);
        bring();
    }

    /// @dev A forced withdrawal with the bond that is due.
    function request(address who, CommunityId community, uint32 slot) internal {
        uint256 bond = rollup.forcedBondOf(community);
        vm.deal(who, bond);
        vm.prank(who);
        rollup.forceWithdraw{value: bond}(community, slot);
    }

    /// @dev A request that nobody serves.
    function freezeRollup() internal {
        if (rollup.settledThrough(COMMUNITY) == 0) bring();
        request(makeAddr("ignored"), COMMUNITY, 0);
        vm.warp(block.timestamp + DEADLINE + 1);
        rollup.freeze(COMMUNITY);
    }
}
