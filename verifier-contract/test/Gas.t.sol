// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Claim, NoteCommitment, Nullifier, RetirementCommitment, Root} from "../contracts/Types.sol";
import {ICertificates} from "../contracts/interfaces/ICertificates.sol";
import {IExits} from "../contracts/interfaces/IExits.sol";
import {ISettle} from "../contracts/interfaces/ISettle.sol";
import {Trees} from "./Trees.sol";
import {RollupTest} from "./RollupTest.sol";
import {AcceptAll} from "./Verifiers.sol";

/// @dev Execution gas of every entry, without the transaction's own 21,000 and calldata, and without verification.
/// Slots are cold.
contract GasTest is Trees {
    Claim internal constant CLAIM = Claim.wrap(bytes32(uint256(0xc1a1)));
    address internal other = makeAddr("other");

    function setUp() public {
        start(address(new AcceptAll()));
        fillPool(1000);
        makeDeposit(member, toClaim(1), 10);
        fund(other, 10);
    }

    function measure(string memory name, address who, address to, uint256 value, bytes memory input) internal {
        vm.deal(who, value);
        vm.cool(address(rollup));
        vm.cool(address(registry));
        vm.cool(address(certificates));
        vm.cool(address(exits));
        vm.cool(address(token));
        vm.prank(who, who);
        uint256 used = gasleft();
        bool ok;
        assembly ("memory-safe") {
            ok := call(gas(), to, value, add(input, 0x20), mload(input), 0, 0)
        }
        used -= gasleft();
        assertTrue(ok, name);
        vm.snapshotValue(name, used);
    }

    function test_vault() public {
        measure("deposit", other, address(rollup), 0, abi.encodeCall(rollup.deposit, (CLAIM, 10)));
        measure("requestRefund", other, address(rollup), 0, abi.encodeCall(rollup.requestRefund, (CLAIM)));
        vm.warp(block.timestamp + REFUND_DELAY);
        measure("refund", other, address(rollup), 0, abi.encodeCall(rollup.refund, (CLAIM)));
        put(2, 5, 0, toWord(member));
        bring();
        measure("withdraw", other, address(rollup), 0, abi.encodeCall(rollup.withdraw, (member)));
    }

    function test_forced() public {
        measure(
            "forceWithdraw-first", member, address(rollup), BOND, abi.encodeCall(rollup.forceWithdraw, (COMMUNITY, 1))
        );
        bytes memory input = abi.encodeCall(rollup.forceWithdraw, (COMMUNITY, 1));
        measure("forceWithdraw", other, address(rollup), 2 * BOND, input);
        (address signer, uint256 key) = makeAddrAndKey("signer");
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Gridveil"),
                keccak256("1"),
                block.chainid,
                address(rollup)
            )
        );
        bytes32 kind = keccak256(
            "ForcedWithdrawal(uint32 community,uint32 slot,address requester,uint256 nonce,uint256 deadline)"
        );
        uint256 deadline = block.timestamp + 1;
        bytes32 digest = keccak256(
            abi.encodePacked("\x19\x01", domain, keccak256(abi.encode(kind, COMMUNITY, 1, signer, 0, deadline)))
        );
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        input = abi.encodeCall(rollup.forceWithdrawFor, (COMMUNITY, 1, signer, deadline, abi.encodePacked(r, s, v)));
        measure("forceWithdrawFor", other, address(rollup), 4 * BOND, input);
        vm.warp(block.timestamp + DEADLINE + 1);
        measure("freeze", other, address(rollup), 0, abi.encodeCall(rollup.freeze, (COMMUNITY)));
    }

    function exitOf(uint32 slots, string memory name) internal {
        (IExits.ExitOpening memory o, Root root) = opening(id(20), slots, slots - 1, 123, 5);
        register(id(20), slots);
        freezeAt(root, 0);
        measure(name, other, address(exits), 0, abi.encodeCall(exits.exit, (o)));
    }

    function test_exitOf32() public {
        exitOf(32, "exit-32-slots");
    }

    function test_exitOf128() public {
        exitOf(128, "exit-128-slots");
    }

    function test_exitOf512() public {
        exitOf(512, "exit-512-slots");
    }

    function test_exitClaim() public {
        Claim claim = toClaim(hash(1, 5 | uint256(uint160(member)) << 64, 2, 3));
        put(3, 0, 0, claim);
        bring();
        freezeRollup();
        bytes memory input =
            abi.encodeCall(exits.exitClaim, (toOwner(1), 5, member, bytes32(uint256(2)), bytes32(uint256(3))));
        measure("exitClaim", other, address(exits), 0, input);
    }

    function test_certify() public {
        ICertificates.Certificate memory c;
        bytes32[] memory w = words(6, 1);
        c.circuitVersion = CERTIFICATE_VERSION;
        (c.anchor, c.nullifier) = (GENESIS, Nullifier.wrap(w[0]));
        (c.note1, c.note2) = (NoteCommitment.wrap(w[1]), NoteCommitment.wrap(w[2]));
        bytes memory proof = new bytes(CERTIFICATE_PROOF_LENGTH);
        measure(
            "certify-transfer-without-verifier",
            other,
            address(certificates),
            certificates.fee(),
            abi.encodeCall(certificates.certify, (c, proof))
        );
        (c.nullifier, c.retirement) = (Nullifier.wrap(w[3]), RetirementCommitment.wrap(w[4]));
        (c.disclosed, c.beneficiary, c.kind) = (w[5], w[5], 1 | 1 << 8);
        measure(
            "certify-retirement-without-verifier",
            other,
            address(certificates),
            certificates.fee(),
            abi.encodeCall(certificates.certify, (c, proof))
        );
        vm.warp(block.timestamp + DEADLINE + 1);
        uint256 before = vm.snapshotState();
        measure("freezeForNotes", other, address(rollup), 0, abi.encodeCall(rollup.freezeForNotes, (0)));
        vm.revertToState(before);
        for (uint256 i = 0; i < 2; ++i) {
            ICertificates.WaitingPair memory pair = certificates.waitingPairs(2)[i];
            put(20, 0, 0, pair.note1);
            put(20, 0, 0, pair.note2);
        }
        settleOf("settle-6-words-4-notes-without-verifier");
        vm.revertToState(before);
        delete pending;
        vm.prank(upgrader);
        registry.retireVersion(CERTIFICATE_VERSION);
        measure("dropNotes-2", other, address(certificates), 0, abi.encodeCall(certificates.dropNotes, (2)));
    }

    function settleOf(string memory name) internal {
        (ISettle.Settlement memory s, bytes32[] memory data) = nextBatchOf(COMMUNITY, SLOTS);
        measure(name, operator, address(rollup), 0, abi.encodeCall(rollup.settle, (s, data, proofBytes())));
    }

    function test_settle() public {
        settleOf("settle-6-words-0-records-without-verifier");
        put(1, 10, 0, toClaim(1));
        settleOf("settle-6-words-1-record-without-verifier");
        // Two withdrawals, two transfers sent and received, a forced withdrawal, an outflow.
        vm.deal(member, BOND);
        vm.prank(member);
        rollup.forceWithdraw{value: BOND}(COMMUNITY, 1);
        for (uint256 i = 0; i < 2; ++i) {
            put(2, 5, 0, toWord(i == 0 ? member : other));
            put(3, 0, 0, bytes32(0x600 + i));
            put(4, 0, 0, bytes32(0x600 + i));
        }
        put(10, 5, 1, toWord(member));
        put(18, 1, 0, 0);
        settleOf("settle-6-words-8-records-without-verifier");
    }
}

