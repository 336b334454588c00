use super::*;
use proptest::prelude::*;

fn rules(mechanism: Mechanism) -> Rules {
    Rules { mechanism, cap: Ticks::MAX, floor: Ticks::ZERO, reference: Ticks(10) }
}

fn order(wh: u64, limit: Option<u16>) -> Order {
    Order { wh: Wh(wh), limit: limit.map(Ticks) }
}

const NOTHING: Order = Order { wh: Wh::ZERO, limit: None };

fn buys(wh: u64, limit: u16) -> Offer {
    Offer { demand: order(wh, Some(limit)), supply: NOTHING, key: 0 }
}

fn sells(wh: u64, limit: u16) -> Offer {
    Offer { demand: NOTHING, supply: order(wh, Some(limit)), key: 0 }
}

/// Shares by slot, as sixteenths of a Wh where a case is exact in them.
fn shares(mechanism: Mechanism, offers: &[Offer]) -> (Clearing, Vec<[FineWh; 2]>) {
    let clearing = clear(&rules(mechanism), offers).unwrap();
    let shares = offers.iter().map(|offer| clearing.shares(mechanism, offer)).collect();
    (clearing, shares)
}

const fn wh(whole: u64) -> FineWh {
    FineWh(whole << 16)
}

#[test]
fn auctions_by_hand() {
    // One seller of 10 at 5, one buyer of 4 at 9: the seller is marginal at 5 and sells 4 of 10.
    let (c, s) = shares(Mechanism::Auction, &[buys(4, 9), sells(10, 5)]);
    assert_eq!((c.tick, c.rationed, c.weight, c.remaining), (Ticks(5), Rationed::Supply, Wh(10), wh(4)));
    // 4/10 of 65,536 is 26,214.4: the ratio is cut, and the crumb is 10 x 0.4.
    assert_eq!((c.ratio, c.crumb), (26_214, FineWh(4)));
    assert_eq!(s, [[wh(4), wh(0)], [wh(0), FineWh(262_140)]]);
    // Scarce supply: the price is the lowest at which demand above it fits, so the marginal buyer sets it. Exact: 2 of 4.
    let (c, s) = shares(Mechanism::Auction, &[buys(4, 9), buys(4, 7), sells(6, 5)]);
    assert_eq!((c.tick, c.ratio, c.crumb), (Ticks(7), WHOLE / 2, FineWh::ZERO));
    assert_eq!(s, [[wh(4), wh(0)], [wh(2), wh(0)], [wh(0), wh(6)]]);
    // Nobody sells.
    let (c, s) = shares(Mechanism::Auction, &[buys(4, 9)]);
    assert_eq!((c.ratio, c.remaining), (0, FineWh::ZERO));
    assert_eq!(s, [[wh(0); 2]]);
}

#[test]
fn a_community_price_serves_all_alike() {
    // 30 wanted, 12 there: everybody gets two fifths of what it takes, whoever pays more.
    let offers = [buys(10, 90), buys(20, 10), buys(50, 9), sells(12, 3)];
    let (c, s) = shares(Mechanism::CommunityPrice, &offers);
    assert_eq!((c.tick, c.rationed, c.weight, c.ratio), (Ticks(10), Rationed::Demand, Wh(30), 26_214));
    assert_eq!(s, [[FineWh(262_140), wh(0)], [FineWh(524_280), wh(0)], [wh(0), wh(0)], [wh(0), wh(12)]]);
}

