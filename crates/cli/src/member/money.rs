//! Money: deposits, withdrawals, transfers, keys, closing.

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use gridveil_meter_client::{
    calendar::Periods,
    cli::{new_passphrase, passphrase},
    key_store::{Cost, Keys},
    operation::{self, BuildError, Claim},
    wallet::{ClaimFile, Incoming, Source, read_file, write_file},
};
use gridveil_protocol::{
    codec::operation_id,
    field::{Fr, to_bytes},
    operation::SignedOperation,
    owner::owner_of,
    params::UNIT_NANO,
    units::Interval,
};
use gridveil_readings::zone::Zone;
use gridveil_verifier_contract::{DepositState, L1Error, Stage, TransferState};

use super::session::{Session, element, l1_address, own_chain, read_chain};
use crate::common::{
    chain::Chain,
    details::{Details, agreed, exact, hex0},
    options::{Acting, Doing, Money, Paying},
};

/// Options of `gridveil member deposit`.
#[derive(clap::Args, Debug)]
pub struct DepositArgs {
    /// How much, in units of the currency, such as 12.50; no fractions of a hundredth.
    #[arg(value_name = "AMOUNT", required_unless_present_any = ["claim", "refund"])]
    amount: Option<Money>,
    /// Goes on with a deposit that was interrupted: the beginning of its claim.
    #[arg(long, value_name = "CLAIM", conflicts_with = "amount")]
    claim: Option<String>,
    /// Asks L1 for a deposit back that was never taken in, and fetches it when its delay is over.
    #[arg(long, value_name = "CLAIM", conflicts_with_all = ["amount", "claim"])]
    refund: Option<String>,
    #[command(flatten)]
    with: Paying,
}

/// Options of `gridveil member withdraw`.
#[derive(clap::Args, Debug)]
pub struct WithdrawArgs {
    /// How much, in units of the currency, such as 12.50; no fractions of a hundredth.
    amount: Money,
    #[command(flatten)]
    with: Doing,
}

/// Options of `gridveil member send`.
#[derive(clap::Args, Debug)]
pub struct SendArgs {
    /// How much, in units of the currency, such as 12.50.
    amount: Money,
    /// The recipient's owner commitment, as its `account` shows it.
    #[arg(long, value_name = "OWNER")]
    to: String,
    /// The recipient's L1 address: paid if the rollup is frozen before it takes the money in.
    #[arg(long, value_name = "ADDRESS")]
    payout: String,
    /// The claim's file, for the recipient.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    with: Doing,
}

/// Options of `gridveil member receive`.
#[derive(clap::Args, Debug)]
pub struct ReceiveArgs {
    /// The claim's file, from the sender.
    file: PathBuf,
    #[command(flatten)]
    with: Doing,
}

/// Options of `gridveil member rotate`.
#[derive(clap::Args, Debug)]
pub struct RotateArgs {
    /// Key file of the new owner key, for the same folder, under the same passphrase; made if it is not there. The device's
    /// file stays as it is.
    #[arg(long, value_name = "FILE", required_unless_present = "payout")]
    new_keys: Option<PathBuf>,
    /// New payout address; the present one if absent.
    #[arg(long, value_name = "ADDRESS")]
    payout: Option<String>,
    #[command(flatten)]
    with: Doing,
}

/// Options of `gridveil member close`.
#[derive(clap::Args, Debug)]
pub struct CloseArgs {
    #[command(flatten)]
    with: Doing,
}

/// Keeps an operation, then hands it in; the sequencer's word for what became of it.
///
/// # Errors
/// Wallet, or the sequencer. The operation is kept then, and `account --resend` hands it in again.
pub fn operate(session: &mut Session, signed: &SignedOperation) -> anyhow::Result<String> {
    session.wallet.keep_operation(signed)?;
    session.hand_in(signed)
}

/// Rows of any operation.
pub fn planned(signed: &SignedOperation) -> Details {
    let operation = &signed.operation;
    Details::new("")
        .row("operation", operation.kind.effect().title, serde_json::to_value(operation.kind).unwrap_or_default())
        .row("slot", format!("{} of community {}", operation.slot, operation.community), operation.slot)
        .row("amount", exact(operation.amount.into()).trim_start().to_owned(), operation.amount)
        .row("nonce", operation.nonce.to_string(), operation.nonce)
}

fn done(details: Details, signed: &SignedOperation, status: &str) -> Details {
    let id = hex0(operation_id(signed));
    details.row("id", id.clone(), id).row("sequencer", status, status)
}

