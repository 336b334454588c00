use gridveil_protocol::{
    packet::Reading,
    units::Ticks,
    version::{CircuitVersion, VersionFrom, Versions},
};

use super::*;

fn draft() -> Draft {
    let context = Context {
        domain: Fr::from(9u64),
        community: 1,
        first_interval: Interval(48),
        interval_length: 3600,
        intervals: 2,
    };
    let readings = vec![Reading { import: 11_111, export: 0 }, Reading { import: 3, export: 4 }];
    Draft { context, slot: 2, readings, buy_limit: Ticks(10), sell_limit: Ticks(20), scale: 1 }
}

fn device() -> Device {
    Device::of(SecretKey::from_seed(&[7; 64]))
}

#[test]
fn a_period_is_signed_once() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys::generate().unwrap();
    let outbox = Outbox::open(&dir.path().join("box"), &keys).unwrap();
    let first = outbox.sign_once(draft(), device().secret()).unwrap();
    first.verify(&device().public()).unwrap();
    // A retry, also after a restart, is the same bytes.
    let reopened = Outbox::open(&dir.path().join("box"), &keys).unwrap();
    assert_eq!(encode_packet(&reopened.sign_once(draft(), device().secret()).unwrap()), encode_packet(&first));
    for edit in [|d: &mut Draft| d.readings[0].import += 1, |d: &mut Draft| d.buy_limit.0 += 1] {
        let mut other = draft();
        edit(&mut other);
        assert!(matches!(outbox.sign_once(other, device().secret()), Err(OutboxError::AlreadySigned { .. })));
    }
    // Another period, slot or deployment is another packet, with other salts.
    let mut next = draft();
    next.context.first_interval += 2;
    let second = outbox.sign_once(next, device().secret()).unwrap();
    assert!(second.packet.salts != first.packet.salts);
    let period = Period::of(&draft());
    assert!(!outbox.is_delivered(&period).unwrap());
    outbox.mark_delivered(&period, Taken::Accepted).unwrap();
    outbox.mark_delivered(&period, Taken::Late).unwrap();
    assert!(outbox.is_delivered(&period).unwrap(), "what was noted first stays");
    let later = Period { first_interval: Interval(96), ..period };
    outbox.mark_delivered(&later, Taken::Late).unwrap();
    assert!(!outbox.is_delivered(&later).unwrap(), "a late packet is not one that the settlement had to use");
}

#[test]
fn a_packet_that_was_taken_counts_and_the_other_one_stays() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys::generate().unwrap();
    let outbox = Outbox::open(dir.path(), &keys).unwrap();
    let (period, taken) = (Period::of(&draft()), draft().sign(device().secret()).unwrap());
    // Into an empty folder: it is the period's packet, and a retry sends it.
    outbox.take_back(&period, &taken).unwrap();
    assert_eq!(outbox.sign_once(draft(), device().secret()).unwrap(), taken);
    // Beside one that was signed here.
    let beside = Outbox::open(&dir.path().join("beside"), &keys).unwrap();
    let own = beside.sign_once(draft(), device().secret()).unwrap();
    beside.take_back(&period, &taken).unwrap();
    beside.take_back(&period, &taken).unwrap();
    assert_eq!(beside.packet(&period).unwrap(), Some(taken.clone()));
    assert_eq!(beside.packet_of(&period, "packet").unwrap(), Some(own));
    assert_eq!(beside.sign_once(draft(), device().secret()).unwrap(), taken);
    let third = draft().sign(device().secret()).unwrap();
    assert!(matches!(beside.take_back(&period, &third), Err(OutboxError::AlreadySigned { .. })));
}

