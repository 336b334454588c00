//! `gridveil member certificate prove`: a note that is still held, shown to an auditor by a proof that spends nothing.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use gridveil_meter_client::wallet::{KeptNote, write_file};
use gridveil_protocol::{certificate::ShownHolding, field::to_bytes, owner::NullifierKey};
use gridveil_prover::certificate::{CertificateProof, CertificateProver};

use super::{Proving, note_by_prefix, number, open_prover};
use crate::{
    common::{chain::Chain, details::Details, options::Place, text},
    member::session::{Session, read_chain},
};

/// Options of `certificate prove`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The beginning of the note's commitment, as `list` shows it.
    note: String,
    /// The file for the auditor. It shows amount, period and technology, and the note's nullifier: who has it sees when
    /// the note is spent.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    proving: Proving,
}

/// Proves that a note of this owner is in a final state, under a domain in which nothing is spent.
///
/// # Errors
/// The note is spent, another's, or not settled; the prover; or L1.
pub fn hold(
    session: &Session,
    chain: &Chain,
    prover: &CertificateProver,
    kept: &KeptNote,
) -> anyhow::Result<ShownHolding> {
    let plan = session.wallet.state().holding(kept, &session.deployment, &session.keys.owner)?;
    let nullifier = NullifierKey::of(&session.keys.owner).nullifier(kept.note.commitment());
    ensure!(!chain.wait(chain.client().nullifier_used(to_bytes(&nullifier)))?, "L1 has spent this certificate");
    let CertificateProof { instance, proof } = prover.prove(&plan.sign(&session.keys.owner)?)?;
    Ok(ShownHolding { chain_id: session.deployment.chain_id, contract: session.deployment.contract, instance, proof })
}

/// Runs the command.
///
/// # Errors
/// As [`hold`], or the file.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut session = Session::open(&args.place)?;
    let chain = read_chain(&args.place)?;
    let kept = note_by_prefix(&mut session, &chain, &args.note)?;
    let shown = hold(&session, &chain, &open_prover(&session, &args.proving)?, &kept)?;
    write_file(&args.out, &shown).with_context(|| args.out.display().to_string())?;
    let (note, out) = (number(kept.note.commitment()), args.out.display().to_string());
    Details::new("")
        .row("note", note.clone(), note)
        .row("amount", format!("{} kWh", text::kwh(kept.note.amount)), kept.note.amount.0)
        .row("file", out.clone(), out)
        .print(args.place.json)
}
