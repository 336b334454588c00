//! `load`: a sequencer under load. Signed packets come over HTTP from a process of their own, at twice the target for a while,
//! then the same without a pause between days, then at five and ten times, then from as many connections as there are places,
//! while periods close, proofs are made and receipts are read. What was acknowledged is looked for in the log after `kill -9`.
//!
//! The target: 100,000 homes hand in a day within four minutes (`docs/scale.md`), 417 packets a second.

mod packets;
mod report;
mod sender;
mod server;
mod watch;

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail, ensure};
use gridveil_prover::cli::CacheArgs;
use gridveil_sequencer::store::Store;
use serde_json::{Value, json};

pub use report::{FORM, LoadReport, Row, StageRow};
pub(crate) use sender::{Task as SenderTask, child as sender_child};
pub(crate) use server::{Task as ServerTask, child as server_child};

use crate::{
    bar::Bar,
    memory::mib,
    provers::{At, Task as ProverTask, Workers},
    report::machine,
    run,
    scale::city::City,
};
use packets::Packets;
use sender::Sent;
use server::Figures;
use watch::{Process, command};

/// Homes of the target, and seconds within which their head-end hands in a day.
const TARGET: (f64, f64) = (100_000.0, 240.0);
/// Connections of meters; of the flood, more than requests are in work at once.
const CONNECTIONS: usize = 64;
const FLOOD: usize = 1500;
/// In the soak meters send in one half of a day, as fast as twice the target, and nothing comes in the other. In the world it is
/// four minutes of a day. Without the pause, closing is part of what two processors do a second, and more than half of it.
const SENDS: f64 = 0.5;
/// Periods that come without a pause.
const WITHOUT_PAUSE: u64 = 3;
/// The accepted rate under more load than it can take, of the best: less is a collapse.
const KEEPS: f64 = 0.8;
/// Most that the sequencer's memory may grow in the soak: and what the L1 in memory keeps of each batch.
const GROWTH_MIB: f64 = 96.0;
const KEPT_OF_BATCH_MIB: f64 = 10.0 / 1024.0;
/// Longest answer of health and operator under load.
const PROMPT_S: f64 = 2.0;
/// Longest wait for everything to be settled.
const SETTLED: Duration = Duration::from_secs(3600);
const LOOK: Duration = Duration::from_millis(250);

/// Options of `bench load`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Examples:
  gridveil bench load
  gridveil bench load --seconds 3600
  gridveil bench load --homes 2000 --seconds 5 --stand-in-alone")]
