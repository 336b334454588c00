//! A meter file for each home.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use gridveil_readings::{Choice, Entry, Series, zone::Zone};
use jiff::tz::TimeZone;

use super::{DataError, Days, Homes, Measured, instant, table};

/// Most files of one simulation.
const MAX_FILES: usize = 4_096;

/// Where readings come from, and how they are read.
pub struct Source<'a> {
    /// A file of several homes, or meter files; folders stand for the files in them.
    pub files: &'a [PathBuf],
    /// How meter files are read, where they do not say it.
    pub choice: Choice,
    /// Which days.
    pub days: Days,
    /// Seconds of an interval; the longest of the files' if absent.
    pub length: Option<u16>,
    /// Zone of days and prices, where it is given.
    pub zone: Option<TimeZone>,
    /// Zone of days and prices, where neither it is given nor the files have one.
    pub otherwise: TimeZone,
}

/// Reads them. Files of one meter are joined. The zone is that of days and prices.
///
/// # Errors
/// A file that is not understood, a home without a reading that the others have, too many files.
pub fn read(source: Source<'_>) -> anyhow::Result<(Homes, TimeZone)> {
    let Source { files, mut choice, days, length, zone, otherwise } = source;
    let files = listed(files)?;
    let named = |path: &Path| path.display().to_string();
    if let [one] = files.as_slice() {
        let bytes = std::fs::read(one).with_context(|| named(one))?;
        if table::is_table(&bytes) {
            let zone = zone.unwrap_or(otherwise);
            return Ok((Homes::parse(&bytes, &zone, days, length).with_context(|| named(one))?, zone));
        }
    }
    if let (None, Some(zone)) = (&choice.zone, zone.as_ref().and_then(TimeZone::iana_name)) {
        choice.zone = Some(Zone::parse(zone)?);
    }
    let (mut homes, mut zones): (BTreeMap<String, Measured>, Vec<String>) = (BTreeMap::new(), Vec::new());
    for path in &files {
        let import = gridveil_readings::read_file(path, &choice).with_context(|| named(path))?;
        zones.extend(import.zone.as_ref().map(|zone| zone.name().to_owned()));
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = if import.meter.is_empty() { stem } else { import.meter };
        let joined = match homes.remove(&name) {
            Some(before) => before.joined(&import.series).with_context(|| named(path))?,
            None => Measured { name: name.clone(), series: import.series },
        };
        homes.insert(name, joined);
    }
    zones.sort_unstable();
    zones.dedup();
    let zone = match (zone, zones.as_slice()) {
        (Some(zone), _) => zone,
        (None, [one]) => TimeZone::get(one).unwrap_or(otherwise),
        (None, []) => otherwise,
        (None, several) => {
            anyhow::bail!("the files have times in {}: say with --zone whose days count", several.join(", "))
        }
    };
    Ok((Homes::of(homes.into_values().collect(), days, &zone, length, 0)?, zone))
}

/// Folders stand for the files in them, by name.
fn listed(given: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in given {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).with_context(|| path.display().to_string())?;
        let mut inside: Vec<PathBuf> = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.is_file() {
                inside.push(path);
            }
        }
        ensure!(!inside.is_empty(), "{}: no file in it", path.display());
        inside.sort_unstable();
        files.extend(inside);
    }
    ensure!(files.len() <= MAX_FILES, "{} files; at most {MAX_FILES}", files.len());
    Ok(files)
}

impl Measured {
    /// With the readings of another file of the same meter.
    fn joined(self, other: &Series) -> Result<Self, DataError> {
        let length = self.series.length().max(other.length());
        let (own, other) = (self.series.resample(length)?, other.resample(length)?);
        let mut entries: BTreeMap<i64, Entry> = own.entries().iter().map(|entry| (entry.start, *entry)).collect();
        for entry in other.entries() {
            let before = entries.insert(entry.start, *entry);
            if before.is_some_and(|before| (before.import_wh, before.export_wh) != (entry.import_wh, entry.export_wh)) {
                return Err(DataError::Twice { home: self.name, start: instant(entry.start) });
            }
        }
        Ok(Self { name: self.name, series: Series::new(length, entries.into_values().collect(), Vec::new()) })
    }
}
