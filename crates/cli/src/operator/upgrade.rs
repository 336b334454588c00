//! `gridveil operator upgrade`: another circuit version, on L1 and then in the sequencer.

mod status;

use anyhow::{Context as _, bail, ensure};
use gridveil_api::admin::{FirstPeriod, UpgradeRequest};
use gridveil_meter_client::cli::{unix_s, utc};
use gridveil_protocol::{hex::hex0, params::Shape, version::CircuitVersion};
use gridveil_prover::{
    cli::{CacheArgs, CeremonyArgs},
    progress::Reporter,
    srs::Srs,
};
use gridveil_verifier_contract::{
    ChainL1 as _, VerifierInit,
    deployment::account,
    ethers_client::{Act, RegisteredVerifier, Upgrades},
};

pub(super) use self::status::{next, shape_name};
use super::{
    Listener,
    acts::{Connection, L1, Sender},
};
use crate::{
    common::text,
    member::{Acting, Details, agreed},
    verifiers::{Made, Workshop},
};

pub(super) const EXAMPLE: &str = "Examples:
  gridveil operator upgrade deploy --circuit-version 3 --shape home-32x24 --key-file deployer.key --rpc https://rpc.example \\
    --deployment deployment.json
  gridveil operator upgrade register --circuit-version 3 --shape home-32x24 --verifier 0x8464135c8F25Da09e49BC8782676a84730C318bC \\
    --as 0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC --rpc https://rpc.example --deployment deployment.json
  gridveil operator upgrade announce --circuit-version 3 --as 0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC --rpc https://rpc.example \\
    --deployment deployment.json
  gridveil operator upgrade status --rpc https://rpc.example --deployment deployment.json
  gridveil operator upgrade plan --circuit-version 3 --from 2026-12-01T00:00:00+01:00 --admin http://127.0.0.1:8081 --admin-token admin.token
  gridveil operator upgrade retire --circuit-version 2 --as 0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC --rpc https://rpc.example \\
    --deployment deployment.json

In this order: the verifier's contract, its registration, the delay, the announcement, all who wait to leave, and then the
sequencer's plan. `status` says what comes next, and when. The verifier is made from circuit and ceremony, and compared.";

/// Options of `gridveil operator upgrade`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLE)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Puts a verifier's contract on L1, where it does nothing until it is registered (any account).
    #[command(after_help = EXAMPLE)]
    Deploy(Deploy),
    /// Registers a verifier; its delay begins (upgrader).
    #[command(after_help = EXAMPLE)]
    Register(Register),
    /// Announces the first use of a version's verifiers, when their delay is over (upgrader).
    #[command(after_help = EXAMPLE)]
    Announce(OfVersion),
    /// Retires a circuit version, at once and for ever (upgrader).
    #[command(after_help = EXAMPLE)]
    Retire(OfVersion),
    /// What L1 has, and what becomes possible when.
    #[command(after_help = EXAMPLE)]
    Status(L1),
    /// Lets the sequencer settle under another circuit version from some time on: every period that begins at or after it.
    /// Verifiers of every shape in use must be active on L1 by then. Where L1 has proven the verifier of open periods unsound,
    /// a time that is past: when the first of them began.
    #[command(after_help = EXAMPLE)]
    Plan(Plan),
}

/// A verifier, and what it is made of.
#[derive(Debug, clap::Args)]
struct Circuit {
    /// Circuit version.
    #[arg(long, value_name = "N")]
    circuit_version: u64,
    /// Shape.
    #[arg(long, value_name = "NAME")]
    shape: String,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    ceremony: CeremonyArgs,
}

#[derive(Debug, clap::Args)]
struct Deploy {
    #[command(flatten)]
    circuit: Circuit,
    #[command(flatten)]
    sender: Sender,
}

#[derive(Debug, clap::Args)]
struct Register {
    #[command(flatten)]
    circuit: Circuit,
    /// The verifier's contract, whose code must be the one that is made from circuit and ceremony.
    #[arg(long, value_name = "ADDRESS")]
    verifier: String,
    #[command(flatten)]
    sender: Sender,
}

#[derive(Debug, clap::Args)]
struct OfVersion {
    /// Circuit version.
    #[arg(long, value_name = "N")]
    circuit_version: u32,
    #[command(flatten)]
    sender: Sender,
}

#[derive(Debug, clap::Args)]
struct Plan {
    /// Circuit version.
    #[arg(long, value_name = "N")]
    circuit_version: u64,
    /// RFC 3339 time, or a day (UTC).
    #[arg(long, value_name = "TIME", value_parser = unix_s)]
    from: u64,
    #[command(flatten)]
    listener: Listener,
    #[command(flatten)]
    acting: Acting,
}

