//! What every decoder hands on: readings of one register, whatever the file looks like.

use crate::{Finding, Place, energy::Energy, zone::Zone};

/// What a register counts, seen from the household.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Taken from the network.
    Import,
    /// Fed in.
    Export,
    /// Import less export: positive is import, negative export.
    Net,
    /// Import and export added. It cannot be split.
    Total,
    /// What the operator of a community allotted. Shown, never signed: settlement computes it anew.
    Community,
}

/// How sure a reading is, from best to worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quality {
    /// Measured, and said to be so.
    Measured,
    /// The file says nothing.
    #[default]
    Unstated,
    /// The file says something that no table knows.
    Unknown,
    /// Measured, and the clocks did not agree when it was.
    Drifted,
    /// Measured, and doubted by who measured it.
    Questionable,
    /// Put in by the utility in place of a reading.
    Substituted,
    /// Estimated.
    Estimated,
}

impl Quality {
    /// Not measured: never signed as metered.
    #[must_use]
    pub const fn is_estimate(self) -> bool {
        matches!(self, Self::Substituted | Self::Estimated)
    }
}

/// One value of a file.
#[derive(Clone, Debug)]
pub struct Raw {
    /// Start of the interval, or instant of a register reading; unix seconds.
    pub start: i64,
    /// Length, seconds. Of a register reading: 0.
    pub length: u32,
    /// Energy of the interval, or the register.
    pub energy: Energy,
    /// Quality.
    pub quality: Quality,
    /// Where it stands.
    pub at: Place,
    /// Tariff, tier or register of which the value is a part. Values of one interval with different parts are added.
    pub part: u32,
    /// First of its block (Green Button).
    pub begins_block: bool,
}

/// What the values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Energies of intervals.
    Interval,
    /// Readings of a register that only counts up.
    Register {
        /// One more than its highest reading, if known.
        modulus: Option<Energy>,
    },
}

/// One register of one meter.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Metering point, as the file names it; empty if it does not.
    pub meter: String,
    /// What it counts.
    pub direction: Direction,
    /// What the values are.
    pub behaviour: Behaviour,
    /// Is a repeated value of one interval merged, or an error?
    pub merges: bool,
    /// The values, in the order of the file.
    pub raws: Vec<Raw>,
}

impl Channel {
    /// A channel of interval energies, empty.
    #[must_use]
    pub fn intervals(meter: &str, direction: Direction) -> Self {
        let behaviour = Behaviour::Interval;
        Self { meter: meter.to_owned(), direction, behaviour, merges: false, raws: Vec::new() }
    }

    /// Where it begins.
    #[must_use]
    pub fn at(&self) -> Place {
        self.raws.first().map(|raw| raw.at).unwrap_or_default()
    }
}

/// A file, decoded.
#[derive(Debug, Default)]
pub struct Decoded {
    /// Name of the format or profile.
    pub source: String,
    /// Zone of the times, where they were local.
    pub zone: Option<Zone>,
    /// Is a time of the file the start of an interval, or its end?
    pub stamp: &'static str,
    /// Unit of the values in the file.
    pub unit: String,
    /// The registers.
    pub channels: Vec<Channel>,
    /// Meters whose values cannot be read, with the reason.
    pub refused: Vec<(String, crate::SourceError)>,
    /// What had to be said.
    pub findings: Vec<Finding>,
}
