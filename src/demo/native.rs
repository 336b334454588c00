//! The demonstration without chain and proofs: the same packets, rules and statements, in memory.

use anyhow::Context as _;
use gridveil_protocol::{instance, packet::SignedPacket, params::CIRCUIT_VERSION, receipt::Receipt, settlement::Transition};

use super::{
    backend::{Audit, Backend, Settled},
    scenario::{Day, Scenario},
};
use crate::{genesis, ledger::Ledger, packets::sign_all};

/// Everything in memory.
#[derive(Default)]
pub struct Native {
    ledger: Option<Ledger>,
    packets: Vec<SignedPacket>,
    last: Option<Transition>,
}

impl Backend for Native {
    fn start(&mut self, scenario: &Scenario) -> anyhow::Result<()> {
        let communities = scenario.communities.iter().map(genesis::Plan::community).collect::<Result<Vec<_>, _>>()?;
        self.ledger = Some(Ledger::new(instance::domain(31337, &[0; 20], CIRCUIT_VERSION), communities));
        Ok(())
    }

    fn publish(&mut self, scenario: &Scenario, day: &Day) -> anyhow::Result<()> {
        let context = self.ledger.as_ref().context("not started")?.context(day.community)?;
        self.packets = sign_all(scenario.plan(day)?, context, day.homes.clone())?;
        Ok(())
    }

    fn deliver(&mut self, _: &Scenario, _: &Day, slot: usize) -> anyhow::Result<()> {
        anyhow::ensure!(self.packets.get(slot).is_some(), "no packet for slot {slot}");
        Ok(())
    }

    fn settle(&mut self, _: &Scenario, day: &Day) -> anyhow::Result<Settled> {
        let ledger = self.ledger.as_mut().context("not started")?;
        let mut salts = genesis::Stream::new("header salts", day.first_interval.into());
        let packets = std::mem::take(&mut self.packets);
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
