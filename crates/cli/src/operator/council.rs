//! `gridveil operator council`: what is done when L1 can prove that a verifier is unsound (docs/how-to/council.md).

mod statement;

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use gridveil_protocol::{hex::hex0, params::Shape};
use gridveil_verifier_contract::{
    Address, Appointed, ChainL1 as _, Contradiction, EthersClient, Halt, Safe, SettlementL1 as _,
    deployment::account,
    ethers_client::{Act, RegisteredVerifier, Upgrades},
};

use self::statement::{Source, Stated};
use super::{
    acts::{Connection, L1, Sender},
    upgrade::{next, shape_name, time},
};
use crate::{common::text, member::Details};

const EXAMPLE: &str = "Examples:
  gridveil operator council show --rpc https://rpc.example --deployment deployment.json
  gridveil operator council appoint 0x1000000000000000000000000000000000000008 --as 0x1000000000000000000000000000000000000001 \\
    --rpc https://rpc.example --deployment deployment.json
  gridveil operator council statement 0x5a2c5e0e4fd0b3bd5fa8d10ab0c0fdcbd6a7b4ad8be29fd0c37ef5bd2e3b7c11 --out settled.json \\
    --rpc https://rpc.example --deployment deployment.json
  gridveil operator council prove-unsound settled.json forged.json --key-file any.key --rpc https://rpc.example \\
    --deployment deployment.json
  gridveil operator council hasten --circuit-version 3 --shape home-32x24 --rpc https://rpc.example --deployment deployment.json

Two statements that one verifier accepts and that cannot both be true prove that it is unsound. From then on it is refused, the
members of its communities may exit, and the council may shorten the delay of the next one. Everything else waits as before.";

/// Options of `gridveil operator council`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLE)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Who is the council, which verifiers are proven unsound, and until when the council may act.
    #[command(after_help = EXAMPLE)]
    Show(L1),
    /// Appoints a Safe of at least eight owners, three quarters of whom sign, or nobody; it is the council when the verifier
    /// delay is over (admin).
    #[command(after_help = EXAMPLE)]
    Appoint(Appoint),
    /// Writes the statement and the proof of a settlement that L1 took: one of the two that `prove-unsound` needs.
    #[command(after_help = EXAMPLE)]
    Statement(StatementArgs),
    /// Proves by two statements that a verifier in use is unsound; it is refused from then on, for ever (any account).
    #[command(after_help = EXAMPLE)]
    ProveUnsound(ProveUnsound),
    /// Shortens the delay of a registered verifier to a forced deadline (council). Where the key is not the council's, the
    /// transaction is shown, for its owners to sign.
    #[command(after_help = EXAMPLE)]
    Hasten(Hasten),
}

#[derive(Debug, clap::Args)]
struct Appoint {
    /// The Safe, or `none`.
    council: String,
    #[command(flatten)]
    sender: Sender,
}

#[derive(Debug, clap::Args)]
struct StatementArgs {
    /// Hash of the settlement's transaction.
    transaction: String,
    /// File to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    l1: L1,
}

#[derive(Debug, clap::Args)]
struct ProveUnsound {
    /// A statement and its proof: a file, as `statement` writes it, or the hash of a settlement's transaction.
    first: Source,
    /// The one that contradicts it.
    second: Source,
    #[command(flatten)]
    sender: Sender,
}

#[derive(Debug, clap::Args)]
struct Hasten {
    /// Circuit version of the verifier that is to follow.
    #[arg(long, value_name = "N")]
    circuit_version: u32,
    /// Shape.
    #[arg(long, value_name = "NAME")]
    shape: String,
    #[command(flatten)]
    sender: Sender,
}

/// Runs a command.
///
/// # Errors
/// One line for a person.
pub fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Show(l1) => show(l1),
        Command::Appoint(args) => appoint(args),
        Command::Statement(args) => write_statement(args),
        Command::ProveUnsound(args) => prove_unsound(args),
        Command::Hasten(args) => hasten(args),
    }
}

/// What L1 has of all this.
struct Council {
    appointed: Appointed,
    safe: Option<Safe>,
    upgrades: Upgrades,
    halts: Vec<(u32, Halt)>,
    forced_deadline_s: u64,
    now_s: u64,
}

