//! Tells a person where the demonstration is: a bar on a terminal, a line a stage otherwise.

use std::{io::IsTerminal, sync::Mutex, time::Duration};

use gridveil_prover::progress;
use indicatif::{ProgressBar, ProgressStyle};

/// Where progress goes.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    last: Mutex<String>,
}

impl Progress {
    /// For this process's stderr, over `steps` steps.
    #[must_use]
    pub fn stderr(steps: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} [{elapsed}] {bar:30} {pos}/{len} {msg}");
            let bar = ProgressBar::new(steps).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar, last: Mutex::default() }
    }

    /// A stage begins.
    pub fn say(&self, what: &str) {
        match (&self.bar, self.last.lock()) {
            (Some(bar), _) => bar.set_message(what.to_owned()),
            (None, Ok(mut last)) if *last != what => {
                eprintln!("{what}");
                what.clone_into(&mut last);
            }
            _ => {}
        }
    }

    /// Steps are done.
    pub fn done(&self, steps: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(steps);
        }
    }

    /// Everything is done.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl progress::Progress for Progress {
    fn stage(&self, name: &str, detail: &str) {
        self.say(&if detail.is_empty() { name.to_owned() } else { format!("{name} ({detail})") });
    }
}
