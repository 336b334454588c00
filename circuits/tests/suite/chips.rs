//! Poseidon and Schnorr chips against their native twins, and against edited cells.
use std::collections::BTreeSet;

use ark_ec::{CurveGroup, PrimeGroup};
use ark_ff::Field as _;
use gridveil_circuits::{
    Fr,
    assign::assign,
    chips::{
        columns::{ADVICE, Columns, SELECTORS, Selector},
        poseidon::{self, Input, Permutations},
        schnorr::{self, ChainCells},
    },
    trace::{Cell, Trace},
};
use gridveil_protocol::{
    field,
    poseidon::{DomainTag, hash4, sponge},
    schnorr::{STEPS, SecretKey, StepDigits, digits, endomorphism, fixed_table},
};
use halo2_proofs::{
    circuit::{Layouter, SimpleFloorPlanner},
    dev::MockProver,
    plonk::{Circuit, ConstraintSystem, Error, Expression, create_proof, keygen_pk, keygen_vk, verify_proof},
    poly::kzg::{
        commitment::{KZGCommitmentScheme, ParamsKZG},
        multiopen::{ProverSHPLONK, VerifierSHPLONK},
        strategy::SingleStrategy,
    },
    transcript::{Blake2bRead, Blake2bWrite, Challenge255, TranscriptReadBuffer, TranscriptWriterBuffer},
};
use halo2curves::{
    bn256::{Bn256, G1Affine},
    ff::{Field, PrimeField},
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

const K: u32 = 8;
const USABLE: usize = 240;

/// The two chips, and a gate that pins column 5 to zero where `Arith` is on.
struct TraceCircuit<'a>(&'a Trace);

impl Circuit<Fr> for TraceCircuit<'_> {
    type Config = Columns;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = ();

    fn without_witnesses(&self) -> Self {
        Self(self.0)
    }

    fn configure(meta: &mut ConstraintSystem<Fr>) -> Columns {
        let columns = Columns::new(meta);
        poseidon::configure(meta, &columns);
        schnorr::configure(meta, &columns);
        meta.create_gate("zero", |v| vec![columns.selector(v, Selector::Arith) * columns.cell(v, 5, 0)]);
        columns
    }

    fn synthesize(&self, columns: Columns, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        assign(self.0, &columns, &mut layouter, 4)
    }
}

fn accepts(trace: &Trace) -> bool {
    let prover = MockProver::run(K, &TraceCircuit(trace), vec![vec![]]).expect("the table fits");
    prover.verify().is_ok()
}

fn refused_with(trace: &Trace, value: Fr, cell: Cell) -> bool {
    let mut edited = trace.clone();
    edited.set(cell.column, cell.row, value);
    !accepts(&edited)
}

/// Cells of `rows x columns` that can be changed without the circuit's noticing.
fn unnoticed(trace: &Trace, rows: impl IntoIterator<Item = usize>) -> Vec<(usize, usize)> {
    let mut cells = Vec::new();
    for row in rows {
        for column in 0..ADVICE {
            let cell = Cell { column, row };
            if !refused_with(trace, trace.value(cell) + Fr::ONE, cell) {
                cells.push((row, column));
            }
        }
    }
    cells
}

fn table() -> (Trace, Cell) {
    let mut trace = Trace::new(USABLE);
    let row = trace.alloc_rows(1);
    trace.enable(Selector::Arith, row);
    let zero = trace.set(5, row, Fr::ZERO);
    (trace, zero)
}

fn import(x: &field::Fr) -> Fr {
    let mut bytes = field::to_bytes(x);
    bytes.reverse();
    Fr::from_repr(bytes).expect("canonical")
}

fn elements(n: usize) -> Vec<field::Fr> {
    (0..n).map(|i| field::Fr::from(i as u64 * 1_000_003 + 17).pow([7u64])).collect()
}

fn free(xs: &[field::Fr]) -> Vec<Input> {
    xs.iter().map(|x| Input::Free(import(x))).collect()
}

