//! A sequencer and provers that share a spool, killed at every step of a day.

use std::{process::Command, time::Instant};

use super::*;
use crate::common::process::wait;

/// The start is refused in one line that names the option, and leaves no log behind.
fn refused(world: &World, option: &str, value: &str, why: &str) {
    let mut args = world.sequencer.clone();
    let at = args.iter().position(|arg| arg == option).unwrap();
    args[at + 1] = value.to_owned();
    let Process { child, said } = &mut Process::start(&args);
    let said = || said.lock().unwrap().clone();
    let status = wait("a refusal", SOON, || said().join("\n"), || child.try_wait().unwrap());
    wait("the reason", SOON, String::new, || (!said().is_empty()).then_some(()));
    assert_eq!((status.code(), said().len()), (Some(1), 1), "{option}: {:?}", said());
    assert!(said()[0].starts_with(&format!("gridveil: {option}: {why}")), "{:?}", said());
    assert!(!world.at("log").exists() && !world.at("master").exists());
}

fn all_are_there(operator: &Operator, packets: &[SignedPacket]) {
    for (slot, packet) in packets.iter().enumerate() {
        assert_eq!(operator.public.submit(packet).unwrap(), Taken::Duplicate, "slot {slot} was acknowledged before");
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_settled_twice() {
    if chain_is_missing() {
        return;
    }
    let _turn = turn();
    let start = Instant::now();
    let tell = |what: &str| println!("{:5.1} s {what}", start.elapsed().as_secs_f64());
    let world = World::new();
    tell("chain deployed");
    let (community, first_interval) = (world.plan.index, world.day.first_interval);

    // What cannot work is not begun.
    refused(&world, "--rpc", "http://127.0.0.1:1", "L1 node unreachable");
    refused(
        &world,
        "--contract",
        "0x00000000000000000000000000000000000000aa",
        "malformed L1 answer: no contract at the address",
    );
    let other = world.at("other-genesis");
    let fewer = Plan { homes: world.plan.homes[1..].to_vec(), ..world.plan.clone() };
    write_secret(other.clone(), &serde_json::to_string(&[fewer.community().unwrap()]).unwrap());
    let name = other.to_str().unwrap();
    std::fs::set_permissions(&other, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    refused(&world, "--genesis", name, &format!("others may read balances and salts in {name}: chmod 600 {name}"));
    std::fs::set_permissions(&other, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    refused(&world, "--genesis", other.to_str().unwrap(), "not the state the contract started from");

    // Packets, and a kill right after some were acknowledged.
    let operator = world.sequencer();
    let domain = operator.public.domain().unwrap();
    let packets: Vec<SignedPacket> = (0..HOMES).map(|slot| world.packet(domain, slot)).collect();
    let tariff = json!({"first_interval": first_interval, "tariff": world.day.tariff});
    let published = operator.ask("POST", &format!("/admin/v1/communities/{community}/tariffs"), &tariff);
    assert_eq!(published["l1"], "registered");
    for packet in &packets[..2] {
        assert_eq!(operator.public.submit(packet).unwrap(), Taken::Accepted);
    }
    operator.kill();
    tell("sequencer killed after two packets");

    // A kill while a packet is on its way: either answer is right, but a confirmation is a promise.
    let Operator { process, public, .. } = world.sequencer();
    assert_eq!(public.submit(&packets[0]).unwrap(), Taken::Duplicate);
    let answer = std::thread::scope(|scope| {
        let answer = scope.spawn(|| public.submit(&packets[2]));
        std::thread::sleep(Duration::from_millis(3));
        process.kill();
        answer.join().unwrap()
    });
    tell(&format!("sequencer killed with a packet on its way: {answer:?}"));
    let operator = world.sequencer();
    all_are_there(&operator, &packets[..2]);
    match (answer, operator.public.submit(&packets[2]).unwrap().as_str()) {
        (Ok(_), "duplicate") | (Err(ApiError::Unreachable { .. }), "duplicate" | "accepted") => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(operator.public.submit(&packets[3]).unwrap(), Taken::Accepted);

    // Kills while the period is being closed, and right after it was.
    let ends = world.period_end();
    world.runtime.block_on(world.l1.set_local_time(ends)).unwrap();
    let (path, body) = world.close();
    let unanswered = operator.request("POST", &path, &body);
    std::thread::sleep(Duration::from_millis(20));
    operator.kill();
    drop(unanswered);
    let operator = world.sequencer();
    let applied = operator.ask("POST", &path, &body);
    operator.kill();
    let operator = world.sequencer();
    assert_eq!(operator.ask("POST", &path, &body), applied, "closed is closed");
    all_are_there(&operator, &packets);
    tell("period closed; sequencer killed in the middle and after");

    // Both killed while the batch is being proved.
    let mut prover = world.prover();
    prover.wait("a prover takes the job", PROVEN, |_| (world.spooled("claimed") == 1).then_some(()));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!((world.spooled("results"), world.batches()), (0, 0), "killed while proving");
    prover.kill();
    operator.kill();
    tell("both killed while proving");

    // Proved while there is no sequencer; then there is no prover, and nothing is proved again.
    let mut prover = world.prover();
    prover.wait("the silent prover's job is proved by another", PROVEN, |_| {
        (world.spooled("results") == 1).then_some(())
    });
    prover.wait("the claim is given up", SOON, |_| (world.spooled("claimed") == 0).then_some(()));
    prover.kill();
    tell("proved; prover killed");
    let mut operator = world.sequencer();
    operator.process.wait("the batch reaches L1", SOON, |_| (world.batches() == 1).then_some(()));
    operator.kill();
    assert_eq!(world.spooled("jobs"), 0, "not proved again");
    // Looked at in a copy: the next start must find what the kill left.
    let copy = world.at("copy");
    assert!(Command::new("cp").arg("-r").args([world.at("log"), copy.clone()]).status().unwrap().success());
    let when = if world.open(&copy).log_state.batches.is_empty() { "after" } else { "before" };
    tell(&format!("on L1; sequencer killed {when} its log says so"));

    // The end of the day.
    let operator = world.sequencer();
    let batch = wait(
        "the batch is settled in the log",
        SOON,
        || operator.process.said(),
        || {
            let status = operator.status();
            let batches = status["communities"][0]["batches"].as_array().unwrap().clone();
            assert_eq!(batches.len(), 1, "{status}");
            batches.into_iter().find(|batch| batch["step"] == "settled")
        },
    );
    all_are_there(&operator, &packets);
    let roots = JsonRpc::new(&world.anvil.url(), world.l1.contract()).unwrap();
    for (slot, packet) in packets.iter().enumerate() {
        let (home, now) = (world.plan.homes[slot], SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs());
        let owner = genesis::owner_key(home);
        let asked = Asked { community, slot: u16::try_from(slot).unwrap(), first_interval };
        let receipt = operator.public.receipt(&asked.request(domain, now, &owner).unwrap()).unwrap();
        let owner = owner_of(&owner);
        let own = Own { domain, owner: &owner, operations: &[], packet: Some(packet), delivered: true, previous: None };
        statement::verify(&asked, &receipt, &own, &operator.public.tariff(community, first_interval).unwrap(), &roots)
            .unwrap();
    }
    tell("statements verified");
    operator.stop();

    // L1 has it once, and it is what the rules make of these packets.
    let settled = world.runtime.block_on(world.l1.settled_batches(0)).unwrap();
    let root = world.runtime.block_on(world.l1.state_root()).unwrap();
    assert_eq!((settled.len(), world.batches()), (1, 1));
    assert_eq!(hex(applied["new_root"].as_str().unwrap()), root);
    if let Some(tx) = batch["tx"].as_str() {
        assert_eq!(hex(tx), settled[0].tx);
    }
    let opened = world.open(&world.at("log"));
    assert!(opened.log_state.batches.is_empty(), "nothing waits");
    // The sequencer's own randomness: salts of the header and of empty slots.
    let input = opened.store.reader().transition(domain, 1, &opened.communities[&community]).unwrap().input.clone();
    assert_eq!(input.packets[..HOMES], packets, "every acknowledged packet, as it was signed");
    let mut ledger = Ledger::new(domain, [world.plan.community().unwrap()]);
    let all = packets.iter().chain(&input.packets[HOMES..]).cloned().collect();
    ledger.settle(community, all, world.day.tariff.clone(), input.header_salts, input.operations.clone()).unwrap();
    assert_eq!(to_bytes(&ledger.root()), root, "the native rules end at another root");
    tell("the same root natively");
}
