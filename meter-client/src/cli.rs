//! `gridveil meter …`: keys, files, packets and statements of one member.

pub mod defaults;
mod files;
pub mod household;
mod keys;
mod passphrase;
mod submit;
mod swap;
mod sync;
mod text;
mod watch;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use gridveil_keystore::{SecretFileError, token::TokenError};
use gridveil_protocol::{units::Ticks, version::Domains};
use gridveil_readings::zone::Zone;

use crate::{
    calendar::{PeriodError, Periods, When},
    key_store::KeyStoreError,
    l1::{Going, JsonRpc, L1Error},
    live::WatchError,
    outbox::{Outbox, OutboxError, Period},
    service::{BackupError, ServiceError},
    source::{CutError, Rule, SourceError},
    statement::StatementError,
    submit::{ApiError, Retry, Sequencer, address},
    sync::{Member, SyncError},
    wallet::{self, FileError, WalletError},
};

pub use files::{FileArgs, import, rule};
pub use keys::{DeviceArgs, KeyArgs, LockArgs, open_keys};
pub use passphrase::{CostArgs, hidden, new_passphrase, passphrase};
pub use text::{one_line, table};

/// Everything that can go wrong, each with one line of text.
#[derive(Debug, thiserror::Error)]
pub enum MeterError {
    /// What is written is no period of the community.
    #[error("--period: {0}")]
    Period(#[from] PeriodError),
    /// Meter file.
    #[error("{}: {source}", path.display())]
    Source {
        /// File.
        path: PathBuf,
        /// Why.
        source: SourceError,
    },
    /// The period is not in the file.
    #[error("{}: {source}", path.display())]
    Cut {
        /// File.
        path: PathBuf,
        /// Why.
        source: CutError,
    },
    /// Key file.
    #[error("{}: {source}", path.display())]
    Keys {
        /// File.
        path: PathBuf,
        /// Why.
        source: KeyStoreError,
    },
    /// Outbox.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// Sequencer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The sequencer refuses a packet.
    #[error("the sequencer refuses: {why}")]
    Refused {
        /// Its answer, and what may be behind it.
        why: String,
    },
    /// L1.
    #[error(transparent)]
    L1(#[from] L1Error),
    /// Statement.
    #[error("statement does not hold: {0} ({whose})", whose = .0.whose())]
    Statement(#[from] StatementError),
    /// What the operator gave back.
    #[error(transparent)]
    GivenBack(Box<SyncError>),
    /// Wallet.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// PKCS#11 token.
    #[error("{}: {source}", path.display())]
    Token {
        /// Module.
        path: PathBuf,
        /// Why.
        source: TokenError,
    },
    /// No device's file.
    #[error("{}: there is no key file of the meter's device there: name it with --device (after a rotation, the one you had)", path.display())]
    NoDevice {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The household's file has a meter's key, and there is another file beside it.
    #[error("{} has a meter's key, and so has {}: say with --device which of them signs", keys.display(), device.display())]
    TwoDevices {
        /// Household's.
        keys: PathBuf,
        /// Beside it.
        device: PathBuf,
    },
    /// One name for both files.
    #[error("{}: one name for two files: give --device another one", path.display())]
    OneFile {
        /// File.
        path: PathBuf,
    },
    /// Neither file is named.
    #[error("no keys: give --keys, or --device alone on a meter's gateway")]
    NoKeys,
    /// Passphrase.
    #[error("no passphrase: set GRIDVEIL_PASSPHRASE, give --passphrase-file, or type it")]
    Passphrase,
    /// Typed twice, and not the same.
    #[error("these are two passphrases: nothing was made")]
    NotRepeated,
    /// The passphrase's file is not read, or others may read it.
    #[error("{path}: {source}", path = path.display())]
    PassphraseFile {
        /// File.
        path: PathBuf,
        /// Why.
        source: SecretFileError,
    },
    /// A contract address that is none.
    #[error("contract address must be 0x and 40 hex digits")]
    Contract,
    /// The sequencer is of another deployment than the one named.
    #[error("the sequencer serves another deployment than contract and chain given")]
    OtherDeployment,
    /// Live meter.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// Some of the period was not measured.
    #[error(
        "{}: {dates} was not measured, so the period is not signed. --propose FILE writes it for the meter data manager, who \
         may put it in as a substitute", path.display()
    )]
    NotMeasured {
        /// File.
        path: PathBuf,
        /// What was not measured.
        dates: String,
    },
    /// A file for somebody else.
    #[error("{}: {source}", path.display())]
    Exchange {
        /// File.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
    /// Service.
    #[error(transparent)]
    Proposal(ServiceError),
    /// Backup.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// L1 has stopped the account; what to do was said.
    #[error("L1 settles nothing of this account any more: {}", .0.as_str())]
    Stopped(Going),
    /// The machine's clock.
    #[error("the clock is before 1970")]
    Clock,
    /// The system does not let it wait for a signal.
    #[error("the system does not say when it is to end")]
    Signal,
    /// Standard output.
    #[error("cannot write JSON")]
    Json,
}

impl From<SyncError> for MeterError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Outbox(error) => Self::Outbox(error),
            SyncError::Api(error) => Self::Api(error),
            SyncError::Statement { source: StatementError::L1(error), .. } => Self::L1(error),
            SyncError::Statement { source, .. } => Self::Statement(source),
            SyncError::Wallet(error) => Self::Wallet(error),
            SyncError::Clock => Self::Clock,
            error @ (SyncError::GivenBack { .. } | SyncError::OtherKey { .. } | SyncError::Gap { .. }) => {
                Self::GivenBack(Box::new(error))
            }
        }
    }
}

