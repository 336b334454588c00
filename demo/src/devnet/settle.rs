//! `gridveil devnet settle`: a period passes.

use std::{path::Path, time::Duration};

use anyhow::bail;
use gridveil_api::{
    admin::{BatchStatus, MissingPacket, Step},
    code,
    public::CommunityInfo,
};
use gridveil_cli::{
    common::{keys::secret_text, text},
    mdm::{Silent, substituted},
};
use gridveil_meter_client::{
    calendar::Periods,
    key_store::Keys,
    submit::{Admin, ApiError, Retry, Sequencer},
};
use gridveil_protocol::{packet::Reading, units::Interval};
use gridveil_verifier_contract::ChainL1;
use serde_json::json;

use super::{Devnet, SettleArgs, local};

/// Asking a settlement how far it is.
const POLL: Duration = Duration::from_millis(100);

/// A period that is final.
struct Final {
    community: u32,
    first_interval: Interval,
    /// When it begins, by the clock of the zone.
    begins: String,
    substituted: usize,
    batch: u64,
    prove_ms: u64,
    gas: u64,
}

pub(super) fn settle(args: &SettleArgs) -> anyhow::Result<()> {
    let devnet = Devnet::read(&args.dir)?;
    let communities = args.community.map_or_else(|| devnet.communities.clone(), |one| vec![one]);
    let settled = communities
        .into_iter()
        .map(|community| settle_one(&devnet, args, community))
        .collect::<anyhow::Result<Vec<_>>>()?;
    if args.json {
        let one = |f: &Final| json!({"community": f.community, "first_interval": f.first_interval, "substituted": f.substituted, "batch": f.batch, "prove_ms": f.prove_ms, "gas_used": f.gas});
        return Ok(text::print(&format!("{}\n", json!(settled.iter().map(one).collect::<Vec<_>>())))?);
    }
    let mut table = text::table(&["community", "period from", "substituted", "batch", "proof", "gas"]);
    for f in &settled {
        let proof = format!("{} ms", f.prove_ms);
        table.add_row([
            f.community.to_string(),
            f.begins.clone(),
            f.substituted.to_string(),
            f.batch.to_string(),
            proof,
            text::grouped(f.gas.into()),
        ]);
    }
    Ok(text::print(&format!("{table}\n"))?)
}

fn settle_one(devnet: &Devnet, args: &SettleArgs, community: u32) -> anyhow::Result<Final> {
    let dir = args.dir.as_path();
    let admin = devnet.admin(dir)?;
    let sequencer = Sequencer::new(&devnet.url, Retry::default())?;
    let terms = sequencer.community(community)?;
    let first_interval = terms.next_interval;
    let begins = Periods::of(&terms, args.local.zone.clone()).begins(first_interval);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let l1 = local(devnet, dir).await?;
        let ends = (first_interval + u32::from(terms.intervals)).start(terms.interval_length);
        if l1.timestamp().await? < ends {
            l1.set_local_time(ends).await?;
        }
        anyhow::Ok(())
    })?;
    let substituted = match admin.close(community, first_interval) {
        Ok(_) => 0,
        Err(ApiError::Refused(problem)) if problem.is(code::CLOSE_MISSING) => {
            let count = substitute(&admin, &sequencer, dir, community, &terms)?;
            admin.close(community, first_interval)?;
            count
        }
        Err(error) => return Err(error.into()),
    };
    until_final(&admin, Final { community, first_interval, begins, substituted, batch: 0, prove_ms: 0, gas: 0 })
}

/// A packet without energy for every meter that is silent, signed by the meter data manager; gives how many.
fn substitute(
    admin: &Admin,
    sequencer: &Sequencer,
    dir: &Path,
    community: u32,
    terms: &CommunityInfo,
) -> anyhow::Result<usize> {
    let silent = admin.missing(community)?.missing;
    let mdm = Keys::open(&dir.join("mdm.keys"), &secret_text(&dir.join("mdm.passphrase"))?)?.owner;
    let domain = sequencer.domain_of(&sequencer.domains()?, community, terms.next_interval)?;
    for MissingPacket { slot, previous_substitute, scale } in &silent {
        let readings = vec![Reading::default(); usize::from(terms.intervals)];
        let at = Silent {
            domain,
            community,
            slot: *slot,
            first_interval: terms.next_interval,
            scale: *scale,
            previous_substitute: *previous_substitute,
        };
        sequencer.submit(&substituted(at, terms, readings, &mdm)?)?;
    }
    Ok(silent.len())
}

/// Waits until L1 has settled the period, and fills in what that came to.
fn until_final(admin: &Admin, mut period: Final) -> anyhow::Result<Final> {
    loop {
        let status = admin.status()?;
        if let Some(why) = &status.stopped {
            bail!("the sequencer stopped: {why}");
        }
        let batch = status.community(period.community).and_then(|status| status.batch_of(period.first_interval));
        if let Some(BatchStatus { batch, prove_ms, step: Step::Settled { gas_used, .. }, .. }) = batch {
            (period.batch, period.prove_ms, period.gas) = (*batch, prove_ms.unwrap_or(0), gas_used.unwrap_or(0));
            return Ok(period);
        }
        std::thread::sleep(POLL);
    }
}
