//! `gridveil mdm`: the meter data manager's side. Its key is the owner key of a key file (`gridveil meter keygen`);
//! it is never the operator's.

mod grant;
mod substitute;

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Subcommand;
use gridveil_api::public::CommunityInfo;
use gridveil_meter_client::{
    calendar::{Periods, When},
    cli::{FileArgs, KeyArgs, LocalArgs, LocalOfFileArgs, open_keys, scale},
    l1::JsonRpc,
    submit::{Retry, Sequencer, address},
    wallet::{ConsentFile, DecisionFile, Deployment, read_file, write_file},
};
use gridveil_protocol::{
    field::Fr,
    header_operation::{self, HeaderOperation, Management},
    instance,
    market::Mechanism,
    operation::{Kind, SignedOperation},
    packet::{Context, Packet, PacketSalts, Reading},
    params::CIRCUIT_VERSION,
    poseidon::DomainTag,
    schnorr::{self, PublicKey, SecretKey},
    units::{Interval, Ticks},
    version::Domains,
};

use crate::common::options::mechanism;
use crate::member::{Acting, Details, Money, agreed, deployed, hex0, manage::terms_rows, planned, served};

const EXAMPLE: &str = "Example:\n  gridveil mdm sign consent.json --keys mdm.keys --rpc http://127.0.0.1:8545 \\\n    \
                       --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3 --url http://127.0.0.1:8080";

/// Options of `gridveil mdm`.
#[derive(clap::Args, Debug)]
#[command(arg_required_else_help = true, after_help = EXAMPLE)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows the meter data manager's public key, for the registration of communities.
    #[command(after_help = "Example:\n  gridveil mdm key --keys mdm.keys --json")]
    Key(KeyCommand),
    /// Signs what a member consented to (enrol, replace, terms), and hands it in or writes it.
    #[command(after_help = EXAMPLE)]
    Sign(SignArgs),
    /// Signs a packet in place of a silent meter's, from an estimate or from what a member proposes, and hands it in.
    #[command(
        after_help = "Example:\n  gridveil mdm substitute estimate.csv --slot 7 --community 0 --keys mdm.keys \\\n    \
                            --rpc http://127.0.0.1:8545 --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3 --url http://127.0.0.1:8080"
    )]
    Substitute(SubstituteArgs),
    /// Signs a decision over a community: mechanism, reserve, another meter data manager, periods to skip. For the
    /// operator to hand in.
    #[command(
        after_help = "Example:\n  gridveil mdm header --community 0 --period 2026-12-02 --zone Europe/Vienna --nonce 1 --mechanism community-price --reserve 50 --out header.json \\\n    \
                            --keys mdm.keys --rpc http://127.0.0.1:8545 --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3"
    )]
    Header(HeaderArgs),
    /// Signs a grant: which totals of which periods a regulator or an auditor may read, and until when.
    #[command(after_help = grant::EXAMPLE)]
    Grant(grant::GrantArgs),
    /// Takes a grant back, at once and for ever.
    #[command(after_help = grant::REVOKE_EXAMPLE)]
    RevokeGrant(grant::RevokeArgs),
}

#[derive(Debug, clap::Args)]
struct KeyCommand {
    #[command(flatten)]
    keys: KeyArgs,
    /// For machines.
    #[arg(long)]
    json: bool,
}

/// Which rollup, and the meter data manager's key.
#[derive(Debug, clap::Args)]
struct Place {
    #[command(flatten)]
    keys: KeyArgs,
    /// L1 node, `https://…` or `http://…`: one you trust, best your own.
    #[arg(long, value_name = "URL", env = "GRIDVEIL_RPC", value_delimiter = ',', required = true)]
    rpc: Vec<String>,
    /// Rollup contract.
    #[arg(long, value_name = "ADDRESS", env = "GRIDVEIL_CONTRACT")]
    contract: String,
    /// Circuit version to sign for, where no sequencer is asked: that of the period, after an upgrade.
    #[arg(long, value_name = "N", default_value_t = CIRCUIT_VERSION)]
    circuit_version: u64,
    /// For machines.
    #[arg(long)]
    json: bool,
}

