//! No constraint that a line of a statement asks for is there for nothing: without it, a table is accepted that must not
//! be.
//!
//! `deletion.rs` asks the same about the equations of the chips. Here it is about their use: which cells are tied, which
//! rows compute, what is compared. A thief's table that breaks one line's constraint and no other stands for the program
//! without that line: the line's deletion would let it pass.
//!
//! Thieves are the mutants, and tables with one other free cell. Of an operand or a row of arithmetic the thief is made: the
//! table follows another value there. Where a later line notices, another free cell is changed so that it does not.

use std::collections::{BTreeMap, BTreeSet};

use gridveil_circuits::{
    Fr,
    settlement::{build, table},
    trace::{
        Name, Trace,
        sites::{Broken, Constraint, Site},
    },
};
use gridveil_protocol::{
    fixture::beginning,
    market::Mechanism,
    operation::Kind,
    settlement::{Transition, apply},
};
use halo2curves::ff::Field;

use crate::{
    common::{
        direct::{BrokenLine, Gates},
        in_full_use, input, on_all_cores, settlement_gates, tiny, value_of,
    },
    mutants::{
        self,
        fixtures::{operated, with_empty_slot},
    },
};

/// Honest statements that thieves begin with.
fn bases() -> Vec<Transition> {
    let full = [
        [Kind::Receive, Kind::Rotate, Kind::Terms],
        [Kind::Close, Kind::Enrol, Kind::Deposit],
        [Kind::Withdraw, Kind::Send, Kind::Replace],
    ];
    let plain = [(1, Mechanism::Auction), (2, Mechanism::CommunityPrice), (3, Mechanism::Auction)];
    let mut inputs: Vec<_> = full.iter().map(|kinds| in_full_use(kinds)).collect();
    inputs.extend(plain.map(|(seed, mechanism)| input(tiny(), seed, mechanism)));
    inputs.extend([with_empty_slot(), operated(&[Kind::Forced]), beginning(tiny(), 1).unwrap()]);
    inputs.into_iter().map(|input| apply(input).unwrap()).collect()
}

/// A table that a thief makes of an honest statement.
#[derive(Clone, Debug, Default)]
struct Theft {
    edits: Vec<(Name, Fr)>,
    broken: Option<Broken>,
}

impl Theft {
    fn trace(&self, t: &Transition) -> Trace {
        let mut trace = table(&tiny());
        for (name, value) in &self.edits {
            trace.tamper(*name, *value);
        }
        if let Some(broken) = self.broken {
            trace.break_constraint(broken);
        }
        build(t, trace)
    }
}

/// The one constraint that refuses a table.
fn alone(lines: &[BrokenLine]) -> Option<Site> {
    let (first, rest) = lines.split_first()?;
    rest.iter().all(|line| line.site == first.site).then_some(first.site)
}

/// One other free cell, at most `count` of a name.
fn other_free_cells(t: &Transition, count: usize) -> Vec<Theft> {
    let mut trace = table(&tiny());
    trace.record_names();
    let names = build(t, trace).names().to_vec();
    let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut thefts = Vec::new();
    for name in names {
        let of_name = seen.entry((name.0, name.1)).or_default();
        *of_name += 1;
        if *of_name <= count {
            let value = value_of(t, name);
            let edits = [value + Fr::ONE, value - Fr::ONE, Fr::ONE - value, Fr::ZERO, Fr::from(1 << 40), -value];
            let others = edits.into_iter().filter(|edit| *edit != value);
            thefts.extend(others.map(|edit| Theft { edits: vec![(name, edit)], broken: None }));
        }
    }
    thefts
}

/// Thefts that are kept of those which one tie notices.
const THEFTS: usize = 4;
/// Times that a line's constraint is broken: in so many slots, intervals or operation slots.
const TIMES: usize = 4;

/// What the tables of a statement show.
struct Search<'a> {
    gates: &'a Gates,
    t: &'a Transition,
    honest: Trace,
    /// How often each line runs that asks for it.
    times: BTreeMap<Site, usize>,
    /// Thefts that one tie alone refuses, with how much it is off, by its place.
    noticed_once: BTreeMap<usize, Vec<(Theft, Fr)>>,
}

impl<'a> Search<'a> {
    /// Begins with other free cells. Returns the constraints that refuse one of those tables alone, too.
    fn begin(gates: &'a Gates, t: &'a Transition) -> (Self, BTreeSet<Site>) {
        let honest = build(t, table(&tiny()));
        let thefts = other_free_cells(t, 4);
        let found = on_all_cores(&thefts, |theft| gates.broken_lines(&honest, &theft.trace(t)).unwrap_or_default());
        let mut noticed_once: BTreeMap<usize, Vec<(Theft, Fr)>> = BTreeMap::new();
        for (theft, lines) in thefts.into_iter().zip(&found) {
            if let [BrokenLine { site, place, by }] = lines[..]
                && site.constraint == Constraint::Check
            {
                let of_place = noticed_once.entry(place).or_default();
                if of_place.len() < THEFTS {
                    of_place.push((theft, by));
                }
            }
        }
        let mut times = BTreeMap::new();
        for site in honest.sites_of_copies().iter().chain(honest.sites_of_rows().iter().map(|(_, site)| site)) {
            *times.entry(*site).or_default() += 1;
        }
        (Self { gates, t, honest, times, noticed_once }, found.iter().filter_map(|lines| alone(lines)).collect())
    }