impl From<ServiceError> for MeterError {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Sync(error) => error.into(),
            error @ ServiceError::Proposal { .. } => Self::Proposal(error),
        }
    }
}

/// Keys, meter files, packets and statements of one member.
#[derive(Debug, Parser)]
#[command(name = "meter", arg_required_else_help = true, after_help = "Example:\n  gridveil meter read history.xml")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes the household's keys, and the key of the meter's device in a file of its own.
    #[command(
        after_help = "Examples:\n  GRIDVEIL_PASSPHRASE=... gridveil meter keygen --keys home7.keys\n  gridveil meter keygen \
                            --only device --device meter.device --token-module /usr/lib/softhsm/libsofthsm2.so \\\n    \
                            --token gateway --token-pin-file pin"
    )]
    Keygen(keys::KeygenArgs),
    /// Shows the public key of a device's file, for `member enrol` and `member replace`.
    #[command(after_help = "Example:\n  GRIDVEIL_PASSPHRASE=... gridveil meter device --device home7.device")]
    Device(keys::ShowArgs),
    /// Shows what a meter file holds.
    #[command(
        after_help = "Examples:\n  gridveil meter read history.xml\n  gridveil meter read zne17_hourly_2017-05.csv --meter 3 --json"
    )]
    Read(files::ReadArgs),
    /// Reads a live meter into a folder, day and night: P1 or SML, over TCP or a serial line.
    #[command(
        after_help = "Examples:\n  gridveil meter watch /dev/ttyUSB0 --format sml --into home7.meter\n  gridveil meter watch \
                            tcp://192.168.1.20:8088 --format p1 --into home7.meter"
    )]
    Watch(watch::WatchArgs),
    /// Says what the old meter showed last and the new one first, so that the interval of a swap is booked.
    #[command(after_help = "Example:\n  gridveil meter swap home7.meter --closing 12345.678 --opening 0")]
    Swap(swap::SwapArgs),
    /// Lists the profiles of meter files that are known by their columns.
    #[command(after_help = "Example:\n  gridveil meter profiles --json")]
    Profiles(files::ProfilesArgs),
    /// Signs a period's packet, keeps it, and hands it in. Repeating it hands in the same bytes.
    #[command(
        after_help = "Example:\n  gridveil meter submit history.xml --url http://127.0.0.1:8080 --community 0 --slot 7 \\\n    \
                            --keys home7.keys --outbox home7.outbox --buy-limit 2500 --sell-limit 900"
    )]
    Submit(submit::SubmitArgs),
    /// Hands in every period that is missing, checks statements, backs up and warns: once, or day and night as a service.
    #[command(
        after_help = "Example:\n  gridveil meter sync home7.meter --url http://127.0.0.1:8080 --rpc http://127.0.0.1:8545 \\\n    \
                            --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3 --community 0 --slot 7 \\\n    \
                            --keys home7.keys --outbox home7.outbox --buy-limit 2500 --sell-limit 900 --backup /mnt/stick/home7"
    )]
    Sync(sync::SyncArgs),
    /// Fetches a period's receipt and checks every figure against own readings and L1.
    #[command(
        after_help = "Example:\n  gridveil meter statement --url http://127.0.0.1:8080 --rpc http://127.0.0.1:8545 \\\n    \
                            --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3 --community 0 --slot 7 --period 2017-05-03 \\\n    \
                            --zone Europe/Vienna --keys home7.keys --outbox home7.outbox"
    )]
    Statement(StatementArgs),
}

