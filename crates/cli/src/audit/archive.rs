//! A year of openings as one file to hand over: a ZIP archive of the files that `gridveil audit open-header --all` writes.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use gridveil_keystore::durable::{self, Access};
use gridveil_meter_client::wallet::MAX_EXCHANGE_FILE;
use zip::{ZipArchive, ZipWriter, write::SimpleFileOptions};

/// How an archive's name ends.
const EXTENSION: &str = "zip";
/// Most openings of one archive: a day's periods of 65,536 communities, or a year of 2,800.
const MAX_ENTRIES: usize = 1 << 20;

/// Is a path an archive's, by its name?
pub fn is_archive(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(EXTENSION))
}

/// Writes the files into one archive, in their order, under their own names; its owner alone may read it. An older
/// archive is replaced as a whole.
///
/// # Errors
/// A file that cannot be read, more than a million, or the archive.
pub fn write(path: &Path, files: &[PathBuf]) -> anyhow::Result<()> {
    anyhow::ensure!(
        files.len() <= MAX_ENTRIES,
        "more than {MAX_ENTRIES} openings: choose fewer days with --from and --to"
    );
    let fill = |file: &mut File| {
        let mut archive = ZipWriter::new(file);
        for file in files {
            let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
            archive.start_file(name, SimpleFileOptions::default().unix_permissions(0o600))?;
            archive.write_all(&fs::read(file)?)?;
        }
        archive.finish()?;
        Ok(())
    };
    durable::replace_with(path, Access::Owner, fill).with_context(|| path.display().to_string())
}

/// Gives every file of an archive to `take`, with its name.
///
/// # Errors
/// No archive, a damaged or encrypted one, one with more than a million files or with a file that no opening is as long
/// as; what `take` refuses.
pub fn read(path: &Path, mut take: impl FnMut(&str, &[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let shown = path.display();
    let file = File::open(path).with_context(|| shown.to_string())?;
    let mut archive = ZipArchive::new(file).with_context(|| format!("{shown}: no ZIP archive, or a damaged one"))?;
    anyhow::ensure!(archive.len() <= MAX_ENTRIES, "{shown}: more than {MAX_ENTRIES} files");
    for index in 0..archive.len() {
        let entry = archive.by_index(index).with_context(|| format!("{shown}: file {}", index + 1))?;
        let name = entry.name().map_or_else(|_| format!("file {}", index + 1), |name| name.into_owned());
        let mut bytes = Vec::new();
        // What the directory says of its length may be wrong.
        entry.take(MAX_EXCHANGE_FILE + 1).read_to_end(&mut bytes).with_context(|| format!("{shown}: {name}"))?;
        anyhow::ensure!(bytes.len() as u64 <= MAX_EXCHANGE_FILE, "{shown}: {name}: larger than any opening");
        take(&name, &bytes).with_context(|| format!("{shown}: {name}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &Path) -> anyhow::Result<Vec<(String, usize)>> {
        let mut found = Vec::new();
        read(path, |name, bytes| {
            found.push((name.to_owned(), bytes.len()));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn what_was_written_is_read_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["0-415224.json", "1-415224.json"].map(|name| folder.path().join(name));
        files.iter().enumerate().for_each(|(n, file)| fs::write(file, vec![b' '; 1000 + n]).unwrap());
        let archive = folder.path().join("openings.zip");
        assert!(is_archive(&archive) && !is_archive(folder.path()));
        write(&archive, &files[..1]).unwrap();
        write(&archive, &files).unwrap();
        let expected = [("0-415224.json".to_owned(), 1000), ("1-415224.json".to_owned(), 1001)];
        assert_eq!(names(&archive).unwrap(), expected);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&archive).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(write(&archive, &[folder.path().join("2-415224.json")]).is_err(), "a file is missing");
        assert_eq!(names(&archive).unwrap(), expected, "the older archive stands");
    }

    #[test]
    fn what_is_no_archive_of_openings_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("openings.zip");
        let refused = |needle: &str| {
            let error = format!("{:#}", names(&archive).unwrap_err());
            assert!(error.contains(needle), "{error}");
        };
        fs::write(&archive, b"{}").unwrap();
        refused("no ZIP archive");
        // A file of a few kilobytes that becomes too long when it is read.
        let bomb = folder.path().join("bomb.json");
        fs::write(&bomb, vec![b' '; MAX_EXCHANGE_FILE as usize + 1]).unwrap();
        write(&archive, &[bomb]).unwrap();
        assert!(fs::metadata(&archive).unwrap().len() < 100_000);
        refused("bomb.json: larger than any opening");
        let whole = fs::read(&archive).unwrap();
        fs::write(&archive, &whole[..whole.len() / 2]).unwrap();
        refused("no ZIP archive");
    }
}