/// Runs a command.
///
/// # Errors
/// One line for a person.
pub fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Deploy(args) => deploy(args),
        Command::Register(args) => register(args),
        Command::Announce(args) => announce(args),
        Command::Retire(args) => retire(args),
        Command::Status(l1) => status::run(l1),
        Command::Plan(args) => plan(args),
    }
}

/// Until a time that L1 can have.
pub(super) fn time(unix_s: u64) -> String {
    utc(i64::try_from(unix_s).unwrap_or(i64::MAX))
}

impl Circuit {
    fn shape(&self) -> anyhow::Result<Shape> {
        Shape::by_name(&self.shape).with_context(|| format!("--shape: no shape {}", self.shape))
    }

    /// The verifier, made from circuit and ceremony.
    fn make(&self, Connection { runtime, client }: &Connection) -> anyhow::Result<Made> {
        let shape = self.shape()?;
        let chain_id = runtime.block_on(client.chain_id())?;
        let srs = Srs::for_chain(chain_id, self.ceremony.source()?, &self.cache.directory())?;
        let reporter = Reporter::stderr();
        let workshop = Workshop::open(&std::env::current_dir()?, &srs, &reporter)?;
        workshop.settlement(CircuitVersion::new(self.circuit_version), shape)
    }
}

fn deploy(args: &Deploy) -> anyhow::Result<()> {
    let sender = &args.sender;
    sender.needs_a_key("any account does")?;
    let connection = sender.connect()?;
    let made = args.circuit.make(&connection)?;
    let Connection { runtime, client } = &connection;
    let account = client.account().context("no account")?;
    let gas = runtime.block_on(client.estimate_creation(account, &made.code.creation, &[]))?;
    let code = format!("{} bytes", text::grouped(i128::try_from(made.code.runtime.len())?));
    let details = || {
        Details::new("Puts a verifier's contract on L1; it is not registered")
            .row("verifier", made.name.clone(), made.name.clone())
            .row("circuit version", made.circuit_version.to_string(), made.circuit_version)
            .row("code", code.clone(), made.code.runtime.len())
            .row("account", hex0(account), hex0(account))
            .row("gas", text::grouped(gas.into()), gas)
    };
    if !agreed(details(), sender.acting, sender.l1.json)? {
        return Ok(());
    }
    let at = runtime.block_on(client.deploy_code(&made.code.creation))?;
    details().row("at", hex0(at), hex0(at)).print(sender.l1.json)
}

fn register(args: &Register) -> anyhow::Result<()> {
    let verifier = account(&args.verifier).context("--verifier")?.0;
    let shape = args.circuit.shape()?;
    let connection = args.sender.connect()?;
    let Connection { runtime, client } = &connection;
    let version = u32::try_from(args.circuit.circuit_version).context("--circuit-version")?;
    let (upgrades, now) =
        runtime.block_on(async { Ok::<_, anyhow::Error>((client.upgrades().await?, client.timestamp().await?)) })?;
    fits(&upgrades, version, shape)?;
    let code = runtime.block_on(client.code(verifier))?;
    ensure!(!code.is_empty(), "{} has no code: gridveil operator upgrade deploy", hex0(verifier));
    let made = args.circuit.make(&connection)?;
    ensure!(
        code == made.code.runtime,
        "the code of {} is not what circuit {version}, shape {} and the ceremony make: whoever proves what it takes decides what is \
         owned",
        hex0(verifier),
        shape.name
    );
    let active = time(now + upgrades.verifier_delay_s);
    let details = Details::new("Registers a verifier; members who do not trust it have until its first use to leave")
        .row("circuit version", version.to_string(), version)
        .row("shape", shape.name, shape.name)
        .row("verifier", hex0(verifier), hex0(verifier))
        .row("announced from", active.clone(), active);
    let init = VerifierInit {
        shape: shape.id,
        slots: u32::try_from(shape.members)?,
        m: u16::try_from(shape.intervals)?,
        verifier,
        proof_length: made.proof_length(),
    };
    args.sender.perform(&connection, details, Act::RegisterVerifier(version, init))
}

/// What the contract would refuse of a registration.
fn fits(upgrades: &Upgrades, version: u32, shape: Shape) -> anyhow::Result<()> {
    ensure!(!is_retired(upgrades, version), "circuit version {version} is retired, for ever");
    let there = upgrades.verifiers.iter().find(|one| (one.circuit_version, one.shape) == (version, shape.id));
    if let Some(RegisteredVerifier { verifier, .. }) = there {
        bail!("circuit version {version} has the verifier {} for {}, for ever", hex0(verifier), shape.name);
    }
    Ok(())
}

