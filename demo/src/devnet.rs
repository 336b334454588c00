//! `gridveil devnet`: a local chain with the contract and a sequencer on it, for trying the members', the meter data manager's and
//! the operator's commands.
//!
//! Everything is as in a real deployment, but for three things: one account has every role on L1, the meter data manager's key
//! lies in the directory, and time goes as fast as `devnet settle` and `devnet clock` say. The proving parameters are
//! the insecure development ones.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use clap::Subcommand;
use gridveil_circuits::settlement::SettlementCircuit;
use gridveil_cli::{
    beginning::Beginning,
    mdm::{Silent, substituted},
    member::{Details, element, hex0},
    operator::connect,
    sequencer::{self, secret},
    text,
};
use gridveil_meter_client::{
    key_store::{Cost, Keys},
    submit::{Admin, ApiError, Retry, Sequencer},
};
use gridveil_protocol::{
    account::Terms, market::Mechanism, packet::Reading, params::Shape, tariff::Tariff, units::Interval,
};
use gridveil_prover::{
    certificate::{CertificateProver, CertificateProverConfig},
    progress::Reporter,
    prover::{Prover, ProverConfig},
    srs::SrsSource,
};
use gridveil_sequencer::store::data_keys;
use gridveil_verifier_contract::{
    EthersClient, L1Client, address_of,
    anvil::{ANVIL_KEYS, Anvil, AnvilOptions, LOCAL_CHAIN_ID},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    demo::{
        onchain::OnChain,
        scenario::{FIRST_DAY, TARIFF_SET},
    },
    genesis::SOLAR,
    homes::INTERVAL_LENGTH,
    simulate::{CAPS_WH, SHAPE, TARIFF},
    time_of_use::{Split, TimeOfUse},
};

const EXAMPLE: &str =
    "Example, in two terminals:\n  gridveil devnet up --dir devnet\n  gridveil devnet settle --dir devnet";
/// The chain's clock starts this long before the first period: time to register everything.
const LEAD_S: u64 = 6 * 3600;
/// Supplier account of each community, units: 500 of the currency.
const SUPPLIER_UNITS: u64 = 50_000;
/// What each member's L1 account gets: smallest parts of the token (1,000 of the currency), and wei.
const MEMBER_TOKENS: u64 = 1_000_000_000;
const MEMBER_WEI: u128 = 10_000_000_000_000_000_000;
/// Asking a settlement how far it is.
const POLL: Duration = Duration::from_millis(100);

/// Options of `gridveil devnet`.
#[derive(clap::Args, Debug)]
#[command(arg_required_else_help = true, after_help = EXAMPLE)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts chain, contract and sequencer, with two empty communities, and runs until it is interrupted.
    #[command(after_help = "Example:\n  gridveil devnet up --dir devnet --members 4")]
    Up(UpArgs),
    /// Lets a period pass: closes it, with the meter data manager's substitutes (no energy) for silent meters, and waits until it
    /// is final.
    #[command(after_help = "Example:\n  gridveil devnet settle --dir devnet --community 0")]
    Settle(SettleArgs),
    /// Moves the chain's clock on.
    #[command(after_help = "Example:\n  gridveil devnet clock --dir devnet --hours 200")]
    Clock(ClockArgs),
}

#[derive(Debug, clap::Args)]
struct UpArgs {
    /// A new directory for everything: keys, log, addresses.
    #[arg(long, value_name = "DIRECTORY", default_value = "devnet")]
    dir: PathBuf,
    /// L1 accounts with some ether and tokens, for members.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(0..=64))]
    members: u16,
    /// Where proving parameters and keys are kept between runs.
    #[arg(long, value_name = "DIRECTORY", default_value = "target/keys")]
    cache: PathBuf,
}

#[derive(Debug, clap::Args)]
struct SettleArgs {
    /// Directory of `devnet up`.
    #[arg(long, value_name = "DIRECTORY", default_value = "devnet")]
    dir: PathBuf,
    /// Only this community; all of them if absent.
    #[arg(long)]
    community: Option<u32>,
    /// For machines.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct ClockArgs {
    /// Directory of `devnet up`.
    #[arg(long, value_name = "DIRECTORY", default_value = "devnet")]
    dir: PathBuf,
    /// How far.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    hours: u64,
}

/// Where everything is: `devnet.json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Devnet {
    /// L1 node.
    pub rpc: String,
    /// Rollup contract.
    pub contract: String,
    /// Sequencer's public listener.
    pub url: String,
    /// Its admin listener.
    pub admin: String,
    /// Communities served.
    pub communities: Vec<u32>,
    /// First interval in which accounts may have readings.
    pub active_from: Interval,
}