/// A scale that exists: 1, 10 or 100 Wh.
///
/// # Errors
/// Any other text.
pub fn scale(text: &str) -> Result<u8, &'static str> {
    text.parse().ok().filter(|scale| [1, 10, 100].contains(scale)).ok_or("1, 10 or 100")
}

/// Where, who and with what: `K` are the household's keys, or those of who hands in.
#[derive(Debug, clap::Args)]
struct PlaceArgs<K: clap::Args> {
    /// Sequencer, `https://…` or `http://…`.
    #[arg(long, env = "GRIDVEIL_URL")]
    url: String,
    /// Community index.
    #[arg(long, env = "GRIDVEIL_COMMUNITY")]
    community: u32,
    /// Slot in the community.
    #[arg(long, env = "GRIDVEIL_SLOT")]
    slot: u16,
    #[command(flatten)]
    keys: K,
    /// Directory of what was signed and verified.
    #[arg(long, env = "GRIDVEIL_WALLET")]
    outbox: PathBuf,
}

/// The zone of who writes and reads dates.
#[derive(Clone, Debug, clap::Args)]
pub struct LocalArgs {
    /// Zone of dates, written and shown, such as Europe/Vienna.
    #[arg(id = "local_zone", long = "zone", value_name = "ZONE", env = "GRIDVEIL_ZONE", default_value = "UTC", value_parser = zone)]
    pub zone: Zone,
}

/// As [`LocalArgs`], where `--zone` is that of a file.
#[derive(Clone, Debug, clap::Args)]
pub struct LocalOfFileArgs {
    /// Zone of dates, written and shown, such as Europe/Vienna; that of --zone, or UTC, if absent.
    #[arg(id = "local_zone", long = "local-zone", value_name = "ZONE", env = "GRIDVEIL_ZONE", value_parser = zone)]
    local: Option<Zone>,
}

impl LocalOfFileArgs {
    /// The zone of dates beside this file.
    #[must_use]
    pub fn zone(&self, file: &FileArgs) -> Zone {
        self.local.clone().or_else(|| file.zone.clone()).unwrap_or_else(Zone::utc)
    }
}

/// A zone by name, or an offset.
///
/// # Errors
/// Any other text.
pub fn zone(text: &str) -> Result<Zone, SourceError> {
    Zone::parse(text)
}

/// What a packet says beside its readings.
#[derive(Debug, clap::Args)]
struct PacketArgs {
    /// Highest price to buy at in the next period, ticks of 0.0001 per kWh.
    #[arg(long)]
    buy_limit: Ticks,
    /// Lowest price to sell at in the next period, ticks of 0.0001 per kWh.
    #[arg(long)]
    sell_limit: Ticks,
    /// The account's scale, Wh per unit. It is signed: readings in another one are refused.
    #[arg(long, default_value_t = 1, value_parser = scale)]
    scale: u8,
}