impl Council {
    async fn of(client: &EthersClient) -> anyhow::Result<Self> {
        let appointed = client.appointed().await?;
        let safe = match appointed.council {
            Some(council) => client.safe(council).await?,
            None => None,
        };
        let upgrades = client.upgrades().await?;
        let mut shapes: Vec<u32> = upgrades.verifiers.iter().map(|one| one.shape).filter(|shape| *shape != 0).collect();
        shapes.sort_unstable();
        shapes.dedup();
        let mut halts = Vec::new();
        for shape in shapes {
            halts.push((shape, client.halt_of(shape).await?));
        }
        let (forced_deadline_s, now_s) = (client.forced_deadline_s().await?, client.timestamp().await?);
        Ok(Self { appointed, safe, upgrades, halts, forced_deadline_s, now_s })
    }

    fn halt(&self, shape: u32) -> Halt {
        self.halts.iter().find(|(of, _)| *of == shape).map_or_else(Halt::default, |(_, halt)| *halt)
    }

    fn verifier(&self, circuit_version: u32, shape: u32) -> Option<&RegisteredVerifier> {
        self.upgrades.verifiers.iter().find(|one| (one.circuit_version, one.shape) == (circuit_version, shape))
    }

    /// What an emergency of a shape means, for people; `None` if there is none.
    fn emergency(&self, shape: u32) -> Option<String> {
        let halt = self.halt(shape);
        let ends_s = halt.ends_s(self.forced_deadline_s).filter(|ends_s| self.now_s <= *ends_s)?;
        let acts = ends_s - self.forced_deadline_s;
        let council = match (self.appointed.council, halt.may_hasten(self.now_s, self.forced_deadline_s)) {
            (None, _) => "there is no council".to_owned(),
            (Some(_), true) => format!("the council may hasten until {}", time(acts)),
            (Some(_), false) => format!("the council could hasten until {}", time(acts)),
        };
        Some(format!(
            "emergency since {}: members may exit until a later verifier settles, at most until {}; {council}",
            time(halt.proven_at_s),
            time(ends_s)
        ))
    }
}

/// How many owners sign.
fn signed_by(safe: &Safe) -> String {
    format!("{} of its {} owners sign", safe.threshold, safe.owners.len())
}

fn who(account: Option<Address>) -> String {
    account.map_or_else(|| "none".to_owned(), hex0)
}

fn show(l1: &L1) -> anyhow::Result<()> {
    let Connection { runtime, client } = l1.connect(None)?;
    let council = runtime.block_on(Council::of(&client))?;
    if l1.json {
        return Ok(text::print(&format!("{}\n", in_json(&council)))?);
    }
    let mut lines = match (council.appointed.council, &council.safe) {
        (None, _) => "council: none\n".to_owned(),
        (Some(at), Some(safe)) => format!("council: {}, {}\n", hex0(at), signed_by(safe)),
        (Some(at), None) => format!("council: {}, which is no Safe: it cannot act\n", hex0(at)),
    };
    if let Some((next, from_s)) = council.appointed.next {
        lines += &format!("appointed: {} from {}\n", who(next), time(from_s));
    }
    for (shape, halt) in &council.halts {
        let name = shape_name(*shape);
        let calm = || "no emergency".to_owned();
        lines += &format!("{name}: {}\n", council.emergency(*shape).unwrap_or_else(calm));
        if council.now_s <= halt.held_until_s {
            lines += &format!("{name}: its forced requests freeze nobody until {}\n", time(halt.held_until_s));
        }
    }
    let mut table = text::table(&["version", "shape", "verifier", "now"]);
    for one in council.upgrades.verifiers.iter().filter(|one| one.shape != 0) {
        let now = next(one, &council.upgrades, council.now_s);
        table.add_row([one.circuit_version.to_string(), shape_name(one.shape), hex0(one.verifier), now]);
    }
    Ok(text::print(&format!("{lines}{table}\n"))?)
}

