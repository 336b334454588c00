//! Operations that the meter data manager signs too: opening the account, another meter, other terms (OP.2).
//!
//! The member signs first. The consent goes as a file to the meter data manager, who signs and sends it (`gridveil mdm
//! sign`). Until it is settled, the account can do everything as before.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use gridveil_meter_client::{
    calendar::Periods,
    cli::{LocalArgs, new_passphrase, passphrase},
    key_store::{Cost, Keys},
    operation::{self, Actor},
    wallet::{ConsentFile, write_file},
};
use gridveil_protocol::{
    account::{Account, Terms},
    operation::SignedOperation,
    units::Interval,
};

use super::{
    money::planned,
    session::{Session, l1_address},
};
use crate::common::{
    details::{Details, agreed, hex0},
    options::{Acting, Doing},
};

/// Largest file of terms, bytes.
const MAX_TERMS: u64 = 4 << 10;

/// Options of `gridveil member enrol`.
#[derive(clap::Args, Debug)]
pub struct EnrolArgs {
    /// The meter data manager's offer: the terms, JSON.
    #[arg(long, value_name = "FILE")]
    terms: PathBuf,
    /// L1 address that the account is paid to.
    #[arg(long, value_name = "ADDRESS")]
    payout: String,
    /// Nonce of the slot: 0 if nobody had it before; the meter data manager knows it.
    #[arg(long, default_value_t = 0)]
    nonce: u32,
    /// The consent's file, for the meter data manager.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    local: LocalArgs,
    #[command(flatten)]
    with: Doing,
}

/// Options of `gridveil member replace`.
#[derive(clap::Args, Debug)]
pub struct ReplaceArgs {
    /// Key file of the new meter beside the same owner key, under the same passphrase; made if it is not there.
    #[arg(long, value_name = "FILE")]
    new_keys: PathBuf,
    /// The consent's file, for the meter data manager.
    #[arg(long, value_name = "FILE", required_unless_present = "finish")]
    out: Option<PathBuf>,
    /// The new meter is settled: the wallet goes over to the new key file.
    #[arg(long, conflicts_with = "out")]
    finish: bool,
    #[command(flatten)]
    with: Doing,
}

/// Options of `gridveil member terms`.
#[derive(clap::Args, Debug)]
pub struct TermsArgs {
    /// The meter data manager's offer: the terms, JSON.
    #[arg(long, value_name = "FILE")]
    terms: PathBuf,
    /// The consent's file, for the meter data manager.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    local: LocalArgs,
    #[command(flatten)]
    with: Doing,
}

/// Terms as the meter data manager offers them.
///
/// # Errors
/// No such file, or no terms in it.
pub fn read_terms(path: &Path) -> anyhow::Result<Terms> {
    let name = || path.display().to_string();
    let size = std::fs::metadata(path).with_context(name)?.len();
    ensure!(size <= MAX_TERMS, "{}: too long for terms", name());
    let json = std::fs::read(path).with_context(name)?;
    // The message of a JSON error could repeat a limit: only its place is told.
    serde_json::from_slice(&json)
        .map_err(|e| anyhow::anyhow!("{}:{}:{}: not terms of an account", name(), e.line(), e.column()))
}

fn periods(session: &Session, local: &LocalArgs) -> anyhow::Result<Periods> {
    let standing = session.roots.standing(session.community, session.slot).context("--rpc")?;
    Ok(Periods::on_l1(&standing, local.zone.clone()))
}

/// Rows of terms: what a person consents to.
pub fn terms_rows(details: Details, terms: &Terms, periods: &Periods) -> Details {
    let Terms { active_from, active_until, buy_limit, sell_limit, cap_import, cap_export, technology, scale, class } =
        *terms;
    let until = match active_until {
        Interval::MAX => "no end".to_owned(),
        until => format!("until {}", periods.begins(until)),
    };
    details
        .row("active", format!("from {}, {until}", periods.begins(active_from)), active_from.0)
        .value("active_until", active_until.0)
        .row("first limits", format!("buys up to {buy_limit}, sells from {sell_limit} per kWh"), buy_limit.0)
        .value("sell_limit", sell_limit.0)
        .row(
            "caps",
            format!(
                "{cap_import} and {cap_export} x {scale} Wh an interval, import and export, if readings are substituted"
            ),
            cap_import,
        )
        .value("cap_export", cap_export)
        .row(
            "technology",
            if technology == 0 { "0 (no certificates)".to_owned() } else { technology.to_string() },
            technology,
        )
        .row("scale", format!("{scale} Wh"), scale)
        .row("class", class.to_string(), class)
}

