//! `gridveil member certificate …`: notes of origin, spent by their owner alone.

mod abandon;
mod drop;
mod list;
mod prove;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use gridveil_meter_client::{
    cli::LocalArgs,
    submit::ApiError,
    wallet::{KeptNote, NoteFile, Spending, Transfer, note_path, read_file, write_file},
};
use gridveil_protocol::{
    certificate::{CertificateInstance, Purpose, ShownRetirement, SpendPlan},
    field::{Fr, to_bytes},
    owner::{NullifierKey, owner_of},
};
use gridveil_prover::{
    certificate::{CertificateProof, CertificateProver, CertificateProverConfig},
    cli::{CacheArgs, CeremonyArgs},
    progress::Reporter,
};
use gridveil_verifier_contract::CertificateCall;

pub use abandon::abandon;
pub use prove::hold;

use super::{
    calendar::Calendar,
    example,
    session::{Session, element, own_chain, read_chain},
};
use crate::common::{
    chain::Chain,
    details::{Details, agreed, hex0},
    options::{Energy, Paying, Place},
    text,
};

/// What can be done with certificates.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Lists the certificates, and finds those that came with the last settlements.
    #[command(after_help = example!("certificate list"))]
    List(list::ListArgs),
    /// Takes a certificate in that another member transferred: its file.
    #[command(after_help = example!("certificate receive note.json"))]
    Receive(ReceiveArgs),
    /// Transfers a certificate, or a part of it, to another owner.
    #[command(after_help = example!("certificate transfer 0x1f2e --to 0x07..3a --kwh 4.2 --out note.json --l1-key home7.l1"))]
    Transfer(TransferArgs),
    /// Retires a certificate, or a part of it, for a beneficiary.
    #[command(after_help = example!("certificate retire 0x1f2e --kwh 4.2 --beneficiary 0x70997970c51812dc3a010c7d01b50e0d17dc79c8 --sealed --out statement.json --l1-key home7.l1"))]
    Retire(RetireArgs),
    /// Gives up a transfer or retirement that L1 has not taken: the certificate can be spent otherwise.
    #[command(after_help = example!("certificate abandon 0x1f2e"))]
    Abandon(abandon::Args),
    /// Takes certificates of a retired circuit version, or of a frozen rollup, out of L1's queue: no settlement takes them
    /// in. What was spent under the retired version can be spent again.
    #[command(after_help = example!("certificate drop --l1-key home7.l1"))]
    Drop(drop::Args),
    /// Proves to an auditor that a certificate is still held (`gridveil audit totals`): amount and period, not whose.
    #[command(after_help = example!("certificate prove 0x1f2e --out held.json"))]
    Prove(prove::Args),
    /// Shows what was retired, and writes a statement for an auditor (`gridveil audit retirement`).
    #[command(after_help = example!("certificate show --number 1 --out statement.json"))]
    Show(list::ShowArgs),
}

/// Options of `certificate receive`.
#[derive(clap::Args, Debug)]
pub struct ReceiveArgs {
    /// The note's file, from the sender.
    file: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// Where proofs come from.
#[derive(clap::Args, Debug)]
pub struct Proving {
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    ceremony: CeremonyArgs,
}

/// Options of `certificate transfer`.
#[derive(clap::Args, Debug)]
pub struct TransferArgs {
    /// The beginning of the note's commitment, as `list` shows it.
    note: String,
    /// The new owner's commitment, as its `account` shows it.
    #[arg(long, value_name = "OWNER")]
    to: String,
    /// How much.
    #[arg(long)]
    kwh: Energy,
    /// The new note's file, for the new owner.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    local: LocalArgs,
    #[command(flatten)]
    with: Paying,
    #[command(flatten)]
    proving: Proving,
}

/// What for, on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PurposeArg {
    /// The beneficiary's consumption.
    Consumption,
    /// Its time is over.
    Expiry,
    /// It goes on in another registry.
    Export,
}

