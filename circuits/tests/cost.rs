mod common;
use common::{input, trace};
use gridveil_protocol::{market::Mechanism, params::SHAPES, settlement::apply};

#[test]
fn rows() {
    for shape in SHAPES {
        let mut shape = shape;
        shape.k += 1;
        let start = std::time::Instant::now();
        let t = apply(input(shape, 1, Mechanism::Auction)).unwrap();
        let native = start.elapsed();
        let start = std::time::Instant::now();
        let trace = trace(&t);
        println!("{} rows {} of {} native {native:?} trace {:?}", shape.name, trace.next_row(), 1u32 << (shape.k-1), start.elapsed());
    }
}

#[test]
fn constraint_system() {
    use gridveil_circuits::settlement::SettlementCircuit;
    use halo2_proofs::plonk::{Circuit, ConstraintSystem};
    for shape in SHAPES {
        let mut meta = ConstraintSystem::default();
        SettlementCircuit::configure_with_params(&mut meta, shape);
        let degree = meta.gates().iter().flat_map(|g| g.polynomials()).map(|p| p.degree()).max();
        println!("{} degree {degree:?} advice queries {} fixed {} blinding {}", shape.name, meta.advice_queries().len(), meta.fixed_queries().len(), meta.blinding_factors());
        let mut sets = std::collections::BTreeMap::<usize, std::collections::BTreeSet<i32>>::new();
        for (c, r) in meta.advice_queries() { sets.entry(c.index()).or_default().insert(r.0); }
        println!("{sets:?}");
    }
}
