// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Claim, Owner, Root} from "../contracts/Types.sol";
import {IExits} from "../contracts/interfaces/IExits.sol";
import {IForcedQueue} from "../contracts/interfaces/IForcedQueue.sol";
import {ISettle} from "../contracts/interfaces/ISettle.sol";
import {IVault} from "../contracts/interfaces/IVault.sol";
import {Model} from "./Model.sol";
import {RollupTest} from "./RollupTest.sol";
import {AcceptAll} from "./Verifiers.sol";

/// @dev A rollup that is frozen with money everywhere: a pool behind four slots and three sent claims, open deposits,
/// supplier funds, bonds. Everybody leaves, by true openings, and tries again.
contract Leaver is Model {
    struct ClaimOpening {
        Owner recipient;
        uint64 amount;
        address payout;
    }

    IExits.ExitOpening[] internal openings;
    ClaimOpening[] internal preimages;
    bool[4] internal out;
    uint256 internal exitsDone;
    uint256 internal claimsDone;
    uint256 internal swept;

    constructor() {
        start(address(new AcceptAll()));
        meet();
        for (uint256 i = 0; i < 3; ++i) {
            ClaimOpening memory c =
                ClaimOpening({recipient: Owner.wrap(bytes32(i + 1)), amount: uint64(3 * UNIT + i), payout: people[i]});
            preimages.push(c);
            Claim claim = claimOf(c);
            sent.push(claim);
            put(3, 0, 0, claim);
            moved(claim, IVault.TransferState.None, IVault.TransferState.Open);
        }
        // The pool, by the first deposit; two more stay open, one of them with a refund asked for.
        for (uint48 i = 0; i < 3; ++i) {
            Claim claim = toClaim(0xc1a1 + i);
            vm.prank(people[i]);
            rollup.deposit(claim, 500 + i);
            deposited(people[i], claim, 500 + i);
        }
        vm.prank(people[2]);
        rollup.requestRefund(claims[2]);
        requested(claims[2]);
        put(1, 500, 0, claims[0]);
        consumed(claims[0]);
        vm.prank(operator);
        rollup.addSupplierUnits(50);
        (supplier, tokens[operator]) = (50, tokens[operator] - 50 * TOKEN_PER_UNIT);
        roots = uint256(Root.unwrap(lastState())) - 1;
        bring();
        for (uint32 i = 0; i < 2; ++i) {
            uint256 bond = rollup.forcedBondOf(COMMUNITY);
            vm.prank(people[i]);
            rollup.forceWithdraw{value: bond}(COMMUNITY, i);
            bondsHeld += bond;
        }
        vm.warp(block.timestamp + DEADLINE + 1);
        rollup.freeze(COMMUNITY);
        frozen = true;
    }

    /// @dev Four known leaves, two of one payout account; a balance that is no whole number of the token's parts.
    function lastState() private returns (Root root) {
        uint256[] memory leaves = new uint256[](4);
        for (uint32 i = 0; i < 4; ++i) {
            IExits.ExitOpening memory o;
            (o.community, o.slot, o.payout) = (COMMUNITY, i, people[i / 2]);
            o.balance = uint64((100 + i) * UNIT + 7 * i);
            bytes32[] memory w = words(3, i);
            (o.s1, o.s2, o.privateCommitment) = (w[0], w[1], w[2]);
            (o.headerLeaf, o.certificatesRoot) = (bytes32(uint256(11)), bytes32(uint256(12)));
            leaves[i] = hash(exitCommitment(o), uint256(o.privateCommitment), 0, 0);
            openings.push(o);
        }
        uint256[][] memory levels = dense(leaves);
        (uint256 root_, bytes32[] memory above) =
            state(COMMUNITY.districtOf(), hash(11, levels[levels.length - 1][0], 12, 0), 4000, 5);
        for (uint32 i = 0; i < 4; ++i) {
            bytes32[] memory below = siblingsOf(levels, i);
            bytes32[] memory siblings = new bytes32[](below.length + above.length);
            for (uint256 j = 0; j < siblings.length; ++j) {
                siblings[j] = j < below.length ? below[j] : above[j - below.length];
            }
            openings[i].siblings = siblings;
        }
        root = toRoot(root_);
    }

    function claimOf(ClaimOpening memory c) private view returns (Claim) {
        return
            toClaim(
                hash(uint256(Owner.unwrap(c.recipient)), uint256(c.amount) | uint256(uint160(c.payout)) << 64, 21, 22)
            );
    }

    // ---------------------------------------------------------------- actions

    /// @dev Any slot, as often as it comes, sometimes with another balance.
    function exit(uint256 slot, uint64 more) external {
        IExits.ExitOpening memory o = openings[slot % 4];
        bool changed = more % 8 == 1;
        if (changed) o.balance += (more >> 8) + 1;
        try exits.exit(o) {
            if (out[slot % 4]) broken = "a slot exited twice";
            if (changed) broken = "another balance";
            (out[slot % 4], exitsDone) = (true, exitsDone + 1);
            release(o.payout, o.balance);
        } catch {}
    }

    function exitClaim(uint256 which, bool changed) external {
        ClaimOpening memory c = preimages[which % 3];
        if (changed) c.amount += 1;
        try exits.exitClaim(c.recipient, c.amount, c.payout, bytes32(uint256(21)), bytes32(uint256(22))) {
            if (changed) broken = "another amount";
            moved(claimOf(c), IVault.TransferState.Open, IVault.TransferState.Exited);
            claimsDone += 1;
            release(c.payout, c.amount);
        } catch {}
    }

    function refund(uint256 which) external {
        try rollup.refund(claims[which % 3]) {
            refunded(claims[which % 3]);
        } catch {}
    }

    function withdraw(uint256 who) external {
        try rollup.withdraw(person(who)) {
            withdrawn(person(who));
        } catch {}
    }

    function removeSupplierUnits(uint48 units) external {
        units = uint48(bound(units, 1, 30));
        vm.prank(person(units));
        try rollup.removeSupplierUnits(units) {
            supplier -= units;
            credited[treasury] += uint256(units) * TOKEN_PER_UNIT;
        } catch {}
    }

    /// @dev Never within ten years; then all that nobody took, once.
    function sweep(uint256 years_) external {
        if (years_ % 4 == 0) vm.warp(block.timestamp + 400 days);
        bool due = block.timestamp >= rollup.frozenAt() + 3650 days;
        try rollup.sweepRest() {
            if (!due) broken = "swept while members may exit";
            swept += pool;
            credited[treasury] += pool * TOKEN_PER_UNIT / UNIT;
            pool = 0;
        } catch {
            if (due) broken = "not swept when it was due";
        }
    }

    function returnBonds(uint256 who) external {
        IForcedQueue.ForcedEntry[] memory queue = rollup.forcedQueueOf(COMMUNITY);
        rollup.returnBonds(COMMUNITY);
        for (uint256 i = 0; i < queue.length; ++i) {
            bonds[queue[i].requester] += queue[i].bond;
        }
        try rollup.withdrawEth(person(who)) {
            bondsHeld -= bonds[person(who)];
            bonds[person(who)] = 0;
        } catch {}
    }

    /// @dev What only a rollup that lives does.
    function live(uint256 choice) external {
        choice = choice % 4;
        ISettle.Settlement memory s = nextBatch();
        bytes memory call = abi.encodeCall(rollup.settle, (s, words(SLOTS + 2, 1), proofBytes()));
        if (choice == 1) call = abi.encodeCall(rollup.deposit, (toClaim(0xd00d), 1));
        if (choice == 2) call = abi.encodeCall(rollup.freeze, (COMMUNITY));
        if (choice == 3) call = abi.encodeCall(rollup.forceWithdraw, (COMMUNITY, 3));
        address who = choice == 0 ? operator : person(choice);
        uint256 value = choice == 3 ? 1 ether : 0;
        vm.deal(who, 1 ether);
        vm.prank(who, who);
        (bool ok,) = address(rollup).call{value: value}(call);
        if (ok) broken = "it lives";
    }

    // ------------------------------------------------------------- the checks

    /// @dev What is left in the pool is what nobody took out, with the share of supplier accounts and fee accounts.
    function checkPool() external view {
        uint256 left = 500 * UNIT;
        for (uint256 i = 0; i < 4; ++i) {
            assertEq(rollup.hasExited(COMMUNITY, uint32(i)), out[i], "exited");
            if (out[i]) left -= openings[i].balance;
        }
        for (uint256 i = 0; i < 3; ++i) {
            if (rollup.transferOf(sent[i]) == IVault.TransferState.Exited) left -= preimages[i].amount;
        }
        (uint64 pool_,,) = rollup.totals();
        assertEq(pool_ + swept, left, "what is left");
    }
}

contract FrozenInvariantsTest is RollupTest {
    Leaver internal leaver;

    function setUp() public {
        leaver = new Leaver();
        bytes4[] memory selectors = new bytes4[](10);
        selectors[0] = Leaver.exit.selector;
        selectors[1] = Leaver.exitClaim.selector;
        selectors[2] = Leaver.refund.selector;
        selectors[3] = Leaver.withdraw.selector;
        selectors[4] = Leaver.removeSupplierUnits.selector;
        selectors[5] = Leaver.returnBonds.selector;
        selectors[6] = Leaver.live.selector;
        selectors[7] = Leaver.exit.selector;
        selectors[8] = Leaver.sweep.selector;
        selectors[9] = Leaver.sweep.selector;
        targetContract(address(leaver));
        targetSelector(FuzzSelector({addr: address(leaver), selectors: selectors}));
    }

    /// @dev Everybody is paid once, from where their money is.
    /// forge-config: default.invariant.runs = 32
    /// forge-config: default.invariant.depth = 50
    /// forge-config: default.invariant.fail-on-revert = true
    function invariant_everybodyLeavesOnce() public view {
        leaver.checkBooks();
        leaver.checkClaims();
        leaver.checkPool();
    }
}
