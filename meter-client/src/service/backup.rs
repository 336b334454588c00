//! Copies of the wallet's folder, as it is: every file in it is sealed under the member's keys, and the key files under their
//! passphrases or a token. A copy is made whole under another name and then takes its own; the oldest ones go.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use gridveil_keystore::durable;

/// Begin of a copy's name.
const NAME: &str = "gridveil-";
/// A copy that is being made.
const STAGED: &str = ".gridveil-new";
/// Largest file of a wallet.
const MAX_FILE: u64 = 64 << 20;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
#[error("no backup: {}: {kind}", path.display())]
pub struct BackupError {
    /// File or folder.
    pub path: PathBuf,
    /// What happened.
    pub kind: io::ErrorKind,
}

/// Copies the wallet's files and the key files into a new folder of `into`, unless the newest one there has the same, and
/// keeps the newest `keep`. Returns the new one.
///
/// # Errors
/// [`BackupError`]; no earlier copy is lost then.
pub fn back_up(
    wallet: &Path,
    keys: &[PathBuf],
    into: &Path,
    now: &str,
    keep: usize,
) -> Result<Option<PathBuf>, BackupError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error: io::Error| BackupError { path, kind: error.kind() }
    };
    // A stick that is not there is not made into a folder of the disk that is to be backed up.
    if let Some(parent) = into.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::metadata(parent).map_err(at(parent))?;
    }
    durable::private_directory(into).map_err(at(into))?;
    let mut files = Vec::new();
    for entry in fs::read_dir(wallet).map_err(at(wallet))? {
        let entry = entry.map_err(at(wallet))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // Locks, and what a crash left.
        if entry.path().is_file() && !name.starts_with('.') && !name.ends_with(".lock") {
            files.push((name.clone().into_owned(), entry.path()));
        }
    }
    for path in keys {
        let Some(name) = path.file_name() else { continue };
        let mut name = name.to_string_lossy().into_owned();
        // Two key files of one name, from two places.
        if keys.iter().take_while(|other| *other != path).any(|other| other.file_name() == path.file_name()) {
            name.insert_str(0, "device-");
        }
        files.retain(|(other, _)| *other != name);
        files.push((name, path.clone()));
    }
    files.sort();
    let copies = copies(into).map_err(at(into))?;
    if let Some(newest) = copies.last()
        && same(&files, newest)
    {
        return Ok(None);
    }
    let (staged, copy) = (into.join(STAGED), into.join(format!("{NAME}{now}")));
    if staged.exists() {
        fs::remove_dir_all(&staged).map_err(at(&staged))?;
    }
    durable::private_directory(&staged).map_err(at(&staged))?;
    for (name, path) in &files {
        let bytes = durable::read_bounded(path, MAX_FILE).map_err(at(path))?;
        let target = staged.join(name);
        durable::create_new(&target, &bytes).map_err(at(&target))?;
    }
    fs::rename(&staged, &copy).and_then(|()| durable::sync_parent(&copy)).map_err(at(&copy))?;
    let surplus = (copies.len() + 1).saturating_sub(keep.max(1));
    for old in copies.iter().take(surplus) {
        fs::remove_dir_all(old).map_err(at(old))?;
    }
    Ok(Some(copy))
}

/// Copies that there are, oldest first.
fn copies(into: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(into)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(NAME) && entry.path().is_dir() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn same(files: &[(String, PathBuf)], copy: &Path) -> bool {
    let count = fs::read_dir(copy).map_or(0, Iterator::count);
    let equal = |a: &Path, b: &Path| {
        let length = |path: &Path| File::open(path).and_then(|file| file.metadata()).map(|data| data.len());
        matches!((length(a), length(b)), (Ok(a), Ok(b)) if a == b)
            && matches!((durable::read_bounded(a, MAX_FILE), durable::read_bounded(b, MAX_FILE)), (Ok(a), Ok(b)) if a == b)
    };
    count == files.len() && files.iter().all(|(name, path)| equal(path, &copy.join(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_whole_new_and_few() {
        let dir = tempfile::tempdir().unwrap();
        let [wallet, into, keys, device] =
            ["wallet", "copies", "home.keys", "home.device"].map(|name| dir.path().join(name));
        fs::create_dir(&wallet).unwrap();
        fs::write(&keys, "keys").unwrap();
        fs::write(&device, "the meter's").unwrap();
        fs::write(wallet.join("a.wallet"), "1").unwrap();
        fs::write(wallet.join("a.lock"), "").unwrap();
        let copy = |now: &str| back_up(&wallet, &[keys.clone(), device.clone()], &into, now, 2).unwrap();
        let first = copy("20261130T090000Z").unwrap();
        assert_eq!(fs::read_dir(&first).unwrap().count(), 3);
        assert_eq!(copy("20261130T100000Z"), None, "nothing is new");
        for (now, content) in [("20261201T090000Z", "2"), ("20261202T090000Z", "3")] {
            fs::write(wallet.join("a.wallet"), content).unwrap();
            // A crash left half a copy.
            fs::create_dir_all(into.join(STAGED)).unwrap();
            fs::write(into.join(STAGED).join("a.wallet"), "half").unwrap();
            assert!(copy(now).is_some());
        }
        let names: Vec<_> = copies(&into).unwrap();
        assert!(names.len() == 2 && !first.exists() && fs::read(names[1].join("a.wallet")).unwrap() == b"3");
        let unplugged = back_up(&wallet, &[], &dir.path().join("stick/home7"), "x", 2).unwrap_err();
        assert!(unplugged.path.ends_with("stick") && !dir.path().join("stick").exists());
        let error = back_up(&dir.path().join("none"), &[keys], &into, "x", 2).unwrap_err();
        assert!(error.to_string().contains("none") && copies(&into).unwrap().len() == 2);
    }
}
