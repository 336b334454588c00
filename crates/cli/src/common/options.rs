//! Options that commands share, and amounts as people write them.

use std::{path::PathBuf, str::FromStr};

use gridveil_meter_client::cli::{KeyArgs, defaults::nodes};
use gridveil_protocol::{market::Mechanism, params::CIRCUIT_VERSION, units::Wh};
use jiff::{civil::Date, tz::TimeZone};

use super::keys::Signing;

/// Where, who and with what.
#[derive(clap::Args, Debug)]
pub struct Place {
    /// Sequencer, `https://…` or `http://…`. Without it, only what the wallet and L1 have.
    #[arg(long, value_name = "URL", env = "GRIDVEIL_URL")]
    pub url: Option<String>,
    /// L1 node, `https://…` or `http://…`: one you trust, best your own. Several of one chain: the next is asked when one
    /// does not answer or lags.
    #[arg(long, value_name = "URL", env = "GRIDVEIL_RPC", value_delimiter = ',', required = true)]
    pub rpc: Vec<String>,
    /// Rollup contract.
    #[arg(long, value_name = "ADDRESS", env = "GRIDVEIL_CONTRACT")]
    pub contract: String,
    /// Circuit version to sign for, where no sequencer is asked: that of the period, after an upgrade.
    #[arg(long, value_name = "N", default_value_t = CIRCUIT_VERSION)]
    pub circuit_version: u64,
    /// Block of the deployment, or an earlier one: where L1's events are read from, when they are.
    #[arg(long, value_name = "BLOCK", default_value_t = 0)]
    pub from_block: u64,
    /// Community index.
    #[arg(long, env = "GRIDVEIL_COMMUNITY")]
    pub community: u32,
    /// Slot in the community.
    #[arg(long, env = "GRIDVEIL_SLOT")]
    pub slot: u16,
    #[command(flatten)]
    pub keys: KeyArgs,
    /// Directory of the wallet: the same as the meter's `--outbox`.
    #[arg(long, visible_alias = "outbox", value_name = "DIRECTORY", env = "GRIDVEIL_WALLET")]
    pub wallet: PathBuf,
    /// For machines.
    #[arg(long)]
    pub json: bool,
}

/// As [`Place`], of `member force`: with --for it is somebody else's request, and with --bonds no request at all: L1 is all
/// that is needed.
#[derive(clap::Args, Debug)]
pub struct PlaceUnlessFor {
    /// Sequencer, `https://…` or `http://…`. Without it, only what the wallet and L1 have.
    #[arg(long, value_name = "URL", env = "GRIDVEIL_URL")]
    url: Option<String>,
    /// L1 node, `https://…` or `http://…`: one you trust, best your own. Several of one chain: the next is asked when one
    /// does not answer or lags.
    #[arg(long, value_name = "URL", env = "GRIDVEIL_RPC", value_delimiter = ',', required = true)]
    pub rpc: Vec<String>,
    /// Rollup contract.
    #[arg(long, value_name = "ADDRESS", env = "GRIDVEIL_CONTRACT")]
    pub contract: String,
    /// Circuit version to sign for, where no sequencer is asked: that of the period, after an upgrade.
    #[arg(long, value_name = "N", default_value_t = CIRCUIT_VERSION)]
    circuit_version: u64,
    /// Block of the deployment, or an earlier one: where L1's events are read from, when they are.
    #[arg(long, value_name = "BLOCK", default_value_t = 0)]
    from_block: u64,
    /// Community index. Not with --for; with --bonds the one whose queue is looked at.
    #[arg(long, env = "GRIDVEIL_COMMUNITY")]
    pub community: Option<u32>,
    /// Slot in the community. Not with --for and --bonds.
    #[arg(long, env = "GRIDVEIL_SLOT")]
    slot: Option<u16>,
    /// Key file. Not with --for and --bonds.
    #[arg(long, env = "GRIDVEIL_KEYS")]
    keys: Option<PathBuf>,
    /// File whose first line is the passphrase, mode 0600; otherwise GRIDVEIL_PASSPHRASE, otherwise standard input.
    #[arg(long)]
    passphrase_file: Option<PathBuf>,
    /// Directory of the wallet: the same as the meter's `--outbox`. Not with --for and --bonds.
    #[arg(long, visible_alias = "outbox", value_name = "DIRECTORY", env = "GRIDVEIL_WALLET")]
    wallet: Option<PathBuf>,
    /// For machines.
    #[arg(long)]
    pub json: bool,
}

impl PlaceUnlessFor {
    /// The place of the member's own account; `None` if it is not told.
    #[must_use]
    pub fn own(&self) -> Option<Place> {
        Some(Place {
            url: self.url.clone(),
            rpc: self.rpc.clone(),
            contract: self.contract.clone(),
            circuit_version: self.circuit_version,
            from_block: self.from_block,
            community: self.community?,
            slot: self.slot?,
            keys: KeyArgs { keys: self.keys.clone()?, passphrase_file: self.passphrase_file.clone() },
            wallet: self.wallet.clone()?,
            json: self.json,
        })
    }
}

