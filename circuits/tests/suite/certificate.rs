//! The certificate circuit agrees with the native rules.
use crate::common::certificate::{honest, refusals};
use gridveil_circuits::certificate::{CertificateCircuit, build, table};
use gridveil_protocol::{
    certificate::{NotePath, Position, Purpose, Retirement, Spend, SpendPlan, Trees},
    field::Fr,
    fixture::{
        Stream,
        certificate::{owner_key, plan},
    },
    owner::{NullifierKey, owner_of},
    poseidon::{hash2, hash4},
    tree::SparseTree,
    units::{Interval, Wh},
};

#[test]
fn honest_spendings_are_accepted_with_the_native_instance() {
    for seed in 0..24 {
        let spend = honest(seed);
        let instance = spend.check().unwrap();
        let trace = build(&spend, table());
        assert_eq!(trace.instance(), instance.rows().map(|x| crate::common::certificate::imported(&x)), "seed {seed}");
        assert_eq!(refusals(&trace), std::collections::BTreeSet::new(), "seed {seed}");
    }
}

#[test]
fn the_layout_does_not_depend_on_the_witness() {
    let template = CertificateCircuit::template().trace().layout_digest();
    for seed in 0..6 {
        assert_eq!(build(&honest(seed), table()).layout_digest(), template);
    }
}

/// One field of a random spending takes another value: from a few that often matter, or at random.
fn vary(stream: &mut Stream, plan: &mut SpendPlan) {
    let amount = plan.note.amount;
    let wh = |stream: &mut Stream| match stream.below(4) {
        0 => Wh::ZERO,
        1 => Wh((1 << 48) - 1),
        2 => Wh(1 << 48),
        _ => Wh(stream.below(amount.0 + 1)),
    };
    let first = usize::try_from(stream.below(2)).unwrap();
    match stream.below(9) {
        0 => plan.outputs[first].amount = wh(stream),
        1 => {
            // Consistent, unless the largest amount leaves nothing to split.
            plan.retirement = None;
            plan.outputs[0].amount = wh(stream);
            plan.outputs[1].amount = amount.saturating_sub(plan.outputs[0].amount);
        }
        2 => plan.note.amount = wh(stream),
        3 => plan.outputs[first].owner = stream.element(),
        4 => plan.outputs[first].salts[first] = stream.element(),
        5 => plan.retirement.iter_mut().for_each(|r| r.amount = wh(stream)),
        6 => plan.retirement.iter_mut().for_each(|r| r.sealed = !r.sealed),
        7 => plan.retirement.iter_mut().for_each(|r| (r.beneficiary, r.purpose) = (stream.element(), Purpose::Export)),
        _ => plan.path.state[first][2] = stream.element(),
    }
}

#[test]
fn random_spendings() {
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..150 {
        let mut stream = Stream::new(70_000 + seed);
        let mut plan = plan(seed);
        vary(&mut stream, &mut plan);
        let spend = plan.sign(&owner_key(seed)).unwrap();
        let native = spend.check();
        let found = refusals(&build(&spend, table()));
        assert_eq!(native.is_ok(), found.is_empty(), "seed {seed}: {native:?} {found:?}");
        if let Err(error) = native {
            // The rules name the first clause that refuses.
            assert!(found.iter().any(|clause| clause.starts_with(error.clause())), "seed {seed}: {error} {found:?}");
            refused += 1;
        } else {
            accepted += 1;
        }
    }
    assert!(accepted > 40 && refused > 40, "{accepted} accepted, {refused} refused");
}

type Edit = fn(&mut Spend);

/// Edits after signing that the rules refuse; the circuit must refuse what they compute to, too.
const INVALID: [(&str, Edit); 14] = [
    ("another note", |s| s.plan.note.salts[0] += Fr::from(1u64)),
    ("another amount", |s| s.plan.note.amount.0 += 1),
    ("another period", |s| s.plan.note.first_interval.0 ^= 1),
    ("another length", |s| s.plan.note.intervals ^= 1),
    ("another community", |s| s.plan.note.community ^= 1),
    ("another technology", |s| s.plan.note.technology ^= 1),
    ("another owner of the note", |s| s.plan.note.owner += Fr::from(1u64)),
    ("another path", |s| s.plan.path.certificates[9][0] += Fr::from(1u64)),
    ("another community node", |s| s.plan.path.community[0] += Fr::from(1u64)),
    ("another append level", |s| {
        s.plan.path.append = [s.plan.path.append[0] + Fr::from(1u64), s.plan.path.append[1] + Fr::from(1u64)]
    }),
    ("another key", |s| s.owner.key = owner_of(&owner_key(999)).key),
    ("another commitment of the nullifier key", |s| s.owner.nullifier += Fr::from(1u64)),
    ("another nullifier key", |s| s.nullifier_key = NullifierKey::of(&owner_key(999))),
    ("another signature", |s| s.signature = honest(999).signature),
];

#[test]
fn random_invalid_spendings() {
    for (name, edit) in INVALID {
        for seed in 0..6 {
            let mut spend = honest(seed);
            edit(&mut spend);
            assert!(spend.check().is_err(), "the rules accept: {name}, seed {seed}");
            assert!(!refusals(&build(&spend, table())).is_empty(), "the circuit accepts: {name}, seed {seed}");
        }
    }
}

/// What the rules accept at the ends of all ranges, the circuit proves.
#[test]
fn unusual_but_honest_spendings_are_provable() {
    let most = (1 << 48) - 1;
    for (amount, split) in
        [(0, [0, 0]), (1, [0, 1]), (most, [most, 0]), (most, [0, most]), (most, [1 << 47, (1 << 47) - 1])]
    {
        for (sealed, retired) in [(false, 0), (true, 0), (false, amount), (true, amount)] {
            let mut plan = plan(0);
            (plan.note.amount, plan.note.first_interval, plan.note.intervals) = (Wh(amount), Interval::MAX, u16::MAX);
            (plan.note.community, plan.note.technology) = (65_535, 255);
            for (output, wh) in plan.outputs.iter_mut().zip(split) {
                output.amount = Wh(if retired == 0 { wh } else { 0 });
                // A transfer to oneself.
                output.owner = plan.note.owner;
            }
            let salts = plan.note.salts;
            plan.retirement = Some(Retirement {
                amount: Wh(retired),
                beneficiary: Fr::from(0u64),
                purpose: Purpose::Consumption,
                sealed,
                salts,
            });
            plan.path = alone(plan.note.commitment());
            let spend = plan.sign(&owner_key(0)).unwrap();
            assert_eq!(spend.check().map(|_| ()), Ok(()));
            assert_eq!(refusals(&build(&spend, table())), std::collections::BTreeSet::new());
        }
    }
}

/// The only note of the only community.
fn alone(note: Fr) -> NotePath {
    let (mut certificates, mut state) = (SparseTree::new(10), SparseTree::new(8));
    let (zero, last) = (Fr::from(0u64), 65_535);
    certificates.set((1 << 20) - 1, hash2(note, zero));
    state.set(last, hash4([zero, zero, certificates.root(), zero]));
    let trees = Trees {
        notes: &[note],
        queue: &[],
        certificates: &certificates,
        header_leaf: zero,
        members_root: zero,
        state: &state,
    };
    NotePath::new(&trees, &Position { community: 65_535, append: (1 << 20) - 1, queued: false, index: 0 }).unwrap()
}