/// Shows a consent, asks, keeps it, and writes it for the meter data manager.
fn consent(
    session: &mut Session,
    signed: &SignedOperation,
    details: impl Fn() -> Details,
    out: &Path,
    acting: Acting,
    json: bool,
) -> anyhow::Result<()> {
    let name = out.display().to_string();
    let details = || details().row("for the meter data manager", name.clone(), name.clone());
    if !agreed(details(), acting, json)? {
        return Ok(());
    }
    session.wallet.keep_consent(signed)?;
    write_file(out, &ConsentFile { deployment: session.deployment, consent: signed.clone() })
        .with_context(|| name.clone())?;
    details().print(json)
}

pub fn run_enrol(args: &EnrolArgs) -> anyhow::Result<()> {
    let (payout, terms) = (l1_address(&args.payout, "--payout")?, read_terms(&args.terms)?);
    let mut session = Session::open(&args.with.place)?;
    session.sync(false)?;
    // A slot that this owner has left is as empty as one that nobody had.
    let empty = Account { nonce: args.nonce, ..Account::empty(Default::default()) };
    let account =
        session.wallet.state().account().ok().filter(|account| account.meter.is_some()).cloned().unwrap_or(empty);
    let Session { domain, community, slot, keys, .. } = &session;
    let actor = Actor {
        domain: *domain,
        community: *community,
        slot: *slot,
        secret: &keys.owner,
        account,
        waiting: 0,
        open_interval: terms.active_from,
    };
    let signed = operation::enrol::build(&actor, keys.meter.public(), payout, terms)?;
    let periods = periods(&session, &args.local)?;
    let details = || terms_rows(planned(&signed).row("payout", hex0(payout), hex0(payout)), &terms, &periods);
    consent(&mut session, &signed, details, &args.out, args.with.acting, args.with.place.json)
}

pub fn run_terms(args: &TermsArgs) -> anyhow::Result<()> {
    let terms = read_terms(&args.terms)?;
    let mut session = Session::open(&args.with.place)?;
    session.sync(false)?;
    let signed = operation::terms::build(&session.actor()?, terms)?;
    let periods = periods(&session, &args.local)?;
    consent(
        &mut session,
        &signed,
        || terms_rows(planned(&signed), &terms, &periods),
        &args.out,
        args.with.acting,
        args.with.place.json,
    )
}

pub fn run_replace(args: &ReplaceArgs) -> anyhow::Result<()> {
    let mut session = Session::open(&args.with.place)?;
    let name = args.new_keys.display().to_string();
    if args.finish {
        let new = Keys::open(&args.new_keys, &passphrase(&args.with.place.keys, &args.new_keys)?)
            .with_context(|| name.clone())?;
        return finish(&mut session, &new, args);
    }
    let out = args.out.as_deref().context("no --out")?;
    session.sync(false)?;
    let new = if args.new_keys.exists() {
        Keys::open(&args.new_keys, &passphrase(&args.with.place.keys, &args.new_keys)?).with_context(|| name.clone())?
    } else {
        ensure!(!args.with.acting.dry_run, "{name}: a dry run makes no key file");
        let keys = session.keys.with_new_meter()?;
        // On disk before anything is signed for it.
        keys.create(&args.new_keys, &new_passphrase(&args.with.place.keys, &args.new_keys)?, Cost::default())
            .with_context(|| name.clone())?;
        keys
    };
    ensure!(new.owner.public() == session.keys.owner.public(), "{name}: the new key file must have the same owner key");
    let signed = operation::replace::build(&session.actor()?, new.meter.public())?;
    let meter = hex0(new.meter.public().to_bytes());
    let details = || {
        let note = "once it is settled, run this again with --finish, and keep both key files: the old one opens earlier packets";
        planned(&signed).row("new meter", meter.clone(), meter.clone()).row("note", note, note)
    };
    consent(&mut session, &signed, details, out, args.with.acting, args.with.place.json)
}

/// Packets and receipts from now on are under the new meter's key; so is the wallet.
fn finish(session: &mut Session, new: &Keys, args: &ReplaceArgs) -> anyhow::Result<()> {
    // Periods after the replacement verify under the new key only: until there, the old one takes them in.
    let synced = session.sync(false);
    if session.wallet.state().account()?.meter != Some(new.meter.public()) {
        synced?;
        bail!("the account has another meter still: wait until the replacement is settled");
    }
    let details = || {
        Details::new("The wallet goes over to the new key file").row(
            "key file",
            args.new_keys.display().to_string(),
            args.new_keys.display().to_string(),
        )
    };
    if !agreed(details(), args.with.acting, args.with.place.json)? {
        return Ok(());
    }
    session.wallet.reseal(new)?;
    details().print(args.with.place.json)
}