fn constants_in(e: &Expression<Fr>) -> usize {
    e.evaluate(
        &|c| usize::from(c.to_repr()[16..].iter().any(|b| *b != 0)),
        &|_| 0,
        &|_| 0,
        &|_| 0,
        &|_| 0,
        &|_| 0,
        &|a| a,
        &|a, b| a + b,
        &|a, b| a + b,
        &|a, _| a,
    )
}

#[test]
fn degree_and_queries() {
    let mut meta = ConstraintSystem::<Fr>::default();
    TraceCircuit::configure(&mut meta);
    // `meta.degree()` is clamped, so look at the polynomials.
    for gate in meta.gates() {
        let degree = gate.polynomials().iter().map(Expression::degree).max().unwrap_or(0);
        let constants: usize = gate.polynomials().iter().map(constants_in).sum();
        println!(
            "{}: {} polynomials, degree {degree}, {constants} field constants",
            gate.name(),
            gate.polynomials().len()
        );
        assert!(degree <= 5, "{}", gate.name());
    }
    assert!(meta.degree() <= 5);
    let queries: BTreeSet<(i32, usize)> = meta.advice_queries().iter().map(|(c, r)| (r.0, c.index())).collect();
    println!("{} advice queries, {} fixed queries", queries.len(), meta.fixed_queries().len());
    let at = |rotation: i32| queries.iter().filter(|(r, _)| *r == rotation).map(|(_, c)| *c).collect::<Vec<_>>();
    assert_eq!(at(2), [0, 1, 5, 6, 7, 8, 9]);
    assert_eq!(at(0).len() + at(1).len() + at(2).len(), queries.len());
}

#[test]
fn poseidon_equals_its_twin() {
    let (mut trace, zero) = table();
    let mut permutations = Permutations::start(&mut trace, zero);
    let x = elements(11);
    let out = permutations
        .hash4(&mut trace, [Input::Free(import(&x[0])), Input::Free(import(&x[1])), Input::Zero, Input::Zero]);
    let zeros = field::Fr::from(0u64);
    assert_eq!(trace.value(out), import(&hash4([x[0], x[1], zeros, zeros])));
    let chained =
        permutations.hash4(&mut trace, [Input::Copy(out), Input::Zero, Input::Free(import(&x[2])), Input::Zero]);
    let first = hash4([x[0], x[1], zeros, zeros]);
    assert_eq!(trace.value(chained), import(&hash4([first, zeros, x[2], zeros])));
    for (purpose, n) in [(DomainTag::Note, 4), (DomainTag::Context, 5), (DomainTag::Private, 7)] {
        let (out, cells) = permutations.sponge(&mut trace, import(&purpose.tag(n)), &free(&x[..n]));
        assert_eq!(trace.value(out), import(&sponge(purpose, &x[..n])), "{n}");
        assert_eq!(
            cells.iter().map(|c| trace.value(*c)).collect::<Vec<_>>(),
            x[..n].iter().map(import).collect::<Vec<_>>()
        );
    }
    assert_eq!(trace.next_row(), 2 + 7 * poseidon::ROWS);
    assert!(accepts(&trace));
}

#[test]
fn poseidon_sponges_of_many_lengths() {
    let x = elements(26);
    for n in [1, 2, 3, 4, 5, 8, 9, 12, 22, 26] {
        let (mut trace, zero) = table();
        let mut permutations = Permutations::start(&mut trace, zero);
        // A row taken by someone else: a new sponge starts on a fresh boundary row.
        trace.alloc_rows(1);
        let (out, cells) = permutations.sponge(&mut trace, import(&DomainTag::Header.tag(n)), &free(&x[..n]));
        assert_eq!(trace.value(out), import(&sponge(DomainTag::Header, &x[..n])), "{n}");
        assert_eq!(cells.len(), n);
        assert!(accepts(&trace), "{n}");
    }
}

#[test]
fn poseidon_rows_have_one_selector() {
    let (mut trace, zero) = table();
    Permutations::start(&mut trace, zero).sponge(&mut trace, Fr::ONE, &free(&elements(9)));
    for row in 1..trace.next_row() {
        let on = (0..SELECTORS).filter(|s| trace.selected(*s, row)).count();
        assert!(on <= 1, "row {row}");
        assert_eq!(on == 1, row + 1 < trace.next_row(), "row {row}");
    }
}

