// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Claim, NoteCommitment, Nullifier, RetirementCommitment, Root} from "../contracts/Types.sol";
import {ICertificates} from "../contracts/interfaces/ICertificates.sol";
import {IRegistry} from "../contracts/interfaces/IRegistry.sol";
import {IForcedQueue} from "../contracts/interfaces/IForcedQueue.sol";
import {ISettle} from "../contracts/interfaces/ISettle.sol";
import {IVault} from "../contracts/interfaces/IVault.sol";
import {Model, Switch} from "./Model.sol";
import {RollupTest} from "./RollupTest.sol";

/// @dev Does everything anybody can do, with values that often fit, and often what was done before. The verifier
/// accepts everything while it is on, so the batches are any operator's.
contract Actor is Model {
    uint32 internal constant NEXT = 2;

    Switch internal verifier = new Switch();
    uint32 internal constant NEXT_CERTIFICATE = CERTIFICATE_VERSION + 1;

    Nullifier[] internal nullifiers;
    /// @dev Fees of what waits, and what is owed.
    uint256 internal feesHeld;
    bool internal certificateRetired;
    mapping(Nullifier nullifier => bool) internal spent;
    mapping(uint256 slot => bool) internal slotExited;
    mapping(uint256 slot => uint256) internal paidAt;
    Root internal root;
    uint256 internal batches;
    bool internal nextIsUsed;
    bool internal nextIsAnnounced;
    /// @dev Who waited at the announcement: slot, requester, time.
    bytes32[] internal earlier;
    uint256 internal fullAt;

    constructor() {
        start(address(verifier));
        vm.prank(upgrader);
        registry.registerVerifier(NEXT, verifierInit(address(verifier)));
        IRegistry.VerifierInit memory init;
        (init.verifier, init.proofLength) = (address(verifier), CERTIFICATE_PROOF_LENGTH);
        vm.prank(upgrader);
        registry.registerVerifier(NEXT_CERTIFICATE, init);
        vm.warp(block.timestamp + 14 days);
        meet();
        bring();
        useNextCertificate();
        (root, batches) = (rollup.stateRoot(), 1);
    }

    function checkHistory() external view {
        assertEq(rollup.stateRoot(), root, "state root");
        assertEq(rollup.batchCount(), batches, "batches");
        assertEq(registry.verifierOf(NEXT, SHAPE).used, nextIsUsed, "used");
        for (uint256 i = 0; i < nullifiers.length; ++i) {
            assertEq(certificates.nullifierUsed(nullifiers[i]), spent[nullifiers[i]], "nullifier");
        }
        assertEq(address(certificates).balance, feesHeld, "fees");
    }

    // ---------------------------------------------------------------- actions

    function deposit(uint256 who, uint48 units, uint256 salt) external {
        units = uint48(bound(units, 1, 1000));
        Claim claim = salt % 5 == 0 && claims.length > 0
            ? claims[salt % claims.length]
            : toClaim(uint256(keccak256(abi.encode(salt))) % R);
        vm.prank(person(who));
        try rollup.deposit(claim, units) {
            deposited(person(who), claim, units);
        } catch {}
    }

    function requestRefund(uint256 which) external {
        if (claims.length == 0) return;
        Claim claim = claims[which % claims.length];
        vm.prank(deposits[claim].depositor);
        try rollup.requestRefund(claim) {
            requested(claim);
        } catch {}
    }

    function refund(uint256 which) external {
        if (claims.length == 0) return;
        Claim claim = claims[which % claims.length];
        try rollup.refund(claim) {
            refunded(claim);
        } catch {}
    }

    function supplierFunds(uint256 choice, uint48 units) external {
        units = uint48(bound(units, 1, 300));
        vm.prank(operator);
        if (choice % 3 == 0) {
            try rollup.removeSupplierUnits(units) {
                supplier -= units;
                credited[treasury] += uint256(units) * TOKEN_PER_UNIT;
            } catch {}
        } else {
            try rollup.addSupplierUnits(units) {
                if (frozen) broken = "supplier funds after the freeze";
                supplier += units;
                tokens[operator] -= uint256(units) * TOKEN_PER_UNIT;
            } catch {}
        }
    }

    function withdraw(uint256 who) external {
        try rollup.withdraw(person(who)) {
            withdrawn(person(who));
        } catch {}
    }

    function withdrawEth(uint256 who) external {
        try rollup.withdrawEth(person(who)) {
            bondsHeld -= bonds[person(who)];
            bonds[person(who)] = 0;
        } catch {}
    }

    function forceWithdraw(uint256 who, uint32 slot, uint256 bond) external {
        bond = bound(bond, 0, 3 ether);
        slot = slot % (SLOTS + 1);
        vm.deal(person(who), bond);
        vm.prank(person(who));
        try rollup.forceWithdraw{value: bond}(COMMUNITY, slot) {
            bondsHeld += bond;
            if (paidAt[slot] != 0 && block.timestamp < paidAt[slot] + DEADLINE) broken = "a paid slot again";
        } catch {}
    }

    /// @dev Up to four records of kinds that often go through; claims that ended are tried again. The verifier is off
    /// now and then, and what was registered later is used as soon as it can be.
    function settle(uint256 seed, bool sameRoot, bool next) external {
        delete pending;
        bool on = (seed >> 16) % 4 != 0;
        IForcedQueue.ForcedEntry[] memory queue = rollup.forcedQueueOf(COMMUNITY);
        uint256 served;
        for (uint256 i = seed % 5; i > 0; --i) {
            seed = uint256(keccak256(abi.encode(seed)));
            served = putRecord(seed, queue, served);
        }
        ISettle.Settlement memory s = batch();
        s.newRoot = sameRoot ? root : toRoot(++roots);
        if (next) s.circuitVersion = NEXT;
        if (trySettle(s, recordData(), on)) {
            if (!on) broken = "a batch without an accepted proof";
            if (sameRoot) broken = "a root twice";
            settled(s.newRoot, next, queue);
        }
        delete pending;
    }

    function putRecord(uint256 seed, IForcedQueue.ForcedEntry[] memory queue, uint256 served)
        private
        returns (uint256)
    {
        uint256 units = seed % 200;
        uint256 kind = (seed >> 32) % 10;
        Claim again = sent.length > 0 ? sent[(seed >> 64) % sent.length] : toClaim(0);
        if (kind == 0 && claims.length > 0) {
            Claim claim = claims[seed % claims.length];
            put(1, deposits[claim].units, 0, claim);
        } else if (kind == 1) {
            put(2, units, 0, toWord(person(seed)));
        } else if (kind == 2) {
            put(3, 0, 0, seed % 3 == 0 ? again : toClaim(seed % R));
        } else if (kind == 3 || kind == 4) {
            put(4, 0, 0, again);
        } else if (kind == 5 && served < queue.length) {
            IForcedQueue.ForcedEntry memory head = queue[served++];
            put(10, units < 80 ? 0 : units, head.slot, toWord(head.requester));
        } else if (kind == 6) {
            putNotes(seed);
        } else {
            put(16 + seed % 3, units, 0, 0);
        }
        return served;
    }

    /// @dev The batch was accepted: with the records in `pending`, and the queue as it was before.
    function settled(Root newRoot, bool next, IForcedQueue.ForcedEntry[] memory queue) private {
        if (frozen) broken = "a batch after the freeze";
        if (next && !nextIsUsed) {
            if (!nextIsAnnounced) broken = "a new verifier that nobody announced";
            for (uint256 i = 0; i < queue.length * earlier.length; ++i) {
                if (identity(queue[i / earlier.length]) == earlier[i % earlier.length]) {
                    broken = "a new verifier before somebody left";
                }
            }
            nextIsUsed = true;
        }
        (root, batches) = (newRoot, batches + 1);
        uint256 served;
        for (uint256 i = 0; i < pending.length; i += 2) {
            uint256 kind = uint256(pending[i]) & 0xff;
            uint256 units = (uint256(pending[i]) >> 8) & type(uint48).max;
            if (kind == 10) {
                if (served == 0 && queue.length == 8) fullAt = block.timestamp;
                forced(queue[served++], units);
            } else {
                applied(kind, units, pending[i + 1]);
            }
        }
    }

    function identity(IForcedQueue.ForcedEntry memory entry) private pure returns (bytes32) {
        return keccak256(abi.encode(entry.slot, entry.requester, entry.time, entry.bond));
    }

    function announceUpgrade(bool next) external {
        IForcedQueue.ForcedEntry[] memory queue = rollup.forcedQueueOf(COMMUNITY);
        vm.prank(upgrader);
        try rollup.announceUpgrade(next ? NEXT : VERSION) {
            if (frozen) broken = "an announcement after the freeze";
            if (queue.length == 8 || (fullAt != 0 && block.timestamp < fullAt + 1 days)) {
                broken = "an announcement while somebody found no place";
            }
            nextIsAnnounced = next;
            delete earlier;
            for (uint256 i = 0; i < queue.length; ++i) {
                earlier.push(identity(queue[i]));
            }
        } catch {}
    }

    function forced(IForcedQueue.ForcedEntry memory head, uint256 units) private {
        if (units == 0) return;
        credit(head.requester, units);
        bonds[head.requester] += head.bond;
        paidAt[head.slot] = block.timestamp;
    }

    function applied(uint256 kind, uint256 units, bytes32 word) private {
        if (kind == 1) consumed(Claim.wrap(word));
        if (kind == 2) credit(address(uint160(uint256(word))), units);
        if (kind == 3) {
            moved(Claim.wrap(word), IVault.TransferState.None, IVault.TransferState.Open);
            sent.push(Claim.wrap(word));
        }
        if (kind == 4) moved(Claim.wrap(word), IVault.TransferState.Open, IVault.TransferState.Received);
        if (kind == 16) {
            supplier -= units;
            pool += units * UNIT;
        }
        if (kind == 17 || kind == 18) credit(treasury, units);
    }

    function trySettle(ISettle.Settlement memory s, bytes32[] memory data, bool on) private returns (bool ok) {
        verifier.turn(on);
        vm.prank(operator, operator);
        try rollup.settle(s, data, proofBytes()) {
            ok = true;
        } catch {}
        verifier.turn(true);
    }

    function wait_(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 1, 2 days));
    }

    function freeze() external {
        IForcedQueue.ForcedEntry[] memory queue = rollup.forcedQueueOf(COMMUNITY);
        try rollup.freeze(COMMUNITY) {
            if (frozen) broken = "frozen twice";
            if (queue.length == 0 || block.timestamp <= queue[0].time + DEADLINE) {
                broken = "a freeze before the deadline";
            }
            frozen = true;
        } catch {}
    }

    function returnBonds() external {
        IForcedQueue.ForcedEntry[] memory queue = rollup.forcedQueueOf(COMMUNITY);
        try rollup.returnBonds(COMMUNITY) {
            for (uint256 i = 0; i < queue.length; ++i) {
                bonds[queue[i].requester] += queue[i].bond;
            }
        } catch {}
    }

    /// @dev What the exits contract would say after a true opening. Few runs come here: `FrozenInvariants.t.sol` begins
    /// here.
    function exit(uint256 who, uint32 slot, uint64 balance) external {
        slot = slot % SLOTS;
        balance = uint64(bound(balance, 0, 3000 * UNIT));
        vm.prank(address(exits));
        try rollup.releaseSlot(COMMUNITY, slot, person(who), balance) {
            if (slotExited[slot]) broken = "a slot exited twice";
            slotExited[slot] = true;
            release(person(who), balance);
        } catch {}
    }

    function exitClaim(uint256 who, uint256 which, uint64 balance) external {
        if (sent.length == 0) return;
        Claim claim = sent[which % sent.length];
        balance = uint64(bound(balance, 0, 100 * UNIT));
        vm.prank(address(exits));
        try rollup.releaseClaim(claim, person(who), balance) {
            moved(claim, IVault.TransferState.Open, IVault.TransferState.Exited);
            release(person(who), balance);
        } catch {}
    }

    /// @dev Up to two notes of the queue's head, of retired versions too.
    function putNotes(uint256 seed) private {
        ICertificates.WaitingPair[] memory pairs = certificates.waitingPairs(2);
        for (uint256 i = 0; i < pairs.length; ++i) {
            if (!pairs[i].half) put(20, 0, 0, pairs[i].note1);
            if (seed % 3 != 0) put(20, 0, 0, pairs[i].note2);
            if (seed % 3 != 1) return;
        }
    }

    /// @dev A first certificate of the next version, so that what follows waits for no announcement.
    function useNextCertificate() private {
        vm.prank(upgrader);
        rollup.announceUpgrade(NEXT_CERTIFICATE);
        certify(0, 2, false);
        vm.prank(upgrader);
        rollup.announceUpgrade(VERSION);
    }

    function certify(uint256 salt, uint256 choice, bool again) public {
        ICertificates.Certificate memory c;
        bytes32[] memory w = words(4, salt);
        c.circuitVersion = choice % 2 == 0 ? NEXT_CERTIFICATE : CERTIFICATE_VERSION;
        (c.anchor, c.nullifier) = (root, Nullifier.wrap(w[0]));
        (c.note1, c.note2) = (NoteCommitment.wrap(w[1]), NoteCommitment.wrap(w[2]));
        if (salt % 2 == 0) (c.retirement, c.kind) = (RetirementCommitment.wrap(w[3]), 2 | 1 << 8);
        if (again && nullifiers.length > 0) c.nullifier = nullifiers[salt % nullifiers.length];
        bool on = (salt >> 8) % 4 != 0 || choice == 2;
        verifier.turn(on);
        uint256 fee = certificates.fee();
        uint256 value = fee + salt % 3;
        vm.deal(address(this), value);
        try certificates.certify{value: value}(c, new bytes(CERTIFICATE_PROOF_LENGTH)) {
            if (!on) broken = "a certificate without an accepted proof";
            if (spent[c.nullifier]) broken = "a nullifier twice";
            if (certificateRetired && c.circuitVersion == CERTIFICATE_VERSION) broken = "a retired version";
            if (frozen && c.kind == 0) broken = "a transfer after the freeze";
            spent[c.nullifier] = true;
            nullifiers.push(c.nullifier);
            feesHeld += fee;
        } catch {}
        verifier.turn(true);
    }

    receive() external payable {}

    /// @dev Seldom: it cannot be undone.
    function retireCertificates(uint256 choice) external {
        if (choice % 8 != 0) return;
        vm.prank(upgrader);
        registry.retireVersion(CERTIFICATE_VERSION);
        certificateRetired = true;
    }

    /// @dev What is dropped is of a retired version, or the rollup is frozen; nothing that is half in the state is
    /// spendable again.
    function dropNotes(uint256 limit) external {
        limit = bound(limit, 1, 4);
        ICertificates.WaitingPair[] memory pairs = certificates.waitingPairs(limit);
        try certificates.dropNotes(limit) returns (uint256 dropped) {
            for (uint256 i = 0; i < dropped; ++i) {
                bool retired = certificateRetired && pairs[i].circuitVersion == CERTIFICATE_VERSION;
                if (!frozen && (!retired || pairs[i].half)) broken = "notes dropped that a batch may take in";
                if (retired && !pairs[i].half) spent[pairs[i].nullifier] = false;
            }
        } catch {}
    }

    function withdrawFee(bool ofTreasury) external {
        address account = ofTreasury ? treasury : address(this);
        uint256 amount = certificates.feeOwed(account);
        try certificates.withdrawFee(account) {
            feesHeld -= amount;
        } catch {}
    }

    function freezeForNotes(uint64 number) external {
        ICertificates.WaitingPair[] memory pairs = certificates.waitingPairs(8);
        if (pairs.length > 0) number = pairs[number % pairs.length].number;
        try rollup.freezeForNotes(number) {
            if (frozen) broken = "frozen twice";
            ICertificates.WaitingPair memory pair = pairs[number - pairs[0].number];
            bool retired = certificateRetired && pair.circuitVersion == CERTIFICATE_VERSION;
            if (block.timestamp <= pair.due || (retired && !pair.half)) broken = "a freeze before notes are due";
            frozen = true;
        } catch {}
    }
}

