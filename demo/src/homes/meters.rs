//! A meter file for each home.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use gridveil_readings::{Choice, Import, SourceError, folder::is_aside, read_file, zone::Zone};
use jiff::tz::TimeZone;

use super::{
    DataError, Days, Homes, table,
    who::{self, Part},
    zone_name,
};

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
    /// Zone of days, prices and local times, where it is given.
    pub zone: Option<TimeZone>,
    /// Zone of a tariff that is given: of days and prices, and of local times of which a file does not say where.
    pub tariff: Option<TimeZone>,
    /// Zone of days and prices, where neither is given and the files name none.
    pub otherwise: TimeZone,
}

/// By which clock days and prices go.
pub struct Clock {
    /// Zone.
    pub zone: TimeZone,
    /// Was it given, or named by the files?
    pub known: bool,
}

/// Most meters whose names an error of the reader lists.
const LISTED_METERS: usize = 20;

/// A file, and the folder of the home that it belongs to.
struct Listed {
    path: PathBuf,
    home: Option<PathBuf>,
}

/// Reads them. Which files are one home's says `who`.
///
/// # Errors
/// A file that is not understood, a home without a reading that the others have, too many files.
pub fn read(source: Source<'_>) -> anyhow::Result<(Homes, Clock)> {
    let Source { files, mut choice, days, length, zone, tariff, otherwise } = source;
    let files = listed(files)?;
    let named = |path: &Path| path.display().to_string();
    let given = zone.clone().or_else(|| tariff.clone());
    if let [Listed { path: one, home: None }] = files.as_slice() {
        let bytes = std::fs::read(one).with_context(|| named(one))?;
        if table::is_table(&bytes) {
            let clock = Clock { known: true, zone: given.unwrap_or(otherwise) };
            let homes = Homes::parse(&bytes, &clock.zone, days, length).with_context(|| named(one))?;
            return Ok((homes, clock));
        }
    }
    if let (None, Some(zone)) = (&choice.zone, &zone) {
        choice.zone = Some(Zone::parse(&zone_name(zone))?);
    }
    let tariff = tariff.map(|zone| Zone::parse(&zone_name(&zone))).transpose()?;
    let (mut parts, mut zones): (Vec<Part>, Vec<String>) = (Vec::new(), Vec::new());
    for Listed { path, home } in files {
        let imports = meters(&path, &choice, tariff.as_ref()).with_context(|| named(&path))?;
        let count = imports.len();
        if count > 1 && home.is_some() {
            return Err(DataError::OneHome { count }).with_context(|| named(&path));
        }
        for Import { meter, zone, series, .. } in imports {
            zones.extend(zone.map(|zone| zone.name().to_owned()));
            parts.push(Part { path: path.clone(), folder: home.clone(), meter, alone: count == 1, series });
        }
    }
    zones.sort_unstable();
    zones.dedup();
    let clock = match (given, zones.as_slice()) {
        (Some(zone), _) => Clock { zone, known: true },
        (None, [one]) => Clock { zone: zone_of(one)?, known: true },
        (None, []) => Clock { zone: otherwise, known: false },
        (None, several) => {
            anyhow::bail!("the files have times in {}: say with --zone whose days count", several.join(", "))
        }
    };
    let (measured, same_meters) = who::homes(parts)?;
    Ok((Homes { same_meters, ..Homes::of(measured, days, &clock.zone, length, 0)? }, clock))
}

/// A zone as a file names it: by name, or an offset.
fn zone_of(name: &str) -> anyhow::Result<TimeZone> {
    let parser = jiff::fmt::temporal::DateTimeParser::new();
    parser.parse_time_zone(name).with_context(|| format!("the files have times in {name}: say --zone"))
}

/// Every meter of a file. `tariff` is the zone of local times of which the file does not say where.
fn meters(path: &Path, choice: &Choice, tariff: Option<&Zone>) -> Result<Vec<Import>, DataError> {
    let read = |choice: &Choice| match (read_file(path, choice), tariff) {
        (Err(SourceError::NoZone { .. }), Some(zone)) => {
            read_file(path, &Choice { zone: Some(zone.clone()), ..choice.clone() })
        }
        (result, _) => result,
    };
    let (count, names) = match read(choice) {
        Err(SourceError::SeveralMeters { count, names }) => (count, names),
        result => return Ok(vec![result?]),
    };
    let names: Vec<&str> = names.split(", ").collect();
    if names.len() != count || count > LISTED_METERS {
        return Err(DataError::Meters { count });
    }
    let of = |name: &&str| match read(&Choice { meter: Some((*name).to_owned()), ..choice.clone() }) {
        // Its name is too long to be listed whole.
        Err(SourceError::NoSuchMeter(_)) => Err(DataError::Meters { count }),
        result => Ok(result?),
    };
    names.iter().map(of).collect()
}

/// A folder stands for the files in it, by name, and each folder in it for a home.
fn listed(given: &[PathBuf]) -> anyhow::Result<Vec<Listed>> {
    let mut files = Vec::new();
    for path in given {
        if !path.is_dir() {
            files.push(Listed { path: path.clone(), home: None });
            continue;
        }
        let before = files.len();
        for path in inside(path)? {
            if !path.is_dir() {
                files.push(Listed { path, home: None });
                continue;
            }
            let of_home = inside(&path)?;
            ensure!(!of_home.is_empty(), "{}: no file in it", path.display());
            for file in of_home {
                ensure!(!file.is_dir(), "{}: a folder in the folder of a home", file.display());
                files.push(Listed { path: file, home: Some(path.clone()) });
            }
        }
        ensure!(files.len() > before, "{}: no file in it", path.display());
    }
    ensure!(files.len() <= MAX_FILES, "{} files; at most {MAX_FILES}", files.len());
    // A file that is given twice is one.
    let mut seen = std::collections::BTreeSet::new();
    files.retain(|file| file.path.canonicalize().map_or(true, |path| seen.insert(path)));
    Ok(files)
}

/// Files and folders, by name, without hidden ones and those that `meter watch` keeps beside its readings.
fn inside(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let path = entry.path();
        if !is_aside(&entry.file_name().to_string_lossy()) && (path.is_file() || path.is_dir()) {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    Ok(paths)
}