#[test]
fn poseidon_refuses_every_edited_cell() {
    let (mut trace, zero) = table();
    let mut permutations = Permutations::start(&mut trace, zero);
    permutations.sponge(&mut trace, import(&DomainTag::Context.tag(5)), &free(&elements(5)));
    assert!(accepts(&trace));
    let (start, end) = (1, 1 + 2 * poseidon::ROWS);
    // Nobody uses column 9 of a boundary row, the state a new sponge replaces, or what follows the last output.
    let mut expected: Vec<(usize, usize)> = [0, 1, 2, 3, 4, 9].map(|c| (start, c)).to_vec();
    expected.push((start + poseidon::ROWS, 9));
    expected.extend([5, 6, 7, 8, 9].map(|c| (end, c)));
    assert_eq!(unnoticed(&trace, start..=end), expected);
}

fn signed_case() -> (SecretKey, field::Scalar, u64, u64) {
    let key = SecretKey::from_seed(&[7; 64]);
    let s = field::Scalar::from(0x1234_5678_9abcu64).pow([11u64]);
    (key, s, 0x0123_4567_89ab_cdef, 0xfedc_ba98_1357_9bdf)
}

fn chain(digits: &[StepDigits], key: (Fr, Fr), prepare: impl Fn(&mut Trace)) -> (Trace, ChainCells, usize) {
    let (mut trace, zero) = table();
    prepare(&mut trace);
    let start = trace.next_row();
    let cells = schnorr::assign_chain(&mut trace, zero, key, digits, ("SETTLE.1", 0));
    (trace, cells, start)
}

fn honest() -> (Vec<StepDigits>, (Fr, Fr)) {
    let (key, s, a, b) = signed_case();
    let (x, y) = key.public().xy();
    (digits(&s, a, b), (import(&x), import(&y)))
}

#[test]
fn chain_ends_at_the_group_equation() {
    let (secret, s, a, b) = signed_case();
    let (digits, key) = honest();
    let (trace, cells, start) = chain(&digits, key, |_| ());
    assert!(accepts(&trace));
    assert_eq!(trace.next_row() - start, schnorr::ROWS);

    let odd = |half: u64| field::Scalar::from(2 * u128::from(half) + 1) - field::Scalar::from(1u128 << 64);
    let e = odd(a) + endomorphism().lambda * odd(b);
    let (x, y) = secret.public().xy();
    let p = ark_grumpkin::Affine::new_unchecked(x, y);
    let end = (ark_grumpkin::Projective::generator() * s - p * e).into_affine();
    assert_eq!((trace.value(cells.end.0), trace.value(cells.end.1)), (import(&end.x), import(&end.y)));
    assert_eq!(trace.value(cells.halves), import(&(field::shifted(a, 0) + field::shifted(b, 64))));
    assert_eq!((trace.value(cells.key.0), trace.value(cells.key.1)), key);
    let (slope, q2) = schnorr::second_point(key);
    assert_eq!((trace.value(cells.q2.0), trace.value(cells.q2.1)), q2);
    assert_eq!(slope * (schnorr::beta() - Fr::ONE) * key.0, key.1.double());
    let phi = ark_grumpkin::Affine::new_unchecked(endomorphism().beta * x, y);
    let expected = (phi - p).into_affine();
    assert_eq!(q2, (import(&expected.x), import(&expected.y)));
}

#[test]
fn chain_refuses_every_edited_cell() {
    let (digits, key) = honest();
    let (trace, _, start) = chain(&digits, key, |_| ());
    assert!(accepts(&trace));
    for step in [0, 1, 31, STEPS - 1] {
        let row = start + 2 * step;
        assert_eq!(unnoticed(&trace, [row, row + 1]), [(row + 1, 9)], "step {step}");
    }
    let end = start + 2 * STEPS;
    assert_eq!(unnoticed(&trace, [end]), [2, 3, 4].map(|c| (end, c)));
}

