//! What columns mean.

use serde::Deserialize;

use crate::SourceError;

/// Longest mapping file, bytes.
const LONGEST: usize = 64 << 10;

/// Names of one column: any of them. Case, spaces at the ends and a unit in brackets do not count; a `*` at either end
/// stands for anything.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Names {
    /// One name.
    One(String),
    /// Any of them.
    Any(Vec<String>),
}

impl Names {
    /// The names.
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Any(names) => names,
        }
    }
}

/// What a column of energy counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counts {
    /// Taken from the network.
    Import,
    /// Fed in.
    Export,
    /// Import less export.
    Net,
    /// Export less import.
    NetExport,
    /// What the home uses; with `pv` it gives the net.
    Load,
    /// What its generator makes.
    Pv,
    /// What a community's operator allotted.
    Community,
    /// Told row by row ([`Mapping::direction`]).
    Told,
}

/// A column of energy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnergyColumn {
    /// Its names.
    pub column: Names,
    /// What it counts.
    pub direction: Counts,
    /// Unit, where neither the header nor the file says it.
    #[serde(default)]
    pub unit: Option<String>,
    /// Is it a register that counts up?
    #[serde(default)]
    pub register: bool,
    /// Highest reading of the register, with its decimals, in its unit.
    #[serde(default)]
    pub register_max: Option<String>,
}

/// Which words of a column mean which direction.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectionColumn {
    /// Its names.
    pub column: Names,
    /// Words of import.
    #[serde(default)]
    pub import: Vec<String>,
    /// Words of export.
    #[serde(default)]
    pub export: Vec<String>,
    /// Words of rows that are not energy.
    #[serde(default)]
    pub ignore: Vec<String>,
}

/// Which words of a column tell the two hours of autumn apart.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeasonColumn {
    /// Its names.
    pub column: Names,
    /// Words of the first.
    pub summer: Vec<String>,
    /// Words of the second.
    pub winter: Vec<String>,
}

/// What stands above the header: a line of names, and a line of values below it, or `name: value`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preamble {
    /// Unit.
    #[serde(default)]
    pub unit: Option<String>,
    /// Minutes of an interval.
    #[serde(default)]
    pub minutes: Option<String>,
    /// Metering point.
    #[serde(default)]
    pub meter: Option<String>,
    /// Direction.
    #[serde(default)]
    pub direction: Option<String>,
    /// Words of import.
    #[serde(default)]
    pub import: Vec<String>,
    /// Words of export.
    #[serde(default)]
    pub export: Vec<String>,
}

/// Words of a quality column beside those that every profile knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QualityWords {
    /// Measured.
    #[serde(default)]
    pub measured: Vec<String>,
    /// Estimated.
    #[serde(default)]
    pub estimated: Vec<String>,
    /// Put in by the utility.
    #[serde(default)]
    pub substituted: Vec<String>,
    /// No value at all, whatever stands in its cell.
    #[serde(default)]
    pub missing: Vec<String>,
}

