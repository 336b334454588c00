//! A file's bytes to one meter's series.

use std::{collections::BTreeMap, io::Read, path::Path};

use crate::{
    Finding, Format, MAX_FILE_BYTES, Rule, Series, SourceError,
    csv::Mapping,
    energy::Energy,
    error::shown,
    formats,
    model::{Channel, Decoded},
    normalise, rules, validate,
    zone::Zone,
};

/// One meter's readings and what had to be said about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Name of the meter in the file; empty if the file names none.
    pub meter: String,
    /// The readings.
    pub series: Series,
    /// Readings in the file, duplicates included.
    pub readings: usize,
    /// Sum of the readings in the file, duplicates included, Wh (import and export), rounded down.
    pub total_wh: [u64; 2],
    /// Sum of what is in the series, tenths of a Wh (import and export), rounded down.
    pub total_tenth_wh: [u64; 2],
    /// What a community's operator allotted, Wh. Shown, never signed.
    pub community_wh: Option<u64>,
    /// Identical duplicates that were merged.
    pub merged: usize,
    /// Intervals left out because only one of two registers reports them.
    pub incomplete: usize,
    /// Format or profile.
    pub source: String,
    /// Zone of the file's times, where they were local.
    pub zone: Option<Zone>,
    /// Is a time of the file the start of an interval, or its end?
    pub stamp: &'static str,
    /// Unit in the file.
    pub unit: String,
    /// Everything that had to be said.
    pub findings: Vec<Finding>,
}

/// Which meter of a file, and how to read it. All of it may be left open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Format; found from the first bytes if absent.
    pub format: Option<Format>,
    /// Profile of a CSV; found from its columns if absent.
    pub profile: Option<String>,
    /// A user's own mapping, in place of a profile.
    pub mapping: Option<Mapping>,
    /// Meter; needed only where a file holds several that can be read.
    pub meter: Option<String>,
    /// Zone of local times, in place of the profile's.
    pub zone: Option<Zone>,
    /// Interval length, seconds; otherwise what the file says, or the distance of two starts.
    pub length: Option<u32>,
    /// Sums intervals up to this length, seconds.
    pub resample: Option<u32>,
    /// A register of |import| + |export| belongs to a meter without generation.
    pub total_is_import: bool,
    /// Highest reading of a register before it rolls over, with one unit of its last digit added.
    pub register_modulus: Option<Energy>,
    /// Key of the station that signed an OCMF file: hex or Base64 of its SubjectPublicKeyInfo or its point.
    pub public_key: Option<String>,
    /// When the first telegram of an SML capture was sent, unix seconds.
    pub starts: Option<i64>,
    /// What the connection carries, W.
    pub limit_w: Option<u64>,
}

/// Reads a file, or every file of a folder ([`crate::folder`]).
///
/// # Errors
/// [`SourceError`].
pub fn read_file(path: &Path, choice: &Choice) -> Result<Import, SourceError> {
    if path.is_dir() { crate::folder::read_folder(path, choice) } else { read_one(path, choice) }
}

/// Reads one file.
pub(crate) fn read_one(path: &Path, choice: &Choice) -> Result<Import, SourceError> {
    let file = std::fs::File::open(path).map_err(|e| SourceError::Io(e.kind()))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|e| SourceError::Io(e.kind()))?;
    read(&bytes, choice)
}

/// Reads a file's bytes.
///
/// # Errors
/// [`SourceError`].
pub fn read(bytes: &[u8], choice: &Choice) -> Result<Import, SourceError> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(SourceError::TooLarge);
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(SourceError::Empty("the file is empty".to_owned()));
    }
    finish(formats::decode(bytes, choice)?, choice)
}

/// Normalises and validates the meter that is asked for.
fn finish(decoded: Decoded, choice: &Choice) -> Result<Import, SourceError> {
    let Decoded { source, zone, stamp, unit, channels, refused, mut findings } = decoded;
    let mut meters: BTreeMap<String, Vec<Channel>> = BTreeMap::new();
    for channel in channels {
        meters.entry(channel.meter.clone()).or_default().push(channel);
    }
    let meter = match &choice.meter {
        Some(name) => match refused.into_iter().find(|(meter, _)| meter == name) {
            _ if meters.contains_key(name) => name.clone(),
            Some((_, error)) => return Err(error),
            None => return Err(SourceError::NoSuchMeter(shown(name))),
        },
        None => {
            let name = match meters.len() {
                0 => return Err(refused.into_iter().next().map_or(SourceError::Empty(String::new()), |(_, e)| e)),
                1 => meters.keys().next().cloned().unwrap_or_default(),
                _ => return Err(several(meters.keys().map(String::as_str))),
            };
            let others = refused.iter().filter(|(meter, _)| *meter != name);
            findings.extend(
                others.map(|(meter, why)| Finding::file(Rule::PassedOver, format!("meter {}: {why}", shown(meter)))),
            );
            name
        }
    };
    let channels = meters.remove(&meter).unwrap_or_default();
    let normal = normalise::normalise(channels, choice, &mut findings)?;
    let mut series = normal.series;
    if let Some(to) = choice.resample {
        series = series.resample(to)?;
    }
    if series.entries().is_empty() {
        return Err(SourceError::Empty("no interval is complete".to_owned()));
    }
    findings.extend(validate::check(&series, choice.limit_w));
    let findings = rules::joined(findings);
    let total_wh = normal.total.map(|e| u64::try_from(e.floor_wh()).unwrap_or(0));
    let total_tenth_wh = normal.kept.map(|e| u64::try_from(e.floor_tenth_wh()).unwrap_or(0));
    let community_wh = normal.community.map(|e| u64::try_from(e.floor_wh()).unwrap_or(0));
    let (readings, merged, incomplete) = (normal.readings, normal.merged, normal.incomplete);
    Ok(Import {
        meter,
        series,
        readings,
        total_wh,
        total_tenth_wh,
        community_wh,
        merged,
        incomplete,
        source,
        zone,
        stamp,
        unit,
        findings,
    })
}

/// Names the first twenty.
fn several<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> SourceError {
    let count = names.len();
    let mut list = names.take(20).map(shown).collect::<Vec<_>>().join(", ");
    if count > 20 {
        list.push_str(", ...");
    }
    SourceError::SeveralMeters { count, names: list }
}
