// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Field} from "./Field.sol";
import {ForcedQueue} from "./ForcedQueue.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {ISettle} from "./interfaces/ISettle.sol";
import {Ledger} from "./Ledger.sol";
import {Correction} from "./operations/Correction.sol";
import {Deposit} from "./operations/Deposit.sol";
import {Forced} from "./operations/Forced.sol";
import {Header} from "./operations/Header.sol";
import {Init} from "./operations/Init.sol";
import {Note} from "./operations/Note.sol";
import {Receive} from "./operations/Receive.sol";
import {Send} from "./operations/Send.sol";
import {Withdraw} from "./operations/Withdraw.sol";
import {Proofs} from "./Proofs.sol";
import {Claim, CommunityId, GenesisTerms, NoteCommitment, Root, TariffCommitment} from "./Types.sol";

/// @title Settlement: the proof, then the effects of its records
abstract contract Settle is ForcedQueue {
    using Deposit for Ledger;
    using Header for Ledger;
    using Receive for Ledger;
    using Send for Ledger;
    using Withdraw for Ledger;

    /// @dev Public inputs of a settlement proof.
    uint256 internal constant INSTANCES = 10;
    /// @dev Records of one batch.
    uint256 private constant MAX_RECORDS = 256;

    /// @dev The modulus where it is used three hundred times: of a constant the optimiser would make shorter and slower
    /// code.
    uint256 private immutable _modulus = Field.R;

    /// @inheritdoc ISettle
    function settle(Settlement calldata batch, bytes32[] calldata data, bytes calldata proof) external {
        // The auditor reads data and proof from the transaction itself.
        // solhint-disable-next-line avoid-tx-origin
        if (msg.sender != tx.origin || msg.sender.code.length != 0) revert NotDirectCall();
        _checkEncoding(data, proof);
        Root oldRoot = stateRoot;
        uint256 number = _batchOf[oldRoot];
        if (number & FROZEN != 0) revert IsFrozen();

        IRegistry.BatchTerms memory terms = registry.batchTerms(
            msg.sender, batch.circuitVersion, batch.community, batch.firstInterval, batch.tariffIndex
        );
        uint256 endsAt = (uint256(batch.firstInterval) + terms.m) * terms.intervalLength;
        if (endsAt > block.timestamp) revert PeriodNotOver(endsAt, block.timestamp);
        uint256 leaves = _checkLengths(terms.slots, data.length);
        Field.requireCanonical(Root.unwrap(batch.newRoot));
        Field.requireCanonical(batch.communityNew);
        Field.requireCanonical(batch.opsDigest);

        _prove(batch, terms, oldRoot, data, proof);
        _finalise(batch, oldRoot, number, terms.tariffCommitment);
        bool started = settledThrough[batch.community] != 0;
        settledThrough[batch.community] = uint40(endsAt);
        if (data.length != leaves) _applyRecords(batch, terms.tariffSet, started, data[leaves:]);
    }

    /// @dev Standard encoding: seven words, two offsets, data with its length, proof with its length, whole words all.
    /// An offset's first word after the length is where the compiler says that the array is.
    function _checkEncoding(bytes32[] calldata data, bytes calldata proof) private pure {
        uint256 dataAt;
        uint256 proofAt;
        assembly ("memory-safe") {
            dataAt := data.offset
            proofAt := proof.offset
        }
        uint256 end = 4 + 32 * (11 + data.length);
        if (dataAt != 4 + 32 * 10 || proofAt != end || proof.length & 31 != 0) revert NotStandardEncoding();
        end += proof.length;
        if (msg.data.length != end) revert TrailingBytes(end, msg.data.length);
    }

    /// @dev The public inputs, docs/spec/state.md: all from this contract and the registry, but the new nodes and the
    /// records' digest.
    function _prove(
        Settlement calldata batch,
        IRegistry.BatchTerms memory terms,
        Root oldRoot,
        bytes32[] calldata data,
        bytes calldata proof
    ) private {
        uint256[INSTANCES] memory instances;
        instances[0] = domain(batch.circuitVersion);
        instances[1] = uint256(Root.unwrap(oldRoot));
        instances[2] = uint256(Root.unwrap(batch.newRoot));
        instances[3] = batch.community.districtOf();
        instances[4] = uint256(batch.firstInterval) | uint256(terms.intervalLength) << 32 | uint256(terms.m) << 48;
        instances[5] = uint256(TariffCommitment.unwrap(terms.tariffCommitment));
        instances[6] = uint256(batch.communityNew);
        instances[7] = uint256(batch.opsDigest);
        (instances[8], instances[9]) = _bindData(instances, data);
        uint256 at;
        assembly ("memory-safe") {
            at := instances
        }
        Proofs.requireAccepted(terms.verifier, terms.proofLength, at, INSTANCES, proof);
        if (!terms.used) {
            if (!terms.hastened) requireFirstUse(batch.circuitVersion, terms.activeFrom);
            registry.noteFirstUse(batch.circuitVersion, terms.shape);
        }
    }

    function _finalise(Settlement calldata settled, Root oldRoot, uint256 batch, TariffCommitment tariffCommitment)
        private
    {
        Root newRoot = settled.newRoot;
        if (_batchOf[newRoot] != 0) revert RootAlreadyFinalised(newRoot);
        stateRoot = newRoot;
        _batchOf[newRoot] = batch + 1;
        emit BatchSettled(
            uint64(batch),
            settled.community,
            settled.firstInterval,
            oldRoot,
            newRoot,
            settled.communityNew,
            tariffCommitment,
            settled.circuitVersion
        );
    }

    /// @dev N + 2 words, then whole records.
    function _checkLengths(uint256 slots, uint256 words) private pure returns (uint256 leaves) {
        leaves = slots + 2;
        if (words < leaves || words > leaves + 2 * MAX_RECORDS || (words - leaves) & 1 != 0) {
            revert DataLength(leaves, words);
        }
    }

    // ---------------------------------------------------------------- records

    function _applyRecords(Settlement calldata batch, uint32 tariffSet, bool started, bytes32[] calldata records)
        private
    {
        for (uint256 at = 0; at < records.length; at += 2) {
            _apply(batch, tariffSet, started, at / 2, uint256(records[at]), records[at + 1]);
        }
    }

    /// @dev One record, docs/spec/operations.md: w0 = kind | units<<8 | x<<56. Kind 0 must stay unknown: words of zeros
    /// after the last record do not change the data's evaluation.
    function _apply(Settlement calldata batch, uint32 tariffSet, bool started, uint256 index, uint256 w0, bytes32 w1)
        private
    {
        uint256 kind = w0 & 0xff;
        uint256 units = (w0 >> 8) & type(uint48).max;
        uint256 x = w0 >> 56;
        CommunityId community = batch.community;
        if (kind == Forced.KIND) {
            if (x > type(uint32).max) revert BadRecord(index);
            return _serve(index, community, x, w1, units);
        }
        if (kind == Correction.KIND) {
            if (units != 0 || x > type(uint32).max) revert BadRecord(index);
            Correction.check(registry, tariffSet, index, x, batch.firstInterval, TariffCommitment.wrap(w1));
            emit Corrected(community, uint32(x), TariffCommitment.wrap(w1));
            return;
        }
        if (x != 0) revert BadRecord(index);
        if (kind == Deposit.KIND) return _ledger.consume(index, Claim.wrap(w1), units);
        if (kind == Withdraw.KIND) return Withdraw.credit(_ledger, index, w1, units, tokenPerUnit);
        if (kind >= Header.SUPPLIER_IN && kind <= Header.FEE_OUT) {
            if (w1 != 0) revert BadRecord(index);
            if (kind == Header.SUPPLIER_IN) return _ledger.supplierIn(index, community, units);
            return _ledger.out(index, community, kind, units, treasury, tokenPerUnit);
        }
        if (units != 0) revert BadRecord(index);
        if (kind == Send.KIND) return _ledger.open(index, Claim.wrap(w1));
        if (kind == Receive.KIND) return _ledger.close(index, Claim.wrap(w1));
        if (kind == Note.KIND) return certificates.append(index, community, NoteCommitment.wrap(w1));
        if (kind == Init.KIND) {
            return Init.initialise(index, community, started, registry.genesisTermsOf(community), GenesisTerms.wrap(w1));
        }
        revert BadRecord(index);
    }

    // ---------------------------------------------------------------- binding

    /// @dev z = keccak256(domain, oldRoot, newRoot, communityNew, opsDigest, keccak256(d)) mod r and y = sum d_i z^i,
    /// with every d_i checked to be canonical; the first five are rows 0, 1, 2, 6, 7 of `instances`. Horner's rule from
    /// the last word on: first what is over eight words, then eight a turn. y is kept below 2 r, which is below 2^256,
    /// and reduced once at the end; a word of r or more, which alone could overflow it, is refused afterwards.
    function _bindData(uint256[INSTANCES] memory instances, bytes32[] calldata data)
        internal
        view
        returns (uint256 z, uint256 y)
    {
        uint256 r = _modulus;
        bool canonical = true;
        assembly ("memory-safe") {
            let free := mload(0x40)
            let at := add(free, shl(5, data.length))
            {
                calldatacopy(free, data.offset, sub(at, free))
                let hash := keccak256(free, sub(at, free))
                mcopy(at, instances, 0x60)
                mcopy(add(at, 0x60), add(instances, 0xc0), 0x40)
                mstore(add(at, 0xa0), hash)
                z := mod(keccak256(at, 0xc0), r)
            }
            for { let turns := sub(at, and(sub(at, free), 0xe0)) } gt(at, turns) {} {
                at := sub(at, 0x20)
                let word := mload(at)
                canonical := and(canonical, lt(word, r))
                y := add(mulmod(y, z, r), word)
            }
            for {} gt(at, free) {} {
                at := sub(at, 0x100)
                {
                    let a := mload(add(at, 0xe0))
                    let b := mload(add(at, 0xc0))
                    let c := mload(add(at, 0xa0))
                    let d := mload(add(at, 0x80))
                    y := add(d, mulmod(z, add(c, mulmod(z, add(b, mulmod(z, add(a, mulmod(z, y, r)), r)), r)), r))
                    canonical := and(and(and(and(canonical, lt(a, r)), lt(b, r)), lt(c, r)), lt(d, r))
                }
                {
                    let a := mload(add(at, 0x60))
                    let b := mload(add(at, 0x40))
                    let c := mload(add(at, 0x20))
                    let d := mload(at)
                    y := add(d, mulmod(z, add(c, mulmod(z, add(b, mulmod(z, add(a, mulmod(z, y, r)), r)), r)), r))
                    canonical := and(and(and(and(canonical, lt(a, r)), lt(b, r)), lt(c, r)), lt(d, r))
                }
            }
            y := mod(y, r)
        }
        if (!canonical) {
            for (uint256 i = 0; i < data.length; ++i) {
                Field.requireCanonical(data[i]);
            }
        }
    }
}
