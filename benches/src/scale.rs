//! `scale`: one day of a simulated city through the native pipeline, and what a city of any size would take
//! (`docs/scale.md`).
//!
//! Measured: every native step, for every home (or a sample). Taken from the report of this repository: time of a
//! proof, gas of its settlement. Computed: everything about cities that were not run. Assumed: prices.

pub mod city;
pub mod model;
pub mod pipeline;
pub mod report;
mod storage;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use gridveil_protocol::params::Shape;
use gridveil_prover::measure::peak_rss_bytes;

use crate::{
    bar::Bar,
    figure::Figure,
    memory::mib,
    report::{Report, machine},
};
use city::{City, Profiles};
use model::{L1_BLOCK_GAS, L1_BLOCK_S, Prices, Unit};
use pipeline::{Cost, Day, Run, Step};
use report::{
    Assumption, Bottleneck, CityReport, FORM, Limit, Place, PricedGas, ProjectionReport, ScaleReport, Stage, Storage,
};
use storage::LogCost;

/// Sizes every report extrapolates to, beside the city itself.
const LARGER: [u32; 2] = [1_000_000, 10_000_000];

/// Options of `bench scale`.
#[derive(clap::Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  gridveil bench scale --sample 16\n  gridveil bench scale --homes 250000 --gas-price-gwei 0.1 --gas-price-gwei 2 --eth-eur 2500 --json"
)]
pub struct Args {
    /// Homes of the simulated city.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    homes: u32,
    /// Shape of its communities.
    #[arg(long, default_value = "district-128x96")]
    shape: String,
    /// Seed of the city.
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Runs only N communities, spread evenly over the city; totals are then computed from them. All by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    sample: Option<u32>,
    /// Assumed gas prices, gwei. May be given several times.
    #[arg(long, value_name = "GWEI", default_values_t = [0.01, 0.05, 1.0], value_parser = price)]
    gas_price_gwei: Vec<f64>,
    /// Assumed price of one ether, EUR.
    #[arg(long, value_name = "EUR", default_value_t = 3000.0, value_parser = price)]
    eth_eur: f64,
    /// Assumed price of one machine like this one for an hour, EUR.
    #[arg(long, value_name = "EUR", default_value_t = 0.10, value_parser = price)]
    eur_per_machine_hour: f64,
    /// Where `latest.json` is read and `scale.json` is written; benches/results of the sources by default.
    #[arg(long, value_name = "DIRECTORY", default_value = crate::RESULTS, hide_default_value = true)]
    results: PathBuf,
    /// Prints the report as JSON instead of tables.
    #[arg(long)]
    json: bool,
}

/// A price of the command line.
fn price(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0);
    value.ok_or_else(|| "not a price (a number, zero or more)".into())
}

/// What the report of this repository says about the shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Proving {
    /// Its machine.
    pub machine: String,
    /// Job to checked proof, s of wall clock.
    pub prove_s: f64,
    /// The same, processor time, s.
    pub prove_cpu_s: f64,
    /// Proof, bytes.
    pub proof_bytes: usize,
    /// Gas of the settling transaction.
    pub gas_settle: Option<u64>,
}

impl Proving {
    /// Reads `latest.json` of a directory.
    ///
    /// # Errors
    /// There is none, or it does not have the shape.
    pub fn read(results: &Path, shape: &str) -> anyhow::Result<Self> {
        let file = results.join("latest.json");
        let again =
            || format!("{}: measure the shape first: cargo run -p gridveil-benches -- report {shape}", file.display());
        let report: Report = serde_json::from_slice(&fs::read(&file).with_context(again)?).with_context(again)?;
        let measured = report.shapes.into_iter().find(|s| s.name == shape).with_context(again)?;
        Ok(Self {
            machine: report.machine,
            prove_s: measured.prove_s,
            prove_cpu_s: measured.prove_cpu_s,
            proof_bytes: measured.proof_bytes,
            gas_settle: measured.gas_settle,
        })
    }
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// The city.
    pub city: City,
    /// Communities to run, spread evenly; all if `None`.
    pub sample: Option<u32>,
    /// Assumed gas prices, gwei.
    pub gas_prices_gwei: Vec<f64>,
    /// Other assumed prices.
    pub prices: Prices,
}

/// Runs the command.
///
/// # Errors
/// No measured proof of the shape, a city too large for a state tree, or a step that fails.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let shape = Shape::by_name(&args.shape).with_context(|| format!("no shape {}", args.shape))?;
    let proving = Proving::read(&args.results, shape.name)?;
    let question = Question {
        city: City { homes: args.homes, shape, seed: args.seed },
        sample: args.sample,
        gas_prices_gwei: args.gas_price_gwei.clone(),
        prices: Prices { eth_eur: args.eth_eur, machine_hour_eur: args.eur_per_machine_hour },
    };
    let communities = question.sample.map_or(question.city.communities(), |n| n.min(question.city.communities()));
    let report = measure(&question, &proving, &Bar::stderr("communities", communities.into()))?;
    let json = serde_json::to_string_pretty(&report)? + "\n";
    let file = args.results.join("scale.json");
    fs::write(&file, &json).with_context(|| file.display().to_string())?;
    crate::print(&if args.json { json } else { report.render() })?;
    eprintln!("written to {}", file.display());
    Ok(())
}

