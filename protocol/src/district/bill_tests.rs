use super::*;
use crate::{
    district::{
        market::{Clearing, Mechanism, Offer, Rules, clear},
        tariff::{LIMB_BITS, PRICE_OFFSET, Price, PriceError},
    },
    field::Fr,
    market::{Order, Rationed},
};
use proptest::prelude::*;

fn price(ticks: i64) -> Price {
    Price::new(ticks).unwrap()
}

fn prices(energy: i64, network: i64, feed_in: i64, local_fee: i64) -> ClassPrices {
    ClassPrices { energy: price(energy), network: price(network), feed_in: price(feed_in), local_fee: price(local_fee) }
}

#[test]
fn a_day_by_hand() {
    // 30 ct energy, 10 ct network, 8 ct feed-in, 2 ct local fee, a market at 12 ct.
    let p = prices(3_000, 1_000, 800, 200);
    let mut sums = Sums::new(2);
    // 1,000 Wh taken, of which 400.5 bought; then 600 fed in, of which half a Wh less than 600 sold.
    let half = FineWh(1 << 15);
    let bought = FineWh::of(Wh(400)) + half;
    sums.add(0, &Energy { import: Wh(1_000), bought, ..Energy::default() }, Ticks(1_200), &p);
    let sold = FineWh::of(Wh(600)) - half;
    sums.add(1, &Energy { export: Wh(600), sold, ..Energy::default() }, Ticks(1_200), &p);
    let bill = sums.bill(0);
    // Trade +599.5 x 120,000 - 400.5 x 120,000; supplier 599.5 x 300,000 - 0.5 x 80,000; fees 599.5 x 100,000 + 400.5 x 20,000.
    let fees = 59_950_000 + 8_010_000;
    assert_eq!(bill.fees, Nano(fees));
    assert_eq!(bill.delta, Nano(71_940_000 - 48_060_000 - (179_850_000 - 40_000) - fees));
    let r = bill.registers;
    assert_eq!([r.import, r.export, r.bought, r.sold], [1_000, 600, 400, 599].map(Wh));
    assert_eq!(sums.outstanding(), [Wh(0), Wh(0)]);
    assert_eq!(sums.bill(7).delta, bill.delta - Nano(7));
    assert_eq!(sums.bill(7).fees, bill.fees + Nano(7));
    assert_eq!(format!("{sums:?} {bill:?}"), "Sums(hidden) Bill(hidden)");
}

/// The smallest amounts: each is rounded down once, whatever its sign, and the supplier has the rest.
#[test]
fn a_rest_is_the_suppliers() {
    let p = prices(1, 0, 1, 0);
    let bill = |energy: Energy| {
        let mut sums = Sums::new(1);
        sums.add(0, &energy, Ticks(1), &p);
        sums.bill(0)
    };
    // 2^-16 Wh of a Wh bought: 100 nano x 2^-16, and the rest from the supplier.
    let buys = bill(Energy { import: Wh(1), bought: FineWh(1), ..Energy::default() });
    let sells = bill(Energy { export: Wh(1), sold: FineWh(1), ..Energy::default() });
    assert_eq!((buys.delta, sells.delta), (Nano(-100), Nano(100)));
    let dearer = |bought| {
        let mut sums = Sums::new(1);
        sums.add(0, &Energy { import: Wh(1), bought, ..Energy::default() }, Ticks(2), &p);
        sums.bill(0)
    };
    assert_eq!(dearer(FineWh(1)).delta, Nano(-101), "100 and 100 x 2^-16, rounded down");
    assert_eq!(Bill::supplier(&[dearer(FineWh(1)), sells]), Nano(1));
}

