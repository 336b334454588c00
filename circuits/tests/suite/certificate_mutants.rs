//! Soundness of the certificate circuit: what each clause refuses, and that nothing free goes unnoticed.
//!
//! A mutant is an honest spending with one edit; everything downstream of the edit follows it, also the public inputs,
//! and its owner signs what comes out unless the theft is one of the signature, so that only the clause that guards the
//! edit can refuse.
use std::collections::{BTreeMap, BTreeSet};

use crate::common::{
    certificate::{exported, honest, imported, refusals, refusals_for},
    underconstrained::{Given, Subject, free_cell, movable, report},
};
use gridveil_circuits::{
    Fr,
    certificate::{CertificateCircuit, build, table},
    gadgets::power,
    trace::{Cell, Name, Trace},
};
use gridveil_protocol::{
    certificate::{CERTIFICATE_VERSION, ROWS, Spend, SpendPlan},
    field,
    fixture::certificate::{owner_key, plan, spend},
    instance::domain,
    owner::NullifierKey,
    poseidon::{DomainTag, hash2, hash4},
    schnorr::SecretKey,
};
use halo2_proofs::plonk::Circuit;
use halo2curves::ff::Field;

/// Edits of a table: free cells that take another value, and one computed value that is off.
#[derive(Clone, Default)]
struct Edits {
    cells: Vec<(Name, Fr)>,
    computed: Option<(&'static str, usize, Fr)>,
}

impl Edits {
    fn cells(cells: &[(Name, Fr)]) -> Self {
        Self { cells: cells.to_vec(), computed: None }
    }

    fn computed(clause: &'static str, nth: usize, by: Fr) -> Self {
        Self { cells: Vec::new(), computed: Some((clause, nth, by)) }
    }

    fn build(&self, spend: &Spend) -> Trace {
        let mut trace = table();
        for (name, value) in &self.cells {
            trace.tamper(*name, *value);
        }
        if let Some((clause, nth, by)) = self.computed {
            trace.falsify(clause, nth, by);
        }
        build(spend, trace)
    }

