//! `gridveil operator abandon`: gives up batches that L1 will never have ([ADR 0028](../../../../docs/adr/0028-what-is-final.md)).

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::{Context as _, ensure};
use gridveil_protocol::field::to_bytes;
use gridveil_sequencer::store::abandoned::Abandoning;
use gridveil_verifier_contract::{ChainL1, EthersClient, ethers_client::Confirmations};

use super::acts::{Connection, L1};
use crate::{
    common::{keys::OperatorKey, options::Acting},
    member::{Details, agreed},
};

pub(super) const EXAMPLE: &str = "\
Example:
  gridveil operator abandon --batch 41 --data /var/lib/gridveil --master-key master.key --operator-key operator.key \\
    --rpc http://127.0.0.1:8545 --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3

The sequencer must not run. The batch and all after it are undone: their periods are open again with every packet, and what they
carried waits again. First empty transactions take the place of what may still wait to be mined, and are waited for until they are final.";

/// Options of `gridveil operator abandon`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The first batch that L1 will never have.
    #[arg(long, value_name = "NUMBER")]
    batch: u64,
    /// Directory of the sequencer's log.
    #[arg(long, value_name = "DIRECTORY")]
    data: PathBuf,
    /// Master key of the log.
    #[arg(long, value_name = "FILE")]
    master_key: PathBuf,
    #[command(flatten)]
    l1: L1,
    #[command(flatten)]
    operator: OperatorKey,
    /// Which blocks of L1 count as final, as for the sequencer.
    #[arg(long, value_name = "BLOCKS", env = "GRIDVEIL_CONFIRMATIONS")]
    confirmations: Option<Confirmations>,
    #[command(flatten)]
    acting: Acting,
}

/// L1 does not have the batch.
async fn check(l1: &EthersClient, store: &Abandoning, batch: u64) -> anyhow::Result<()> {
    let reached = store.reached(&l1.state_root().await?)?;
    let reached = reached.context("L1's state root is of no batch in this log: the log is an old copy")?;
    ensure!(reached < batch, "L1 has batch {reached}: only later ones can be abandoned");
    for root in store.roots(batch) {
        ensure!(!l1.is_finalised(to_bytes(&root)).await?, "L1 has a batch from {batch} on");
    }
    Ok(())
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let key = args.operator.open()?;
    let store = Abandoning::open(&args.data, &args.master_key).context("--data")?;
    let batches = store.from(args.batch);
    ensure!(
        batches.first().is_some_and(|(batch, _)| *batch == args.batch),
        "--batch {}: it is settled, or there is none",
        args.batch
    );
    let communities: BTreeSet<String> = batches.iter().map(|(_, community)| community.to_string()).collect();
    let communities = communities.into_iter().collect::<Vec<_>>().join(", ");
    let details = || {
        Details::new("Undoes batches that L1 does not have; their periods are open again")
            .row("batches", batches.len().to_string(), batches.len())
            .row("first", args.batch.to_string(), args.batch)
            .row("communities", communities.clone(), communities.clone())
    };
    let Connection { runtime, client } = args.l1.connect(Some(key))?;
    let l1 = match args.confirmations {
        Some(confirmations) => client.with_confirmations(confirmations),
        None => client,
    };
    runtime.block_on(check(&l1, &store, args.batch))?;
    if !agreed(details(), args.acting, args.l1.json)? {
        return Ok(());
    }
    runtime.block_on(async {
        l1.void_waiting(|blocks| eprintln!("waiting for {blocks} more blocks of L1")).await?;
        // It may have been mined in the meantime.
        check(&l1, &store, args.batch).await
    })?;
    store.abandon(args.batch)?;
    details().row("status", "abandoned; start the sequencer again", "abandoned").print(args.l1.json)
}
