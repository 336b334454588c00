// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICertificates} from "../contracts/interfaces/ICertificates.sol";
import {IForcedQueue} from "../contracts/interfaces/IForcedQueue.sol";
import {ISettle} from "../contracts/interfaces/ISettle.sol";
import {IVault} from "../contracts/interfaces/IVault.sol";
import {AcceptAll, RollupTest} from "./RollupTest.sol";

/// @dev Does everything anybody can do, with values that often fit. The verifier accepts everything, so the batches are any operator's.
contract Actor is RollupTest {
    address[4] internal people;
    bytes32[] internal claims;
    bytes32[] internal sent;
    bytes32[] internal nullifiers;

    // What must be true, from outside.
    bytes32 public root;
    uint256 public batches;
    bool public everFrozen;
    uint256 public paidIn;
    uint256 public paidOut;
    uint256 public bondsIn;
    uint256 public bondsOut;
    uint256 public bondsLost;
    string public broken;
    mapping(bytes32 claim => uint256) internal settledClaims;
    mapping(bytes32 claim => bool) internal claimEnded;
    mapping(uint256 slot => bool) internal slotExited;
    mapping(bytes32 nullifier => bool) internal spent;

    constructor() {
        start(address(new AcceptAll()));
        root = GENESIS;
        people = [member, treasury, makeAddr("a"), makeAddr("b")];
        for (uint256 i = 0; i < 4; ++i) {
            fund(people[i], 1e9);
            vm.deal(people[i], 1000 ether);
        }
        fund(operator, 1e9);
        bring();
        root = rollup.stateRoot();
        batches = 1;
    }

    function person(uint256 seed) internal view returns (address) {
        return people[seed % 4];
    }

    function held() public view returns (uint256) {
        return token.balanceOf(address(rollup));
    }

    function owed() public view returns (uint256 sum) {
        (uint64 pool, uint64 open, uint64 float) = rollup.totals();
        sum = (uint256(open) + float) * TOKEN_PER_UNIT + uint256(pool) * TOKEN_PER_UNIT / UNIT;
        for (uint256 i = 0; i < 4; ++i) {
            sum += rollup.withdrawable(people[i]);
        }
    }

    function ethOwed() public view returns (uint256 sum) {
        for (uint256 i = 0; i < 4; ++i) {
            sum += rollup.ethOwed(people[i]);
        }
        IForcedQueue.ForcedEntry[] memory queue = rollup.forcedQueueOf(COMMUNITY);
        for (uint256 i = 0; i < queue.length; ++i) {
            sum += queue[i].bond;
        }
    }

    function ethHeld() public view returns (uint256) {
        return address(rollup).balance;
    }

    function frozen() public view returns (bool) {
        return rollup.isFrozen();
    }

    function stateRoot() public view returns (bytes32) {
        return rollup.stateRoot();
    }

    function batchCount() public view returns (uint256) {
        return rollup.batchCount();
    }

    function endClaim(bytes32 claim) internal {
        if (claimEnded[claim]) broken = "a deposit ended twice";
        claimEnded[claim] = true;
    }

    // ---------------------------------------------------------------- actions

    function deposit(uint256 who, uint48 units, uint256 salt) external {
        units = uint48(bound(units, 1, 1000));
        bytes32 claim =
            salt % 5 == 0 && claims.length > 0 ? claims[salt % claims.length] : bytes32(uint256(keccak256(abi.encode(salt))) % R);
        vm.prank(person(who));
        try rollup.deposit(claim, units) {
            claims.push(claim);
            paidIn += uint256(units) * TOKEN_PER_UNIT;
            if (everFrozen) broken = "a deposit after the freeze";
        } catch {}
    }

    function requestRefund(uint256 which) external {
        if (claims.length == 0) return;
        bytes32 claim = claims[which % claims.length];
        vm.prank(rollup.depositOf(claim).depositor);
        try rollup.requestRefund(claim) {} catch {}
    }

    function refund(uint256 which) external {
        if (claims.length == 0) return;
        bytes32 claim = claims[which % claims.length];
        IVault.DepositEntry memory entry = rollup.depositOf(claim);
        try rollup.refund(claim) {
            endClaim(claim);
            paidOut += uint256(entry.units) * TOKEN_PER_UNIT;
        } catch {}
    }

    function float(uint256 choice, uint48 units) external {
        units = uint48(bound(units, 1, 300));
        vm.prank(operator);
        if (choice % 3 == 0) {
            try rollup.unfundFloat(units) {} catch {}
        } else {
            try rollup.fundFloat(units) {
                paidIn += uint256(units) * TOKEN_PER_UNIT;
            } catch {}
        }
    }

    function withdraw(uint256 who) external {
        uint256 amount = rollup.withdrawable(person(who));
        try rollup.withdraw(person(who)) {
            paidOut += amount;
        } catch {}
    }

    function withdrawEth(uint256 who) external {
        uint256 amount = rollup.ethOwed(person(who));
        try rollup.withdrawEth(person(who)) {
            bondsOut += amount;
        } catch {}
    }

    function forceWithdraw(uint256 who, uint32 slot, uint256 bond) external {
        bond = bound(bond, 0, 3 ether);
        vm.deal(person(who), bond);
        vm.prank(person(who));
        try rollup.forceWithdraw{value: bond}(COMMUNITY, slot % (SLOTS + 1)) {
            bondsIn += bond;
        } catch {}
    }

    /// @dev Up to four records of kinds that often go through.
    function settle(uint256 seed, bool sameRoot) external {
        delete pending;
        uint256 count = seed % 5;
        IForcedQueue.ForcedEntry[] memory queue = rollup.forcedQueueOf(COMMUNITY);
        uint256 lost;
        uint256 served;
        for (uint256 i = 0; i < count; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            uint256 units = seed % 200;
            uint256 kind = (seed >> 32) % 9;
            bytes32 random = bytes32(seed % R);
            if (kind == 0 && claims.length > 0) {
                bytes32 claim = claims[seed % claims.length];
                put(1, rollup.depositOf(claim).units, 0, claim);
            } else if (kind == 1) {
                put(2, units, 0, toWord(person(seed)));
            } else if (kind == 2) {
                put(3, 0, 0, random);
            } else if (kind == 3 && sent.length > 0) {
                put(4, 0, 0, sent[seed % sent.length]);
            } else if (kind == 4 && served < queue.length) {
                IForcedQueue.ForcedEntry memory head = queue[served++];
                if (units < 80) (units, lost) = (0, lost + head.bond);
                put(10, units, head.slot, toWord(head.requester));
            } else if (kind == 5 && rollup.pendingNoteCount() > 0) {
                put(20, 0, 0, rollup.pendingNotes(1)[0]);
            } else {
                put(16 + seed % 3, units, 0, 0);
            }
        }
        bytes32[] memory records = pending;
        bytes32[] memory data = recordData();
        bytes32 newRoot = sameRoot ? root : bytes32(++roots);
        bool ok = trySettle(newRoot, data);
        delete pending;
        if (!ok) return;
        if (everFrozen) broken = "a batch after the freeze";
        if (sameRoot) broken = "a root twice";
        (root, batches, bondsLost) = (newRoot, batches + 1, bondsLost + lost);
        for (uint256 i = 0; i < records.length; i += 2) {
            uint256 kind = uint256(records[i]) & 0xff;
            if (kind == 1) endClaim(records[i + 1]);
            if (kind == 3) sent.push(records[i + 1]);
            if (kind == 4 && ++settledClaims[records[i + 1]] > 1) broken = "a transfer received twice";
        }
    }

    function trySettle(bytes32 newRoot, bytes32[] memory data) private returns (bool) {
        vm.prank(operator, operator);
        try rollup.settle(withRoot(newRoot), data, proofBytes()) {
            return true;
        } catch {
            return false;
        }
    }

    function withRoot(bytes32 newRoot) private view returns (ISettle.Settlement memory s) {
        s = batch();
        s.newRoot = newRoot;
    }

    function wait_(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 1, 2 days));
    }

    function freeze() external {
        try rollup.freeze(COMMUNITY) {
            everFrozen = true;
        } catch {}
    }

    function returnBonds() external {
        try rollup.returnBonds(COMMUNITY) {} catch {}
    }

    /// @dev What the exits contract would say after a true opening.
    function exit(uint256 who, uint32 slot, uint64 balance) external {
        slot = slot % SLOTS;
        balance = uint64(bound(balance, 0, 3000 * UNIT));
        vm.prank(address(exits));
        try rollup.releaseSlot(COMMUNITY, slot, person(who), balance) {
            if (slotExited[slot]) broken = "a slot exited twice";
            if (!everFrozen) broken = "an exit before the freeze";
            slotExited[slot] = true;
        } catch {}
    }

    function exitClaim(uint256 who, uint256 which, uint64 balance) external {
        if (sent.length == 0) return;
        bytes32 claim = sent[which % sent.length];
        vm.prank(address(exits));
        try rollup.releaseClaim(claim, person(who), uint64(bound(balance, 0, 100 * UNIT))) {
            if (++settledClaims[claim] > 1) broken = "a transfer received and exited";
        } catch {}
    }

    function certify(uint256 salt, bool again) external {
        ICertificates.Certificate memory c;
        bytes32[] memory w = words(4, salt);
        c.circuitVersion = CERTIFICATE_VERSION;
        (c.anchor, c.nullifier, c.note1, c.note2) = (root, w[0], w[1], w[2]);
        if (salt % 2 == 0) (c.retirement, c.kind) = (w[3], 2 | 1 << 8);
        if (again && nullifiers.length > 0) c.nullifier = nullifiers[salt % nullifiers.length];
        try rollup.certify(c, new bytes(CERTIFICATE_PROOF_LENGTH)) {
            if (spent[c.nullifier]) broken = "a nullifier twice";
            spent[c.nullifier] = true;
            nullifiers.push(c.nullifier);
        } catch {}
    }
}