fn in_json(council: &Council) -> serde_json::Value {
    let emergency = |(shape, halt): &(u32, Halt)| {
        serde_json::json!({
            "shape": shape_name(*shape), "emergency": council.emergency(*shape).is_some(),
            "proven_at": halt.proven_at_s, "ends_at": halt.ends_s(council.forced_deadline_s),
            "held_until": halt.held_until_s,
            "may_hasten": halt.may_hasten(council.now_s, council.forced_deadline_s),
        })
    };
    let verifier = |one: &RegisteredVerifier| {
        serde_json::json!({
            "circuit_version": one.circuit_version, "shape": shape_name(one.shape), "verifier": hex0(one.verifier),
            "unsound": one.state.unsound, "hastened": one.state.hastened, "active_from": one.state.active_from_s,
            "next": next(one, &council.upgrades, council.now_s),
        })
    };
    let verifiers = council.upgrades.verifiers.iter().filter(|one| one.shape != 0);
    serde_json::json!({
        "council": council.appointed.council.map(hex0),
        "threshold": council.safe.as_ref().map(|safe| safe.threshold),
        "owners": council.safe.as_ref().map(|safe| safe.owners.iter().map(hex0).collect::<Vec<_>>()),
        "appointed": council.appointed.next.map(|(next, _)| next.map(hex0)),
        "appointed_from": council.appointed.next.map(|(_, from_s)| from_s),
        "shapes": council.halts.iter().map(emergency).collect::<Vec<_>>(),
        "verifiers": verifiers.map(verifier).collect::<Vec<_>>(), "time": council.now_s,
    })
}

/// An account that may be a council, by what it says of itself.
///
/// # Errors
/// It is no Safe, or of too few.
pub(super) async fn safe_of(client: &EthersClient, council: Address) -> anyhow::Result<Safe> {
    let safe = client.safe(council).await?;
    let safe =
        safe.with_context(|| format!("{} is no Safe: it tells neither owners nor a threshold", hex0(council)))?;
    ensure!(
        safe.may_be_council(),
        "{}: {}; a council has at least eight, and three quarters sign",
        hex0(council),
        signed_by(&safe)
    );
    Ok(safe)
}

fn appoint(args: &Appoint) -> anyhow::Result<()> {
    let council = if args.council == "none" { None } else { Some(account(&args.council).context("council")?.0) };
    ensure!(council != Some(Address::default()), "council: the zero address; say `none` for nobody");
    let connection = args.sender.connect()?;
    let Connection { runtime, client } = &connection;
    let before = runtime.block_on(client.appointed())?;
    let last = before.next.map_or(before.council, |(next, _)| next);
    ensure!(last != council, "{}: it was appointed already", who(council));
    let from = runtime.block_on(async {
        Ok::<_, anyhow::Error>(time(client.timestamp().await? + client.upgrades().await?.verifier_delay_s))
    })?;
    let details = Details::new("Appoints who may shorten a delay after a proof that a verifier is unsound")
        .row("council", who(council), council.map(hex0))
        .row("until then", who(before.council), before.council.map(hex0))
        .row("from", from.clone(), from);
    let details = match council {
        None => details,
        Some(council) => {
            let safe = runtime.block_on(safe_of(client, council))?;
            details.row("signatures", signed_by(&safe), safe.threshold)
        }
    };
    args.sender.perform(&connection, details, Act::AppointCouncil(council.unwrap_or_default()))
}

fn write_statement(args: &StatementArgs) -> anyhow::Result<()> {
    let connection = args.l1.connect(None)?;
    let Source::Transaction(tx) = args.transaction.parse()? else {
        bail!("{}: not a transaction's hash: 0x and 64 hex digits", args.transaction)
    };
    let stated = statement::of_transaction(&connection, tx)?;
    statement::write(&args.out, &connection, &stated)?;
    let name = args.out.display().to_string();
    stated
        .shown(Details::new("The statement and the proof of a settlement"))
        .row("file", name.clone(), name)
        .print(args.l1.json)
}

fn prove_unsound(args: &ProveUnsound) -> anyhow::Result<()> {
    let connection = args.sender.connect()?;
    let first = args.first.read(&connection)?;
    let second = args.second.read(&connection)?;
    let council = connection.runtime.block_on(Council::of(&connection.client))?;
    let contradiction = contradiction(&council, first, second)?;
    let Contradiction { circuit_version, shape, ref first, ref second } = contradiction;
    let ends = time(council.now_s + 2 * council.forced_deadline_s);
    let council_acts = match council.appointed.council {
        Some(council_at) => {
            format!("{} may hasten until {}", hex0(council_at), time(council.now_s + council.forced_deadline_s))
        }
        None => "none: the next verifier waits for the ordinary delay".to_owned(),
    };
    let verifier = council.verifier(circuit_version, shape).map(|one| hex0(one.verifier)).unwrap_or_default();
    let what = statement::how(first, second);
    let details = Details::new(
        "Proves a verifier unsound: L1 refuses it from now on, for ever; its communities' members may exit",
    )
    .row("circuit version", circuit_version.to_string(), circuit_version)
    .row("shape", shape_name(shape), shape_name(shape))
    .row("verifier", verifier.clone(), verifier)
    .row("because", what, what)
    .row("emergency until", ends.clone(), ends)
    .row("council", council_acts.clone(), council_acts);
    args.sender.perform(&connection, details, Act::ProveUnsound(Box::new(contradiction)))
}