impl Devnet {
    /// Of a running one.
    ///
    /// # Errors
    /// None runs there.
    pub fn read(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join("devnet.json");
        let json = std::fs::read(&path)
            .with_context(|| format!("{}: no devnet runs here (gridveil devnet up)", path.display()))?;
        serde_json::from_slice(&json).with_context(|| path.display().to_string())
    }

    fn admin(&self, dir: &Path) -> anyhow::Result<Admin> {
        connect(&self.admin, &dir.join("admin.token"))
    }
}

/// Runs a command. Blocking: call it outside any async runtime.
///
/// # Errors
/// One line for a person.
pub fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Up(args) => up(args),
        Command::Settle(args) => settle(args),
        Command::Clock(args) => clock(args),
    }
}

/// A new file that only its owner reads.
fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let name = || path.display().to_string();
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).with_context(name)?;
    file.write_all(content.as_bytes()).with_context(name)
}

fn random_hex<const N: usize>() -> anyhow::Result<String> {
    Ok(hex::encode(data_keys::random::<N>()?))
}

/// Communities, tariff and terms of a devnet.
struct Setting {
    shape: Shape,
    beginnings: Vec<Beginning>,
    time_of_use: TimeOfUse,
    /// First interval of the first period, in which members enrol; the next one is the first day of
    /// `data/zne17-2017-05.csv`.
    beginning: Interval,
    active_from: Interval,
}

impl Setting {
    fn new(mdm: &str) -> anyhow::Result<Self> {
        let shape = Shape::by_name(SHAPE).context("the shape of homes is missing")?;
        let time_of_use = TimeOfUse::parse(TARIFF).context("data/tou-two-season.json")?;
        let midnight = FIRST_DAY.to_zoned(time_of_use.zone.clone())?.timestamp().as_second();
        let active_from = u32::try_from(midnight / i64::from(INTERVAL_LENGTH))?;
        let beginning = active_from - u32::try_from(shape.intervals)?;
        let one = |community| Beginning {
            community,
            shape: SHAPE.to_owned(),
            mechanism: Mechanism::Auction,
            interval_length: INTERVAL_LENGTH,
            first_interval: beginning,
            mdm: mdm.to_owned(),
        };
        Ok(Self { shape, beginnings: vec![one(0), one(1)], time_of_use, beginning, active_from })
    }

    /// Of the first period and all that follow.
    fn tariff(&self) -> anyhow::Result<Tariff> {
        Ok(self.time_of_use.tariff(&Split::default(), self.beginning, INTERVAL_LENGTH, self.shape.intervals)?)
    }

    /// What the meter data manager offers every home.
    const fn terms(&self) -> Terms {
        let [cap_import, cap_export] = CAPS_WH;
        Terms {
            active_from: self.active_from,
            active_until: Interval::MAX,
            buy_limit: 1_900,
            sell_limit: 600,
            cap_import,
            cap_export,
            technology: SOLAR,
            scale: 1,
            class: 0,
        }
    }
}

