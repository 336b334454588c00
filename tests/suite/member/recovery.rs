//! Only the key file is precious: empty folders, old copies, and an operator that gives back what is not the member's.

mod old_copies;

use super::*;
use gridveil_api::public::Taken;
use gridveil_meter_client::{
    outbox::Period,
    recover::{Lost, Recovered},
    wallet::State,
};

/// A session that does not insist, in any folder.
fn session(world: &World, folder: &str) -> Session {
    let retry = Retry { attempts: 1, ..Retry::default() };
    let sequencer = Sequencer::new(&world.sequencer, retry).unwrap();
    let dir = world.dir.path().join(folder);
    Session::with(&world.rpc, CONTRACT, Some(sequencer), world.members[0].clone(), &dir, (5, 0)).unwrap()
}

fn recover(session: &mut Session) -> anyhow::Result<Recovered> {
    session.recover(&mut |_, _| {})
}

fn outbox(world: &World, folder: &str) -> Outbox {
    Outbox::open(&world.dir.path().join(folder), &world.members[0]).unwrap()
}

fn period(t: &Transition) -> Period {
    let first_interval = t.input.community.header.next_interval;
    Period { domain: t.input.domain, community: 5, slot: 0, first_interval }
}

fn copy(world: &World, from: &str, to: &str) {
    let (from, to) = (world.dir.path().join(from), world.dir.path().join(to));
    std::fs::create_dir(&to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Everything of a wallet that matters, in an order of its own.
fn contents(state: &State) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut operations: Vec<_> =
        state.operations.iter().map(|kept| (kept.signed.operation.nonce, kept.id(), kept.progress.clone())).collect();
    operations.sort_by_key(|(nonce, ..)| *nonce);
    let incoming: Vec<_> =
        state.incoming.iter().map(|kept| (kept.claim.commitment(), kept.source, kept.on_l1, kept.taken)).collect();
    let outgoing: Vec<_> = state.outgoing.iter().map(|claim| claim.commitment()).collect();
    let mut notes: Vec<_> =
        state.notes.iter().map(|kept| (kept.note.commitment(), kept.path.is_some(), kept.spent)).collect();
    notes.sort_by_key(|(commitment, ..)| to_bytes(commitment));
    let receipt = state.receipt.as_ref().map(|receipt| (receipt.first_interval, receipt.root));
    (receipt, operations, incoming, outgoing, notes)
}

fn withdraw(session: &mut Session, units: u64) -> SignedOperation {
    let signed = operation::withdraw::build(&session.actor().unwrap(), units * UNIT_NANO).unwrap();
    operate(session, &signed).unwrap();
    signed
}

/// The next period, with money in the pool for what is paid out.
fn next_day(world: &mut World, before: &Transition) -> Transition {
    wait(world.l1.fund_supplier_account(1_000)).unwrap();
    let mut input = fixture::following(before, 7, |_| false).unwrap();
    input.operations.header.transfer = Some(Transfer { pool: Pool::SupplierIn, units: 1_000 });
    world.settle(input)
}

/// A member that has lived: a deposit, a transfer, three settled days, and a withdrawal that waits.
fn lived() -> (World, Transition) {
    let (mut world, input) = World::new();
    let first = world.settle(input);
    let mut alice = session(&world, "0");
    alice.sync(false).unwrap();
    let claim = operation::deposit::claim(&alice.actor().unwrap(), 700 * UNIT_NANO).unwrap();
    deposit(&mut alice, &world.chain(), &claim).unwrap();
    send(&mut alice, owner_of(&world.members[1].owner).commitment(), [0x41; 20], 12_345).unwrap();
    let second = next_day(&mut world, &first);
    alice.sync(false).unwrap();
    let third = next_day(&mut world, &second);
    alice.sync(false).unwrap();
    withdraw(&mut alice, 5);
    (world, third)
}

#[test]
fn a_key_file_and_an_empty_folder_become_a_working_account() {
    let (mut world, third) = lived();
    let lost = contents(session(&world, "0").wallet.state());
    std::fs::rename(world.dir.path().join("0"), world.dir.path().join("lost")).unwrap();
    // The operator goes silent in the middle: what came back is kept, and the second run goes on.
    world.book.lock().unwrap().receipts_left = Some(2);
    let error = recover(&mut session(&world, "0")).unwrap_err().to_string();
    assert!(error.contains("not available"), "{error}");
    world.book.lock().unwrap().receipts_left = Some(1);
    let mut alice = session(&world, "0");
    let came = recover(&mut alice).unwrap();
    assert_eq!((came.receipts, came.kept, came.operations, came.missing.len()), (1, 2, 1, 0), "{came:?}");
    assert!(contents(alice.wallet.state()) == lost);
    for t in &world.book.lock().unwrap().settled {
        let [old, new] = ["lost", "0"].map(|folder| outbox(&world, folder));
        assert!(old.packet(&period(t)).unwrap().is_some());
        assert_eq!(new.packet(&period(t)).unwrap(), old.packet(&period(t)).unwrap());
        assert_eq!(new.receipt(&period(t)).unwrap(), old.receipt(&period(t)).unwrap());
    }
    // A third run asks for no receipt any more.
    let again = recover(&mut alice).unwrap();
    assert_eq!((again.receipts, again.kept, again.packets, again.operations), (0, 3, 0, 0));
    world.book.lock().unwrap().receipts_left = None;
    // It works: the next operation has the next nonce, and another day is settled.
    let next = withdraw(&mut alice, 7);
    let nonces: Vec<u32> = world.book.lock().unwrap().operations.values().map(|s| s.operation.nonce).collect();
    assert_eq!(nonces.len(), 2);
    assert!(nonces.iter().all(|nonce| *nonce <= next.operation.nonce) && nonces[0] != nonces[1]);
    let fourth = next_day(&mut world, &third);
    assert_eq!(alice.sync(false).unwrap(), 1);
    assert_eq!(alice.wallet.state().account().unwrap().balance, fourth.settled[0].balance - 12 * UNIT_NANO);
    assert!(alice.wallet.state().waiting().next().is_none());
}

fn draft(t: &Transition, import: u16) -> Draft {
    let mut context = t.input.context();
    context.first_interval += 2;
    let mut readings = t.input.packets[0].packet.readings.clone();
    readings[0].import = import;
    Draft { context, slot: 0, readings, buy_limit: Ticks(10), sell_limit: Ticks(20), scale: 1 }
}

/// What an operator changes, and the words that name it.
type Told = (&'static str, Lies, Lost);

fn lies() -> Vec<Told> {
    fn given_back(change: impl Fn(&[Transition], &mut GivenBack) + Send + 'static) -> Lies {
        Lies { given_back: Some(Box::new(change)), receipt: None }
    }
    fn receipt(change: impl Fn(&[Transition], &mut Receipt) + Send + 'static) -> Lies {
        Lies { receipt: Some(Box::new(change)), given_back: None }
    }
    fn packet(given_back: &mut GivenBack, change: impl Fn(&mut SignedPacket)) {
        given_back.packet.iter_mut().for_each(change);
    }
    vec![
        (
            "another slot",
            given_back(|settled, given_back| {
                packet(given_back, |packet| *packet = settled[1].input.packets[1].clone())
            }),
            Lost::Receipt,
        ),
        (
            "another period",
            given_back(|settled, given_back| {
                packet(given_back, |packet| *packet = settled[0].input.packets[0].clone())
            }),
            Lost::Receipt,
        ),
        (
            "altered",
            given_back(|_, given_back| packet(given_back, |packet| packet.packet.readings[0].import += 1)),
            Lost::Receipt,
        ),
        (
            "substitute",
            given_back(|_, given_back| packet(given_back, |packet| packet.packet.substituted = true)),
            Lost::Receipt,
        ),
        (
            "operation of another slot",
            given_back(|_, given_back| given_back.operations.iter_mut().for_each(|signed| signed.operation.slot = 1)),
            Lost::Operations,
        ),
        (
            "owner has not signed",
            given_back(|_, given_back| {
                given_back.operations.iter_mut().for_each(|signed| signed.operation.amount += 1)
            }),
            Lost::Operations,
        ),
        ("another slot", receipt(|settled, receipt| *receipt = Receipt::of(&settled[1], 1).unwrap()), Lost::Receipt),
        ("another period", receipt(|settled, receipt| *receipt = Receipt::of(&settled[0], 0).unwrap()), Lost::Receipt),
        ("balance differs", receipt(|_, receipt| receipt.settled.balance += 1), Lost::Receipt),
        (
            "was not signed by this account's owner",
            receipt(|_, receipt| receipt.operations.iter_mut().for_each(|signed| signed.operation.amount += 1)),
            Lost::Receipt,
        ),
    ]
}

#[test]
fn an_operator_that_gives_back_something_else_is_refused_by_name() {
    let (world, _) = lived();
    let state = contents(session(&world, "0").wallet.state());
    for (at, (words, lies, lost)) in lies().into_iter().enumerate() {
        let second = period(&world.book.lock().unwrap().settled[1]);
        world.book.lock().unwrap().lies = lies;
        let folder = format!("lied-to-{at}");
        let mut alice = session(&world, &folder);
        let came = recover(&mut alice).unwrap();
        let named = came.missing.iter().find(|missing| missing.what == lost && missing.why.contains(words));
        assert!(named.is_some(), "{words}: {came:?}");
        if lost == Lost::Operations {
            assert!(came.missing.len() == 1 && alice.wallet.state().waiting().next().is_none(), "{words}");
            assert!(alice.sync(false).unwrap_err().to_string().contains(words));
        } else {
            let outbox = outbox(&world, &folder);
            assert_eq!(outbox.receipt(&second).unwrap(), None, "{words}");
            assert_eq!(outbox.packet(&second).unwrap(), None, "{words}: nothing of it is kept");
        }
        // It tells the truth again, and all of it is there.
        world.book.lock().unwrap().lies = Lies::default();
        let came = recover(&mut alice).unwrap();
        assert!(came.missing.is_empty() && contents(alice.wallet.state()) == state, "{words}: {came:?}");
    }
}

/// L1 was reorganised under a wallet: its last receipt is of a root that is no more. That is no lie of the operator; an
/// account that does not continue is one, while L1 has both roots.
#[test]
fn a_reorganisation_of_l1_is_told_apart_from_a_wrong_account() {
    let (mut world, input) = World::new();
    let first = world.settle(input);
    let second = next_day(&mut world, &first);
    let alice = session(&world, "0");
    let sequencer = alice.sequencer.as_ref().unwrap();
    let Session { roots, keys, outbox, domains, .. } = &alice;
    let member =
        gridveil_meter_client::sync::Member { sequencer, l1: roots, keys, outbox, domains, community: 5, slot: 0 };
    let first_interval = period(&second).first_interval;
    let mut before = Receipt::of(&first, 0).unwrap();
    before.after.balance += 1;
    let error = member.statement(first_interval, Some(&before), &[]).unwrap_err().to_string();
    assert!(error.contains("the operator's answer is wrong"), "{error}");
    before.root = Fr::from(1u64);
    let (statement, _) = member.statement(first_interval, Some(&before), &[]).unwrap();
    assert!(statement.notices.iter().any(|notice| notice.contains("L1 was reorganised")));
}

/// The operator lists the last 400 periods. An old copy from before them, and an empty folder, get the others too.
#[test]
fn periods_that_are_not_listed_any_more_come_back() {
    let (mut world, input) = World::new();
    let first = world.settle(input);
    session(&world, "0").sync(false).unwrap();
    copy(&world, "0", "old");
    send(&mut session(&world, "0"), owner_of(&world.members[1].owner).commitment(), [0x41; 20], 12_345).unwrap();
    let mut last = first;
    for _ in 0..3 {
        last = next_day(&mut world, &last);
    }
    let mut newer = session(&world, "0");
    newer.sync(false).unwrap();
    world.book.lock().unwrap().unlisted = 3;
    let mut old = session(&world, "old");
    let error = old.sync(false).unwrap_err().to_string();
    assert!(error.contains("gridveil member recover") && !error.contains("answer is wrong"), "{error}");
    for (folder, mut session, kept) in [("old", old, 1), ("empty", session(&world, "empty"), 0)] {
        let came = recover(&mut session).unwrap();
        assert_eq!((came.kept, came.receipts, came.missing.len()), (kept, 4 - kept, 0), "{folder}: {came:?}");
        assert!(contents(session.wallet.state()) == contents(newer.wallet.state()), "{folder}");
    }
}

/// The account was given to another owner key. Each key file brings its own part back, and says whose the other one is.
#[test]
fn each_key_file_brings_its_part_back() {
    let (mut world, input) = World::new();
    let first = world.settle(input);
    session(&world, "0").sync(false).unwrap();
    copy(&world, "0", "old");
    let first = next_day(&mut world, &first);
    let mut alice = session(&world, "0");
    alice.sync(false).unwrap();
    let later = alice.keys.with_new_owner().unwrap();
    let signed = operation::rotate::build(&alice.actor().unwrap(), &owner_of(&later.owner), [0x77; 20], 0).unwrap();
    operate(&mut alice, &signed).unwrap();
    let second = next_day(&mut world, &first);
    next_day(&mut world, &second);
    drop(alice);
    let earlier = world.members[0].clone();
    // With the earlier key: until the rotation, and then whose it is.
    let mut with_earlier = session(&world, "empty");
    let came = recover(&mut with_earlier).unwrap();
    let [missing] = came.missing.as_slice() else { panic!("{came:?}") };
    assert!(came.receipts == 3 && missing.why.contains("was given to after this one"), "{came:?}");
    let error = with_earlier.sync(false).unwrap_err().to_string();
    assert!(error.contains("was given to after this one") && error.contains("no fault of the operator"), "{error}");
    drop(with_earlier);
    // With the present one, on top of that: all of it.
    world.members[0] = later.clone();
    let mut with_later = session(&world, "empty");
    let came = recover(&mut with_later).unwrap();
    assert!((came.kept, came.receipts, came.missing.len()) == (3, 1, 0), "{came:?}");
    assert_eq!(with_later.wallet.state().account().unwrap().payout, [0x77; 20]);
    withdraw(&mut with_later, 5);
    drop(with_later);
    // With the present one alone: from the rotation on, and that there was something before.
    let came = recover(&mut session(&world, "alone")).unwrap();
    let [missing] = came.missing.as_slice() else { panic!("{came:?}") };
    assert!(came.receipts == 2 && missing.why.contains("earlier owner key"), "{came:?}");
    // An old copy from before the rotation needs the earlier key file first, and says so.
    let error = session(&world, "old").sync(false).unwrap_err().to_string();
    assert!(error.contains("that the account had then"), "{error}");
    world.members[0] = earlier;
    assert!(session(&world, "old").sync(false).unwrap_err().to_string().contains("was given to after this one"));
    world.members[0] = later;
    let mut healed = session(&world, "old");
    assert_eq!(healed.sync(false).unwrap(), 1);
    assert_eq!(healed.wallet.state().waiting().count(), 1);
}

/// The binary, for alice, in a folder.
fn member(world: &World, folder: &str, words: &[&str], contract: &str, rpc: &str, served: bool) -> Output {
    let keys = world.dir.path().join("alice.keys");
    if !keys.exists() {
        let cost = gridveil_meter_client::key_store::Cost { memory_kib: 64, passes: 1, lanes: 1 };
        world.members[0].create(&keys, "a passphrase", cost).unwrap();
    }
    let wallet = world.dir.path().join(folder);
    let mut all = [&["member"], words, &["--rpc", rpc, "--contract", contract, "--community", "5"]].concat();
    if !words.contains(&"--slot") {
        all.extend(["--slot", "0"]);
    }
    if served {
        all.extend(["--url", &world.sequencer]);
    }
    all.extend(["--keys", keys.to_str().unwrap(), "--wallet", wallet.to_str().unwrap()]);
    gridveil(&all)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// An old answer is a receipt too: L1 says that there are newer ones.
#[test]
fn recover_says_what_it_could_not_get_and_goes_on_later() {
    let (world, _) = lived();
    let contract = hex0(CONTRACT);
    let run = |folder: &str, words: &[&str]| member(&world, folder, words, &contract, &world.rpc, true);
    let json = |output: &Output| serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
    world.book.lock().unwrap().hidden = 1;
    let partly = run("new", &["recover", "--json"]);
    assert!(!partly.status.success() && said(&partly).contains("running this again goes on"), "{}", said(&partly));
    let told = json(&partly);
    assert_eq!((&told["receipts"], &told["behind"]), (&2.into(), &1.into()), "{told}");
    assert!(told["missing"][0].as_str().unwrap().contains("does not list them"), "{told}");
    let behind = run("new", &["account"]);
    let table = String::from_utf8(behind.stdout).unwrap();
    assert!(table.contains("one period more than here"), "{table}");
    world.book.lock().unwrap().hidden = 0;
    let wholly = run("new", &["recover"]);
    let table = String::from_utf8(wholly.stdout.clone()).unwrap();
    assert!(wholly.status.success(), "{} {table}", said(&wholly));
    assert!(table.contains("1 came back, 2 were here") && table.contains("this wallet is up to date"), "{table}");
    assert!(!table.contains("did not give back"), "{table}");
    let wrong = run("other", &["recover", "--slot", "1"]);
    assert!(said(&wrong).contains("slot 0 is: --slot 0"), "{}", said(&wrong));
    let nobody = said(&member(&world, "none", &["recover"], &contract, &world.rpc, false));
    assert!(nobody.contains("give --url"), "{nobody}");
}

#[test]
fn nothing_of_another_chain_is_shown() {
    let (world, third) = lived();
    let contract = hex0(CONTRACT);
    let balance = third.after.accounts[0].balance.to_string();
    let own = member(&world, "0", &["account", "--json"], &contract, &world.rpc, false);
    assert!(String::from_utf8_lossy(&own.stdout).contains(&balance), "{}", said(&own));
    // Another contract: the folder is not begun anew, as if the account were empty.
    let other = member(&world, "0", &["account", "--json"], &hex0([0x22; 20]), &world.rpc, false);
    assert!(said(&other).contains("another chain or another contract"), "{}", said(&other));
    // The same numbers, and another chain behind them.
    let elsewhere = Arc::new(Mutex::new(Book::default()));
    let node = rpc(elsewhere);
    let other = member(&world, "0", &["account", "--json"], &contract, &node, false);
    assert!(said(&other).contains("never had the state root"), "{}", said(&other));
    assert!(other.stdout.is_empty() && !said(&other).contains(&balance));
}

/// A substitute was settled. That the meter's packet was late is no fault of the operator; that it was taken in time is
/// one.
#[test]
fn a_late_packet_is_named_as_late() {
    for (how, late) in [(Taken::Late, true), (Taken::Accepted, false)] {
        let (mut world, input) = World::new();
        let first = world.settle(input);
        let mut alice = session(&world, "0");
        alice.sync(false).unwrap();
        let second = fixture::following(&first, 2, |slot| slot == 0).unwrap();
        let of = Period { first_interval: period(&first).first_interval + 2, ..period(&first) };
        alice.outbox.sign_once(draft(&first, 5), &fixture::meter_key(0)).unwrap();
        alice.outbox.mark_delivered(&of, how).unwrap();
        world.settle_with(second, &[1]);
        let sequencer = alice.sequencer.as_ref().unwrap();
        let Session { roots, keys, outbox, domains, wallet, .. } = &alice;
        let member =
            gridveil_meter_client::sync::Member { sequencer, l1: roots, keys, outbox, domains, community: 5, slot: 0 };
        let before = wallet.state().receipt.clone();
        let (statement, _) = member.statement(of.first_interval, before.as_ref(), &[]).unwrap();
        let notices = statement.notices.join(" ");
        assert_eq!(notices.contains("was late"), late, "{notices}");
        assert_eq!(notices.contains("did not use it"), !late, "{notices}");
    }
}
