//! A live meter's folder: the registers at the borders, and from them a file of intervals for every day.
//!
//! `registers-2026-11.jsonl` has a line for every border, synced before anything else is done with it. It is the truth.
//! `2026-11-30.csv` has the intervals that begin on a day (UTC), made of it anew and replaced as a whole. So a crash
//! between the two loses nothing: the day's file is made again. `swaps.jsonl` has what a person said of a meter's swap.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use gridveil_keystore::durable;
use gridveil_readings::{
    Entry,
    energy::{Decimal, Energy, Unit},
    live::{Border, Swap, SwapError, Terms, between},
    model::Quality,
    zone::utc,
};
use serde::{Deserialize, Serialize};

pub use super::swaps::Told;
use super::{kept_terms, swaps};

/// Longest month that is read: of a border each minute, ten times over.
const MAX_MONTH: u64 = 128 << 20;
const DAY: i64 = 86_400;

/// Why a live meter's folder does not give or take something.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// File system.
    #[error("{}: {kind}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What happened.
        kind: io::ErrorKind,
    },
    /// Another process reads a meter into it.
    #[error("{}: another process reads a meter into this folder", path.display())]
    Busy {
        /// Folder.
        path: PathBuf,
    },
    /// A line that this program did not write.
    #[error("{}: line {line} was changed, or is of another release: move the file away to begin anew", path.display())]
    Damaged {
        /// File.
        path: PathBuf,
        /// Line.
        line: usize,
    },
    /// No other meter has spoken.
    #[error("{}: its registers are of one meter: say it when the new one has been read at a border", path.display())]
    NoSwap {
        /// Folder.
        path: PathBuf,
    },
    /// It was said before.
    #[error("the swap after {from} is booked already")]
    Swapped {
        /// RFC 3339.
        from: String,
    },
    /// It does not fit.
    #[error(transparent)]
    Swap(SwapError),
    /// Intervals of another length.
    #[error("{}: the folder has intervals of {have} s, not {want} s: use another folder", path.display())]
    Length {
        /// Folder.
        path: PathBuf,
        /// Seconds there.
        have: u32,
        /// Seconds asked for.
        want: u32,
    },
}

/// A border as a line of the file has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    length: u32,
    border: i64,
    read: i64,
    meter: String,
    import_wh: Option<String>,
    export_wh: Option<String>,
    seconds: Option<u32>,
    boot: Option<String>,
    up: Option<i64>,
    drifted: bool,
}

/// A register in a row; `None` if it cannot be written.
pub(super) fn text(energy: Option<Energy>) -> Option<Option<String>> {
    energy.map_or(Some(None), |energy| energy.exact_wh().map(Some))
}

/// A register of a row; `None` if it is none.
pub(super) fn energy(text: Option<String>) -> Option<Option<Energy>> {
    match text {
        None => Some(None),
        Some(text) => Decimal::parse(&text, '.').and_then(|d| Energy::of(d, Unit::Wh, 0)).map(Some),
    }
}

impl Row {
    fn of(border: &Border, length: u32) -> Option<Self> {
        let [import, export] = border.registers;
        let (boot, up) = border.computer.clone().unzip();
        Some(Self {
            length,
            border: border.start,
            read: border.read,
            meter: border.meter.clone(),
            import_wh: text(import)?,
            export_wh: text(export)?,
            seconds: border.seconds,
            boot,
            up,
            drifted: border.drifted,
        })
    }

    fn border(self) -> Option<Border> {
        Some(Border {
            start: self.border,
            read: self.read,
            meter: self.meter,
            registers: [energy(self.import_wh)?, energy(self.export_wh)?],
            seconds: self.seconds,
            computer: self.boot.zip(self.up),
            drifted: self.drifted,
        })
    }
}

/// An open folder. It holds the folder's lock until it is dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    terms: Terms,
    /// Of the last days, in order.
    borders: Vec<Border>,
    swaps: Vec<Swap>,
    torn: bool,
    _lock: File,
}

