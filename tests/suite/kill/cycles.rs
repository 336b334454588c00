//! One `kill -9` after another at random moments: while the sequencer starts, takes packets and operations, makes keys for
//! newcomers, closes, hands jobs to the prover and takes proofs, and sends to L1. The prover is killed as well.
//!
//! `GRIDVEIL_KILLS` is how many, 50 if absent; `GRIDVEIL_FUZZ_SEED` says when. 1,000 of them in `make nightly`.

use super::{
    week::{Away, Clients, Line, dice, number, teller},
    *,
};

#[test]
fn nothing_is_lost_however_often_it_is_killed() {
    if chain_is_missing() {
        return;
    }
    let _turn = turn();
    let (kills, (seed, mut dice)) = (number("GRIDVEIL_KILLS", 50), dice("kills"));
    let tell = teller();
    tell(&format!("{kills} kills, {seed}"));
    let world = World::new();
    let (_, of_clients) = week::dice("clients");
    let mut clients = Clients::new(&world, of_clients);
    let mut prover = Some(world.prover());
    let mut provers_killed = 0;
    for kill in 0..kills {
        if dice.below(8) == 0 {
            // Before it listens, perhaps.
            let starting = Process::start(&world.sequencer);
            std::thread::sleep(Duration::from_millis(dice.below(250)));
            starting.kill();
            continue;
        }
        let operator = world.sequencer();
        let line = Line::of(&operator);
        clients.recheck(&line);
        let (after, newcomer) = (Duration::from_millis(dice.below(1_000)), dice.below(20) == 0);
        std::thread::scope(|scope| {
            let (line, clients) = (&line, &mut clients);
            scope.spawn(move || {
                if newcomer {
                    clients.newcomer(line)?;
                }
                clients.go_on(line, |_| false)
            });
            std::thread::sleep(after);
            operator.kill();
        });
        if dice.below(6) == 0 {
            // Only one that serves already: its keys take it a while.
            if let Some(old) = prover.take() {
                old.kill();
                provers_killed += 1;
            }
            prover = Some(world.prover());
        }
        if kill % 100 == 99 {
            let (periods, acknowledged) = (clients.periods(), clients.acknowledged());
            tell(&format!("{} kills: {periods} periods closed, {acknowledged} acknowledged", kill + 1));
        }
    }
    tell(&format!("killed; {provers_killed} provers too; {} were turned away", clients.turned_away));
    // Something was on its way at these kills. A period is six inputs, and its proof takes as long as a few kills.
    let acknowledged = clients.acknowledged();
    assert!(
        acknowledged as u64 * 2 >= kills,
        "{seed}: {acknowledged} acknowledged between {kills} kills: nothing was tried"
    );
    clients.until_all_is_settled(world.sequencer());
    clients.account();
    tell(&format!(
        "{} periods on L1, once, with {acknowledged} acknowledged inputs; the audit is ok",
        clients.periods()
    ));
}

/// The check can fail: a sequencer that has lost what it acknowledged is found out.
#[test]
fn a_loss_is_found() {
    if chain_is_missing() {
        return;
    }
    let _turn = turn();
    let world = World::new();
    let mut clients = Clients::new(&world, dice("a loss").1);
    let empty = world.at("empty");
    let copy = |from: &Path, to: &Path| {
        let _ = std::fs::remove_dir_all(to);
        assert!(std::process::Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
    };
    copy(&world.at("log"), &empty);
    let operator = world.sequencer();
    let three = |clients: &Clients<'_>| clients.acknowledged() == 3;
    assert!(matches!(clients.go_on(&Line::of(&operator), three), Ok(()) | Err(Away)));
    operator.kill();
    // The whole directory of before, its index too: the sequencer cannot know.
    copy(&empty, &world.at("log"));
    let operator = world.sequencer();
    let line = Line::of(&operator);
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| clients.recheck(&line)));
    assert!(found.is_err(), "three packets are gone, and nobody noticed");
}
