//! The whole way of money: in, across, out, and home from a frozen rollup.

use super::*;

#[test]
fn money_comes_in_moves_and_leaves_a_frozen_rollup() {
    let (mut world, input) = World::new();
    let first = world.settle(input);
    let mut alice = world.session(0);
    let chain = world.chain();
    assert_eq!(alice.sync(false).unwrap(), 1);
    let balance = alice.wallet.state().account().unwrap().balance;

    // A deposit, an amount that does not cross L1, a transfer, a withdrawal.
    let actor = alice.wallet.state().actor(&alice.keys.owner).unwrap();
    assert_eq!(operation::deposit::claim(&actor, 5).unwrap_err(), BuildError::NotWholeUnits { amount_nano: 5 });
    let claim = operation::deposit::claim(&actor, 700 * UNIT_NANO).unwrap();
    let paid_in = deposit(&mut alice, &chain, &claim).unwrap();
    assert_eq!(paid_in.status, "accepted");
    assert_eq!(deposit(&mut alice, &chain, &claim).unwrap().status, "duplicate", "going on with it pays nothing twice");
    assert_eq!(wait(world.l1.deposits(0)).unwrap().len(), 1);
    let (_, file, _) = send(&mut alice, owner_of(&world.members[1].owner).commitment(), [0x41; 20], 12_345).unwrap();
    let withdraw =
        operation::withdraw::build(&alice.wallet.state().actor(&alice.keys.owner).unwrap(), 300 * UNIT_NANO).unwrap();
    operate(&mut alice, &withdraw).unwrap();
    assert_eq!(alice.wallet.state().waiting().count(), 3);

    // Not on L1 before it is settled.
    let mut bob = world.session(1);
    bob.sync(false).unwrap();
    assert!(receive(&mut bob, &chain, &file).unwrap_err().to_string().contains("not on L1 yet"));
    // Money in the pool for what is paid out.
    wait(world.l1.fund_supplier_account(1_000_000)).unwrap();
    let mut second = fixture::following(&first, 2, |_| false).unwrap();
    second.operations.header.transfer = Some(Transfer { pool: Pool::SupplierIn, units: 1_000_000 });
    let second = world.settle(second);
    assert_eq!(alice.sync(false).unwrap(), 1);
    let applied: Vec<_> = alice.wallet.state().operations.iter().map(|kept| kept.progress.clone()).collect();
    assert_eq!(applied, vec![Progress::Applied(second.input.community.header.next_interval); 3]);
    let settled = second.settled[0].balance;
    assert_ne!(settled, balance);
    assert_eq!(alice.wallet.state().account().unwrap().balance, settled + 400 * UNIT_NANO - 12_345);
    assert_eq!(alice.wallet.state().open_claims(), 0);
    assert_eq!(wait(world.l1.withdrawable([0x40; 20])).unwrap(), 300 * 10_000);

    // The other takes it in; a refusal is noted, and the nonce is free again.
    bob.sync(false).unwrap();
    world.book.lock().unwrap().refuse = Some("operation.owner");
    assert!(receive(&mut bob, &chain, &file).is_err());
    assert_eq!(bob.wallet.state().operations[0].progress, Progress::Refused("operation.owner".into()));
    world.book.lock().unwrap().refuse = None;
    receive(&mut bob, &chain, &file).unwrap();
    let third = fixture::following(&second, 3, |_| false).unwrap();
    let third = world.settle(third);
    bob.sync(false).unwrap();
    assert_eq!(bob.wallet.state().account().unwrap().balance, third.settled[1].balance + 12_345);
    assert!(receive(&mut bob, &chain, &file).unwrap_err().to_string().contains("taken in already"));

    // Alice missed a settlement: her receipt opens no leaf of the last state.
    let genesis = [(9, Fr::from(77u64))];
    let stale = exit_of(alice.wallet.state(), &chain, &genesis).unwrap_err();
    assert!(matches!(stale.downcast_ref::<ExitError>(), Some(ExitError::Stale { .. })), "{stale}");
    assert!(stale.to_string().contains("for the period from 20"), "by its date: {stale}");
    alice.sync(false).unwrap();
    let late =
        operation::deposit::claim(&alice.wallet.state().actor(&alice.keys.owner).unwrap(), 5 * UNIT_NANO).unwrap();
    deposit(&mut alice, &chain, &late).unwrap();
    let exit = exit_of(alice.wallet.state(), &chain, &genesis).unwrap();
    assert_eq!(to_bytes(&exit.root), wait(world.l1.state_root()).unwrap());
    assert!(leave(&mut alice, &chain, &exit).unwrap_err().to_string().contains("not frozen"));
    // A forced withdrawal that nobody serves.
    world.l1.set_caller([0x40; 20]);
    wait(world.l1.force_withdraw(5, 0)).unwrap();
    world.l1.set_timestamp(3_000_000_000 + 8 * 24 * 3600);
    wait(world.l1.freeze(5)).unwrap();
    // A deposit that was never taken in comes back with the balance.
    let left = leave(&mut alice, &chain, &exit).unwrap();
    assert_eq!(left, Left { balance_nano: exit.balance, exited_before: false, claims: 0, refunds: 1, waiting: 0 });
    assert_eq!(alice.wallet.state().open_claims(), 0);
    let again = leave(&mut alice, &chain, &exit).unwrap();
    assert_eq!(again, Left { exited_before: true, ..Left::default() });
}