/// What the columns of a CSV mean. Everything but times and energies may be left open.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Name.
    #[serde(default)]
    pub name: String,
    /// For people.
    #[serde(default)]
    pub title: String,
    /// Is the profile found from the columns? If not, it has to be named.
    #[serde(default = "yes")]
    pub found: bool,
    /// Zone of local times.
    #[serde(default)]
    pub zone: Option<String>,
    /// Field separator; found from the header if absent.
    #[serde(default)]
    pub separator: Option<char>,
    /// Decimal sign; found from the values if absent.
    #[serde(default)]
    pub decimal: Option<char>,
    /// Encoding; UTF-8, UTF-16 or Windows-1252 are found if absent.
    #[serde(default)]
    pub encoding: Option<String>,
    /// Lines before the header; found if absent.
    #[serde(default)]
    pub skip: Option<usize>,
    /// Order of a date's numbers: `ymd`, `dmy` or `mdy`.
    #[serde(default)]
    pub order: Option<super::Order>,
    /// Columns of the start of an interval, joined (date, then time).
    #[serde(default)]
    pub start: Vec<Names>,
    /// Columns of its end, joined.
    #[serde(default)]
    pub end: Vec<Names>,
    /// `count`: the time is the number of the hour of the day, 1 to 23, 24 or 25, however clocks change.
    #[serde(default)]
    pub hour: Option<String>,
    /// Seconds of an interval; found from the times if absent.
    #[serde(default)]
    pub length: Option<u32>,
    /// One row a day: columns such as `00:00-00:15` hold its values.
    #[serde(default)]
    pub day_rows: bool,
    /// Columns of energy.
    #[serde(default)]
    pub energy: Vec<EnergyColumn>,
    /// Column of the unit.
    #[serde(default)]
    pub unit_column: Option<Names>,
    /// Column that tells the direction of a row.
    #[serde(default)]
    pub direction: Option<DirectionColumn>,
    /// Column of the metering point.
    #[serde(default)]
    pub meter: Option<Names>,
    /// Column of the device's number: registers of two devices are joined where one was swapped for the other.
    #[serde(default)]
    pub device: Option<Names>,
    /// Column of the quality.
    #[serde(default)]
    pub quality: Option<Names>,
    /// Words of it.
    #[serde(default)]
    pub quality_words: QualityWords,
    /// Column of the clock change.
    #[serde(default)]
    pub season: Option<SeasonColumn>,
    /// Above the header.
    #[serde(default)]
    pub preamble: Preamble,
    /// Columns without which the profile is not this one.
    #[serde(default)]
    pub needs: Vec<Names>,
}

fn yes() -> bool {
    true
}

impl Mapping {
    /// Reads a mapping file.
    ///
    /// # Errors
    /// [`SourceError::Mapping`].
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        if text.len() > LONGEST {
            return Err(SourceError::Mapping(format!("more than {LONGEST} bytes")));
        }
        let mapping: Self = toml::from_str(text).map_err(|e| SourceError::Mapping(e.to_string()))?;
        let wrong = |what: &str| Err(SourceError::Mapping(what.to_owned()));
        if mapping.start.is_empty() && mapping.end.is_empty() {
            return wrong("no time: name the columns of start or end");
        }
        if mapping.energy.is_empty() && !mapping.day_rows {
            return wrong("no [[energy]]: name the columns of energy, each with its direction");
        }
        if mapping.hour.as_deref().is_some_and(|hour| hour != "count") {
            return wrong("hour is \"count\", or absent");
        }
        let told = mapping.direction.is_some() || mapping.preamble.direction.is_some();
        if mapping.energy.iter().any(|e| e.direction == Counts::Told) && !told {
            return wrong("direction = \"told\" needs a [direction] column, or a direction above the header");
        }
        if let Some(zone) = &mapping.zone {
            crate::zone::Zone::parse(zone)?;
        }
        Ok(mapping)
    }
}

/// A profile that comes with the program.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// Name, for `--profile`.
    pub name: &'static str,
    /// Its mapping file.
    pub text: &'static str,
}

macro_rules! profiles {
    ($($name:literal)*) => {
        /// Every profile.
        pub const PROFILES: &[Profile] =
            &[$(Profile { name: $name, text: include_str!(concat!("../../../profiles/", $name, ".toml")) },)*];
    };
}

profiles! {
    "own" "enedis" "fluvius" "datadis" "es-distribuidora" "eredes" "octopus" "netz-noe" "netz-noe-feed-in" "netz-ooe"
    "wiener-netze" "salzburg-netz" "linz-netz" "netz-burgenland" "netz-burgenland-v2" "kaernten-netz" "ebner-strom"
    "stromnetz-graz" "energienetze-steiermark" "vorarlberg-netz" "klagenfurt" "clam-strom" "eww-wels" "eloverblik"
    "enel-distribuzione" "duke" "dominion" "sdge" "homematic-register"
}

/// Every profile's mapping.
///
/// # Errors
/// [`SourceError::Mapping`]: not of a program that passed its tests.
pub fn profiles() -> Result<Vec<Mapping>, SourceError> {
    PROFILES
        .iter()
        .map(|profile| {
            let mapping = Mapping::parse(profile.text)?;
            Ok(Mapping { name: profile.name.to_owned(), ..mapping })
        })
        .collect()
}