    /// The table in which `secret` has signed what the edits lead to.
    fn signed(&self, mut spend: Spend, secret: &SecretKey) -> Trace {
        let rows: Vec<field::Fr> = self.build(&spend).instance().iter().map(exported).collect();
        let message = [rows[0], rows[2], rows[3], rows[4], rows[5], rows[8]];
        spend.signature = secret.sign(DomainTag::Certificate, &message).unwrap();
        self.build(&spend)
    }
}

/// An edited plan, signed by the owner.
fn planned(seed: u64, edit: impl FnOnce(&mut SpendPlan)) -> Trace {
    let mut plan = plan(seed);
    edit(&mut plan);
    build(&plan.sign(&owner_key(seed)).unwrap(), table())
}

/// A spending edited after the owner signed.
fn after_signing(seed: u64, edit: impl FnOnce(&mut Spend)) -> Trace {
    let mut spend = honest(seed);
    edit(&mut spend);
    build(&spend, table())
}

fn tampered(seed: u64, cells: &[(Name, Fr)]) -> Trace {
    Edits::cells(cells).signed(honest(seed), &owner_key(seed))
}

fn falsified(seed: u64, clause: &'static str, nth: usize, by: Fr) -> Trace {
    Edits::computed(clause, nth, by).signed(honest(seed), &owner_key(seed))
}

fn one() -> field::Fr {
    field::Fr::from(1u64)
}

/// Clauses without the kind of failure.
fn clauses(found: BTreeSet<String>) -> BTreeSet<String> {
    found.into_iter().map(|c| c.split(' ').next().unwrap_or_default().to_string()).collect()
}

/// A note in the salt of the owner's own leaf: a forged amount under a root that was final. `third` puts the members
/// root in the place of the certificates root, else the community's node is opened as it is.
fn note_in_a_salt(third: bool) -> Trace {
    planned(0, |p| {
        p.note.amount.0 += 1 << 40;
        p.outputs[0].amount.0 += 1 << 40;
        let exit = [field::Fr::from(7u64), field::Fr::from(8u64), p.note.commitment(), field::Fr::from(9u64)];
        let leaf = [hash4(exit), field::Fr::from(6u64), one() - one(), one() - one()];
        // The members root is ten levels and an append level higher, or whatever the thief makes of them: all are
        // children he knows.
        p.path.dense = vec![exit];
        p.path.append = [leaf[0], leaf[1]];
        let mut node = hash2(leaf[0], leaf[1]);
        for children in &mut p.path.certificates {
            children[2] = node;
            node = hash4(*children);
        }
        let (header, certificates) = (p.path.community[0], field::Fr::from(11u64));
        let community = hash4([header, node, certificates, one() - one()]);
        if third {
            p.path.community = [header, certificates];
        }
        let mut node = community;
        for children in &mut p.path.state {
            children[1] = node;
            node = hash4(*children);
        }
    })
}

/// A forged note meets the true notes root by a level that is neither there nor not.
fn half_a_level() -> Trace {
    let mut forged = plan(0);
    let root = imported(&forged.note.commitment());
    forged.note.amount.0 += 1 << 40;
    forged.outputs[0].amount.0 += 1 << 40;
    let note = imported(&forged.note.commitment());
    let parent = imported(&hash4([forged.note.commitment(), one() - one(), one() - one(), one() - one()]));
    let on = (root - note) * (parent - note).invert().unwrap();
    let level = |i: usize| ("CERT.1", "level_used", i);
    Edits::cells(&[(level(0), on)]).signed(forged.sign(&owner_key(0)).unwrap(), &owner_key(0))
}

/// Amounts of the note and of what it becomes, and its origin, as the thief claims them.
fn claimed(seed: u64, amount: Fr, origin: Fr, outputs: [Fr; 2]) -> Trace {
    let cells = [
        (("CERT.1", "amount", 0), amount),
        (("CERT.1", "origin", 0), origin),
        (("CERT.4", "amount", 0), outputs[0]),
        (("CERT.4", "amount", 1), outputs[1]),
    ];
    tampered(seed, &cells)
}

type Mutant = (&'static str, &'static str, Box<dyn Fn() -> Trace>);

/// One line a mutant: the clause that must refuse it alone, the theft it attempts, how.
fn table_of_mutants() -> Vec<Mutant> {
    let mut mutants: Vec<Mutant> = Vec::new();
    let mut add = |clause, theft, make: Box<dyn Fn() -> Trace>| mutants.push((clause, theft, make));
    // Seed 0 transfers, 1 retires for consumption, 2 sealed, 3 lets expire, 4 exports.
    let note = |seed: u64| plan(seed).note;
    let amount = move |seed: u64| Fr::from(note(seed).amount.0);
    let origin = move |seed: u64| imported(&note(seed).origin().packed());
    add("CERT.1", "a note that nobody made", Box::new(|| planned(0, |p| p.note.salts[0] += one())));
    add(
        "CERT.1",
        "a larger amount than the note's",
        Box::new(|| {
            planned(0, |p| {
                p.note.amount.0 += 5;
                p.outputs[0].amount.0 += 5;
            })
        }),
    );
    add("CERT.1", "another technology than the note's", Box::new(|| planned(4, |p| p.note.technology ^= 1)));
    add("CERT.1", "a path that begins in another notes tree", Box::new(|| planned(4, |p| p.path.dense[0][3] += one())));
    add(
        "CERT.1",
        "two paths joined in the certificates tree",
        Box::new(|| planned(1, |p| p.path.certificates[5..].clone_from_slice(&plan(4).path.certificates[5..]))),
    );
    add(
        "CERT.1",
        "another community's path to the root",
        Box::new(|| planned(1, |p| p.path.state = plan(4).path.state)),
    );
    add(
        "CERT.1",
        "a note one level too low: the append level is skipped",
        Box::new(|| planned(0, |p| p.path.append = [hash2(p.path.append[0], p.path.append[1]), one() - one()])),
    );
    add("CERT.1", "a note in a salt of a leaf", Box::new(|| note_in_a_salt(true)));
    add("CERT.1", "a note in a salt of a leaf, the certificates root left out", Box::new(|| note_in_a_salt(false)));
    add("CERT.1", "a forged note that half a level leads to the true root", Box::new(half_a_level));
    add(
        "CERT.2",
        "somebody else's note, with a key of one's own",
        Box::new(|| build(&plan(1).sign(&owner_key(2)).unwrap(), table())),
    );
    add(
        "CERT.2",
        "somebody else's note, with the owner's public half",
        Box::new(|| {
            let (mut stolen, thief) = (honest(1), owner_key(2));
            stolen.signature = thief.sign(DomainTag::Certificate, &stolen.compute().message()).unwrap();
            build(&stolen, table())
        }),
    );
    add(
        "CERT.2",
        "an output turned to the helper that proves",
        Box::new(|| after_signing(0, |s| s.plan.outputs[0].owner += one())),
    );
    add(
        "CERT.2",
        "amounts of the outputs exchanged",
        Box::new(|| {
            after_signing(6, |s| {
                let [first, second] = &mut s.plan.outputs;
                std::mem::swap(&mut first.amount, &mut second.amount);
            })
        }),
    );
    add(
        "CERT.2",
        "a sealed retirement made public",
        Box::new(|| after_signing(2, |s| s.plan.retirement.as_mut().unwrap().sealed = false)),
    );
    add(
        "CERT.2",
        "a retirement under another beneficiary",
        Box::new(|| after_signing(1, |s| s.plan.retirement.as_mut().unwrap().beneficiary += one())),
    );
    add(
        "CERT.2",
        "a spending replayed on another chain",
        Box::new(|| after_signing(1, |s| s.plan.domain = domain(1, &[0x11; 20], CERTIFICATE_VERSION))),
    );
    add(
        "CERT.2",
        "another digest than the one that was signed",
        Box::new(|| Edits::cells(&[(("CERT.2", "digest_high", 0), Fr::from(5))]).build(&honest(1))),
    );
    add(
        "CERT.2",
        "a key off the curve",
        Box::new(|| {
            let y = imported(&honest(1).owner.key.xy().1);
            let n = imported(&honest(1).owner.nullifier);
            Edits::cells(&[(("CERT.2", "key", 1), y + Fr::ONE), (("CERT.2", "nullifier_commitment", 0), n)])
                .build(&honest(1))
        }),
    );
    add(
        "CERT.3",
        "a second nullifier for one note",
        Box::new(|| {
            let mut twice = honest(1);
            twice.nullifier_key = NullifierKey::of(&owner_key(2));
            Edits::default().signed(twice, &owner_key(1))
        }),
    );
    add(
        "CERT.3",
        "the nullifier of another note",
        Box::new(|| {
            let mut trace = build(&honest(1), table());
            let mut instance = trace.instance().to_vec();
            instance[2] = imported(&honest(4).compute().nullifier);
            trace.set_instance(instance);
            trace
        }),
    );
    add("CERT.4", "more than the note holds", Box::new(|| planned(4, |p| p.outputs[0].amount.0 += 1)));
    add(
        "CERT.4",
        "less than the note holds: the rest is lost to all counts",
        Box::new(|| planned(3, |p| p.retirement.as_mut().unwrap().amount.0 -= 1)),
    );
    add(
        "CERT.4",
        "a negative output pays for a large one",
        Box::new(move || claimed(0, amount(0), origin(0), [amount(0) + Fr::from(1 << 40), -Fr::from(1 << 40)])),
    );
    add(
        "CERT.4",
        "a negative retirement pays for an output",
        Box::new(move || {
            let retired = plan(3).retirement.unwrap().amount;
            let [first, _] = plan(3).outputs;
            tampered(
                3,
                &[
                    (("CERT.4", "retired", 0), -Fr::from(7)),
                    (("CERT.4", "amount", 0), Fr::from((first.amount + retired).0 + 7)),
                ],
            )
        }),
    );
    add(
        "CERT.4",
        "2^48 Wh borrowed from the first interval",
        Box::new(move || {
            let most = power(48) - Fr::ONE;
            claimed(0, amount(0) + power(48), origin(0) - Fr::ONE, [most, amount(0) + Fr::ONE])
        }),
    );
    add(
        "CERT.4",
        "an amount borrowed from the modulus",
        Box::new(move || {
            let stolen = Fr::from(1_000_000);
            claimed(0, amount(0) + stolen, origin(0) - stolen * power(48).invert().unwrap(), [amount(0), stolen])
        }),
    );
    for (theft, bit) in [
        ("another technology", 128),
        ("another community", 96),
        ("another length of the period", 80),
        ("another period", 48),
    ] {
        add("CERT.4", theft, Box::new(move || falsified(0, "CERT.4", 0, power(bit))));
        add("CERT.4", theft, Box::new(move || falsified(4, "CERT.4", 1, -power(bit))));
    }
    for (seed, theft) in [(4, "a sealed export"), (3, "a sealed expiry")] {
        let sealed = move || {
            let mut plan = plan(seed);
            plan.retirement.as_mut().unwrap().sealed = true;
            plan.sign(&owner_key(seed)).unwrap()
        };
        add("CERT.5", theft, Box::new(move || Edits::default().signed(sealed(), &owner_key(seed))));
        // With a consumption of minus one, the bits add up to one sealed retirement for that very purpose.
        let less = Edits::cells(&[(("CERT.5", "purpose", 0), -Fr::ONE)]);
        assert_eq!(less.build(&sealed()).instance()[8], Fr::from(2 + ((seed - 1) << 8)));
        add("CERT.5", theft, Box::new(move || less.signed(sealed(), &owner_key(seed))));
    }
    add(
        "CERT.5",
        "energy that vanishes without a retirement",
        Box::new(|| tampered(1, &[(("CERT.5", "purpose", 0), Fr::ZERO)])),
    );
    add("CERT.5", "two purposes at once", Box::new(|| tampered(1, &[(("CERT.5", "purpose", 2), Fr::ONE)])));
    add(
        "CERT.5",
        "a kind that does not exist: an export less a consumption and an expiry",
        Box::new(|| {
            let bit = |i: usize| ("CERT.5", "purpose", i);
            tampered(4, &[(bit(0), -Fr::ONE), (bit(1), Fr::ONE), (bit(2), Fr::ONE)])
        }),
    );
    add(
        "CERT.5",
        "an export that is half sealed",
        Box::new(|| {
            let half = Fr::from(2).invert().unwrap();
            tampered(4, &[(("CERT.5", "purpose", 2), half), (("CERT.5", "sealed", 0), half)])
        }),
    );
    for row in [5, 6, 7, 8] {
        add(
            "CERT.5",
            "L1 shows another retirement than the holder",
            Box::new(move || {
                let mut trace = build(&honest(1), table());
                let mut instance = trace.instance().to_vec();
                instance[row] += Fr::ONE;
                trace.set_instance(instance);
                trace
            }),
        );
    }
    add(
        "CERT.5",
        "a commitment to more than was retired",
        Box::new(|| {
            let count = computed(1)["CERT.5"];
            falsified(1, "CERT.5", count - 5, Fr::from(1000))
        }),
    );
    mutants
}

/// How many values each clause computes.
fn computed(seed: u64) -> BTreeMap<&'static str, usize> {
    build(&honest(seed), table()).computed_counts().clone()
}