#[test]
fn chain_refuses_tampered_free_cells() {
    let (digits, key) = honest();
    let (trace, _, _) = chain(&digits, key, Trace::record_names);
    assert!(accepts(&trace));
    let names: Vec<_> = trace.names().to_vec();
    assert_eq!(names.len(), 10 * STEPS + 2);
    for name in names.iter().filter(|(_, cell, index)| [0, 1, 40, STEPS - 1].contains(index) && !cell.starts_with("q2"))
    {
        // 2 is neither a bit nor, but with negligible probability, a slope.
        let (tampered, _, _) = chain(&digits, key, |t| t.tamper(*name, Fr::from(2)));
        assert!(!accepts(&tampered), "{name:?}");
    }
}

#[test]
fn other_digits_lead_to_other_halves_or_another_end() {
    let (honest, key) = honest();
    let (trace, cells, _) = chain(&honest, key, |_| ());
    for step in [0, 5, STEPS - 1] {
        for bit in 0..6 {
            let mut other = honest.clone();
            let d = &mut other[step];
            let [c1, c2, c3] = &mut d.fixed_choice;
            let target = [&mut d.variable_sign, &mut d.variable_choice, &mut d.fixed_sign, c1, c2, c3];
            for (_, b) in target.into_iter().enumerate().filter(|(i, _)| *i == bit) {
                *b = !*b;
            }
            let (changed, changed_cells, _) = chain(&other, key, |_| ());
            assert!(accepts(&changed));
            assert_ne!(changed.value(changed_cells.end.0), trace.value(cells.end.0));
            assert_eq!(changed.value(changed_cells.halves) != trace.value(cells.halves), bit < 2);
        }
    }
}

#[test]
fn exceptional_chains_are_filled_and_refused() {
    let (honest, _) = honest();
    // Q1 has the x of a fixed point: W would be a doubling, in the first step and in a later one.
    let target = fixed_table()[0];
    let key = (import(&(endomorphism().beta * target.x)), import(&target.y));
    for step in [0, 3] {
        let mut meeting = honest.clone();
        meeting[step] =
            StepDigits { variable_sign: true, variable_choice: false, fixed_sign: true, fixed_choice: [false; 3] };
        let (trace, cells, start) = chain(&meeting, key, |_| ());
        assert!(!accepts(&trace));
        // The slope is free now, whatever it is: the exclusion alone refuses.
        let row = start + 2 * step;
        assert_eq!(trace.value(Cell { column: 6, row: row + 1 }), import(&target.x));
        let name = ("SETTLE.1", "lambda_w", step);
        let (chosen, chosen_cells, _) = chain(&meeting, key, |t| t.tamper(name, Fr::from(5)));
        assert!(!accepts(&chosen));
        assert_ne!(chosen.value(chosen_cells.end.0), trace.value(cells.end.0));
    }
    let (trace, _, _) = chain(&honest, (Fr::ZERO, Fr::ZERO), |_| ());
    assert_eq!(trace.next_row(), 1 + schnorr::ROWS);
}

/// A whole chain of the same digits from another start: every step follows from the one before.
pub fn restarted(start: impl Fn(Fr, Fr) -> (Fr, Fr)) -> Trace {
    // Columns of a step's first row (x, two slopes, xw, y) and of its second (inverse).
    const X: usize = 0;
    const LAMBDA_1: usize = 2;
    const LAMBDA_2: usize = 3;
    const XW: usize = 4;
    const INVERSE: usize = 7;
    const Y: usize = 9;
    let (digits, key) = honest();
    let (mut trace, _, first_row) = chain(&digits, key, |_| ());
    let at = |trace: &Trace, column: usize, row: usize| trace.value(Cell { column, row });
    let (mut x, mut y) = start(at(&trace, X, first_row), at(&trace, Y, first_row));
    for row in (first_row..).step_by(2).take(STEPS) {
        let [old_x, lambda, xw, old_y] = [X, LAMBDA_1, XW, Y].map(|column| at(&trace, column, row));
        let yw = lambda * (xw - old_x) + old_y;
        let gap = (at(&trace, INVERSE, row + 1) * (xw - old_x)).invert().unwrap();
        let lambda_1 = (yw - y) * (xw - x).invert().unwrap();
        let xr = lambda_1.square() - x - xw;
        let lambda_2 = y.double() * (x - xr).invert().unwrap() - lambda_1;
        for (column, value) in [(X, x), (Y, y), (LAMBDA_1, lambda_1), (LAMBDA_2, lambda_2)] {
            trace.set(column, row, value);
        }
        trace.set(INVERSE, row + 1, (gap * (xw - x)).invert().unwrap());
        let next_x = lambda_2.square() - x - xr;
        (x, y) = (next_x, lambda_2 * (x - next_x) - y);
    }
    trace.set(X, first_row + 2 * STEPS, x);
    trace.set(Y, first_row + 2 * STEPS, y);
    trace
}