contract InvariantsTest is RollupTest {
    Actor internal actor;

    function setUp() public {
        actor = new Actor();
        bytes4[] memory selectors = new bytes4[](21);
        selectors[0] = Actor.deposit.selector;
        selectors[1] = Actor.requestRefund.selector;
        selectors[2] = Actor.refund.selector;
        selectors[3] = Actor.supplierFunds.selector;
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
        selectors[15] = Actor.settle.selector;
        selectors[16] = Actor.announceUpgrade.selector;
        selectors[17] = Actor.retireCertificates.selector;
        selectors[18] = Actor.dropNotes.selector;
        selectors[19] = Actor.withdrawFee.selector;
        selectors[20] = Actor.freezeForNotes.selector;
        targetContract(address(actor));
        targetSelector(FuzzSelector({addr: address(actor), selectors: selectors}));
    }

    /// @dev Every amount is what the model says; the vault holds what it owes. Nothing twice, nothing after the freeze,
    /// no state without an accepted proof, no new verifier before those have left who asked in time; the root moves through accepted
    /// batches alone.
    /// forge-config: default.invariant.runs = 64
    /// forge-config: default.invariant.depth = 100
    /// forge-config: default.invariant.fail-on-revert = true
    function invariant_model() public view {
        actor.checkBooks();
        actor.checkClaims();
        actor.checkHistory();
    }
}
