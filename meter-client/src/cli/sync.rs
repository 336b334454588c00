//! `gridveil meter sync`: hands in, checks, backs up and warns, once or day and night.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use gridveil_protocol::{units::Interval, version::Domains};
use gridveil_readings::zone::Zone;
use serde_json::{Value, json};

use super::{
    FileArgs, LocalOfFileArgs, MeterError, PacketArgs, PlaceArgs, Rule, contract, import,
    keys::{Signing, SigningArgs},
    rule, utc,
    watch::stop_flag,
};
use crate::{
    calendar::local,
    l1::{Going, JsonRpc},
    service::{Done, Service, back_up, meter_trouble},
    submit::{ApiError, Retry, Sequencer},
    wallet::Deployment,
};

/// Seconds of the longest interval there is.
const LONGEST_INTERVAL: u32 = 3600;
/// So many lines are remembered, so that none is said every round.
const MOST_SAID: usize = 10_000;

#[derive(Debug, clap::Args)]
pub(super) struct SyncArgs {
    #[command(flatten)]
    file: FileArgs,
    #[command(flatten)]
    place: PlaceArgs<SigningArgs>,
    /// L1 node, `https://…` or `http://…`: one you trust, best your own.
    #[arg(long, env = "GRIDVEIL_RPC", hide_env_values = true)]
    rpc: String,
    /// Rollup contract.
    #[arg(long, env = "GRIDVEIL_CONTRACT")]
    contract: String,
    #[command(flatten)]
    local: LocalOfFileArgs,
    #[command(flatten)]
    packet: PacketArgs,
    /// Sign in spite of what `meter read` says to ask about, by the name it gives, such as clock-drift.
    #[arg(long, value_name = "RULE", value_parser = rule)]
    accept: Vec<Rule>,
    /// Seconds between two rounds.
    #[arg(long, value_name = "SECONDS", default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    every: u64,
    /// One round, and no more.
    #[arg(long)]
    once: bool,
    /// Folder for copies of wallet and key file, best on another disk.
    #[arg(long, value_name = "FOLDER")]
    backup: Option<PathBuf>,
    /// Copies to keep.
    #[arg(long, value_name = "N", default_value_t = 14, requires = "backup")]
    keep: usize,
    /// For machines: one object a line.
    #[arg(long)]
    json: bool,
}

/// What was said before, and is not said again.
struct Said {
    lines: BTreeSet<String>,
    /// What L1 said last: it is said again when it changes.
    going: Going,
    /// How long an interval is, once the sequencer has told it.
    length: u16,
    zone: Zone,
}

pub(super) fn run(args: &SyncArgs) -> Result<(), MeterError> {
    // The passphrase is asked for once, before anything else.
    let keys = args.place.keys.open()?;
    let stop = stop_flag()?;
    let zone = args.local.zone(&args.file);
    let mut said = Said { lines: BTreeSet::new(), going: Going::Open, length: 0, zone };
    if args.once {
        round(args, &keys, &mut said)?;
        return if said.going.is_stopped() { Err(MeterError::Stopped(said.going)) } else { Ok(()) };
    }
    while !stop.load(Ordering::Relaxed) {
        if let Err(error) = round(args, &keys, &mut said) {
            let text = format!("this round was not finished: {error}");
            if said.lines.insert(text.clone()) {
                tell(args.json, "failed", &json!({"why": error.to_string()}), &text, true);
            }
        }
        if said.lines.len() > MOST_SAID {
            said.lines.clear();
        }
        wait(Duration::from_secs(args.every), &stop);
    }
    let text = if said.going == Going::Open { String::new() } else { format!("; {}", of_rollup(said.going)) };
    tell(args.json, "stopped", &json!({"rollup": said.going.as_str()}), &format!("stopped{text}"), false);
    Ok(())
}

