//! A meter that was replaced: what the old one showed last and the new one first, as a person read it.
//!
//! It makes an interval of the last border of the old meter and the first of the new one, if that is one interval. Where more
//! passed between them, what the two meters counted is known as a whole, and not by interval: that is not guessed.

use super::book::{Border, MOST_W, Terms, lasted};
use crate::{Entry, energy::Energy, model::Quality, zone::utc};

/// Import or export, in an error.
const SIDES: [&str; 2] = ["import", "export"];

/// The readings at a swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swap {
    /// The border before it, unix seconds.
    pub after: i64,
    /// Number of the old meter.
    pub old: String,
    /// Number of the new one.
    pub new: String,
    /// Import and export that the old one showed last.
    pub closing: [Option<Energy>; 2],
    /// Import and export that the new one showed first.
    pub opening: [Option<Energy>; 2],
}

/// Why a swap is not booked. No reading is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SwapError {
    /// Another swap than the one that was seen.
    #[error("the swap is not the one that was seen, from meter {old} to meter {new}")]
    Other {
        /// Who spoke before.
        old: String,
        /// Who speaks now.
        new: String,
    },
    /// More than an interval passed.
    #[error(
        "the old meter was read last at {from}, the new one first at {until}: that is more than one interval, and what they \
         counted is not guessed into intervals (the meter data manager may put in a substitute)"
    )]
    Gap {
        /// RFC 3339.
        from: String,
        /// RFC 3339.
        until: String,
    },
    /// The clock was set meanwhile.
    #[error("nothing shows how much time passed between the old meter's last reading and the new one's first")]
    Unproven,
    /// A reading is missing, or is of a register that is not read.
    #[error("the {0} needs a closing and an opening reading if both meters show it, and none if they do not")]
    Registers(&'static str),
    /// Lower than what the old meter had shown.
    #[error("the closing reading of {0} is below what the old meter showed at the border before: look at it again")]
    Closing(&'static str),
    /// Higher than what the new meter showed.
    #[error("the opening reading of {0} is above what the new meter showed at the border after: look at it again")]
    Opening(&'static str),
    /// More than a connection carries.
    #[error("the readings of {0} say more energy than a connection carries in the interval: look at them again")]
    Implausible(&'static str),
}

impl Swap {
    /// The interval in which it was, between the old meter's border and the new one's.
    ///
    /// # Errors
    /// [`SwapError`].
    pub fn between(&self, a: &Border, b: &Border, terms: Terms) -> Result<Entry, SwapError> {
        if self.after != a.start || self.old != a.meter || self.new != b.meter || a.meter == b.meter {
            return Err(SwapError::Other { old: a.meter.clone(), new: b.meter.clone() });
        }
        if b.start - a.start != i64::from(terms.length) {
            return Err(SwapError::Gap { from: utc(a.start), until: utc(b.start) });
        }
        // The two have run for different times, which say nothing of each other.
        let (before, after) = (Border { seconds: None, ..a.clone() }, Border { seconds: None, ..b.clone() });
        if !lasted(&before, &after, terms) {
            return Err(SwapError::Unproven);
        }
        let most = Energy::wh(MOST_W * i64::from(terms.length) / 3600);
        let mut wh = [0; 2];
        let registers = a.registers.into_iter().zip(self.closing).zip(self.opening).zip(b.registers);
        for ((wh, side), (((last, closing), opening), first)) in wh.iter_mut().zip(SIDES).zip(registers) {
            let (last, closing, opening, first) = match (last, closing, opening, first) {
                (Some(last), Some(closing), Some(opening), Some(first)) => (last, closing, opening, first),
                (None, None, None, None) => continue,
                _ => return Err(SwapError::Registers(side)),
            };
            if closing < last {
                return Err(SwapError::Closing(side));
            }
            if first < opening {
                return Err(SwapError::Opening(side));
            }
            if closing - last > most || first - opening > most {
                return Err(SwapError::Implausible(side));
            }
            let counted = closing.floor_wh() - last.floor_wh() + first.floor_wh() - opening.floor_wh();
            *wh = u64::try_from(counted).unwrap_or(0);
        }
        let quality = if a.drifted || b.drifted { Quality::Drifted } else { Quality::Measured };
        Ok(Entry { start: a.start, import_wh: wh[0], export_wh: wh[1], quality })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { length: 900, modulus: None };

    fn border(start: i64, meter: &str, import: i64) -> Border {
        let registers = [Some(Energy::wh(import)), None];
        let (read, seconds) = (start + 3, Some(u32::try_from(start + import).unwrap()));
        let computer = Some(("boot".into(), start + 103));
        Border { start, read, meter: meter.into(), registers, seconds, computer, drifted: false }
    }

    fn swap(closing: i64, opening: i64) -> Swap {
        let [closing, opening] = [closing, opening].map(|wh| [Some(Energy::wh(wh)), None]);
        Swap { after: 9_000, old: "old".into(), new: "new".into(), closing, opening }
    }

    #[test]
    fn what_both_meters_counted_is_booked() {
        let (a, b) = (border(9_000, "old", 70_000), border(9_900, "new", 150));
        let entry = swap(70_040, 100).between(&a, &b, TERMS).unwrap();
        assert_eq!((entry.start, entry.import_wh, entry.export_wh), (9_000, 90, 0));
        assert_eq!(entry.quality, Quality::Measured);
        let doubted = swap(70_040, 100).between(&a, &Border { drifted: true, ..b }, TERMS).unwrap();
        assert_eq!(doubted.quality, Quality::Drifted);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (a, b) = (border(9_000, "old", 70_000), border(9_900, "new", 150));
        let of = |swap: Swap, a: &Border, b: &Border| swap.between(a, b, TERMS).unwrap_err();
        assert_eq!(of(swap(69_999, 100), &a, &b), SwapError::Closing("import"));
        assert_eq!(of(swap(70_000, 151), &a, &b), SwapError::Opening("import"));
        // A digit too many: 630 kWh in a quarter of an hour.
        assert_eq!(of(swap(700_000, 100), &a, &b), SwapError::Implausible("import"));
        let third = Swap { new: "third".into(), ..swap(70_000, 0) };
        assert!(matches!(of(third, &a, &b), SwapError::Other { .. }));
        assert!(matches!(of(swap(70_000, 0), &a, &border(9_900, "old", 70_001)), SwapError::Other { .. }));
        assert!(matches!(of(swap(70_000, 0), &a, &border(10_800, "new", 150)), SwapError::Gap { .. }));
        let started_again = Border { computer: Some(("other boot".into(), 20)), ..b.clone() };
        assert_eq!(of(swap(70_000, 0), &a, &started_again), SwapError::Unproven);
        let export = Swap { closing: [Some(Energy::wh(70_000)), Some(Energy::wh(1))], ..swap(70_000, 0) };
        assert_eq!(of(export, &a, &b), SwapError::Registers("export"));
        let none = Swap { opening: [None, None], ..swap(70_000, 0) };
        assert_eq!(of(none, &a, &b), SwapError::Registers("import"));
    }
}
