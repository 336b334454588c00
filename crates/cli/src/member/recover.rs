//! `gridveil member recover`: from a key file and an empty folder, or an old copy of one, to a working account.

use std::io::IsTerminal as _;

use anyhow::bail;
use gridveil_meter_client::{
    cli::LocalArgs,
    recover::{Lost, Recovered},
    wallet::KeptNote,
};
use gridveil_protocol::{
    field::to_bytes,
    owner::{NullifierKey, owner_of},
    params::UNIT_NANO,
};
use gridveil_verifier_contract::DepositState;

use super::{
    certificate::refresh,
    session::{Session, read_chain},
    standing::OnL1,
};
use crate::common::{
    chain::Chain,
    details::{Details, exact, hex0},
    options::Place,
    text,
};

/// Options of `gridveil member recover`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    local: LocalArgs,
    #[command(flatten)]
    place: Place,
}

/// What the operator never had, and what to do.
const ELSEWHERE: [&str; 3] = [
    "claims and certificates that came as files: take the files in again (member receive, certificate receive)",
    "statements of retirement: ask for copies where they were shown",
    "operations that were signed and not handed in, or refused: sign again what is wanted still",
];

/// Runs it.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut session = Session::open(&args.place)?;
    session.sequencer()?;
    let chain = read_chain(&args.place)?;
    let came = came_back(&mut session)?;
    if came.receipts + came.kept == 0 && came.missing.is_empty() && session.wallet.state().receipt.is_none() {
        bail!(nothing(&session)?);
    }
    let paths = refresh(&mut session, &chain);
    let on_l1 = OnL1::ask(&session, &args.local.zone)?;
    let mut missing: Vec<String> = came.missing.iter().map(|one| named(one, &on_l1)).collect();
    if let Err(error) = paths {
        missing.push(format!("paths of certificates: {}", text::one_line(&error)));
    }
    let behind = on_l1.behind();
    if behind > 0 {
        missing.push(format!("the last {behind} periods that L1 has settled: the operator does not list them (yet)"));
    }
    // The operator can give back no more than it has; these are known by L1 alone.
    let mut gone = spent_elsewhere(&mut session, &chain, &on_l1)?;
    gone.extend(deposits(&session, &chain)?);
    show(args, &session, &came, &on_l1, &missing, &gone)?;
    if missing.is_empty() {
        Ok(())
    } else {
        bail!("not everything came back that the operator must have: what did is kept, and running this again goes on")
    }
}

fn came_back(session: &mut Session) -> anyhow::Result<Recovered> {
    let terminal = std::io::stderr().is_terminal();
    let came = session.recover(&mut |at, of| {
        if terminal {
            eprint!("\rperiod {at} of {of} ");
        }
    });
    if terminal {
        eprint!("\r{:40}\r", "");
    }
    came
}

/// Why there is nothing: another slot, perhaps.
fn nothing(session: &Session) -> anyhow::Result<String> {
    let slots = session.slots_of_owner()?;
    let place = format!("slot {} of community {}", session.slot, session.community);
    if slots.contains(&session.slot) {
        return Ok(format!("{place} is this key's, and no period of it is settled yet: there is nothing to take back"));
    }
    Ok(match slots.as_slice() {
        [] => format!(
            "{place} is not this key's, nor is any other one of the community: look for the key file that the account has \
             now, or for another community"
        ),
        [slot] => format!("{place} is not this key's; slot {slot} is: --slot {slot}"),
        more => format!("{place} is not this key's; these are: {more:?}"),
    })
}

fn named(missing: &gridveil_meter_client::recover::Missing, on_l1: &OnL1) -> String {
    let what = match missing.what {
        Lost::Receipt => "receipt",
        Lost::Packet => "packet",
        Lost::Operations => "waiting operations",
    };
    format!("{what} of the period from {}: {}", on_l1.date(missing.first_interval), missing.why)
}

