//! The operator goes silent: a member's forced withdrawal is not served, anybody freezes the rollup, and everybody
//! leaves with what is theirs.

use anyhow::{Context as _, ensure};
use gridveil_cli::{
    common::text,
    member::leave::{exit_call, published},
};
use gridveil_meter_client::wallet::Exit;
use gridveil_protocol::{
    field::{Fr, from_bytes, to_bytes},
    owner::owner_of,
    params::UNIT_NANO,
    receipt::Receipt,
};
use gridveil_verifier_contract::{AuditorL1, ChainL1, ExitCall, MemberL1, QueuesL1, RollupEffect};

use super::{
    OnChain,
    events::{Shown, salts},
    token_nano,
};
use crate::{
    demo::{
        scenario::{COMMUNITY, NEIGHBOUR_HOME, Scenario, events},
        summary::Summary,
    },
    genesis,
};

/// Smallest parts of the token in one unit of the rollup.
const TOKEN_PER_UNIT: u128 = 10_000;

/// What L1 pays for a balance: whole smallest parts of the token.
const fn paid(balance: u64) -> u128 {
    balance as u128 * TOKEN_PER_UNIT / UNIT_NANO as u128
}

impl OnChain {
    /// Plays the end.
    pub(super) fn end(&mut self, scenario: &Scenario, summary: &mut Summary) -> anyhow::Result<()> {
        let last = scenario.days.last().context("no days")?.date;
        self.unclaimed(scenario, last)?;
        self.open(scenario)?;
        // What the neighbour and every home hold, as they know it themselves.
        let neighbour = self.neighbour.clone().context("the neighbour has no receipt")?;
        let running = self.running.as_mut().context("not started")?;
        let handle = running.handle.take().context("stopped already")?;
        self.runtime.block_on(handle.shutdown());
        self.tell(last, "the operator is silent from now on", None);

        let home = events::FORCES_AT_THE_END;
        let gas = self.force(scenario, home)?;
        self.tell(last, format!("home {home} asks L1 for its money, and nobody serves"), Some(gas));
        let gas = self.freeze()?;
        self.tell("7 days later", "anybody freezes the rollup", Some(gas));

        let (mut exits, mut gas) = (0, 0);
        for (home, call) in self.exits(scenario, &neighbour)? {
            let running = self.running()?;
            let payout = call.payout;
            let owed = paid(call.balance);
            let used = self.runtime.block_on(running.l1.exit(call))?.gas_used;
            if owed > 0 {
                let ready = self.runtime.block_on(running.l1.withdrawable(payout))?;
                ensure!(ready == owed, "home {home} is owed {ready} of {owed}");
                self.runtime.block_on(running.l1.withdraw(payout))?;
            }
            *self.paid.entry(home).or_default() += owed;
            (exits, gas) = (exits + 1, gas.max(used));
        }
        self.tell("7 days later", format!("{exits} members leave with what is theirs"), Some(gas));
        self.refund(scenario)?;
        summary.exits = exits;
        self.account_for(scenario, summary)
    }

    /// A deposit that nobody takes in.
    fn unclaimed(&mut self, scenario: &Scenario, date: jiff::civil::Date) -> anyhow::Result<()> {
        let running = self.running()?;
        let home = events::DEPOSITS_AT_THE_END;
        let claim = gridveil_protocol::operation::claim(
            owner_of(&genesis::owner_key(home)).commitment(),
            scenario.plan.balance,
            &genesis::payout(home),
            salts()?,
        );
        let gas =
            self.runtime.block_on(running.l1.deposit(to_bytes(&claim), scenario.plan.balance / UNIT_NANO))?.gas_used;
        self.late_deposit = Some(claim);
        self.tell(
            date,
            format!("a deposit of {} for home {home} is never taken in", text::money(scenario.plan.balance.into())),
            Some(gas),
        );
        Ok(())
    }

    fn freeze(&mut self) -> anyhow::Result<u64> {
        let running = self.running()?;
        self.runtime.block_on(async {
            let now = running.l1.timestamp().await?;
            running.l1.set_local_time(now + 7 * 24 * 3600 + 1).await?;
            let gas = running.l1.freeze(COMMUNITY).await?.gas_used;
            ensure!(running.l1.is_frozen().await?, "not frozen");
            Ok(gas)
        })
    }

