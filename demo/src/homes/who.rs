//! Which meter files are one home's. Right or refused: two homes are never taken for one, nor one for two.
//!
//! - Files of a folder in a street's folder are one home, which has the folder's name.
//! - Other files that name one metering point, whose name no other has, are one home.
//! - Of files with a short name such as `01`, which many utilities give every meter, no two are taken for one home's. If most
//!   of their readings differ they are homes by the names of the files; if not, that would be a guess.

use std::{
    collections::{BTreeMap, btree_map::Entry as Slot},
    path::{Path, PathBuf},
};

use gridveil_readings::{Entry, Series};

use super::{DataError, Measured, instant};

/// Readings that are compared to tell two homes apart.
const COMPARED: usize = 2_000;

/// The readings of one meter in one file.
pub(super) struct Part {
    pub(super) path: PathBuf,
    /// Folder of the home that the file belongs to.
    pub(super) folder: Option<PathBuf>,
    /// Name in the file; empty if it names none.
    pub(super) meter: String,
    /// Is it the only meter of the file?
    pub(super) alone: bool,
    pub(super) series: Series,
}

/// Homes by name, and the meters that files of several homes name.
pub(super) fn homes(parts: Vec<Part>) -> Result<(Vec<Measured>, Vec<String>), DataError> {
    let mut folders: BTreeMap<PathBuf, Vec<Part>> = BTreeMap::new();
    let mut single: BTreeMap<String, Vec<Part>> = BTreeMap::new();
    for part in parts {
        match &part.folder {
            Some(folder) => folders.entry(folder.clone()).or_default().push(part),
            None => single.entry(part.name()).or_default().push(part),
        }
    }
    let mut groups: Vec<(String, Vec<Part>)> = Vec::new();
    for (folder, parts) in folders {
        groups.push((folder.file_name().unwrap_or_default().to_string_lossy().into_owned(), parts));
    }
    let mut same_meters = Vec::new();
    for (name, parts) in single {
        if parts.len() == 1 || parts.iter().all(|part| is_unique(&part.meter)) {
            groups.push((name, parts));
            continue;
        }
        apart(&name, &parts)?;
        groups.extend(parts.into_iter().map(|part| (stem(&part.path), vec![part])));
        same_meters.push(name);
    }
    let mut homes: BTreeMap<String, Vec<Part>> = BTreeMap::new();
    let mut by_meter: BTreeMap<String, String> = BTreeMap::new();
    for (home, parts) in groups {
        for part in parts.iter().filter(|part| is_unique(&part.meter)) {
            let first = by_meter.entry(part.meter.clone()).or_insert_with(|| home.clone()).clone();
            if first != home {
                return Err(DataError::Shared { meter: part.meter.clone(), first, second: home });
            }
        }
        match homes.entry(home) {
            Slot::Vacant(slot) => drop(slot.insert(parts)),
            Slot::Occupied(slot) => return Err(unclear(slot.key(), slot.get().first(), parts.first())),
        }
    }
    let homes = homes.into_iter().map(|(name, parts)| joined(name, parts)).collect::<Result<_, _>>()?;
    Ok((homes, same_meters))
}

impl Part {
    fn name(&self) -> String {
        if self.meter.is_empty() { stem(&self.path) } else { self.meter.clone() }
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Is it the name of a metering point that no other one has? They have ten characters and more, most of them digits
/// (NMI, PRM, EAN, a UUID, AT0010000000000000001000000000001); zeros in front of a short number do not count.
fn is_unique(meter: &str) -> bool {
    let significant = meter.trim_start_matches('0');
    let known = significant.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    known && significant.len() >= 10 && significant.bytes().filter(u8::is_ascii_digit).count() >= 6
}

fn unclear(home: &str, first: Option<&Part>, second: Option<&Part>) -> DataError {
    let place = |part: Option<&Part>| part.map(|p| p.folder.as_ref().unwrap_or(&p.path).display().to_string());
    let (first, second) = (place(first).unwrap_or_default(), place(second).unwrap_or_default());
    DataError::Unclear { home: home.to_owned(), first, second }
}

/// Files that name one meter are different homes' only if each two of them differ.
fn apart(name: &str, parts: &[Part]) -> Result<(), DataError> {
    let length = parts.iter().map(|part| part.series.length()).max().unwrap_or_default();
    let all = parts.iter().map(|part| part.series.resample(length)).collect::<Result<Vec<_>, _>>()?;
    for (at, (one, series)) in parts.iter().zip(&all).enumerate() {
        for (other, against) in parts.iter().zip(&all).skip(at + 1) {
            let told = one.alone && other.alone && stem(&one.path) != stem(&other.path) && differ(series, against);
            if !told {
                return Err(unclear(name, Some(one), Some(other)));
            }
        }
    }
    Ok(())
}

/// Do most readings of the intervals that both have differ? Where both have none, that says nothing.
fn differ(one: &Series, other: &Series) -> bool {
    let pairs = one.entries().iter().filter_map(|entry| Some((entry, other.at(entry.start)?)));
    let wh = |entry: &Entry| (entry.import_wh, entry.export_wh);
    let pairs = pairs.map(|(one, other)| (wh(one), wh(other))).filter(|pair| *pair != ((0, 0), (0, 0)));
    let (mut same, mut different) = (0usize, 0usize);
    for (one, other) in pairs.take(COMPARED) {
        *(if one == other { &mut same } else { &mut different }) += 1;
    }
    different > same
}

/// One series of a home's files.
fn joined(name: String, parts: Vec<Part>) -> Result<Measured, DataError> {
    let length = parts.iter().map(|part| part.series.length()).max().unwrap_or_default();
    let mut entries: BTreeMap<i64, (Entry, &Path)> = BTreeMap::new();
    for part in &parts {
        for entry in part.series.resample(length)?.entries() {
            let Some((before, path)) = entries.insert(entry.start, (*entry, &part.path)) else { continue };
            if (before.import_wh, before.export_wh) != (entry.import_wh, entry.export_wh) {
                let (first, second) = (path.display().to_string(), part.path.display().to_string());
                return Err(DataError::Twice { home: name, first, second, start: instant(entry.start) });
            }
        }
    }
    let series = Series::new(length, entries.into_values().map(|(entry, _)| entry).collect(), Vec::new());
    Ok(Measured { name, series, files: parts.into_iter().map(|part| part.path).collect() })
}
