//! Bills of settled periods.

use gridveil_protocol::{
    field::Fr,
    fixture::{self, Recipe, following},
    header_operation::Pool,
    market::Mechanism,
    packet::{Packet, PacketSalts, Reading},
    params::Shape,
    settlement::{Transition, apply},
};

use super::*;

const HOUR: u16 = 3_600;

/// Two periods of a shape with two intervals, one after the other; slot 0 has a scale of 10 Wh.
fn settled() -> [Transition; 2] {
    let shape = Shape::by_name("tiny-4x2").unwrap();
    let recipe = Recipe { shape, seed: 11, mechanism: Mechanism::CommunityPrice, used: 4 };
    let first = apply(fixture::settlement(&recipe).unwrap()).unwrap();
    let second = apply(following(&first, 3, |slot| slot == 2).unwrap()).unwrap();
    [first, second]
}

fn receipts(slot: usize, of: &[&Transition]) -> Vec<Receipt> {
    of.iter().map(|t| Receipt::of(t, slot).unwrap()).collect()
}

/// From the receipts of `kept`, with what those of `known` say.
fn bill(slot: usize, kept: &[&Transition], span_s: Range<u64>, known: &[&Transition]) -> Result<Bill, BillError> {
    let (receipts, known_receipts) = (receipts(slot, kept), receipts(slot, known));
    let settled: Vec<Settled<'_>> =
        receipts.iter().zip(kept).map(|(receipt, t)| Settled { receipt, tariff: &t.input.tariff }).collect();
    let history = History::of(known.iter().zip(&known_receipts).map(|(t, receipt)| (t.input.domain, receipt)), HOUR);
    Bill::of(&settled, span_s, HOUR, &history)
}

fn whole(kept: &[&Transition]) -> Range<u64> {
    let begins = kept[0].input.community.header.next_interval.start(HOUR);
    begins..begins + 2 * kept.len() as u64 * u64::from(HOUR)
}

#[test]
fn the_items_are_what_the_account_paid() {
    let [first, second] = settled();
    let kept = [&first, &second];
    for slot in 0..4 {
        let of = bill(slot, &kept, whole(&kept), &[]).unwrap();
        let paid: Nano = of.items.iter().map(|item| item.amount_nano).sum();
        assert_eq!((paid, of.billed_nano), (of.total_nano, of.total_nano), "slot {slot}");
        assert_eq!(of.opening_nano - of.total_nano, of.closing_nano, "no operations");
        assert_eq!((of.intervals, of.missing_intervals, of.account_s.clone()), (4, 0, whole(&kept)));
        for item in &of.items {
            let sign = if matches!(item.what, What::Sold | What::FeedIn) { -1 } else { 1 };
            assert_eq!(item.amount_nano, Nano(sign * item.rate_nano * i128::from(item.energy_wh)));
        }
        let energy = |of_what: &[What]| -> Wh {
            of.items.iter().filter(|item| of_what.contains(&item.what)).map(|item| item.energy_wh).sum()
        };
        assert_eq!(energy(&[What::Supplier, What::Bought]), of.energy.import);
        assert_eq!(energy(&[What::FeedIn, What::Sold]), of.energy.export);
        assert_eq!(of.supplied.iter().map(|(_, wh)| *wh).sum::<Wh>(), energy(&[What::Supplier]));
        assert_eq!(of.sums().iter().map(|(.., amount)| *amount).sum::<Nano>(), of.total_nano);
    }
}

#[test]
fn a_bill_is_of_its_days_alone() {
    let [first, second] = settled();
    let kept = [&first, &second];
    let all = whole(&kept);
    let middle = all.start + u64::from(HOUR)..all.end - u64::from(HOUR);
    let parts = [all.start..middle.start, middle.clone(), middle.end..all.end]
        .map(|span| bill(0, &kept, span, &[]).unwrap().total_nano);
    assert_eq!(parts.into_iter().sum::<Nano>(), bill(0, &kept, all.clone(), &[]).unwrap().total_nano);
    // The account is that of whole periods.
    let of = bill(0, &kept, middle, &[]).unwrap();
    assert_eq!((of.intervals, of.account_s.clone()), (2, all.clone()));
    assert!(of.billed_nano != of.total_nano);
    let longer = all.start..all.end + 3 * u64::from(HOUR);
    let of = bill(0, &kept, longer, &[]).unwrap();
    assert!(of.missing_intervals == 3 && !of.is_final());
    assert_eq!(bill(0, &kept, all.end..all.end + 7_200, &[]), Err(BillError::Empty));
}

