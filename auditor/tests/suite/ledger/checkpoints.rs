//! Audits that go on from what an earlier one has read.

use std::sync::atomic::{AtomicU64, Ordering};

use gridveil_auditor::{Audit, Checkpoint, CheckpointError};

use super::*;

/// Says yes, and counts what it is asked.
#[derive(Default)]
struct Counts(AtomicU64);

impl ProofVerifier for Counts {
    fn verify(&self, _: CircuitVersion, _: u32, _: &[Fr; 10], _: &[u8]) -> Result<bool, VerifierError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(true)
    }

    fn verify_certificate(&self, _: CircuitVersion, _: &[Fr; 9], proof: &[u8]) -> Result<bool, VerifierError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(proof == PROVED)
    }
}

/// The audit, its checkpoint, and how many proofs it looked at.
fn audited(told: &Told, past: Option<Checkpoint>) -> (AuditReport, Checkpoint, u64) {
    let verifier = Counts::default();
    let audit = Audit { l1: told, verifier: &verifier, genesis: &[], from_block: 0, past, progress: &|_| {} };
    let (report, checkpoint) = wait(audit.run());
    (report, checkpoint, verifier.0.into_inner())
}

/// What came before the checkpoint is neither asked for nor verified again, and all of it counts.
#[test]
fn the_next_audit_reads_only_what_came_since() {
    let (half, l1) = played();
    let told = wait(Told::by(&l1));
    let (first, checkpoint, proofs) = audited(&half, None);
    assert!(first.is_ok() && first.continued_from.is_none());
    assert_eq!(proofs, 3 + 5);
    let block = checkpoint.block.number;

    // A node that has nothing of the past any more.
    let mut young = told.clone();
    young.events.retain(|event| event.block > block);
    young.batches.retain(|batch| batch.block > block);
    young.tariffs.clear();
    young.blocks.iter_mut().filter(|one| one.number < block).for_each(|one| one.time_s = u64::MAX);
    young.deposits.iter_mut().filter(|deposit| deposit.block <= block).for_each(|deposit| deposit.units = 1);
    let (next, second, proofs) = audited(&young, Some(checkpoint.clone()));
    assert_eq!(next.failures, []);
    assert_eq!((proofs, next.continued_from), (2 + 1, Some(block)));
    let (whole, at_once, _) = audited(&told, None);
    assert_eq!((next.batches, next.proofs_verified, next.state_root), (5, 5, whole.state_root));
    assert_eq!((next.money, next.books, &next.certificates), (whole.money, whole.books, &whole.certificates));
    assert_eq!((&next.timeline, &next.subject), (&whole.timeline, &whole.subject));
    // Both lead to the same place, and tell that they did not read the same.
    assert_eq!(second.block, at_once.block);
    assert_ne!((&next.read_blake3, &checkpoint.read_blake3.to_string()), (&whole.read_blake3, &next.read_blake3));
    // Read twice, the same has the same hash.
    assert_eq!(audited(&told, None).0.read_blake3, whole.read_blake3);

    // What is wrong after the checkpoint is found, and what contradicts it.
    for lie in ["end Exited community=3 slot=3 payout=bob balance=1 amount=0", "drop Frozen", "drop DepositMade"] {
        let mut told = told.clone();
        lies::tell(&mut told, lie);
        let (report, ..) = audited(&told, Some(checkpoint.clone()));
        assert_eq!(report.is_ok(), lie == "drop DepositMade", "{lie}: {:?}", report.failures);
    }
}

/// A statement that could not be verified stays so.
#[test]
fn what_could_not_be_verified_is_not_verified_later() {
    let (mut half, l1) = played();
    let mut told = wait(Told::by(&l1));
    for told in [&mut half, &mut told] {
        lies::tell(told, "call CertificateSpent 1 inside proof 8");
    }
    let (first, checkpoint, _) = audited(&half, None);
    assert_eq!(first.unverified.len(), 1);
    let (next, ..) = audited(&told, Some(checkpoint));
    assert_eq!((next.failures.as_slice(), next.unverified.len()), (&[][..], 1));
}

#[test]
fn a_checkpoint_that_is_not_of_this_chain_is_refused() {
    let (half, l1) = played();
    let told = wait(Told::by(&l1));
    let (_, checkpoint, _) = audited(&half, None);
    let lies_on = |told: &Told| crate::common::ask(checkpoint.lies_on(told));
    assert!(lies_on(&told).is_ok());
    let edited = |edit: &dyn Fn(&mut Told)| {
        let mut told = told.clone();
        edit(&mut told);
        lies_on(&told).unwrap_err()
    };
    let place = usize::try_from(checkpoint.block.number).unwrap();
    let reorganised = edited(&|told| told.blocks[place].hash[3] ^= 1);
    assert!(matches!(reorganised, CheckpointError::OffChain { .. }), "{reorganised}");
    assert!(reorganised.to_string().contains("was reorganised, or the node lies"));
    assert!(matches!(edited(&|told| told.chain_id = 1), CheckpointError::Other { .. }));
    assert!(matches!(edited(&|told| told.contract[0] ^= 1), CheckpointError::Other { .. }));
    assert!(matches!(edited(&|told| told.blocks.truncate(place)), CheckpointError::Behind { .. }));
}

#[test]
fn a_damaged_checkpoint_is_refused() {
    let (half, _) = played();
    let (_, checkpoint, _) = audited(&half, None);
    let path = std::env::temp_dir().join(format!("gridveil-checkpoint-{}", std::process::id()));
    assert!(Checkpoint::read(&path).unwrap().is_none());
    let hash = checkpoint.write(&path).unwrap();
    assert_eq!(Checkpoint::read(&path).unwrap(), Some(checkpoint));
    let bytes = std::fs::read(&path).unwrap();
    assert!(bytes.starts_with(hash.as_bytes()));
    for (place, length) in [(0, bytes.len()), (70, bytes.len()), (bytes.len() - 1, bytes.len()), (0, 65), (0, 10)] {
        let mut bad = bytes[..length].to_vec();
        if length == bytes.len() {
            bad[place] ^= 1;
        }
        std::fs::write(&path, &bad).unwrap();
        let error = Checkpoint::read(&path).unwrap_err();
        assert!(matches!(error, CheckpointError::Damaged), "{place} {length}: {error}");
    }
    std::fs::remove_file(&path).unwrap();
}
