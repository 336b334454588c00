//! A process of this program beside this one: it is started, killed without a word, and started again.

use std::{
    ffi::OsString,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

/// Longest start.
const START: Duration = Duration::from_secs(60);
/// Most starts in one of its lives.
const STARTS: usize = 20;
const LOOK: Duration = Duration::from_millis(20);

/// A process, ended when this is dropped.
pub(super) struct Process {
    words: Vec<OsString>,
    /// Where it runs, and says what it says.
    dir: PathBuf,
    said: PathBuf,
    listens_at: Option<SocketAddr>,
    child: Mutex<Option<Child>>,
    peak: AtomicU64,
}

impl Process {
    /// Starts it, and waits until it listens, if it does. Nothing of this process's variables is an option of its.
    pub(super) fn start(
        words: Vec<OsString>,
        dir: &Path,
        name: &str,
        listens_at: Option<SocketAddr>,
    ) -> anyhow::Result<Self> {
        let said = dir.join(format!("{name}.said"));
        let (dir, child, peak) = (dir.to_owned(), Mutex::default(), AtomicU64::new(0));
        let process = Self { words, dir, said, listens_at, child, peak };
        {
            let mut child = process.lock();
            process.again(&mut child)?;
            process.until_it_listens(&mut child)?;
        }
        Ok(process)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn again(&self, child: &mut Option<Child>) -> anyhow::Result<()> {
        let mut said = std::fs::OpenOptions::new();
        let said = said.create(true).append(true).open(&self.said).context("what a process says cannot be kept")?;
        let mut command = Command::new(std::env::current_exe().context("this program is not found")?);
        let options = std::env::vars_os().map(|(name, _)| name);
        for name in options.filter(|name| name.to_string_lossy().starts_with("GRIDVEIL_")) {
            command.env_remove(name);
        }
        command.args(&self.words).current_dir(&self.dir);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        *child = Some(command.spawn().context("a process of this program does not start")?);
        Ok(())
    }

    /// Waits until it listens. One that ends before is started again: somebody may have its address for a moment.
    fn until_it_listens(&self, child: &mut Option<Child>) -> anyhow::Result<()> {
        let Some(at) = self.listens_at else { return Ok(()) };
        let start = Instant::now();
        let mut starts = 1;
        while TcpStream::connect(at).is_err() {
            let ended = child.as_mut().map(Child::try_wait).transpose()?.flatten();
            if start.elapsed() > START || (ended.is_some() && starts == STARTS) {
                let said = std::fs::read_to_string(&self.said).unwrap_or_default();
                bail!("the sequencer does not listen: {}", said.lines().next_back().unwrap_or("it says nothing"));
            }
            std::thread::sleep(LOOK);
            if ended.is_some() {
                starts += 1;
                self.again(child)?;
            }
        }
        Ok(())
    }

    /// SIGKILL, and started again.
    pub(super) fn kill(&self) -> anyhow::Result<()> {
        let mut child = self.lock();
        self.note_peak(child.as_ref());
        if let Some(running) = child.as_mut() {
            running.kill()?;
            running.wait()?;
        }
        self.again(&mut child)?;
        self.until_it_listens(&mut child)
    }

    fn note_peak(&self, child: Option<&Child>) {
        let Some(child) = child else { return };
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).unwrap_or(0);
        self.peak.fetch_max(kib * 1024, Ordering::Relaxed);
    }

    /// Largest resident memory of any of its lives, bytes; 0 where the system does not say.
    pub(super) fn peak_bytes(&self) -> u64 {
        self.note_peak(self.lock().as_ref());
        self.peak.load(Ordering::Relaxed)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = self.lock().as_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
