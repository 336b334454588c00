// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Claim, CommunityId} from "../contracts/Types.sol";
import {IVault} from "../contracts/interfaces/IVault.sol";
import {TestToken} from "../contracts/test/TestToken.sol";
import {AcceptAll} from "./Verifiers.sol";
import {Rollup, RollupTest} from "./RollupTest.sol";

/// @dev Keeps one part in a hundred of what is sent.
contract FeeToken is TestToken {
    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (from != address(0) && to != address(0)) super._update(to, address(0xfee), value / 100);
    }
}

/// @dev Calls back into the rollup on every transfer, as a token with hooks lets a receiver do.
contract HookToken is TestToken {
    address public target;
    bytes[] public calls;
    bool public armed;
    bool public anyCame;

    function arm(address to, bytes[] memory data) external {
        (target, armed) = (to, true);
        delete calls;
        for (uint256 i = 0; i < data.length; ++i) {
            calls.push(data[i]);
        }
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (!armed) return;
        armed = false;
        for (uint256 i = 0; i < calls.length; ++i) {
            (bool ok, bytes memory answer) = target.call(calls[i]);
            if (ok) {
                anyCame = true;
            } else {
                require(
                    bytes4(answer) == ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector, "another error"
                );
            }
        }
    }
}

/// @dev Tries to be paid twice.
contract GreedyRequester {
    Rollup private immutable _rollup;
    uint256 public again;

    constructor(Rollup rollup) {
        _rollup = rollup;
    }

    function request(CommunityId community, uint32 slot) external payable {
        _rollup.forceWithdraw{value: msg.value}(community, slot);
    }

    receive() external payable {
        try _rollup.withdrawEth(address(this)) {
            ++again;
        } catch {}
    }
}

/// @dev Tokens and receivers that do what they should not.
contract HostileVaultTest is RollupTest {
    Claim internal constant CLAIM = Claim.wrap(bytes32(uint256(0xc1a1)));

    // VAULT.2
    function test_feeOnTransferIsRefused() public {
        token = new FeeToken();
        start(address(new AcceptAll()));
        fund(member, 100);
        vm.prank(member);
        vm.expectRevert(
            abi.encodeWithSelector(IVault.FeeOnTransfer.selector, 100 * TOKEN_PER_UNIT, 99 * TOKEN_PER_UNIT)
        );
        rollup.deposit(CLAIM, 100);
        fund(operator, 100);
        vm.prank(operator);
        vm.expectRevert(
            abi.encodeWithSelector(IVault.FeeOnTransfer.selector, 100 * TOKEN_PER_UNIT, 99 * TOKEN_PER_UNIT)
        );
        rollup.addSupplierUnits(100);
    }

    function attacks() internal view returns (bytes[] memory calls) {
        calls = new bytes[](5);
        calls[0] = abi.encodeCall(rollup.withdraw, (member));
        calls[1] = abi.encodeCall(rollup.refund, (CLAIM));
        calls[2] = abi.encodeCall(rollup.deposit, (toClaim(2), 1));
        calls[3] = abi.encodeCall(rollup.withdrawEth, (member));
        calls[4] = abi.encodeCall(rollup.refund, (toClaim(2)));
    }

    // VAULT.6
    function test_tokenThatCallsBack() public {
        HookToken hook = new HookToken();
        token = hook;
        start(address(new AcceptAll()));
        fillPool(50);
        put(2, 20, 0, toWord(member));
        bring();
        fund(member, 5);
        hook.arm(address(rollup), attacks());
        vm.prank(member);
        rollup.deposit(CLAIM, 5);
        hook.arm(address(rollup), attacks());
        rollup.withdraw(member);
        vm.prank(member);
        rollup.requestRefund(CLAIM);
        vm.warp(block.timestamp + REFUND_DELAY);
        hook.arm(address(rollup), attacks());
        rollup.refund(CLAIM);
        assertFalse(hook.anyCame());
        assertFalse(hook.armed());
        assertEq(token.balanceOf(member), 25 * TOKEN_PER_UNIT);
        assertEq(token.balanceOf(address(rollup)), 30 * TOKEN_PER_UNIT);
    }

    function test_requesterThatCallsBack() public {
        start(address(new AcceptAll()));
        fillPool(50);
        GreedyRequester greedy = new GreedyRequester(rollup);
        vm.deal(address(this), 1 ether);
        greedy.request{value: BOND}(COMMUNITY, 0);
        vm.deal(member, 1 ether);
        vm.prank(member);
        rollup.forceWithdraw{value: 2 * BOND}(COMMUNITY, 1);
        put(10, 1, 0, toWord(address(greedy)));
        bring();
        rollup.withdrawEth(address(greedy));
        assertEq(greedy.again(), 0);
        assertEq(address(greedy).balance, BOND);
        assertEq(address(rollup).balance, 2 * BOND);
        vm.expectRevert(abi.encodeWithSelector(IVault.NothingToWithdraw.selector, address(greedy)));
        rollup.withdrawEth(address(greedy));
        assertFalse(rollup.isFrozen());
    }
}