/// A member of a settled community with a deposit that was never taken in, and its exit.
fn about_to_leave() -> (World, Session, Exit) {
    let (mut world, input) = World::new();
    world.settle(input);
    let mut alice = world.session(0);
    let chain = world.chain();
    alice.sync(false).unwrap();
    world.l1.put_pool(1 << 60);
    let actor = alice.wallet.state().actor(&alice.keys.owner).unwrap();
    let claim = operation::deposit::claim(&actor, 5 * UNIT_NANO).unwrap();
    deposit(&mut alice, &chain, &claim).unwrap();
    let exit = exit_of(alice.wallet.state(), &chain, &[]).unwrap();
    (world, alice, exit)
}

/// EXIT.8: the others go on. A deposit that was never taken in is asked back, and comes after its delay.
#[test]
fn a_member_leaves_a_closed_community_while_the_rollup_lives() {
    const DAY_S: u64 = 24 * 3600;
    let (world, mut alice, exit) = about_to_leave();
    let chain = world.chain();
    let now = wait(world.l1.timestamp()).unwrap();
    world.l1.announce_closing(5).unwrap();
    assert!(leave(&mut alice, &chain, &exit).unwrap_err().to_string().contains("nor the community closed"));
    world.l1.set_timestamp(now + 14 * DAY_S);
    world.l1.close_community(5).unwrap();
    let left = leave(&mut alice, &chain, &exit).unwrap();
    assert_eq!(left, Left { balance_nano: exit.balance, exited_before: false, claims: 0, refunds: 0, waiting: 1 });
    assert_eq!(alice.wallet.state().open_claims(), 1);
    let early = leave(&mut alice, &chain, &exit).unwrap();
    assert_eq!(early, Left { exited_before: true, waiting: 1, ..Left::default() });
    world.l1.set_timestamp(now + 15 * DAY_S);
    let again = leave(&mut alice, &chain, &exit).unwrap();
    assert_eq!(again, Left { exited_before: true, refunds: 1, ..Left::default() });
    assert_eq!(alice.wallet.state().open_claims(), 0);
}

/// COUNCIL.5: the first exit closes the community. Before, `exit` asked for a frozen rollup or a closed community.
#[test]
fn a_member_leaves_when_the_verifier_is_proven_unsound() {
    let (world, mut alice, exit) = about_to_leave();
    let chain = world.chain();
    assert!(leave(&mut alice, &chain, &exit).unwrap_err().to_string().contains("nor its verifier proven unsound"));
    world.l1.prove_unsound(&world.l1.contradiction(2, 1)).unwrap();
    let poor = Exit { balance: UNIT_NANO - 1, ..exit.clone() };
    assert!(leave(&mut alice, &chain, &poor).unwrap_err().to_string().contains("a balance of a hundredth or more"));
    assert_eq!(wait(world.l1.end_of(5)).unwrap().stage, Stage::Open);
    let left = leave(&mut alice, &chain, &exit).unwrap();
    assert_eq!(left, Left { balance_nano: exit.balance, waiting: 1, ..Left::default() });
    assert_eq!(wait(world.l1.end_of(5)).unwrap().stage, Stage::Closed);
    let again = leave(&mut alice, &chain, &exit).unwrap();
    assert_eq!(again, Left { exited_before: true, waiting: 1, ..Left::default() });
}
