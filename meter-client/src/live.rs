//! A meter that is read as it speaks, over TCP or a serial line, day and night.
//!
//! The line is opened again whenever it is cut or silent. What [`gridveil_readings::live`] finds at the border of an
//! interval is on disk before it is said to be. So a process that is killed, and started again, goes on: within an interval
//! nothing is lost or counted twice, and what it slept through is missing, and said to be.

mod folder;
mod kept_terms;
mod line;
mod swaps;
mod watch;

pub use folder::{Folder, FolderError, Told};
pub use kept_terms::kept_terms;
pub use line::{Address, AddressError, SerialFormat};
pub use watch::{Clock, ComputerClock, Options, Said, State, WatchError, watch};
