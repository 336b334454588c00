//! `gridveil meter watch`: reads a live meter into a folder.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use gridveil_readings::{
    energy::Energy,
    live::{Speech, Terms},
};
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::{MeterError, print_json, utc};
use crate::live::{Address, ComputerClock, Folder, Options, Said, SerialFormat, State, watch};

#[derive(Debug, clap::Args)]
pub(super) struct WatchArgs {
    /// The meter: tcp://HOST:PORT, or a serial port such as /dev/ttyUSB0.
    meter: Address,
    /// What it speaks: p1 (DSMR 2 to 5, eMUCS) or sml.
    #[arg(long)]
    format: Speech,
    /// Folder for registers and intervals: `meter read`, `submit` and `sync` take it.
    #[arg(long, value_name = "FOLDER")]
    into: PathBuf,
    /// Seconds of an interval: what the community settles, or a part of it.
    #[arg(long, value_name = "SECONDS", default_value_t = 900, value_parser = length)]
    interval_length: u32,
    /// Highest reading of a register before it rolls over, kWh with all its decimals, such as 999999.999.
    #[arg(long, value_name = "KWH", value_parser = super::files::modulus)]
    register_max: Option<Energy>,
    /// Speed and format of the serial line; 115200-8N1 for p1 (DSMR 2 and 3: 9600-7E1), 9600-8N1 for sml.
    #[arg(long, value_name = "FORMAT")]
    serial: Option<SerialFormat>,
    /// After so many seconds without a telegram the line is opened again, and a warning said.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    silence: u64,
    /// For machines: one object a line.
    #[arg(long)]
    json: bool,
}

pub(super) fn length(text: &str) -> Result<u32, &'static str> {
    let fits = |length: &u32| *length >= 60 && 3600 % *length == 0;
    text.parse().ok().filter(fits).ok_or("seconds that divide an hour, at least 60")
}

/// A flag that SIGINT and SIGTERM set. A second signal ends the process at once.
///
/// # Errors
/// [`MeterError::Signal`].
pub(super) fn stop_flag() -> Result<Arc<AtomicBool>, MeterError> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .map_err(|_| MeterError::Signal)?;
    }
    Ok(stop)
}

pub(super) fn run(args: &WatchArgs) -> Result<(), MeterError> {
    let terms = Terms { length: args.interval_length, modulus: args.register_max };
    let options = Options {
        address: args.meter.clone(),
        speech: args.format,
        serial: args.serial.unwrap_or(SerialFormat::usual(args.format)),
        terms,
        silence: Duration::from_secs(args.silence),
    };
    let clock = ComputerClock::new()?;
    let folder = Folder::open(&args.into, terms).map_err(crate::live::WatchError::from)?;
    let stop = stop_flag()?;
    let name = args.into.display().to_string();
    if !args.json {
        match folder.last() {
            Some(last) => println!("{name}: goes on from {}", utc(last.start)),
            None => println!("{name}: begins with the next border of {} s", terms.length),
        }
    }
    let state = watch(&options, folder, &clock, &stop, &mut |said| tell(&said, args.json))?;
    if args.json {
        return print_json(&json!({"event": "stopped", "state": state}));
    }
    println!("{}", summary(&state));
    Ok(())
}

fn summary(state: &State) -> String {
    let mut text = format!("stopped: {} intervals kept", state.intervals);
    for (name, count) in &state.troubles {
        text.push_str(&format!(", {name} {count}"));
    }
    text
}

fn tell(said: &Said, machine: bool) {
    let object = match said {
        Said::Open => json!({"event": "open"}),
        Said::Interval { start, length, drifted } => {
            json!({"event": "interval", "from": utc(*start), "until": utc(start + i64::from(*length)), "clock_drift": drifted})
        }
        Said::Trouble { trouble, count, detail } => {
            json!({"event": "warning", "name": trouble.name(), "count": count, "detail": detail})
        }
    };
    if machine {
        println!("{object}");
        return;
    }
    match said {
        Said::Open => println!("the line is open"),
        Said::Interval { start, length, drifted } => {
            let doubt = if *drifted { ", the clocks do not agree" } else { "" };
            println!("interval kept: {} to {}{doubt}", utc(*start), utc(start + i64::from(*length)));
        }
        Said::Trouble { trouble, count, detail } => {
            let more = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
            eprintln!("gridveil: {} x{count}: {}{more}", trouble.name(), trouble.text());
        }
    }
}
