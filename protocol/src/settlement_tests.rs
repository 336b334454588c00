//! One refusal a clause, in the order of precedence, and conservation on random communities.

use super::*;
use crate::{
    fixture::{self, Recipe},
    packet::{Context, PacketError},
    params::{STATE_DEPTH, Shape},
    tree::{SparseTree, replaced_root},
    units::{Interval, Ticks, Wh},
};

fn recipe(seed: u64, mechanism: Mechanism) -> Recipe {
    Recipe {
        shape: Shape { members: 8, intervals: 5, ..Shape::by_name("tiny-4x2").unwrap() },
        seed,
        mechanism,
        used: 6,
    }
}

fn valid() -> SettlementInput {
    fixture::settlement(&recipe(1, Mechanism::Auction)).unwrap()
}

fn edited(slot: usize, edit: impl FnOnce(&mut SettlementInput)) -> SettlementError {
    let mut input = valid();
    edit(&mut input);
    fixture::resign(&mut input, slot).unwrap();
    let mut state = SparseTree::new(STATE_DEPTH);
    state.set(5, input.community.node());
    if input.state_path.len() != STATE_DEPTH - 1 {
        input.state_path = state.path(5);
    }
    apply(input).unwrap_err()
}

#[test]
fn conserves_energy_and_money() {
    for seed in 0..20 {
        for mechanism in [Mechanism::Auction, Mechanism::CommunityPrice] {
            let input = fixture::settlement(&recipe(seed, mechanism)).unwrap();
            let pools = |c: &Community| {
                let members: i128 = c.accounts.iter().map(|a| i128::from(a.balance)).sum();
                members + i128::from(c.header.supplier_account) + i128::from(c.header.fee_account)
            };
            let before = pools(&input.community);
            let t = apply(input).unwrap();
            assert_eq!(pools(&t.after), before);
            for c in &t.clearings {
                assert_eq!(c.bought.iter().sum::<Wh>(), c.volume);
                assert_eq!(c.sold.iter().sum::<Wh>(), c.volume);
            }
            let totals = &t.after.header.totals;
            assert_eq!(totals.issued, totals.retired + totals.outstanding);
            assert_eq!(t.instance.new_root, replaced_root(&t.input.state_path, 5, t.after.node()));
        }
    }
}

#[test]
fn a_retry_is_byte_identical() {
    assert_eq!(apply(valid()).unwrap(), apply(valid()).unwrap());
}

#[test]
fn input_survives_its_serialisation() {
    let input = fixture::settlement(&Recipe {
        shape: Shape::by_name("tiny-4x2").unwrap(),
        seed: 1,
        mechanism: Mechanism::Auction,
        used: 4,
    })
    .unwrap();
    let json = serde_json::to_vec(&input).unwrap();
    assert_eq!(serde_json::from_slice::<SettlementInput>(&json).unwrap(), input);
}