impl Place {
    /// Chain and contract are those that are named, never the sequencer's.
    fn deployment(&self) -> anyhow::Result<(JsonRpc, Deployment)> {
        let contract = address(&self.contract).context("contract address must be 0x and 40 hex digits")?;
        deployed(&self.rpc, contract)
    }

    /// Where no sequencer says which version a period has.
    fn domain(&self, deployment: &Deployment) -> Fr {
        instance::domain(deployment.chain_id, &deployment.contract, self.circuit_version)
    }

    fn key(&self) -> anyhow::Result<SecretKey> {
        Ok(open_keys(&self.keys)?.owner)
    }
}

/// What every command has that signs something.
#[derive(Debug, clap::Args)]
struct Doing {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    acting: Acting,
}

#[derive(Debug, clap::Args)]
struct SignArgs {
    /// The consent's file, from the member.
    file: PathBuf,
    /// Sequencer, `https://…` or `http://…`: it says which circuit version is signed for, and is handed the operation.
    #[arg(long, value_name = "URL", required_unless_present = "out", env = "GRIDVEIL_URL")]
    url: Option<String>,
    /// Writes the operation with both signatures into this file, and hands nothing in.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    local: LocalArgs,
    #[command(flatten)]
    with: Doing,
}

#[derive(Debug, clap::Args)]
struct SubstituteArgs {
    #[command(flatten)]
    estimate: FileArgs,
    /// Sequencer, `https://…` or `http://…`.
    #[arg(long, value_name = "URL", env = "GRIDVEIL_URL")]
    url: String,
    /// Community index. A proposal says it itself, as it does slot, period and scale.
    #[arg(long)]
    community: Option<u32>,
    /// Slot whose meter is silent.
    #[arg(long)]
    slot: Option<u16>,
    /// The period: its local day, such as 2017-05-03, or the time at which it begins, such as 2017-05-03T00:00+02:00;
    /// the community's open period if absent.
    #[arg(long, value_name = "DATE", alias = "first-interval")]
    period: Option<When>,
    #[command(flatten)]
    local: LocalOfFileArgs,
    /// The account's scale, Wh per unit: 1 if absent.
    #[arg(long, value_parser = scale)]
    scale: Option<u8>,
    /// The slot's newest pending substitute, as the operator says (`previous_substitute` of its missing slots): 0x…;
    /// none if absent.
    #[arg(long, value_name = "DIGEST")]
    previous_substitute: Option<String>,
    #[command(flatten)]
    with: Doing,
}

#[derive(Debug, clap::Args)]
struct HeaderArgs {
    /// Sequencer, `https://…` or `http://…`: it says which circuit version the period has.
    #[arg(long, value_name = "URL", env = "GRIDVEIL_URL")]
    url: Option<String>,
    /// Community index.
    #[arg(long)]
    community: u32,
    /// The period for which this is decided: its local day, such as 2017-05-03, or the time at which it begins, such as
    /// 2017-05-03T00:00+02:00. In any other it is void.
    #[arg(long, value_name = "DATE", alias = "first-interval")]
    period: When,
    #[command(flatten)]
    local: LocalArgs,
    /// The header's nonce: the operator knows it (`gridveil operator status`).
    #[arg(long)]
    nonce: u64,
    /// Clearing rule from the next period on: auction or community-price.
    #[arg(long, value_parser = mechanism)]
    mechanism: Mechanism,
    /// Part of the supplier account that the operator may not withdraw, currency units; none if absent.
    #[arg(long)]
    reserve: Option<Money>,
    /// Periods that are not settled at all.
    #[arg(long, default_value_t = 0)]
    skip: u16,
    /// The next meter data manager's public key, 0x and 128 hex digits; the present one if absent.
    #[arg(long, value_name = "KEY")]
    new_mdm: Option<String>,
    /// File of the decision, for the operator.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    with: Doing,
}

