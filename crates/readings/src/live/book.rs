//! Telegrams into registers at the borders of intervals, and two borders into an interval.
//!
//! Whose clock counts: the meter's, if it sends the time; then the computer's must agree. A meter without a clock is
//! given the computer's time. Then something else must show how much time passed between two borders: the time since the
//! machine started, if it is the same start, or the meter's running time.

use super::{Reading, Trouble};
use crate::{
    Entry, Place, Rule, SourceError,
    energy::Energy,
    formats::p1::LATE,
    model::{Quality, Raw},
    register,
    zone::utc,
};

/// More than any connection of a home carries, W: a telegram without checksum that says so is not confirmed by it.
pub(super) const MOST_W: i64 = 250_000;
/// Telegrams that confirm each other are sent within so many seconds.
const NEIGHBOURS: i64 = 60;
/// Clocks that differ by more than so many seconds: nothing is kept by either.
const FAR_OFF: i64 = 86_400;
/// Largest energy of one interval, as of a file's.
const MOST: Energy = Energy::wh(1 << 32);

/// The computer's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Now {
    /// Unix seconds.
    pub unix: i64,
    /// Seconds since the machine started.
    pub up: i64,
    /// Which start of the machine.
    pub boot: String,
}

/// Registers at the border of two intervals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Border {
    /// Unix seconds, a multiple of the interval's length.
    pub start: i64,
    /// When it was read, unix seconds of the clock that counts.
    pub read: i64,
    /// Number of the meter.
    pub meter: String,
    /// Import and export, where the meter has them.
    pub registers: [Option<Energy>; 2],
    /// Seconds that the meter has run, if it says so.
    pub seconds: Option<u32>,
    /// The computer's clock, if that is the one that counts: start of the machine, and seconds since.
    pub computer: Option<(String, i64)>,
    /// Did the two clocks disagree?
    pub drifted: bool,
}

/// What intervals are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Seconds of an interval.
    pub length: u32,
    /// One more than a register's highest reading, if known.
    pub modulus: Option<Energy>,
}

impl Terms {
    /// Clocks may differ by so many seconds: 3 % of an interval, and no less than a telegram may be late.
    const fn tolerance(self) -> i64 {
        let part = self.length as i64 * 3 / 100;
        if part > LATE { part } else { LATE }
    }

    fn border_of(self, time: i64) -> i64 {
        time - time.rem_euclid(i64::from(self.length.max(1)))
    }
}

/// The interval between two borders.
///
/// # Errors
/// The trouble that lets nothing be booked.
pub fn between(a: &Border, b: &Border, terms: Terms) -> Result<Entry, Trouble> {
    let length = i64::from(terms.length);
    if a.meter != b.meter {
        return Err(Trouble::OtherMeter);
    }
    if b.start - a.start != length {
        return Err(Trouble::Gap);
    }
    if !lasted(a, b, terms) {
        return Err(Trouble::Unproven);
    }
    let mut wh = [0u64; 2];
    for ((wh, before), after) in wh.iter_mut().zip(a.registers).zip(b.registers) {
        let (before, after) = match (before, after) {
            (Some(before), Some(after)) => (before, after),
            (None, None) => continue,
            _ => return Err(Trouble::Registers),
        };
        let raw = |border: &Border, energy| Raw {
            start: border.start,
            length: 0,
            energy,
            quality: Quality::Measured,
            at: Place::line(1),
            part: 0,
            begins_block: false,
        };
        let mut found = Vec::new();
        let booked = register::differences(vec![raw(a, before), raw(b, after)], terms.modulus, &mut found);
        let energy = match booked.as_deref() {
            Ok([one]) => one.energy,
            Ok(_) | Err(SourceError::NoInterval { .. }) => return Err(Trouble::Gap),
            Err(_) => return Err(Trouble::Falls),
        };
        if energy >= MOST {
            return Err(Trouble::Implausible);
        }
        let rolled = found.iter().any(|f| f.rule == Rule::RollOver).then_some(terms.modulus).flatten();
        // Differences of whole Wh: their sum is never a Wh away from the register, wherever a file begins.
        let after = after + rolled.unwrap_or_default();
        *wh = u64::try_from(after.floor_wh() - before.floor_wh()).unwrap_or(0);
    }
    let quality = if a.drifted || b.drifted { Quality::Drifted } else { Quality::Measured };
    Ok(Entry { start: a.start, import_wh: wh[0], export_wh: wh[1], quality })
}

/// Is there something that shows how much time passed?
pub(super) fn lasted(a: &Border, b: &Border, terms: Terms) -> bool {
    let passed = b.read - a.read;
    let agrees = |other: i64| (other - passed).abs() <= terms.tolerance();
    let (Some((boot_a, up_a)), Some((boot_b, up_b))) = (&a.computer, &b.computer) else {
        // The meter's own clock, at both ends.
        return a.computer.is_none() && b.computer.is_none();
    };
    let machine = (boot_a == boot_b).then(|| agrees(up_b - up_a));
    // Of a meter that began anew, or whose number stands still, it says nothing.
    let meter = match (a.seconds, b.seconds) {
        (Some(a), Some(b)) if b > a => Some(agrees(i64::from(b) - i64::from(a))),
        _ => None,
    };
    matches!((machine, meter), (Some(true), None | Some(true)) | (None, Some(true)))
}

