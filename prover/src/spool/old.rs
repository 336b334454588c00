//! Files that nobody has touched for long: readings are in jobs, and a job that nobody waits for is not kept.

use std::{fs, time::Duration};

use super::{PLACES, Spool, SpoolError, io_at, presence::touched, remove};

impl Spool {
    /// Removes every job, result and file that was set aside and has not been touched for `age`. A claim is touched by its
    /// worker. Who waits for a job that goes puts it in again. How many.
    ///
    /// # Errors
    /// [`SpoolError::Store`].
    pub fn remove_older(&self, age: Duration) -> Result<usize, SpoolError> {
        let (mut count, now) = (0, self.now()?);
        for place in PLACES.into_iter().filter(|place| *place != "workers") {
            let dir = self.root.join(place);
            for entry in fs::read_dir(&dir).map_err(io_at(&dir))? {
                let path = entry.map_err(io_at(&dir))?.path();
                // It may be gone, or moved, since it was listed.
                let Ok(last) = touched(&path) else { continue };
                if now.duration_since(last).is_ok_and(|silent| silent > age) {
                    remove(&path)?;
                    count += 1;
                }
            }
        }
        Ok(count)
    }
}