    /// Is there a table that this constraint alone refuses?
    fn misses(&self, site: Site) -> bool {
        let steps = [Fr::ONE, -Fr::ONE, Fr::from(1 << 33)];
        let times = self.times.get(&site).copied().unwrap_or(0).min(TIMES);
        (0..times).any(|time| steps.into_iter().any(|by| self.hides(Broken { site, time, by })))
    }

    /// Another value where `broken` says; if one later line notices it, hidden from that line by another theft that this
    /// line alone would have noticed.
    fn hides(&self, broken: Broken) -> bool {
        let with = |theft: Theft| self.gates.broken_lines(&self.honest, &theft.trace(self.t));
        let Some(lines) = with(Theft { broken: Some(broken), ..Theft::default() }) else { return false };
        let mut others = lines.iter().filter(|line| line.site != broken.site);
        let Some(noticed) = others.next() else { return !lines.is_empty() };
        if others.next().is_some() || noticed.site.constraint == Constraint::Row {
            return false;
        }
        let Some(inverse) = Option::<Fr>::from(noticed.by.invert()) else { return false };
        let thefts = self.noticed_once.get(&noticed.place).into_iter().flatten();
        thefts.into_iter().any(|(theft, off)| {
            let broken = Broken { by: -*off * inverse * broken.by, ..broken };
            let lines = with(Theft { broken: Some(broken), ..theft.clone() });
            lines.is_some_and(|lines| alone(&lines) == Some(broken.site))
        })
    }
}

fn sites(trace: &Trace) -> BTreeSet<Site> {
    let rows = trace.sites_of_rows().iter().map(|(_, site)| *site);
    trace.sites_of_copies().iter().copied().chain(rows).collect()
}

/// A constraint as the list names it: file, constraint, and the line's text, which stays where lines move.
fn named(site: &Site) -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let source = std::fs::read_to_string(format!("{root}/{}", site.at.file())).unwrap();
    let line = source.lines().nth(site.at.line() as usize - 1).unwrap().trim();
    let constraint = format!("{:?}", site.constraint).to_lowercase();
    format!("{} | {constraint} {} | {line}", site.at.file().trim_start_matches("circuits/src/"), site.nth)
}

/// Constraints for which the search has not found a thief.
const NOT_SHOWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/lines/not_shown.txt");

/// One sort of constraint and its number, as they are counted aloud.
fn counted(left: &BTreeSet<Site>) -> String {
    let of = |c: Constraint| left.iter().filter(|site| site.constraint == c).count();
    format!("{} checks, {} operands, {} rows", of(Constraint::Check), of(Constraint::Copy), of(Constraint::Row))
}

/// What no thief of the search breaks alone.
fn left_over() -> BTreeSet<Site> {
    let gates = settlement_gates(tiny());
    let bases = bases();
    let honest = build(&bases[0], table(&tiny()));
    let mut left = sites(&honest);
    println!("{} of all lines", counted(&left));
    let thefts: Vec<_> = mutants::all().into_iter().filter(|m| !m.is_of_certificates()).collect();
    let found = on_all_cores(&thefts, |m| gates.broken_lines(&honest, &m.trace()).as_deref().and_then(alone));
    let found: BTreeSet<Site> = found.into_iter().flatten().collect();
    left.retain(|site| !found.contains(site));
    println!("{} after {} mutants", counted(&left), thefts.len());
    for t in &bases {
        let (search, found) = Search::begin(gates, t);
        left.retain(|site| !found.contains(site));
        let asked: Vec<Site> = left.iter().copied().collect();
        let missed = on_all_cores(&asked, |site| search.misses(*site));
        left = asked.into_iter().zip(missed).filter(|(_, missed)| !missed).map(|(site, _)| site).collect();
        println!("{} after a statement", counted(&left));
    }
    left
}

/// The list of what is not shown gets shorter: a constraint that leaves it never comes back, and a new one never joins it.
#[test]
#[ignore = "some minutes: `make nightly` runs it"]
fn a_line_of_the_settlement_that_goes_is_missed() {
    let left: BTreeSet<String> = left_over().iter().map(named).collect();
    let text: String = left.iter().map(|name| format!("{name}\n")).collect();
    if std::env::var_os("GRIDVEIL_BLESS").is_some() {
        std::fs::write(NOT_SHOWN, &text).unwrap();
    }
    let known = std::fs::read_to_string(NOT_SHOWN).unwrap();
    assert_eq!(text, known, "GRIDVEIL_BLESS=1 writes the list anew");
}