#[test]
fn what_a_late_packet_may_correct_is_provisional() {
    let [first, second] = settled();
    let kept = [&first, &second];
    let of = |slot| bill(slot, &kept, whole(&kept), &kept).unwrap();
    assert!(of(0).is_final());
    assert_eq!((of(2).substituted_intervals, of(2).is_final()), (2, false));
}

/// The late packet for slot 0's substitute, which `t` settled, is booked in the period that follows `after`.
fn corrected(t: &Transition, after: &Transition, seed: u64) -> Transition {
    let substitute = t.input.packets[0].clone();
    let readings = vec![Reading { import: 700, export: 20 }, Reading { import: 3, export: 900 }];
    let late = fixture::packet(substitute.packet.context, 0, readings, false, PacketSalts::default());
    let late = Packet { scale: substitute.packet.scale, ..late }.sign(&fixture::meter_key(0)).unwrap();
    let mut input = following(after, seed, |_| false).unwrap();
    let (signer, tariff) = (t.input.community.header.mdm, t.input.tariff.clone());
    input.operations.correction = Some(Correction { substitute, signer, late, tariff });
    apply(input).unwrap()
}

#[test]
fn a_corrected_day_has_what_the_late_packet_says() {
    for seed in 0..4 {
        let [first, _] = settled();
        let second = apply(following(&first, seed, |slot| slot == 0).unwrap()).unwrap();
        let third = corrected(&second, &second, seed + 50);
        let kept = [&first, &second, &third];
        let span = |from: u64, to: u64| {
            let begins = whole(&kept).start;
            begins + from * 2 * u64::from(HOUR)..begins + to * 2 * u64::from(HOUR)
        };
        // Every nano that the account moved is in the items.
        let month = bill(0, &kept, span(0, 3), &kept).unwrap();
        let paid: Nano = month.items.iter().map(|item| item.amount_nano).sum();
        assert_eq!((paid, month.total_nano), (month.opening_nano - month.closing_nano, paid));
        assert_eq!((month.is_final(), month.corrected_intervals, month.estimated_intervals), (true, 2, 0));
        let [movement] = &month.movements[..] else { panic!("{} movements", month.movements.len()) };
        assert_eq!(movement.corrected, Some(second.input.community.header.next_interval));
        assert!(movement.change_nano != Nano::ZERO && month.billed_nano - movement.change_nano == paid);
        // And in those of the day itself, though a later day's settlement booked it.
        let day = bill(0, &[&second], span(1, 2), &kept).unwrap();
        assert_eq!((day.is_final(), day.energy.import, day.energy.export), (true, Wh(7_030), Wh(9_200)));
        assert_eq!(day.total_nano, day.billed_nano - movement.change_nano);
        assert_eq!(day.items.iter().map(|item| item.amount_nano).sum::<Nano>(), day.total_nano);
        assert_eq!(day.supplied.iter().map(|(_, energy)| *energy).sum::<Wh>(), Wh(7_030));
        let days: Nano = (0..3).map(|of| bill(0, &kept, span(of, of + 1), &kept).unwrap().total_nano).sum();
        assert_eq!(days, month.total_nano);
        // Before the correction is known it is provisional.
        let early = bill(0, &[&second], span(1, 2), &kept[..2]).unwrap();
        assert_eq!((early.substituted_intervals, early.total_nano), (2, early.billed_nano));
    }
}

#[test]
fn a_correction_of_another_substitute_is_refused() {
    let [first, _] = settled();
    let second = apply(following(&first, 1, |slot| slot == 0).unwrap()).unwrap();
    let other = apply(following(&first, 2, |slot| slot == 0).unwrap()).unwrap();
    let third = corrected(&other, &other, 3);
    let refused = bill(0, &[&second], whole(&[&second]), &[&first, &other, &third]);
    let period = PeriodAt::new(second.input.community.header.next_interval, HOUR);
    assert_eq!(refused, Err(BillError::Correction { period }));
}