contract InvariantsTest is RollupTest {
    Actor internal actor;

    function setUp() public {
        actor = new Actor();
        bytes4[] memory selectors = new bytes4[](15);
        selectors[0] = Actor.deposit.selector;
        selectors[1] = Actor.requestRefund.selector;
        selectors[2] = Actor.refund.selector;
        selectors[3] = Actor.float.selector;
        selectors[4] = Actor.withdraw.selector;
        selectors[5] = Actor.withdrawEth.selector;
        selectors[6] = Actor.forceWithdraw.selector;
        selectors[7] = Actor.settle.selector;
        selectors[8] = Actor.wait_.selector;
        selectors[9] = Actor.freeze.selector;
        selectors[10] = Actor.returnBonds.selector;
        selectors[11] = Actor.exit.selector;
        selectors[12] = Actor.exitClaim.selector;
        selectors[13] = Actor.certify.selector;
        selectors[14] = Actor.settle.selector;
        targetContract(address(actor));
        targetSelector(FuzzSelector({addr: address(actor), selectors: selectors}));
    }

    /// @dev The vault holds what it owes, and no token comes or goes by another door.
    /// forge-config: default.invariant.runs = 64
    /// forge-config: default.invariant.depth = 100
    function invariant_solvent() public view {
        assertGe(actor.held(), actor.owed());
        assertEq(actor.held(), actor.paidIn() - actor.paidOut());
        assertEq(actor.ethHeld(), actor.bondsIn() - actor.bondsOut());
        assertEq(actor.ethHeld(), actor.ethOwed() + actor.bondsLost());
    }

    /// @dev Nothing twice, nothing after the freeze; the root moves through accepted batches alone; frozen is for ever.
    /// forge-config: default.invariant.runs = 64
    /// forge-config: default.invariant.depth = 100
    function invariant_history() public view {
        assertEq(actor.broken(), "");
        assertEq(actor.stateRoot(), actor.root());
        assertEq(actor.batchCount(), actor.batches());
        assertEq(actor.frozen(), actor.everFrozen());
    }
}
