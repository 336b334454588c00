//! The demonstration without chain and proofs: the same packets, rules and statements, in memory. Members have their
//! deposits from the beginning, and nothing else happens that needs L1.

use anyhow::Context as _;
use gridveil_api::beginning::PublicStream;
use gridveil_protocol::{
    field::Fr,
    header_operation::{HeaderOperation, Management, Place},
    instance,
    operation_slots::Operations,
    params::CIRCUIT_VERSION,
    receipt::Receipt,
    settlement::Transition,
};

use super::{
    backend::{Audit, Backend, Settled},
    scenario::{COMMUNITY, Day, Scenario, events},
    summary::Summary,
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
        let community = scenario.plan.community()?;
        self.ledger = Some(Ledger::new(instance::domain(31337, &[0; 20], CIRCUIT_VERSION), [community]));
        Ok(())
    }

    fn begin(&mut self, _: &Scenario) -> anyhow::Result<u64> {
        Ok(0)
    }

    fn publish(&mut self, _: &Scenario, _: &Day) -> anyhow::Result<()> {
        Ok(())
    }

    fn deliver(&mut self, _: &Scenario, _: &Day, _: usize) -> anyhow::Result<()> {
        Ok(())
    }

    fn settle(&mut self, scenario: &Scenario, day: &Day) -> anyhow::Result<Settled> {
        let ledger = self.ledger.as_mut().context("not started")?;
        let context = ledger.context(COMMUNITY)?;
        let accounts = &ledger.community(COMMUNITY)?.accounts;
        let previous_substitute =
            |slot: usize| accounts.get(slot).map_or(Fr::from(0u64), |account| account.pending_substitute);
        let packets = sign_all(
            &scenario.plan,
            context,
            day.homes.clone(),
            |home| Scenario::limits(home, day.number),
            previous_substitute,
        )?;
        let mut salts = PublicStream::new("header salts", day.first_interval.into());
        let mut operations = Operations::default();
        if day.number == events::SWITCH_DAY {
            let header = &ledger.community(COMMUNITY)?.header;
            let management =
                Management { mechanism: Scenario::mechanism(day.number + 1), mdm: header.mdm, reserve: 0, skip: 0 };
            let signed = management.sign(context.domain, &Place::at(COMMUNITY, header), &genesis::mdm_key())?;
            operations.header = HeaderOperation { transfer: None, management: Some(signed) };
        }
        let transition =
            ledger.settle(COMMUNITY, packets, day.tariff.clone(), [salts.element(), salts.element()], operations)?;
        let pool_nano = scenario.plan.funds();
        let settled = Settled {
            root: ledger.root(),
            header: transition.after.header.clone(),
            proving_ms: None,
            gas: None,
            pool_nano,
        };
        self.last = Some(transition);
        Ok(settled)
    }

    fn receipt(&mut self, _: &Scenario, _: &Day, slot: usize) -> anyhow::Result<Receipt> {
        self.last.as_ref().and_then(|t| Receipt::of(t, slot)).with_context(|| format!("no receipt for slot {slot}"))
    }

    fn leave(&mut self, _: &Scenario, _: &mut Summary) -> anyhow::Result<()> {
        Ok(())
    }

    fn audit(&mut self) -> anyhow::Result<Option<Audit>> {
        Ok(None)
    }

    fn verifier_bytes(&self) -> Option<u64> {
        None
    }
}
