//! What nobody has to be believed: proofs, keys, rows of the database, sizes.

use super::*;

#[test]
fn what_is_no_proof_of_the_job_is_refused() {
    let Some(world) = World::new() else { return };
    let (queue, serving) = (world.queue(1), world.serving(1, LONG));
    let dir = tempfile::tempdir().unwrap();
    let config = ProverConfig { threads: Some(2), ..ProverConfig::local(dir.path(), vec![SHAPES[0]]) };
    let prover = Prover::<Toy>::open(&config, &Silent).unwrap();
    let checker = Checker::<Toy>::new(Srs::for_chain(31_337, SrsSource::InsecureDev, dir.path()).unwrap());
    let id = queue.submit(&job(1)).unwrap();
    for attempt in [1, 2, 3] {
        let claim = claimed(&serving, "liar");
        assert_eq!(claim.attempt, attempt);
        // At once: of another job, or of nothing.
        assert!(matches!(serving.hand_in(&claim, &answer(&job(2))), Err(QueueError::Contents { .. })));
        assert!(matches!(
            serving.hand_in(&claim, &ProofResult { proof: Vec::new(), ..answer(&job(1)) }),
            Err(QueueError::Contents { .. })
        ));
        assert!(matches!(
            serving.hand_in(&claim, &ProofResult { proof: vec![0; MAX_RESULT_BYTES], ..answer(&job(1)) }),
            Err(QueueError::TooLarge { .. })
        ));
        let mut result = prover.prove_job(&claim.job, &Silent).unwrap();
        if attempt == 2 {
            // By whoever asked, which has the witness still: true this time.
            assert_eq!(serving.hand_in(&claim, &result).unwrap(), HandIn::Accepted);
            checker.check(&job(1), &queue.result(id).unwrap().unwrap(), &Silent).unwrap();
            break;
        }
        result.proof[40] ^= 1;
        assert_eq!(serving.hand_in(&claim, &result).unwrap(), HandIn::Accepted);
        let taken = queue.result(id).unwrap().unwrap();
        assert!(matches!(checker.check(&job(1), &taken, &Silent), Err(ProverError::Proof(ProofError::Invalid))));
        assert!(queue.again(&job(1), Reason::InvalidProof).unwrap());
        assert!(!queue.again(&job(1), Reason::InvalidProof).unwrap(), "once");
        assert_eq!(world.payloads(), 1);
    }
    // Not for ever.
    queue.forget(id).unwrap();
    queue.submit(&job(1)).unwrap();
    world.sql("UPDATE gridveil_queue.jobs SET attempts = 3, state = 'proven', payload = NULL, result = 'x'");
    assert!(queue.again(&job(1), Reason::InvalidProof).unwrap());
    assert!(matches!(queue.state(id).unwrap(), QueueState::Poisoned { reason: Reason::InvalidProof, attempts: 3, .. }));
}

#[test]
fn a_worker_with_another_key_says_so_and_burns_nothing() {
    let Some(world) = World::new() else { return };
    let (queue, thief) = (world.queue(1), world.serving(2, LONG));
    let id = queue.submit(&job(1)).unwrap();
    assert!(thief.claim("thief").unwrap().is_none());
    assert!(matches!(thief.check_key(), Err(QueueError::OtherKey { jobs: 1 })));
    assert_eq!(
        (queue.state(id).unwrap(), world.attempts()),
        (QueueState::Waiting { workers: 0 }, 0),
        "nor is it counted as a worker"
    );
    let serving = world.serving(1, LONG);
    serving.check_key().unwrap();
    assert!(!format!("{serving:?} {:?}", world.url()).contains("gridveil-pg-"), "no address in debug output");
    let claim = claimed(&serving, "a");
    serving.finish(&claim, &answer(&claim.job)).unwrap();
    assert!(matches!(world.queue(2).result(id), Err(QueueError::Sealed { .. })));
    // A sequencer with a new key asks for what waits under the old one.
    let id = queue.submit(&job(2)).unwrap();
    world.queue(2).submit(&job(2)).unwrap();
    let claim = claimed(&thief, "b");
    assert_eq!(claim.id, id);
    world.queue(1).submit(&job(2)).unwrap();
    assert_eq!(queue.state(id).unwrap(), QueueState::Claimed, "but not what is in work");
    thief.finish(&claim, &answer(&claim.job)).unwrap();
    assert!(world.queue(2).result(id).unwrap().is_some());
}

