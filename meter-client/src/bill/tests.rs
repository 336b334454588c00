//! Bills of settled periods.

use gridveil_protocol::{
    fixture::{self, Recipe, following},
    market::Mechanism,
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

fn bill(slot: usize, kept: &[&Transition], span_s: Range<u64>, corrected: &[Interval]) -> Result<Bill, BillError> {
    let receipts: Vec<Receipt> = kept.iter().map(|t| Receipt::of(t, slot).unwrap()).collect();
    let settled: Vec<Settled<'_>> =
        receipts.iter().zip(kept).map(|(receipt, t)| Settled { receipt, tariff: &t.input.tariff }).collect();
    Bill::of(&settled, span_s, HOUR, corrected)
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
    let of = |slot, corrected: &[Interval]| bill(slot, &kept, whole(&kept), corrected).unwrap();
    assert!(of(0, &[]).is_final());
    assert_eq!((of(2, &[]).substituted_intervals, of(2, &[]).is_final()), (2, false));
    let later = second.input.community.header.next_interval;
    assert!(of(2, &[later]).is_final());
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
    let of = Bill::of(&other, whole(&[&first]), HOUR, &[]);
    assert!(matches!(of, Err(BillError::Receipt { .. })), "{of:?}");
}
