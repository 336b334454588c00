//! Why a meter file is refused.

/// Largest meter file that is read.
pub const MAX_FILE_BYTES: u64 = 64 << 20;
/// Most readings of one file: 28 years of quarter hours.
pub const MAX_READINGS: usize = 1_000_000;
/// Most columns of a row: a day of five-minute values has 288.
pub const MAX_COLUMNS: usize = 512;

/// Place in a file, one-based. Column 0: the whole line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: u64,
    /// Column: bytes of the line in XML, field number in CSV.
    pub column: u64,
}

impl Place {
    /// A whole line.
    #[must_use]
    pub const fn line(line: u64) -> Self {
        Self { line, column: 0 }
    }
}

impl Default for Place {
    fn default() -> Self {
        Self { line: 1, column: 1 }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.column {
            0 => write!(f, "line {}", self.line),
            column => write!(f, "line {}, column {column}", self.line),
        }
    }
}

/// At most this many characters of a file are shown in an error.
const SHOWN: usize = 60;

/// A piece of a file for an error: short, one line.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut short: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
    if text.trim().chars().count() > SHOWN {
        short.push('…');
    }
    short
}

/// Why a meter file is refused. Shows what was found, where, and what to do; of a reading no more than the cell that
/// cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// File system.
    #[error("cannot read the meter file: {0}")]
    Io(std::io::ErrorKind),
    /// Larger than [`MAX_FILE_BYTES`].
    #[error("the meter file has more than {MAX_FILE_BYTES} bytes: export fewer months at a time")]
    TooLarge,
    /// More than [`MAX_READINGS`].
    #[error("{at}: more than {MAX_READINGS} readings in one file: export fewer months at a time")]
    TooManyReadings {
        /// Where the limit was passed.
        at: Place,
    },
    /// Text in an encoding that is not known.
    #[error("the meter file is no text in UTF-8, UTF-16 or Windows-1252: name the encoding in a mapping file")]
    NotText,
    /// None of the known formats, or no profile whose columns these are.
    #[error(
        "no known meter file. Found: {found}. Choose a profile (`meter profiles` lists them) or write a mapping file"
    )]
    UnknownFormat {
        /// The first line, or the columns.
        found: String,
    },
    /// Several profiles know these columns.
    #[error("the columns {found} are those of several profiles: choose --profile {names}")]
    SeveralProfiles {
        /// The columns.
        found: String,
        /// Names.
        names: String,
    },
    /// No profile of that name.
    #[error("no profile {0:?}: `meter profiles` lists them")]
    NoSuchProfile(String),
    /// A mapping file that cannot be used.
    #[error("mapping file: {0}")]
    Mapping(String),
    /// A row or element that the format does not allow.
    #[error("{at}: {what}")]
    Malformed {
        /// Where.
        at: Place,
        /// What was expected.
        what: &'static str,
    },
    /// A cell that cannot be read.
    #[error("{at}: {found:?} is not {expected}")]
    Cell {
        /// Where.
        at: Place,
        /// What stands there.
        found: String,
        /// What should.
        expected: &'static str,
    },
    /// A column that is needed is missing.
    #[error("the file has no column {missing}. Found: {found}")]
    Columns {
        /// The column.
        missing: String,
        /// The header.
        found: String,
    },
    /// A unit that is not energy, or none at all.
    #[error("{at}: unit {found:?}; readings are in Wh, kWh, MWh, W or kW")]
    Unit {
        /// Where.
        at: Place,
        /// What stands there.
        found: String,
    },
    /// Local time without a time zone.
    #[error("{at}: a local time without a time zone: say --zone, such as Europe/Vienna, or +10:00")]
    NoZone {
        /// Where.
        at: Place,
    },
    /// Not a time zone.
    #[error("{0:?} is no time zone: a name such as Europe/Vienna, UTC, or an offset such as +10:00")]
    Zone(String),
    /// A local time that the clock change leaves out, with energy.
    #[error("{at}: {local} does not exist in {zone} (the clock change leaves it out), and yet it has energy")]
    NoSuchTime {
        /// Where.
        at: Place,
        /// Local time.
        local: String,
        /// Zone.
        zone: String,
    },
    /// A local time that comes twice, with nothing that tells which one it is.
    #[error(
        "{at}: {local} comes twice in {zone} (the clock change repeats it), and neither order nor a marker tells which it is"
    )]
    Ambiguous {
        /// Where.
        at: Place,
        /// Local time.
        local: String,
        /// Zone.
        zone: String,
    },
    /// Two readings of one interval that differ, or that a clock change may have made of two.
    #[error("{at}: interval starting at {start} was already given in line {first_line}{}", hint(*.night))]
    Duplicate {
        /// The second one.
        at: Place,
        /// Unix seconds.
        start: i64,
        /// Line of the first.
        first_line: u64,
        /// Could a clock change have made one time of two?
        night: bool,
    },
    /// Two intervals that overlap.
    #[error("{at}: interval starting at {start} begins before the one of line {first_line} ends")]
    Overlapping {
        /// The second one.
        at: Place,
        /// Unix seconds.
        start: i64,
        /// Line of the first.
        first_line: u64,
    },
    /// A start that is no multiple of the interval length.
    #[error(
        "{at}: interval starting at {start} is not aligned to {length} s of UTC, which is the grid of settlement. \
         Hours of a zone such as India's begin at half past: ask for half-hourly or quarter-hourly data"
    )]
    Misaligned {
        /// Where.
        at: Place,
        /// Unix seconds.
        start: i64,
        /// Seconds.
        length: u32,
    },
    /// A length that the protocol cannot carry.
    #[error("{at}: intervals of {length} s ({}); supported lengths divide 3600 s and are at least 60 s", name_of(*.length))]
    Length {
        /// Where.
        at: Place,
        /// Seconds.
        length: u64,
    },
    /// A register without a direction.
    #[error(
        "{at}: every third reading or more is negative: a net register? Say so in a mapping file (direction = \"net\")"
    )]
    Negative {
        /// Where.
        at: Place,
    },
    /// Energy beyond 2^32 Wh in one interval, or a register beyond 2^40 Wh: certainly not a reading.
    #[error("{at}: energy of one interval is 2^32 Wh or more, or finer than can be counted")]
    Implausible {
        /// Where.
        at: Place,
    },
    /// What should be energies of intervals never falls: a register.
    #[error(
        "{at}: values that never fall over half a day: readings of a register, not energies. Say so in a mapping file \
         (register = true)"
    )]
    LooksLikeRegister {
        /// First of them.
        at: Place,
    },
    /// The file holds nothing to read.
    #[error("no energy readings in the meter file{}", because(.0))]
    Empty(String),
    /// One reading does not say how long an interval is.
    #[error("a single reading does not give the interval length: name it (--interval-length)")]
    UnknownLength,
    /// Several meters and none chosen.
    #[error("the file holds {count} meters; choose one with --meter: {names}")]
    SeveralMeters {
        /// How many.
        count: usize,
        /// Their names.
        names: String,
    },
    /// The chosen meter is not in the file.
    #[error("no meter {0:?} in the file")]
    NoSuchMeter(String),
    /// A link or reading type that nothing in the file defines.
    #[error("{at}: {what} is not defined in the file")]
    Undefined {
        /// Where it is used.
        at: Place,
        /// What is missing.
        what: &'static str,
    },
    /// One identifier, two meanings; one register, two series.
    #[error("{at}: {what} is defined a second time with another content")]
    Redefined {
        /// The second definition.
        at: Place,
        /// What.
        what: &'static str,
    },
    /// A flow direction that is neither import nor export.
    #[error("{at}: flow direction {direction}; 1 (delivered), 19 (received) and 4 (net) can be read")]
    FlowDirection {
        /// Where.
        at: Place,
        /// ESPI code.
        direction: i64,
    },
    /// Import and export in one sum.
    #[error(
        "{at}: a register of the total, |import| + |export| (flow direction 20), which cannot be split. For a meter without \
         generation say --total-is-import"
    )]
    TotalRegister {
        /// Where.
        at: Place,
    },
    /// How values accumulate.
    #[error("{at}: accumulationBehaviour {behaviour}; 4 (delta) and the registers 1, 2, 3 and 9 can be read")]
    Accumulation {
        /// Where.
        at: Place,
        /// ESPI code.
        behaviour: i64,
    },
    /// A register that falls, without a known maximum.
    #[error(
        "{at}: the register is lower than in line {before}. A roll-over is read only with the register's maximum \
         (--register-max), a new meter only with its number and its opening reading"
    )]
    RegisterFalls {
        /// Where.
        at: Place,
        /// Line of the reading before.
        before: u64,
    },
    /// Another meter, without a closing and an opening reading.
    #[error(
        "{at}: meter {new:?} follows {old:?} without a reading of both: the swap needs a closing and an opening reading"
    )]
    Swap {
        /// Where.
        at: Place,
        /// Meter before.
        old: String,
        /// Meter after.
        new: String,
    },
    /// Register readings that make no interval.
    #[error(
        "{found}: a first register reading books nothing; read the meter for longer, or join the files of several days"
    )]
    NoInterval {
        /// What was found.
        found: String,
    },
    /// Registers with a running time and no time of day.
    #[error(
        "{found}, without the time of day: say when the first telegram was sent (--starts 2026-11-30T09:00:00Z), or read the \
         meter live"
    )]
    NoStart {
        /// What was found.
        found: String,
    },
    /// A frame or telegram whose checksum is wrong.
    #[error("{at}: checksum is wrong ({what}); the telegram was cut or changed")]
    Checksum {
        /// Where.
        at: Place,
        /// Of what.
        what: &'static str,
    },
    /// A format or part of one that is known and not read, with the reason.
    #[error("{0}")]
    NotRead(String),
    /// A signed record that its station did not sign, or not so.
    #[error(
        "{at}: the signature does not hold: {why}. Ask for the record as the station wrote it, or for the station's key"
    )]
    Signature {
        /// Where.
        at: Place,
        /// What the check says.
        why: String,
    },
    /// Resampling to a length that is no multiple.
    #[error("cannot resample intervals of {from} s to {to} s")]
    Resample {
        /// Seconds.
        from: u32,
        /// Seconds.
        to: u32,
    },
}

fn hint(night: bool) -> &'static str {
    if night {
        ": two rows of the night of a clock change have one instant, so the times are local; say --zone"
    } else {
        ": remove one of the two rows, or say which zone the times are in"
    }
}

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

fn name_of(length: u64) -> &'static str {
    match length {
        82_800 | 86_400 | 90_000 => "daily values",
        604_800 => "weekly values",
        2_332_800..=2_764_800 => "monthly values",
        _ if length > 86_400 => "values of a bill",
        _ => "no interval readings",
    }
}
