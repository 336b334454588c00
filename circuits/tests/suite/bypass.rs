//! What the native rules refuse of operations, corrections, header slot, beginning and queue, the circuit refuses: it
//! is given what `compute` makes of random invalid inputs. The one exception is `OperationError::Field`: see
//! `idle_slots.rs`.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::{refusals, tiny, trace};
use gridveil_protocol::{
    correction::CorrectionError,
    field::Fr,
    fixture::{
        Extras, Recipe, Stream, beginning, meter_key, next_owner_key, owner_key, packet, reroot, resign,
        resign_correction, resign_management, resign_operation, with_operations,
    },
    header_operation::{Pool, Transfer},
    market::Mechanism,
    operation::{EFFECTS, Kind, Operation, SignedOperation, slot::OperationError},
    operation_slots::OperationsError,
    owner::owner_of,
    packet::{Packet, PacketSalts, Reading},
    params::UNIT_NANO,
    settlement::{SettlementError, SettlementInput, apply, compute},
    tariff::ClassPrices,
    units::{Interval, Ticks, Wh},
};

/// Which rule a native refusal is of.
fn rule(error: &SettlementError) -> String {
    let SettlementError::Operations(error) = error else { return error.clause().to_string() };
    match error {
        OperationsError::Operation { source, .. } => {
            format!("{} {source:?}", source.clause()).split(['(', '{']).next().unwrap().trim().to_string()
        }
        OperationsError::Correction(error) => match error {
            CorrectionError::Packet(inner) => format!("ADJUST.2 {}", inner.clause()),
            CorrectionError::NotPending { .. }
            | CorrectionError::Tariff
            | CorrectionError::Overflow
            | CorrectionError::Registers => {
                format!("{} {error:?}", error.clause()).split(['(', '{']).next().unwrap().trim().to_string()
            }
        },
        OperationsError::Header(error) => {
            format!("{} {error:?}", error.clause()).split('(').next().unwrap().to_string()
        }
        OperationsError::NotEmpty(what) => format!("STATE.INIT {what}"),
        OperationsError::TooMany { .. } | OperationsError::Notes => error.clause().to_string(),
    }
}

/// Refused natively by a rule, and by the circuit. Returns the rule.
fn refused(name: &str, i: SettlementInput) -> String {
    let error = match apply(i.clone()) {
        Ok(_) => panic!("native accepts: {name}"),
        Err(error) => error,
    };
    assert!(!refusals(tiny(), &trace(&compute(i))).is_empty(), "circuit accepts: {name}, natively {error}");
    rule(&error)
}

fn operated(seed: u64, kind: Kind) -> SettlementInput {
    let recipe = Recipe { shape: tiny(), seed, mechanism: Mechanism::Auction, used: 3 };
    let mut i = with_operations(&recipe, &[kind], Extras::default()).unwrap();
    i.community.header.supplier_account = 1 << 60;
    reroot(&mut i);
    i
}

type Edit = fn(&mut SettlementInput, &mut Stream);

fn op(i: &mut SettlementInput) -> &mut Operation {
    &mut i.operations.slots[0].operation
}

fn signed(i: &mut SettlementInput) -> &mut SignedOperation {
    &mut i.operations.slots[0]
}