/// Shows a signed operation, asks, hands it in, shows what became of it.
pub(super) fn finish(
    session: &mut Session,
    signed: &SignedOperation,
    details: impl Fn() -> Details,
    acting: Acting,
    json: bool,
) -> anyhow::Result<()> {
    if !agreed(details(), acting, json)? {
        return Ok(());
    }
    let status = operate(session, signed)?;
    done(details(), signed, &status).print(json)
}

/// A deposit on its way: its claim is on L1 and the operation that takes it in is handed in.
#[derive(Clone, Debug)]
pub struct Deposited {
    /// The claim.
    pub claim: Claim,
    /// The operation.
    pub signed: SignedOperation,
    /// The sequencer's word for what became of it.
    pub status: String,
}

/// Deposits to a claim of this wallet, unless L1 has it already, and takes it in. The claim is in the wallet before
/// anything is paid.
///
/// # Errors
/// Wallet, L1, or the sequencer. Calling it again with the same claim goes on where it stopped.
pub fn deposit(session: &mut Session, chain: &Chain, claim: &Claim) -> anyhow::Result<Deposited> {
    let incoming = Incoming { claim: *claim, source: Source::Deposit, on_l1: false, taken: false, dropped: false };
    session.wallet.keep_incoming(&incoming)?;
    let word = to_bytes(&claim.commitment());
    match state_of(chain, &word)? {
        None => {
            chain.account()?;
            let paid = chain.wait(chain.client().deposit(word, claim.amount / UNIT_NANO));
            if let Err(error @ L1Error::Reverted { .. }) = paid {
                // L1 has no claim that could still be taken in or refunded.
                session.wallet.drop_incoming(claim.commitment())?;
                return Err(error).context("nothing was paid, and nothing of it is kept");
            }
            paid?;
        }
        Some(DepositState::Consumed) => bail!("the deposit is taken in already"),
        Some(DepositState::Refunded) => {
            session.wallet.drop_incoming(claim.commitment())?;
            bail!("the deposit was refunded");
        }
        Some(DepositState::Open | DepositState::RefundRequested(_)) => {}
    }
    session.wallet.keep_incoming(&Incoming { on_l1: true, ..incoming })?;
    let waiting = session
        .wallet
        .state()
        .waiting()
        .find(|kept| kept.signed.operation.claim(claim.recipient) == claim.commitment());
    let signed = match waiting {
        Some(kept) => kept.signed.clone(),
        None => operation::deposit::build(&session.actor()?, claim)?,
    };
    let status = operate(session, &signed)?;
    Ok(Deposited { claim: *claim, signed, status })
}

fn state_of(chain: &Chain, claim: &[u8; 32]) -> anyhow::Result<Option<DepositState>> {
    Ok(chain.wait(chain.client().deposit_state(*claim))?)
}

/// The incoming claim that begins like this.
fn claim_like(session: &Session, prefix: &str) -> anyhow::Result<Claim> {
    let mut found = session
        .wallet
        .state()
        .incoming
        .iter()
        .filter(|kept| hex0(to_bytes(&kept.claim.commitment())).starts_with(&prefix.to_ascii_lowercase()));
    let first = found.next().filter(|_| prefix.len() > 2).context("no incoming claim begins like that (0x…)")?;
    ensure!(found.next().is_none(), "more than one incoming claim begins like that");
    Ok(first.claim)
}

pub fn run_deposit(args: &DepositArgs) -> anyhow::Result<()> {
    let mut session = Session::open(&args.with.place)?;
    session.sync(false)?;
    if let Some(prefix) = &args.refund {
        return refund(args, &mut session, prefix);
    }
    let claim = match (&args.claim, args.amount) {
        (Some(prefix), _) => claim_like(&session, prefix)?,
        (None, Some(amount)) => operation::deposit::claim(&session.actor()?, amount.nano)?,
        (None, None) => bail!("no amount"),
    };
    session.sequencer()?;
    let shown = hex0(to_bytes(&claim.commitment()));
    let details =
        || {
            let amount = exact(claim.amount.into()).trim_start().to_owned();
            Details::new("Deposit on L1, then taken in with the next settlement")
                .row("amount", amount, claim.amount)
                .row("claim", shown.clone(), shown.clone())
        };
    let chain = if args.with.acting.dry_run { None } else { Some(own_chain(&args.with.place, &args.with.key)?) };
    if !agreed(details(), args.with.acting, args.with.place.json)? {
        return Ok(());
    }
    let chain = chain.context("a dry run")?;
    let end = chain.wait(chain.client().end_of(session.community))?;
    ensure!(end.stage == Stage::Open, "the community is {}: no deposit is taken in for long", end.stage.name());
    let Deposited { signed, status, .. } = deposit(&mut session, &chain, &claim)?;
    done(details(), &signed, &status).print(args.with.place.json)
}