fn wait(time: Duration, stop: &AtomicBool) {
    let until = Instant::now() + time;
    while Instant::now() < until && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn round(args: &SyncArgs, keys: &Signing, said: &mut Said) -> Result<(), MeterError> {
    let PlaceArgs { url, community, slot, outbox, .. } = &args.place;
    // Statements are checked also while there is nothing to hand in.
    let readings = import(&args.file);
    if args.file.file.is_dir() {
        let now = jiff::Timestamp::now().as_second();
        let length = readings.as_ref().map_or(LONGEST_INTERVAL, |readings| readings.series.length());
        if let Some(trouble) = meter_trouble(&args.file.file, now, length) {
            say(args, &trouble, said);
        }
    }
    let contract = contract(&args.contract)?;
    let l1 = JsonRpc::new(&args.rpc, contract)?;
    // Before the sequencer is asked, which may be gone for the same reason.
    let going = l1.standing(*community, *slot)?.going();
    if going != said.going {
        said.going = going;
        say(args, &Done::Rollup { going }, said);
    }
    // It comes again soon, and is to stop soon when it is asked to.
    let sequencer = Sequencer::new(url, Retry { attempts: 3, ..Retry::default() })?;
    let info = sequencer.info()?;
    let chain_id = l1.chain_id()?;
    if info.contract != contract || info.chain_id != chain_id {
        return Err(MeterError::OtherDeployment);
    }
    let domains = Domains::new(chain_id, contract, info.checked_versions().ok_or(ApiError::Domain)?);
    said.length = sequencer.community(*community)?.interval_length;
    let service = Service {
        sequencer: &sequencer,
        l1: Some(&l1),
        keys: keys.household.as_ref(),
        device: &keys.device,
        deployment: Deployment { chain_id, contract },
        domains: &domains,
        community: *community,
        slot: *slot,
        wallet: outbox,
        scale: args.packet.scale,
        accepted: &args.accept,
        buy_limit: args.packet.buy_limit,
        sell_limit: args.packet.sell_limit,
    };
    let done = service.round(readings.as_ref().ok(), &mut |done| say(args, &done, said));
    // Also after a round that failed: what it kept is new.
    if let Some(into) = &args.backup {
        let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ").to_string();
        if let Some(copy) = back_up(outbox, &keys.files, into, &now, args.keep)? {
            let name = copy.display().to_string();
            tell(args.json, "backup", &json!({"folder": name}), &format!("backup in {name}"), false);
        }
    }
    done?;
    readings.map(|_| ())
}

fn tell(machine: bool, event: &str, more: &Value, text: &str, warns: bool) {
    if machine {
        let mut object = json!({"event": event});
        if let (Some(object), Some(more)) = (object.as_object_mut(), more.as_object()) {
            object.extend(more.clone());
        }
        println!("{object}");
    } else if warns {
        eprintln!("gridveil: {text}");
    } else {
        println!("{text}");
    }
}

/// What L1 says, for a person.
fn of_rollup(going: Going) -> String {
    let page = if going.is_stopped() { " (docs/spec/wallet.md, If the operator is silent)" } else { "" };
    format!("L1 says of this account: {}{page}", going.text())
}

/// A period by its first moment: for a person by the clock of the zone, for machines UTC.
fn say(args: &SyncArgs, done: &Done, said: &mut Said) {
    let seconds = |first: &Interval| i64::from(first.0) * i64::from(said.length);
    let at = |first: &Interval| local(seconds(first), &said.zone);
    let of = |first: &Interval| json!({"first_interval": first.0, "from": utc(seconds(first))});
    let with = |first: &Interval, name: &str, value: Value| {
        let mut object = of(first);
        if let Some(object) = object.as_object_mut() {
            object.insert(name.to_owned(), value);
        }
        object
    };
    let (event, more, text, warns) = match done {
        Done::Sent { first_interval: f, late: false } => ("sent", of(f), format!("{}: handed in", at(f)), false),
        Done::Sent { first_interval: f, late: true } => {
            ("late", of(f), format!("{}: handed in late; a later settlement books the difference", at(f)), false)
        }
        Done::Refused { first_interval: f, why } => {
            ("refused", with(f, "why", json!(why)), format!("{}: the sequencer refuses: {why}", at(f)), true)
        }
        Done::NotSigned { first_interval: f, why } => {
            ("not-signed", with(f, "why", json!(why)), format!("{}: not signed: {why}", at(f)), true)
        }
        Done::Proposed { first_interval: f, file, dates } => {
            let name = file.display().to_string();
            let text =
                format!("{}: not signed, as {dates} was not measured. For the meter data manager: {name}", at(f));
            let mut more = with(f, "file", json!(name));
            if let Some(more) = more.as_object_mut() {
                more.insert("not_measured".to_owned(), json!(dates));
            }
            ("proposed", more, text, true)
        }
        Done::Statement { first_interval: f, substituted, corrected } => {
            let how = if *substituted { "final, with a substitute, and it holds" } else { "final, and it holds" };
            let correction = corrected.as_ref().map(|c| format!("; corrects {}", at(c))).unwrap_or_default();
            let mut more = with(f, "substituted", json!(substituted));
            if let Some(more) = more.as_object_mut() {
                more.insert("corrects".to_owned(), json!(corrected.as_ref().map(|first| utc(seconds(first)))));
            }
            ("statement", more, format!("{}: {how}{correction}", at(f)), *substituted)
        }
        Done::Rollup { going } => {
            let more = json!({"rollup": going.as_str(), "what": going.text(), "exit": going.is_stopped()});
            ("rollup", more, of_rollup(*going), *going != Going::Open)
        }
        Done::Meter { why } => ("meter", json!({"why": why}), why.clone(), true),
    };
    // The rollup's state is said when it changes, also back to what it was.
    if said.lines.insert(text.clone()) || matches!(done, Done::Rollup { .. }) {
        tell(args.json, event, &more, &text, warns);
    }
}
