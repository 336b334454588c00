//! `gridveil member account`.

use gridveil_meter_client::{
    cli::LocalArgs,
    wallet::{Progress, Source},
};
use gridveil_protocol::{field::to_bytes, owner::owner_of};
use serde_json::json;

use super::{
    session::{Session, read_chain},
    standing::OnL1,
};
use crate::common::{
    details::{Details, exact, hex0},
    options::Place,
    text,
};

/// Options of `gridveil member account`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    local: LocalArgs,
    #[command(flatten)]
    place: Place,
    /// Sends operations again that the sequencer does not know: the same bytes.
    #[arg(long)]
    resend: bool,
}

/// How far an operation came, for a person; short, as its table has 80 columns.
fn progress(progress: &Progress, on_l1: &OnL1) -> String {
    match progress {
        Progress::Signed => "signed, not handed in".into(),
        Progress::Consented => "for the meter data manager".into(),
        Progress::Sent => "waits for a settlement".into(),
        Progress::Applied(first) => format!("settled {}", on_l1.clock(*first)),
        Progress::Refused(code) => format!("refused: {code}"),
        Progress::Superseded => "another operation had its place".into(),
    }
}

/// Runs it.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut session = Session::open(&args.place)?;
    let new = session.sync(args.resend)?;
    // Nothing is shown before L1 has said that it is of this chain.
    let on_l1 = OnL1::ask(&session, &args.local.zone)?;
    let state = session.wallet.state();
    let owner = owner_of(&session.keys.owner).commitment();
    let title = format!("Community {}, slot {}", session.community, session.slot);
    let mut details = Details::new(title).row("owner", hex0(to_bytes(&owner)), hex0(to_bytes(&owner)));
    if let Some(receipt) = &state.receipt {
        let account = &receipt.after;
        details = details
            .row("payout", hex0(account.payout), hex0(account.payout))
            .row("balance", exact(account.balance.into()), account.balance)
            .row("debt", exact(account.debt.into()), account.debt)
            .row("nonce", account.nonce.to_string(), account.nonce)
            .value("verified_until", receipt.first_interval.0)
            .row("state root", hex0(to_bytes(&receipt.root)), hex0(to_bytes(&receipt.root)));
        if let Ok(chain) = read_chain(&args.place)
            && let Ok(owed) = chain.wait(chain.client().withdrawable(account.payout))
        {
            details = details.row(
                "owed by L1",
                format!("{owed} smallest parts of the token (fetch with collect)"),
                owed.to_string(),
            );
        }
    } else {
        details = details.row("account", "no period verified yet", serde_json::Value::Null);
    }
    details = on_l1.rows(details, new);
    let operations: Vec<_> = state.operations.iter().map(|kept| json!({"id": kept.id(), "kind": kept.signed.operation.kind, "nonce": kept.signed.operation.nonce, "amount_nano": kept.signed.operation.amount, "progress": kept.progress})).collect();
    let claims: Vec<_> = state
        .incoming
        .iter()
        .map(|kept| json!({"claim": hex0(to_bytes(&kept.claim.commitment())), "amount_nano": kept.claim.amount, "source": kept.source, "on_l1": kept.on_l1, "taken": kept.taken, "dropped": kept.dropped}))
        .collect();
    let open = state.unspent();
    details = details
        .row("certificates", format!("{:>20} kWh", text::kwh(open)), open.0)
        .value("balance_nano", state.receipt.as_ref().map(|r| r.after.balance))
        .value("operations", operations)
        .value("claims", claims);
    details.print(args.place.json)?;
    if args.place.json {
        return Ok(());
    }
    if !state.operations.is_empty() {
        let mut table = text::table(&["operation", "amount", "state", "id"]);
        for kept in state.operations.iter().rev().take(12) {
            let operation = &kept.signed.operation;
            let id: String = kept.id().chars().take(8).collect();
            table.add_row([
                operation.kind.effect().title.to_owned(),
                exact(operation.amount.into()).trim_start().to_owned(),
                progress(&kept.progress, &on_l1),
                id,
            ]);
        }
        text::print(&format!("\n{table}\n"))?;
    }
    let open: Vec<_> = state.incoming.iter().filter(|kept| kept.is_open()).collect();
    if !open.is_empty() {
        let mut table = text::table(&["incoming claim", "from", "amount", "on L1"]);
        for kept in open {
            let claim: String = hex0(to_bytes(&kept.claim.commitment())).chars().take(14).collect();
            let from = match kept.source {
                Source::Deposit => "deposit",
                Source::Transfer => "member",
            };
            table.add_row([
                claim,
                from.to_owned(),
                exact(kept.claim.amount.into()),
                if kept.on_l1 { "yes" } else { "no" }.to_owned(),
            ]);
        }
        text::print(&format!("\n{table}\n"))?;
    }
    Ok(())
}
