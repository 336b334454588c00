//! The deployment that a data directory is of, before anything is opened: who knows it need not ask L1.

use std::path::Path;

use crate::store::{
    StoreError,
    log::{Log, LogError, path_in},
    record::{Event, Genesis, decode_body},
};

/// Ends the reading of a log.
enum End {
    /// After its first record.
    First(Option<Box<Genesis>>),
    /// It cannot be read.
    Failed(LogError),
}

impl From<LogError> for End {
    fn from(error: LogError) -> Self {
        Self::Failed(error)
    }
}

/// The deployment that the log in a data directory begins with; `None` if there is no log, or nothing in it.
///
/// # Errors
/// [`StoreError::Log`]: it cannot be read, or another process has it open.
pub fn deployment_in(data_dir: &Path) -> Result<Option<Genesis>, StoreError> {
    let path = path_in(data_dir);
    // To open a log is to create it.
    if !path.exists() {
        return Ok(None);
    }
    let read = Log::open::<End>(&path, |_, record| {
        let event = decode_body(record.kind, &record.body).and_then(|(public, _)| Event::decode(record.kind, public));
        // Anything else is told when all of it is read.
        Err(End::First(if let Ok(Event::Genesis(genesis)) = event { Some(Box::new(genesis)) } else { None }))
    });
    match read {
        Ok(_) => Ok(None),
        Err(End::First(genesis)) => Ok(genesis.map(|genesis| *genesis)),
        Err(End::Failed(error)) => Err(error.into()),
    }
}