#[test]
fn a_substitute_before_another_meter_is_final() {
    let shape = Shape { operations: 6, ..Shape::by_name("tiny-4x2").unwrap() };
    let recipe = Recipe { shape, seed: 5, mechanism: Mechanism::Auction, used: 3 };
    let first = apply(fixture::with_operations(&recipe, &[], fixture::Extras::default()).unwrap()).unwrap();
    let second = apply(following(&first, 4, |slot| slot == 0).unwrap()).unwrap();
    for kind in [Kind::Replace, Kind::Terms] {
        // The last day of the old meter is a substitute too, and final with the others.
        let mut input = following(&second, 5, |slot| slot == 0).unwrap();
        fixture::operate(&mut input, &mut fixture::Stream::new(1), &[kind], fixture::Extras::default()).unwrap();
        assert_eq!(input.operations.slots[0].operation.slot, 0);
        let third = apply(input).unwrap();
        let kept = [&first, &second, &third];
        let of = bill(0, &kept, whole(&kept), &kept).unwrap();
        assert_eq!((of.is_final(), of.estimated_intervals, of.substituted_intervals), (true, 4, 0), "{kind:?}");
        let early = bill(0, &kept[..2], whole(&kept[..2]), &kept[..2]).unwrap();
        assert_eq!((early.is_final(), early.substituted_intervals), (false, 2));
    }
    // Another circuit version has no opening for it either.
    let (receipts, third) = (receipts(0, &[&second]), apply(following(&second, 6, |_| false).unwrap()).unwrap());
    let after = Receipt::of(&third, 0).unwrap();
    let at = second.input.community.header.next_interval;
    let history = |domain: Fr| History::of([(second.input.domain, &receipts[0]), (domain, &after)], HOUR);
    assert!(!history(second.input.domain).is_final(at) && history(Fr::from(1u64)).is_final(at));
}

#[test]
fn days_without_an_account_are_not_missing() {
    let first = apply(fixture::beginning(Shape::by_name("tiny-4x2").unwrap(), 1).unwrap()).unwrap();
    let mut second = following(&first, 2, |_| false).unwrap();
    let supplier = fixture::Extras { header: Some(Pool::SupplierIn), ..fixture::Extras::default() };
    fixture::operate(&mut second, &mut fixture::Stream::new(3), &[], supplier).unwrap();
    second.operations.header.transfer.as_mut().unwrap().units = 1_000_000;
    let second = apply(second).unwrap();
    let kept = [&first, &second];
    let span = whole(&kept).start - 5 * u64::from(HOUR)..whole(&kept).end;
    let of = bill(0, &kept, span.clone(), &kept).unwrap();
    assert_eq!((of.is_final(), of.missing_intervals, of.without_account_intervals, of.intervals), (true, 0, 5, 4));
    // Days that are to come are missing, and days before receipts that do not tell of the opening.
    let longer = span.start..span.end + 2 * u64::from(HOUR);
    assert_eq!(bill(0, &kept, longer.clone(), &kept).unwrap().missing_intervals, 2);
    assert_eq!(bill(0, &kept[1..], longer.clone(), &kept[1..]).unwrap().missing_intervals, 9);
    // After its end there is nothing to come.
    let mut ended = receipts(0, &kept);
    ended[1].after.meter = None;
    let history = History::of(ended.iter().map(|receipt| (first.input.domain, receipt)), HOUR);
    assert_eq!(history.without_account(&longer, HOUR), 7);
    // And a second account in the same slot begins where it is opened.
    let mut again = ended[0].clone();
    again.first_interval = ended[1].first_interval + 7;
    ended.push(again);
    let history = History::of(ended.iter().map(|receipt| (first.input.domain, receipt)), HOUR);
    assert_eq!(history.without_account(&(span.start..span.end + 20 * u64::from(HOUR)), HOUR), 5 + 5);
}

#[test]
fn receipts_that_do_not_follow_one_another_are_named() {
    let [first, second] = settled();
    let third = apply(following(&second, 5, |_| false).unwrap()).unwrap();
    let begins = first.input.community.header.next_interval;
    let gap = bill(0, &[&first, &third], begins.start(HOUR)..(begins + 6).start(HOUR), &[]);
    assert_eq!(
        gap,
        Err(BillError::Gap { after: PeriodAt::new(begins, HOUR), period: PeriodAt::new(begins + 4, HOUR) })
    );
    // Another tariff than the period's.
    let receipt = Receipt::of(&first, 0).unwrap();
    let other = [Settled { receipt: &receipt, tariff: &second.input.tariff }];
    let of = Bill::of(&other, whole(&[&first]), HOUR, &History::default());
    assert!(matches!(of, Err(BillError::Receipt { .. })), "{of:?}");
}