/// Notes that L1 has spent, into what only the lost folder knew. They are marked, so that nothing tries to spend them.
fn spent_elsewhere(session: &mut Session, chain: &Chain, on_l1: &OnL1) -> anyhow::Result<Vec<String>> {
    let (key, own) = (NullifierKey::of(&session.keys.owner), owner_of(&session.keys.owner).commitment());
    let unspent: Vec<KeptNote> = session.wallet.state().notes.iter().filter(|kept| !kept.spent).cloned().collect();
    let mut gone = Vec::new();
    for kept in unspent {
        let name = || {
            let note = &kept.note;
            format!("certificate of {} kWh, period from {}", text::kwh(note.amount), on_l1.date(note.first_interval))
        };
        if kept.note.owner != own {
            gone.push(format!(
                "{}: of an earlier owner key; run this with that key file to see if it is spent",
                name()
            ));
            continue;
        }
        let nullifier = to_bytes(&key.nullifier(kept.note.commitment()));
        if chain.wait(chain.client().nullifier_used(nullifier))? {
            session.wallet.note_spent(&kept)?;
            gone.push(format!("{}: spent on L1; what was left of it, only the lost folder knew", name()));
        }
    }
    Ok(gone)
}

/// Deposits of the payout address that wait on L1 for an operation that nobody can sign any more: the claim's salts were
/// in the lost folder alone.
fn deposits(session: &Session, chain: &Chain) -> anyhow::Result<Vec<String>> {
    let Ok(account) = session.wallet.state().account() else { return Ok(Vec::new()) };
    let payout = account.payout;
    let known = |claim: &[u8; 32]| {
        session.wallet.state().incoming.iter().any(|kept| to_bytes(&kept.claim.commitment()) == *claim)
    };
    let open = match chain.wait(chain.client().deposits(chain.from_block())) {
        Ok(open) => open,
        // What did come back is not held up by a node that tells no events.
        Err(error) => return Ok(vec![format!("deposits that were not handed in: not looked for ({error})")]),
    };
    let open = open.iter().filter(|deposit| {
        deposit.depositor == payout
            && matches!(deposit.state, DepositState::Open | DepositState::RefundRequested(_))
            && !known(&deposit.claim)
    });
    Ok(open
        .map(|deposit| {
            let amount = exact((deposit.units * UNIT_NANO).into()).trim_start().to_owned();
            let claim = hex0(deposit.claim);
            format!("deposit of {amount} that was not handed in: member deposit --refund {claim}")
        })
        .collect())
}

fn show(
    args: &Args,
    session: &Session,
    came: &Recovered,
    on_l1: &OnL1,
    missing: &[String],
    gone: &[String],
) -> anyhow::Result<()> {
    let state = session.wallet.state();
    let title = format!("Community {}, slot {}, into {}", session.community, session.slot, args.place.wallet.display());
    let mut details = Details::new(title)
        .row("receipts", format!("{} came back, {} were here", came.receipts, came.kept), came.receipts)
        .row("packets", came.packets.to_string(), came.packets)
        .row("operations", came.operations.to_string(), came.operations)
        .row("certificates", format!("{} kWh", text::kwh(state.unspent())), state.unspent().0);
    if let Ok(account) = state.account() {
        details = details.row("balance", exact(account.balance.into()).trim_start(), account.balance);
    }
    details = on_l1.rows(details, came.receipts);
    details
        .value("kept", came.kept)
        .value("missing", missing.to_vec())
        .value("gone", gone.to_vec())
        .print(args.place.json)?;
    if args.place.json {
        return Ok(());
    }
    let list = |title: &str, lines: &[String]| {
        let lines: String = lines.iter().map(|line| format!("- {line}\n")).collect();
        if lines.is_empty() { String::new() } else { format!("\n{title}\n{lines}") }
    };
    let elsewhere = ELSEWHERE.map(str::to_owned);
    let lists = list("The operator did not give back:", missing)
        + &list("Lost with the folder, by what L1 shows:", gone)
        + &list("The operator never had, in case you had any:", &elsewhere);
    Ok(text::print(&lists)?)
}