/// Edits of one operation: before it is signed, or after.
const BEFORE: [(&str, Edit); 15] = [
    ("a slot in use", |i, _| (op(i).slot, op(i).nonce) = (2, i.community.accounts[2].nonce)),
    ("an older nonce", |i, s| op(i).nonce = op(i).nonce.wrapping_sub(1 + u32::try_from(s.below(9)).unwrap())),
    ("a later nonce", |i, s| op(i).nonce += 1 + u32::try_from(s.below(9)).unwrap()),
    ("more than the balance", |i, s| op(i).amount = (u64::MAX / UNIT_NANO - s.below(1000)) * UNIT_NANO),
    ("no whole units", |i, s| op(i).amount += 1 + s.below(UNIT_NANO - 1)),
    ("one unit less", |i, _| op(i).amount = op(i).amount.wrapping_sub(UNIT_NANO)),
    ("another's key", |i, s| signed(i).owner = owner_of(&owner_key(1 + usize::try_from(s.below(2)).unwrap()))),
    ("the key before", |i, s| signed(i).owner = owner_of(&next_owner_key(usize::try_from(s.below(4)).unwrap()))),
    ("somebody else's account", |i, _| op(i).slot = (op(i).slot + 1) % 3),
    ("an empty slot", |i, _| op(i).slot = 3),
    ("a scale that does not exist", |i, s| {
        op(i).terms.iter_mut().for_each(|t| t.scale = 2 + u8::try_from(s.below(8)).unwrap())
    }),
    ("a class that does not exist", |i, s| {
        op(i).terms.iter_mut().for_each(|t| t.class = 2 + u8::try_from(s.below(9)).unwrap())
    }),
    ("a debtor's", |i, _| {
        let slot = usize::from(op(i).slot);
        let account = &mut i.community.accounts[slot];
        (account.balance, account.debt) = (0, 1 << 60);
        i.community.header.totals.debt = i.community.accounts.iter().map(|a| a.debt).sum();
    }),
    ("a nonce that is used up", |i, _| {
        let slot = usize::from(op(i).slot);
        (op(i).nonce, i.community.accounts[slot].nonce) = (u32::MAX, u32::MAX);
    }),
    ("a stranger's, with money", |i, s| op(i).payout = s.bytes()),
];

const AFTER: [(&str, Edit); 12] = [
    ("another amount", |i, _| op(i).amount = op(i).amount.wrapping_add(UNIT_NANO)),
    ("another party", |i, s| op(i).party = s.element()),
    ("another payout", |i, s| op(i).payout = s.bytes()),
    ("another salt", |i, s| op(i).salts[0] = s.element()),
    ("another meter", |i, _| op(i).meter = op(i).meter.map(|_| meter_key(77).public())),
    ("other terms", |i, _| op(i).terms.iter_mut().for_each(|t| t.cap_import += 1)),
    ("another kind", |i, _| op(i).kind = if op(i).kind == Kind::Receive { Kind::Deposit } else { Kind::Receive }),
    ("the meter data manager's signature is the owner's", |i, _| {
        signed(i).mdm = signed(i).mdm.map(|_| signed(i).signature)
    }),
    ("the owner's signature is the meter data manager's", |i, _| {
        signed(i).signature = signed(i).mdm.unwrap_or(signed(i).signature)
    }),
    ("another nullifier key", |i, s| signed(i).owner.nullifier = s.element()),
    ("another domain", |i, s| {
        i.domain = s.element();
        for slot in 0..4 {
            i.packets[slot].packet.context.domain = i.domain;
            resign(i, slot).unwrap();
        }
    }),
    ("another meter data manager", |i, _| i.community.header.mdm = meter_key(50).public()),
];

/// The meter signs another late packet.
fn late(i: &mut SettlementInput, change: impl Fn(&mut Packet)) {
    change(&mut i.operations.correction.as_mut().unwrap().late.packet);
    resign_correction(i).unwrap();
}

/// Does the edited operation still say only what it does? Others are refused natively alone.
fn is_stray(i: &SettlementInput) -> bool {
    matches!(
        apply(i.clone()),
        Err(SettlementError::Operations(OperationsError::Operation { source: OperationError::Field(_), .. }))
    )
}

#[test]
fn invalid_operations() {
    let mut rules: BTreeMap<String, usize> = BTreeMap::new();
    for (number, effect) in EFFECTS.iter().enumerate() {
        for (at, (name, edit)) in BEFORE
            .iter()
            .map(|e| (true, *e))
            .chain(AFTER.iter().map(|e| (false, *e)))
            .enumerate()
            .map(|(at, (before, e))| ((at, before), e))
        {
            let seed = (7 * at.0 + number) as u64 % 20;
            let mut i = operated(seed, effect.kind);
            let untouched = i.clone();
            edit(&mut i, &mut Stream::new(seed));
            if at.1 && i != untouched {
                resign_operation(&mut i, 0).unwrap();
            }
            reroot(&mut i);
            // Edits that this kind knows nothing of, or that leave it valid.
            if i == untouched || is_stray(&i) || apply(i.clone()).is_ok() {
                continue;
            }
            *rules.entry(refused(&format!("{:?}: {name}", effect.kind), i)).or_default() += 1;
        }
    }
    println!("{rules:#?}");
    assert!(rules.values().sum::<usize>() >= 100, "{rules:?}");
    let met: BTreeSet<&str> = rules.keys().map(String::as_str).collect();
    let expressible = [
        "OP.1 NonceOverflow",
        "OP.1 NotOwner",
        "OP.1 Nonce",
        "OP.1 Signature",
        "OP.2 Mdm",
        "OP.4 InDebt",
        "OP.4 Insufficient",
        "OP.4 Overflow",
        "OP.4 Units",
        "OP.6 NotAll",
        "OP.7 Forced",
        "OP.8 NotEmpty",
        "OP.9 Terms",
    ];
    for rule in expressible {
        assert!(met.contains(rule), "{rule}: {met:?}");
    }
}