/// A public key from 0x and 128 hex digits: x and y.
///
/// # Errors
/// Anything else.
pub fn public_key(text: &str, what: &str) -> anyhow::Result<PublicKey> {
    let mut bytes = [0; 64];
    let digits = text.strip_prefix("0x").filter(|digits| hex::decode_to_slice(digits, &mut bytes).is_ok());
    digits
        .and_then(|_| PublicKey::from_bytes(&bytes).ok())
        .with_context(|| format!("{what} must be 0x and 128 hex digits: x and y of a point"))
}

/// Runs a command. Blocking: call it outside any async runtime.
///
/// # Errors
/// One line for a person.
pub fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Key(args) => {
            let key = hex0(open_keys(&args.keys)?.owner.public().to_bytes());
            Details::new("").row("meter data manager key", key.clone(), key).print(args.json)
        }
        Command::Sign(args) => sign(args),
        Command::Substitute(args) => substitute::substitute(args),
        Command::Header(args) => header(args),
        Command::Grant(args) => grant::grant(args),
        Command::RevokeGrant(args) => grant::revoke(args),
    }
}

/// An owner's consent that a meter data manager can sign: of a kind it signs, and the owner's own signature verifies.
///
/// # Errors
/// Another operation, or a signature that is not the owner's.
pub fn check_consent(consent: &SignedOperation, domain: Fr) -> anyhow::Result<()> {
    let operation = &consent.operation;
    ensure!(
        operation.kind.effect().mdm,
        "the meter data manager has no say in this operation: its owner hands it in alone"
    );
    let message = operation.message(domain);
    schnorr::verify(DomainTag::Operation, &consent.owner.key, &[message], &consent.signature)
        .context("the owner's signature")?;
    ensure!(
        operation.kind != Kind::Enrol || operation.party == consent.owner.commitment(),
        "the account would be another owner's than the one who signed"
    );
    Ok(())
}

fn sign(args: &SignArgs) -> anyhow::Result<()> {
    let (roots, deployment) = args.with.place.deployment()?;
    let file: ConsentFile = read_file(&args.file, &deployment).with_context(|| args.file.display().to_string())?;
    let operation = file.consent.operation;
    let sequencer = args.url.as_deref().map(|url| sequencer(url, &deployment)).transpose()?;
    let domain = match &sequencer {
        Some((sequencer, domains)) => sequencer.open_domain(domains, operation.community)?,
        None => args.with.place.domain(&deployment),
    };
    check_consent(&file.consent, domain).with_context(|| args.file.display().to_string())?;
    let periods = Periods::on_l1(&roots.standing(operation.community, 0).context("--rpc")?, args.local.zone.clone());
    let details = || {
        let owner = hex0(gridveil_protocol::field::to_bytes(&file.consent.owner.commitment()));
        let mut details = planned(&file.consent).row("owner", owner.clone(), owner);
        if let Some(meter) = operation.meter {
            details = details.row("meter", hex0(meter.to_bytes()), hex0(meter.to_bytes()));
        }
        operation.terms.iter().fold(details, |details, terms| terms_rows(details, terms, &periods))
    };
    let key = args.with.place.key()?;
    if !agreed(details(), args.with.acting, args.with.place.json)? {
        return Ok(());
    }
    let signed = file.consent.clone().countersign(domain, &key)?;
    let mut details = details();
    if let Some(out) = &args.out {
        let name = out.display().to_string();
        write_file(out, &ConsentFile { deployment, consent: signed.clone() }).with_context(|| name.clone())?;
        details = details.row("file", name.clone(), name);
    }
    if let (Some((sequencer, _)), None) = (&sequencer, &args.out) {
        let status = sequencer.operate(&signed)?.as_str();
        details = details.row("sequencer", status, status);
    }
    details.print(args.with.place.json)
}

fn sequencer(url: &str, deployment: &Deployment) -> anyhow::Result<(Sequencer, Domains)> {
    let sequencer = Sequencer::new(url, Retry::default())?;
    let domains = served(&sequencer, deployment)?;
    Ok((sequencer, domains))
}

