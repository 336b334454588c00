//! The data directory is its owner's alone: mode 0700, and 0600 for what is in it.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use gridveil_keystore::durable;

/// Makes the directories of a store, and takes from those that are there what others may do with them: an earlier release
/// made them for everybody. Key files are not touched: whether somebody has read them is for a person to say.
pub(super) fn close(directory: &Path) -> io::Result<()> {
    for folder in [directory.to_path_buf(), directory.join("keys"), directory.join("index")] {
        durable::private_directory(&folder)?;
        own(&folder, 0o700)?;
    }
    let snapshots = super::snapshots::path_in(directory);
    if snapshots.exists() {
        own(&snapshots, 0o700)?;
    }
    for file in [super::log::path_in(directory), super::erasures::path_in(directory)] {
        if file.exists() {
            own(&file, 0o600)?;
        }
    }
    Ok(())
}

fn own(path: &Path, mode: u32) -> io::Result<()> {
    let now = fs::metadata(path)?.mode() & 0o777;
    if now & 0o077 == 0 {
        return Ok(());
    }
    tracing::warn!("others could read the data directory: it is closed to them (chmod {mode:o})");
    let why = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("others may read it, and it cannot be closed to them ({error}): chmod -R go= it"),
        )
    };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(why)
}