#[test]
fn static_keys_by_hand() {
    // A plant of 100 for three homes with a half, a quarter and a quarter. One takes less than its part: the rest is fed in,
    // and the others get no more for it.
    let home = |wh: u64, limit: u16, key: u32| Offer { key, ..buys(wh, limit) };
    let offers =
        [home(80, 20, WHOLE / 2), home(10, 20, WHOLE / 4), home(90, 20, WHOLE / 4), sells(60, 0), sells(40, 0)];
    let (c, s) = shares(Mechanism::StaticKey, &offers);
    assert_eq!((c.pool, c.remaining, c.rationed), (Wh(100), wh(50 + 10 + 25), Rationed::Supply));
    assert_eq!(s.iter().map(|[bought, _]| *bought).collect::<Vec<_>>(), [wh(50), wh(10), wh(25), wh(0), wh(0)]);
    // 85 of 100 are sold, pro rata to what was fed in: 0.85 is 55,705.6 of 65,536.
    assert_eq!((c.ratio, c.crumb), (55_705, FineWh(60)));
    assert_eq!(s[3][1], FineWh(60 * 55_705));
    // A home whose limit is below the reference takes no part; its key is nobody's.
    let offers = [home(80, 9, WHOLE / 2), home(90, 20, WHOLE / 4), sells(100, 0)];
    let (c, s) = shares(Mechanism::StaticKey, &offers);
    assert_eq!((s[0][0], s[1][0], c.remaining), (wh(0), wh(25), wh(25)));
    // A seller that wants more than the reference does not fill the pool.
    let offers = [home(80, 20, WHOLE), sells(100, 11), sells(7, 10)];
    let (c, s) = shares(Mechanism::StaticKey, &offers);
    assert_eq!((c.pool, s[0][0], s[1][1], s[2][1]), (Wh(7), wh(7), wh(0), wh(7)));
    // Nothing is produced.
    let (c, s) = shares(Mechanism::StaticKey, &[home(80, 20, WHOLE)]);
    assert_eq!((c.ratio, s[0]), (0, [wh(0); 2]));
}

#[test]
fn bounds_of_a_community() {
    for mechanism in [Mechanism::Auction, Mechanism::CommunityPrice, Mechanism::StaticKey] {
        let all = |offers: &[Offer]| clear(&rules(mechanism), offers).map(|_| ());
        assert_eq!(all(&[buys((1 << 33) - 1, 5)]), Ok(()));
        assert_eq!(all(&[buys(1 << 32, 5), buys(1 << 32, 5)]), Err(MarketError::TooMuchEnergy));
        assert_eq!(all(&[sells(1 << 33, 5)]), Err(MarketError::TooMuchEnergy));
        let keyed = |key: u32| Offer { key, ..buys(1, 5) };
        assert_eq!(all(&[keyed(WHOLE - 1), keyed(1)]), Ok(()));
        assert_eq!(all(&[keyed(WHOLE), keyed(1)]), Err(MarketError::Keys { sum: u64::from(WHOLE) + 1 }));
    }
    // The largest side of the largest shape.
    assert!(864 * 100 * u64::from(u16::MAX) < 1 << SIDE_BITS);
}

/// With so little left for so much that a ratio of 2^-16 is too much, nothing is allotted: the supplier takes it.
#[test]
fn less_than_a_ratio_is_nobodys() {
    let (c, s) = shares(Mechanism::CommunityPrice, &[buys(65_537, 20), sells(1, 0)]);
    assert_eq!((c.ratio, c.crumb, s[0][0], s[1][1]), (0, wh(1), wh(0), wh(1)));
    let (c, s) = shares(Mechanism::CommunityPrice, &[buys(65_536, 20), sells(1, 0)]);
    assert_eq!((c.ratio, c.crumb, s[0][0]), (1, wh(0), wh(1)));
}

fn any_offer() -> impl Strategy<Value = Offer> {
    let side = || (0u64..3000, prop::option::weighted(0.9, 0u16..40)).prop_map(|(wh, limit)| order(wh, limit));
    (side(), side(), 0u32..1500).prop_map(|(demand, supply, key)| Offer { demand, supply, key })
}

fn any_mechanism() -> impl Strategy<Value = Mechanism> {
    prop::sample::select(vec![Mechanism::Auction, Mechanism::CommunityPrice, Mechanism::StaticKey])
}

