//! Soundness: what each clause refuses.
//!
//! A mutant is an honest statement with one edit. Everything downstream of the edit follows it, also the public inputs,
//! so that only the clause that guards the edit can refuse. All mutants of all circuits are in one table.

mod accounts;
pub mod certificates;
mod corrections;
pub mod fixtures;
mod headers;
mod market;
mod operation_amounts;
mod operation_leaves;
mod operation_signatures;
mod readings;

use std::collections::BTreeSet;

use gridveil_circuits::{
    certificate::CertificateCircuit,
    settlement::SettlementCircuit,
    trace::{RowHalf, Trace},
    version::SettlementSize,
};

use crate::common::{certificate, clauses, on_all_cores, only, refusals, tiny};

/// An attempted theft.
pub struct Mutant {
    /// The clause that must refuse it, alone.
    pub clause: &'static str,
    /// What is stolen, or how.
    pub theft: &'static str,
    make: Box<dyn Fn() -> Trace + Send + Sync>,
}

impl Mutant {
    /// The thief's table.
    pub fn trace(&self) -> Trace {
        (self.make)()
    }

    /// Is it one of the certificate circuit, or else of the settlement circuit?
    pub fn is_of_certificates(&self) -> bool {
        self.clause.starts_with("CERT.")
    }

    /// Clauses that refuse it.
    fn refusals(&self) -> BTreeSet<String> {
        let trace = self.trace();
        clauses(if self.is_of_certificates() { certificate::refusals(&trace) } else { refusals(tiny(), &trace) })
    }
}

/// The table of mutants.
#[derive(Default)]
pub struct Mutants(Vec<Mutant>);

impl Mutants {
    fn add(&mut self, clause: &'static str, theft: &'static str, make: impl Fn() -> Trace + Send + Sync + 'static) {
        self.0.push(Mutant { clause, theft, make: Box::new(make) });
    }
}

/// Every mutant of every circuit.
pub fn all() -> Vec<Mutant> {
    let mut mutants = Mutants::default();
    for add_to in [
        readings::add_to,
        market::add_to,
        accounts::add_to,
        operation_signatures::add_to,
        operation_amounts::add_to,
        operation_leaves::add_to,
        corrections::add_to,
        headers::add_to,
        certificates::add_to,
    ] {
        add_to(&mut mutants);
    }
    mutants.0
}

#[test]
fn every_mutant_is_refused_by_its_clause_alone() {
    let mutants = all();
    let found = on_all_cores(&mutants, Mutant::refusals);
    let failed: Vec<_> = mutants
        .iter()
        .zip(found)
        .filter(|(mutant, found)| *found != only(mutant.clause))
        .map(|(mutant, found)| format!("{} ({}): {found:?}", mutant.clause, mutant.theft))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// A page that states clauses of a circuit, what its ids begin with, and how many there are.
const PAGES: [(&str, &[&str], usize); 3] = [
    (include_str!("../../../../docs/spec/settlement.md"), &["SETTLE."], 15),
    (include_str!("../../../../docs/spec/operations.md"), &["OP.", "ADJUST.", "HEADER.", "STATE.", "NOTES."], 24),
    (include_str!("../../../../docs/spec/certificates.md"), &["CERT."], 5),
];

/// Ids that a page states: the first word of a heading, or of what stands between two pairs of asterisks.
fn stated(page: &'static str, families: &[&str]) -> BTreeSet<&'static str> {
    let headings = page.lines().filter_map(|line| line.strip_prefix("## "));
    let bold = page.split("**").skip(1).step_by(2);
    let ids = headings.chain(bold).filter_map(|text| text.split(' ').next());
    ids.filter(|id| families.iter().any(|family| id.starts_with(family))).collect()
}

#[test]
fn no_clause_is_without_a_mutant() {
    let mut named = BTreeSet::new();
    for (page, families, count) in PAGES {
        let ids = stated(page, families);
        assert_eq!(ids.len(), count, "{ids:?}");
        named.extend(ids);
    }
    let covered: BTreeSet<&str> = all().iter().map(|mutant| mutant.clause).collect();
    assert_eq!(named, covered);
}

/// The same from the circuits' side: a row that serves a clause serves one that a mutant has.
#[test]
fn no_row_serves_a_clause_without_a_mutant() {
    let covered: BTreeSet<&str> = all().iter().map(|mutant| mutant.clause).collect();
    let settlement = SettlementCircuit::template(SettlementSize::current(tiny()));
    let certificate = CertificateCircuit::template();
    let mut served = BTreeSet::new();
    for trace in [settlement.trace(), certificate.trace()] {
        for row in 0..trace.next_row() {
            served.extend([RowHalf::Main, RowHalf::Range].map(|half| trace.clause(row, half)));
        }
    }
    // Of no clause: the public inputs, the zero cell and the first state of the hashes.
    served.remove("");
    assert_eq!(served.difference(&covered).collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn each_clause_of_certificates_says_what_it_stops() {
    let (page, families, _) = PAGES[2];
    assert_eq!(page.matches("*Without it*").count(), stated(page, families).len());
}

/// Ways to cheat, and the clause that refuses each: a mutant's theft begins with these words.
const CHEATS: [(&str, &str); 23] = [
    ("forged owner signature", "OP.1"),
    ("replayed nonce", "OP.1"),
    ("enrolment without the meter data manager", "OP.2"),
    ("withdraw more than the balance", "OP.4"),
    ("withdraw while in debt", "OP.4"),
    ("send that does not debit", "OP.4"),
    ("operator crediting itself", "OP.4"),
    ("claim of another's deposit", "OP.5"),
    ("receive without opening", "OP.5"),
    ("forced entry that pays less", "OP.6"),
    ("forced entry that pays more", "OP.6"),
    ("forced entry that pays somebody else", "OP.7"),
    ("enrolment in a used slot", "OP.8"),
    ("operator changing a member's salts", "OP.9"),
    ("operator changing a member's keys", "OP.9"),
    ("correct twice", "ADJUST.1"),
    ("supplier account below reserve", "HEADER.1"),
    ("meter data manager change without the meter data manager", "HEADER.3"),
    ("skip unsigned", "HEADER.5"),
    ("a community begins with a balance", "STATE.INIT"),
    ("certificates for substituted readings", "SETTLE.10"),
    ("operator puts its own salts under a signed packet", "SETTLE.1"),
    ("operator credits an account", "SETTLE.8"),
];

#[test]
fn every_cheat_has_a_mutant() {
    let mutants = all();
    for (cheat, clause) in CHEATS {
        let found = mutants.iter().any(|mutant| mutant.clause == clause && mutant.theft.starts_with(cheat));
        assert!(found, "{clause}: {cheat}");
    }
}
