// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IGridveilRollup} from "../contracts/IGridveilRollup.sol";
import {AuditHeads} from "../contracts/AuditHeads.sol";
import {IAuditHeads} from "../contracts/interfaces/IAuditHeads.sol";
import {RollupTest} from "./RollupTest.sol";
import {AcceptAll} from "./Verifiers.sol";

/// @dev Heads of the operator's audit log: by whom, and in which order.
contract AuditHeadsTest is RollupTest {
    AuditHeads internal heads;

    function setUp() public {
        start(address(new AcceptAll()));
        heads = new AuditHeads(rollup);
    }

    function test_theOperatorPublishesAndNobodyElse() public {
        vm.expectEmit(address(heads));
        emit IAuditHeads.AuditHead(3, bytes32("head"));
        vm.prank(operator);
        heads.publish(3, bytes32("head"));
        assertEq(heads.count(), 3);
        address[4] memory others = [mdm, admin, regulator, member];
        bytes32 role = registry.OPERATOR_ROLE();
        for (uint256 i = 0; i < others.length; i++) {
            vm.prank(others[i]);
            vm.expectRevert(
                abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, others[i], role)
            );
            heads.publish(4, bytes32("forged"));
        }
    }

    function testFuzz_aHeadIsForMoreEntriesThanTheOneBefore(uint64 first, uint64 second) public {
        first = uint64(bound(first, 1, type(uint64).max));
        second = uint64(bound(second, 0, first));
        vm.startPrank(operator);
        heads.publish(first, bytes32("first"));
        vm.expectRevert(abi.encodeWithSelector(IAuditHeads.NotAhead.selector, first));
        heads.publish(second, bytes32("second"));
    }

    function test_whoLosesTheRolePublishesNoMore() public {
        bytes32 role = registry.OPERATOR_ROLE();
        vm.prank(admin);
        registry.revokeRole(role, operator);
        vm.prank(operator);
        vm.expectRevert(
            abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, operator, role)
        );
        heads.publish(1, bytes32("late"));
    }
}
