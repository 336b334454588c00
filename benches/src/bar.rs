//! Where a long measurement is: a bar on a terminal, a line every tenth otherwise.

use std::{
    io::IsTerminal,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

/// Progress over a known number of steps, on stderr.
#[derive(Debug)]
pub struct Bar {
    bar: Option<ProgressBar>,
    what: &'static str,
    total: u64,
    done: AtomicU64,
    quiet: bool,
}

impl Bar {
    /// For this process's stderr.
    #[must_use]
    pub fn stderr(what: &'static str, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg} [{elapsed}] {bar:30} {pos}/{len} (left {eta})");
            let bar = ProgressBar::new(total)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
                .with_message(what);
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar, what, total, done: AtomicU64::new(0), quiet: false }
    }

    /// Says nothing.
    #[must_use]
    pub const fn silent() -> Self {
        Self { bar: None, what: "", total: 0, done: AtomicU64::new(0), quiet: true }
    }

    /// One step is done.
    pub fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(bar) = &self.bar {
            bar.inc(1);
        } else if !self.quiet && done * 10 / self.total.max(1) > (done - 1) * 10 / self.total.max(1) {
            eprintln!("{}: {done} of {}", self.what, self.total);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