/// What the contract would refuse, in words.
fn contradiction(council: &Council, first: Stated, second: Stated) -> anyhow::Result<Contradiction> {
    let (circuit_version, shape) = (first.circuit_version, first.shape);
    ensure!(
        (second.circuit_version, second.shape) == (circuit_version, shape),
        "the statements are of two verifiers: version {circuit_version}, {} and version {}, {}",
        shape_name(shape),
        second.circuit_version,
        shape_name(second.shape)
    );
    let name = shape_name(shape);
    let one = council.verifier(circuit_version, shape);
    let one = one.with_context(|| format!("L1 has no verifier of circuit version {circuit_version} for {name}"))?;
    ensure!(
        !one.state.unsound,
        "the verifier of circuit version {circuit_version} for {name} is proven unsound already"
    );
    ensure!(
        one.state.used && !one.retired,
        "the verifier of circuit version {circuit_version} for {name} is not in use: nothing follows from its fault"
    );
    let both = Contradiction { circuit_version, shape, first: first.statement, second: second.statement };
    ensure!(
        both.contradicts(),
        "the two statements may both be true: from one old root, one community's must have one of new root and node in common, \
         two communities' the new root (COUNCIL.1)"
    );
    Ok(both)
}

fn hasten(args: &Hasten) -> anyhow::Result<()> {
    let shape = Shape::by_name(&args.shape).with_context(|| format!("--shape: no shape {}", args.shape))?;
    let sender = &args.sender;
    // Nobody needs to be named: the council is known.
    let connection = if sender.is_named() { sender.connect()? } else { sender.l1.connect(None)? };
    let council = connection.runtime.block_on(Council::of(&connection.client))?;
    let by = may_hasten(&council, args.circuit_version, shape)?;
    let active = time(council.now_s + council.forced_deadline_s);
    let details =
        Details::new("Shortens a verifier's delay; until it is active, the members of all communities may exit")
            .row("circuit version", args.circuit_version.to_string(), args.circuit_version)
            .row("shape", shape.name, shape.name)
            .row("may be used from", active.clone(), active);
    let act = Act::Hasten(args.circuit_version, shape.id);
    if connection.client.account() == Some(by) {
        return sender.perform(&connection, details, act);
    }
    sender.propose(&connection, details, act, by)
}

/// What the contract would refuse, in words; else the council.
fn may_hasten(council: &Council, circuit_version: u32, shape: Shape) -> anyhow::Result<Address> {
    let name = shape.name;
    let by = council.appointed.council.context("there is no council: every verifier waits for the ordinary delay")?;
    let halt = council.halt(shape.id);
    let lasts = halt.lasts(council.now_s, council.forced_deadline_s);
    ensure!(lasts, "no verifier in use of {name} is proven unsound: every verifier waits for the ordinary delay");
    ensure!(
        halt.may_hasten(council.now_s, council.forced_deadline_s),
        "the proof is of {}: the council could act for a forced deadline; the verifier waits for the ordinary delay",
        time(halt.proven_at_s)
    );
    let one = council.verifier(circuit_version, shape.id).with_context(|| {
        format!(
            "L1 has no verifier of circuit version {circuit_version} for {name}: gridveil operator upgrade register"
        )
    })?;
    ensure!(!one.state.used, "circuit version {circuit_version} is in use for {name}");
    ensure!(!one.retired, "circuit version {circuit_version} is retired, for ever");
    ensure!(
        !one.state.hastened,
        "circuit version {circuit_version} for {name} was hastened before: it may be used from {}",
        time(one.state.active_from_s)
    );
    let safe = council.safe.as_ref();
    ensure!(
        safe.is_some_and(Safe::may_be_council),
        "the council {} is no Safe of at least eight owners, three quarters of whom sign, any more",
        hex0(by)
    );
    Ok(by)
}