    /// Exits of all homes and the neighbour: their own last openings, and paths from what L1 has published.
    fn exits(&self, scenario: &Scenario, neighbour: &Receipt) -> anyhow::Result<Vec<(u16, ExitCall)>> {
        let running = self.running()?;
        let (batches, root) = self
            .runtime
            .block_on(async { anyhow::Ok((running.l1.settled_batches(0).await?, running.l1.state_root().await?)) })?;
        let batches = batches.iter().map(published).collect::<anyhow::Result<Vec<_>>>()?;
        let root = from_bytes::<Fr>(&root)?;
        let last = scenario.days.len() - 1;
        let homes = scenario.plan.homes.iter().map(|home| {
            let receipt = self.receipts.get(&(*home, last)).with_context(|| format!("home {home} has no receipt"))?;
            anyhow::Ok((*home, receipt))
        });
        let members = scenario.plan.shape.members;
        homes
            .chain([Ok((NEIGHBOUR_HOME, neighbour))])
            .map(|home| {
                let (home, receipt) = home?;
                Ok((home, exit_call(&Exit::from_l1(receipt, members, &[], &batches, root)?)))
            })
            .collect()
    }

    fn refund(&mut self, scenario: &Scenario) -> anyhow::Result<()> {
        let claim = self.late_deposit.context("there was no late deposit")?;
        let running = self.running()?;
        let depositor = running.l1.account().context("no account")?;
        let (before, gas, after) = self.runtime.block_on(async {
            let before = running.l1.token_balance(depositor).await?;
            let gas = running.l1.refund(to_bytes(&claim)).await?.gas_used;
            anyhow::Ok((before, gas, running.l1.token_balance(depositor).await?))
        })?;
        ensure!(after - before == paid(scenario.plan.balance), "the refund is not the deposit");
        self.tell("7 days later", "the deposit that was never taken in goes back", Some(gas));
        Ok(())
    }

    /// Every retirement that a holder can show is on L1, as it says.
    fn check_retirements(&self) -> anyhow::Result<()> {
        let running = self.running()?;
        let events = self.runtime.block_on(running.l1.events(0))?;
        for Shown { statement, sealed } in &self.shown {
            let commitment = to_bytes(&statement.commitment());
            let told = events.iter().find_map(|event| match event.effect {
                RollupEffect::CertificateSpent { retirement, disclosed, .. } if retirement == commitment => {
                    Some(disclosed)
                }
                _ => None,
            });
            let disclosed = told.context("a retirement is not on L1")?;
            ensure!(
                disclosed == if *sealed { [0; 32] } else { to_bytes(&statement.info()) },
                "L1 discloses something else than was retired"
            );
        }
        Ok(())
    }

    /// Everybody has exactly what was theirs, and what the vault still holds is the operator's.
    fn account_for(&mut self, scenario: &Scenario, summary: &mut Summary) -> anyhow::Result<()> {
        let running = self.running()?;
        let mut out = 0;
        for (home, owed) in &self.paid {
            let got = self.runtime.block_on(running.l1.token_balance(genesis::payout(*home)))?;
            ensure!(got == *owed, "home {home} has {got} of {owed}");
            out += got;
        }
        let vault = self.runtime.block_on(running.l1.token_balance(running.l1.contract()))?;
        let homes = u128::try_from(scenario.plan.homes.len())?;
        let into = homes * paid(scenario.plan.balance) + paid(scenario.plan.supplier_account);
        let community = summary.communities.first().context("no community")?;
        let operator = community.supplier_nano[1] + community.fees_nano;
        // What exits round down stays: less than a smallest part of the token each.
        let dust = token_nano(vault) - operator;
        summary.money_conserved = into == out + vault && (0..1000 * i128::from(summary.exits + 1)).contains(&dust.0);
        ensure!(summary.money_conserved, "money is not conserved: {into} went in, {out} out, {vault} is left");
        self.check_retirements()?;
        (summary.forced_exits, summary.corrected, summary.frozen) = (self.forced, self.corrected, true);
        summary.retired_public = self.shown.iter().filter(|s| !s.sealed).count() as u64;
        summary.retired_sealed = self.shown.iter().filter(|s| s.sealed).count() as u64;
        summary.certificates_transferred = u64::from(self.handed.is_some());
        summary.events.clone_from(&self.events);
        Ok(())
    }
}
