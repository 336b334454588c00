//! Who is there, and since when nobody has heard of it. Times are those of the file system alone: on a network disk the
//! clocks of the machines differ, and by seconds is enough where a lease has ten.

use std::{
    fs, io,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

use super::{Named, Spool, SpoolError, io_at, remove};
use crate::worker::LEASE;

/// Of claims by releases that did not write theirs down.
const UNWRITTEN: Duration = Duration::from_secs(60);
/// The longest lease that a name is believed to say.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Sets a file's modification time to the file system's own now.
pub(super) fn touch(path: &Path) -> io::Result<()> {
    touch_open(&fs::OpenOptions::new().append(true).open(path)?)
}

fn touch_open(file: &fs::File) -> io::Result<()> {
    let of = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    let times = Timestamps { last_access: of(UTIME_OMIT), last_modification: of(UTIME_NOW) };
    Ok(rustix::fs::futimens(file, &times)?)
}

/// When a file was touched. It is opened for that: a network disk answers what it remembers for one that is not.
pub(super) fn touched(path: &Path) -> io::Result<SystemTime> {
    fs::File::open(path)?.metadata()?.modified()
}

fn millis(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(|millis| Duration::from_millis(millis).min(LONGEST))
}

/// The lease a claim was made for: the part of its name behind id, attempt and worker.
fn lease_of(claim: &Path) -> Duration {
    let name = claim.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.split('.').nth(3).and_then(millis).unwrap_or(UNWRITTEN)
}

impl Spool {
    /// Now, by the clock of the file system.
    pub(super) fn now(&self) -> Result<SystemTime, SpoolError> {
        static LOOKS: AtomicU64 = AtomicU64::new(0);
        let look = LOOKS.fetch_add(1, Ordering::Relaxed);
        let path = self.at("tmp", format_args!("clock-{}-{look}", std::process::id()));
        let read = fs::File::create(&path)
            .and_then(|file| touch_open(&file))
            .and_then(|()| touched(&path))
            .map_err(io_at(&path));
        remove(&path)?;
        read
    }

    /// Says that `worker` is there.
    pub(crate) fn serving(&self, worker: &str) -> Result<(), SpoolError> {
        let path = self.at("workers", worker);
        let told = match touch(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::write(&path, self.config.lease.as_millis().to_string())
            }
            told => told,
        };
        told.map_err(io_at(&path))
    }

    /// Says that it is there no longer.
    pub(crate) fn leave(&self, worker: &str) -> Result<(), SpoolError> {
        Ok(remove(&self.at("workers", worker))?)
    }

    /// Workers that were heard of within their lease.
    ///
    /// # Errors
    /// [`SpoolError::Store`].
    pub fn provers(&self) -> Result<usize, SpoolError> {
        let dir = self.root.join("workers");
        let (mut count, now) = (0, self.now()?);
        for entry in fs::read_dir(&dir).map_err(io_at(&dir))? {
            let path = entry.map_err(io_at(&dir))?.path();
            let Ok(beat) = touched(&path) else { continue };
            let silent = now.duration_since(beat).unwrap_or_default();
            if silent <= fs::read_to_string(&path).ok().as_deref().and_then(millis).unwrap_or(LEASE) {
                count += 1;
            } else if silent > LONGEST {
                // It went without a word, long ago.
                remove(&path)?;
            }
        }
        Ok(count)
    }

    /// Puts claims back whose worker has not been heard of for the lease that it claimed with. How many.
    ///
    /// # Errors
    /// [`SpoolError`].
    pub fn redeliver(&self, worker: &str) -> Result<usize, SpoolError> {
        let claims = self.list("claimed")?;
        if claims.is_empty() {
            return Ok(0);
        }
        let (mut count, now) = (0, self.now()?);
        for Named { id, attempt, batch, path: file } in claims {
            let Ok(beat) = touched(&file) else { continue };
            if now.duration_since(beat).unwrap_or_default() <= lease_of(&file) {
                continue;
            }
            if self.at("results", id).exists() {
                remove(&file)?;
                continue;
            }
            tracing::warn!(job = %id, attempt, worker, "a worker has gone silent: its job is delivered again");
            if attempt >= self.config.attempts {
                self.set_aside(id, &file, "every worker that took it has gone silent (killed, or out of memory?)")?;
            } else {
                self.put_back(id, attempt.saturating_add(1), batch, &file)?;
            }
            count += 1;
        }
        Ok(count)
    }
}