pub struct Args {
    /// Seconds of the soak: meters send at twice the target, and pause as long before the next day.
    #[arg(long, value_name = "SECONDS", default_value_t = 180, value_parser = clap::value_parser!(u32).range(1..=36_000))]
    seconds: u32,
    /// Homes, each with one packet a period. Every later stage sends one period of them.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    homes: u32,
    /// Shape with the stand-in, which takes every batch at once: what is measured is the sequencer.
    #[arg(long, default_value = "district-128x96")]
    shape: String,
    /// Shape with real proofs, by one prover process with one thread.
    #[arg(long, value_name = "SHAPE", default_value = "home-32x24")]
    real_shape: String,
    /// Seconds at twice the target while real proofs are made.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    real_seconds: u32,
    /// Without real proofs.
    #[arg(long)]
    stand_in_alone: bool,
    /// Without judgement: figures of a machine that does other things, or of seconds.
    #[arg(long)]
    no_bounds: bool,
    #[command(flatten)]
    cache: CacheArgs,
    /// Where `load.json` is written; benches/results of the sources by default.
    #[arg(long, value_name = "DIRECTORY", default_value = crate::RESULTS, hide_default_value = true)]
    results: PathBuf,
    /// Prints the report as JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// A stretch of packets.
struct Stage {
    name: &'static str,
    rate: Option<f64>,
    connections: usize,
    first: u64,
    count: u64,
    /// Between two periods of it.
    pause_s: f64,
}

/// One sequencer and everything that is sent to it.
struct Plan {
    proofs: &'static str,
    city: City,
    periods: u32,
    stages: Vec<Stage>,
    prover: Option<PathBuf>,
}

fn target_per_s() -> f64 {
    TARGET.0 / TARGET.1
}

fn city(shape: &str, homes: u32) -> anyhow::Result<City> {
    let shape = gridveil_protocol::params::Shape::by_name(shape).with_context(|| format!("no shape {shape}"))?;
    Ok(City { homes, shape, seed: 1 })
}

/// With the stand-in: a soak, some periods without a pause, then a period a stage.
fn with_stand_in(args: &Args) -> anyhow::Result<Plan> {
    let (rate, homes) = (2.0 * target_per_s(), u64::from(args.homes));
    let day_s = f64::from(args.homes) / rate / SENDS;
    let soak = (f64::from(args.seconds) / day_s).ceil() as u64;
    let all = [
        ("2x", Some(rate), CONNECTIONS, soak, (1.0 - SENDS) * day_s),
        (report::WITHOUT_PAUSE, Some(rate), CONNECTIONS, WITHOUT_PAUSE, 0.0),
        ("5x", Some(2.5 * rate), CONNECTIONS, 1, 0.0),
        ("10x", Some(5.0 * rate), 4 * CONNECTIONS, 1, 0.0),
        ("as fast as answered", None, CONNECTIONS, 1, 0.0),
        ("flood", None, FLOOD, 1, 0.0),
    ];
    let (mut stages, mut first) = (Vec::new(), 0);
    for (name, rate, connections, periods, pause_s) in all {
        let count = periods * homes;
        stages.push(Stage { name, rate, connections, first, count, pause_s });
        first += count;
    }
    let periods = u32::try_from(first / homes)?;
    Ok(Plan { proofs: "stand-in", city: city(&args.shape, args.homes)?, periods, stages, prover: None })
}

/// With real proofs: one period, of as many homes as have their turn meanwhile.
fn with_prover(args: &Args) -> anyhow::Result<Plan> {
    let rate = 2.0 * target_per_s();
    let homes = (rate * f64::from(args.real_seconds)) as u32;
    let stage =
        Stage { name: "2x", rate: Some(rate), connections: CONNECTIONS, first: 0, count: homes.into(), pause_s: 0.0 };
    let city = city(&args.real_shape, homes)?;
    Ok(Plan { proofs: "one prover", city, periods: 1, stages: vec![stage], prover: Some(args.cache.directory()) })
}

/// Runs the command.
///
/// # Errors
/// A collapse, a loss, memory that grows, or what could not be measured.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut rows = vec![measure(&with_stand_in(args)?)?];
    if !args.stand_in_alone {
        rows.push(measure(&with_prover(args)?)?);
    }
    let report = LoadReport::new(machine(), target_per_s(), rows);
    let json = serde_json::to_string_pretty(&report)? + "\n";
    let file = args.results.join("load.json");
    std::fs::write(&file, &json).with_context(|| file.display().to_string())?;
    crate::print(&if args.json { json } else { report.render() })?;
    eprintln!("written to {}", file.display());
    if args.no_bounds {
        return Ok(());
    }
    let broken = report.broken(KEEPS, PROMPT_S);
    ensure!(broken.is_empty(), "{}", broken.join("; "));
    Ok(())
}

/// What is looked at while packets come.
#[derive(Default)]
struct Seen {
    /// Own memory, MiB, every so often, in the first stage.
    memory: Vec<f64>,
    health_s: f64,
    operator_s: f64,
    receipts: Vec<f64>,
    receipts_refused: u64,
    closed: u64,
}