impl Folder {
    /// Opens, or makes, a folder and makes its last days' files anew.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn open(path: &Path, terms: Terms) -> Result<Self, FolderError> {
        let failed = |error: io::Error| FolderError::Io { path: path.to_owned(), kind: error.kind() };
        durable::private_directory(path).map_err(failed)?;
        let lock = durable::lock(&path.join("watch.lock")).map_err(failed)?;
        let lock = lock.ok_or_else(|| FolderError::Busy { path: path.to_owned() })?;
        let swaps = swaps::read(path)?;
        let mut folder = Self { path: path.to_owned(), terms, borders: vec![], swaps, torn: false, _lock: lock };
        folder.load_last()?;
        kept_terms::keep(path, terms)?;
        folder.forget();
        let days: BTreeSet<i64> = folder.borders.iter().map(|border| border.start.div_euclid(DAY)).collect();
        for day in days {
            folder.write_day(day)?;
        }
        Ok(folder)
    }

    /// The borders of the last two months.
    fn load_last(&mut self) -> Result<(), FolderError> {
        let path = self.path.clone();
        let failed = |error: io::Error| FolderError::Io { path: path.clone(), kind: error.kind() };
        let mut months: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("registers-") && name.ends_with(".jsonl") {
                months.push(entry.path());
            }
        }
        months.sort();
        let last = months.len().saturating_sub(2);
        self.borders.clear();
        months.iter().skip(last).try_for_each(|month| self.load(month))
    }

    /// Books the interval of the last swap of meters, and keeps what was said of it. When this returns, it is on disk.
    ///
    /// # Errors
    /// [`FolderError::NoSwap`], [`FolderError::Swapped`], [`FolderError::Swap`], [`FolderError::Io`].
    pub fn swap(&mut self, told: &Told) -> Result<Entry, FolderError> {
        self.load_last()?;
        let booked = self.book(told);
        self.forget();
        booked
    }

    fn book(&mut self, told: &Told) -> Result<Entry, FolderError> {
        let seen = self.borders.windows(2).rev().find_map(|pair| match pair {
            [a, b] if a.meter != b.meter => Some((a.clone(), b.clone())),
            _ => None,
        });
        let (a, b) = seen.ok_or_else(|| FolderError::NoSwap { path: self.path.clone() })?;
        let day = a.start.div_euclid(DAY);
        if self.swaps.iter().any(|swap| swap.after == a.start) {
            // Its file may be what a crash kept from being made.
            self.write_day(day)?;
            return Err(FolderError::Swapped { from: utc(a.start) });
        }
        let swap = Swap {
            after: a.start,
            old: a.meter.clone(),
            new: told.meter.clone().unwrap_or_else(|| b.meter.clone()),
            closing: told.closing,
            opening: told.opening,
        };
        let entry = swap.between(&a, &b, self.terms).map_err(FolderError::Swap)?;
        swaps::append(&self.path, &swap)?;
        self.swaps.push(swap);
        self.write_day(day)?;
        Ok(entry)
    }

    /// The interval between two borders that follow each other, if there is one.
    fn entry(&self, a: &Border, b: &Border) -> Option<Entry> {
        let swapped = || self.swaps.iter().find_map(|swap| swap.between(a, b, self.terms).ok());
        between(a, b, self.terms).ok().or_else(swapped)
    }

    /// The last border that was kept.
    #[must_use]
    pub fn last(&self) -> Option<&Border> {
        self.borders.last()
    }

    /// Was the last line cut by a crash? It was never said to be kept, and is gone.
    #[must_use]
    pub const fn torn(&self) -> bool {
        self.torn
    }

    /// Its place.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps a border. When this returns it is on disk, and so is the interval that ends with it, which is returned.
    ///
    /// # Errors
    /// [`FolderError::Io`]; then it may not be kept.
    pub fn keep(&mut self, border: &Border) -> Result<Option<Entry>, FolderError> {
        let month = utc(border.start).chars().take(7).collect::<String>();
        let path = self.path.join(format!("registers-{month}.jsonl"));
        let failed = |path: &Path, error: io::Error| FolderError::Io { path: path.to_owned(), kind: error.kind() };
        let row = Row::of(border, self.terms.length).and_then(|row| serde_json::to_string(&row).ok());
        let row = row.ok_or_else(|| failed(&path, io::ErrorKind::InvalidData.into()))?;
        append(&path, &format!("{row}\n")).map_err(|error| failed(&path, error))?;
        let before = self.borders.last().map(|last| between(last, border, self.terms));
        self.borders.push(border.clone());
        let Some(Ok(entry)) = before else { return Ok(None) };
        self.write_day(entry.start.div_euclid(DAY))?;
        self.forget();
        Ok(Some(entry))
    }

    fn load(&mut self, path: &Path) -> Result<(), FolderError> {
        let failed = |error: io::Error| FolderError::Io { path: path.to_owned(), kind: error.kind() };
        let bytes = durable::read_bounded(path, MAX_MONTH).map_err(failed)?;
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        if whole < bytes.len() {
            self.torn = true;
            let file = OpenOptions::new().write(true).open(path).map_err(failed)?;
            file.set_len(whole as u64).and_then(|()| file.sync_all()).map_err(failed)?;
        }
        let lines = bytes.get(..whole).unwrap_or_default().split(|b| *b == b'\n').filter(|line| !line.is_empty());
        for (line, text) in (1..).zip(lines) {
            let damaged = || FolderError::Damaged { path: path.to_owned(), line };
            let row: Row = serde_json::from_slice(text).map_err(|_| damaged())?;
            if row.length != self.terms.length {
                let (have, want) = (row.length, self.terms.length);
                return Err(FolderError::Length { path: self.path.clone(), have, want });
            }
            let border = row.border().ok_or_else(damaged)?;
            if self.borders.last().is_some_and(|last| last.start >= border.start) {
                return Err(damaged());
            }
            self.borders.push(border);
        }
        Ok(())
    }

    /// Keeps in memory what the last two days' files are made of.
    fn forget(&mut self) {
        let Some(last) = self.borders.last() else { return };
        let from = (last.start.div_euclid(DAY) - 1) * DAY;
        self.borders.retain(|border| border.start >= from);
    }

    /// The file of the intervals that begin on a day.
    fn write_day(&self, day: i64) -> Result<(), FolderError> {
        let pairs = self.borders.windows(2).filter_map(|pair| match pair {
            [a, b] if a.start.div_euclid(DAY) == day => self.entry(a, b).map(|entry| (entry, a.registers)),
            _ => None,
        });
        let rows: Vec<(Entry, [Option<Energy>; 2])> = pairs.collect();
        if rows.is_empty() {
            return Ok(());
        }
        let has = |side: usize| rows.iter().any(|(_, registers)| registers.get(side).is_some_and(Option::is_some));
        let columns = [(has(0), "import_wh"), (has(1), "export_wh")];
        let mut text = "interval_start_utc,interval_end_utc".to_owned();
        for (_, name) in columns.iter().filter(|(there, _)| *there) {
            let _ = write!(text, ",{name}");
        }
        text.push_str(",quality\n");
        for (entry, registers) in &rows {
            let _ = write!(text, "{},{}", utc(entry.start), utc(entry.start + i64::from(self.terms.length)));
            let values = [entry.import_wh, entry.export_wh];
            for ((_, register), wh) in columns.iter().zip(registers).zip(values).filter(|(((there, _), _), _)| *there) {
                // A register that is not shown has no value; that is not zero.
                let _ = if register.is_some() { write!(text, ",{wh}") } else { write!(text, ",") };
            }
            let quality = if entry.quality == Quality::Drifted { "clock-drift" } else { "measured" };
            let _ = writeln!(text, ",{quality}");
        }
        let path = self.path.join(format!("{}.csv", utc(day * DAY).chars().take(10).collect::<String>()));
        durable::replace(&path, text.as_bytes()).map_err(|error| FolderError::Io { path, kind: error.kind() })
    }
}

