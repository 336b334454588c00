//! What must hold at the end. A check says of how many it found what, never of whom.

use std::collections::BTreeMap;

use gridveil_protocol::account::Account;
use serde::Serialize;

use super::{
    days::{HomeLived, Lived},
    expected::{self, Booked, Miscount},
    operator::Operator,
    script::{Folder, Sending, Today},
    town::{Place, Town},
};

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// What is checked.
    pub name: &'static str,
    /// Does it hold?
    pub holds: bool,
    /// Of how many it holds, and of how many it must.
    pub right: usize,
    pub all: usize,
    /// What they are.
    pub what: &'static str,
    /// What more there is to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Check {
    /// `right` of `all` must be all.
    const fn count(name: &'static str, right: usize, all: usize, what: &'static str) -> Self {
        Self { name, holds: right == all, right, all, what, note: None }
    }
}

/// All of them.
///
/// # Errors
/// Sequencer or L1 do not answer.
pub(super) fn all(
    town: &Town,
    operator: &Operator,
    lived: &Lived,
    miscount: Option<Miscount>,
) -> anyhow::Result<Vec<Check>> {
    let booked = booked(town, &lived.homes);
    let expected: Vec<_> =
        booked.iter().enumerate().map(|(index, booked)| expected::community(town, index, booked, miscount)).collect();
    let mut checks = of_homes(town, &lived.homes, &expected).to_vec();
    checks.extend(of_days(town, lived));
    checks.extend(of_money(town, operator, lived, &expected)?);
    checks.push(of_audit(town, operator)?);
    Ok(checks)
}

/// By community and day of settlement.
fn booked(town: &Town, homes: &[HomeLived]) -> Vec<Booked> {
    let mut booked: Vec<Booked> = vec![vec![Vec::new(); town.days]; town.plans.len()];
    for home in homes {
        for (day, of_day) in home.kept.corrected.iter().enumerate() {
            let place = booked.get_mut(home.place.community).and_then(|days| days.get_mut(day));
            if let (Some(list), Some(of_day)) = (place, of_day) {
                list.push((home.place.slot, *of_day));
            }
        }
    }
    booked
}

/// An account as it was opened by its last receipt, in the words of this crate's own sums.
fn found(account: &Account) -> expected::Account {
    let registers = &account.registers;
    let wh = |of| i128::from(of);
    expected::Account {
        value: account.value().0,
        import: wh(registers.import),
        export: wh(registers.export),
        bought: wh(registers.bought),
        sold: wh(registers.sold),
    }
}

fn of_homes(town: &Town, homes: &[HomeLived], expected: &[expected::Community]) -> [Check; 4] {
    let all = homes.len();
    let with = |holds: &dyn Fn(&HomeLived) -> bool| homes.iter().filter(|home| holds(home)).count();
    let same = |home: &HomeLived, same: fn(&expected::Account, &expected::Account) -> bool| {
        let Place { community, slot } = home.place;
        let expected = expected.get(community).and_then(|community| community.accounts.get(slot));
        home.kept.account.as_ref().map(found).zip(expected).is_some_and(|(found, expected)| same(&found, expected))
    };
    let mut worked = Check::count("every home did its day's work", with(&|home| home.trouble.is_none()), all, "homes");
    worked.note = troubles(homes);
    let held = homes.iter().flat_map(|home| &home.kept.substituted).filter(|day| day.is_some()).count();
    [
        worked,
        Check::count("statements hold against L1", held, all * town.days, "statements"),
        Check::count(
            "balances follow from the true readings",
            with(&|home| same(home, |found, expected| found.value == expected.value)),
            all,
            "homes",
        ),
        Check::count(
            "no reading lost or counted twice",
            with(&|home| same(home, |found, expected| *found == expected::Account { value: found.value, ..*expected })),
            all,
            "homes",
        ),
    ]
}

