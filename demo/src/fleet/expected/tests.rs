use super::*;
use crate::{data, time_of_use::TimeOfUse};

fn town() -> Town {
    Town::new(12, 3, 1, &TimeOfUse::parse(data::TARIFF).unwrap()).unwrap()
}

/// Each late packet is booked in the settlement after it.
fn booked(town: &Town) -> Booked {
    let late = |day: usize| {
        let is = |slot: &usize| town.today(Place { community: 0, slot: *slot }, day).sending == Sending::Late;
        (0..12).filter(is).map(|slot| (slot, day)).collect()
    };
    std::iter::once(Vec::new()).chain((0..town.days - 1).map(late)).collect()
}

#[test]
fn money_is_conserved_and_somebody_comes_into_debt() {
    let town = town();
    let after = community(&town, 0, &booked(&town), None);
    assert_eq!(after.funds(), beginning(&town, 0).funds());
    assert!(after.accounts.iter().any(|account| account.value < 0));
    assert!(after.accounts.iter().any(|account| account.bought > 0) && after.fees > 0);
}

#[test]
fn registers_are_what_the_meters_measured_where_everything_is_booked() {
    let town = town();
    let after = community(&town, 0, &booked(&town), None);
    let mut never = 0;
    for (slot, account) in after.accounts.iter().enumerate() {
        let place = Place { community: 0, slot };
        let measured: i128 =
            (0..3).flat_map(|day| town.measured(place, day)).map(|reading| i128::from(reading.import)).sum();
        if town.today(place, 2).sending == Sending::Never {
            never += 1;
        } else {
            assert_eq!(account.import, measured, "slot {slot}");
        }
    }
    assert_eq!(never, 1);
}

#[test]
fn a_miscount_is_another_outcome() {
    let (town, right) = (town(), community(&town(), 0, &booked(&town()), None));
    for miscount in [Miscount::Twice, Miscount::Lost, Miscount::Correction] {
        let wrong = community(&town, 0, &booked(&town), Some(miscount));
        let differ = right.accounts.iter().zip(&wrong.accounts).filter(|(right, wrong)| right != wrong).count();
        assert_eq!(differ, 1, "{miscount:?}");
    }
}
