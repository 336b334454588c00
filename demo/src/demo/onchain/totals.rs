//! Issued = retired + outstanding + exported, shown to the auditor: the operator opens every day's headers, one
//! holder shows its sealed retirement, and one shows that it still holds a note.

use anyhow::{Context as _, ensure};
use gridveil_auditor::{Published, Totals, native::NativeCertificates};
use gridveil_protocol::{
    certificate::{NotePath, ShownHolding, ShownRetirement, SpendPlan},
    note::Note,
    units::Wh,
};
use gridveil_prover::{certificate::CertificateProof, srs::Srs};
use gridveil_verifier_contract::{ChainL1, EthersClient, anvil::LOCAL_CHAIN_ID};

use super::{OnChain, events::salts};
use crate::{
    demo::scenario::{COMMUNITY, Scenario, events},
    genesis,
};

impl OnChain {
    /// What the auditor is given while the operator still answers: every day's opening, and a note that a home still
    /// holds.
    pub(super) fn open(&mut self, scenario: &Scenario) -> anyhow::Result<()> {
        let running = self.running()?;
        let openings = scenario.days.iter().map(|day| running.admin.period_opening(COMMUNITY, day.first_interval));
        self.openings = openings.collect::<Result<_, _>>()?;
        let (home, note, path) = self.still_held(scenario)?;
        let held = self.hold(home, note, path)?;
        self.tell(
            scenario.days.last().context("no days")?.date,
            format!("home {home} proves to the auditor that it still holds certificates"),
            None,
        );
        self.held.push(held);
        Ok(())
    }

    /// A note of the first day that nobody has spent.
    fn still_held(&self, scenario: &Scenario) -> anyhow::Result<(u16, Note, NotePath)> {
        let spent = [events::RETIRES.0, events::RETIRES_SEALED.0, events::TRANSFERS.0];
        let notes = scenario.plan.homes.iter().filter(|home| !spent.contains(home)).filter_map(|home| {
            let receipt = self.receipts.get(&(*home, 0)).filter(|receipt| receipt.note_amount_wh > Wh::ZERO)?;
            Some((*home, receipt.note(), NotePath::of_receipt(receipt)?))
        });
        notes.into_iter().next().context("nobody holds certificates of the first day")
    }

    fn hold(&self, home: u16, note: Note, path: NotePath) -> anyhow::Result<ShownHolding> {
        let contract = self.running()?.l1.contract();
        let plan = SpendPlan::holding(LOCAL_CHAIN_ID, &contract, note, path, salts()?);
        let proven = self.certificates.as_ref().context("no prover")?.prove(&plan.sign(&genesis::owner_key(home))?)?;
        let CertificateProof { instance, proof } = proven;
        Ok(ShownHolding { chain_id: LOCAL_CHAIN_ID, contract, instance, proof })
    }

    /// The auditor's side: every opened day against L1 alone.
    pub(super) fn check_totals(&self, l1: &EthersClient, srs: &Srs) -> anyhow::Result<Vec<Totals>> {
        let verifier = NativeCertificates::new(srs.params(NativeCertificates::K, self.progress.as_ref())?)?;
        let published = self.runtime.block_on(Published::read(l1, 0))?;
        let sealed: Vec<_> = self.shown.iter().filter(|shown| shown.sealed).collect();
        let mut totals = Vec::new();
        for opening in &self.openings {
            let origin = (opening.community, opening.first_interval);
            let statements: Vec<_> = sealed
                .iter()
                .filter(|shown| (shown.statement.origin.community, shown.statement.origin.first_interval) == origin)
                .map(|shown| ShownRetirement::new(LOCAL_CHAIN_ID, l1.contract(), true, shown.statement.clone()))
                .collect();
            // The note shown as held is of the first day.
            let held = if totals.is_empty() { self.held.as_slice() } else { &[] };
            let checked = published.totals(opening, &statements, held, Some(&verifier));
            totals.push(checked.with_context(|| format!("totals of the period from {}", opening.first_interval))?);
        }
        let shown: usize = totals.iter().map(|t| t.sealed).sum();
        ensure!(shown == sealed.len(), "{shown} of {} sealed retirements are in the totals", sealed.len());
        Ok(totals)
    }
}
