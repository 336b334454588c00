//! What happens to whom, and when: all of it follows from the seed.

use gridveil_api::beginning::PublicStream;

/// Of so many homes of a community that hand in, one is picked for each mishap of a day; at least one.
const ONE_OF: usize = 16;

/// When a home's packet of a day is handed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sending {
    /// While its period is open.
    #[default]
    InTime,
    /// On a later day, after it was settled with a substitute.
    Late,
    /// Not within these days: the substitute stays.
    Never,
}

/// What happens to a home's folder before it does its day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Folder {
    /// Nothing.
    #[default]
    Kept,
    /// It is gone: the key file is left.
    Lost,
    /// A copy is made of it.
    Copied,
    /// That copy takes its place.
    Restored,
}

/// One day of one home.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Today {
    /// Of the day's packet.
    pub sending: Sending,
    /// Of its folder.
    pub folder: Folder,
    /// It sends the same bytes once more.
    pub twice: bool,
    /// Another folder with the same keys signs other readings for the day, and sends them too.
    pub second: bool,
}

impl Today {
    const fn is_free(&self) -> bool {
        matches!((self.sending, self.folder), (Sending::InTime, Folder::Kept)) && !self.twice && !self.second
    }
}

/// When the sequencer is killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kills {
    /// When it has been sent so many packets of a day.
    pub after_packets: Option<u64>,
    /// When so many communities of a day are closed, and are on their way to L1.
    pub after_closed: Option<usize>,
}

/// Numbers that follow from a seed.
pub(super) struct Dice(PublicStream);

impl Dice {
    pub(super) fn new(purpose: &str, seed: u64) -> Self {
        Self(PublicStream::new(purpose, seed))
    }

