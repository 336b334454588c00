//! `gridveil meter swap`: what the old meter showed last and the new one first.

use std::path::PathBuf;

use gridveil_readings::{
    energy::{Decimal, Energy, Unit},
    live::Terms,
};
use serde_json::json;

use super::{MeterError, print_json, utc, watch::length};
use crate::live::{Folder, Told, WatchError, kept_terms};

/// Of a folder that does not say it.
const QUARTER_HOUR: u32 = 900;

#[derive(Debug, clap::Args)]
pub(super) struct SwapArgs {
    /// Folder of `meter watch`, which must not run meanwhile.
    folder: PathBuf,
    /// What the old meter's register of import showed last.
    #[arg(long, value_name = "KWH", value_parser = register)]
    closing: Energy,
    /// What the new one's showed first.
    #[arg(long, value_name = "KWH", value_parser = register)]
    opening: Energy,
    /// What the old meter's register of export showed last, if it is read.
    #[arg(long, value_name = "KWH", value_parser = register, requires = "opening_export")]
    closing_export: Option<Energy>,
    /// What the new one's showed first.
    #[arg(long, value_name = "KWH", value_parser = register, requires = "closing_export")]
    opening_export: Option<Energy>,
    /// Number of the new meter, as it says it: refused if another one was read.
    #[arg(long, value_name = "NUMBER")]
    meter: Option<String>,
    /// Seconds of an interval; if absent, as `meter watch` was told.
    #[arg(long, value_name = "SECONDS", value_parser = length)]
    interval_length: Option<u32>,
    /// Highest reading of a register before it rolls over; if absent, as `meter watch` was told.
    #[arg(long, value_name = "KWH", value_parser = super::files::modulus)]
    register_max: Option<Energy>,
    /// For machines.
    #[arg(long)]
    json: bool,
}

/// `12345.678`, or `12345.678kWh`.
fn register(text: &str) -> Result<Energy, &'static str> {
    let number = text.strip_suffix("kWh").unwrap_or(text);
    let energy = Decimal::parse(number, '.').and_then(|number| Energy::of(number, Unit::KWh, 0));
    energy.filter(|energy| !energy.is_negative()).ok_or("kWh with a decimal point, such as 12345.678")
}

pub(super) fn run(args: &SwapArgs) -> Result<(), MeterError> {
    let told = Told {
        meter: args.meter.clone(),
        closing: [Some(args.closing), args.closing_export],
        opening: [Some(args.opening), args.opening_export],
    };
    // A folder that is not there is not made.
    std::fs::metadata(&args.folder).map_err(|error| {
        let (path, kind) = (args.folder.clone(), error.kind());
        WatchError::from(crate::live::FolderError::Io { path, kind })
    })?;
    let kept = kept_terms(&args.folder).map_err(WatchError::from)?;
    let kept = kept.unwrap_or(Terms { length: QUARTER_HOUR, modulus: None });
    let terms =
        Terms { length: args.interval_length.unwrap_or(kept.length), modulus: args.register_max.or(kept.modulus) };
    let mut folder = Folder::open(&args.folder, terms).map_err(WatchError::from)?;
    let entry = folder.swap(&told).map_err(WatchError::from)?;
    let (from, until) = (utc(entry.start), utc(entry.start + i64::from(terms.length)));
    if args.json {
        let wh = json!({"from": from, "until": until, "import_wh": entry.import_wh, "export_wh": entry.export_wh});
        return print_json(&wh);
    }
    println!("booked: {from} to {until}, {} Wh import, {} Wh export", entry.import_wh, entry.export_wh);
    Ok(())
}
