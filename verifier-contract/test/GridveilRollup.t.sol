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
            assertEq(logs[i].emitter, address(other));
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
            abi.encodeCall(rollup.registerCommunity, (1, SHAPE, LENGTH, M, SET, TERMS)),
            abi.encodeCall(rollup.openTariffSet, (6, LENGTH, M)),
            abi.encodeCall(rollup.registerTariff, (SET, type(uint32).max, TARIFF)),
            abi.encodeCall(rollup.registerVerifier, (2, verifierInit(address(rollup)))),
            abi.encodeCall(rollup.retireVersion, (1)),
            abi.encodeCall(rollup.setDepositsPaused, (true))
        ];
        address[6] memory owners = [mdm, authority, authority, upgrader, upgrader, regulator];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(who);
            (bool ok, bytes memory answer) = address(rollup).call(calls[i]);
            assertFalse(ok);
            assertEq(bytes4(answer), refused);
            // Nobody else's role is enough either.
            for (uint256 j = 0; j < owners.length; ++j) {
                if (owners[j] != owners[i]) {
                    vm.prank(owners[j]);
                    (ok,) = address(rollup).call(calls[i]);
                    assertFalse(ok);
                }
            }
        }
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(owners[i]);
            (bool ok,) = address(rollup).call(calls[i]);
            assertTrue(ok);
        }
        assertTrue(rollup.depositsPaused());
    }

    function test_pauseDoesNotTouchSettlement() public {
        vm.prank(regulator);
        rollup.setDepositsPaused(true);
        settle(batch());
    }

    function test_codeSize() public {
        uint256 size = address(rollup).code.length;
        vm.snapshotValue("rollup-bytes", size);
        vm.snapshotValue("exits-bytes", address(exits).code.length);
        bytes memory template = vm.getDeployedCode("GridveilRollup.sol:GridveilRollup");
        vm.snapshotValue("rollup-runtime-codehash", uint256(keccak256(template)));
        assertLt(size, 24_576);
        assertLt(vm.getCode("GridveilRollup.sol:GridveilRollup").length, 49_152);
    }
}