/// The nodes of the options, or else those of a file.
#[must_use]
pub fn named(options: &[String], file: Option<&str>) -> Vec<String> {
    if options.is_empty() { nodes(file.unwrap_or_default()) } else { options.to_vec() }
}

/// The first day of `2026-11`.
///
/// # Errors
/// A message for the command line.
pub fn month(text: &str) -> Result<Date, String> {
    let first = (text.len() == 7).then(|| format!("{text}-01").parse().ok()).flatten();
    first.ok_or_else(|| "not a month of the form YYYY-MM".to_owned())
}

/// A zone by name.
///
/// # Errors
/// A message for the command line.
pub fn zone(text: &str) -> Result<TimeZone, String> {
    TimeZone::get(text).map_err(|_| "not a zone of the form Europe/Vienna".to_owned())
}

/// A rule that is none of this version's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MechanismError {
    /// Everybody's share is fixed beforehand.
    #[error(
        "shares by a fixed key are no rule of circuit version 2, which settles none. Its rules are auction (one price, the \
         lowest that clears) and community-price (a published price, shared in proportion to use): \
         docs/reference/situations.md, S07"
    )]
    FixedKey,
    /// Anything else.
    #[error("the rules are auction and community-price")]
    Unknown,
}

/// A clearing rule by name.
///
/// # Errors
/// [`MechanismError`].
pub fn mechanism(text: &str) -> Result<Mechanism, MechanismError> {
    match text {
        "auction" => Ok(Mechanism::Auction),
        "community-price" => Ok(Mechanism::CommunityPrice),
        // As laws and portals name them: static key, fixed coefficients, cle statique.
        _ if ["static", "fixed", "key", "coefficient"].iter().any(|word| text.to_ascii_lowercase().contains(word)) => {
            Err(MechanismError::FixedKey)
        }
        _ => Err(MechanismError::Unknown),
    }
}

/// How much asking.
#[derive(clap::Args, Debug, Clone, Copy)]
pub struct Acting {
    /// Shows what would be done, and does nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Does not ask on the terminal: for scripts.
    #[arg(long)]
    pub yes: bool,
}

/// Who pays on L1.
#[derive(clap::Args, Debug)]
pub struct L1Key {
    /// File with this member's L1 key, hex or an encrypted keystore (JSON); mode 0600. Otherwise the variable
    /// GRIDVEIL_L1_KEY, hex. Never an argument.
    #[arg(long, value_name = "FILE", env = "GRIDVEIL_L1_KEY_FILE")]
    pub l1_key: Option<PathBuf>,
    #[command(flatten)]
    pub signing: Signing,
}

/// What every command has that signs or changes something.
#[derive(clap::Args, Debug)]
pub struct Doing {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub acting: Acting,
}

/// What every command has that sends something to L1.
#[derive(clap::Args, Debug)]
pub struct Paying {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub key: L1Key,
    #[command(flatten)]
    pub acting: Acting,
}

/// Money as written: currency units with at most nine decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    /// Nano.
    pub nano: u64,
}

/// Energy as written: kWh with at most three decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Energy {
    /// Wh.
    pub wh: Wh,
}

/// Digits, at most one point, at most `decimals` after it: an exact number of the smallest parts.
fn decimal(text: &str, decimals: usize) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > decimals {
        return None;
    }
    format!("{whole}{part:0<decimals$}").parse().ok()
}

impl FromStr for Money {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let nano = decimal(text, 9).ok_or("an amount in currency units, such as 12.50, with at most nine decimals")?;
        if nano == 0 { Err("an amount above zero") } else { Ok(Self { nano }) }
    }
}

impl FromStr for Energy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wh = decimal(text, 3).ok_or("an amount in kWh, such as 12.345, with at most three decimals")?;
        if wh == 0 { Err("an amount above zero") } else { Ok(Self { wh: Wh(wh) }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_has_its_name() {
        assert_eq!(mechanism("auction"), Ok(Mechanism::Auction));
        assert_eq!(mechanism("community-price"), Ok(Mechanism::CommunityPrice));
        for text in ["static-key", "fixed-key", "STATIC", "static-allocation-key", "fixed coefficients", "key"] {
            assert_eq!(mechanism(text), Err(MechanismError::FixedKey), "{text}");
        }
        for text in ["", "Auction", "pay-as-bid", "dynamic"] {
            assert_eq!(mechanism(text), Err(MechanismError::Unknown), "{text}");
        }
    }

    #[test]
    fn amounts_are_exact_or_refused() {
        for (text, nano) in [
            ("12.50", 12_500_000_000),
            ("0.000000001", 1),
            ("7", 7_000_000_000),
            ("007.0", 7_000_000_000),
            ("18446744073.709551615", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Money { nano }), "{text}");
        }
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1,5",
            "1e3",
            "1.0000000001",
            "18446744073.709551616",
            " 1",
            "0",
            "0.000",
            "NaN",
            "１",
        ] {
            assert!(text.parse::<Money>().is_err(), "{text}");
        }
        assert_eq!("12.345".parse(), Ok(Energy { wh: Wh(12_345) }));
        assert!("12.3456".parse::<Energy>().is_err());
    }
}