#[test]
fn every_mutant_is_refused_by_its_clause_alone() {
    let mut failed = Vec::new();
    for (clause, theft, make) in table_of_mutants() {
        let found = clauses(refusals(&make()));
        if found != BTreeSet::from([clause.to_string()]) {
            failed.push(format!("{clause} ({theft}): {found:?}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn no_clause_is_without_a_mutant() {
    let specification = include_str!("../../../docs/spec/certificates.md");
    let named: BTreeSet<&str> = specification
        .lines()
        .filter_map(|l| l.strip_prefix("## CERT."))
        .map(|l| l.split(' ').next().unwrap())
        .collect();
    let table = table_of_mutants();
    let covered: BTreeSet<&str> = table.iter().map(|(clause, ..)| clause.trim_start_matches("CERT.")).collect();
    assert_eq!(named, covered);
    assert_eq!(named.len(), 5);
    assert_eq!(specification.matches("*Without it*").count(), named.len(), "each clause says what it stops");
}

#[test]
fn every_computed_value_is_guarded_by_its_own_clause() {
    let mut failed = Vec::new();
    for seed in [2, 4] {
        for (clause, count) in computed(seed) {
            for nth in 0..count {
                let trace = falsified(seed, clause, nth, Fr::from(3));
                let found = clauses(refusals(&trace));
                if !found.contains(clause) {
                    failed.push(format!("seed {seed}, {clause} value {nth}: {found:?}"));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn no_free_cell_changes_unnoticed() {
    // All levels and a retirement; a note that is its notes root, and no retirement.
    let mut harmless = BTreeSet::new();
    let mut kinds = BTreeSet::new();
    for seed in [4, 2, 0] {
        let spend = spend(seed).unwrap();
        let mut trace = table();
        trace.record_names();
        let honest = build(&spend, trace);
        let statement = honest.instance().to_vec();
        let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for name in honest.names() {
            kinds.insert((name.0, name.1));
            // Of a chain's 64 steps, two.
            let count = seen.entry((name.0, name.1)).or_default();
            *count += 1;
            if *count > 2 && name.1 != "child" {
                continue;
            }
            let mut trace = table();
            trace.remember(*name);
            let value = build(&spend, trace).remembered().unwrap();
            for edit in [value + Fr::ONE, Fr::ONE - value] {
                let trace = Edits::cells(&[(*name, edit)]).build(&spend);
                let mut other = trace.instance().to_vec();
                // Another anchor is another root, which was not final.
                let elsewhere = other[1] != statement[1];
                other[1] = statement[1];
                if edit != value && (!elsewhere || other != statement) && refusals(&trace).is_empty() {
                    harmless.insert((seed, *name));
                }
            }
        }
    }
    println!("{} kinds of free cells", kinds.len());
    // What a level holds beside the node where there is none, and the opening of a retirement where there is none.
    harmless.retain(|(seed, (clause, name, index))| {
        let levels = plan(*seed).path.dense.len();
        let no_level = *clause == "CERT.1" && *name == "child" && index / 4 >= levels && *index < 20;
        let no_retirement =
            *clause == "CERT.5" && ["salt", "beneficiary"].contains(name) && plan(*seed).retirement.is_none();
        !(no_level || no_retirement)
    });
    assert!(harmless.is_empty(), "{harmless:?}");
}

const CERTIFICATE: Subject =
    Subject { configure: CertificateCircuit::configure, market: false, asked: &[1, 2, 3, 4, 5, 6, 7, 8] };

#[test]
fn no_cell_is_free() {
    for seed in [0, 2, 4] {
        let t = build(&honest(seed), table());
        let cells =
            movable(&CERTIFICATE, &t, &Given { cells: Vec::new(), entries: true, absorbed: true, without: None });
        report(&t, &cells);
        assert!(cells.is_empty());
    }
}

/// Given the path, the owner and what the spender chooses, all public inputs and all that lies between follow. (The
/// path fixes the note, and so its key; how the note's info is split is fixed by ranges, which this analysis leaves
/// out.)
#[test]
fn the_public_inputs_follow_from_the_openings() {
    for seed in [0, 2, 4] {
        let spend = honest(seed);
        let t = build(&spend, table());
        let names =
            [("CERT.1", "amount", 0), ("CERT.4", "amount", 0), ("CERT.4", "amount", 1), ("CERT.5", "beneficiary", 0)];
        let chosen: Vec<Cell> =
            names.into_iter().map(|name| free_cell(name, |trace| build(&spend, trace), table())).collect();
        let free = |cells: Vec<Cell>| {
            movable(&CERTIFICATE, &t, &Given { cells, entries: false, absorbed: false, without: None })
        };
        let cells = free(chosen.clone());
        report(&t, &cells);
        assert!(cells.is_empty());
        // The analysis is not blind: each choice is one. (Where nothing is retired, each amount follows from the
        // others.)
        let choices = if spend.plan.retirement.is_some() { 0..chosen.len() } else { 0..0 };
        for left_out in choices {
            let mut some = chosen.clone();
            some.remove(left_out);
            assert!(!free(some).is_empty(), "{:?}", names[left_out]);
        }
    }
}

#[test]
fn every_public_input_is_bound() {
    for seed in 0..5 {
        let trace = build(&honest(seed), table());
        for (row, name) in ROWS.iter().enumerate() {
            for by in [Fr::ONE, -Fr::ONE, power(48)] {
                let mut instance = trace.instance().to_vec();
                instance[row] += by;
                assert!(!refusals_for(&trace, instance).is_empty(), "seed {seed}, {name}");
            }
        }
    }
}