#[test]
fn prices_have_bounds() {
    assert_eq!(Price::new(65_536), Err(PriceError { ticks: 65_536 }));
    assert_eq!(Price::new(-65_537), Err(PriceError { ticks: -65_537 }));
    assert_eq!([price(65_535).ticks(), price(-65_536).ticks()], [65_535, -PRICE_OFFSET]);
    let mut interval = IntervalTariff {
        classes: [prices(3_000, 1_000, 800, 200); 2],
        cap: Ticks(1),
        floor: Ticks(2),
        reference: Ticks(3),
    };
    assert!(interval.within(3_001) && !interval.within(3_000));
    interval.classes[1].feed_in = price(-3_000);
    assert!(interval.within(3_001) && !interval.within(3_000));
    let [supply, _, bounds] = interval.elements();
    assert_eq!(bounds, Fr::from(1u64 | 2 << 16 | 3 << 32));
    let top = crate::field::shifted(1_000 + 65_536, 3 * LIMB_BITS);
    assert_eq!(supply - top, {
        let of = |ticks: u64, i: u32| crate::field::shifted(ticks + 65_536, i * LIMB_BITS);
        of(3_000, 0) + of(3_000, 1) + of(1_000, 2)
    });
    let tariff = Tariff { intervals: vec![interval; 2], fixed_nano: [5, 6] };
    assert_ne!(tariff.commitment(), Tariff { fixed_nano: [5, 7], ..tariff.clone() }.commitment());
    assert_eq!(class_of(&tariff, &interval, 1), (interval.classes[1], 6));
}

fn any_offer() -> impl Strategy<Value = Offer> {
    let side = || (0u64..6_553_500, prop::option::weighted(0.9, 0u16..2_000));
    let order = |(wh, limit): (u64, Option<u16>)| Order { wh: Wh(wh), limit: limit.map(Ticks) };
    (side(), side(), 0u32..4_000).prop_map(move |(d, s, key)| Offer { demand: order(d), supply: order(s), key })
}

proptest! {
    /// Money is conserved to the last nano, and the supplier is never worse off than its own prices and the crumbs make it.
    #[test]
    fn money_is_conserved(
        offers in prop::collection::vec(any_offer(), 1..16), mechanism in 0usize..3, reference in 0u16..2_000,
        ticks in prop::array::uniform4(-2_000i64..6_000), fixed in 0u32..1_000_000,
    ) {
        let mechanism = [Mechanism::Auction, Mechanism::CommunityPrice, Mechanism::StaticKey][mechanism];
        let rules = Rules { mechanism, cap: Ticks(1_500), floor: Ticks(3), reference: Ticks(reference) };
        let p = prices(ticks[0], ticks[1], ticks[2], ticks[3]);
        let c: Clearing = clear(&rules, &offers).unwrap();
        let mut exact = FineMoney::default();
        let bills: Vec<Bill> = offers.iter().map(|offer| {
            let [bought, sold] = c.shares(mechanism, offer);
            let mut sums = Sums::new(1);
            sums.add(0, &Energy { import: offer.demand.wh, export: offer.supply.wh, bought, sold }, c.tick, &p);
            exact += sums.supply;
            sums.bill(fixed)
        }).collect();
        let supplier = Bill::supplier(&bills);
        let all: Nano = bills.iter().map(|bill| bill.delta + bill.fees).sum();
        prop_assert_eq!(all + supplier, Nano::ZERO);
        // What the supplier's prices come to, plus or minus the crumb at the market price, plus less than two nano a slot.
        let crumb = FineMoney(i128::from(c.crumb) * i128::from(c.tick.0));
        let due = match c.rationed { Rationed::Demand => exact - crumb, Rationed::Supply => exact + crumb };
        let more = supplier.0 - due.floor().0;
        prop_assert!((0..=2 * offers.len() as i128 + 1).contains(&more), "{}", more);
    }
}

#[test]
fn an_interval_is_of_its_hour() {
    let quarter = |n: u32| usize::try_from(n / 4).unwrap();
    let mut sums = Sums::new(2);
    for n in 0..8 {
        let energy = Energy { export: Wh(u64::from(n)), sold: FineWh(1 << 14), ..Energy::default() };
        if n > 0 {
            sums.add(quarter(n), &energy, Ticks(1), &ClassPrices::default());
        }
    }
    // 1 + 2 + 3 less three quarters of a Wh, and 4 + 5 + 6 + 7 less one.
    assert_eq!(sums.outstanding(), [Wh(5), Wh(21)]);
}
