//! Plays a scenario through a backend, checks what must hold, and sums up.

use anyhow::Context as _;
use gridveil_protocol::{
    header::Totals,
    receipt::{Bill, Receipt},
    units::{Nano, Wh},
};

use super::{
    backend::{Backend, Settled},
    progress::Progress,
    scenario::{Day, Scenario},
    summary::{DaySummary, Summary},
};

/// Plays the scenario. Every member's statement is checked against its own readings, the published tariff and the root.
///
/// # Errors
/// The first thing that fails or does not hold, and on which day.
pub fn run(scenario: &Scenario, backend: &mut dyn Backend, progress: &Progress) -> anyhow::Result<Summary> {
    progress.say("starting");
    backend.start(scenario).context("start")?;
    for day in &scenario.days {
        backend.publish(scenario, day).with_context(|| format!("tariff of {}", day.date))?;
    }
    let mut summary = Summary::new(scenario);
    summary.batches = backend.begin(scenario).context("beginning")?;
    progress.done(1);
    for day in &scenario.days {
        play(scenario, day, backend, progress, &mut summary).with_context(|| day.date.to_string())?;
    }
    progress.say("the operator stops");
    backend.leave(scenario, &mut summary).context("leaving")?;
    progress.say("auditing from L1");
    let audit = backend.audit().context("auditor")?;
    if let Some(audit) = audit {
        anyhow::ensure!(
            audit.batches == summary.batches,
            "the auditor saw {} batches of {}",
            audit.batches,
            summary.batches
        );
        anyhow::ensure!(audit.root == summary.state_root, "the auditor's replay ends at another root");
        summary.auditor = Some("ok".into());
        summary.certificates_audited(&audit.totals)?;
    }
    summary.verifier_bytes = backend.verifier_bytes();
    progress.finish();
    Ok(summary)
}

fn play(
    scenario: &Scenario,
    day: &Day,
    backend: &mut dyn Backend,
    progress: &Progress,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    progress.say(&format!("{}: meters", day.date));
    for slot in 0..day.homes.len() {
        backend.deliver(scenario, day, slot).with_context(|| format!("slot {slot}"))?;
        progress.done(1);
    }
    progress.say(&format!("{}: settling", day.date));
    let settled = backend.settle(scenario, day).context("settlement")?;
    progress.done(2);
    progress.say(&format!("{}: statements", day.date));
    let (mut bills, mut receipts) = (Vec::new(), Vec::new());
    for slot in 0..day.homes.len() {
        let receipt = backend.receipt(scenario, day, slot).with_context(|| format!("slot {slot}"))?;
        anyhow::ensure!(
            receipt.substituted == day.own(slot).is_none(),
            "slot {slot}: not substituted as it was delivered"
        );
        bills.push(
            receipt
                .verify(day.own(slot), &day.tariff, settled.root)
                .with_context(|| format!("statement of slot {slot}"))?,
        );
        receipts.push(receipt);
        progress.done(1);
    }
    record(day, &settled, &bills, &receipts, summary)
}

/// Adds a settled day, after checking that header, bills, readings and L1 agree to the last unit.
fn record(
    day: &Day,
    settled: &Settled,
    bills: &[Bill],
    receipts: &[Receipt],
    summary: &mut Summary,
) -> anyhow::Result<()> {
    let community = summary.communities.first_mut().context("no community")?;
    let before: Totals = community.totals;
    let after = settled.header.totals;
    let sum = |of: fn(&Bill) -> Wh| bills.iter().map(of).sum::<Wh>();
    let energy = [sum(|b| b.energy.import), sum(|b| b.energy.export), sum(|b| b.energy.bought), sum(|b| b.energy.sold)];
    let [import, export, bought, sold] = energy;
    anyhow::ensure!(bought == sold, "{bought} Wh bought, {sold} Wh sold");
    // A late packet counts in the period that books it.
    let late: Vec<_> = receipts.iter().filter_map(|r| r.correction.as_ref().map(|a| a.compute(&r.settled))).collect();
    let (late_import, late_export) =
        (late.iter().map(|a| a.import).sum::<i128>(), late.iter().map(|a| a.export).sum::<i128>());
    let moved = |of: fn(&Totals) -> Wh| i128::from(of(&after)) - i128::from(of(&before));
    let header = (moved(|t| t.import), moved(|t| t.export), moved(|t| t.traded));
    let members = (i128::from(import) + late_import, i128::from(export) + late_export, i128::from(bought));
    anyhow::ensure!(header == members, "the header's totals are not the members'");
    anyhow::ensure!(
        after.issued == after.retired + after.outstanding,
        "certificates issued are not retired or outstanding"
    );
    let nano = |of: fn(&Bill) -> Nano| bills.iter().map(of).sum::<Nano>();
    community.add(receipts, &settled.header);
    let (funds, pool) = (community.funds_nano(), settled.pool_nano);
    anyhow::ensure!(funds == pool, "money is not conserved: L1 holds {} nano for {}", pool.0, funds.0);
    summary.days.push(DaySummary {
        date: day.date.to_string(),
        mechanism: Scenario::mechanism(day.number),
        import_wh: import,
        export_wh: export,
        matchable_wh: day.matchable_wh(),
        local_wh: bought,
        bills_nano: -nano(Bill::delta_nano),
        substituted: after.substituted_packets - before.substituted_packets,
        proving_ms: settled.proving_ms,
        gas: settled.gas,
    });
    summary.add(day, settled);
    Ok(())
}
