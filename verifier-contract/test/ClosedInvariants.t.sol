// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {CommunityId, Root} from "../contracts/Types.sol";
import {IExits} from "../contracts/interfaces/IExits.sol";
import {IRegistry} from "../contracts/interfaces/IRegistry.sol";
import {ISettle} from "../contracts/interfaces/ISettle.sol";
import {Model} from "./Model.sol";
import {RollupTest} from "./RollupTest.sol";
import {Safe} from "./Safe.sol";
import {AcceptAll} from "./Verifiers.sol";

/// @dev One community comes to its end while another settles, and perhaps all freezes. The states are true ones of a
/// sound operator: openings of every state that was final are tried at every time.
contract Closer is Model {
    CommunityId internal constant OTHER = CommunityId.wrap(4000);

    struct State {
        uint256 version;
        uint256 other;
        uint256 number;
    }

    State[] internal history;
    bool[4] internal out;
    uint32 internal constant NEXT = 2;
    Safe internal safe = new Safe(6, 8);
    /// The first verifier is proven unsound.
    bool internal unsound;
    /// The community was closed by an exit: requests may be left in its queue.
    bool internal byExit;

    constructor() {
        start(address(new AcceptAll()));
        registerCommunity(OTHER, SHAPE);
        meet();
        vm.prank(member);
        rollup.deposit(toClaim(1), 5000);
        deposited(member, toClaim(1), 5000);
        put(1, 5000, 0, toClaim(1));
        consumed(toClaim(1));
        step(COMMUNITY, 1, 1);
        step(OTHER, 1, 2);
        IRegistry.VerifierInit memory next = verifierInit(address(new AcceptAll()));
        vm.prank(upgrader);
        registry.registerVerifier(NEXT, next);
        vm.prank(admin);
        registry.appointCouncil(address(safe));
        vm.warp(block.timestamp + 14 days);
    }

    // ------------------------------------------------------------- true states

    /// @dev What a slot has in a version of the community's state.
    function balanceOf(uint256 version, uint256 slot) private pure returns (uint64) {
        return uint64((100 + slot) * UNIT + 7 * version);
    }

    function opened(uint256 version, uint256 other, uint32 slot)
        private
        view
        returns (IExits.ExitOpening memory o, Root root)
    {
        uint256[] memory leaves = new uint256[](4);
        for (uint32 i = 0; i < 4; ++i) {
            IExits.ExitOpening memory at;
            bytes32[] memory w = words(3, 10 * version + i);
            (at.community, at.slot, at.payout, at.balance) = (COMMUNITY, i, people[i / 2], balanceOf(version, i));
            (at.s1, at.s2, at.privateCommitment) = (w[0], w[1], w[2]);
            (at.headerLeaf, at.certificatesRoot) = (bytes32(version), bytes32(uint256(12)));
            leaves[i] = hash(exitCommitment(at), uint256(at.privateCommitment), 0, 0);
            if (i == slot) o = at;
        }
        uint256[][] memory levels = dense(leaves);
        uint256 node = hash(version, levels[levels.length - 1][0], 12, 0);
        (uint256 root_, bytes32[] memory above) = state(COMMUNITY.districtOf(), node, OTHER.districtOf(), other);
        bytes32[] memory below = siblingsOf(levels, slot);
        o.siblings = new bytes32[](below.length + above.length);
        for (uint256 j = 0; j < o.siblings.length; ++j) {
            o.siblings[j] = j < below.length ? below[j] : above[j - below.length];
        }
        root = toRoot(root_);
    }

    /// @dev The next state, by a batch of the community that changes.
    function step(CommunityId community, uint256 version, uint256 other) private returns (bool taken) {
        (, Root root) = opened(version, other, 0);
        (ISettle.Settlement memory s, bytes32[] memory data) = nextBatchOf(community, SLOTS);
        s.newRoot = root;
        if (unsound) s.circuitVersion = NEXT;
        vm.prank(operator, operator);
        try rollup.settle(s, data, proofBytes()) {
            taken = true;
            if (frozen || (closed && community.districtOf() == COMMUNITY.districtOf())) {
                broken = "a batch of a closed community";
            }
            history.push(State(version, other, history.length + 1));
        } catch {}
    }

    function last() private view returns (State memory) {
        return history[history.length - 1];
    }

    /// @dev What the members of the community that ends can still take, nano.
    function owed() private view returns (uint256 sum) {
        for (uint256 i = 0; i < 4; ++i) {
            if (!out[i]) sum += balanceOf(last().version, i);
        }
    }

    // ---------------------------------------------------------------- actions

    function settleEnding() external {
        step(COMMUNITY, last().version + 1, last().other);
    }

    /// @dev The other community pays out whatever is not the first one's.
    function settleOther(uint256 units, uint256 who) external {
        uint256 free = (pool - owed()) / UNIT;
        units = bound(units, 0, free > 200 ? 200 : free);
        if (units != 0) put(2, units, 0, toWord(person(who)));
        if (step(OTHER, last().version, last().other + 1) && units != 0) credit(person(who), units);
        delete pending;
    }

    /// @dev Any slot in any state that ever was; sometimes with another balance.
    function exit(uint256 slot, uint256 which, uint64 more) external {
        State memory at = history[which % history.length];
        (IExits.ExitOpening memory o,) = opened(at.version, at.other, uint32(slot % 4));
        bool changed = more % 8 == 1;
        if (changed) o.balance += (more >> 8) + 1;
        bool present = at.version == last().version;
        bool known = closed ? at.number >= registry.endOf(COMMUNITY).closedAfter : at.number == history.length;
        bool emergency = !closed && !frozen && registry.inEmergency(COMMUNITY);
        bool due = present && known && (frozen || closed || emergency) && !changed && !out[o.slot];
        try exits.exit(o) {
            if (!due) broken = "an exit that is not due";
            if (emergency) (closed, byExit) = (true, true);
            out[o.slot] = true;
            release(o.payout, o.balance);
        } catch {
            if (due) broken = "locked in";
        }
    }

    /// @dev Somebody has two proofs that contradict each other.
    function prove(uint256 seed) external {
        if (seed % 4 != 0) return;
        uint256[10] memory a;
        (a[0], a[1], a[2], a[3], a[6]) = (rollup.domain(VERSION), 5, 6, COMMUNITY.districtOf(), 8);
        uint256[10] memory b;
        (b[0], b[1], b[2], b[3], b[6]) = (a[0], 5, 7, COMMUNITY.districtOf(), 8);
        try registry.proveUnsound(VERSION, SHAPE, a, proofBytes(), b, proofBytes()) {
            if (unsound) broken = "proven twice";
            unsound = true;
        } catch {}
    }

    function hasten() external {
        bool open = registry.inEmergency(OTHER);
        vm.prank(address(safe));
        try registry.hasten(NEXT, SHAPE) {
            if (!open || !unsound) broken = "hastened without an emergency";
        } catch {}
    }

    function returnBonds() external {
        try rollup.returnBonds(COMMUNITY) {
            if (!closed && !frozen) broken = "bonds of a living community";
        } catch {}
    }

    function announce() external {
        vm.prank(mdm);
        try registry.announceClosing(COMMUNITY) {} catch {}
    }

    function close(bool byAnybody) external {
        uint256 waiting = rollup.forcedQueueOf(COMMUNITY).length;
        vm.prank(byAnybody ? person(1) : mdm);
        try registry.closeCommunity(COMMUNITY) {
            if (registry.isClosed(COMMUNITY)) {
                if (closed || waiting != 0) broken = "closed twice, or before who waits was served";
                closed = true;
            }
        } catch {}
    }

    function force(uint256 who, bool other) external {
        CommunityId community = other ? OTHER : COMMUNITY;
        uint256 bond = rollup.forcedBondOf(community);
        vm.prank(person(who));
        try rollup.forceWithdraw{value: bond}(community, 0) {
            if (closed && !other) broken = "a request to a closed community";
            bondsHeld += bond;
        } catch {}
    }

    function serve(bool other) external {
        CommunityId community = other ? OTHER : COMMUNITY;
        if (rollup.forcedQueueOf(community).length == 0) return;
        put(10, 0, 0, toWord(rollup.forcedQueueOf(community)[0].requester));
        step(community, other ? last().version : last().version + 1, other ? last().other + 1 : last().other);
        delete pending;
    }

    function wait_(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 1 hours, 5 days));
    }

    function freeze(bool other) external {
        try rollup.freeze(other ? OTHER : COMMUNITY) {
            if (closed && !other) broken = "frozen by a closed community";
            frozen = true;
        } catch {}
    }

    function withdraw(uint256 who) external {
        try rollup.withdraw(person(who)) {
            withdrawn(person(who));
        } catch {}
    }

    // ------------------------------------------------------------- the checks

    /// @dev The books are the model's; who has not left is still covered.
    function check() external view {
        (uint64 pool_,,) = rollup.totals();
        assertEq(pool_, pool, "pool");
        assertGe(pool, owed(), "who has not left is covered");
        uint256 paid;
        for (uint256 i = 0; i < 4; ++i) {
            assertEq(rollup.withdrawable(people[i]), credited[people[i]], "withdrawable");
            assertEq(token.balanceOf(people[i]), tokens[people[i]], "tokens");
            assertEq(rollup.hasExited(COMMUNITY, uint32(i)), out[i], "exited");
            paid += credited[people[i]];
        }
        assertGe(token.balanceOf(address(rollup)), pool * TOKEN_PER_UNIT / UNIT + paid, "solvency");
        assertEq(registry.isClosed(COMMUNITY), closed, "closed");
        assertEq(rollup.isFrozen(), frozen, "frozen");
        if (closed && !byExit) {
            assertEq(rollup.forcedQueueOf(COMMUNITY).length, 0, "nobody waits in a closed community");
        }
        assertEq(broken, "");
    }
}