/// Another community's operation, as its owner signed it for that one. (A forced operation slot's message is nobody's: the operation slot's
/// own community is in it.)
#[test]
fn operations_of_another_community() {
    for effect in EFFECTS.iter().filter(|effect| effect.owner_signs()) {
        let mut i = operated(3, effect.kind);
        op(&mut i).community += 1;
        resign_operation(&mut i, 0).unwrap();
        assert!(apply(i.clone()).is_err());
        let accepted = refusals(tiny(), &trace(&compute(i.clone()))).is_empty();
        assert!(!accepted, "{:?}", effect.kind);
    }
}

fn with_extras(seed: u64, extras: Extras) -> SettlementInput {
    with_operations(&Recipe { shape: tiny(), seed, mechanism: Mechanism::Auction, used: 3 }, &[], extras).unwrap()
}

#[test]
fn invalid_corrections_headers_beginnings_and_queues() {
    let mut rules = BTreeSet::new();
    let corrections: [(&str, Edit); 10] = [
        ("nothing waits", |i, _| {
            let slot = i.operations.correction.as_ref().unwrap().slot();
            i.community.accounts[slot].pending_substitute = Fr::from(0u64);
        }),
        ("another waits", |i, s| {
            let slot = i.operations.correction.as_ref().unwrap().slot();
            i.community.accounts[slot].pending_substitute = s.element();
        }),
        ("the substitute on another one", |i, s| {
            i.operations.correction.as_mut().unwrap().substitute.packet.previous_substitute = s.element()
        }),
        ("late on top of a substitute", |i, s| {
            let beneath = s.element();
            late(i, |p| p.previous_substitute = beneath);
        }),
        ("substituted late", |i, _| late(i, |p| p.substituted = true)),
        ("late for another slot", |i, _| late(i, |p| p.slot += 1)),
        ("late for another period", |i, _| late(i, |p| p.context.first_interval += 2)),
        ("unsigned reading", |i, _| i.operations.correction.as_mut().unwrap().late.packet.readings[1].export ^= 1),
        ("after the end", |i, _| {
            let correction = i.operations.correction.as_mut().unwrap();
            let slot = correction.slot();
            correction.late.packet.readings[1] = Reading { import: 1, export: 1 };
            i.community.accounts[slot].terms.active_until = correction.substitute.packet.context.first_interval + 1;
            i.packets[slot].packet.readings.fill(Reading::default());
            resign(i, slot).unwrap();
            resign_correction(i).unwrap();
        }),
        ("registers that never had it", |i, _| {
            let slot = i.operations.correction.as_ref().unwrap().slot();
            i.operations.correction.as_mut().unwrap().late.packet.readings.fill(Reading::default());
            i.community.header.totals.import = Wh::ZERO;
            i.community.accounts[slot].registers = gridveil_protocol::account::Registers::default();
            i.packets[slot].packet.readings.fill(Reading::default());
            for other in 0..4 {
                i.packets[other].packet.readings.fill(Reading::default());
                resign(i, other).unwrap();
            }
            resign_correction(i).unwrap();
        }),
    ];
    for (name, edit) in corrections {
        for seed in 0..3 {
            let mut i = with_extras(seed, Extras { correction: true, ..Extras::default() });
            i.community.header.fee_account = 1 << 60;
            edit(&mut i, &mut Stream::new(seed));
            reroot(&mut i);
            rules.insert(refused(name, i));
        }
    }
    let headers: [(&str, Edit); 6] = [
        ("what the reserve asks for", |i, _| {
            i.operations.header.transfer = Some(Transfer { pool: Pool::SupplierOut, units: 1 });
            i.operations.header.management.as_mut().unwrap().management.reserve =
                i.community.header.supplier_account * 2;
            resign_management(i).unwrap();
        }),
        ("more than the supplier account", |i, _| {
            i.operations.header.transfer = Some(Transfer { pool: Pool::SupplierOut, units: 1 << 47 })
        }),
        ("more than 48 bits", |i, _| {
            i.operations.header.transfer = Some(Transfer { pool: Pool::SupplierIn, units: 1 << 48 })
        }),
        ("more than the fee account", |i, _| {
            i.operations.header.transfer = Some(Transfer { pool: Pool::FeeOut, units: 1 << 40 })
        }),
        ("unsigned", |i, _| i.operations.header.management.as_mut().unwrap().management.skip += 1),
        ("beyond the last interval", |i, _| {
            i.community.header.next_interval = Interval::MAX - 100;
            i.operations.header.management.as_mut().unwrap().management.skip = 1000;
            for slot in 0..4 {
                i.packets[slot].packet.context = i.context();
                i.packets[slot].packet.readings.fill(Reading::default());
                resign(i, slot).unwrap();
            }
            resign_management(i).unwrap();
        }),
    ];
    for (name, edit) in headers {
        for seed in 0..3 {
            let mut i = with_extras(seed, Extras { management: true, ..Extras::default() });
            edit(&mut i, &mut Stream::new(seed));
            reroot(&mut i);
            rules.insert(refused(name, i));
        }
    }
    let beginnings: [(&str, Edit); 8] = [
        ("supplier_account", |i, s| i.community.header.supplier_account = 1 + s.below(1 << 40)),
        ("fee_account", |i, _| i.community.header.fee_account = 1),
        ("reserve", |i, _| i.community.header.reserve = 1),
        ("nonce", |i, _| i.community.header.nonce = 1),
        ("totals", |i, _| i.community.header.totals.retired = Wh(1)),
        ("certificate counter", |i, _| i.community.header.certificate_count = 1),
        ("certificates", |i, s| i.community.certificates.set(9, s.element())),
        ("accounts", |i, s| {
            let account = &mut i.community.accounts[3];
            match s.below(3) {
                0 => account.balance = 7,
                1 => account.owner = s.element(),
                _ => {
                    account.meter = Some(meter_key(3).public());
                    i.packets[3] = packet(i.context(), 3, vec![Reading::default(); 2], false, PacketSalts::default())
                        .sign(&meter_key(3))
                        .unwrap();
                }
            }
        }),
    ];
    for (name, edit) in beginnings {
        for seed in 0..3 {
            let mut i = beginning(tiny(), seed).unwrap();
            edit(&mut i, &mut Stream::new(seed));
            rules.insert(refused(name, i));
        }
    }
    println!("{rules:#?}");
    for rule in [
        "ADJUST.1 NotPending",
        "ADJUST.4 Registers",
        "HEADER.1 Units",
        "HEADER.1 Reserve",
        "HEADER.2 FeeAccount",
        "HEADER.3 Signature",
        "HEADER.5 Skip",
    ] {
        assert!(rules.contains(rule), "{rule}: {rules:?}");
    }
    assert_eq!(rules.iter().filter(|rule| rule.starts_with("STATE.INIT")).count(), 8);
}

