//! Mutants of the certificate circuit (CERT).
//!
//! The owner signs what comes out of an edit, unless the theft is one of the signature.

use std::collections::BTreeMap;

use gridveil_circuits::{
    Fr,
    certificate::{build, table},
    gadgets::power,
    trace::{Name, Trace},
};
use gridveil_protocol::{
    certificate::{CERTIFICATE_VERSION, Spend, SpendPlan},
    field,
    fixture::certificate::{owner_key, plan},
    instance::domain,
    owner::NullifierKey,
    poseidon::{DomainTag, hash2, hash4},
    schnorr::SecretKey,
};
use halo2curves::ff::Field;

use super::Mutants;
use crate::common::certificate::{exported, honest, imported};

/// Edits of a table: free cells that take another value, and one computed value that is off.
#[derive(Clone, Default)]
pub struct Edits {
    cells: Vec<(Name, Fr)>,
    computed: Option<(&'static str, usize, Fr)>,
}

impl Edits {
    pub fn cells(cells: &[(Name, Fr)]) -> Self {
        Self { cells: cells.to_vec(), computed: None }
    }

    fn computed(clause: &'static str, nth: usize, by: Fr) -> Self {
        Self { cells: Vec::new(), computed: Some((clause, nth, by)) }
    }

    pub fn build(&self, spend: &Spend) -> Trace {
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

pub fn falsified(seed: u64, clause: &'static str, nth: usize, by: Fr) -> Trace {
    Edits::computed(clause, nth, by).signed(honest(seed), &owner_key(seed))
}

fn one() -> field::Fr {
    field::Fr::from(1u64)
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

pub fn add_to(mutants: &mut Mutants) {
    // Seed 0 transfers, 1 retires for consumption, 2 sealed, 3 lets expire, 4 exports.
    let note = |seed: u64| plan(seed).note;
    let amount = move |seed: u64| Fr::from(note(seed).amount.0);
    let origin = move |seed: u64| imported(&note(seed).origin().packed());
    mutants.add("CERT.1", "a note that nobody made", || planned(0, |p| p.note.salts[0] += one()));
    mutants.add("CERT.1", "a larger amount than the note's", || {
        planned(0, |p| {
            p.note.amount.0 += 5;
            p.outputs[0].amount.0 += 5;
        })
    });
    mutants.add("CERT.1", "another technology than the note's", || planned(4, |p| p.note.technology ^= 1));
    mutants.add("CERT.1", "a path that begins in another notes tree", || planned(4, |p| p.path.dense[0][3] += one()));
    mutants.add("CERT.1", "two paths joined in the certificates tree", || {
        planned(1, |p| p.path.certificates[5..].clone_from_slice(&plan(4).path.certificates[5..]))
    });
    mutants.add("CERT.1", "another community's path to the root", || planned(1, |p| p.path.state = plan(4).path.state));
    mutants.add("CERT.1", "a note one level too low: the append level is skipped", || {
        planned(0, |p| p.path.append = [hash2(p.path.append[0], p.path.append[1]), one() - one()])
    });
    mutants.add("CERT.1", "a note in a salt of a leaf", || note_in_a_salt(true));
    mutants.add("CERT.1", "a note in a salt of a leaf, the certificates root left out", || note_in_a_salt(false));
    mutants.add("CERT.1", "a forged note that half a level leads to the true root", half_a_level);
    mutants.add("CERT.2", "somebody else's note, with a key of one's own", || {
        build(&plan(1).sign(&owner_key(2)).unwrap(), table())
    });
    mutants.add("CERT.2", "somebody else's note, with the owner's public half", || {
        let (mut stolen, thief) = (honest(1), owner_key(2));
        stolen.signature = thief.sign(DomainTag::Certificate, &stolen.compute().message()).unwrap();
        build(&stolen, table())
    });
    mutants.add("CERT.2", "an output turned to the helper that proves", || {
        after_signing(0, |s| s.plan.outputs[0].owner += one())
    });
    mutants.add("CERT.2", "amounts of the outputs exchanged", || {
        after_signing(6, |s| {
            let [first, second] = &mut s.plan.outputs;
            std::mem::swap(&mut first.amount, &mut second.amount);
        })
    });
    mutants.add("CERT.2", "a sealed retirement made public", || {
        after_signing(2, |s| s.plan.retirement.as_mut().unwrap().sealed = false)
    });
    mutants.add("CERT.2", "a retirement under another beneficiary", || {
        after_signing(1, |s| s.plan.retirement.as_mut().unwrap().beneficiary += one())
    });
    mutants.add("CERT.2", "a spending replayed on another chain", || {
        after_signing(1, |s| s.plan.domain = domain(1, &[0x11; 20], CERTIFICATE_VERSION))
    });
    mutants.add("CERT.2", "another digest than the one that was signed", || {
        Edits::cells(&[(("CERT.2", "digest_high", 0), Fr::from(5))]).build(&honest(1))
    });
    mutants.add("CERT.2", "a key off the curve", || {
        let y = imported(&honest(1).owner.key.xy().1);
        let n = imported(&honest(1).owner.nullifier);
        Edits::cells(&[(("CERT.2", "key", 1), y + Fr::ONE), (("CERT.2", "nullifier_commitment", 0), n)])
            .build(&honest(1))
    });
    mutants.add("CERT.3", "a second nullifier for one note", || {
        let mut twice = honest(1);
        twice.nullifier_key = NullifierKey::of(&owner_key(2));
        Edits::default().signed(twice, &owner_key(1))
    });
    mutants.add("CERT.3", "the nullifier of another note", || {
        let mut trace = build(&honest(1), table());
        let mut instance = trace.instance().to_vec();
        instance[2] = imported(&honest(4).compute().nullifier);
        trace.set_instance(instance);
        trace
    });
    mutants.add("CERT.4", "more than the note holds", || planned(4, |p| p.outputs[0].amount.0 += 1));
    mutants.add("CERT.4", "less than the note holds: the rest is lost to all counts", || {
        planned(3, |p| p.retirement.as_mut().unwrap().amount.0 -= 1)
    });
    mutants.add("CERT.4", "a negative output pays for a large one", move || {
        claimed(0, amount(0), origin(0), [amount(0) + Fr::from(1 << 40), -Fr::from(1 << 40)])
    });
    mutants.add("CERT.4", "a negative retirement pays for an output", move || {
        let retired = plan(3).retirement.unwrap().amount;
        let [first, _] = plan(3).outputs;
        tampered(
            3,
            &[
                (("CERT.4", "retired", 0), -Fr::from(7)),
                (("CERT.4", "amount", 0), Fr::from((first.amount + retired).0 + 7)),
            ],
        )
    });
    mutants.add("CERT.4", "2^48 Wh borrowed from the first interval", move || {
        let most = power(48) - Fr::ONE;
        claimed(0, amount(0) + power(48), origin(0) - Fr::ONE, [most, amount(0) + Fr::ONE])
    });
    mutants.add("CERT.4", "an amount borrowed from the modulus", move || {
        let stolen = Fr::from(1_000_000);
        claimed(0, amount(0) + stolen, origin(0) - stolen * power(48).invert().unwrap(), [amount(0), stolen])
    });
    for (theft, bit) in [
        ("another technology", 128),
        ("another community", 96),
        ("another length of the period", 80),
        ("another period", 48),
    ] {
        mutants.add("CERT.4", theft, move || falsified(0, "CERT.4", 0, power(bit)));
        mutants.add("CERT.4", theft, move || falsified(4, "CERT.4", 1, -power(bit)));
    }
    for (seed, theft) in [(4, "a sealed export"), (3, "a sealed expiry")] {
        let sealed = move || {
            let mut plan = plan(seed);
            plan.retirement.as_mut().unwrap().sealed = true;
            plan.sign(&owner_key(seed)).unwrap()
        };
        mutants.add("CERT.5", theft, move || Edits::default().signed(sealed(), &owner_key(seed)));
        // With a consumption of minus one, the bits add up to one sealed retirement for that very purpose.
        let less = Edits::cells(&[(("CERT.5", "purpose", 0), -Fr::ONE)]);
        assert_eq!(less.build(&sealed()).instance()[8], Fr::from(2 + ((seed - 1) << 8)));
        mutants.add("CERT.5", theft, move || less.signed(sealed(), &owner_key(seed)));
    }
    mutants.add("CERT.5", "energy that vanishes without a retirement", || {
        tampered(1, &[(("CERT.5", "purpose", 0), Fr::ZERO)])
    });
    mutants.add("CERT.5", "two purposes at once", || tampered(1, &[(("CERT.5", "purpose", 2), Fr::ONE)]));
    mutants.add("CERT.5", "a kind that does not exist: an export less a consumption and an expiry", || {
        let bit = |i: usize| ("CERT.5", "purpose", i);
        tampered(4, &[(bit(0), -Fr::ONE), (bit(1), Fr::ONE), (bit(2), Fr::ONE)])
    });
    mutants.add("CERT.5", "an export that is half sealed", || {
        let half = Fr::from(2).invert().unwrap();
        tampered(4, &[(("CERT.5", "purpose", 2), half), (("CERT.5", "sealed", 0), half)])
    });
    for row in [5, 6, 7, 8] {
        mutants.add("CERT.5", "L1 shows another retirement than the holder", move || {
            let mut trace = build(&honest(1), table());
            let mut instance = trace.instance().to_vec();
            instance[row] += Fr::ONE;
            trace.set_instance(instance);
            trace
        });
    }
    mutants.add("CERT.5", "a commitment to more than was retired", || {
        let count = computed(1)["CERT.5"];
        falsified(1, "CERT.5", count - 5, Fr::from(1000))
    });
}

/// How many values each clause computes.
pub fn computed(seed: u64) -> BTreeMap<&'static str, usize> {
    build(&honest(seed), table()).computed_counts().clone()
}
