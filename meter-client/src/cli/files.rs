//! `gridveil meter read` and `meter profiles`: what a meter's file holds, before anything is signed.

use std::path::PathBuf;

use gridveil_readings::{
    Choice, Format, Import, Rule, SourceError,
    csv::{Mapping, register_modulus},
    energy::{Decimal, Energy, Unit},
    read_file, report,
    zone::Zone,
};

use super::{MeterError, print_json};

/// A meter's file, and how to read it.
#[derive(Debug, clap::Args)]
pub struct FileArgs {
    /// Meter file.
    pub file: PathBuf,
    /// Format; found from the file if absent.
    #[arg(long)]
    pub format: Option<Format>,
    /// Profile of a CSV or XLSX file (`meter profiles`); found from its columns if absent.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// What the columns mean, in TOML, in place of a profile.
    #[arg(long, value_name = "FILE", conflicts_with = "profile")]
    pub mapping: Option<PathBuf>,
    /// Which meter: `home` of a CSV, metering point, usage point of a Green Button feed.
    #[arg(long)]
    pub meter: Option<String>,
    /// Zone of local times, such as Europe/Vienna or +10:00; otherwise the profile's.
    #[arg(long, value_name = "ZONE", value_parser = super::zone)]
    pub zone: Option<Zone>,
    /// Seconds of an interval, where the file leaves it open.
    #[arg(long, value_name = "SECONDS")]
    pub interval_length: Option<u32>,
    /// Sums intervals up to this length, seconds.
    #[arg(long)]
    pub resample: Option<u32>,
    /// The meter has no generation: a register of import plus export is import.
    #[arg(long)]
    pub total_is_import: bool,
    /// Highest reading of a register before it rolls over, kWh with all its decimals, such as 999999.9.
    #[arg(long, value_name = "KWH", value_parser = modulus)]
    pub register_max: Option<Energy>,
    /// Key of the charging station that signed an OCMF file, hex or Base64: every record must be signed with it.
    #[arg(long, value_name = "KEY")]
    pub public_key: Option<String>,
    /// When the first telegram of an SML capture was sent, such as 2026-11-30T09:00:00Z: it has running times alone.
    #[arg(long, value_name = "TIME", value_parser = super::instant)]
    pub starts: Option<i64>,
    /// What the connection carries, kW: more is doubted.
    #[arg(long, value_name = "KW", value_parser = watts)]
    pub connection: Option<u64>,
}

#[derive(Debug, clap::Args)]
pub(super) struct ReadArgs {
    #[command(flatten)]
    file: FileArgs,
    /// An earlier file of the same meter: shows what this one corrects.
    #[arg(long, value_name = "FILE")]
    corrects: Option<PathBuf>,
    /// For machines.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ProfilesArgs {
    /// For machines.
    #[arg(long)]
    json: bool,
}

pub(super) fn modulus(text: &str) -> Result<Energy, &'static str> {
    register_modulus(text, Unit::KWh).ok_or("a number of kWh, such as 999999.9")
}

fn watts(text: &str) -> Result<u64, &'static str> {
    let wrong = "a number of kW, such as 17.25";
    let number = Decimal::parse(text, '.').and_then(|n| n.shifted(3)).ok_or(wrong)?;
    number.to_whole().and_then(|w| u64::try_from(w).ok()).filter(|w| *w > 0).ok_or(wrong)
}

/// A rule that can be accepted.
///
/// # Errors
/// Any other name.
pub fn rule(text: &str) -> Result<Rule, String> {
    let asked = || Rule::ALL.iter().copied().filter(|rule| rule.effect() == gridveil_readings::Effect::Ask);
    let names: Vec<&str> = asked().map(Rule::name).collect();
    asked().find(|rule| rule.name() == text).ok_or_else(|| format!("one of {}", names.join(", ")))
}

impl FileArgs {
    fn choice(&self) -> Result<Choice, MeterError> {
        let mapping = match &self.mapping {
            None => None,
            Some(path) => {
                let failed = |source| MeterError::Source { path: path.clone(), source };
                let text = std::fs::read_to_string(path).map_err(|e| failed(SourceError::Io(e.kind())))?;
                Some(Mapping::parse(&text).map_err(failed)?)
            }
        };
        Ok(Choice {
            format: self.format,
            profile: self.profile.clone(),
            mapping,
            meter: self.meter.clone(),
            zone: self.zone.clone(),
            length: self.interval_length,
            resample: self.resample,
            total_is_import: self.total_is_import,
            register_modulus: self.register_max,
            public_key: self.public_key.clone(),
            limit_w: self.connection,
            starts: self.starts,
        })
    }
}

/// Reads a meter's file.
///
/// # Errors
/// [`MeterError::Source`].
pub fn import(args: &FileArgs) -> Result<Import, MeterError> {
    read_file(&args.file, &args.choice()?).map_err(|source| MeterError::Source { path: args.file.clone(), source })
}

pub(super) fn read(args: &ReadArgs) -> Result<(), MeterError> {
    let import = import(&args.file)?;
    if let Some(path) = &args.corrects {
        let failed = |source| MeterError::Source { path: path.clone(), source };
        let first = read_file(path, &args.file.choice()?).map_err(failed)?;
        let changes = report::changes(&first, &import).map_err(failed)?;
        if args.json {
            return print_json(&report::changes_json(&first, &import).map_err(failed)?);
        }
        for change in &changes {
            let [import_wh, export_wh] = change.wh;
            println!("{}  import {import_wh:+} Wh  export {export_wh:+} Wh", super::utc(change.start));
        }
        println!("{} intervals are corrected", changes.len());
        return Ok(());
    }
    if args.json {
        return print_json(&report::json(&import));
    }
    print!("{}", report::table(&import));
    Ok(())
}

pub(super) fn profiles(args: &ProfilesArgs) -> Result<(), MeterError> {
    let failed = |source| MeterError::Source { path: PathBuf::new(), source };
    let profiles = report::profiles().map_err(failed)?;
    if args.json {
        let of = |(name, title): &(String, String)| serde_json::json!({"name": name, "title": title});
        return print_json(&profiles.iter().map(of).collect::<Vec<_>>());
    }
    for (name, title) in profiles {
        println!("{name:<24} {title}");
    }
    Ok(())
}