/// What came of a telegram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A border to keep.
    Border(Border),
    /// What goes wrong, and more of it; no reading.
    Trouble(Trouble, String),
}

/// A telegram with the computer's time.
#[derive(Clone, Debug)]
struct Heard {
    reading: Reading,
    now: Now,
}

/// Finds the borders. The last one is what it goes on from.
#[derive(Clone, Debug)]
pub struct Book {
    terms: Terms,
    last: Option<Border>,
    /// Telegrams without checksum: the last one that was confirmed, or the first, and the one that waits for the next.
    before: Option<Heard>,
    waits: Option<Heard>,
}

impl Book {
    /// Goes on from the last border that was kept.
    #[must_use]
    pub const fn new(terms: Terms, last: Option<Border>) -> Self {
        Self { terms, last, before: None, waits: None }
    }

    /// What its intervals are made of.
    #[must_use]
    pub const fn terms(&self) -> Terms {
        self.terms
    }

    /// The last border.
    #[must_use]
    pub const fn last(&self) -> Option<&Border> {
        self.last.as_ref()
    }

    /// The next telegram.
    pub fn take(&mut self, reading: Reading, now: Now) -> Vec<Event> {
        let mut events = Vec::new();
        if reading.checked {
            (self.before, self.waits) = (None, None);
            self.confirmed(&reading, now, &mut events);
            return events;
        }
        let heard = Heard { reading, now };
        let Some(waits) = self.waits.take() else {
            self.waits = Some(heard);
            return events;
        };
        let Some(before) = self.before.take().filter(|before| near(before, &heard)) else {
            (self.before, self.waits) = (Some(waits), Some(heard));
            return events;
        };
        // Of two that contradict each other the one goes that does not follow from what was before.
        let (goes_on, waits) = match (follows(&before, &waits), follows(&before, &heard)) {
            (true, true) if follows(&waits, &heard) => {
                self.confirmed(&waits.reading, waits.now.clone(), &mut events);
                (waits, heard)
            }
            (first, second) => {
                events.push(Event::Trouble(Trouble::Unconfirmed, String::new()));
                (before, if first && !second { waits } else { heard })
            }
        };
        (self.before, self.waits) = (Some(goes_on), Some(waits));
        events
    }

    fn confirmed(&mut self, reading: &Reading, now: Now, events: &mut Vec<Event>) {
        let terms = self.terms;
        let time = reading.time.unwrap_or(now.unix);
        let off = time - now.unix;
        let drifted = off.abs() > terms.tolerance();
        if drifted {
            let ahead = if off > 0 { "ahead of" } else { "behind" };
            let detail = format!("the meter's clock is {} s {ahead} the computer's", off.abs());
            events.push(Event::Trouble(Trouble::Drift, detail));
        }
        // One of the two is no clock at all. A border in the far future would keep every later one out.
        if off.abs() > FAR_OFF {
            return;
        }
        let start = terms.border_of(time);
        if let Some(last) = &self.last {
            if time < last.start {
                let detail = format!("readings are kept up to {}", utc(last.start));
                events.push(Event::Trouble(Trouble::Backwards, detail));
                return;
            }
            if start <= last.start {
                return;
            }
        }
        if time - start > LATE {
            return;
        }
        let border = Border {
            start,
            read: time,
            meter: reading.meter.clone(),
            registers: reading.registers,
            seconds: reading.seconds,
            computer: reading.time.is_none().then_some((now.boot, now.up)),
            drifted,
        };
        if let Some(last) = &self.last
            && let Err(trouble) = between(last, &border, terms)
        {
            let detail = format!("from {} to {}", utc(last.start), utc(border.start));
            events.push(Event::Trouble(trouble, detail));
        }
        self.last = Some(border.clone());
        events.push(Event::Border(border));
    }
}

/// Are two telegrams near enough to confirm one between them?
fn near(before: &Heard, after: &Heard) -> bool {
    before.now.boot == after.now.boot && (0..=NEIGHBOURS).contains(&(after.now.up - before.now.up))
}

/// Can the later telegram follow the earlier one? No register is lower, and no more was used than a connection carries.
fn follows(before: &Heard, after: &Heard) -> bool {
    let seconds = after.now.up - before.now.up;
    let most = Energy::wh(MOST_W * (seconds + 1) / 3600 + 1);
    let held = |side: usize| {
        let of = |heard: &Heard| heard.reading.registers.get(side).copied().flatten();
        match (of(before), of(after)) {
            (Some(a), Some(b)) => a <= b && b - a <= most,
            (None, None) => true,
            _ => false,
        }
    };
    before.reading.meter == after.reading.meter && held(0) && held(1)
}