contract ClosedInvariantsTest is RollupTest {
    Closer internal closer;

    function setUp() public {
        closer = new Closer();
        bytes4[] memory selectors = new bytes4[](16);
        selectors[0] = Closer.exit.selector;
        selectors[1] = Closer.exit.selector;
        selectors[2] = Closer.settleOther.selector;
        selectors[3] = Closer.settleEnding.selector;
        selectors[4] = Closer.announce.selector;
        selectors[5] = Closer.close.selector;
        selectors[6] = Closer.force.selector;
        selectors[7] = Closer.serve.selector;
        selectors[8] = Closer.wait_.selector;
        selectors[9] = Closer.wait_.selector;
        selectors[10] = Closer.freeze.selector;
        selectors[11] = Closer.withdraw.selector;
        selectors[12] = Closer.close.selector;
        selectors[13] = Closer.prove.selector;
        selectors[14] = Closer.hasten.selector;
        selectors[15] = Closer.returnBonds.selector;
        targetContract(address(closer));
        targetSelector(FuzzSelector({addr: address(closer), selectors: selectors}));
    }

    /// @dev Members of a closed community, also of one that they closed by leaving in an emergency, are paid once, from its
    /// last state alone, also when all freezes later; nobody is locked in, and what is theirs is nobody else's.
    /// forge-config: default.invariant.runs = 32
    /// forge-config: default.invariant.depth = 60
    /// forge-config: default.invariant.fail-on-revert = true
    function invariant_membersOfAClosedCommunityArePaidOnce() public view {
        closer.check();
    }
}