impl From<PurposeArg> for Purpose {
    fn from(purpose: PurposeArg) -> Self {
        match purpose {
            PurposeArg::Consumption => Self::Consumption,
            PurposeArg::Expiry => Self::Expiry,
            PurposeArg::Export => Self::Export,
        }
    }
}

/// Options of `certificate retire`.
#[derive(clap::Args, Debug)]
pub struct RetireArgs {
    /// The beginning of the note's commitment, as `list` shows it.
    note: String,
    /// How much.
    #[arg(long)]
    kwh: Energy,
    /// Who may claim it: an L1 address, or a number of the registry, 0x….
    #[arg(long, value_name = "NUMBER")]
    beneficiary: String,
    /// What for.
    #[arg(long, default_value = "consumption")]
    purpose: PurposeArg,
    /// Publishes only the commitment: amount, period and beneficiary are for whom the statement is shown to.
    #[arg(long)]
    sealed: bool,
    /// The statement's file.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    local: LocalArgs,
    #[command(flatten)]
    with: Paying,
    #[command(flatten)]
    proving: Proving,
}

/// Runs a command.
pub fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::List(args) => list::list(args),
        Command::Receive(args) => receive(args),
        Command::Transfer(args) => transfer(args),
        Command::Retire(args) => retire(args),
        Command::Abandon(args) => abandon::run(args),
        Command::Drop(args) => drop::run(args),
        Command::Prove(args) => prove::run(args),
        Command::Show(args) => list::show(args),
    }
}

/// Marks notes that L1 has spent, and those whose spending it undid, and asks for the paths of those that have none. A
/// path is kept only if it leads from the note to a root that L1 has finalised.
///
/// # Errors
/// L1, the sequencer, or the wallet.
pub fn refresh(session: &mut Session, chain: &Chain) -> anyhow::Result<()> {
    drop::decide(session, chain)?;
    let key = NullifierKey::of(&session.keys.owner);
    let own = owner_of(&session.keys.owner).commitment();
    let notes: Vec<KeptNote> = session.wallet.state().notes.iter().filter(|kept| !kept.spent).cloned().collect();
    for KeptNote { note, path, .. } in notes {
        let commitment = note.commitment();
        let nullifier = key.nullifier(commitment);
        if note.owner == own
            && session.wallet.state().spends.iter().any(|spend| spend.nullifier == nullifier && !spend.done)
            && chain.wait(chain.client().nullifier_used(to_bytes(&nullifier)))?
        {
            abandon::land(session, chain, nullifier)?;
            continue;
        }
        let (None, Some(sequencer)) = (path, &session.sequencer) else { continue };
        let answer = match sequencer.note(commitment) {
            Ok(answer) => answer,
            Err(ApiError::Refused(problem)) if problem.status == 404 => continue,
            Err(error) => return Err(error.into()),
        };
        let path = note_path(commitment, answer.index, &answer.path, answer.root)?;
        ensure!(
            chain.wait(chain.client().is_finalised(to_bytes(&answer.root)))?,
            "the sequencer's path of a note leads to a root that L1 never finalised"
        );
        session.wallet.keep_note(&note, Some(path))?;
    }
    Ok(())
}

/// What a spending came to.
#[derive(Clone, Debug)]
pub struct Spent {
    /// What was spent, and into what.
    pub plan: SpendPlan,
    /// Public inputs.
    pub instance: CertificateInstance,
    /// Transaction; `None` if L1 had it already.
    pub tx: Option<[u8; 32]>,
}

/// Spends: the plan is in the wallet before the proof is made. Calling it again with the same note and spending goes on
/// where it stopped.
///
/// # Errors
/// Wallet, prover, or L1.
pub fn spend(
    session: &mut Session,
    chain: &Chain,
    prover: &CertificateProver,
    note: &KeptNote,
    spending: &Spending,
) -> anyhow::Result<Spent> {
    let plan = session.wallet.state().plan(note, &session.deployment, &session.keys.owner, spending)?;
    let nullifier = session.wallet.keep_spend(&plan, &session.keys.owner)?;
    let signed = plan.clone().sign(&session.keys.owner)?;
    if chain.wait(chain.client().nullifier_used(to_bytes(&nullifier)))? {
        return landed(session, chain, nullifier, plan);
    }
    let CertificateProof { instance, proof } = prover.prove(&signed)?;
    let receipt = match chain.wait(chain.client().certify(CertificateCall::new(&instance, proof)?)) {
        Err(error) if error.is_revert("NullifierUsed") => return landed(session, chain, nullifier, plan),
        answer => answer?,
    };
    session.wallet.spent(nullifier, Some(&hex0(receipt.tx)))?;
    Ok(Spent { plan, instance, tx: Some(receipt.tx) })
}