/// Two starts that keep one coordinate, so that one equation alone refuses: `-H`, and `phi(H)`.
pub fn other_starts() -> [Trace; 2] {
    [restarted(|x, y| (x, -y)), restarted(|x, y| (schnorr::beta() * x, y))]
}

#[test]
fn a_chain_starts_at_one_point() {
    assert!(accepts(&restarted(|x, y| (x, y))));
    assert!(other_starts().iter().all(|trace| !accepts(trace)));
}

#[test]
fn a_chain_cannot_start_at_a_later_step() {
    let (digits, key) = honest();
    let (trace, _, start) = chain(&digits, key, |_| ());
    // The accumulator of step 10 and all that follows from it, taken from another chain.
    let mut other = digits.clone();
    other[0].variable_sign = !other[0].variable_sign;
    let (donor, _, _) = chain(&other, key, |_| ());
    let mut spliced = trace.clone();
    for row in start + 20..start + schnorr::ROWS {
        for column in (0..ADVICE).filter(|c| *c != 1) {
            spliced.set(column, row, donor.value(Cell { column, row }));
        }
    }
    assert!(!accepts(&spliced));
}

#[test]
fn chain_is_quick() {
    let (digits, key) = honest();
    let (mut trace, zero) = (Trace::new(1 << 15), Cell { column: 5, row: 0 });
    trace.alloc_rows(1);
    let start = std::time::Instant::now();
    for slot in 0..128 {
        schnorr::assign_chain(&mut trace, zero, key, &digits, ("SETTLE.1", slot));
    }
    println!("{} us a chain", start.elapsed().as_micros() / 128);
    let start = std::time::Instant::now();
    let mut permutations = Permutations::start(&mut trace, zero);
    for _ in 0..500 {
        permutations.hash4(&mut trace, [Input::Zero; 4]);
    }
    println!("{} us a permutation", start.elapsed().as_micros() / 500);
}

/// The constraint system's degree is clamped silently; only a proof that verifies shows that every gate fits.
#[test]
fn a_proof_of_both_chips_verifies() {
    let (digits, key) = honest();
    let (mut trace, _, _) = chain(&digits, key, |_| ());
    let zero = Cell { column: 5, row: 0 };
    Permutations::start(&mut trace, zero).sponge(&mut trace, Fr::ONE, &free(&elements(5)));
    let circuit = TraceCircuit(&trace);
    let params = ParamsKZG::<Bn256>::setup(K, ChaCha20Rng::seed_from_u64(1));
    let vk = keygen_vk(&params, &circuit).unwrap();
    let pk = keygen_pk(&params, vk, &circuit).unwrap();
    let mut transcript = Blake2bWrite::<_, G1Affine, Challenge255<_>>::init(Vec::new());
    create_proof::<KZGCommitmentScheme<Bn256>, ProverSHPLONK<'_, Bn256>, _, _, _, _>(
        &params,
        &pk,
        &[circuit],
        &[&[&[]]],
        ChaCha20Rng::seed_from_u64(2),
        &mut transcript,
    )
    .unwrap();
    let proof = transcript.finalize();
    let mut transcript = Blake2bRead::<_, G1Affine, Challenge255<_>>::init(proof.as_slice());
    let strategy = SingleStrategy::new(&params);
    verify_proof::<KZGCommitmentScheme<Bn256>, VerifierSHPLONK<'_, Bn256>, _, _, _>(
        &params,
        pk.get_vk(),
        strategy,
        &[&[&[]]],
        &mut transcript,
    )
    .unwrap();
}