/// Troubles by what they say, the commonest first.
fn troubles(homes: &[HomeLived]) -> Option<String> {
    /// More are not shown.
    const SHOWN: usize = 5;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for trouble in homes.iter().filter_map(|home| home.trouble.as_deref()) {
        *counts.entry(trouble).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let shown: Vec<_> = counts.iter().take(SHOWN).map(|(what, count)| format!("{count} x {what}")).collect();
    (!shown.is_empty()).then(|| shown.join("; "))
}

/// How often the packets of a home that the sequencer took are in its statements: by day.
fn counted(home: &HomeLived) -> BTreeMap<usize, usize> {
    let mut counted: BTreeMap<usize, usize> = BTreeMap::new();
    let in_time = home.kept.substituted.iter().enumerate().filter(|(_, day)| **day == Some(false)).map(|(day, _)| day);
    for day in in_time.chain(home.kept.corrected.iter().flatten().copied()) {
        *counted.entry(day).or_default() += 1;
    }
    counted
}

fn of_days(town: &Town, lived: &Lived) -> [Check; 5] {
    let days = || lived.homes.iter().flat_map(|home| (0..town.days).map(move |day| (home, day)));
    let planned = |of: fn(&Today) -> bool| days().filter(|(home, day)| of(&town.today(home.place, *day))).count();
    let taken: usize = lived.homes.iter().map(|home| home.told.len()).sum();
    let once = |home: &HomeLived| {
        let counted = counted(home);
        // Neither lost, nor twice, nor one that nobody took.
        let told = home.told.iter().filter(|(day, _)| counted.get(day) == Some(&1)).count();
        if counted.len() == home.told.len() { told } else { 0 }
    };
    let as_planned = days().filter(|(home, day)| {
        let sending = town.today(home.place, *day).sending;
        let substituted = home.kept.substituted.get(*day).copied().flatten();
        let told = home.told.iter().find(|(of, _)| of == day).map(|(_, late)| *late);
        let corrected = counted(home).contains_key(day);
        match sending {
            Sending::InTime => (substituted, told) == (Some(false), Some(false)),
            Sending::Late => (substituted, told, corrected) == (Some(true), Some(true), true),
            Sending::Never => (substituted, told, corrected) == (Some(true), None, false),
        }
    });
    let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let tally = &lived.tally;
    [
        Check::count("what was acknowledged counts once", lived.homes.iter().map(once).sum(), taken, "packets"),
        Check::count("late days: a substitute, then corrected", as_planned.count(), days().count(), "days"),
        Check::count("the same bytes again change nothing", number(tally.repeated), planned(|t| t.twice), "times"),
        Check::count("a second packet is refused", number(tally.refused), planned(|t| t.second), "packets"),
        Check::count(
            "lost and old folders come back",
            number(tally.recovered + tally.healed),
            planned(|t| matches!(t.folder, Folder::Lost | Folder::Restored)),
            "folders",
        ),
    ]
}

fn of_money(
    town: &Town,
    operator: &Operator,
    lived: &Lived,
    expected: &[expected::Community],
) -> anyhow::Result<[Check; 2]> {
    let (mut conserved, mut as_computed) = (0, 0);
    for (index, (plan, expected)) in town.plans.iter().zip(expected).enumerate() {
        let header = operator.opening(town, plan.index, town.days - 1)?.after;
        let accounts = lived.homes.iter().filter(|home| home.place.community == index);
        let balances: i128 = accounts.filter_map(|home| Some(i128::from(home.kept.account.as_ref()?.balance))).sum();
        let pools = [i128::from(header.supplier_account), i128::from(header.fee_account)];
        conserved += usize::from(
            balances + pools.iter().sum::<i128>() == expected::beginning(town, index).funds()
                && expected.funds() == expected::beginning(town, index).funds(),
        );
        as_computed += usize::from(pools == [expected.supplier, expected.fees]);
    }
    let all = town.plans.len();
    Ok([
        Check::count("money is conserved", conserved, all, "communities"),
        Check::count("supplier's and fee accounts follow", as_computed, all, "communities"),
    ])
}

fn of_audit(town: &Town, operator: &Operator) -> anyhow::Result<Check> {
    let (report, root) = operator.audit(town)?;
    let (all, right) = (town.plans.len() * town.days, usize::try_from(report.proofs_verified)?);
    let mut check = Check::count("the auditor's replay of L1 is ok", right, all, "batches");
    let findings = report.failures.len() + report.unverified.len();
    if findings > 0 || report.state_root != root || report.batches != report.proofs_verified {
        check.holds = false;
        let first = report.failures.first().map(|failure| format!(", the first: {}", failure.what)).unwrap_or_default();
        let end = if report.state_root == root { "the same root" } else { "another root" };
        check.note = Some(format!("the auditor has {findings} findings and ends at {end}{first}"));
    }
    Ok(check)
}
