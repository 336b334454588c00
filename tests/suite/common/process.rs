//! A process of the binary that is watched, waited for, and killed.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::gridveil;

/// Everything that computes nothing.
pub const SOON: Duration = Duration::from_secs(30);

/// What `look` finds; `said` explains a failure.
pub fn wait<T>(what: &str, within: Duration, said: impl Fn() -> String, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < within, "{what}: not within {} s: {}", within.as_secs(), said());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A process, killed when it is dropped.
pub struct Process {
    pub child: Child,
    pub said: Arc<Mutex<Vec<String>>>,
}

impl Process {
    pub fn start(args: &[String]) -> Self {
        Self::of(gridveil().args(args))
    }

    /// Of a command that is not started yet.
    pub fn of(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                BufReader::new(stream).lines().map_while(Result::ok).for_each(|line| said.lock().unwrap().push(line))
            });
        }
        Self { child, said }
    }

    pub fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "it had ended by itself: {}", self.said());
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, as systemd and containers send it: it ends in order.
    pub fn stop(self) {
        self.stop_with("");
    }

    /// As [`Self::stop`]: it says this before it ends.
    pub fn stop_with(mut self, last: &str) {
        let Self { child, said } = &mut self;
        assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
        let said = || said.lock().unwrap().join("\n");
        let status = wait("it ends when it is asked to", SOON, said, || child.try_wait().unwrap());
        assert!(status.success() && said().contains(last), "{status}: {}", said());
    }

    /// Of a sequencer that listens: public and admin address.
    pub fn addresses(&mut self) -> (String, String) {
        self.wait("the sequencer's addresses", SOON, |said| {
            let (public, admin) =
                said.lines().find_map(|line| line.split_once("public http")?.1.split_once(", admin http://"))?;
            let (admin, _) = admin.split_once(", health http://")?;
            Some((format!("http{public}"), admin.to_owned()))
        })
    }

    /// What `look` finds, while the process runs.
    pub fn wait<T>(&mut self, what: &str, within: Duration, mut look: impl FnMut(&str) -> Option<T>) -> T {
        let Self { child, said } = self;
        let said = || said.lock().unwrap().join("\n");
        wait(what, within, said, || {
            let found = look(&said());
            let ended = child.try_wait().unwrap();
            assert!(
                found.is_some() || ended.is_none(),
                "{what}: the process ended with {}: {}",
                ended.unwrap(),
                said()
            );
            found
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