fn is_retired(upgrades: &Upgrades, version: u32) -> bool {
    upgrades.verifiers.iter().any(|one| one.circuit_version == version && one.retired)
}

fn announce(args: &OfVersion) -> anyhow::Result<()> {
    let connection = args.sender.connect()?;
    let Connection { runtime, client } = &connection;
    let (upgrades, now) =
        runtime.block_on(async { Ok::<_, anyhow::Error>((client.upgrades().await?, client.timestamp().await?)) })?;
    let counted = announced(&upgrades, args.circuit_version, now)?;
    let before = upgrades.announcement;
    let details =
        Details::new("Announces the first use of verifiers; who has asked to leave by then is served before it")
            .row("circuit version", args.circuit_version.to_string(), args.circuit_version)
            .row("verifiers", counted.to_string(), counted)
            .row("to serve before", upgrades.waiting.to_string(), upgrades.waiting);
    let pending = before.circuit_version != 0
        && before.circuit_version != args.circuit_version
        && upgrades.verifiers.iter().any(|one| !one.state.used && before.is_of(one.circuit_version, &one.state));
    let details = if pending {
        let other = format!("of circuit version {}, which must be announced again", before.circuit_version);
        details.row("takes the place", other, before.circuit_version)
    } else {
        details
    };
    args.sender.perform(&connection, details, Act::AnnounceUpgrade(args.circuit_version))
}

/// How many verifiers an announcement would count for now; the contract takes one that counts for none.
fn announced(upgrades: &Upgrades, version: u32, now: u64) -> anyhow::Result<usize> {
    let of_version: Vec<_> = upgrades.verifiers.iter().filter(|one| one.circuit_version == version).collect();
    ensure!(!of_version.is_empty(), "L1 has no verifier of circuit version {version}: register it first");
    ensure!(!is_retired(upgrades, version), "circuit version {version} is retired, for ever");
    ensure!(
        !of_version.iter().all(|one| one.state.unsound),
        "circuit version {version} is proven unsound, for ever: L1 takes nothing with its proofs"
    );
    let new: Vec<_> = of_version.into_iter().filter(|one| !one.state.used).collect();
    ensure!(!new.is_empty(), "circuit version {version} is in use: there is nothing to announce");
    let counted = new.iter().filter(|one| one.state.active_from_s <= now).count();
    if counted == 0 {
        let first = new.iter().map(|one| one.state.active_from_s).min().unwrap_or_default();
        bail!(
            "the delay of circuit version {version} ends {}: an earlier announcement counts for nothing",
            time(first)
        );
    }
    ensure!(
        upgrades.full_queues == 0,
        "{} forced queues are full: serve them; a day afterwards an upgrade may be announced",
        upgrades.full_queues
    );
    ensure!(
        upgrades.announce_from_s <= now,
        "a forced queue was full: an upgrade may be announced from {} on",
        time(upgrades.announce_from_s)
    );
    Ok(counted)
}

fn retire(args: &OfVersion) -> anyhow::Result<()> {
    let version = args.circuit_version;
    let connection = args.sender.connect()?;
    let upgrades = connection.runtime.block_on(connection.client.upgrades())?;
    // L1 takes both without a change that anybody would want.
    ensure!(
        upgrades.verifiers.iter().any(|one| one.circuit_version == version),
        "L1 has no verifier of circuit version {version}: it could never be registered afterwards"
    );
    ensure!(!is_retired(&upgrades, version), "circuit version {version} is retired already");
    let left = shapes_without(&upgrades, version);
    let then = if left.is_empty() {
        "every shape has another verifier in use".to_owned()
    } else {
        format!("nothing is settled any more of {}: when a forced request is too old, anyone freezes", left.join(", "))
    };
    let details = Details::new("Retires a circuit version, at once and for ever")
        .row("circuit version", version.to_string(), version)
        .row("afterwards", then.clone(), then);
    args.sender.perform(&connection, details, Act::RetireVersion(version))
}

/// Shapes that only this version has a verifier in use for.
fn shapes_without(upgrades: &Upgrades, version: u32) -> Vec<String> {
    let used = |one: &&RegisteredVerifier| one.state.used && !one.retired && !one.state.unsound;
    let others: Vec<u32> = upgrades
        .verifiers
        .iter()
        .filter(used)
        .filter(|one| one.circuit_version != version)
        .map(|one| one.shape)
        .collect();
    let lost = upgrades.verifiers.iter().filter(used).filter(|one| one.circuit_version == version);
    lost.filter(|one| !others.contains(&one.shape)).map(|one| shape_name(one.shape)).collect()
}