/// L1 has a spending of the note: this one, or another.
fn landed(session: &mut Session, chain: &Chain, nullifier: Fr, plan: SpendPlan) -> anyhow::Result<Spent> {
    abandon::land(session, chain, nullifier)?;
    let ours = session.wallet.state().spends.iter().any(|spend| spend.done && spend.plan == plan);
    ensure!(
        ours,
        "L1 has another spending of this certificate: one that was abandoned here, or by a copy of this wallet (certificate list shows what is left)"
    );
    earlier(session, plan)
}

/// A spending that L1 had already.
fn earlier(session: &Session, plan: SpendPlan) -> anyhow::Result<Spent> {
    let instance = plan.clone().sign(&session.keys.owner)?.check()?;
    Ok(Spent { plan, instance, tx: None })
}

fn open_prover(session: &Session, proving: &Proving) -> anyhow::Result<CertificateProver> {
    let srs = proving.ceremony.source()?;
    let chain_id = session.deployment.chain_id;
    let config = CertificateProverConfig { cache_dir: proving.cache.directory(), srs, chain_id, threads: None };
    Ok(CertificateProver::open(&config, &Reporter::stderr())?)
}

fn number(commitment: Fr) -> String {
    hex0(to_bytes(&commitment))
}

fn state(session: &Session, kept: &KeptNote) -> &'static str {
    let spending = session.wallet.state().spends.iter().any(|spend| spend.plan.note == kept.note && spend.is_open());
    if kept.spent {
        "spent"
    } else if spending {
        "being spent"
    } else if kept.note.owner != owner_of(&session.keys.owner).commitment() {
        "of another key"
    } else if kept.path.is_none() {
        "not settled yet"
    } else {
        "ready"
    }
}

fn receive(args: &ReceiveArgs) -> anyhow::Result<()> {
    let mut session = Session::open(&args.place)?;
    let file: NoteFile = read_file(&args.file, &session.deployment).with_context(|| args.file.display().to_string())?;
    let own = owner_of(&session.keys.owner).commitment();
    ensure!(file.note.owner == own, "{}: the certificate is for another owner key", args.file.display());
    session.wallet.keep_note(&file.note, None)?;
    refresh(&mut session, &read_chain(&args.place)?)?;
    let kept = session.wallet.state().note(&number(file.note.commitment()))?;
    let (amount, note) = (kept.note.amount, number(kept.note.commitment()));
    let stands = state(&session, kept);
    Details::new("")
        .row("note", note.clone(), note)
        .row("amount", format!("{} kWh", text::kwh(amount)), amount.0)
        .row("state", stands, stands)
        .print(args.place.json)
}

/// The note, ready to spend.
fn note_by_prefix(session: &mut Session, chain: &Chain, prefix: &str) -> anyhow::Result<KeptNote> {
    session.sync(false)?;
    refresh(session, chain)?;
    Ok(session.wallet.state().note(prefix)?.clone())
}

fn planned(chain: &Chain, local: &LocalArgs, kept: &KeptNote, energy: Energy) -> anyhow::Result<Details> {
    let fee = chain.wait(chain.client().certificate_fee())?;
    let note = number(kept.note.commitment());
    let rest = kept.note.amount.saturating_sub(energy.wh);
    let generated =
        Calendar::new(chain, local).span(kept.note.community, kept.note.first_interval, kept.note.intervals)?;
    Ok(Details::new("")
        .row("note", note.clone(), note)
        .row("generated", generated, kept.note.first_interval.0)
        .value("period_from", kept.note.first_interval.0)
        .row("amount", format!("{} kWh", text::kwh(energy.wh)), energy.wh.0)
        .row("rest", format!("{} kWh, a new note of this owner", text::kwh(rest)), rest.0)
        .row("fee on L1", format!("{fee} wei, or twice as much if others come first"), fee.to_string()))
}