fn refund(args: &DepositArgs, session: &mut Session, prefix: &str) -> anyhow::Result<()> {
    // A claim whose opening was lost with its folder is on L1 all the same.
    let (claim, amount) = match claim_like(session, prefix) {
        Ok(claim) => (claim.commitment(), Some(claim.amount)),
        Err(_) if prefix.len() == 66 => (element(prefix, "--refund")?, None),
        Err(error) => return Err(error),
    };
    let word = to_bytes(&claim);
    let chain = own_chain(&args.with.place, &args.with.key)?;
    let details = || {
        let shown = amount.map_or_else(|| "as L1 has it".to_owned(), |nano| exact(nano.into()).trim_start().to_owned());
        Details::new("Refund of a deposit that was never taken in").row("amount", shown, amount)
    };
    if !agreed(details(), args.with.acting, args.with.place.json)? {
        return Ok(());
    }
    let frozen = chain.wait(chain.client().is_frozen())?;
    let status = match state_of(&chain, &word)? {
        None => {
            session.wallet.drop_incoming(claim)?;
            "never made: given up".to_owned()
        }
        Some(DepositState::Consumed) => bail!("the deposit is taken in already"),
        Some(DepositState::Refunded) => {
            session.wallet.drop_incoming(claim)?;
            "refunded already".to_owned()
        }
        Some(DepositState::Open) if !frozen => {
            chain.wait(chain.client().request_refund(word))?;
            "asked for; run this again when the delay is over".to_owned()
        }
        Some(DepositState::RefundRequested(at)) if !frozen && chain.wait(chain.client().timestamp())? < at => {
            bail!("the refund can be fetched from unix second {at} on")
        }
        Some(DepositState::Open | DepositState::RefundRequested(_)) => {
            chain.wait(chain.client().refund(word))?;
            session.wallet.drop_incoming(claim)?;
            "refunded".to_owned()
        }
    };
    details().row("refund", status.clone(), status).print(args.with.place.json)
}

pub fn run_withdraw(args: &WithdrawArgs) -> anyhow::Result<()> {
    let mut session = Session::open(&args.with.place)?;
    session.sync(false)?;
    let actor = session.actor()?;
    let signed = operation::withdraw::build(&actor, args.amount.nano)?;
    let payout = hex0(actor.account.payout);
    finish(
        &mut session,
        &signed,
        || planned(&signed).row("paid to", payout.clone(), payout.clone()),
        args.with.acting,
        args.with.place.json,
    )
}

/// Sends: the operation and the claim are in the wallet before anything is handed in.
///
/// # Errors
/// A typed refusal of [`operation::send`], wallet, or the sequencer.
pub fn send(
    session: &mut Session,
    to: Fr,
    payout: [u8; 20],
    amount_nano: u64,
) -> anyhow::Result<(SignedOperation, ClaimFile, String)> {
    let (signed, claim) = operation::send::build(&session.actor()?, to, payout, amount_nano)?;
    session.wallet.keep_send(&signed, &claim)?;
    let file = ClaimFile { deployment: session.deployment, claim };
    let status = session.hand_in(&signed)?;
    Ok((signed, file, status))
}

pub fn run_send(args: &SendArgs) -> anyhow::Result<()> {
    let mut session = Session::open(&args.with.place)?;
    let (to, payout) = (element(&args.to, "--to")?, l1_address(&args.payout, "--payout")?);
    session.sync(false)?;
    let (signed, claim) = operation::send::build(&session.actor()?, to, payout, args.amount.nano)?;
    let details = || {
        planned(&signed).row("to", hex0(to_bytes(&to)), hex0(to_bytes(&to))).row(
            "claim file",
            args.out.display().to_string(),
            args.out.display().to_string(),
        )
    };
    if !agreed(details(), args.with.acting, args.with.place.json)? {
        return Ok(());
    }
    session.wallet.keep_send(&signed, &claim)?;
    let file = ClaimFile { deployment: session.deployment, claim };
    write_file(&args.out, &file).with_context(|| args.out.display().to_string())?;
    let status = session.hand_in(&signed)?;
    done(details(), &signed, &status).print(args.with.place.json)
}

/// Takes a claim in that is open on L1.
///
/// # Errors
/// It is not open, not for this account, or as [`operate`].
pub fn receive(session: &mut Session, chain: &Chain, file: &ClaimFile) -> anyhow::Result<(SignedOperation, String)> {
    let signed = received(session, chain, file)?;
    let status = take_in(session, file, &signed)?;
    Ok((signed, status))
}