/// At the bounds, and still valid: the native rules accept, so the circuit does.
#[test]
fn unusual_but_honest_operations_are_provable() {
    let all = |i: &mut SettlementInput| op(i).amount = compute(i.clone()).applied.slots[0].before.balance;
    let whole = |i: &mut SettlementInput| {
        all(i);
        op(i).amount -= op(i).amount % UNIT_NANO;
    };
    type Change<'a> = &'a dyn Fn(&mut SettlementInput);
    let cases: [(&str, Kind, Change<'_>); 16] = [
        ("everything is sent", Kind::Send, &all),
        ("all whole units are withdrawn", Kind::Withdraw, &whole),
        ("no units are withdrawn", Kind::Withdraw, &|i| op(i).amount = 0),
        ("nothing is sent", Kind::Send, &|i| op(i).amount = 0),
        ("to the account itself", Kind::Send, &|i| op(i).party = i.operations.slots[0].owner.commitment()),
        ("received up to the last bit", Kind::Receive, &|i| {
            op(i).amount = u64::MAX - compute(i.clone()).applied.slots[0].before.balance
        }),
        ("an exit address of ones", Kind::Receive, &|i| op(i).payout = [0xff; 20]),
        ("a payout of ones", Kind::Rotate, &|i| op(i).payout = [0xff; 20]),
        ("forced in an empty slot", Kind::Forced, &|i| (op(i).slot, op(i).amount, op(i).payout) = (3, 0, [0xee; 20])),
        ("forced by a stranger", Kind::Forced, &|i| (op(i).amount, op(i).payout) = (0, [0xee; 20])),
        ("forced in debt", Kind::Forced, &|i| {
            let payout = i.community.accounts[1].payout;
            (i.community.accounts[1].debt, i.community.header.totals.debt) = (1 << 60, 1 << 60);
            (op(i).slot, op(i).amount, op(i).payout) = (1, 0, payout);
        }),
        ("forced with a nonce that is used up", Kind::Forced, &|i| {
            let slot = usize::from(op(i).slot);
            i.community.accounts[slot].nonce = u32::MAX;
        }),
        ("the last nonce", Kind::Rotate, &|i| {
            let slot = usize::from(op(i).slot);
            (op(i).nonce, i.community.accounts[slot].nonce) = (u32::MAX - 1, u32::MAX - 1);
        }),
        ("the widest terms", Kind::Terms, &|i| {
            let terms = op(i).terms.as_mut().unwrap();
            (terms.active_from, terms.buy_limit, terms.sell_limit) = (Interval::MAX, Ticks::MAX, Ticks::MAX);
            (terms.cap_import, terms.cap_export, terms.technology, terms.scale, terms.class) =
                (u16::MAX, u16::MAX, 255, 100, 1);
        }),
        ("the meter's own key again", Kind::Replace, &|i| {
            let slot = usize::from(op(i).slot);
            op(i).meter = i.community.accounts[slot].meter;
        }),
        ("the same owner again", Kind::Rotate, &|i| op(i).party = i.operations.slots[0].owner.commitment()),
    ];
    for (name, kind, change) in cases {
        let mut i = operated(5, kind);
        change(&mut i);
        resign_operation(&mut i, 0).unwrap();
        reroot(&mut i);
        let t = apply(i).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(refusals(tiny(), &trace(&t)), BTreeSet::new(), "{name}");
    }
}

/// Full late readings against none, and none against full ones, at the highest and lowest prices.
#[test]
fn unusual_but_honest_corrections_are_provable() {
    for (late_reading, settled) in [(u16::MAX, 0), (0, u16::MAX)] {
        for price in [i32::MIN, i32::MAX] {
            let mut i = with_extras(2, Extras { correction: true, ..Extras::default() });
            let correction = i.operations.correction.as_mut().unwrap();
            let slot = correction.slot();
            correction.late.packet.readings.fill(Reading { import: late_reading, export: late_reading / 2 });
            correction.substitute.packet.readings.fill(Reading { import: settled, export: settled / 2 });
            let prices = ClassPrices { energy: price, network: price, feed_in: price, local_fee: price };
            correction.tariff.intervals.iter_mut().for_each(|interval| interval.classes = [prices; 2]);
            let account = &mut i.community.accounts[slot];
            (account.terms.scale, account.balance) = (100, 1 << 62);
            i.packets[slot].packet.readings.fill(Reading::default());
            resign(&mut i, slot).unwrap();
            (i.community.header.supplier_account, i.community.header.fee_account) = (1 << 62, 1 << 62);
            resign_correction(&mut i).unwrap();
            let t = apply(i).unwrap_or_else(|error| panic!("{late_reading} {price}: {error}"));
            assert_eq!(refusals(tiny(), &trace(&t)), BTreeSet::new(), "{late_reading} {price}");
        }
    }
}
