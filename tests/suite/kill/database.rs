//! Provers that share nothing with the sequencer but a database and a key.

use super::*;

/// A day is settled by provers that share nothing with the sequencer but a database and a key.
#[test]
fn provers_elsewhere_prove_through_a_database_and_may_be_killed_as_well() {
    const PASSWORD: &str = "a-password-nobody-says";
    if chain_is_missing() {
        return;
    }
    let Some(cluster) = postgres::Cluster::shared() else { return };
    let _turn = turn();
    let name = cluster.database();
    let url = cluster.url(&name).replace("gridveil@", &format!("gridveil:{PASSWORD}@"));
    let world = World::new().through(&url);
    let (community, admin) = (world.plan.index, Admin::new(&url.parse().unwrap()).unwrap());
    let jobs = |state: &str| admin.status().unwrap().states.iter().find(|count| count.state == state).unwrap().jobs;

    let operator = world.sequencer();
    let domain = operator.public.domain().unwrap();
    let tariff = json!({"first_interval": world.day.first_interval, "tariff": world.day.tariff});
    operator.ask("POST", &format!("/admin/v1/communities/{community}/tariffs"), &tariff);
    for slot in 0..HOMES {
        assert_eq!(operator.public.submit(&world.packet(domain, slot)).unwrap(), Taken::Accepted);
    }
    let ends = world.period_end();
    world.runtime.block_on(world.l1.set_local_time(ends)).unwrap();
    let (path, body) = world.close();
    operator.ask("POST", &path, &body);

    // Both killed while the batch is being proved.
    let mut doomed = world.prover();
    doomed.wait("a prover takes the job", PROVEN, |_| (jobs("claimed") == 1).then_some(()));
    doomed.kill();
    operator.kill();
    let mut prover = world.prover();
    prover.wait("the silent prover's job is proved by another", PROVEN, |_| (jobs("proven") == 1).then_some(()));
    assert_eq!(world.batches(), 0);
    let row = cluster
        .connect(&name)
        .unwrap()
        .query_one("SELECT attempts, payload IS NULL FROM gridveil_queue.jobs", &[])
        .unwrap();
    assert_eq!((row.get::<_, i32>(0), row.get::<_, bool>(1)), (2, true));
    let mut operator = world.sequencer();
    operator.process.wait("the batch reaches L1", SOON, |_| (world.batches() == 1).then_some(()));
    // The log has the proof, and the queue need not.
    let left = || jobs("proven") + jobs("waiting") + jobs("claimed") + jobs("poisoned");
    operator.process.wait("the job is forgotten", SOON, |_| (left() == 0).then_some(()));
    for said in [prover.said(), operator.process.said()] {
        assert!(!said.contains(PASSWORD) && !said.contains("postgres://"), "{said}");
    }
}