#[derive(Debug, clap::Args)]
struct StatementArgs {
    #[command(flatten)]
    place: PlaceArgs<KeyArgs>,
    /// L1 node, `https://…` or `http://…`: one you trust, best your own.
    #[arg(long, env = "GRIDVEIL_RPC", hide_env_values = true)]
    rpc: String,
    /// Rollup contract.
    #[arg(long, env = "GRIDVEIL_CONTRACT")]
    contract: String,
    /// The period: its local day, such as 2017-05-03, or the time at which it begins, such as 2017-05-03T00:00+02:00.
    #[arg(long, value_name = "DATE", alias = "first-interval")]
    period: When,
    #[command(flatten)]
    local: LocalArgs,
    /// For machines.
    #[arg(long)]
    json: bool,
}

/// Runs a command. Blocking: call it outside any async runtime.
///
/// # Errors
/// [`MeterError`].
pub fn run(args: Args) -> Result<(), MeterError> {
    match args.command {
        Command::Keygen(args) => keys::keygen(&args),
        Command::Device(args) => keys::show(&args),
        Command::Read(args) => files::read(&args),
        Command::Watch(args) => watch::run(&args),
        Command::Swap(args) => swap::run(&args),
        Command::Profiles(args) => files::profiles(&args),
        Command::Submit(args) => submit::submit(&args),
        Command::Sync(args) => sync::run(&args),
        Command::Statement(args) => statement(&args),
    }
}

fn print_json(value: &impl serde::Serialize) -> Result<(), MeterError> {
    println!("{}", serde_json::to_string(value).map_err(|_| MeterError::Json)?);
    Ok(())
}

/// Unix seconds of an RFC 3339 time, such as 2026-12-01T00:00:00+01:00, or of a day's beginning, UTC.
///
/// # Errors
/// Any other text, or a time before 1970.
pub fn unix_s(text: &str) -> Result<u64, &'static str> {
    let day = || {
        let day: jiff::civil::Date = text.parse().ok()?;
        Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    };
    let time = text.parse().ok().or_else(day).and_then(|time: jiff::Timestamp| time.as_second().try_into().ok());
    time.ok_or("a time such as 2026-12-01T00:00:00Z, or a day")
}

/// As [`unix_s`], with a sign.
fn instant(text: &str) -> Result<i64, &'static str> {
    unix_s(text)?.try_into().map_err(|_| "a time such as 2026-12-01T00:00:00Z, or a day")
}

/// RFC 3339, UTC.
#[must_use]
pub fn utc(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |t| t.to_string())
}

fn contract(text: &str) -> Result<[u8; 20], MeterError> {
    address(text).ok_or(MeterError::Contract)
}

fn statement(args: &StatementArgs) -> Result<(), MeterError> {
    let PlaceArgs { url, community, slot, keys, outbox } = &args.place;
    let contract = contract(&args.contract)?;
    let l1 = JsonRpc::new(&args.rpc, contract)?;
    let sequencer = Sequencer::new(url, Retry::default())?;
    // Chain and contract are what the member names, never what the sequencer says; of it are the versions' numbers.
    let versions = sequencer.info()?.checked_versions().ok_or(ApiError::Domain)?;
    let domains = Domains::new(l1.chain_id()?, contract, versions);
    let terms = sequencer.community(*community)?;
    let periods = Periods::of(&terms, args.local.zone.clone());
    let first_interval = periods.find(&args.period)?;
    let keys = open_keys(keys)?;
    let outbox = Outbox::open(outbox, &keys)?;
    let member = Member {
        sequencer: &sequencer,
        l1: &l1,
        keys: &keys,
        outbox: &outbox,
        domains: &domains,
        community: *community,
        slot: *slot,
    };
    let period = |first_interval| Period {
        domain: domains.of_period(first_interval, terms.interval_length),
        community: *community,
        slot: *slot,
        first_interval,
    };
    let previous = first_interval.checked_sub(u32::from(terms.intervals)).map(|first| outbox.receipt(&period(first)));
    let previous = previous.transpose()?.flatten();
    let operations = wallet::signed_operations(&args.place.outbox, &keys, domains.name(), *community, *slot)?;
    let statement = member.statement(first_interval, previous.as_ref(), &operations);
    let (statement, _) = statement.map_err(|error| error.dated(terms.interval_length))?;
    if args.json {
        return print_json(&statement);
    }
    print!("{}", table(&statement, &periods));
    Ok(())
}
