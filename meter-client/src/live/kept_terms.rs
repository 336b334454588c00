//! How a folder's registers are made into intervals: `terms.jsonl` in it, one line, as `meter watch` was told last. Whoever opens
//! the folder after it makes the same intervals.

use std::{io, path::Path};

use gridveil_keystore::durable;
use gridveil_readings::live::Terms;
use serde::{Deserialize, Serialize};

use super::folder::{FolderError, energy, text};

const NAME: &str = "terms.jsonl";
const MAX_BYTES: u64 = 1 << 10;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    length: u32,
    modulus_wh: Option<String>,
}

/// Of a folder that `meter watch` has read into; `None` of one of an earlier release.
///
/// # Errors
/// [`FolderError::Io`], [`FolderError::Damaged`].
pub fn kept_terms(folder: &Path) -> Result<Option<Terms>, FolderError> {
    let path = folder.join(NAME);
    let bytes = match durable::read_bounded(&path, MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FolderError::Io { path, kind: error.kind() }),
    };
    let terms = serde_json::from_slice::<Row>(&bytes)
        .ok()
        .and_then(|row| Some(Terms { length: row.length, modulus: energy(row.modulus_wh)? }));
    terms.map(Some).ok_or(FolderError::Damaged { path, line: 1 })
}

/// Keeps them, in place of what was there.
///
/// # Errors
/// [`FolderError`].
pub(super) fn keep(folder: &Path, terms: Terms) -> Result<(), FolderError> {
    if kept_terms(folder)? == Some(terms) {
        return Ok(());
    }
    let path = folder.join(NAME);
    let failed = |kind: io::ErrorKind| FolderError::Io { path: path.clone(), kind };
    let row = text(terms.modulus).map(|modulus_wh| Row { length: terms.length, modulus_wh });
    let row = row.and_then(|row| serde_json::to_string(&row).ok()).ok_or_else(|| failed(io::ErrorKind::InvalidData))?;
    durable::replace(&path, format!("{row}\n").as_bytes()).map_err(|error| failed(error.kind()))
}