/// Appends and syncs. What fails in the middle is taken back.
pub(super) fn append(path: &Path, line: &str) -> io::Result<()> {
    let new = !path.exists();
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let before = file.metadata()?.len();
    if let Err(error) = file.write_all(line.as_bytes()).and_then(|()| file.sync_data()) {
        let _ = file.set_len(before);
        return Err(error);
    }
    if new { durable::sync_parent(path) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { length: 900, modulus: None };
    /// A quarter of an hour before a month ends.
    const LATE: i64 = 1_769_903_100;

    fn border(quarters: i64, wh: &str) -> Border {
        let energy = Decimal::parse(wh, '.').and_then(|d| Energy::of(d, Unit::Wh, 0));
        let start = LATE + quarters * 900;
        let registers = [energy, None];
        Border { start, read: start + 2, meter: "m".into(), registers, seconds: None, computer: None, drifted: false }
    }

    fn day(folder: &Path, name: &str) -> Vec<String> {
        std::fs::read_to_string(folder.join(name)).unwrap().lines().skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn a_folder_goes_on_where_it_was_killed() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path(), TERMS).unwrap();
        assert!(matches!(Folder::open(dir.path(), TERMS), Err(FolderError::Busy { .. })));
        assert!(folder.keep(&border(0, "100.9")).unwrap().is_none(), "a first reading books nothing");
        // Of the last day of a month, though the reading that ends it is the next month's.
        assert_eq!(folder.keep(&border(1, "150.1")).unwrap().map(|e| e.import_wh), Some(50));
        drop(folder);
        // Killed between the register and the day's file, and in the middle of the next line.
        std::fs::remove_file(dir.path().join("2026-01-31.csv")).unwrap();
        let month = dir.path().join("registers-2026-02.jsonl");
        let kept = std::fs::read_to_string(&month).unwrap();
        std::fs::write(&month, format!("{kept}{}", &kept[..40])).unwrap();
        let mut folder = Folder::open(dir.path(), TERMS).unwrap();
        assert!(folder.torn() && std::fs::read_to_string(&month).unwrap() == kept);
        assert_eq!(day(dir.path(), "2026-01-31.csv"), ["2026-01-31T23:45:00Z,2026-02-01T00:00:00Z,50,measured"]);
        folder.keep(&border(2, "151.0")).unwrap();
        // Slept through.
        assert!(folder.keep(&border(4, "300")).unwrap().is_none());
        let drifted = Border { drifted: true, ..border(5, "302.5") };
        folder.keep(&drifted).unwrap();
        assert_eq!(
            day(dir.path(), "2026-02-01.csv"),
            [
                "2026-02-01T00:00:00Z,2026-02-01T00:15:00Z,1,measured",
                "2026-02-01T00:45:00Z,2026-02-01T01:00:00Z,2,clock-drift"
            ]
        );
    }

    #[test]
    fn what_was_changed_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path(), TERMS).unwrap();
        folder.keep(&border(0, "1")).unwrap();
        folder.keep(&Border { registers: [None, Some(Energy::wh(5))], ..border(1, "0") }).unwrap();
        drop(folder);
        let other = Terms { length: 3600, modulus: None };
        assert!(matches!(Folder::open(dir.path(), other), Err(FolderError::Length { have: 900, want: 3600, .. })));
        let month = dir.path().join("registers-2026-02.jsonl");
        let kept = std::fs::read_to_string(&month).unwrap();
        for changed in [kept.replace("null", "\"1,5\""), format!("{kept}{kept}"), "\0\0\n".to_owned()] {
            std::fs::write(&month, changed).unwrap();
            assert!(matches!(Folder::open(dir.path(), TERMS), Err(FolderError::Damaged { .. })));
        }
    }
}
