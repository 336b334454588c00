//! The loop: a line, its telegrams, their borders.

use std::{
    collections::BTreeMap,
    io,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use gridveil_keystore::durable;
use gridveil_readings::{
    Entry,
    live::{Book, Event, Found, Now, Speech, Stream, Terms, Trouble},
    zone::utc,
};
use serde::{Deserialize, Serialize};

use super::{
    folder::{Folder, FolderError},
    line::{Address, Line, SerialFormat},
};

/// The first pause before a line is opened again; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The state is written no oftener, but when an interval is kept.
const STATE_EVERY: Duration = Duration::from_secs(10);
/// A trouble is said no oftener, each of its own.
const SAY_EVERY: Duration = Duration::from_secs(60);
const STATE_FILE: &str = "watch.json";
const MAX_STATE: u64 = 64 << 10;

/// Why a meter is not read any more.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// What was read cannot be kept.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The machine says neither what time it is nor how long it has run.
    #[error("the machine has no clock that can be read")]
    Clock,
}

/// How to read a meter.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it is.
    pub address: Address,
    /// What it speaks.
    pub speech: Speech,
    /// Speed and format of a serial line.
    pub serial: SerialFormat,
    /// Length of intervals, and where registers roll over.
    pub terms: Terms,
    /// After so long without a telegram the line is opened again.
    pub silence: Duration,
}

/// What time it is.
pub trait Clock {
    /// The computer's time.
    ///
    /// # Errors
    /// [`WatchError::Clock`].
    fn now(&self) -> Result<Now, WatchError>;
}

/// The machine's own clocks.
#[derive(Clone, Debug)]
pub struct ComputerClock {
    boot: String,
}

impl ComputerClock {
    /// Of this start of the machine.
    ///
    /// # Errors
    /// [`WatchError::Clock`].
    pub fn new() -> Result<Self, WatchError> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map_err(|_| WatchError::Clock)?;
        Ok(Self { boot: boot.trim().to_owned() })
    }
}

impl Clock for ComputerClock {
    fn now(&self) -> Result<Now, WatchError> {
        let unix = jiff::Timestamp::now().as_second();
        let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime).tv_sec;
        Ok(Now { unix, up, boot: self.boot.clone() })
    }
}

/// What is said while a meter is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The line is open.
    Open,
    /// An interval is kept. Its energy is in the file alone.
    Interval {
        /// Begin, unix seconds.
        start: i64,
        /// Seconds.
        length: u32,
        /// Did the clocks disagree?
        drifted: bool,
    },
    /// Something goes wrong, for the `count`-th time since the start.
    Trouble {
        /// What.
        trouble: Trouble,
        /// How often since the start.
        count: u64,
        /// More of it.
        detail: String,
    },
}

/// How a live meter is doing, beside its files: `watch.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Is the line open?
    pub open: bool,
    /// Is it being read at all?
    pub running: bool,
    /// Last telegram, RFC 3339.
    pub last_telegram: Option<String>,
    /// Last border that is kept, RFC 3339.
    pub last_border: Option<String>,
    /// Intervals that were kept since the start.
    pub intervals: u64,
    /// Troubles since the start, by name.
    pub troubles: BTreeMap<String, u64>,
}

