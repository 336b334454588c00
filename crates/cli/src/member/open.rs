//! `gridveil member open`: one fact of the account, for an auditor.

use std::path::PathBuf;

use anyhow::Context as _;
use gridveil_meter_client::{
    calendar::{Periods, When},
    cli::LocalArgs,
    outbox::Period,
    wallet::{ExchangeFile, write_file},
};
use gridveil_protocol::{
    opening::{BalanceOpening, BillOpening, ReadingOpening},
    receipt::Receipt,
    units::Interval,
};

use super::{example, session::Session};
use crate::common::{details::Details, options::Place};

/// What is opened.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// The balance after a period: it shows the payout address too, and nothing else.
    #[command(after_help = example!("open balance --period 2026-11-03 --zone Europe/Vienna --out balance.json"))]
    Balance(Args),
    /// What the meter counted in a period: it shows the registers before and after, with keys, terms and debt, and neither
    /// balance nor payout address nor operations.
    #[command(after_help = example!("open reading --period 2026-11-03 --zone Europe/Vienna --out reading.json"))]
    Reading(Args),
    /// The bill of a period, energy and money: it shows the account before and after, with its keys, terms, registers and
    /// operations, and no reading of an interval.
    #[command(after_help = example!("open bill --period 2026-11-03 --zone Europe/Vienna --out bill.json"))]
    Bill(Args),
}

/// Options of `gridveil member open`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The period: its local day, such as 2017-05-03, or the time at which it begins, such as 2017-05-03T00:00+02:00;
    /// the last one that was verified if absent.
    #[arg(long, value_name = "DATE")]
    period: Option<When>,
    #[command(flatten)]
    local: LocalArgs,
    /// The opening's file, for the auditor alone.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// Runs it.
pub fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Balance(args) => open(args, BalanceOpening::of),
        Command::Reading(args) => open(args, ReadingOpening::of),
        Command::Bill(args) => open(args, BillOpening::of),
    }
}

fn open<T: ExchangeFile>(args: &Args, of: impl Fn(u64, [u8; 20], &Receipt) -> T) -> anyhow::Result<()> {
    let mut session = Session::open_for_l1(&args.place)?;
    session.sync_if_served();
    let standing = session.roots.standing(session.community, session.slot).context("--rpc")?;
    let periods = Periods::on_l1(&standing, args.local.zone.clone());
    let asked = args.period.map(|when| periods.find(&when)).transpose().context("--period")?;
    let receipt = receipt(&session, asked, &periods)?;
    let deployment = session.deployment;
    let out = args.out.display().to_string();
    write_file(&args.out, &of(deployment.chain_id, deployment.contract, &receipt)).with_context(|| out.clone())?;
    Details::new(format!("Community {}, slot {}", receipt.community, receipt.slot))
        .row("period", periods.span(receipt.first_interval), receipt.first_interval.0)
        .row("file", out.clone(), out)
        .print(args.place.json)
}

/// The verified receipt of a period, or the last one.
fn receipt(session: &Session, period: Option<Interval>, periods: &Periods) -> anyhow::Result<Receipt> {
    let last = session.wallet.state().receipt.as_ref();
    let Some(first_interval) = period else {
        return last.cloned().context("no period was verified yet: there is nothing to open");
    };
    if let Some(last) = last.filter(|last| last.first_interval == first_interval) {
        return Ok(last.clone());
    }
    // Kept under the circuit version that the period was settled in.
    let versions = gridveil_circuits::version::known();
    let domains = versions.iter().map(|version| session.domains.of_version(*version));
    for domain in domains.chain([session.domain]) {
        let period = Period { domain, community: session.community, slot: session.slot, first_interval };
        if let Some(receipt) = session.outbox.receipt(&period)? {
            return Ok(receipt);
        }
    }
    anyhow::bail!("the wallet has no verified receipt of {}", periods.span(first_interval))
}
