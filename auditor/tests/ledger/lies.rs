//! Every lie that a chain, or a node that tells of it, could tell, and the finding it gets.

use super::*;

pub(super) const CASES: &[Case] = &[
    // Records and effects.
    Case(
        "event missing",
        |w| _ = w.remove(0, |e| matches!(e, Effect::DepositConsumed { .. })),
        Some(1),
        "L1.10",
        "record 1 has no effect on L1: DepositConsumed",
    ),
    Case(
        "last event missing",
        |w| _ = w.remove(2, |e| matches!(e, Effect::SupplierMoved { .. })),
        Some(3),
        "L1.10",
        "record 6 has no effect",
    ),
    Case(
        "record dropped",
        |w| w.batches[2].call.data.truncate(OWN_WORDS + 12),
        Some(3),
        "L1.10",
        "an effect that no record has: SupplierMoved",
    ),
    Case(
        "record dropped, digest",
        |w| w.batches[2].call.data.truncate(OWN_WORDS + 12),
        Some(3),
        "OP.11",
        "not that of the records",
    ),
    Case(
        "record added",
        |w| w.batches[3].call.data.extend([word(RecordKind::Send.code()), word(5)]),
        Some(4),
        "L1.10",
        "record 2 has no effect on L1: TransferOpened",
    ),
    Case(
        "other units",
        |w| w.record(1, 1, RecordKind::Deposit, 499, word(11)),
        Some(1),
        "L1.10",
        "no record has: DepositConsumed",
    ),
    Case(
        "other account",
        |w| {
            if let Effect::WithdrawalCredited { account, .. } =
                w.edit(0, |e| matches!(e, Effect::WithdrawalCredited { .. }))
            {
                *account = BOB
            }
        },
        Some(3),
        "L1.10",
        "no record has: WithdrawalCredited",
    ),
    Case(
        "other bond",
        |w| {
            if let Effect::ForcedServed { bond, .. } = w.edit(0, |e| matches!(e, Effect::ForcedServed { .. })) {
                *bond += 1
            }
        },
        Some(3),
        "L1.10",
        "no record has: ForcedServed",
    ),
    Case(
        "effect without a batch",
        |w| w.end_with(Effect::TransferOpened { claim: word(5) }),
        None,
        "L1.10",
        "belongs to no batch",
    ),
    Case(
        "effect of another transaction",
        |w| {
            let at = w.place(0, |e| matches!(e, Effect::Corrected { .. }));
            w.events[at].tx = ZERO
        },
        Some(3),
        "L1.10",
        "belongs to no batch",
    ),
    Case(
        "payout that is no account",
        |w| w.record(3, 0, RecordKind::Withdraw, 100, [1; 32]),
        Some(3),
        "OP.10",
        "the payout is no account",
    ),
    Case(
        "supplier account with a word",
        |w| w.record(1, 2, RecordKind::SupplierIn, 400, word(1)),
        Some(1),
        "OP.10",
        "second word",
    ),
    // Batches and registries.
    Case(
        "batch event missing",
        |w| _ = w.remove(3, |e| matches!(e, Effect::BatchSettled { .. })),
        None,
        "L1.SEQUENCE",
        "3 events of batches, the contract counts 4",
    ),
    Case(
        "batch event again",
        |w| w.again(1, |e| matches!(e, Effect::BatchSettled { .. })),
        Some(2),
        "L1.SEQUENCE",
        "in the place of batch 3",
    ),
    Case("calldata missing", |w| _ = w.batches.pop(), Some(4), "L1.SEQUENCE", "no calldata"),
    Case(
        "batch event",
        |w| {
            if let Effect::BatchSettled { first_interval, .. } = w.edit(1, |e| matches!(e, Effect::BatchSettled { .. }))
            {
                *first_interval += 1
            }
        },
        Some(2),
        "L1.CALLDATA",
        "differ",
    ),
    Case("order of blocks", |w| w.events.swap(4, 9), None, "L1.SEQUENCE", "comes late"),
    Case(
        "retired version",
        |w| w.begin_with(Effect::VersionRetired { circuit_version: 2 }),
        Some(1),
        "L1.6",
        "was retired",
    ),
    Case(
        "genesis event",
        |w| w.begin_with(Effect::Genesis { root: word(1), circuit_version: 2 }),
        None,
        "STATE.INIT",
        "genesis event",
    ),
    Case(
        "community not told",
        |w| _ = w.remove(0, |e| matches!(e, Effect::CommunityRegistered(_))),
        None,
        "L1.COMMUNITY",
        "no event registers community 3",
    ),
    Case(
        "tariff not told",
        |w| _ = w.remove(0, |e| matches!(e, Effect::TariffRegistered { .. })),
        None,
        "L1.TARIFF",
        "no event publishes tariff 0 of set 1",
    ),
    Case(
        "genesis terms",
        |w| w.communities[0].genesis_terms = word(99),
        Some(1),
        "STATE.INIT",
        "terms that were not registered",
    ),
    Case(
        "zero terms",
        |w| w.record(1, 0, RecordKind::Init, 0, ZERO),
        Some(1),
        "STATE.INIT",
        "terms that were not registered",
    ),
    Case(
        "beginning again",
        |w| w.record(3, 0, RecordKind::Init, 0, word(3)),
        Some(3),
        "STATE.INIT",
        "later than with its first record",
    ),
    Case(
        "beginning again in the tree",
        |w| w.record(3, 0, RecordKind::Init, 0, word(3)),
        Some(3),
        "STATE.INIT",
        "in the state tree already",
    ),
    // Vault.
    Case(
        "deposit missing",
        |w| _ = w.remove(0, |e| matches!(e, Effect::DepositMade { .. })),
        Some(1),
        "VAULT.5",
        "no open deposit",
    ),
    Case(
        "deposit again",
        |w| w.again(0, |e| matches!(e, Effect::DepositMade { .. })),
        None,
        "VAULT.1",
        "deposited again",
    ),
    Case(
        "deposit without claim",
        |w| w.begin_with(Effect::DepositMade { claim: ZERO, depositor: BOB, units: 1 }),
        None,
        "VAULT.1",
        "without a claim",
    ),
    Case(
        "deposit of refunded money taken in",
        |w| w.record(2, 1, RecordKind::Deposit, 30, word(13)),
        Some(2),
        "VAULT.5",
        "no open deposit",
    ),
    Case(
        "deposit taken in twice",
        |w| w.record(2, 1, RecordKind::Deposit, 500, word(11)),
        Some(2),
        "OP.5",
        "taken in before",
    ),
    Case(
        "refund without request",
        |w| _ = w.remove(0, |e| matches!(e, Effect::RefundRequested { .. })),
        None,
        "VAULT.4",
        "otherwise than it was requested",
    ),
    Case(
        "request again",
        |w| w.again(0, |e| matches!(e, Effect::RefundRequested { .. })),
        None,
        "VAULT.4",
        "no open deposit",
    ),
    Case("refund again", |w| w.again(0, |e| matches!(e, Effect::Refunded { .. })), None, "VAULT.5", "was not open"),
    Case(
        "refund to another",
        |w| {
            if let Effect::Refunded { depositor, .. } = w.edit(0, |e| matches!(e, Effect::Refunded { .. })) {
                *depositor = BOB
            }
        },
        None,
        "VAULT.4",
        "otherwise",
    ),
    Case(
        "deposit while paused",
        |w| w.begin_with(Effect::DepositsPaused { paused: true }),
        None,
        "L1.PAUSED",
        "paused",
    ),
    Case(
        "funding missing",
        |w| _ = w.remove(0, |e| matches!(e, Effect::SupplierFunded { .. })),
        Some(1),
        "VAULT.7",
        "which have less",
    ),
    Case(
        "funds taken twice",
        |w| w.end_with(Effect::SupplierUnfunded { units: 601 }),
        None,
        "VAULT.7",
        "which have less",
    ),
    Case("supplier account figure", |w| w.supplier_account += 1, None, "VAULT.7", "the contract has 601"),
    Case("pool figure", |w| w.pool += 1, None, "L1.POOL", "the contract's pool is"),
    Case(
        "pool below zero",
        |w| w.record(3, 0, RecordKind::Withdraw, 5_000, to_bytes(&padded(ALICE))),
        Some(3),
        "L1.POOL",
        "more than was ever paid in",
    ),
    Case("transfer from nowhere", |w| w.record(4, 0, RecordKind::Receive, 0, word(22)), Some(4), "OP.5", "not open"),
    Case("transfer opened twice", |w| w.record(3, 2, RecordKind::Send, 0, word(21)), Some(3), "OP.5", "used before"),
    Case(
        "refund missing",
        |w| _ = w.remove(1, |e| matches!(e, Effect::Refunded { .. })),
        None,
        "VAULT.5",
        "other open deposits",
    ),
    // Forced withdrawals.
    Case(
        "request missing",
        |w| _ = w.remove(0, |e| matches!(e, Effect::ForcedRequested { .. })),
        Some(3),
        "FORCED.1",
        "not the head",
    ),
    Case(
        "requests out of order",
        |w| w.record(3, 3, RecordKind::Forced, 20, to_bytes(&padded(BOB))),
        Some(3),
        "FORCED.1",
        "not the head",
    ),
    Case(
        "request twice",
        |w| w.again(1, |e| matches!(e, Effect::ForcedRequested { .. })),
        None,
        "FORCED.3",
        "or twice",
    ),
    Case(
        "request for no slot",
        |w| {
            if let Effect::ForcedRequested { slot, .. } = w.edit(1, |e| matches!(e, Effect::ForcedRequested { .. })) {
                *slot = 4
            }
        },
        None,
        "FORCED.5",
        "slot 4 of 4",
    ),
    Case(
        "request too early",
        |w| w.begin_with(Effect::ForcedRequested { community: 3, slot: 0, requester: BOB, position: 0, bond: 1 }),
        None,
        "FORCED.5",
        "has not settled",
    ),
    Case("queue", |w| w.forced[0].slot = 3, None, "FORCED.1", "not the one of its events"),
    Case(
        "bond",
        |w| w.end_with(Effect::BondReturned { community: 3, requester: ALICE, bond: 1 }),
        None,
        "FORCED.1",
        "is not due",
    ),
    // Freeze and exits.
    Case(
        "freeze missing",
        |w| _ = w.remove(0, |e| matches!(e, Effect::Frozen { .. })),
        None,
        "EXIT.5",
        "before any freeze",
    ),
    Case("freeze not told", |w| w.frozen = false, None, "L1.FREEZE", "otherwise than its events say"),
    Case(
        "freeze root",
        |w| {
            if let Effect::Frozen { root, .. } = w.edit(0, |e| matches!(e, Effect::Frozen { .. })) {
                *root = word(1)
            }
        },
        None,
        "L1.FREEZE",
        "another root",
    ),
    Case(
        "freeze without cause",
        |w| w.begin_with(Effect::Frozen { community: 3, root: ZERO }),
        None,
        "FORCED.2",
        "nobody waits",
    ),
    Case(
        "batch after freeze",
        |w| {
            let mut freeze = w.remove(0, |e| matches!(e, Effect::Frozen { .. }));
            let at = w.place(3, |e| matches!(e, Effect::BatchSettled { .. }));
            freeze.block = w.events[at].block;
            w.events.insert(at, freeze);
        },
        Some(4),
        "L1.9",
        "after the freeze",
    ),
    Case(
        "deposit after freeze",
        |w| w.end_with(Effect::DepositMade { claim: word(5), depositor: BOB, units: 1 }),
        None,
        "L1.FREEZE",
        "DepositMade after the freeze",
    ),
    Case(
        "second exit",
        |w| w.again(0, |e| matches!(e, Effect::Exited { .. })),
        None,
        "EXIT.4",
        "slot 0 of community 3 exits again",
    ),
    Case(
        "exit of no slot",
        |w| w.end_with(Effect::Exited { community: 3, slot: 4, payout: BOB, balance: 1, amount: 0 }),
        None,
        "EXIT.2",
        "there is none",
    ),
    Case(
        "second claim exit",
        |w| w.again(0, |e| matches!(e, Effect::ClaimExited { .. })),
        None,
        "EXIT.4",
        "was not open",
    ),
    Case(
        "exit of a received claim",
        |w| w.end_with(Effect::ClaimExited { claim: word(21), payout: BOB, balance: 1, amount: 0 }),
        None,
        "EXIT.4",
        "was not open",
    ),
    Case(
        "exit of too much",
        |w| w.end_with(Effect::Exited { community: 3, slot: 3, payout: BOB, balance: 783 * UNIT, amount: 0 }),
        None,
        "EXIT.6",
        "more than the pool has",
    ),
    // Certificates.
    Case(
        "nullifier twice",
        |w| w.again(0, |e| matches!(e, Effect::CertificateSpent { .. })),
        None,
        "L1C.4",
        "used again",
    ),
    Case(
        "kind",
        |w| {
            note(w, |e| {
                if let Effect::CertificateSpent { kind, .. } = e {
                    *kind = 258
                }
            })
        },
        None,
        "L1C.2",
        "kind 258",
    ),
    Case(
        "no note",
        |w| {
            note(w, |e| {
                if let Effect::CertificateSpent { note_2, .. } = e {
                    *note_2 = ZERO
                }
            })
        },
        None,
        "L1C.5",
        "or no note",
    ),
    Case(
        "high nullifier",
        |w| {
            note(w, |e| {
                if let Effect::CertificateSpent { nullifier, .. } = e {
                    *nullifier = [0xff; 32]
                }
            })
        },
        None,
        "L1C.5",
        "below the modulus",
    ),
    Case(
        "retirement twice",
        |w| {
            note(w, |e| {
                if let Effect::CertificateSpent { retirement, .. } = e {
                    *retirement = word(3_003)
                }
            })
        },
        None,
        "L1C.6",
        "shown again",
    ),
    Case(
        "transfer after freeze",
        |w| {
            let (nullifier, note_1, note_2) = (word(1), word(2), word(3));
            w.end_with(Effect::CertificateSpent {
                nullifier,
                note_1,
                note_2,
                retirement: ZERO,
                disclosed: ZERO,
                beneficiary: ZERO,
                kind: 0,
            });
        },
        None,
        "L1C.7",
        "after the freeze",
    ),
    Case(
        "notes queued otherwise",
        |w| {
            if let Effect::CertificateSpent { note_1, note_2, .. } =
                w.edit(0, |e| matches!(e, Effect::CertificateSpent { .. }))
            {
                std::mem::swap(note_1, note_2)
            }
        },
        Some(2),
        "NOTES.1",
        "not the head",
    ),
    Case(
        "notes out of order",
        |w| w.record(4, 1, RecordKind::Note, 0, word(2_002)),
        Some(4),
        "NOTES.1",
        "record 1: note 00000000 is not the head",
    ),
    Case("queue of notes", |w| _ = w.notes.pop(), None, "NOTES.1", "not the one of its events"),
    Case(
        "disclosed high",
        |w| {
            note(w, |e| {
                if let Effect::CertificateSpent { disclosed, .. } = e {
                    disclosed[14] = 1
                }
            })
        },
        None,
        "CERT.5",
        "bits above",
    ),
    Case(
        "disclosed community",
        |w| {
            note(w, |e| {
                if let Effect::CertificateSpent { disclosed, .. } = e {
                    *disclosed = info(1, FIRST, 2, 8)
                }
            })
        },
        None,
        "CERT.5",
        "community 8",
    ),
    Case(
        "disclosed length",
        |w| {
            note(w, |e| {
                if let Effect::CertificateSpent { disclosed, .. } = e {
                    *disclosed = info(1, FIRST, 3, 3)
                }
            })
        },
        None,
        "CERT.5",
        "3 intervals",
    ),
    Case(
        "disclosed future",
        |w| {
            note(w, |e| {
                if let Effect::CertificateSpent { disclosed, .. } = e {
                    *disclosed = info(1, FIRST + 4, 2, 3)
                }
            })
        },
        None,
        "CERT.5",
        "not settled",
    ),
];
