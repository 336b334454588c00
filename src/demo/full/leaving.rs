//! The operator goes silent: a member's forced withdrawal is not served, anybody freezes the rollup, and everybody leaves with what is theirs.

use anyhow::{Context as _, ensure};
use gridveil_protocol::{
    account::Account,
    field::{Fr, to_bytes},
    owner::owner_of,
    params::UNIT_NANO,
    receipt::Receipt,
    tree::{Children, SparseTree},
};
use gridveil_verifier_contract::{ExitCall, L1Client};

use super::{Full, acts::salts, token_nano};
use crate::{
    demo::{
        scenario::{COMMUNITY, NEIGHBOUR, NEIGHBOUR_HOME, Scenario, acts},
        summary::Summary,
    },
    genesis, text,
};

/// Smallest parts of the token in one unit of the rollup.
const TOKEN_PER_UNIT: u128 = 10_000;

/// What L1 pays for a balance: whole smallest parts of the token.
const fn paid(balance: u64) -> u128 {
    balance as u128 * TOKEN_PER_UNIT / UNIT_NANO as u128
}

/// Siblings of a path, bottom up, without the node itself.
fn siblings(path: &[Children], index: u64) -> Vec<[u8; 32]> {
    let mut at = index;
    let mut words = Vec::with_capacity(3 * path.len());
    for children in path {
        let own = (at % 4) as usize;
        words.extend(children.iter().enumerate().filter(|(i, _)| *i != own).map(|(_, child)| to_bytes(child)));
        at /= 4;
    }
    words
}

/// An exit: the leaf opened, and its way to the last final root.
fn exit_call(community: u32, slot: u16, account: &Account, members: &[Children], header_leaf: Fr, certificates_root: Fr, state: &[Children]) -> ExitCall {
    let mut all = siblings(members, u64::from(slot));
    all.extend(siblings(state, u64::from(community)));
    ExitCall {
        community,
        slot: u32::from(slot),
        balance: account.balance,
        payout: account.payout,
        s1: to_bytes(&account.salts.exit[0]),
        s2: to_bytes(&account.salts.exit[1]),
        private_commitment: to_bytes(&account.private_commitment()),
        header_leaf: to_bytes(&header_leaf),
        certificates_root: to_bytes(&certificates_root),
        siblings: all,
    }
}

impl Full {
    /// Plays the end.
    pub(super) fn end(&mut self, scenario: &Scenario, summary: &mut Summary) -> anyhow::Result<()> {
        let last = scenario.days.last().context("no days")?.date;
        self.unclaimed(scenario, last)?;
        // What the neighbour and every home hold, as they know it themselves.
        let neighbour = self.neighbour()?;
        let running = self.running.as_mut().context("not started")?;
        let handle = running.handle.take().context("stopped already")?;
        self.runtime.block_on(handle.shutdown());
        self.tell(last, "the operator is silent from now on", None);

        let home = acts::FORCES_AT_THE_END;
        let gas = self.force(scenario, home)?;
        self.tell(last, format!("home {home} asks L1 for its money, and nobody serves"), Some(gas));
        let gas = self.freeze()?;
        self.tell("7 days later", "anybody freezes the rollup", Some(gas));

        let (mut exits, mut gas) = (0, 0);
        for (home, call) in self.exits(scenario, neighbour)? {
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
        let home = acts::DEPOSITS_AT_THE_END;
        let claim = gridveil_protocol::operation::claim(
            owner_of(&genesis::owner_key(home)).commitment(),
            scenario.plan.balance,
            &genesis::payout(home),
            salts()?,
        );
        let gas = self.runtime.block_on(running.l1.deposit(to_bytes(&claim), scenario.plan.balance / UNIT_NANO))?.gas_used;
        self.late_deposit = Some(claim);
        self.tell(date, format!("a deposit of {} for home {home} is never taken in", text::money(scenario.plan.balance.into())), Some(gas));
        Ok(())
    }

    /// The neighbour's account and its community, as its receipt says.
    fn neighbour(&self) -> anyhow::Result<Receipt> {
        self.neighbour.clone().context("the neighbour has no receipt")
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

    /// Exits of all homes and the neighbour, from their own receipts: paths as of the last final root.
    fn exits(&self, scenario: &Scenario, neighbour: Receipt) -> anyhow::Result<Vec<(u16, ExitCall)>> {
        let last = scenario.days.len() - 1;
        let receipt = |home: u16| self.receipts.get(&(home, last)).with_context(|| format!("home {home} has no receipt"));
        let first = receipt(*scenario.plan.homes.first().context("no homes")?)?;
        // Both communities' nodes are on L1.
        let mut state = SparseTree::new(gridveil_protocol::params::STATE_DEPTH);
        state.set(u64::from(COMMUNITY), node_of(first)?);
        state.set(u64::from(NEIGHBOUR), node_of(&neighbour)?);
        ensure!(state.root() == first.root, "the last root is not what the communities' nodes lead to");
        let call = |community: u32, receipt: &Receipt| {
            let (members, path) = (&receipt.members_path, state.path(u64::from(community)));
            exit_call(community, receipt.slot, &receipt.after, members, receipt.header_leaf, receipt.certificates_root, &path)
        };
        let mut calls = Vec::new();
        for home in &scenario.plan.homes {
            calls.push((*home, call(COMMUNITY, receipt(*home)?)));
        }
        calls.push((NEIGHBOUR_HOME, call(NEIGHBOUR, &neighbour)));
        Ok(calls)
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
        let into = homes * paid(scenario.plan.balance) + paid(scenario.plan.float);
        let community = summary.communities.first().context("no community")?;
        let operator = community.float_nano[1] + community.fees_nano;
        // What exits round down stays: less than a smallest part of the token each.
        let dust = token_nano(vault) - operator;
        summary.money_conserved = into == out + vault && (0..1000 * i128::try_from(summary.exits + 1)?).contains(&dust);
        ensure!(summary.money_conserved, "money is not conserved: {into} went in, {out} out, {vault} is left");
        (summary.forced_exits, summary.adjusted, summary.frozen) = (self.forced, self.adjusted, true);
        summary.retired_public = self.shown.iter().filter(|s| !s.sealed).count() as u64;
        summary.retired_sealed = self.shown.iter().filter(|s| s.sealed).count() as u64;
        summary.certificates_transferred = u64::from(self.handed.is_some());
        summary.acts.clone_from(&self.acts);
        Ok(())
    }
}

fn node_of(receipt: &Receipt) -> anyhow::Result<Fr> {
    let members = receipt.members_path.last().map(|children| gridveil_protocol::poseidon::hash4(*children)).context("a receipt without path")?;
    Ok(gridveil_protocol::community::node(receipt.header_leaf, members, receipt.certificates_root))
}

