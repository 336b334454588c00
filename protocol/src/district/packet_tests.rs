use super::*;
use crate::district::seed::Seed;

fn n(x: u64) -> Fr {
    Fr::from(x)
}

fn context() -> Context {
    Context { domain: n(99), community: 3, first_interval: Interval(480), interval_length: 900, intervals: 4 }
}

fn meter() -> SecretKey {
    SecretKey::from_seed(&[1; 64])
}

fn mdm() -> SecretKey {
    SecretKey::from_seed(&[2; 64])
}

fn account() -> Account {
    let mut account = Account::empty(Seed::random(&[5; 64]), n(6));
    account.meter = Some(meter().public());
    (account.number, account.owner) = (17, n(7));
    account.terms = Terms {
        active_from: Interval(480),
        active_until: Interval::MAX,
        cap_import: 500,
        cap_export: 300,
        scale: 10,
        technology: 2,
        key: 1 << 16,
        ..Terms::EMPTY
    };
    account
}

fn packet() -> Packet {
    Packet {
        context: context(),
        slot: 9,
        readings: vec![
            Reading { import: 500, export: 300 },
            Reading::default(),
            Reading { import: 1, export: 0 },
            Reading::default(),
        ],
        buy_limit: Ticks(2_000),
        sell_limit: Ticks(7),
        scale: 10,
        author: Author::Meter,
    }
}

fn substitute() -> Packet {
    let meter_x = meter().public().xy().0;
    Packet { readings: vec![Reading::default(); 4], author: Author::Mdm { meter_x }, ..packet() }
}

fn check(account: &Account, packet: Packet, key: &SecretKey) -> Result<(), PacketError> {
    check_packet(&context(), 9, account, &mdm().public(), &packet.sign(key).unwrap())
}

#[test]
fn a_packet_at_its_caps_and_a_substitute_are_taken() {
    assert_eq!(check(&account(), packet(), &meter()), Ok(()));
    assert_eq!(check(&account(), substitute(), &mdm()), Ok(()));
    let empty = Account::empty(Seed::random(&[5; 64]), n(6));
    let nothing = Packet { readings: vec![Reading::default(); 4], scale: 1, ..packet() };
    assert_eq!(check(&empty, nothing, &schnorr::empty_slot_key()), Ok(()));
}

/// Every refusal, in the order of the clauses.
#[test]
fn every_other_packet_is_refused_by_name() {
    let slot = 9;
    type Case = (fn(&mut Packet, &mut Account), PacketError);
    let cases: [Case; 10] = [
        (|p, _| p.slot = 8, PacketError::Slot { slot, got: 8 }),
        (|p, _| p.context.first_interval = Interval(484), PacketError::Context { slot }),
        (|p, _| p.context.domain += n(1), PacketError::Context { slot }),
        (|p, _| p.readings.truncate(3), PacketError::Length { slot, expected: 4, got: 3 }),
        (|_, a| a.terms.scale = 7, PacketError::Terms { slot }),
        (|_, a| a.terms.key = (1 << 16) + 1, PacketError::Terms { slot }),
        (|p, _| p.scale = 1, PacketError::Scale { slot }),
        (|_, a| a.terms.active_from = Interval(481), PacketError::Inactive { slot, interval: 0 }),
        (|_, a| a.terms.cap_import = 499, PacketError::AboveCap { slot, interval: 0 }),
        (|_, a| a.terms.cap_export = 299, PacketError::AboveCap { slot, interval: 0 }),
    ];
    for (edit, expected) in cases {
        let (mut packet, mut account) = (packet(), account());
        edit(&mut packet, &mut account);
        assert_eq!(check(&account, packet, &meter()), Err(expected));
        assert!(expected.to_string().starts_with(expected.clause()), "{expected}");
    }
    let mismatch = PacketError::Signature { slot, source: SchnorrError::Mismatch };
    assert_eq!(check(&account(), packet(), &mdm()), Err(mismatch));
    assert_eq!(check(&account(), substitute(), &meter()), Err(mismatch));
    let estimated = Packet { readings: packet().readings, ..substitute() };
    assert_eq!(check(&account(), estimated, &mdm()), Err(PacketError::SubstituteNotZero { slot, interval: 0 }));
    let of_another = Packet { author: Author::Mdm { meter_x: n(1) }, ..substitute() };
    assert_eq!(check(&account(), of_another, &mdm()), Err(PacketError::Meter { slot }));
    let mut empty = account();
    empty.meter = None;
    assert_eq!(check(&empty, substitute(), &mdm()), Err(PacketError::SubstitutedEmpty { slot }));
    assert_eq!(check(&empty, packet(), &schnorr::empty_slot_key()), Err(PacketError::ActiveEmpty { slot }));
}

