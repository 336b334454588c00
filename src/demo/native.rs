//! The demonstration without chain and proofs: the same packets, rules and statements, in memory.

use anyhow::Context as _;
use gridveil_protocol::{instance, params::CIRCUIT_VERSION, receipt::Receipt, settlement::Transition};

use super::{
    backend::{Audit, Backend, Settled},
    scenario::{Day, Scenario},
};
use crate::{genesis, ledger::Ledger, packets::sign_all};

/// Everything in memory.
#[derive(Default)]
pub struct Native {
    ledger: Option<Ledger>,
    last: Option<Transition>,
}

impl Backend for Native {
    fn start(&mut self, scenario: &Scenario) -> anyhow::Result<()> {
        let communities = scenario.communities.iter().map(genesis::Plan::community).collect::<Result<Vec<_>, _>>()?;
        self.ledger = Some(Ledger::new(instance::domain(31337, &[0; 20], CIRCUIT_VERSION), communities));
        Ok(())
    }

    fn publish(&mut self, _: &Scenario, _: &Day) -> anyhow::Result<()> {
        Ok(())
    }

    fn deliver(&mut self, _: &Scenario, _: &Day, _: usize) -> anyhow::Result<()> {
        Ok(())
    }

    fn settle(&mut self, scenario: &Scenario, day: &Day) -> anyhow::Result<Settled> {
        let ledger = self.ledger.as_mut().context("not started")?;
        let packets = sign_all(scenario.plan(day)?, ledger.context(day.community)?, day.homes.clone())?;
        let mut salts = genesis::Stream::new("header salts", day.first_interval.into());
        let transition = ledger.settle(day.community, packets, day.tariff.clone(), [salts.element(), salts.element()])?;
        let settled = Settled { root: ledger.root(), header: transition.after.header.clone(), proving_ms: None, gas: None };
        self.last = Some(transition);
        Ok(settled)
    }

    fn receipt(&mut self, _: &Scenario, _: &Day, slot: usize) -> anyhow::Result<Receipt> {
        self.last.as_ref().and_then(|t| Receipt::of(t, slot)).with_context(|| format!("no receipt for slot {slot}"))
    }

    fn audit(&mut self) -> anyhow::Result<Option<Audit>> {
        Ok(None)
    }

    fn verifier_bytes(&self) -> Option<u64> {
        None
    }
}
