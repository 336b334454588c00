//! Native hot functions: `cargo bench -p gridveil-benches --bench native`.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use gridveil_benches::native::{batch, keys};
use gridveil_protocol::{
    field::Fr,
    market::{self, Mechanism, Rules},
    params::Shape,
    poseidon::{WIDTH, hash4, permute},
    settlement::{self, orders},
    units::Ticks,
};

fn hashing(c: &mut Criterion) {
    let mut state = [Fr::from(7u64); WIDTH];
    c.bench_function("permute", |b| b.iter(|| permute(black_box(&mut state))));
    c.bench_function("hash4", |b| b.iter(|| hash4(black_box([Fr::from(1u64); 4]))));
}

fn settling(c: &mut Criterion) {
    for name in ["home-32x24", "district-128x96"] {
        let shape = Shape::by_name(name).unwrap();
        let input = batch(shape).unwrap();
        let mut group = c.benchmark_group(name);
        let (signed, key) = (&input.packets[0], keys(&input)[0]);
        group.bench_function("packet verify", |b| b.iter(|| black_box(signed).verify(&key).unwrap()));
        let (demand, supply) = orders(&input, 0);
        let rules =
            Rules { mechanism: Mechanism::Auction, cap: Ticks::MAX, floor: Ticks::ZERO, reference: Ticks::ZERO };
        group.bench_function("market clear", |b| {
            b.iter(|| market::clear(&rules, black_box(&demand), black_box(&supply)).unwrap())
        });
        group.sample_size(10).throughput(Throughput::Elements((shape.members * shape.intervals) as u64));
        group.bench_function("apply", |b| {
            b.iter_batched(|| input.clone(), |input| settlement::apply(input).unwrap(), BatchSize::LargeInput)
        });
        group.finish();
    }
}

criterion_group!(benches, hashing, settling);
criterion_main!(benches);