impl State {
    /// Of a folder; `None` if no meter is read into it, or the file is none.
    #[must_use]
    pub fn of(folder: &std::path::Path) -> Option<Self> {
        let bytes = durable::read_bounded(&folder.join(STATE_FILE), MAX_STATE).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

struct Watch<'a> {
    options: &'a Options,
    folder: Folder,
    book: Book,
    clock: &'a dyn Clock,
    stop: &'a AtomicBool,
    say: &'a mut dyn FnMut(Said),
    state: State,
    written: Option<Instant>,
    said: BTreeMap<Trouble, Instant>,
}

/// Reads a meter into a folder until it is told to stop. Returns how it went.
///
/// # Errors
/// [`WatchError`]; never for what the line or the meter does.
pub fn watch(
    options: &Options,
    folder: Folder,
    clock: &dyn Clock,
    stop: &AtomicBool,
    say: &mut dyn FnMut(Said),
) -> Result<State, WatchError> {
    let book = Book::new(options.terms, folder.last().cloned());
    let state = State { running: true, last_border: folder.last().map(|last| utc(last.start)), ..State::default() };
    let (written, said) = (None, BTreeMap::new());
    let mut watch = Watch { options, folder, book, clock, stop, say, state, written, said };
    if watch.folder.torn() {
        watch.trouble(Trouble::Half, "the last line of the registers was cut by a crash, and had not been kept".into());
    }
    watch.run()?;
    (watch.state.open, watch.state.running) = (false, false);
    watch.write_state(true)?;
    Ok(watch.state)
}

impl Watch<'_> {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn run(&mut self) -> Result<(), WatchError> {
        let mut pause = FIRST_PAUSE;
        self.write_state(true)?;
        while !self.stopped() {
            match Line::open(&self.options.address, self.options.serial) {
                Ok(line) => {
                    (self.say)(Said::Open);
                    self.state.open = true;
                    if self.listen(line)? {
                        pause = FIRST_PAUSE;
                    }
                    self.state.open = false;
                }
                Err(error) => self.trouble(Trouble::Cut, format!("not opened: {}", error.kind())),
            }
            self.write_state(false)?;
            let until = Instant::now() + pause;
            while Instant::now() < until && !self.stopped() {
                std::thread::sleep(Duration::from_millis(50));
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Ok(())
    }

    /// Listens until the line ends. Did a telegram come?
    fn listen(&mut self, mut line: Line) -> Result<bool, WatchError> {
        let mut stream = Stream::new(self.options.speech);
        let mut buffer = [0; 4096];
        let (mut heard, mut last) = (false, Instant::now());
        while !self.stopped() {
            let found = match line.read(&mut buffer) {
                Ok(None) => vec![],
                Ok(Some(bytes)) => stream.push(bytes),
                Err(error) => {
                    let rest = stream.end();
                    self.take(rest)?;
                    self.trouble(Trouble::Cut, end(&error).to_owned());
                    return Ok(heard);
                }
            };
            if found.iter().any(|one| matches!(one, Found::Reading(_))) {
                (heard, last) = (true, Instant::now());
            }
            self.take(found)?;
            if last.elapsed() >= self.options.silence {
                let rest = stream.end();
                self.take(rest)?;
                let seconds = self.options.silence.as_secs();
                self.trouble(Trouble::Silence, format!("for {seconds} s; the line is opened again"));
                return Ok(heard);
            }
            self.write_state(false)?;
        }
        Ok(heard)
    }

    fn take(&mut self, found: Vec<Found>) -> Result<(), WatchError> {
        for one in found {
            match one {
                Found::Trouble(trouble) => self.trouble(trouble, String::new()),
                Found::Reading(reading) => {
                    let now = self.clock.now()?;
                    self.state.last_telegram = Some(utc(now.unix));
                    for event in self.book.take(reading, now) {
                        match event {
                            Event::Trouble(trouble, detail) => self.trouble(trouble, detail),
                            Event::Border(border) => {
                                let entry = self.folder.keep(&border)?;
                                self.state.last_border = Some(utc(border.start));
                                if let Some(entry) = entry {
                                    self.kept(entry);
                                }
                                self.write_state(true)?;
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn kept(&mut self, entry: Entry) {
        self.state.intervals += 1;
        let drifted = entry.quality == gridveil_readings::model::Quality::Drifted;
        (self.say)(Said::Interval { start: entry.start, length: self.options.terms.length, drifted });
    }

    /// Counts it, and says it if it was not said just now.
    fn trouble(&mut self, trouble: Trouble, detail: String) {
        let count = self.state.troubles.entry(trouble.name().to_owned()).or_default();
        *count += 1;
        if self.said.get(&trouble).is_none_or(|last| last.elapsed() >= SAY_EVERY) {
            self.said.insert(trouble, Instant::now());
            (self.say)(Said::Trouble { trouble, count: *count, detail });
        }
    }

    fn write_state(&mut self, at_once: bool) -> Result<(), WatchError> {
        if !at_once && self.written.is_some_and(|last| last.elapsed() < STATE_EVERY) {
            return Ok(());
        }
        self.written = Some(Instant::now());
        let path = self.folder.path().join(STATE_FILE);
        let text = serde_json::to_vec(&self.state).unwrap_or_default();
        durable::replace(&path, &text).map_err(|error| FolderError::Io { path, kind: error.kind() }.into())
    }
}

fn end(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the other side ended it",
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "the connection broke",
        _ => "it cannot be read any more",
    }
}