fn measure(plan: &Plan) -> anyhow::Result<Row> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("packets");
    packets::write(&plan.city, plan.periods, &file)?;
    let (homes, shape) = (plan.city.homes, plan.city.shape.name.to_owned());
    let task = ServerTask { dir: dir.path().into(), homes, shape, seed: plan.city.seed, real: plan.prover.is_some() };
    let at = At::directory(dir.path(), plan.city.shape)?;
    let workers = plan.prover.as_ref().map(|cache| Workers::start(&at, &ProverTask::real(&at, cache.clone()), 1));
    let workers = workers.transpose()?;
    eprintln!("the sequencer of {} communities starts", plan.city.communities());
    let mut sequencer = Process::start(task)?;
    publish(&sequencer, &plan.city)?;

    let (ends, seen) = (AtomicBool::new(false), Mutex::new(Seen::default()));
    let start = Instant::now();
    let (stages, growth, settled) = thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&sequencer, plan, &ends, &seen));
        let measured = all_stages(&sequencer, plan, &file, &seen);
        ends.store(true, Ordering::Relaxed);
        watching.join().map_err(|_| anyhow::anyhow!("the watch failed"))??;
        measured
    })?;
    let took = start.elapsed().as_secs_f64();
    drop(workers);
    let (_, peak) = sequencer.memory();
    sequencer.kill()?;
    drop(sequencer);
    let lost = lost(plan, dir.path(), &file)?;
    let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(report::row(&report::Measured {
        proofs: plan.proofs,
        shape: plan.city.shape.name,
        homes,
        stages,
        growth_mib: growth,
        growth_bound_mib: GROWTH_MIB + KEPT_OF_BATCH_MIB * settled.settled as f64,
        peak_mib: mib(peak),
        settled: settled.settled,
        closed: seen.closed,
        took_s: took,
        health_s: seen.health_s,
        operator_s: seen.operator_s,
        receipts: seen.receipts,
        receipts_refused: seen.receipts_refused,
        lost,
    }))
}

/// One stage after the other; with the growth of memory in the first, and how far the sequencer is in the end.
fn all_stages(
    sequencer: &Process,
    plan: &Plan,
    file: &Path,
    seen: &Mutex<Seen>,
) -> anyhow::Result<(Vec<StageRow>, f64, Figures)> {
    let (mut stages, mut growth) = (Vec::new(), 0.0);
    for (number, stage) in plan.stages.iter().enumerate() {
        let row = send(sequencer, stage, plan.city.homes, file)?;
        eprintln!("{}: {:.0} packets a second", row.name, row.accepted_per_s.value);
        if number == 0 {
            let memory = std::mem::take(&mut seen.lock().unwrap_or_else(PoisonError::into_inner).memory);
            growth = growth_mib(&memory);
        }
        stages.push(row);
        if plan.prover.is_none() {
            all_settled(sequencer)?;
        }
    }
    Ok((stages, growth, sequencer.figures()))
}

fn publish(sequencer: &Process, city: &City) -> anyhow::Result<()> {
    let tariff = json!({ "first_interval": packets::first_interval(city, 0), "tariff": city.tariff() });
    for community in 0..city.communities() {
        let answer = sequencer.operator("POST", &format!("/admin/v1/communities/{community}/tariffs"), &tariff)?;
        ensure!(answer.status < 300, "a tariff is not taken: {}", answer.text);
    }
    Ok(())
}

/// One stage, by a process of its own.
fn send(sequencer: &Process, stage: &Stage, homes: u32, file: &Path) -> anyhow::Result<StageRow> {
    let task = SenderTask {
        to: sequencer.listens.public.clone(),
        file: file.into(),
        first: stage.first,
        count: stage.count,
        rate: stage.rate,
        connections: stage.connections,
        homes,
        pause_s: stage.pause_s,
    };
    thread::sleep(2 * LOOK);
    let (before, cpu) = (sequencer.figures(), sequencer.cpu_s());
    let output = command(&run::Task::Sender(task))?.stdout(Stdio::piped()).stderr(Stdio::inherit()).output()?;
    let cpu = sequencer.cpu_s() - cpu;
    thread::sleep(2 * LOOK);
    ensure!(output.status.success(), "the meters' process failed");
    let sent: Sent = serde_json::from_slice(&output.stdout)?;
    if sent.lost > 0 {
        bail!("{} packets were never acknowledged, the last one with {:?}", sent.lost, sent.last_refusal);
    }
    let after = sequencer.figures();
    let per_group = (after.height - before.height) as f64 / (after.groups - before.groups).max(1) as f64;
    Ok(report::stage(stage.name, stage.rate, stage.connections, &sent, cpu, per_group))
}

