//! What a long step tells its user: stages with names, never a value of a witness.

use std::{
    io::IsTerminal,
    sync::Mutex,
    time::{Duration, Instant},
};

use gridveil_telemetry::LogFormat;
use indicatif::{ProgressBar, ProgressStyle};

/// Receives the stages of a long step.
pub trait Progress: Send + Sync {
    /// A stage begins; the one before it, if any, is over. `detail` names a shape, a file or a size.
    fn stage(&self, name: &str, detail: &str);

    /// The last stage is over.
    fn finish(&self) {}

    /// Asked between stages: stop here?
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _: &str, _: &str) {}
}

/// Where stages are told.
#[derive(Debug)]
enum Told {
    /// A spinner with elapsed time.
    Terminal(ProgressBar),
    /// Plain lines on stderr.
    Lines,
    /// Lines of the log.
    Log,
}

/// A spinner with elapsed time on a terminal, plain lines on stderr otherwise, or lines of the log.
#[derive(Debug)]
pub struct Reporter {
    told: Told,
    current: Mutex<Option<(String, Instant)>>,
}

const TICK: Duration = Duration::from_millis(120);

impl Reporter {
    /// For this process's stderr.
    #[must_use]
    pub fn stderr() -> Self {
        let told = if std::io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{spinner} {msg} {elapsed:.dim}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            Told::Terminal(ProgressBar::new_spinner().with_style(style))
        } else {
            Told::Lines
        };
        Self { told, current: Mutex::new(None) }
    }

    /// For a service's stderr: where machines read its log, nothing but the log is on it.
    #[must_use]
    pub fn of_service(format: LogFormat) -> Self {
        match format {
            LogFormat::Text => Self::stderr(),
            LogFormat::Json => Self { told: Told::Log, current: Mutex::new(None) },
        }
    }

    fn close(&self, next: Option<String>) {
        let Ok(mut current) = self.current.lock() else { return };
        if let Some((text, start)) = current.take() {
            let line = format!("{text}: {:.1} s", start.elapsed().as_secs_f64());
            match &self.told {
                Told::Terminal(bar) => bar.println(line),
                Told::Lines => eprintln!("{line}"),
                Told::Log => tracing::info!("{line}"),
            }
        }
        *current = next.map(|text| (text, Instant::now()));
    }
}

impl Progress for Reporter {
    fn stage(&self, name: &str, detail: &str) {
        let text = if detail.is_empty() { name.to_owned() } else { format!("{name} ({detail})") };
        self.close(Some(text.clone()));
        if let Told::Terminal(bar) = &self.told {
            bar.reset_elapsed();
            bar.enable_steady_tick(TICK);
            bar.set_message(text);
        }
    }

    fn finish(&self) {
        self.close(None);
        if let Told::Terminal(bar) = &self.told {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.finish();
    }
}
