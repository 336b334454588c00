// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Claim} from "../contracts/Types.sol";
import {IForcedQueue} from "../contracts/interfaces/IForcedQueue.sol";
import {IVault} from "../contracts/interfaces/IVault.sol";
import {Trees} from "./Trees.sol";

/// @dev Accepts proofs while it is on.
contract Switch {
    bool public on = true;

    function turn(bool on_) external {
        on = on_;
    }

    fallback() external {
        assembly {
            mstore(0, and(sload(0), 1))
            return(0, 0x20)
        }
    }
}

/// @dev The books as they must be, kept by whoever acts on the rollup from what it asked for, never from what the
/// rollup says. Every word of money the rollup keeps is compared.
abstract contract Model is Trees {
    address[4] internal people;
    Claim[] internal claims;
    Claim[] internal sent;

    // nano; units; units.
    uint256 internal pool;
    uint256 internal open;
    uint256 internal supplier;
    // Smallest parts; wei.
    mapping(address account => uint256) internal credited;
    mapping(address account => uint256) internal bonds;
    mapping(address account => uint256) internal tokens;
    mapping(Claim claim => IVault.DepositEntry) internal deposits;
    mapping(Claim claim => IVault.TransferState) internal transfers;
    uint256 internal bondsHeld;
    bool internal frozen;
    /// The community's stage: only a closed one is left while the rollup lives.
    bool internal closed;
    /// What was accepted and must not have been.
    string internal broken;

    function meet() internal {
        people = [member, treasury, makeAddr("a"), makeAddr("b")];
        for (uint256 i = 0; i < 4; ++i) {
            fund(people[i], 1e9);
            vm.deal(people[i], 1000 ether);
            tokens[people[i]] = token.balanceOf(people[i]);
        }
        fund(operator, 1e9);
        tokens[operator] = token.balanceOf(operator);
    }

    function person(uint256 seed) internal view returns (address) {
        return people[seed % 4];
    }

    // ---------------------------------------------------------------- effects

    function deposited(address who, Claim claim, uint48 units) internal {
        if (frozen) broken = "a deposit after the freeze";
        if (deposits[claim].state != IVault.DepositState.None) broken = "a claim deposited twice";
        deposits[claim] =
            IVault.DepositEntry({depositor: who, units: units, refundableAt: 0, state: IVault.DepositState.Open});
        claims.push(claim);
        open += units;
        tokens[who] -= uint256(units) * TOKEN_PER_UNIT;
    }

    function requested(Claim claim) internal {
        deposits[claim].refundableAt = uint40(block.timestamp + REFUND_DELAY);
    }

    function refunded(Claim claim) internal {
        IVault.DepositEntry storage entry = deposits[claim];
        if (entry.state != IVault.DepositState.Open) broken = "a deposit ended twice";
        bool due = entry.refundableAt != 0 && entry.refundableAt <= block.timestamp;
        if (!due && !frozen) broken = "a refund too early";
        entry.state = IVault.DepositState.Refunded;
        open -= entry.units;
        tokens[entry.depositor] += uint256(entry.units) * TOKEN_PER_UNIT;
    }

    function consumed(Claim claim) internal {
        if (deposits[claim].state != IVault.DepositState.Open) broken = "a deposit ended twice";
        deposits[claim].state = IVault.DepositState.Consumed;
        open -= deposits[claim].units;
        pool += deposits[claim].units * UNIT;
    }

    function credit(address who, uint256 units) internal {
        if (units * UNIT > pool) broken = "more than the pool";
        pool -= units * UNIT;
        credited[who] += units * TOKEN_PER_UNIT;
    }

    function release(address who, uint256 nano) internal {
        if (!frozen && !closed) broken = "an exit before the freeze and the end";
        if (nano > pool) broken = "more than the pool";
        pool -= nano;
        credited[who] += nano * TOKEN_PER_UNIT / UNIT;
    }

    function moved(Claim claim, IVault.TransferState from, IVault.TransferState to) internal {
        if (transfers[claim] != from) broken = "a claim sent, received or exited twice";
        transfers[claim] = to;
    }

    function withdrawn(address who) internal {
        if (credited[who] == 0) broken = "a payment of nothing";
        tokens[who] += credited[who];
        credited[who] = 0;
    }

    // ------------------------------------------------------------- the checks

    /// @dev Every amount is what it must be, and the vault holds what it owes.
    function checkBooks() external view {
        (uint64 pool_, uint64 open_, uint64 funds) = rollup.totals();
        assertEq(pool_, pool, "pool");
        assertEq(open_, open, "open deposits");
        assertEq(funds, supplier, "supplier funds");
        uint256 owed = (open + supplier) * TOKEN_PER_UNIT + pool * TOKEN_PER_UNIT / UNIT;
        for (uint256 i = 0; i < 4; ++i) {
            address who = people[i];
            assertEq(rollup.withdrawable(who), credited[who], "withdrawable");
            assertEq(rollup.ethOwed(who), bonds[who], "bonds owed");
            assertEq(token.balanceOf(who), tokens[who], "tokens");
            owed += credited[who];
        }
        assertEq(token.balanceOf(operator), tokens[operator], "the operator's tokens");
        assertGe(token.balanceOf(address(rollup)), owed, "solvency");
        assertEq(address(rollup).balance, bondsHeld, "wei");
        assertEq(broken, "");
        assertEq(rollup.isFrozen(), frozen, "frozen");
        IForcedQueue.ForcedEntry[] memory queue = rollup.forcedQueueOf(COMMUNITY);
        assertEq(rollup.forcedWaiting().waiting, queue.length, "waiting");
    }

    /// @dev Every claim is in the state it must be in.
    function checkClaims() external view {
        for (uint256 i = 0; i < claims.length; ++i) {
            Claim claim = claims[i];
            assertEq(abi.encode(rollup.depositOf(claim)), abi.encode(deposits[claim]), "deposit");
        }
        for (uint256 i = 0; i < sent.length; ++i) {
            assertEq(uint256(rollup.transferOf(sent[i])), uint256(transfers[sent[i]]), "transfer");
        }
    }
}
