//! `gridveil member certificate abandon`: gives up a spending that L1 has not taken, or finds out which spending L1
//! has.

use anyhow::ensure;
use gridveil_meter_client::wallet::KeptNote;
use gridveil_protocol::{
    field::{Fr, from_bytes, to_bytes},
    owner::NullifierKey,
};
use gridveil_verifier_contract::{L1Error, RollupEffect};

use super::{note_by_prefix, number, state};
use crate::{
    common::{
        chain::Chain,
        details::{Details, agreed, hex0},
        options::Doing,
        text,
    },
    member::session::{Session, read_chain},
};

/// Options of `certificate abandon`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The beginning of the commitment of the note that is being spent, as `list` shows it.
    note: String,
    #[command(flatten)]
    with: Doing,
}

/// Notes which spending of a note L1 has. The note's nullifier is used: the event says into what.
///
/// # Errors
/// L1, the wallet, or no such event among the blocks that are read.
pub fn land(session: &mut Session, chain: &Chain, nullifier: Fr) -> anyhow::Result<()> {
    let word = to_bytes(&nullifier);
    let events = match chain.wait(chain.client().events(chain.from_block())) {
        // A client that tells no events.
        Err(L1Error::Config(_)) => Vec::new(),
        answer => answer?,
    };
    let found = events.iter().find_map(|event| match event.effect {
        RollupEffect::CertificateSpent { nullifier, note_1, note_2, retirement, .. } if nullifier == word => {
            Some((event.tx, [note_1, note_2, retirement]))
        }
        _ => None,
    });
    if let Some((tx, words)) = found {
        let [first, second, retirement] = words.map(|word| from_bytes(&word).ok()).map(Option::unwrap_or_default);
        session.wallet.landed(nullifier, [first, second], retirement, Some(&hex0(tx)))?;
        return Ok(());
    }
    let mut plans = session.wallet.state().spends.iter().filter(|spend| spend.nullifier == nullifier);
    let only = plans.next().is_some_and(|spend| !spend.abandoned) && plans.next().is_none();
    ensure!(
        only,
        "L1 has spent a certificate of which a spending was abandoned, and has no event of it from block {} on (--from-block)",
        chain.from_block()
    );
    Ok(session.wallet.spent(nullifier, None)?)
}

/// Gives the spending of a note up, if L1 has not seen its nullifier. The plan stays in the wallet: a proof that was
/// sent may still land, and is found then.
///
/// # Errors
/// L1 has it, nothing is being spent, or the wallet.
pub fn abandon(session: &mut Session, chain: &Chain, kept: &KeptNote) -> anyhow::Result<()> {
    let nullifier = NullifierKey::of(&session.keys.owner).nullifier(kept.note.commitment());
    if chain.wait(chain.client().nullifier_used(to_bytes(&nullifier)))? {
        land(session, chain, nullifier)?;
        anyhow::bail!("L1 has a spending of this certificate: there is nothing to abandon");
    }
    Ok(session.wallet.abandon(nullifier)?)
}

/// Runs the command.
///
/// # Errors
/// As [`abandon`].
pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut session = Session::open(&args.with.place)?;
    let chain = read_chain(&args.with.place)?;
    let kept = note_by_prefix(&mut session, &chain, &args.note)?;
    ensure!(!kept.spent, "L1 has a spending of this certificate: there is nothing to abandon");
    let spending = session.wallet.state().spends.iter().any(|spend| spend.plan.note == kept.note && spend.is_open());
    ensure!(spending, "this certificate is not being spent");
    let note = number(kept.note.commitment());
    let details = || {
        let warning = "what was sent already may still land; then certificate list finds it, and keeps what it came to";
        Details::new("Gives up the spending of a certificate that L1 has not taken")
            .row("note", note.clone(), note.clone())
            .row("amount", format!("{} kWh", text::kwh(kept.note.amount)), kept.note.amount.0)
            .row("warning", warning, warning)
    };
    if !agreed(details(), args.with.acting, args.with.place.json)? {
        return Ok(());
    }
    abandon(&mut session, &chain, &kept)?;
    let stands = state(&session, &kept);
    details().row("state", stands, stands).print(args.with.place.json)
}
