//! A folder of meter files: those that a live meter's reader writes, or those that a portal gives month by month.
//!
//! All of them are one meter's. An interval that two files have counts once. Where they differ, a measured value stands
//! against an estimate; of two measured ones the later file's is taken and asked about, as any overlap.

use std::{collections::BTreeMap, path::Path};

use crate::{
    Choice, Entry, Finding, Import, MAX_READINGS, Overlap, Place, Rule, Series, SourceError, error::shown,
    read::read_one, rules, validate,
};

/// Most files of a folder: ten years of days.
pub const MAX_FILES: usize = 4096;

/// Is a file of this name hidden, or one that a live meter's reader keeps beside its files of intervals?
#[must_use]
pub fn is_aside(name: &str) -> bool {
    name.starts_with('.') || name == "watch.json" || name == "watch.lock" || name.ends_with(".jsonl")
}

/// Reads every file of a folder, in the order of their names.
///
/// # Errors
/// [`SourceError`]; a file alone that is not read is a finding, unless none is.
pub fn read_folder(path: &Path, choice: &Choice) -> Result<Import, SourceError> {
    let failed = |error: std::io::Error| SourceError::Io(error.kind());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !is_aside(&name) && entry.path().is_file() {
            names.push((name, entry.path()));
        }
        if names.len() > MAX_FILES {
            return Err(SourceError::NotRead(format!(
                "a folder of more than {MAX_FILES} files: take the old ones out"
            )));
        }
    }
    names.sort();
    let (mut all, mut refused, mut first) = (Vec::new(), Vec::new(), None);
    for (name, path) in names {
        match read_one(&path, choice) {
            Ok(import) => all.push(import),
            Err(error) => {
                let said = Finding::file(Rule::FileRefused, format!("{}: {error}", shown(&name)));
                refused.push(said);
                first = first.or(Some(error));
            }
        }
    }
    let mut import = joined(all)
        .map_err(|none| none.or(first).unwrap_or_else(|| SourceError::Empty("no file in the folder".to_owned())))?;
    import.findings.extend(refused);
    import.findings.extend(validate::check(&import.series, choice.limit_w));
    import.findings = rules::joined(import.findings);
    Ok(import)
}

/// One import of many.
fn joined(all: Vec<Import>) -> Result<Import, Option<SourceError>> {
    let mut all = all.into_iter();
    let mut sum = all.next().ok_or(None)?;
    let length = sum.series.length();
    let mut entries: BTreeMap<i64, Entry> = sum.series.entries().iter().map(|e| (e.start, *e)).collect();
    let mut overlaps: Vec<Overlap> = sum.series.overlaps().to_vec();
    for next in all {
        if next.series.length() != length {
            return Err(Some(SourceError::Resample { from: next.series.length(), to: length }));
        }
        if sum.meter.is_empty() {
            sum.meter.clone_from(&next.meter);
        }
        if !next.meter.is_empty() && next.meter != sum.meter {
            let names = format!("{}, {}", shown(&sum.meter), shown(&next.meter));
            return Err(Some(SourceError::SeveralMeters { count: 2, names }));
        }
        for entry in next.series.entries() {
            let Some(old) = entries.get_mut(&entry.start) else {
                entries.insert(entry.start, *entry);
                continue;
            };
            let same = (old.import_wh, old.export_wh) == (entry.import_wh, entry.export_wh);
            match (same, old.quality.is_estimate(), entry.quality.is_estimate()) {
                (true, ..) => {
                    sum.merged += 1;
                    old.quality = old.quality.min(entry.quality);
                }
                (false, true, _) => *old = *entry,
                (false, false, true) => {}
                (false, false, false) => {
                    overlaps.push(Overlap { start: entry.start, kept_line: 0, dropped_line: 0 });
                    *old = *entry;
                }
            }
        }
        if entries.len() > MAX_READINGS {
            return Err(Some(SourceError::TooManyReadings { at: Place::default() }));
        }
        overlaps.extend(next.series.overlaps());
        sum.readings += next.readings;
        sum.merged += next.merged;
        sum.incomplete += next.incomplete;
        for (total, more) in sum.total_wh.iter_mut().zip(next.total_wh) {
            *total = total.saturating_add(more);
        }
        if sum.source != next.source {
            sum.source = "several formats".to_owned();
        }
        if sum.zone != next.zone {
            sum.zone = None;
        }
        sum.findings.extend(next.findings);
    }
    overlaps.sort_by_key(|o| o.start);
    overlaps.dedup_by_key(|o| o.start);
    // What a file said of the quality of an interval that another one corrects is no longer so; it is said anew.
    let anew = [Rule::Estimated, Rule::Substituted, Rule::Questionable, Rule::UnknownQuality, Rule::ClockDrift];
    let checks = [Rule::Spike, Rule::OverLimit, Rule::ZeroRun];
    sum.findings.retain(|finding| !anew.contains(&finding.rule) && !checks.contains(&finding.rule));
    sum.series = Series::new(length, entries.into_values().collect(), overlaps);
    sum.total_tenth_wh = sum.series.total_wh().map(|wh| wh.saturating_mul(10));
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_file;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    const HEAD: &str = "interval_start,import_wh,quality\n";

    #[test]
    fn days_of_a_folder_are_one_series() {
        let [one, two] = [format!("{HEAD}0,5,A\n900,6,A\n"), format!("{HEAD}900,6,A\n1800,7,A\n")];
        let dir = folder(&[
            ("2.csv", &two),
            ("1.csv", &one),
            ("watch.json", "{}"),
            ("registers-2026-11.jsonl", "{}"),
            ("notes.txt", "no readings here"),
        ]);
        let import = read_file(dir.path(), &Choice::default()).unwrap();
        assert_eq!((import.series.total_wh(), import.series.entries().len(), import.merged), ([18, 0], 3, 1));
        let said: Vec<_> = import.findings.iter().filter(|f| f.rule == Rule::FileRefused).collect();
        assert!(said.len() == 1 && said[0].detail.contains("notes.txt"), "{said:?}");
        assert!(matches!(read_file(folder(&[]).path(), &Choice::default()), Err(SourceError::Empty(_))));
        let alone = folder(&[("notes.txt", "no readings here")]);
        assert!(matches!(read_file(alone.path(), &Choice::default()), Err(SourceError::UnknownFormat { .. })));
    }

    #[test]
    fn a_measured_value_stands_against_an_estimate_and_two_of_them_are_asked_about() {
        let first = format!("{HEAD}0,5,A\n900,6,E\n1800,7,A\n");
        let second = format!("{HEAD}0,5,E\n900,9,A\n1800,8,A\n");
        let import = read_file(folder(&[("1.csv", &first), ("2.csv", &second)]).path(), &Choice::default()).unwrap();
        assert_eq!(import.series.total_wh(), [22, 0]);
        assert!(import.findings.iter().all(|f| f.rule != Rule::Estimated), "{:?}", import.findings);
        assert_eq!(import.series.overlaps().iter().map(|o| o.start).collect::<Vec<_>>(), [1800]);
        let longer = "interval_start,import_wh\n0,5\n3600,5\n";
        let two = folder(&[("1.csv", &first), ("2.csv", longer)]);
        assert!(matches!(read_file(two.path(), &Choice::default()), Err(SourceError::Resample { .. })));
    }
}