proptest! {
    #[test]
    fn fair_and_conserving(
        offers in prop::collection::vec(any_offer(), 1..40), mechanism in any_mechanism(),
        cap in 0u16..50, floor in 0u16..30, reference in 0u16..40,
    ) {
        let [cap, floor, reference] = [cap, floor, reference].map(Ticks);
        let rules = Rules { mechanism, cap, floor, reference };
        let c = clear(&rules, &offers).unwrap();
        let shares: Vec<_> = offers.iter().map(|offer| c.shares(mechanism, offer)).collect();
        let [bought, sold] = [0, 1].map(|side| shares.iter().map(|share| share[side]).sum::<FineWh>());
        // SETTLE.4: the side that is cut has less by the crumb, which is below 2^-16 of its weight.
        prop_assert!(u128::from(c.crumb) < u128::from(c.weight.0.max(1)));
        prop_assert!(c.ratio <= WHOLE);
        match c.rationed {
            Rationed::Demand => prop_assert_eq!(bought + c.crumb, sold),
            Rationed::Supply => prop_assert_eq!(sold + c.crumb, bought),
        }
        let limit = |order: &Order| order.limit;
        for (offer, [bought, sold]) in offers.iter().zip(&shares) {
            // SETTLE.3, SETTLE.5: no more than the order, and only where the limit allows it.
            prop_assert!(*bought <= FineWh::of(offer.demand.wh) && *sold <= FineWh::of(offer.supply.wh));
            if *bought > FineWh::ZERO { prop_assert!(limit(&offer.demand).unwrap().min(cap) >= c.tick); }
            if *sold > FineWh::ZERO { prop_assert!(limit(&offer.supply).unwrap().max(floor) <= c.tick); }
            // Better orders in full, in the auction.
            if mechanism == Mechanism::Auction {
                if limit(&offer.demand).is_some_and(|l| l.min(cap) > c.tick) { prop_assert_eq!(*bought, FineWh::of(offer.demand.wh)); }
                if limit(&offer.supply).is_some_and(|l| l.max(floor) < c.tick) { prop_assert_eq!(*sold, FineWh::of(offer.supply.wh)); }
            }
            if mechanism == Mechanism::StaticKey { prop_assert!(*bought <= FineWh::share(c.pool, offer.key)); }
        }
        if mechanism == Mechanism::Auction {
            // SETTLE.6: clears, and no lower tick does.
            let clears = |price: Ticks| {
                let above: u64 = offers.iter().filter(|o| limit(&o.demand).is_some_and(|l| l.min(cap) > price)).map(|o| o.demand.wh.0).sum();
                let supply: u64 = offers.iter().filter(|o| limit(&o.supply).is_some_and(|l| l.max(floor) <= price)).map(|o| o.supply.wh.0).sum();
                above <= supply
            };
            prop_assert!(clears(c.tick));
            prop_assert!((0..c.tick.0).all(|price| !clears(Ticks(price))));
        } else {
            prop_assert_eq!(c.tick, reference);
        }
    }

    /// Where an order stands among the slots, or whether a household brings it as one or as two, changes nobody's share.
    #[test]
    fn shares_do_not_depend_on_slots(
        offers in prop::collection::vec(any_offer(), 2..12), mechanism in any_mechanism(), cut in 0u64..3000,
    ) {
        let rules = rules(mechanism);
        let c = clear(&rules, &offers).unwrap();
        let mut turned = offers.clone();
        turned.rotate_left(1);
        prop_assert_eq!(&clear(&rules, &turned).unwrap(), &c);
        let (first, rest) = offers.split_first().unwrap();
        let cut = Wh(cut.min(first.demand.wh.0));
        let parts = [cut, first.demand.wh - cut].map(|wh| Offer { demand: Order { wh, ..first.demand }, supply: NOTHING, key: 0 });
        let without = Offer { demand: NOTHING, ..*first };
        let split: Vec<Offer> = parts.into_iter().chain([without]).chain(rest.iter().copied()).collect();
        if mechanism != Mechanism::StaticKey {
            let c_split = clear(&rules, &split).unwrap();
            prop_assert_eq!(&c_split, &c);
            let [a, b] = parts.map(|part| c.shares(mechanism, &part)[0]);
            prop_assert_eq!(a + b, c.shares(mechanism, first)[0]);
        }
    }
}
