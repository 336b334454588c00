//! The sequencer's process as its operator sees it: memory, processor time, how long health and the operator's listener take.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde::Serialize;

use super::server::{Figures, Listens, TOKEN};
use crate::run::{self, CHILD};

/// Longest wait for any answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest until a sequencer listens: it writes its genesis first.
const STARTS: Duration = Duration::from_secs(900);

/// This program again, with something to do.
pub(super) fn command(task: &run::Task) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", "report"]).env(CHILD, serde_json::to_string(task)?).stdin(Stdio::null());
    Ok(command)
}

/// The sequencer's process, killed when it is dropped.
pub(super) struct Process {
    child: Child,
    pub listens: Listens,
    figures: Arc<Mutex<Figures>>,
}

impl Process {
    /// Starts it; it listens then.
    pub(super) fn start(task: super::server::Task) -> anyhow::Result<Self> {
        let mut child = command(&run::Task::Sequencer(task))?.stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let (first, start) = (lines.next(), Instant::now());
        let first = first.context("the sequencer ended before it listened")??;
        ensure!(start.elapsed() < STARTS, "the sequencer does not begin to listen");
        let listens = serde_json::from_str(&first)?;
        let figures = Arc::new(Mutex::new(Figures::default()));
        let heard = Arc::clone(&figures);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Ok(line) = serde_json::from_str(&line) {
                    *heard.lock().unwrap_or_else(PoisonError::into_inner) = line;
                }
            }
        });
        Ok(Self { child, listens, figures })
    }

    /// How far it was half a second ago.
    pub(super) fn figures(&self) -> Figures {
        *self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn of_proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default()
    }

    /// Memory of its own, and the most that was resident, bytes; 0 where the system does not tell.
    pub(super) fn memory(&self) -> (u64, u64) {
        let status = self.of_proc("status");
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).unwrap_or(0)
        };
        ((kib("RssAnon:") + kib("VmSwap:")) << 10, kib("VmHWM:") << 10)
    }

    /// Processor time so far, s.
    pub(super) fn cpu_s(&self) -> f64 {
        let stat = self.of_proc("stat");
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
        // A hundred a second on every Linux.
        ticks as f64 / 100.0
    }

    /// A GET of the listener for health; how long it took.
    pub(super) fn health(&self) -> anyhow::Result<Duration> {
        let start = Instant::now();
        let (status, _) = ask(&self.listens.health, "GET", "/livez", "")?;
        ensure!(status == 200, "/livez answers {status}");
        Ok(start.elapsed())
    }

    /// A request of the operator; status, answer, and how long it took.
    pub(super) fn operator(&self, method: &str, path: &str, body: &impl Serialize) -> anyhow::Result<Answered> {
        let start = Instant::now();
        let (status, text) = ask(&self.listens.admin, method, path, &serde_json::to_string(body)?)?;
        Ok(Answered { status, text, took: start.elapsed() })
    }

    /// A request of a member.
    pub(super) fn member(&self, path: &str, body: &impl Serialize) -> anyhow::Result<Answered> {
        let start = Instant::now();
        let (status, text) = ask(&self.listens.public, "POST", path, &serde_json::to_string(body)?)?;
        Ok(Answered { status, text, took: start.elapsed() })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// An answer.
pub(super) struct Answered {
    pub status: u16,
    pub text: String,
    pub took: Duration,
}

/// One request on a connection of its own.
fn ask(to: &str, method: &str, path: &str, body: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(to).context(to.to_owned())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {TOKEN}\r\n");
    let fields = format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all((head + &fields + body).as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer that ends early")?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok((status, body.to_owned()))
}