fn up(args: &UpArgs) -> anyhow::Result<()> {
    let dir = &args.dir;
    ensure!(!dir.join("devnet.json").exists(), "{}: a devnet runs there, or ran; take a new directory", dir.display());
    std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    let passphrase = random_hex::<16>()?;
    write(&dir.join("mdm.passphrase"), &passphrase)?;
    let mdm = Keys::generate()?;
    mdm.create(&dir.join("mdm.keys"), &passphrase, Cost::default())?;
    let setting = Setting::new(&hex0(&mdm.owner.public().to_bytes()))?;
    write(&dir.join("terms.json"), &serde_json::to_string_pretty(&setting.terms())?)?;
    write(&dir.join("begin.json"), &serde_json::to_string_pretty(&setting.beginnings)?)?;
    write(&dir.join("admin.token"), &random_hex::<16>()?)?;
    let operator_key = ANVIL_KEYS.first().copied().context("no key")?;
    write(&dir.join("operator.key"), operator_key)?;

    let starts = u64::from(setting.beginning) * u64::from(INTERVAL_LENGTH);
    let anvil = Anvil::spawn_with(&AnvilOptions { timestamp: Some(starts - LEAD_S), ..AnvilOptions::default() })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let l1 = runtime.block_on(deploy(&anvil.url(), &setting, &args.cache))?;
    runtime.block_on(fund_members(&l1, &anvil.url(), dir, args.members))?;

    let (sequencer, handle) =
        sequencer::start(&sequencer::Args::local(dir, &anvil.url(), &hex0(&l1.contract()), SHAPE, &args.cache))?;
    let devnet = Devnet {
        rpc: anvil.url(),
        contract: hex0(&l1.contract()),
        url: format!("http://{}", handle.public_address()),
        admin: format!("http://{}", handle.admin_address()),
        communities: setting.beginnings.iter().map(|one| one.community).collect(),
        active_from: setting.active_from,
    };
    begin(&devnet.admin(dir)?, &setting)?;
    let file = dir.join("devnet.json");
    write(&dir.join("devnet.json.new"), &serde_json::to_string_pretty(&devnet)?)?;
    std::fs::rename(dir.join("devnet.json.new"), &file).with_context(|| file.display().to_string())?;
    let shown = |name: &str| dir.join(name).display().to_string();
    Details::new("A local rollup runs until this is interrupted; its money is worth nothing")
        .row("L1 node", devnet.rpc.clone(), devnet.rpc)
        .row("contract", devnet.contract.clone(), devnet.contract)
        .row("sequencer", devnet.url.clone(), devnet.url)
        .row("admin", format!("{} (token in {})", devnet.admin, shown("admin.token")), devnet.admin)
        .row("mdm", format!("{} (passphrase in {})", shown("mdm.keys"), shown("mdm.passphrase")), shown("mdm.keys"))
        .row("terms", shown("terms.json"), shown("terms.json"))
        .row(
            "members' L1 keys",
            format!("{} to {}", shown("l1-0.key"), shown(&format!("l1-{}.key", args.members.saturating_sub(1)))),
            args.members,
        )
        .print(false)?;
    sequencer.block_on(async {
        let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted?,
            _ = term.recv() => {}
        }
        handle.shutdown().await;
        anyhow::Ok(())
    })
}

/// The contract with the verifiers of these circuits, both communities registered, the tariff of all periods, and the
/// operator's funds.
async fn deploy(url: &str, setting: &Setting, cache: &Path) -> anyhow::Result<EthersClient> {
    let reporter = Reporter::stderr();
    let config = ProverConfig {
        cache_dir: cache.to_path_buf(),
        srs: SrsSource::InsecureDev,
        chain_id: LOCAL_CHAIN_ID,
        shapes: vec![setting.shape],
        threads: None,
        domain: None,
    };
    let prover = Prover::<SettlementCircuit>::open(&config, &reporter)?;
    let certificates = CertificateProver::open(&CertificateProverConfig::local(cache.to_path_buf()), &reporter)?;
    let empty = |one: &Beginning| Ok(one.registered()?.empty());
    let communities = setting.beginnings.iter().map(empty).collect::<anyhow::Result<Vec<_>>>()?;
    let (l1, _) = OnChain::deploy(url, &communities, &prover, &certificates).await?;
    l1.register_tariff(
        TARIFF_SET,
        setting.beginning,
        gridveil_protocol::field::to_bytes(&setting.tariff()?.commitment()),
    )
    .await?;
    l1.fund_supplier_account(SUPPLIER_UNITS * setting.beginnings.len() as u64).await?;
    Ok(l1)
}

async fn fund_members(l1: &EthersClient, url: &str, dir: &Path, members: u16) -> anyhow::Result<()> {
    for number in 0..members {
        let key = random_hex::<32>()?;
        let account = address_of(&key)?;
        write(&dir.join(format!("l1-{number}.key")), &key)?;
        l1.mint_test_tokens(account, MEMBER_TOKENS).await?;
        l1.set_local_balance(account, MEMBER_WEI).await.with_context(|| url.to_owned())?;
    }
    Ok(())
}

/// The sequencer learns the tariff, and takes the supplier accounts in with the first settlements.
fn begin(admin: &Admin, setting: &Setting) -> anyhow::Result<()> {
    let tariff = setting.tariff()?;
    for Beginning { community, .. } in &setting.beginnings {
        let path = |what: &str| format!("/admin/v1/communities/{community}/{what}");
        admin.post(&path("tariffs"), &json!({"first_interval": setting.beginning, "tariff": tariff}))?;
        admin
            .post(&path("header-operation"), &json!({"transfer": {"pool": "supplier_in", "units": SUPPLIER_UNITS}}))?;
    }
    Ok(())
}

async fn local(devnet: &Devnet, dir: &Path) -> anyhow::Result<EthersClient> {
    let contract = sequencer::address(&devnet.contract)?;
    Ok(EthersClient::connect(&devnet.rpc, Some(&secret(&dir.join("operator.key"))?), Some(contract)).await?)
}

