//! `gridveil prover run`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use gridveil_circuits::settlement::SettlementCircuit;
use gridveil_telemetry::{TelemetryArgs, watch};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::{CliError, Setup, queue::default_key};
use crate::{
    progress::Reporter,
    prover::{Prove, Prover},
    queue::{QueueUrl, Serving, ServingConfig, URL_VARIABLE},
    seen::{Seen, SeenProver, SeenQueue},
    spool::{Spool, SpoolConfig, SpoolKey},
    worker::{self, LEASE, LIMIT, Queue, SHUTDOWN_GRACE, Served, WorkerConfig},
};

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Spool directory shared with the sequencer
    #[arg(long, value_name = "DIR", conflicts_with = "queue", requires = "key")]
    dir: Option<PathBuf>,
    /// PostgreSQL database shared with the sequencer, postgres://USER@HOST/DATABASE; better in the environment variable
    /// GRIDVEIL_QUEUE if it holds a password
    #[arg(long, value_name = "URL")]
    queue: Option<QueueUrl>,
    /// Key file shared with the sequencer. With --dir it is made, readable by its owner only, if it does not exist;
    /// with --queue it is the sequencer's, copied here [default with --queue: $XDG_CONFIG_HOME/gridveil/queue.key,
    /// ~/.config/gridveil/queue.key]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Seconds without a heartbeat after which a claimed job is another worker's
    #[arg(long, value_name = "SECONDS", default_value_t = LEASE.as_secs(), value_parser = clap::value_parser!(u64).range(1..=86_400))]
    lease_s: u64,
    /// Seconds that a proof may take: one that takes longer hangs, and its job is another worker's
    #[arg(long, value_name = "SECONDS", default_value_t = LIMIT.as_secs(), value_parser = clap::value_parser!(u64).range(1..))]
    proof_limit_s: u64,
    /// Attempts before a job is set aside
    #[arg(long, default_value_t = 3)]
    attempts: u32,
    /// Stop when the queue is empty
    #[arg(long)]
    once: bool,
    /// Listener for liveness, readiness and metrics (/livez, /readyz, /metrics): ADDRESS:PORT, or a port of this machine's
    /// loopback. None without it; each worker of a machine has its own
    #[arg(long, value_name = "ADDRESS", value_parser = watch::address)]
    health_bind: Option<SocketAddr>,
    #[command(flatten)]
    pub(super) telemetry: TelemetryArgs,
    #[command(flatten)]
    setup: Setup,
}

/// Proves what the spool or the queue has, until SIGTERM or SIGINT.
pub(super) fn run(args: &RunArgs, progress: Reporter) -> Result<(), CliError> {
    let from_env = || if args.dir.is_none() { QueueUrl::from_env() } else { None };
    match (&args.dir, args.queue.clone().or_else(from_env)) {
        (Some(dir), _) => serve_spool(args, dir, progress),
        (None, Some(url)) => serve_queue(args, &url, progress),
        (None, None) => {
            Err(CliError::Usage(format!("--dir DIR or --queue URL is needed (or the variable {URL_VARIABLE})")))
        }
    }
}

fn serve_spool(args: &RunArgs, dir: &Path, progress: Reporter) -> Result<(), CliError> {
    // The cheap checks first: a wrong key file should not wait for the keys of the circuit.
    let key = args.key.as_deref().ok_or_else(|| CliError::Usage("--dir needs --key".into()))?;
    let config = SpoolConfig { lease: args.lease(), attempts: args.attempts.max(1) };
    let spool = Spool::open(dir, SpoolKey::open_or_create(key)?, config)?;
    let prover = args.prover(&progress)?;
    println!("serving {}", dir.display());
    report(until_stopped(prover, Arc::new(spool), args, progress)?)
}

fn serve_queue(args: &RunArgs, url: &QueueUrl, progress: Reporter) -> Result<(), CliError> {
    // A key made here would open nothing.
    let path = args.key.clone().unwrap_or_else(default_key);
    if !path.exists() {
        return Err(CliError::Usage(format!(
            "{}: no key file; copy the sequencer's there, or give --key FILE",
            path.display()
        )));
    }
    let key = SpoolKey::open(&path)?;
    let shapes = args.setup.shapes()?.iter().map(|shape| shape.name.to_owned()).collect();
    let serving = Arc::new(Serving::new(
        url,
        key,
        ServingConfig { version: args.setup.version(), shapes, lease: args.lease(), attempts: args.attempts },
    )?);
    let prover = args.prover(&progress)?;
    println!("serving the queue");
    let served = until_stopped(prover, Arc::clone(&serving), args, progress)?;
    if args.once && served == Some(Served::default()) {
        serving.check_key()?;
    }
    report(served)
}

impl RunArgs {
    const fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_s)
    }

    fn prover(&self, progress: &Reporter) -> Result<Arc<dyn Prove>, CliError> {
        Ok(Arc::new(Prover::<SettlementCircuit>::open(
            &self.setup.config(self.setup.version(), self.setup.shapes()?)?,
            progress,
        )?))
    }

    fn worker(&self) -> WorkerConfig {
        WorkerConfig { once: self.once, limit: Duration::from_secs(self.proof_limit_s), ..WorkerConfig::default() }
    }
}

fn report(served: Option<Served>) -> Result<(), CliError> {
    match served {
        Some(served) => println!("{} proved, {} attempts failed", served.proved, served.failed),
        None => println!("stopped while proving; the job is handed back"),
    }
    Ok(())
}

/// Serves until the queue is empty (with `once`) or a signal comes. `None` if it ended in the middle of a proof: a
/// proof takes longer than a stopped process has, and the
/// job has been given back by then.
fn until_stopped<Q>(
    prover: Arc<dyn Prove>,
    queue: Arc<Q>,
    args: &RunArgs,
    progress: Reporter,
) -> Result<Option<Served>, CliError>
where
    Q: Queue + Send + 'static,
    CliError: From<Q::Error>,
{
    let (seen, config) = (Arc::new(Seen::default()), args.worker());
    if let Some(address) = args.health_bind {
        println!("health http://{}", watch::listen(address, seen.clone())?);
    }
    let (prover, queue) = (SeenProver::new(prover, Arc::clone(&seen)), SeenQueue::new(queue, seen));
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // A second one ends the process at once.
        let registered = signal_hook::flag::register_conditional_default(signal, Arc::clone(&stop));
        registered.and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop))).map_err(CliError::System)?;
    }
    let (sender, receiver) = channel();
    let worker = {
        let stop = Arc::clone(&stop);
        // Whoever has left does not wait for the outcome.
        move || drop(sender.send(worker::serve(&prover, &queue, &config, &stop, &progress)))
    };
    thread::Builder::new().name("gridveil-worker".into()).spawn(worker).map_err(CliError::System)?;
    let mut stopped = None::<Instant>;
    loop {
        match receiver.recv_timeout(Duration::from_millis(100)) {
            Ok(served) => return Ok(Some(served?)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(CliError::Crashed),
        }
        if stop.load(Ordering::Relaxed)
            && stopped.get_or_insert_with(Instant::now).elapsed() > SHUTDOWN_GRACE + SHUTDOWN_GRACE / 2
        {
            return Ok(None);
        }
    }
}
