//! Operations that the meter data manager signs too: opening the account, another meter, other terms (OP.2).
//!
//! The member signs first. The consent goes as a file to the meter data manager, who signs and sends it (`gridveil mdm
//! sign`). Until it is settled, the account can do everything as before.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use gridveil_meter_client::{
    calendar::Periods,
    cli::{CostArgs, DeviceArgs, LocalArgs, LockArgs},
    operation::{self, Actor},
    wallet::{ConsentFile, write_file},
};
use gridveil_protocol::{
    account::{Account, Terms},
    operation::SignedOperation,
    schnorr::PublicKey,
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
    /// Public key of a device that is elsewhere, as `gridveil meter device` shows it; otherwise that of --device.
    #[arg(long, value_name = "KEY", value_parser = meter_key)]
    meter_key: Option<PublicKey>,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    local: LocalArgs,
    #[command(flatten)]
    with: Doing,
}

/// Options of `gridveil member replace`.
#[derive(clap::Args, Debug)]
pub struct ReplaceArgs {
    /// Key file of the new device; made if it is not there.
    #[arg(long, value_name = "FILE", required_unless_present = "meter_key", conflicts_with = "meter_key")]
    new_device: Option<PathBuf>,
    /// Public key of a new device that is elsewhere, as `gridveil meter device` shows it.
    #[arg(long, value_name = "KEY", value_parser = meter_key)]
    meter_key: Option<PublicKey>,
    #[command(flatten)]
    lock: LockArgs,
    #[command(flatten)]
    cost: CostArgs,
    /// The consent's file, for the meter data manager.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
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
    let meter = match args.meter_key {
        Some(key) => key,
        None => args.device.open_beside(&args.with.place.keys, &session.keys)?.public(),
    };
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
    let signed = operation::enrol::build(&actor, meter, payout, terms)?;
    let key = hex0(meter.to_bytes());
    let periods = periods(&session, &args.local)?;
    let details = || {
        let details = planned(&signed).row("payout", hex0(payout), hex0(payout)).row("meter", key.clone(), key.clone());
        terms_rows(details, &terms, &periods)
    };
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
    session.sync(false)?;
    let new = match (args.meter_key, &args.new_device) {
        (Some(key), _) => key,
        (None, Some(path)) => {
            let name = path.display();
            ensure!(path.exists() || !args.with.acting.dry_run, "{name}: a dry run makes no key file");
            // On disk before anything is signed for it.
            args.lock.open_or_make(path, &args.with.place.keys, args.cost)?.public()
        }
        (None, None) => bail!("give --new-device or --meter-key"),
    };
    ensure!(session.actor()?.account.meter != Some(new), "the account has this meter already");
    let signed = operation::replace::build(&session.actor()?, new)?;
    let meter = hex0(new.to_bytes());
    let details = || {
        let note = "packets are the present device's until this is settled, and the new one's from the next period on";
        planned(&signed).row("new meter", meter.clone(), meter.clone()).row("note", note, note)
    };
    consent(&mut session, &signed, details, &args.out, args.with.acting, args.with.place.json)
}

/// A meter's public key, from 0x and 128 hex digits.
fn meter_key(text: &str) -> Result<PublicKey, String> {
    let wrong = || "0x and the 128 hex digits that `gridveil meter device` shows".to_owned();
    let bytes: [u8; 64] =
        text.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok()?.try_into().ok()).ok_or_else(wrong)?;
    PublicKey::from_bytes(&bytes).map_err(|error| format!("not a meter's key: {error}"))
}