fn clock(args: &ClockArgs) -> anyhow::Result<()> {
    let devnet = Devnet::read(&args.dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let l1 = local(&devnet, &args.dir).await?;
        l1.set_local_time(l1.timestamp().await? + args.hours * 3600).await?;
        anyhow::Ok(())
    })
}

/// What the sequencer says of a slot without a packet.
#[derive(Deserialize)]
struct MissingSlot {
    slot: u16,
    previous_substitute: String,
    scale: u8,
}

/// A period that is final.
struct Final {
    community: u32,
    first_interval: Interval,
    substituted: usize,
    batch: u64,
    prove_ms: u64,
    gas: u64,
}

fn settle(args: &SettleArgs) -> anyhow::Result<()> {
    let devnet = Devnet::read(&args.dir)?;
    let communities = args.community.map_or_else(|| devnet.communities.clone(), |one| vec![one]);
    let settled = communities
        .into_iter()
        .map(|community| settle_one(&devnet, &args.dir, community))
        .collect::<anyhow::Result<Vec<_>>>()?;
    if args.json {
        let one = |f: &Final| json!({"community": f.community, "first_interval": f.first_interval, "substituted": f.substituted, "batch": f.batch, "prove_ms": f.prove_ms, "gas_used": f.gas});
        return Ok(text::print(&format!("{}\n", json!(settled.iter().map(one).collect::<Vec<_>>())))?);
    }
    let mut table = text::table(&["community", "period", "substituted", "batch", "proof", "gas"]);
    for f in &settled {
        let proof = format!("{} ms", f.prove_ms);
        table.add_row([
            f.community.to_string(),
            f.first_interval.to_string(),
            f.substituted.to_string(),
            f.batch.to_string(),
            proof,
            text::grouped(f.gas.into()),
        ]);
    }
    Ok(text::print(&format!("{table}\n"))?)
}

fn settle_one(devnet: &Devnet, dir: &Path, community: u32) -> anyhow::Result<Final> {
    let admin = devnet.admin(dir)?;
    let sequencer = Sequencer::new(&devnet.url, Retry::default())?;
    let terms = sequencer.community(community)?;
    let first_interval = terms.next_interval;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let l1 = local(devnet, dir).await?;
        let ends = (u64::from(first_interval) + u64::from(terms.intervals)) * u64::from(terms.interval_length);
        if l1.timestamp().await? < ends {
            l1.set_local_time(ends).await?;
        }
        anyhow::Ok(())
    })?;
    let path = format!("/admin/v1/communities/{community}/close");
    let body = json!({"first_interval": first_interval});
    let mut count = 0;
    match admin.post(&path, &body) {
        Ok(_) => {}
        Err(ApiError::Refused(problem)) if problem.code == "close.missing" => {
            let missing = admin.get(&format!("/admin/v1/communities/{community}/missing"))?;
            let silent: Vec<MissingSlot> =
                serde_json::from_value(missing["missing"].clone()).context("which slots are missing")?;
            let mdm = Keys::open(&dir.join("mdm.keys"), &secret(&dir.join("mdm.passphrase"))?)?.owner;
            let domain = sequencer.info()?.checked_domain()?;
            for MissingSlot { slot, previous_substitute, scale } in silent {
                let readings = vec![Reading::default(); usize::from(terms.intervals)];
                let at = Silent {
                    domain,
                    community,
                    slot,
                    first_interval,
                    scale,
                    previous_substitute: element(&previous_substitute, "previous_substitute")?,
                };
                sequencer.submit(&substituted(at, &terms, readings, &mdm)?)?;
                count += 1;
            }
            admin.post(&path, &body)?;
        }
        Err(error) => return Err(error.into()),
    }
    loop {
        let status = admin.get("/admin/v1/status")?;
        if let Some(why) = status["stopped"].as_str() {
            bail!("the sequencer stopped: {why}");
        }
        let all = status["communities"].as_array().context("no communities")?;
        let batches = all.iter().find(|c| c["community"] == community).and_then(|c| c["batches"].as_array());
        let batch = batches.and_then(|all| all.iter().find(|b| b["first_interval"] == first_interval));
        if let Some(batch) = batch.filter(|b| b["step"] == "settled") {
            let number = |name: &str| batch[name].as_u64().unwrap_or(0);
            return Ok(Final {
                community,
                first_interval,
                substituted: count,
                batch: number("batch"),
                prove_ms: number("prove_ms"),
                gas: number("gas_used"),
            });
        }
        std::thread::sleep(POLL);
    }
}