#[test]
fn what_was_exchanged_or_damaged_is_set_aside_and_put_in_again() {
    let Some(world) = World::new() else { return };
    let (queue, serving) = (world.queue(1), world.serving(1, LONG));
    let ids = [1, 2, 3, 4].map(|batch| queue.submit(&job(batch)).unwrap());
    // The second has the third's witness; a byte of the first differs; the fourth came as another shape.
    world.sql(
        "UPDATE gridveil_queue.jobs SET payload = set_byte(payload, 100, get_byte(payload, 100) # 1) WHERE batch = 1",
    );
    world.sql("UPDATE gridveil_queue.jobs SET payload = (SELECT payload FROM gridveil_queue.jobs WHERE batch = 3) WHERE batch = 2");
    let other = Serving::new(
        &world.url(),
        SpoolKey::new([1; 32]),
        ServingConfig {
            shapes: vec!["home-32x24".into(), "tiny-4x2".into()],
            lease: LONG,
            attempts: 2,
            ..ServingConfig::default()
        },
    );
    world.sql("UPDATE gridveil_queue.jobs SET shape = 'home-32x24' WHERE batch = 4");
    assert_eq!(claimed(&serving, "w").id, ids[2]);
    assert!(other.unwrap().claim("v").unwrap().is_none());
    for id in [ids[0], ids[1], ids[3]] {
        let QueueState::Poisoned { reason: Reason::Unreadable, attempts: 1, .. } = queue.state(id).unwrap() else {
            panic!()
        };
    }
    assert!(queue.again(&job(1), Reason::Unreadable).unwrap());
    assert_eq!(claimed(&serving, "x").id, ids[0]);
}

#[test]
fn the_database_sees_no_reading() {
    let Some(world) = World::new() else { return };
    let queue = world.queue(1);
    let job = job(1);
    let id = queue.submit(&job).unwrap();
    let json = job.to_json().unwrap();
    let payload: Vec<u8> = world.sql("SELECT payload FROM gridveil_queue.jobs")[0].get(0);
    let seen: BTreeSet<&[u8]> = payload.windows(8).collect();
    let found = json.windows(8).filter(|window| seen.contains(window)).map(String::from_utf8_lossy);
    assert_eq!(found.collect::<Vec<_>>(), [""; 0], "no eight bytes of the witness");
    // What is beside it is for everybody.
    let columns = "SELECT k FROM gridveil_queue.jobs j, jsonb_object_keys(jsonb_strip_nulls(to_jsonb(j))) k ORDER BY k";
    let columns: Vec<String> = world.sql(columns).iter().map(|row| row.get(0)).collect();
    let public = [
        "attempts",
        "batch",
        "changed_at",
        "circuit_version",
        "created_at",
        "id",
        "key_id",
        "payload",
        "shape",
        "state",
    ];
    assert_eq!(columns, public);
    // Nor the same ciphertext twice.
    let again = world.queue(1);
    queue.forget(id).unwrap();
    again.submit(&job).unwrap();
    let other: Vec<u8> = world.sql("SELECT payload FROM gridveil_queue.jobs")[0].get(0);
    assert!(!other.windows(16).any(|window| payload.windows(16).any(|x| x == window)));
}

#[test]
fn what_does_not_fit_is_refused() {
    let Some(world) = World::new() else { return };
    let queue = world.queue(1);
    let recipe = Recipe { shape: SHAPES[2], seed: 1, mechanism: Mechanism::Auction, used: SHAPES[2].members };
    let largest = ProofJob::new(1, settlement(&recipe).unwrap()).to_json().unwrap().len();
    eprintln!("the largest shape's job: {largest} bytes");
    assert!(largest < MAX_JOB_BYTES / 4);
    let mut huge = job(1);
    let packet = huge.input.packets[0].clone();
    let each = serde_json::to_vec(&packet).unwrap().len() + 1;
    huge.input.packets = vec![packet; MAX_JOB_BYTES / each + 1];
    let Err(QueueError::TooLarge { bytes, limit: MAX_JOB_BYTES }) = queue.submit(&huge) else { panic!() };
    assert!(bytes > MAX_JOB_BYTES);
    // A little less, with what is around the packets.
    huge.input.packets.truncate((MAX_JOB_BYTES - 20_000) / each);
    queue.submit(&huge).unwrap();
    assert_eq!(world.payloads(), 1);
}