/// The claim is in the wallet before it is taken in.
fn take_in(session: &mut Session, file: &ClaimFile, signed: &SignedOperation) -> anyhow::Result<String> {
    session.wallet.keep_incoming(&Incoming {
        claim: file.claim,
        source: Source::Transfer,
        on_l1: true,
        taken: false,
        dropped: false,
    })?;
    operate(session, signed)
}

fn received(session: &Session, chain: &Chain, file: &ClaimFile) -> anyhow::Result<SignedOperation> {
    let claim = file.claim;
    match chain.wait(chain.client().claim_state(to_bytes(&claim.commitment())))? {
        TransferState::Open => {}
        TransferState::Unknown => bail!("the claim is not on L1 yet: wait for the sender's next settlement"),
        TransferState::Received => bail!("the claim is taken in already"),
        TransferState::Exited => bail!("the claim was paid out when the rollup was frozen"),
    }
    let waiting = session
        .wallet
        .state()
        .waiting()
        .find(|kept| kept.signed.operation.claim(claim.recipient) == claim.commitment());
    if let Some(kept) = waiting {
        return Ok(kept.signed.clone());
    }
    Ok(operation::receive::build(&session.actor()?, &claim)?)
}

pub fn run_receive(args: &ReceiveArgs) -> anyhow::Result<()> {
    let mut session = Session::open(&args.with.place)?;
    let file: ClaimFile =
        read_file(&args.file, &session.deployment).with_context(|| args.file.display().to_string())?;
    session.sync(false)?;
    let signed = received(&session, &read_chain(&args.with.place)?, &file)?;
    if !agreed(planned(&signed), args.with.acting, args.with.place.json)? {
        return Ok(());
    }
    let status = take_in(&mut session, &file, &signed)?;
    done(planned(&signed), &signed, &status).print(args.with.place.json)
}

pub fn run_rotate(args: &RotateArgs) -> anyhow::Result<()> {
    let mut session = Session::open(&args.with.place)?;
    let payout = args.payout.as_deref().map(|text| l1_address(text, "--payout")).transpose()?;
    session.sync(false)?;
    let next = match &args.new_keys {
        None => owner_of(&session.keys.owner),
        Some(path) if path.exists() => {
            let keys = Keys::open(path, &passphrase(&args.with.place.keys, path)?)
                .with_context(|| path.display().to_string())?;
            ensure!(
                keys.same_folder(&session.keys),
                "{}: the new key file must be one that was made here, for this folder",
                path.display()
            );
            owner_of(&keys.owner)
        }
        Some(path) if args.with.acting.dry_run => bail!("{}: a dry run makes no key file", path.display()),
        Some(path) => {
            let keys = session.keys.with_new_owner()?;
            // On disk before anything is signed for it.
            keys.create(path, &new_passphrase(&args.with.place.keys, path)?, Cost::default())
                .with_context(|| path.display().to_string())?;
            owner_of(&keys.owner)
        }
    };
    let actor = session.actor()?;
    let payout = payout.unwrap_or(actor.account.payout);
    let signed = operation::rotate::build(&actor, &next, payout, session.wallet.state().open_claims())?;
    let (owner, paid) = (hex0(to_bytes(&next.commitment())), hex0(payout));
    let details = || {
        let title = "once it is settled, name the new key file (--keys, or `keys` in household.toml); keep both: certificates issued so far stay with the present key. The device's file stays";
        planned(&signed)
            .row("new owner", owner.clone(), owner.clone())
            .row("payout", paid.clone(), paid.clone())
            .row("note", title, title)
    };
    finish(&mut session, &signed, details, args.with.acting, args.with.place.json)
}

pub fn run_close(args: &CloseArgs) -> anyhow::Result<()> {
    let mut session = Session::open(&args.with.place)?;
    session.sync(false)?;
    let actor = session.actor()?;
    let signed = match operation::close::build(&actor, session.wallet.state().open_claims()) {
        Err(BuildError::StillActive { until, open }) => {
            let standing = session.roots.standing(session.community, session.slot).context("--rpc")?;
            let periods = Periods::on_l1(&standing, Zone::utc());
            ensure!(until != Interval::MAX, "the account's window has no end: get one first (gridveil member terms)");
            bail!(
                "the account is active until {}: close it in a period that begins then or later, when its balance is known \
                 (the open one begins {})",
                periods.begins(until),
                periods.begins(open)
            );
        }
        signed => signed?,
    };
    let rest = actor.account.balance % UNIT_NANO;
    let payout = hex0(actor.account.payout);
    let details = || {
        let supplier_account =
            format!("{} (less than a hundredth) stays in the community", exact(rest.into()).trim_start());
        planned(&signed).row("paid to", payout.clone(), payout.clone()).row("rest", supplier_account, rest)
    };
    finish(&mut session, &signed, details, args.with.acting, args.with.place.json)
}