#[test]
fn every_input_clause_refuses() {
    let mut missing = valid();
    missing.packets.pop();
    assert_eq!(apply(missing).unwrap_err(), SettlementError::PacketCount { expected: 8, got: 7 });
    assert_eq!(edited(0, |i| i.packets[0].packet.slot = 1), PacketError::Slot { slot: 0, got: 1 }.into());
    type Edit = fn(&mut Context);
    let fields: [(&str, Edit); 5] = [
        ("domain", |c| c.domain += Fr::from(1u64)),
        ("community", |c| c.community += 1),
        ("first interval", |c| c.first_interval += 1),
        ("interval length", |c| c.interval_length = 900),
        ("number of intervals", |c| c.intervals += 1),
    ];
    for (field, edit) in fields {
        assert_eq!(
            edited(0, |i| edit(&mut i.packets[0].packet.context)),
            PacketError::Context { slot: 0, field }.into()
        );
    }
    assert!(matches!(
        edited(0, |i| i.packets[0].packet.readings.truncate(4)),
        SettlementError::Packet(PacketError::Length { slot: 0, .. })
    ));
    assert_eq!(
        edited(0, |i| i.packets[0].packet.previous_substitute = Fr::from(1u64)),
        PacketError::PreviousInMetered { slot: 0 }.into()
    );
    assert_eq!(
        edited(7, |i| i.packets[7].packet.previous_substitute = Fr::from(1u64)),
        PacketError::PreviousInMetered { slot: 7 }.into()
    );
    // A substitute that invents one beneath it, and one that drops the one there is.
    assert_eq!(
        edited(5, |i| i.packets[5].packet.previous_substitute = Fr::from(1u64)),
        PacketError::PreviousIsAnother { slot: 5 }.into()
    );
    assert_eq!(
        edited(5, |i| i.community.accounts[5].pending_substitute = Fr::from(1u64)),
        PacketError::PreviousIsAnother { slot: 5 }.into()
    );
    assert_eq!(edited(7, |i| i.packets[7].packet.substituted = true), PacketError::SubstitutedEmpty { slot: 7 }.into());
    assert_eq!(
        edited(7, |i| i.community.accounts[7].terms.active_until = Interval::MAX),
        PacketError::ActiveEmpty { slot: 7 }.into()
    );
    assert_eq!(edited(0, |i| i.community.accounts[0].terms.scale = 7), PacketError::Terms { slot: 0 }.into());
    // Signed in another unit than the account's: terms that change the scale multiply nothing that is signed already.
    let mut input = valid();
    input.packets[1].packet.scale = 10;
    input.packets[1] = input.packets[1].packet.clone().sign(&fixture::meter_key(1)).unwrap();
    assert_eq!(apply(input).unwrap_err(), PacketError::Scale { slot: 1 }.into());
    assert_eq!(edited(0, |i| i.community.accounts[0].terms.class = 2), PacketError::Terms { slot: 0 }.into());
    assert_eq!(edited(0, |i| i.community.header.totals.debt += 1), SettlementError::DebtTotal);
    let mut forged = valid();
    forged.packets[0].packet.readings[0].import += 1;
    assert!(matches!(apply(forged).unwrap_err(), SettlementError::Packet(PacketError::Signature { slot: 0, .. })));
    assert_eq!(
        edited(5, |i| i.packets[5].packet.readings[2].import = 9001),
        PacketError::AboveCap { slot: 5, interval: 2 }.into()
    );
    assert_eq!(
        edited(2, |i| i.packets[2].packet.readings[0].import = 1),
        PacketError::Inactive { slot: 2, interval: 0 }.into()
    );
    assert_eq!(
        edited(3, |i| i.packets[3].packet.readings[1].import = 1),
        PacketError::Inactive { slot: 3, interval: 1 }.into()
    );
    assert!(matches!(edited(0, |i| i.tariff.intervals.truncate(4)), SettlementError::TariffLength { .. }));
}

#[test]
fn every_outcome_clause_refuses() {
    let mut poor = valid();
    poor.community.header.supplier_account = 0;
    for tariff in &mut poor.tariff.intervals {
        for class in &mut tariff.classes {
            class.feed_in = 1_000_000;
        }
    }
    assert!(matches!(apply(poor).unwrap_err(), SettlementError::SupplierTooSmall { .. }));
    let mut negative_fees = valid();
    for tariff in &mut negative_fees.tariff.intervals {
        for class in &mut tariff.classes {
            class.network = -1_000_000;
        }
    }
    assert_eq!(apply(negative_fees).unwrap_err(), SettlementError::FeeAccount);
    assert_eq!(
        edited(0, |i| {
            i.community.accounts[0].balance = u64::MAX;
            i.tariff.intervals.iter_mut().for_each(|t| t.classes[0].energy = -2_000_000_000);
        }),
        SettlementError::BalanceOverflow { slot: 0 }
    );
    assert_eq!(
        edited(0, |i| i.community.accounts[0].registers.import = Wh(1 << 62)),
        SettlementError::RegisterOverflow { slot: 0 }
    );
    assert_eq!(edited(0, |i| i.community.header.totals.import = Wh::MAX), SettlementError::TotalOverflow);
    assert_eq!(edited(0, |i| i.community.header.totals.traded = Wh::MAX), SettlementError::TotalOverflow);
    assert_eq!(edited(0, |i| i.community.header.certificate_count = 3), SettlementError::Certificates);
    assert_eq!(edited(0, |i| i.state_path.truncate(STATE_DEPTH - 1)), SettlementError::StatePath);
}

#[test]
fn debtors_and_substituted_do_not_trade() {
    let t = apply(valid()).unwrap();
    assert!(t.input.community.accounts[1].debt > 0);
    assert!(t.input.packets[5].packet.substituted);
    assert_eq!(t.outcomes[1].energy.bought, Wh::ZERO);
    assert_eq!(
        (t.outcomes[5].energy.bought, t.outcomes[5].energy.sold, t.notes[5].amount),
        (Wh::ZERO, Wh::ZERO, Wh::ZERO)
    );
    assert_eq!(t.after.header.totals.substituted_packets, 1);
    assert!(t.outcomes.iter().any(|o| o.energy.bought > Wh::ZERO));
    assert_eq!(t.after.accounts[5].terms.buy_limit, t.input.community.accounts[5].terms.buy_limit);
    assert_eq!(t.after.accounts[0].terms.buy_limit, Ticks(2100));
}