/// Runs the city, or its sample, and works out everything else.
///
/// # Errors
/// A city too large for one state tree, or a step that fails.
pub fn measure(question: &Question, proving: &Proving, bar: &Bar) -> anyhow::Result<ScaleReport> {
    let city = question.city;
    let all = city.communities();
    ensure!(
        u64::from(all) <= City::capacity(),
        "{all} communities do not fit one state tree of {}: fewer homes, or larger communities",
        City::capacity()
    );
    let profiles = Profiles::measured()?;
    let count = question.sample.unwrap_or(all).min(all);
    let mut day = Day::new(city, &profiles);
    for nth in 0..count {
        // Spread over the city, the last community (perhaps not full) only among all of them.
        let index = u64::from(nth) * u64::from(all) / u64::from(count.max(1));
        day.settle(u32::try_from(index)?)?;
        bar.step();
    }
    let run = day.run;
    let peak = peak_rss_bytes();
    let log = storage::measure(&city, &profiles, proving.proof_bytes)?;
    Ok(answer(question, proving, run, &log, peak))
}

/// Everything that follows from what was measured.
fn answer(question: &Question, proving: &Proving, mut run: Run, log: &LogCost, peak: u64) -> ScaleReport {
    let (city, whole) = (question.city, run.homes == question.city.homes);
    let communities = f64::from(run.communities);
    let times = |cost: Cost| Cost { wall_s: cost.wall_s * communities, cpu_s: cost.cpu_s * communities };
    run.costs.insert(Step::Log, times(log.time));
    run.costs.insert(Step::Prove, times(Cost { wall_s: proving.prove_s, cpu_s: proving.prove_cpu_s }));

    let sequencer_s = SEQUENCER.iter().map(|step| run.cost(*step).wall_s).sum::<f64>() / communities;
    let unit = Unit {
        homes: city.shape.members as f64,
        periods_per_day: city.periods_per_day(),
        sequencer_s,
        prove_s: proving.prove_s,
        gas: proving.gas_settle.map(|gas| gas as f64),
        log_bytes: log.period(),
    };
    let sizes: Vec<u32> =
        std::iter::once(city.homes).chain(LARGER.into_iter().filter(|homes| *homes > city.homes)).collect();
    let wh = |index: usize| run.energy.get(index).map_or(0.0, |wh| wh.0 as f64 / 1000.0);
    ScaleReport {
        form: FORM.into(),
        machine: machine(),
        proving_machine: proving.machine.clone(),
        shape: city.shape.name.into(),
        city: CityReport {
            homes: Figure::assumed(city.homes.into(), ""),
            communities: Figure::computed(city.communities().into(), ""),
            seed: Figure::assumed(city.seed.into(), ""),
            communities_run: Figure::measured(communities, ""),
            homes_run: Figure::measured(run.homes.into(), ""),
            sample: !whole,
            import: Figure::computed(wh(0), "kWh"),
            export: Figure::computed(wh(1), "kWh"),
            traded: Figure::computed(wh(2), "kWh"),
        },
        stages: stages(&run, city.homes),
        peak_memory: Figure::measured(mib(peak).round(), "MiB"),
        storage: storage_report(&unit, log, &run),
        bottleneck: bottleneck(&unit, &run),
        limits: limits(&unit),
        projections: sizes.into_iter().map(|homes| projection(&unit, homes.into(), question)).collect(),
        assumptions: assumptions(question),
    }
}

/// Steps of the sequencer: the operator's time but for proving.
const SEQUENCER: [Step; 5] = [Step::Admit, Step::Log, Step::Check, Step::Clear, Step::Transition];

const fn describe(step: Step) -> (&'static str, Place, &'static str) {
    match step {
        Step::Sign => ("sign packets", Place::Meters, "all"),
        Step::Encode => ("encode packets", Place::Meters, "all"),
        Step::Admit => ("admission: decode, check signature", Place::Sequencer, "all"),
        Step::Log => ("log: seal, append, sync", Place::Sequencer, "one"),
        Step::Check => ("apply: check input, signatures again", Place::Sequencer, "one"),
        Step::Clear => ("apply: clear the market", Place::Sequencer, "one"),
        Step::Transition => ("apply: state after, hashes", Place::Sequencer, "one"),
        Step::Witness => ("table of the circuit", Place::InsideProof, "one"),
        Step::Prove => ("proof, with its table and check", Place::Provers, "all"),
    }
}

