//! `log`: how long a sequencer's log takes to open, and how much memory: with all of it read, with a snapshot of a while
//! ago, and with one of an orderly stop (`docs/performance.md`, Opening the log).
//!
//! The log is made through the sequencer's own store: packets of the right length, closings, states, proofs and
//! settlements, each record as a sequencer writes it. Opening verifies no signatures, so that the packets have one that
//! holds for none. Every opening is a process of its own.

mod make;

use std::{fs, path::PathBuf, time::Instant};

use anyhow::{Context as _, ensure};
use gridveil_protocol::params::Shape;
use gridveil_prover::measure::{cpu_time, peak_rss_bytes};
use gridveil_sequencer::{
    Limits,
    store::{self, Store, snapshots},
};
use serde::{Deserialize, Serialize};

use crate::{
    bar::Bar,
    figure::{Figure, LEGEND, number},
    memory::{mib, own_bytes},
    report::machine,
    run,
    table::{aligned, row},
};
use make::{Made, make};

/// Form of the file; changes with its fields.
pub const FORM: &str = "gridveil log 1";
/// Longest that opening may take with a snapshot, processor seconds.
const AT_MOST_S: f64 = 5.0;

/// Options of `bench log`.
#[derive(clap::Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  gridveil bench log\n  gridveil bench log --packets 100000 --communities 20 --json"
)]
pub struct Args {
    /// Packets in the log.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    packets: u32,
    /// Full communities that they are of. The last of their periods stays open.
    #[arg(long, value_name = "NUMBER", default_value_t = 80, value_parser = clap::value_parser!(u32).range(1..=65536))]
    communities: u32,
    /// Shape of these.
    #[arg(long, default_value = "district-128x96")]
    shape: String,
    /// Where the log is made, and removed afterwards: some 2.6 kB a packet. A temporary directory by default.
    #[arg(long, value_name = "DIRECTORY")]
    at: Option<PathBuf>,
    /// Where `log.json` is written; benches/results of the sources by default.
    #[arg(long, value_name = "DIRECTORY", default_value = crate::RESULTS, hide_default_value = true)]
    results: PathBuf,
    /// Prints the report as JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// `benches/results/log.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogReport {
    /// [`FORM`].
    pub form: String,
    /// Processor, threads, memory, system.
    pub machine: String,
    /// Shape of the communities.
    pub shape: String,
    /// Communities.
    pub communities: Figure,
    /// Packets.
    pub packets: Figure,
    /// Records.
    pub records: Figure,
    /// Bytes of the log.
    pub log: Figure,
    /// Of them, a packet's record.
    pub of_packet: Figure,
    /// Of them, everything else of a community's period.
    pub of_period: Figure,
    /// Bytes of the index.
    pub index: Figure,
    /// Bytes of the last snapshot.
    pub snapshot: Figure,
    /// Writing the log.
    pub made: Figure,
    /// All of it read and compared with the index.
    pub whole: Opening,
    /// From a snapshot so many records before the end as lie between two.
    pub behind: Opening,
    /// From a snapshot of the last record.
    pub at_end: Opening,
    /// The check of all of it, as in the background, without its bound: chain, bodies, order, index, keys, openings.
    pub check: Opening,
    /// Without an index, which is made anew.
    pub without_index: Opening,
}

/// One opening, in a process of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opening {
    /// Records that were read.
    pub read: Figure,
    /// Wall clock.
    pub wall: Figure,
    /// Processor time.
    pub processor: Figure,
    /// Largest resident memory of the process.
    pub peak: Figure,
    /// Memory of its own once the log is open.
    pub open: Figure,
}

