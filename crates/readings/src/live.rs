//! A meter that is read as it speaks: bytes of a line become telegrams, and telegrams become registers at the borders of
//! intervals.
//!
//! Nothing here reads a clock, a line or a file. [`Stream`] cuts bytes into telegrams, [`Book`] keeps the registers at the
//! borders, and [`between`] makes an interval of two of them. What goes wrong is a [`Trouble`]: it is said and counted, and
//! nothing is booked by it.

mod book;
mod stream;
mod swap;

use crate::energy::Energy;

pub use book::{Book, Border, Event, Now, Terms, between};
pub use stream::{Found, Stream};
pub use swap::{Swap, SwapError};

/// What a live meter speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// Telegrams of a P1 port: DSMR 2 to 5, eMUCS.
    P1,
    /// Frames of a German meter.
    Sml,
}

impl Speech {
    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::P1 => "p1",
            Self::Sml => "sml",
        }
    }
}

impl std::str::FromStr for Speech {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "p1" => Ok(Self::P1),
            "sml" => Ok(Self::Sml),
            _ => Err("p1 or sml"),
        }
    }
}

/// What a telegram says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Number of the meter; empty if it sends none.
    pub meter: String,
    /// Unix seconds by the meter's clock, if it has one.
    pub time: Option<i64>,
    /// Seconds that the meter has run, if it says so.
    pub seconds: Option<u32>,
    /// Import and export, where the meter has them.
    pub registers: [Option<Energy>; 2],
    /// Does a checksum hold? Otherwise it was sent without one, and the telegrams around it must confirm it.
    pub checked: bool,
}

macro_rules! troubles {
    ($($(#[$doc:meta])* $trouble:ident, $name:literal, $text:literal;)*) => {
        /// What goes wrong with a live meter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Trouble { $($(#[$doc])* $trouble,)* }

        impl Trouble {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$trouble,)*];

            /// Name, for counting and JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$trouble => $name,)* }
            }

            /// What it is, and what follows.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$trouble => $text,)* }
            }
        }
    };
}

troubles! {
    /// A checksum that is wrong, or missing where one is due.
    Checksum, "bad-checksum", "a telegram was changed on its way and is left out";
    /// A telegram without its end.
    Half, "half-telegram", "a telegram was cut and is left out";
    /// Bytes that belong to no telegram.
    Garbage, "garbage", "bytes that are no telegram: look at speed and format of the line";
    /// A telegram without energy, or with a value that is none.
    NotRead, "not-read", "a telegram without a register of energy is left out";
    /// A telegram without checksum that those around it contradict.
    Unconfirmed, "unconfirmed", "a telegram without a checksum that its neighbours do not confirm is left out";
    /// Nothing for a while.
    Silence, "silence", "no telegram for a while: look at cable, adapter and meter";
    /// The line ended, or cannot be opened.
    Cut, "cut-line", "the line is cut; it is opened again until it holds";
    /// A register that is lower than before.
    Falls, "register-falls", "a register is lower than before; nothing is booked for that interval";
    /// Another meter answers.
    OtherMeter, "other-meter", "another meter speaks; nothing is booked between the two unless gridveil meter swap says what both showed";
    /// A register came or went.
    Registers, "other-registers", "the meter shows other registers than before; nothing is booked for that interval";
    /// More energy than an interval can have.
    Implausible, "implausible", "more energy than any interval has; nothing is booked for it";
    /// A border, or several, without a reading.
    Gap, "gap", "borders of intervals passed without a reading; their energy is not guessed into intervals";
    /// The two clocks do not agree.
    Drift, "clock-drift", "meter and computer do not agree on the time; intervals are signed only with --accept clock-drift";
    /// The computer's clock was set, or nothing proves that it was not.
    Unproven, "clock-unproven", "nothing shows how much time passed between two readings; nothing is booked for that interval";
    /// The clock is before what was read already.
    Backwards, "clock-backwards", "the clock is before readings that are kept; telegrams are left out until it is past them";
}

#[cfg(test)]
mod tests;
