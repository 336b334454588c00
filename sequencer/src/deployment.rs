//! The deployment that a data directory is of, before anything is opened: who knows it need not ask L1.

use std::path::Path;

use crate::store::{
    StoreError,
    bodies::Bodies,
    data_keys::{DataKeyError, read_master_key},
    log::{self, Log, LogError, path_in},
    record::{Event, Genesis, decode_body},
};

/// Ends the reading of a log.
enum End {
    /// After its first record.
    First(Option<Box<Genesis>>),
    /// It cannot be read.
    Failed(StoreError),
}

impl From<LogError> for End {
    fn from(error: LogError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

/// The deployment that the log in a data directory begins with; `None` if there is no log, or nothing in it.
///
/// # Errors
/// [`StoreError`]: the log cannot be read, another process has it open, or the master key is gone or another log's.
pub fn deployment_in(data_dir: &Path, master_key_file: &Path) -> Result<Option<Genesis>, StoreError> {
    let path = path_in(data_dir);
    // To open a log is to create it.
    if !log::is_there(&path)? {
        return Ok(None);
    }
    if !master_key_file.exists() {
        return Err(DataKeyError::MasterGone.into());
    }
    let master = read_master_key(master_key_file)?;
    let read = Log::open::<End>(&path, |identity, record| {
        let body = Bodies::of(&master, identity).open(record.kind, record.body)?;
        let event = decode_body(record.kind, &body).and_then(|(public, _)| Event::decode(record.kind, public));
        // Anything else is told when all of it is read.
        Err(End::First(if let Ok(Event::Genesis(genesis)) = event { Some(Box::new(genesis)) } else { None }))
    });
    match read {
        Ok(_) => Ok(None),
        Err(End::First(genesis)) => Ok(genesis.map(|genesis| *genesis)),
        Err(End::Failed(error)) => Err(error),
    }
}