/// @dev The largest shape: what a settlement costs besides its proof's verification.
contract GridveilRollupGasTest is RollupTest {
    uint32 internal constant LARGEST = 512;

    function setUp() public {
        start(address(new AcceptAll()));
        registerShape(SHAPE + 1, LARGEST);
        registerCommunity(id(8), SHAPE + 1);
        vm.warp(block.timestamp + 14 days);
        announceUpgrade(VERSION);
        settle(batch());
        // Not the community's first batch, which is noted once.
        ISettle.Settlement memory s = batch();
        (s.community, s.newRoot) = (id(8), toRoot(0x4443));
        settleAs(operator, s, words(LARGEST + 2, 2), proofBytes());
    }

    function test_gasOfLargestShape() public {
        ISettle.Settlement memory s = batch();
        (s.community, s.newRoot) = (id(8), toRoot(0x4444));
        bytes memory input = abi.encodeCall(ISettle.settle, (s, words(LARGEST + 2, 1), proofBytes()));
        address to = address(rollup);
        bool ok;
        vm.prank(operator, operator);
        uint256 used = gasleft();
        // Not a Solidity call, which would copy the calldata first.
        assembly ("memory-safe") {
            ok := call(gas(), to, 0, add(input, 0x20), mload(input), 0, 0)
        }
        used -= gasleft();
        assertTrue(ok);
        vm.snapshotValue("settle-514-words-execution-gas-without-verifier", used);
    }
}
