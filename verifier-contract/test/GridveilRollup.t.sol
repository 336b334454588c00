// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Vm} from "forge-std/Test.sol";
import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IRegistry} from "../contracts/interfaces/IRegistry.sol";
import {ISettle} from "../contracts/interfaces/ISettle.sol";
import {Rollup, RollupTest} from "./RollupTest.sol";
import {AcceptAll} from "./Verifiers.sol";

/// @dev The rollup as a whole: what its constructor says, who may do what, how large it is.
contract GridveilRollupTest is RollupTest {
    function setUp() public {
        start(address(new AcceptAll()));
    }

    /// @dev What the constructor says: who reads L1 alone begins with it.
    function test_eventsOfTheConstructor() public {
        vm.recordLogs();
        address verifier = address(new AcceptAll());
        Rollup other = deploy(verifier);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        bytes32[4] memory topics = [
            IRegistry.ShapeRegistered.selector,
            IRegistry.VerifierRegistered.selector,
            IRegistry.VerifierRegistered.selector,
            ISettle.Genesis.selector
        ];
        bytes[4] memory data = [
            abi.encode(SLOTS, M),
            abi.encode(verifier, verifier.codehash, PROOF_LENGTH, block.timestamp),
            abi.encode(verifier, verifier.codehash, CERTIFICATE_PROOF_LENGTH, block.timestamp),
            abi.encode(GENESIS, VERSION, true)
        ];
        uint256 at;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] == IAccessControl.RoleGranted.selector) continue;
            bool rollups = logs[i].topics[0] == ISettle.Genesis.selector;
            assertEq(logs[i].emitter, rollups ? address(other) : address(other.registry()));
            assertEq(logs[i].topics[0], topics[at]);
            assertEq(logs[i].data, data[at++]);
        }
        assertEq(at, 4);
    }

    function testFuzz_roles(address who) public {
        vm.assume(
            who != mdm && who != authority && who != regulator && who != upgrader && who != admin && who != operator
        );
        bytes4 refused = IAccessControl.AccessControlUnauthorizedAccount.selector;
        bytes[6] memory calls = [
            abi.encodeCall(registry.registerCommunity, (id(1), SHAPE, LENGTH, M, SET, TERMS)),
            abi.encodeCall(registry.openTariffSet, (6, LENGTH, M)),
            abi.encodeCall(registry.registerTariff, (SET, type(uint32).max, TARIFF)),
            abi.encodeCall(registry.registerVerifier, (2, verifierInit(address(rollup)))),
            abi.encodeCall(registry.retireVersion, (1)),
            abi.encodeCall(rollup.setDepositsPaused, (true))
        ];
        address[6] memory owners = [mdm, authority, authority, upgrader, upgrader, regulator];
        address r = address(registry);
        address[6] memory targets = [r, r, r, r, r, address(rollup)];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(who);
            (bool ok, bytes memory answer) = targets[i].call(calls[i]);
            assertFalse(ok);
            assertEq(bytes4(answer), refused);
            // Nobody else's role is enough either.
            for (uint256 j = 0; j < owners.length; ++j) {
                if (owners[j] != owners[i]) {
                    vm.prank(owners[j]);
                    (ok,) = targets[i].call(calls[i]);
                    assertFalse(ok);
                }
            }
        }
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(owners[i]);
            (bool ok,) = targets[i].call(calls[i]);
            assertTrue(ok);
        }
        assertTrue(rollup.depositsPaused());
    }

    /// @dev What only a batch or a certificate may do in the contracts that belong to the rollup.
    function test_onlyTheRollup() public {
        address[3] memory others = [operator, upgrader, address(this)];
        for (uint256 i = 0; i < 3; ++i) {
            vm.startPrank(others[i]);
            vm.expectRevert(abi.encodeWithSelector(IRegistry.NotRollup.selector, others[i]));
            registry.noteFirstUse(VERSION, SHAPE);
            vm.expectRevert(abi.encodeWithSelector(IRegistry.NotRollup.selector, others[i]));
            certificates.append(0, COMMUNITY, toNote(1));
            vm.stopPrank();
        }
        assertEq(registry.rollup(), address(rollup));
        assertEq(address(certificates.rollup()), address(rollup));
        assertEq(address(exits.rollup()), address(rollup));
    }

    /// @dev Where who reads L1 begins, and how far a community is.
    function test_progressIsReadable() public {
        assertEq(rollup.createdAt(), block.number);
        vm.roll(block.number + 5);
        assertEq(rollup.createdAt(), block.number - 5);
        assertEq(rollup.settledThrough(COMMUNITY), 0);
        settle(batch());
        assertEq(rollup.settledThrough(COMMUNITY), uint256(first + M) * LENGTH);
        assertEq(rollup.settledThrough(id(8)), 0);
    }

    function test_pauseDoesNotTouchSettlement() public {
        vm.prank(regulator);
        rollup.setDepositsPaused(true);
        settle(batch());
    }

    function test_codeSize() public {
        uint256 size = address(rollup).code.length;
        vm.snapshotValue("rollup-bytes", size);
        vm.snapshotValue("registry-bytes", address(registry).code.length);
        vm.snapshotValue("certificates-bytes", address(certificates).code.length);
        vm.snapshotValue("exits-bytes", address(exits).code.length);
        bytes memory template = vm.getDeployedCode("GridveilRollup.sol:GridveilRollup");
        vm.snapshotValue("rollup-runtime-codehash", uint256(keccak256(template)));
        // Room for the next version of the statement.
        assertLt(size, 24_576 - 4_096);
        // EIP-3860 counts the constructor's arguments too: here of six shapes.
        uint256 arguments = abi.encode(config(), new IRegistry.VerifierInit[](6)).length;
        uint256 initcode = vm.getCode("GridveilRollup.sol:GridveilRollup").length + arguments;
        vm.snapshotValue("rollup-initcode-bytes", initcode);
        assertLt(initcode, 49_152);
        assertLt(vm.getCode("GridveilParts.sol:GridveilParts").length, 49_152);
        assertLt(parts.code.length, 24_576);
    }
}