    /// A number below `bound`, which is not zero.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let random = u64::from_be_bytes(self.0.bytes());
        usize::try_from(random % (bound.max(1) as u64)).unwrap_or(0)
    }

    fn shuffle(&mut self, items: &mut [usize]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// The days of a community of `homes` homes: by slot, then by day.
pub(super) fn community(homes: usize, days: usize, dice: &mut Dice) -> Vec<Vec<Today>> {
    let mut script = vec![vec![Today::default(); days]; homes];
    late_days(&mut script, days, dice);
    let picked = homes.div_ceil(ONE_OF);
    for day in 0..days {
        let mut order: Vec<usize> = (0..homes).collect();
        dice.shuffle(&mut order);
        let mut free = order.into_iter();
        let mut pick = |script: &mut [Vec<Today>], change: &dyn Fn(&mut [Today]) -> bool| {
            let mut left = picked;
            for slot in free.by_ref() {
                let Some(of) = script.get_mut(slot) else { continue };
                if of.get(day).is_some_and(Today::is_free) && change(of.get_mut(day..).unwrap_or_default()) {
                    left -= 1;
                }
                if left == 0 {
                    break;
                }
            }
        };
        pick(&mut script, &|of| of.first_mut().map(|today| today.twice = true).is_some());
        pick(&mut script, &|of| of.first_mut().map(|today| today.second = true).is_some());
        if day > 0 {
            pick(&mut script, &|of| of.first_mut().map(|today| today.folder = Folder::Lost).is_some());
        }
        // The copy is some days old when it takes the folder's place.
        let age = 1 + dice.below(2);
        pick(&mut script, &|of| {
            let Some(later) = of.get(age).filter(|later| later.is_free()) else { return false };
            let between = of.get(1..age).unwrap_or_default();
            if between.iter().any(|today| today.folder != Folder::Kept) {
                return false;
            }
            let restored = Today { folder: Folder::Restored, ..*later };
            of.get_mut(age).into_iter().for_each(|later| *later = restored);
            of.first_mut().map(|today| today.folder = Folder::Copied).is_some()
        });
    }
    script
}

/// A settlement books one correction. So many packets are late that all of them are booked within the days.
fn late_days(script: &mut [Vec<Today>], days: usize, dice: &mut Dice) {
    let mut order: Vec<usize> = (0..script.len()).collect();
    dice.shuffle(&mut order);
    let mut homes = order.into_iter();
    let mut set = |slot: usize, day: usize, sending: Sending| {
        if let Some(today) = script.get_mut(slot).and_then(|of| of.get_mut(day)) {
            today.sending = sending;
        }
    };
    let mut waiting = 0usize;
    for day in 0..days.saturating_sub(1) {
        // Settlements that are left after this day's, less what waits for them.
        let room = (days - 1 - day).saturating_sub(waiting);
        let two_days = day > 0 && dice.below(3) == 0;
        let wanted = dice.below(3);
        let mut late = 0;
        if two_days && room >= 2 {
            // Its meter is silent for two days, and hands in both on the third.
            if let Some(slot) = homes.next() {
                set(slot, day - 1, Sending::Late);
                set(slot, day, Sending::Late);
                late = 2;
            }
        } else if room >= 1 && (wanted > 0 || day == 0) {
            for slot in homes.by_ref().take(wanted.clamp(1, room)) {
                set(slot, day, Sending::Late);
                late += 1;
            }
        }
        waiting = (waiting + late).saturating_sub(1);
    }
    if let (Some(slot), Some(last)) = (homes.next(), days.checked_sub(1)) {
        set(slot, last, Sending::Never);
    }
}

/// When the sequencer is killed on each day: every day once, between packets and between closings in turn, and on the last
/// day twice.
pub(super) fn kills(days: usize, homes: usize, communities: usize, dice: &mut Dice) -> Vec<Kills> {
    let kills = |day: usize| {
        let last = day + 1 == days;
        let packets = 1 + dice.below(homes.saturating_sub(homes / 4).max(1)) as u64;
        let closed = 1 + dice.below(communities);
        Kills {
            after_packets: (day.is_multiple_of(2) || last).then_some(packets),
            after_closed: (!day.is_multiple_of(2) || last).then_some(closed),
        }
    };
    (0..days).map(kills).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the sequencer books them: one a settlement, from the day on on which they are handed in.
    fn all_are_booked(script: &[Vec<Today>], days: usize) -> bool {
        let handed_in = |of: &Vec<Today>, day: usize| {
            let on = (day + 1..days).find(|on| of[*on].sending == Sending::InTime);
            (of[day].sending == Sending::Late).then_some(on)
        };
        let late: Vec<_> = script.iter().flat_map(|of| (0..days).filter_map(|day| handed_in(of, day))).collect();
        let mut waiting = 0;
        for day in 0..days {
            waiting += late.iter().filter(|on| **on == Some(day)).count();
            waiting = waiting.saturating_sub(1);
        }
        waiting == 0 && late.iter().all(Option::is_some)
    }

    #[test]
    fn everything_happens_and_every_late_packet_finds_its_settlement() {
        for seed in 0..300 {
            let (homes, days) = (1 + seed as usize % 32, 3 + seed as usize % 9);
            let script = community(homes, days, &mut Dice::new("test", seed));
            assert_eq!(script, community(homes, days, &mut Dice::new("test", seed)));
            assert!(all_are_booked(&script, days), "seed {seed}");
            if homes < 12 {
                continue;
            }
            let count = |of: fn(&Today) -> bool| script.iter().flatten().filter(|today| of(today)).count();
            assert!(count(|t| t.sending == Sending::Late) > 0 && count(|t| t.sending == Sending::Never) == 1);
            assert!(count(|t| t.twice) > 0 && count(|t| t.second) > 0 && count(|t| t.folder == Folder::Lost) > 0);
            let copies = count(|t| t.folder == Folder::Copied);
            assert!(copies > 0 && copies == count(|t| t.folder == Folder::Restored), "seed {seed}");
        }
    }

    #[test]
    fn the_sequencer_is_killed_every_day() {
        let kills = kills(3, 12, 1, &mut Dice::new("test", 1));
        assert!(kills.iter().all(|kills| kills.after_packets.is_some() || kills.after_closed.is_some()));
        assert!(kills.iter().all(|kills| kills.after_packets.is_none_or(|n| (1..=9).contains(&n))));
    }
}