fn sent(details: Details, spent: &Spent, out: &Path) -> Details {
    let tx = spent.tx.map_or_else(|| "earlier".to_owned(), hex0);
    let out = out.display().to_string();
    details.row("transaction", tx.clone(), tx).row("file", out.clone(), out)
}

/// Can the note be spent like this? The plan, if L1 has that spending already: then only its file is written again.
fn checked(session: &Session, kept: &KeptNote, spending: &Spending) -> anyhow::Result<Option<SpendPlan>> {
    let state = session.wallet.state();
    let finished = state.finished(kept, spending);
    if finished.is_none() {
        state.plan(kept, &session.deployment, &session.keys.owner, spending)?;
    }
    Ok(finished)
}

fn carried_out(
    session: &mut Session,
    chain: &Chain,
    proving: &Proving,
    kept: &KeptNote,
    spending: &Spending,
    finished: Option<SpendPlan>,
) -> anyhow::Result<Spent> {
    match finished {
        Some(plan) => earlier(session, plan),
        None => spend(session, chain, &open_prover(session, proving)?, kept, spending),
    }
}

fn transfer(args: &TransferArgs) -> anyhow::Result<()> {
    let mut session = Session::open(&args.with.place)?;
    let to = element(&args.to, "--to")?;
    let chain = if args.with.acting.dry_run {
        read_chain(&args.with.place)?
    } else {
        own_chain(&args.with.place, &args.with.key)?
    };
    let kept = note_by_prefix(&mut session, &chain, &args.note)?;
    let spending = Spending::Transfer(Transfer { to, amount_wh: args.kwh.wh });
    let finished = checked(&session, &kept, &spending)?;
    let planned = planned(&chain, &args.local, &kept, args.kwh)?;
    let details = || planned.clone().row("to", number(to), number(to));
    if !agreed(details(), args.with.acting, args.with.place.json)? {
        return Ok(());
    }
    let spent = carried_out(&mut session, &chain, &args.proving, &kept, &spending, finished)?;
    let [note, _] = spent.plan.notes();
    write_file(&args.out, &NoteFile { deployment: session.deployment, note })
        .with_context(|| args.out.display().to_string())?;
    sent(details(), &spent, &args.out).print(args.with.place.json)
}

fn retire(args: &RetireArgs) -> anyhow::Result<()> {
    let mut session = Session::open(&args.with.place)?;
    let beneficiary = element(&args.beneficiary, "--beneficiary")?;
    let chain = if args.with.acting.dry_run {
        read_chain(&args.with.place)?
    } else {
        own_chain(&args.with.place, &args.with.key)?
    };
    let kept = note_by_prefix(&mut session, &chain, &args.note)?;
    let spending =
        Spending::Retire { amount_wh: args.kwh.wh, beneficiary, purpose: args.purpose.into(), sealed: args.sealed };
    let finished = checked(&session, &kept, &spending)?;
    let public = if args.sealed { "the commitment alone" } else { "amount, period, technology and beneficiary" };
    let planned = planned(&chain, &args.local, &kept, args.kwh)?;
    let details =
        || planned.clone().row("beneficiary", number(beneficiary), number(beneficiary)).row("public", public, public);
    if !agreed(details(), args.with.acting, args.with.place.json)? {
        return Ok(());
    }
    let spent = carried_out(&mut session, &chain, &args.proving, &kept, &spending, finished)?;
    let statement = spent.plan.statement().context("nothing was retired")?;
    let shown = ShownRetirement::new(session.deployment.chain_id, session.deployment.contract, args.sealed, statement);
    write_file(&args.out, &shown).with_context(|| args.out.display().to_string())?;
    sent(details(), &spent, &args.out).print(args.with.place.json)
}