#[test]
fn what_was_signed_for_the_version_before_is_signed_again_with_the_same_content() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys::generate().unwrap();
    let outbox = Outbox::open(dir.path(), &keys).unwrap();
    let mut versions = Versions::default();
    let before = Domains::new(1, [7; 20], versions.clone());
    let at = |domains: &Domains| {
        let context = Context { domain: domains.of_period(Interval(48), 3600), ..draft().context };
        Draft { context, ..draft() }
    };
    let early = outbox.sign_under(at(&before), &before, device().secret()).unwrap();
    versions.add(VersionFrom { circuit_version: CircuitVersion::new(3), from_s: 48 * 3600 }).unwrap();
    let after = Domains::new(1, [7; 20], versions);
    let mut other = at(&after);
    other.readings[0].import += 1;
    let refused = outbox.sign_under(other, &after, device().secret());
    assert!(matches!(refused, Err(OutboxError::AlreadySigned { .. })));
    let again = outbox.sign_under(at(&after), &after, device().secret()).unwrap();
    assert_eq!(again.packet.readings, early.packet.readings);
    assert_ne!(again.packet.context.domain, early.packet.context.domain);
    assert_ne!(again.packet.salts, early.packet.salts);
    assert_eq!(outbox.sign_under(at(&after), &after, device().secret()).unwrap(), again);
    // What opens the leaf is never lost.
    assert_eq!(outbox.packet(&Period::of(&at(&before))).unwrap(), Some(early));
}

#[test]
fn files_are_sealed_and_bound_to_their_name() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys::generate().unwrap();
    let outbox = Outbox::open(dir.path(), &keys).unwrap();
    let signed = outbox.sign_once(draft(), device().secret()).unwrap();
    let period = Period::of(&draft());
    let path = dir.path().join(period.file("packet"));
    let bytes = std::fs::read(&path).unwrap();
    let plain = encode_packet(&signed);
    assert!(!bytes.windows(16).any(|w| plain.windows(16).any(|p| p == w)));
    let other = Period { slot: 3, ..period };
    std::fs::copy(&path, dir.path().join(other.file("packet"))).unwrap();
    assert!(matches!(outbox.packet(&other), Err(OutboxError::Damaged { .. })));
    let stranger = Outbox::open(dir.path(), &Keys::generate().unwrap()).unwrap();
    assert!(matches!(stranger.packet(&period), Err(OutboxError::Damaged { .. })));
    std::fs::write(&path, &bytes[..20]).unwrap();
    // A damaged packet is never silently signed anew.
    assert!(matches!(outbox.sign_once(draft(), device().secret()), Err(OutboxError::Damaged { .. })));
}

#[test]
fn a_draft_must_fill_its_period() {
    let mut short = draft();
    short.readings.pop();
    assert_eq!(short.sign(device().secret()).unwrap_err(), PacketError::Length { expected: 2, got: 1 });
}

/// A device is replaced while a period of it waits: the new one signs the same again. What was taken stays.
#[test]
fn another_device_signs_what_nobody_took() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys::generate().unwrap();
    let outbox = Outbox::open(dir.path(), &keys).unwrap();
    let period = Period::of(&draft());
    let (first, new) = (outbox.sign_once(draft(), device().secret()).unwrap(), Device::generate().unwrap());
    // With another limit than today's: it signs what was said.
    let changed = Draft { buy_limit: Ticks(draft().buy_limit.0 + 1), ..draft() };
    assert!(matches!(outbox.sign_once(changed, new.secret()), Err(OutboxError::AlreadySigned { .. })));
    let second = outbox.packet_by(&period, &new.public()).unwrap().unwrap();
    assert!(second.verify(&new.public()).is_ok() && second != first && draft().is_said_by(&second));
    assert_eq!(outbox.sign_once(draft(), new.secret()).unwrap(), second, "once");
    // And a third, and the first again: each has one packet, and none is lost.
    let third = Device::generate().unwrap();
    let of_third = outbox.sign_once(draft(), third.secret()).unwrap();
    for (key, packet) in [(device().public(), &first), (new.public(), &second), (third.public(), &of_third)] {
        assert_eq!(outbox.packet_by(&period, &key).unwrap().as_ref(), Some(packet));
    }
    assert_eq!(outbox.sign_once(draft(), device().secret()).unwrap(), first);
    outbox.mark_delivered(&period, Taken::Accepted).unwrap();
    let stranger = Device::generate().unwrap();
    assert_eq!(outbox.sign_once(draft(), stranger.secret()).unwrap(), first, "it was taken: nothing more is signed");
}
