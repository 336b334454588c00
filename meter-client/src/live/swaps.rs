//! What a person said of a meter's swap, a line each: `swaps.jsonl` in the meter's folder.

use std::{io, path::Path};

use gridveil_keystore::durable;
use gridveil_readings::{energy::Energy, live::Swap};
use serde::{Deserialize, Serialize};

use super::folder::{self, FolderError, energy, text};

const NAME: &str = "swaps.jsonl";
/// Of more swaps than a house sees.
const MAX_BYTES: u64 = 64 << 10;

/// What was read off the two meters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Number of the new meter, if it is said.
    pub meter: Option<String>,
    /// Import and export that the old one showed last.
    pub closing: [Option<Energy>; 2],
    /// Import and export that the new one showed first.
    pub opening: [Option<Energy>; 2],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    after: i64,
    old: String,
    new: String,
    closing_import_wh: Option<String>,
    closing_export_wh: Option<String>,
    opening_import_wh: Option<String>,
    opening_export_wh: Option<String>,
}

impl Row {
    fn of(swap: &Swap) -> Option<Self> {
        let ([closing_import, closing_export], [opening_import, opening_export]) = (swap.closing, swap.opening);
        Some(Self {
            after: swap.after,
            old: swap.old.clone(),
            new: swap.new.clone(),
            closing_import_wh: text(closing_import)?,
            closing_export_wh: text(closing_export)?,
            opening_import_wh: text(opening_import)?,
            opening_export_wh: text(opening_export)?,
        })
    }

    fn swap(self) -> Option<Swap> {
        let closing = [energy(self.closing_import_wh)?, energy(self.closing_export_wh)?];
        let opening = [energy(self.opening_import_wh)?, energy(self.opening_export_wh)?];
        Some(Swap { after: self.after, old: self.old, new: self.new, closing, opening })
    }
}

/// Every swap of a folder. A last line without its end was never booked.
///
/// # Errors
/// [`FolderError::Io`], [`FolderError::Damaged`].
pub(super) fn read(folder: &Path) -> Result<Vec<Swap>, FolderError> {
    let path = folder.join(NAME);
    let bytes = match durable::read_bounded(&path, MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(FolderError::Io { path, kind: error.kind() }),
    };
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let lines = bytes.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let row = |text: &[u8]| serde_json::from_slice::<Row>(text).ok().and_then(Row::swap);
    (1..).zip(lines).map(|(line, text)| row(text).ok_or(FolderError::Damaged { path: path.clone(), line })).collect()
}

/// Keeps one more.
///
/// # Errors
/// [`FolderError::Io`].
pub(super) fn append(folder: &Path, swap: &Swap) -> Result<(), FolderError> {
    let path = folder.join(NAME);
    let failed = |kind: io::ErrorKind| FolderError::Io { path: path.clone(), kind };
    let row = Row::of(swap).and_then(|row| serde_json::to_string(&row).ok());
    let row = row.ok_or_else(|| failed(io::ErrorKind::InvalidData))?;
    // A line that a crash has cut, and that counts for nothing, goes.
    if let Ok(bytes) = durable::read_bounded(&path, MAX_BYTES) {
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole < bytes.len() {
            durable::replace(&path, bytes.get(..whole).unwrap_or_default()).map_err(|error| failed(error.kind()))?;
        }
    }
    folder::append(&path, &format!("{row}\n")).map_err(|error| failed(error.kind()))
}