/// What a child does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    at: PathBuf,
    what: What,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum What {
    Open,
    Snapshot,
    Check,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Answer {
    read: u64,
    wall_s: f64,
    cpu_s: f64,
    peak: u64,
    open: u64,
}

pub(crate) fn child(task: &Task) -> anyhow::Result<()> {
    let (start, cpu) = (Instant::now(), cpu_time());
    let master = make::master_in(&task.at);
    let data = make::data_in(&task.at);
    let (read, open) = if let What::Check = task.what {
        (store::check::check(&data, &master)?.checked.records, own_bytes())
    } else {
        let opened = Store::open(&data, &master, None)?;
        let read = opened.store.height() - opened.basis.map_or(0, |basis| basis.tip.height);
        if let What::Snapshot = task.what {
            let reader = opened.store.reader();
            ensure!(
                reader.write_snapshot(&opened.store.tip(), &opened.log_state, &opened.tree)?,
                "no snapshot was written"
            );
        }
        (read, own_bytes())
    };
    let answer = Answer {
        read,
        wall_s: start.elapsed().as_secs_f64(),
        cpu_s: cpu_time().saturating_sub(cpu).as_secs_f64(),
        peak: peak_rss_bytes(),
        open,
    };
    println!("{}", serde_json::to_string(&answer)?);
    Ok(())
}

fn measured(task: &Task) -> anyhow::Result<Opening> {
    let answer: Answer = serde_json::from_str(run::spawn(&run::Task::Log(task.clone()))?.trim())?;
    Ok(Opening {
        read: Figure::measured(answer.read as f64, "records"),
        wall: Figure::measured(answer.wall_s, "s"),
        processor: Figure::measured(answer.cpu_s, "s"),
        peak: Figure::measured(mib(answer.peak), "MiB"),
        open: Figure::measured(mib(answer.open), "MiB"),
    })
}

fn bytes_of(path: &std::path::Path) -> anyhow::Result<u64> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    fs::read_dir(path)?.map(|entry| bytes_of(&entry?.path())).sum()
}

/// Runs the command.
///
/// # Errors
/// A log that does not open, or takes longer with a snapshot than it should.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let shape = Shape::by_name(&args.shape).with_context(|| format!("no shape {}", args.shape))?;
    let dir = match &args.at {
        Some(at) => tempfile::tempdir_in(at).context("--at")?,
        None => tempfile::tempdir()?,
    };
    let behind = Limits::default().snapshot_records;
    let bar = Bar::stderr("packets", u64::from(args.packets));
    let made: Made = make(dir.path(), shape, args.communities, args.packets, behind, &bar)?;
    drop(bar);
    let data = make::data_in(dir.path());
    let task = |what| Task { at: dir.path().to_path_buf(), what };
    // Each begins with the file in memory, as far as there is room: it was just read.
    let behind = measured(&task(What::Open))?;
    snapshots::remove_all(&data)?;
    let whole = measured(&task(What::Open))?;
    let check = measured(&task(What::Check))?;
    measured(&task(What::Snapshot))?;
    let at_end = measured(&task(What::Open))?;
    let snapshot = bytes_of(&snapshots::path_in(&data))?;
    let index = bytes_of(&data.join("index"))?;
    fs::remove_dir_all(data.join("index"))?;
    let without_index = measured(&task(What::Open))?;
    let report = LogReport {
        form: FORM.into(),
        machine: machine(),
        shape: shape.name.into(),
        communities: Figure::assumed(f64::from(args.communities), ""),
        packets: Figure::assumed(f64::from(args.packets), ""),
        records: Figure::measured(made.records as f64, ""),
        log: Figure::measured(made.bytes as f64 / 1e9, "GB"),
        of_packet: Figure::measured(made.of_packet, "B"),
        of_period: Figure::measured(made.of_period, "B"),
        index: Figure::measured(index as f64 / 1e6, "MB"),
        snapshot: Figure::measured(snapshot as f64 / 1e6, "MB"),
        made: Figure::measured(made.wall_s, "s"),
        whole,
        behind,
        at_end,
        check,
        without_index,
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}", report.table());
    }
    fs::create_dir_all(&args.results)?;
    fs::write(args.results.join("log.json"), serde_json::to_string_pretty(&report)? + "\n")?;
    let slowest = report.behind.processor.value.max(report.at_end.processor.value);
    ensure!(slowest <= AT_MOST_S, "with a snapshot it takes {} s of a processor", number(slowest));
    Ok(())
}

impl LogReport {
    /// As people read it.
    #[must_use]
    pub fn table(&self) -> String {
        let mut rows = vec![row(["opening", "records read", "s", "processor s", "peak MiB", "open MiB"])];
        for (name, opening) in [
            ("from a snapshot at the end", &self.at_end),
            ("from one a while before", &self.behind),
            ("all of it read", &self.whole),
            ("all of it, index anew", &self.without_index),
            ("operator log check", &self.check),
        ] {
            rows.push(row([
                name,
                &opening.read.cell(),
                &opening.wall.cell(),
                &opening.processor.cell(),
                &opening.peak.cell(),
                &opening.open.cell(),
            ]));
        }
        format!(
            "{} packets of {} communities {}: {} records, log {}, index {}, snapshot {}\na packet {}, the rest of a \
             community's period {}; made in {}\n\n{}\n{LEGEND}",
            self.packets,
            self.communities,
            self.shape,
            self.records,
            self.log,
            self.index,
            self.snapshot,
            self.of_packet,
            self.of_period,
            self.made,
            aligned(&rows)
        )
    }
}