/// Where a substituted packet belongs.
#[derive(Clone, Copy, Debug)]
pub struct Silent {
    /// Deployment.
    pub domain: Fr,
    /// Community index.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// First interval of the period.
    pub first_interval: Interval,
    /// Wh of a reading's unit: the account's scale.
    pub scale: u8,
    /// Digest of the slot's substitute that may still be corrected, or zero.
    pub previous_substitute: Fr,
}

/// Signs an estimate for a silent meter, with fresh salts. The limits in a substitute have no effect: the
/// account's stay.
///
/// # Errors
/// No randomness.
pub fn substituted(
    at: Silent,
    terms: &CommunityInfo,
    readings: Vec<Reading>,
    mdm: &SecretKey,
) -> anyhow::Result<gridveil_protocol::packet::SignedPacket> {
    let Silent { domain, community, slot, first_interval, scale, previous_substitute } = at;
    let context = Context {
        domain,
        community,
        first_interval,
        interval_length: terms.interval_length,
        intervals: terms.intervals,
    };
    let salts = PacketSalts::from_random(&gridveil_keystore::random()?);
    let packet = Packet {
        context,
        slot,
        readings,
        buy_limit: Ticks::ZERO,
        sell_limit: Ticks::ZERO,
        substituted: true,
        salts,
        scale,
        previous_substitute,
    };
    Ok(packet.sign(mdm)?)
}

fn header(args: &HeaderArgs) -> anyhow::Result<()> {
    let (roots, deployment) = args.with.place.deployment()?;
    let zone = args.local.zone.clone();
    let (domain, periods, first_interval) = match &args.url {
        Some(url) => {
            let (sequencer, domains) = sequencer(url, &deployment)?;
            let terms = sequencer.community(args.community)?;
            let periods = Periods::of(&terms, zone);
            let first_interval = periods.find(&args.period).context("--period")?;
            (domains.of_period(first_interval, terms.interval_length), periods, first_interval)
        }
        None => {
            // L1 says how long periods are, and until when they are settled.
            let standing = roots.standing(args.community, 0).context("--rpc")?;
            let periods = Periods::on_l1(&standing, zone);
            let first_interval = periods.find(&args.period).context("--period")?;
            (args.with.place.domain(&deployment), periods, first_interval)
        }
    };
    let key = args.with.place.key()?;
    let mdm = args.new_mdm.as_deref().map_or_else(|| Ok(key.public()), |text| public_key(text, "--new-mdm"))?;
    let management = Management {
        mechanism: args.mechanism,
        mdm,
        reserve: args.reserve.map_or(0, |money| money.nano),
        skip: args.skip,
    };
    let details = || {
        let name = args.out.display().to_string();
        let reserve = crate::common::text::money(management.reserve.into());
        let next = hex0(mdm.to_bytes());
        let rule = match management.mechanism {
            Mechanism::Auction => "auction",
            Mechanism::CommunityPrice => "community price",
        };
        Details::new("")
            .row("community", args.community.to_string(), args.community)
            .row("mechanism", rule, rule)
            .row("reserve", reserve, management.reserve)
            .row("skipped", format!("{} periods", args.skip), args.skip)
            .row("mdm", next.clone(), next)
            .row("period", periods.span(first_interval), first_interval.0)
            .row("nonce", args.nonce.to_string(), args.nonce)
            .row("for the operator", name.clone(), name)
    };
    if !agreed(details(), args.with.acting, args.with.place.json)? {
        return Ok(());
    }
    let signed = management.sign(
        domain,
        &header_operation::Place { community: args.community, nonce: args.nonce, first_interval },
        &key,
    )?;
    let decision = HeaderOperation { transfer: None, management: Some(signed) };
    write_file(&args.out, &DecisionFile { deployment, community: args.community, decision })
        .with_context(|| args.out.display().to_string())?;
    details().print(args.with.place.json)
}
