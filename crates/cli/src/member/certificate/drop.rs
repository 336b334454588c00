//! `gridveil member certificate drop`: takes out of L1's queue what no batch may take in; and what becomes of the
//! spendings of this wallet that are in the queue.

use anyhow::ensure;
use gridveil_protocol::field::{Fr, to_bytes};
use gridveil_verifier_contract::Word;

use crate::{
    common::{
        chain::Chain,
        details::{Details, agreed, hex0},
        options::Paying,
    },
    member::session::{Session, own_chain, read_chain},
};

/// Pairs of notes that are dropped at once.
const AT_ONCE: u32 = 64;
/// Pairs of notes of the queue that are looked at.
const LOOKED_AT: u32 = 1_000;

/// Options of `certificate drop`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    with: Paying,
}

/// What became of spendings whose new notes were in L1's queue: they are in the state, or the spending was undone and
/// its note can be spent again. The whole queue is read, so that nobody learns which of its notes are this wallet's.
///
/// # Errors
/// L1, or the wallet.
pub fn decide(session: &mut Session, chain: &Chain) -> anyhow::Result<()> {
    let unsettled: Vec<Fr> = session.wallet.state().unsettled().collect();
    if unsettled.is_empty() {
        return Ok(());
    }
    let queue = chain.wait(chain.client().waiting_pairs(LOOKED_AT))?;
    let waiting: Vec<Word> = queue.iter().filter(|pair| !pair.half).map(|pair| pair.nullifier).collect();
    for nullifier in unsettled {
        let word = to_bytes(&nullifier);
        if waiting.contains(&word) {
            continue;
        }
        let undone = !chain.wait(chain.client().nullifier_used(word))?;
        // Not seen in a longer queue is not gone from it.
        if undone || queue.len() < LOOKED_AT as usize {
            session.wallet.decided(nullifier, undone)?;
        }
        if undone {
            eprintln!(
                "gridveil: L1 undid the spending of a certificate, whose circuit version was retired: it can be spent again"
            );
        }
    }
    Ok(())
}

/// Runs the command.
///
/// # Errors
/// L1, or the wallet.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut session = Session::open_for_l1(&args.with.place)?;
    let chain = if args.with.acting.dry_run {
        read_chain(&args.with.place)?
    } else {
        own_chain(&args.with.place, &args.with.key)?
    };
    let waiting = chain.wait(chain.client().waiting_pairs(LOOKED_AT))?.len();
    ensure!(waiting > 0, "L1's queue of certificates is empty");
    let details = || {
        let what = "those of a retired circuit version at the head of the queue, or of a frozen rollup all";
        Details::new("Takes certificates out of L1's queue that no settlement takes in")
            .row("waiting", waiting.to_string(), waiting)
            .row("dropped", what, what)
    };
    if !agreed(details(), args.with.acting, args.with.place.json)? {
        return Ok(());
    }
    let receipt = chain.wait(chain.client().drop_notes(AT_ONCE))?;
    decide(&mut session, &chain)?;
    details().row("transaction", hex0(receipt.tx), hex0(receipt.tx)).print(args.with.place.json)
}