/// Memory at the end less that after a third, each the least of a few: what is kept, not what was in work.
fn growth_mib(memory: &[f64]) -> f64 {
    let least = |some: &[f64]| some.iter().copied().fold(f64::INFINITY, f64::min);
    let few = (memory.len() / 10).max(1);
    match (memory.get(memory.len() / 3..), memory.len().checked_sub(few).and_then(|from| memory.get(from..))) {
        (Some(middle @ [_, ..]), Some(last @ [_, ..])) => least(last) - least(&middle[..few.min(middle.len())]),
        _ => 0.0,
    }
}

fn all_settled(sequencer: &Process) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut quiet = 0;
    while quiet < 8 {
        ensure!(start.elapsed() < SETTLED, "periods do not settle: {:?}", sequencer.figures());
        let before = sequencer.figures();
        thread::sleep(LOOK);
        let now = sequencer.figures();
        quiet = if now.waiting == 0 && now.height == before.height { quiet + 1 } else { 0 };
    }
    Ok(())
}

/// Looks at health, operator and memory, reads receipts, and with a prover closes one period when the one before is settled.
fn watch(sequencer: &Process, plan: &Plan, ends: &AtomicBool, seen: &Mutex<Seen>) -> anyhow::Result<()> {
    let (mut open, mut closing) = (0, None);
    while !ends.load(Ordering::Relaxed) {
        let (own, _) = sequencer.memory();
        let health = sequencer.health()?.as_secs_f64();
        let status = sequencer.operator("GET", "/admin/v1/communities/0/missing", &Value::Null)?;
        ensure!(status.status == 200, "the operator is refused: {}", status.text);
        if plan.prover.is_some() && open < plan.city.communities() {
            let settled = sequencer.figures().settled;
            if closing.is_none_or(|before| settled > before) {
                let body = json!({ "first_interval": packets::first_interval(&plan.city, 0) });
                let answer = sequencer.operator("POST", &format!("/admin/v1/communities/{open}/close"), &body)?;
                if answer.status == 200 {
                    (open, closing) = (open + 1, Some(settled));
                }
            }
        }
        let settled = sequencer.figures().settled;
        let receipt = (settled > 0).then(|| read(sequencer, plan, settled)).transpose()?;
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.memory.push(mib(own));
        (seen.health_s, seen.operator_s) = (seen.health_s.max(health), seen.operator_s.max(status.took.as_secs_f64()));
        seen.closed = u64::from(open);
        match receipt {
            Some(Some(took)) => seen.receipts.push(took),
            Some(None) => seen.receipts_refused += 1,
            None => {}
        }
        drop(seen);
        thread::sleep(LOOK);
    }
    Ok(())
}

/// Reads the receipt of a home of the first period; `None` if it is not settled yet, or the sequencer is busy.
fn read(sequencer: &Process, plan: &Plan, settled: u64) -> anyhow::Result<Option<f64>> {
    let community = u32::try_from(settled.saturating_sub(1) % u64::from(plan.city.communities()))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let request = packets::receipt_request(community, packets::first_interval(&plan.city, 0), now)?;
    let answer = sequencer.member("/v1/receipts", &request)?;
    match answer.status {
        200 => Ok(Some(answer.took.as_secs_f64())),
        404 | 409 | 425 | 429 | 503 => Ok(None),
        other => bail!("a receipt is answered {other}: {}", answer.text),
    }
}

/// Packets of the log that was left, of those that were acknowledged: all of them were.
fn lost(plan: &Plan, dir: &Path, file: &Path) -> anyhow::Result<u64> {
    let opened = Store::open(&server::data(dir), &server::master(dir), None)?;
    let reader = opened.store.reader();
    let (mut packets, mut lost) = (Packets::open(file)?, 0);
    let sent: u64 = plan.stages.iter().map(|stage| stage.count).sum();
    let bar = Bar::stderr("acknowledged packets looked for", sent);
    for place in packets::places(&plan.city, plan.periods) {
        let (id, _) = packets.next()?;
        let there = reader.packet_id(place.community, place.first_interval, place.slot, false)?;
        lost += u64::from(there != Some(id));
        bar.step();
    }
    Ok(lost)
}