/// A worker of the old version that takes a job of the new one from a spool sets it aside.
const PROVERS: &str = "behind a queue: a worker for each version; behind a spool: not possible";

fn plan(args: &Plan) -> anyhow::Result<()> {
    let details = || {
        Details::new("Members sign for another circuit version from then on; what waits then is to be signed again")
            .row("circuit version", args.circuit_version.to_string(), args.circuit_version)
            .row("from", time(args.from), args.from)
            .row("provers", PROVERS, PROVERS)
    };
    if !agreed(details(), args.acting, args.listener.json)? {
        return Ok(());
    }
    let admin = super::connect(&args.listener.admin, &args.listener.admin_token)?;
    let circuit_version = CircuitVersion::new(args.circuit_version);
    let planned = admin.upgrade(&UpgradeRequest { circuit_version, from_s: args.from })?;
    let status = admin.status()?;
    let rows = planned.communities.iter().fold(details(), |details, FirstPeriod { community, first_interval }| {
        let length_s = status.community(*community).map_or(0, |community| community.interval_length);
        let from = format!("from {}", time(first_interval.start(length_s)));
        details.row(&format!("community {community}"), from, first_interval.0)
    });
    rows.print(args.listener.json)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use gridveil_verifier_contract::{Announcement, VerifierState};

    pub(super) const SHAPE: u32 = 1;

    pub(super) fn verifier(circuit_version: u32, active_from_s: u64, used: bool) -> RegisteredVerifier {
        let state = VerifierState { active_from_s, used, ..VerifierState::default() };
        RegisteredVerifier {
            circuit_version,
            shape: SHAPE,
            verifier: [1; 20],
            code_hash: [2; 32],
            state,
            retired: false,
        }
    }

    pub(super) fn upgrades() -> Upgrades {
        Upgrades {
            verifiers: vec![verifier(2, 0, true), verifier(3, 1_000, false)],
            verifier_delay_s: 500,
            announcement: Announcement::default(),
            waiting: 0,
            full_queues: 0,
            announce_from_s: 0,
        }
    }

    #[test]
    fn an_announcement_that_the_contract_refuses_or_that_counts_for_nothing_is_refused_in_words() {
        let said = |upgrades: &Upgrades, version, now| announced(upgrades, version, now).unwrap_err().to_string();
        assert_eq!(announced(&upgrades(), 3, 1_000).unwrap(), 1);
        assert!(said(&upgrades(), 4, 1_000).contains("no verifier of circuit version 4"));
        assert!(said(&upgrades(), 2, 1_000).contains("in use"));
        assert!(said(&upgrades(), 3, 999).contains("1970-01-01T00:16:40Z"), "{}", said(&upgrades(), 3, 999));
        assert!(said(&Upgrades { full_queues: 2, ..upgrades() }, 3, 1_000).contains("2 forced queues are full"));
        let quiet = Upgrades { announce_from_s: 2_000, ..upgrades() };
        assert!(said(&quiet, 3, 1_999).contains("1970-01-01T00:33:20Z"));
        assert_eq!(announced(&quiet, 3, 2_000).unwrap(), 1);
        let mut retired = upgrades();
        retired.verifiers[1].retired = true;
        assert!(said(&retired, 3, 1_000).contains("retired"));
    }

    #[test]
    fn a_version_that_has_a_verifier_or_is_retired_takes_no_other() {
        let shape = Shape::by_id(SHAPE).unwrap();
        assert!(fits(&upgrades(), 2, shape).unwrap_err().to_string().contains("for ever"));
        assert!(fits(&upgrades(), 4, shape).is_ok());
        let mut retired = upgrades();
        retired.verifiers[0].retired = true;
        let other = Shape { id: 99, ..shape };
        assert!(fits(&retired, 2, other).unwrap_err().to_string().contains("retired"));
    }

    #[test]
    fn whoever_retires_the_last_version_of_a_shape_is_told() {
        let mut state = upgrades();
        let name = shape_name(SHAPE);
        assert_eq!(shapes_without(&state, 2), [name]);
        assert!(shapes_without(&state, 3).is_empty(), "it was not in use");
        state.verifiers[1].state.used = true;
        assert!(shapes_without(&state, 2).is_empty());
    }
}
