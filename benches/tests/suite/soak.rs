//! Real proofs of the smallest shape, twenty in one process: memory does not grow, and a leak would be seen.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use crate::common::{CACHE, alone};
use gridveil_benches::{
    bar::Bar,
    soak::{Phase, Windows, batch, phase},
};
use gridveil_circuits::settlement::SettlementCircuit;
use gridveil_protocol::params::SHAPES;
use gridveil_prover::{
    job::{ProofJob, ProofResult},
    progress::{Progress, Silent},
    prover::{Prove, Prover, ProverConfig, ProverError},
};

/// Ten proofs that each kept fifteen columns of the table (2^12 rows of 32 bytes) would take more.
const BOUND_BYTES: u64 = 16 << 20;
const LEAK_BYTES: usize = 8 << 20;

/// Keeps something of every batch.
struct Leaky {
    prover: Arc<Prover<SettlementCircuit>>,
    kept: Mutex<Vec<Vec<u8>>>,
}

impl Prove for Leaky {
    fn prove_job(&self, job: &ProofJob, progress: &dyn Progress) -> Result<ProofResult, ProverError> {
        self.kept.lock().unwrap().push(vec![1; LEAK_BYTES]);
        self.prover.prove_job(job, progress)
    }
}

fn grown(phase: &Phase) -> u64 {
    let [first, last] = Windows { skipped: 4, window: 5 }.ends(&phase.memory).unwrap();
    last.saturating_sub(first)
}

#[test]
fn memory_does_not_grow_over_twenty_proofs_and_a_leak_is_seen() {
    let _alone = alone();
    let config = ProverConfig { threads: Some(2), ..ProverConfig::local(Path::new(CACHE), vec![SHAPES[0]]) };
    let prover = Arc::new(Prover::<SettlementCircuit>::open(&config, &Silent).unwrap());
    let run = |through: Arc<dyn Prove>, seeds| {
        let verify = |result: &ProofResult| Ok(prover.verify(result)?);
        phase(through, 1, seeds, |seed| batch(SHAPES[0], seed), verify, &Bar::silent()).unwrap()
    };
    let honest = run(Arc::clone(&prover) as Arc<dyn Prove>, 1..21);
    assert_eq!(honest.memory.len(), 20);
    if !cfg!(target_os = "linux") {
        return;
    }
    assert!(grown(&honest) < BOUND_BYTES, "grown by {} bytes: {:?}", grown(&honest), honest.memory);

    let leaky = Arc::new(Leaky { prover: Arc::clone(&prover), kept: Mutex::default() });
    // Twice as many as the allocator's free space could take up unseen.
    let leaked = run(leaky, 21..37);
    assert!(grown(&leaked) > BOUND_BYTES, "seven times {LEAK_BYTES} bytes were kept: {:?}", leaked.memory);
}