fn stages(run: &Run, homes: u32) -> Vec<Stage> {
    let whole = run.homes == homes;
    let scale = f64::from(homes) / f64::from(run.homes);
    let operator: f64 = run
        .costs
        .iter()
        .filter(|(step, _)| matches!(describe(**step).1, Place::Sequencer | Place::Provers))
        .map(|(_, c)| c.wall_s)
        .sum();
    let one = |(step, cost): (&Step, &Cost)| {
        let (name, place, threads) = describe(*step);
        // Log and proof were measured for one community; the others for every community that was run.
        let everywhere = !matches!(step, Step::Log | Step::Prove);
        let total = if whole && everywhere { Figure::measured } else { Figure::computed };
        let share =
            matches!(place, Place::Sequencer | Place::Provers).then(|| Figure::computed(cost.wall_s / operator, ""));
        Stage {
            step: *step,
            name: name.into(),
            place,
            threads: threads.into(),
            seconds: total(cost.wall_s * scale, "s"),
            cpu_seconds: total(cost.cpu_s * scale, "s"),
            seconds_per_1000_homes: Figure::measured(cost.wall_s * 1000.0 / f64::from(run.homes), "s"),
            homes_per_s: Figure::measured(f64::from(run.homes) / cost.wall_s.max(1e-9), "1/s"),
            share,
        }
    };
    run.costs.iter().map(one).collect()
}

fn storage_report(unit: &Unit, log: &LogCost, run: &Run) -> Storage {
    let a_day = |bytes: f64| bytes * unit.periods_per_day / unit.homes;
    Storage {
        packet: Figure::measured(run.packet_bytes as f64 / f64::from(run.homes), "B"),
        packets_per_home_day: Figure::measured(a_day(log.packets), "B"),
        rest_per_home_day: Figure::measured(a_day(log.rest), "B"),
        log_per_home_year: Figure::computed(a_day(log.period()) * model::DAYS, "B"),
        genesis_per_home: Figure::measured(log.genesis / unit.homes, "B"),
    }
}

fn bottleneck(unit: &Unit, run: &Run) -> Bottleneck {
    let largest =
        SEQUENCER.into_iter().max_by(|a, b| run.cost(*a).wall_s.total_cmp(&run.cost(*b).wall_s)).unwrap_or(Step::Admit);
    let share = run.cost(largest).wall_s / (unit.sequencer_s * f64::from(run.communities));
    Bottleneck {
        largest_step_after_proving: describe(largest).0.into(),
        share_of_sequencer: Figure::computed(share, ""),
        sequencer_per_community: Figure::measured(unit.sequencer_s, "s"),
        prover_per_community: Figure::measured(unit.prove_s, "s"),
        machines_per_sequencer: Figure::computed(unit.machines_fed(), ""),
    }
}

fn limits(unit: &Unit) -> Vec<Limit> {
    let at = |name: &str, homes: f64| Limit { name: name.into(), homes: Figure::computed(homes, "homes") };
    let mut limits = vec![
        at("settling: one batch a block, in order", unit.settling_limit()),
        at("sequencer: a day of its time", unit.sequencer_limit()),
        at("state tree: communities", unit.tree_limit(City::capacity() as f64)),
    ];
    limits.extend(unit.gas_limit().map(|homes| at("L1: all of its gas", homes)));
    limits.sort_by(|a, b| a.homes.value.total_cmp(&b.homes.value));
    limits
}

fn projection(unit: &Unit, homes: f64, question: &Question) -> ProjectionReport {
    let p = unit.project(homes, &question.prices);
    let tree = City::capacity() as f64;
    let priced = |gwei: &f64| {
        let l1 = unit.gas_eur(homes, *gwei, &question.prices)?;
        let eur = |value| Figure::computed(value, "EUR");
        Some(PricedGas { gas_price: Figure::assumed(*gwei, "gwei"), l1: eur(l1), total: eur(l1 + p.machine_eur) })
    };
    ProjectionReport {
        homes: Figure::assumed(homes, ""),
        proofs_per_day: Figure::computed(p.proofs_per_day, ""),
        proving_hours_per_day: Figure::computed(p.proving_hours, "h"),
        machines: Figure::computed(p.machines, ""),
        sequencer_hours_per_day: Figure::computed(p.sequencer_hours, "h"),
        deployments: Figure::computed(unit.deployments(homes, tree), ""),
        gas_per_day: p.gas_per_day.map(|gas| Figure::computed(gas, "gas")),
        l1_share: p.l1_share.map(|share| Figure::computed(share, "")),
        log_per_year: Figure::computed(p.log_bytes_per_year, "B"),
        machines_per_home_year: Figure::computed(p.machine_eur, "EUR"),
        gas_per_home_year: question.gas_prices_gwei.iter().filter_map(priced).collect(),
    }
}

fn assumptions(question: &Question) -> Vec<Assumption> {
    let prices = &question.prices;
    [
        ("one ether", prices.eth_eur, "EUR"),
        ("one machine like the proving one, an hour", prices.machine_hour_eur, "EUR"),
        ("gas of one L1 block", L1_BLOCK_GAS, "gas"),
        ("time between L1 blocks", L1_BLOCK_S, "s"),
    ]
    .into_iter()
    .map(|(name, value, unit)| Assumption { name: name.into(), figure: Figure::assumed(value, unit) })
    .collect()
}