/// A stranger's packet gets one answer, whatever the account is.
#[test]
fn what_tells_of_the_account_is_said_to_its_signer_alone() {
    let mut other = account();
    (other.terms.cap_import, other.terms.scale, other.terms.active_from) = (0, 1, Interval::MAX);
    let stranger = SecretKey::from_seed(&[8; 64]);
    let answers = [account(), other].map(|account| check(&account, packet(), &stranger));
    assert_eq!(answers[0], answers[1]);
    assert!(matches!(answers[0], Err(PacketError::Signature { .. })));
}

/// SETTLE.16: everything that was signed or applied is in the commitment.
#[test]
fn a_commitment_is_of_one_packet_as_it_was_applied() {
    let key = meter().public();
    let signed = packet().sign(&meter()).unwrap();
    let applied = Applied { number: 17, terms: account().terms, substituted: false, in_debt: false };
    let of = |applied: &Applied, origin| commitment(signed.digest(&key), n(5), applied, origin);
    let honest = of(&applied, Fr::ZERO);
    let edits: [fn(&mut Applied); 10] = [
        |a| a.number += 1,
        |a| a.substituted = true,
        |a| a.in_debt = true,
        |a| a.terms.class = 1,
        |a| a.terms.technology = 3,
        |a| a.terms.submeter = true,
        |a| a.terms.buy_limit = Ticks(1),
        |a| a.terms.sell_limit = Ticks(1),
        |a| a.terms.key -= 1,
        |a| a.terms.scale = 100,
    ];
    let mut seen = vec![honest, of(&applied, honest), commitment(signed.digest(&key), n(6), &applied, Fr::ZERO)];
    for edit in edits {
        let mut other = applied;
        edit(&mut other);
        seen.push(of(&other, Fr::ZERO));
    }
    let mut readings = packet();
    readings.readings[3].export = 1;
    seen.push(commitment(readings.sign(&meter()).unwrap().digest(&key), n(5), &applied, Fr::ZERO));
    let versions: Vec<Fr> = seen.iter().map(|c| version(*c)).collect();
    for list in [&seen, &versions] {
        let distinct: std::collections::BTreeSet<_> = list.iter().collect();
        assert_eq!(distinct.len(), seen.len());
    }
    assert!(versions.iter().all(|version| !seen.contains(version)));
    // The highest values do not run into each other.
    let full = Terms {
        buy_limit: Ticks::MAX,
        sell_limit: Ticks::MAX,
        technology: 255,
        class: 1,
        scale: 100,
        key: 1 << 16,
        submeter: true,
        ..Terms::EMPTY
    };
    let high = Applied { number: u32::MAX, terms: full, substituted: true, in_debt: true };
    assert_eq!(high.packed() + n(1), {
        let all = (1u128 << 32) + (1 << 32) + (255 << 34) + (1 << 42) + (1 << 43) + (1 << 44) + (((1 << 32) - 1) << 45);
        Fr::from(all + (1u128 << (77 + 16)) + (2u128 << 94))
    });
}
