//! A member against a scripted sequencer and L1 node.

use std::{path::Path, time::Duration};

use crate::server::serve;
use gridveil_api::public::Taken;
use gridveil_meter_client::{
    calendar::{PeriodAt, Periods},
    key_store::Keys,
    l1::{JsonRpc, L1Error, Roots},
    outbox::{Outbox, Period},
    packet::Draft,
    statement::{Asked, Own, Statement, StatementError, Whose, verify},
    submit::{ApiError, Problem, Retry, Sequencer},
};
use gridveil_protocol::{
    codec::packet_id,
    community::Community,
    field::{Fr, to_bytes},
    fixture::{self, Recipe},
    instance::domain,
    market::Mechanism,
    operation::{Kind, Operation, SignedOperation},
    owner::{OwnerKey, owner_of},
    packet::{Context, Reading},
    params::{Shape, UNIT_NANO},
    receipt::{Receipt, ReceiptError},
    settlement::{SettlementInput, Transition, apply},
    tariff::Tariff,
    tree::SparseTree,
    units::{Interval, Nano, Ticks},
};
use gridveil_readings::zone::Zone;

fn sequencer(url: &str) -> Sequencer {
    let retry = Retry { attempts: 4, first_pause: Duration::from_millis(1), timeout: Duration::from_secs(5) };
    Sequencer::new(url, retry).unwrap()
}

/// The statement's periods, by the clock of Vienna.
fn in_vienna(statement: &Statement) -> Periods {
    Periods::new(Some(statement.first_interval), 2, 3600, Zone::parse("Europe/Vienna").unwrap())
}

fn context() -> Context {
    Context {
        domain: domain(31337, &[0x11; 20], 2),
        community: 5,
        first_interval: Interval(48),
        interval_length: 3600,
        intervals: 2,
    }
}

fn signed(keys: &Keys, directory: &Path) -> gridveil_protocol::packet::SignedPacket {
    let readings = vec![Reading { import: 1, export: 2 }; 2];
    let draft = Draft { context: context(), slot: 1, readings, buy_limit: Ticks(3), sell_limit: Ticks(4), scale: 1 };
    Outbox::open(directory, keys).unwrap().sign_once(draft, &fixture::meter_key(1)).unwrap()
}

#[test]
fn submission_insists_with_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys::generate().unwrap();
    let packet = signed(&keys, dir.path());
    let id = hex::encode(packet_id(&packet));
    let (url, bodies) = serve(Box::new(move |n, path, _| {
        assert_eq!(path, "/v1/packets");
        match n {
            0 => (503, r#"{"type":"about:blank","title":"busy","status":503,"detail":"","code":"BUSY"}"#.into()),
            1 => (0, String::new()), // closes without an answer
            2 => (201, format!(r#"{{"packet_id":"0x{id}","status":"accepted"}}"#)),
            _ => (200, format!(r#"{{"packet_id":"{id}","status":"already\u001b known"}}"#)),
        }
    }));
    assert_eq!(sequencer(&url).submit(&packet).unwrap(), Taken::Accepted);
    // A word that this client does not know is not shown.
    assert_eq!(sequencer(&url).submit(&signed(&keys, dir.path())).unwrap(), Taken::Other);
    let bodies = bodies.lock().unwrap();
    assert_eq!(bodies.len(), 4);
    assert!(bodies.iter().all(|b| b == bodies.first().unwrap()));
    let back: gridveil_protocol::packet::SignedPacket = serde_json::from_str(bodies.first().unwrap()).unwrap();
    assert_eq!(back, packet);
}

#[test]
fn refusals_keep_their_code_and_are_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let packet = signed(&Keys::generate().unwrap(), dir.path());
    let problem = r#"{"type":"x","title":"refused","status":422,"detail":"SETTLE.2","code":"PERIOD_CLOSED"}"#;
    let (url, bodies) = serve(Box::new(move |_, _, _| (422, problem.into())));
    let Err(ApiError::Refused(problem)) = sequencer(&url).submit(&packet) else { unreachable!("refused") };
    let Problem { status, code, .. } = *problem;
    assert_eq!((status, code.as_str(), bodies.lock().unwrap().len()), (422, "PERIOD_CLOSED", 1));
    let another = format!(r#"{{"packet_id":"0x{}","status":"accepted"}}"#, "00".repeat(32));
    let (url, _) = serve(Box::new(move |_, _, _| (200, another.clone())));
    assert_eq!(sequencer(&url).submit(&packet), Err(ApiError::OtherPacket));
    for no_confirmation in ["<html>", r#"{"packet_id":"0x00","status":"accepted"}"#] {
        let (url, _) = serve(Box::new(|_, _, _| (200, no_confirmation.into())));
        assert_eq!(sequencer(&url).submit(&packet), Err(ApiError::Answer("a confirmation")));
    }
    let (url, bodies) = serve(Box::new(|_, _, _| (503, "no json".into())));
    assert!(matches!(sequencer(&url).submit(&packet), Err(ApiError::Unavailable { attempts: 4, .. })));
    assert_eq!(bodies.lock().unwrap().len(), 4);
    assert_eq!(sequencer("http://127.0.0.1:1").submit(&packet), Err(ApiError::Unreachable { attempts: 4 }));
    assert_eq!(Sequencer::new("ftp://x", Retry::default()).unwrap_err(), ApiError::Address);
}

#[test]
fn a_server_cannot_name_a_domain_that_is_not_its_own() {
    let info = |domain: Fr| {
        format!(
            r#"{{"chain_id":31337,"contract":"0x{}","domain":"0x{}","circuit_version":2}}"#,
            "11".repeat(20),
            hex::encode(to_bytes(&domain))
        )
    };
    let good = info(context().domain);
    let (url, _) = serve(Box::new(move |_, _, _| (200, good.clone())));
    assert_eq!(sequencer(&url).domain(), Ok(context().domain));
    let bad = info(Fr::from(7u64));
    let (url, _) = serve(Box::new(move |_, _, _| (200, bad.clone())));
    assert_eq!(sequencer(&url).domain(), Err(ApiError::Domain));
}

/// L1 as the member sees it.
struct Facts {
    root: Fr,
    tariff: Fr,
}

impl Roots for Facts {
    fn is_finalised(&self, root: Fr) -> Result<bool, L1Error> {
        Ok(root == self.root)
    }

    fn tariff_commitment(&self, _: u32, _: Interval) -> Result<Fr, L1Error> {
        Ok(self.tariff)
    }
}

/// A settlement whose slot 2 belongs to `owner`.
fn settled(owner: &OwnerKey, seed: u64) -> Transition {
    let recipe = Recipe { shape: Shape::by_name("tiny-4x2").unwrap(), seed, mechanism: Mechanism::Auction, used: 4 };
    let mut input = fixture::settlement(&recipe).unwrap();
    input.community.accounts[2].owner = owner.commitment();
    placed(input)
}

fn placed(mut input: SettlementInput) -> Transition {
    let mut state = SparseTree::new(8);
    state.set(u64::from(input.community.index), input.community.node());
    input.state_path = state.path(u64::from(input.community.index));
    apply(input).unwrap()
}

/// The next period after `t`, with the same readings.
fn following(t: &Transition) -> Transition {
    let mut input = t.input.clone();
    input.community = Community::clone(&t.after);
    let context = input.context();
    for slot in 0..4 {
        input.packets[slot].packet.context = context;
        for salt in &mut input.packets[slot].packet.salts.exit {
            *salt += Fr::from(1u64);
        }
        fixture::resign(&mut input, slot).unwrap();
    }
    // Slots 2 and 3 of the fixture are active in one of the two intervals only: nothing of them in this period.
    placed(input)
}

#[test]
fn statements_hold_and_every_false_fact_is_found() {
    let keys = Keys::generate().unwrap();
    let owner = owner_of(&keys.owner);
    let t = settled(&owner, 3);
    let receipt = Receipt::of(&t, 2).unwrap();
    let l1 = Facts { root: t.instance.new_root, tariff: t.input.tariff.commitment() };
    let asked = Asked { community: 5, slot: 2, first_interval: receipt.first_interval };
    let packet = t.input.packets[2].clone();
    let own = Own {
        domain: t.input.domain,
        owner: &owner,
        operations: &[],
        packet: Some(&packet),
        delivered: true,
        previous: None,
    };
    let statement = verify(&asked, &receipt, &own, &t.input.tariff, &l1).unwrap();
    assert_eq!(statement.after_nano - statement.before_nano, t.outcomes[2].delta());
    assert!(!statement.continues);
    let json: serde_json::Value = serde_json::from_str(&serde_json::to_string(&statement).unwrap()).unwrap();
    assert_eq!(json["lines"].as_array().unwrap().len(), 2);
    let table = gridveil_meter_client::cli::table(&statement, &in_vienna(&statement));
    assert!(table.contains("import Wh") && table.contains("final on L1"));
    // By the clock of the member, on lines that a terminal has.
    let begins = in_vienna(&statement).begins(statement.first_interval);
    assert!(table.contains(&begins) && begins.ends_with("+01:00") | begins.ends_with("+02:00"), "{table}");
    let figures = table.lines().take_while(|line| !line.starts_with("Every figure"));
    assert!(figures.into_iter().all(|line| line.chars().count() <= 80), "{table}");

    let check = |asked: &Asked, receipt: &Receipt, own: &Own<'_>, tariff: &Tariff, l1: &Facts| {
        verify(asked, receipt, own, tariff, l1).unwrap_err()
    };
    let tariff = &t.input.tariff;
    let edited = |edit: fn(&mut Receipt)| {
        let mut r = receipt.clone();
        edit(&mut r);
        check(&asked, &r, &own, tariff, &l1)
    };
    assert_eq!(edited(|r| r.community += 1), StatementError::Other("community"));
    assert_eq!(edited(|r| r.slot += 1), StatementError::Other("slot"));
    assert_eq!(edited(|r| r.first_interval += 2), StatementError::Other("period"));
    assert_eq!(
        edited(|r| [&mut r.before, &mut r.after].into_iter().for_each(|a| a.owner += Fr::from(1u64))),
        StatementError::NotMine
    );
    assert_eq!(
        edited(|r| [&mut r.before, &mut r.after].into_iter().for_each(|a| a.meter = None)),
        StatementError::Empty
    );
    assert_eq!(edited(|r| r.settled.salts.private[1] += Fr::from(1u64)), StatementError::Salts);
    assert!(matches!(edited(|r| r.settled.balance += 1), StatementError::Receipt(ReceiptError::Money { .. })));
    assert!(matches!(edited(|r| r.readings[0].import += 1), StatementError::Receipt(ReceiptError::Reading { .. })));
    assert!(matches!(edited(|r| r.header_leaf += Fr::from(1u64)), StatementError::Receipt(ReceiptError::Path)));
    assert_eq!(check(&asked, &receipt, &Own { packet: None, ..own }, tariff, &l1), StatementError::NoPacket);
    // The operator is accused where nothing on the member's side can make it so, and not otherwise.
    assert_eq!(edited(|r| r.settled.balance += 1).whose(), Whose::Answer);
    assert_eq!(StatementError::NoPacket.whose(), Whose::NotShown);
    assert_eq!(StatementError::NotMine.whose(), Whose::Own);
    assert_eq!(StatementError::NotFinal.whose(), Whose::L1);
    assert_eq!(check(&asked, &receipt, &own, tariff, &Facts { root: Fr::from(1u64), ..l1 }), StatementError::NotFinal);
    assert_eq!(check(&asked, &receipt, &own, tariff, &Facts { tariff: Fr::from(1u64), ..l1 }), StatementError::Tariff);
    let mut other = tariff.clone();
    other.intervals[0].cap.0 ^= 1 << 15;
    assert!(matches!(check(&asked, &receipt, &own, &other, &l1), StatementError::Tariff | StatementError::Receipt(_)));
}

#[test]
fn a_statement_continues_from_the_one_before() {
    let keys = Keys::generate().unwrap();
    // Slot 0 is active in every interval.
    let owner = owner_of(&keys.owner);
    let recipe = Recipe { shape: Shape::by_name("tiny-4x2").unwrap(), seed: 5, mechanism: Mechanism::Auction, used: 1 };
    let mut input = fixture::settlement(&recipe).unwrap();
    input.community.accounts[0].owner = owner.commitment();
    let first = placed(input);
    let second = following(&first);
    let (before, now) = (Receipt::of(&first, 0).unwrap(), Receipt::of(&second, 0).unwrap());
    let asked = Asked { community: 5, slot: 0, first_interval: now.first_interval };
    let l1 = Facts { root: second.instance.new_root, tariff: second.input.tariff.commitment() };
    let own = Own {
        domain: second.input.domain,
        owner: &owner,
        operations: &[],
        packet: Some(&second.input.packets[0]),
        delivered: true,
        previous: Some(&before),
    };
    assert!(verify(&asked, &now, &own, &second.input.tariff, &l1).unwrap().continues);
    let mut shifted = before.clone();
    shifted.after.balance += 1;
    let own = Own { previous: Some(&shifted), ..own };
    assert_eq!(verify(&asked, &now, &own, &second.input.tariff, &l1).unwrap_err(), StatementError::Continuity);

    // Kept receipts come back as they were.
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(dir.path(), &keys).unwrap();
    let period = Period { domain: first.input.domain, community: 5, slot: 0, first_interval: before.first_interval };
    assert_eq!(outbox.receipt(&period).unwrap(), None);
    outbox.keep_receipt(&period, &before).unwrap();
    assert_eq!(outbox.receipt(&period).unwrap(), Some(before));
}

#[test]
fn l1_views_are_read_word_by_word() {
    let word = |x: u64| format!("{x:064x}");
    let tariffs: Vec<(u64, u64)> = vec![(10, 100), (20, 200), (30, 300)];
    let registry = format!("0x{:040x}", 0x7e9);
    let (url, bodies) = serve(Box::new(move |_, _, body| {
        let request: serde_json::Value = serde_json::from_str(body).unwrap();
        if request["method"] == "eth_chainId" {
            return (200, r#"{"jsonrpc":"2.0","id":1,"result":"0x7a69"}"#.into());
        }
        let data = request["params"][0]["data"].as_str().unwrap().to_owned();
        let argument = |i: usize| u64::from_str_radix(&data[10 + 64 * i + 48..10 + 64 * (i + 1)], 16).unwrap();
        let words = match data.len() {
            // registry(), then tariffInForce(7, first) of it.
            10 => word(0x7e9),
            138 => {
                assert_eq!((request["params"][0]["to"].as_str(), argument(0)), (Some(registry.as_str()), 7));
                let found = tariffs.iter().rev().find(|(first, _)| *first <= argument(1));
                found.map_or(word(0).repeat(2), |(_, commitment)| word(1) + &word(*commitment))
            }
            _ if argument(0) == 5 => word(1) + &word(3600) + &word(2) + &word(1) + &word(7),
            _ if argument(0) == 6 => word(0).repeat(5),
            _ if argument(0) == 1 => word(1),
            _ if argument(0) == 2 => word(0),
            _ if argument(0) == 3 => word(2),
            _ => return (200, r#"{"jsonrpc":"2.0","id":1,"error":{"code":3,"message":"reverted"}}"#.into()),
        };
        (200, format!(r#"{{"jsonrpc":"2.0","id":1,"result":"0x{words}"}}"#))
    }));
    let l1 = JsonRpc::new(&url, [0x22; 20]).unwrap();
    assert_eq!(l1.chain_id(), Ok(31337));
    for (first, expected) in [(10, 100u64), (19, 100), (20, 200), (29, 200), (30, 300), (4_000_000, 300)] {
        assert_eq!(l1.tariff_commitment(5, Interval(first)), Ok(Fr::from(expected)), "{first}");
    }
    assert_eq!(
        l1.tariff_commitment(5, Interval(9)),
        Err(L1Error::NoTariff { community: 5, period: PeriodAt::new(Interval(9), 3600) })
    );
    assert_eq!(l1.tariff_commitment(6, Interval(9)), Err(L1Error::UnknownCommunity(6)));
    assert_eq!(l1.is_finalised(Fr::from(1u64)), Ok(true));
    assert_eq!(l1.is_finalised(Fr::from(2u64)), Ok(false));
    assert_eq!(l1.is_finalised(Fr::from(3u64)), Err(L1Error::Answer("isFinalised")));
    assert_eq!(l1.is_finalised(Fr::from(4u64)), Err(L1Error::Answer("isFinalised")));
    let asked = |body: &String| body.contains(&"22".repeat(20)) || body.contains(&format!("{:040x}", 0x7e9));
    assert!(bodies.lock().unwrap().iter().skip(1).all(asked));
    assert_eq!(bodies.lock().unwrap().iter().filter(|body| body.contains("\"data\":\"0x7b103999\"")).count(), 1);
    assert_eq!(
        JsonRpc::new("http://127.0.0.1:1", [0; 20]).unwrap().is_finalised(Fr::from(1u64)),
        Err(L1Error::Unreachable)
    );
}

/// Slot 0 of a community in whose period this member withdraws and pays a neighbour, and somebody forces a withdrawal.
fn with_operations(keys: &Keys) -> Transition {
    let recipe = Recipe { shape: Shape::by_name("tiny-4x2").unwrap(), seed: 5, mechanism: Mechanism::Auction, used: 1 };
    let mut input = fixture::settlement(&recipe).unwrap();
    let owner = owner_of(&keys.owner);
    let account = &mut input.community.accounts[0];
    (account.owner, account.balance, account.debt) = (owner.commitment(), 1_000 * UNIT_NANO, 0);
    input.community.header.totals.debt = 0;
    let nonce = account.nonce;
    let operation = |kind, nonce| Operation::new(kind, 5, 0, nonce);
    let withdraw = Operation { amount: 3 * UNIT_NANO, ..operation(Kind::Withdraw, nonce) };
    let salts = [Fr::from(1u64), Fr::from(2u64), Fr::from(0u64), Fr::from(0u64)];
    let send =
        Operation { amount: 77, party: Fr::from(9u64), payout: [4; 20], salts, ..operation(Kind::Send, nonce + 1) };
    let forced =
        SignedOperation::forced(input.domain, Operation { payout: [0xee; 20], ..operation(Kind::Forced, nonce + 2) })
            .unwrap();
    let sign = |o: Operation| o.sign(input.domain, &keys.owner, owner).unwrap();
    input.operations.slots = vec![sign(withdraw), sign(send), forced];
    placed(input)
}

#[test]
fn only_what_the_member_signed_or_nobody_must_sign_changes_the_account() {
    let keys = Keys::generate().unwrap();
    let owner = owner_of(&keys.owner);
    let t = with_operations(&keys);
    let receipt = Receipt::of(&t, 0).unwrap();
    assert_eq!(receipt.operations.len(), 3);
    let asked = Asked { community: 5, slot: 0, first_interval: receipt.first_interval };
    let l1 = Facts { root: t.instance.new_root, tariff: t.input.tariff.commitment() };
    let kept = &t.input.operations.slots[..2];
    let own = Own {
        domain: t.input.domain,
        owner: &owner,
        operations: kept,
        packet: Some(&t.input.packets[0]),
        delivered: true,
        previous: None,
    };
    let statement = verify(&asked, &receipt, &own, &t.input.tariff, &l1).unwrap();
    let changes: Vec<_> = statement.operations.iter().map(|o| (o.kind, o.change_nano, o.units)).collect();
    assert_eq!(
        changes,
        [
            (Kind::Withdraw, Nano(-3 * i128::from(UNIT_NANO)), 3),
            (Kind::Send, Nano(-77), 0),
            (Kind::Forced, Nano::ZERO, 0)
        ]
    );
    assert_eq!(statement.settled_nano + changes.iter().map(|c| c.1).sum::<Nano>(), statement.after_nano);
    let table = gridveil_meter_client::cli::table(&statement, &in_vienna(&statement));
    assert!(table.contains("withdrawal") && table.contains("sent") && table.contains("-0.030000000"));
    // An operation that the wallet has not kept, of an old copy, is taken over because the owner has signed it: no fault
    // of the operator.
    assert_eq!(statement.taken_over, 0);
    let forgotten = Own { operations: &kept[..1], ..own };
    let healed = verify(&asked, &receipt, &forgotten, &t.input.tariff, &l1).unwrap();
    assert!(healed.taken_over == 1 && healed.notices.iter().any(|notice| notice.contains("taken over")));
    // The same one altered, or signed by somebody else, is foreign, and the answer wrong.
    let stranger = Keys::generate().unwrap();
    for forge in [
        (|signed: &mut SignedOperation, _: &Keys| signed.operation.amount += 1) as fn(&mut SignedOperation, &Keys),
        |signed, stranger| {
            let operation = signed.operation;
            *signed = operation.sign(context().domain, &stranger.owner, owner_of(&stranger.owner)).unwrap();
        },
    ] {
        let mut forged = receipt.clone();
        forge(&mut forged.operations[1], &stranger);
        let error = verify(&asked, &forged, &forgotten, &t.input.tariff, &l1).unwrap_err();
        assert_eq!(error, StatementError::Foreign { index: 1, kind: Kind::Send });
        assert_eq!(error.whose(), Whose::Answer);
    }
    // Terms count with this owner's signature, although not kept; not without.
    let mut managed = receipt.clone();
    let operation = Operation { terms: Some(receipt.settled.terms), ..Operation::new(Kind::Terms, 5, 0, 9) };
    let consent = operation
        .sign(t.input.domain, &keys.owner, owner)
        .unwrap()
        .countersign(t.input.domain, &fixture::mdm_key())
        .unwrap();
    managed.operations[0] = consent.clone();
    assert!(!matches!(verify(&asked, &managed, &own, &t.input.tariff, &l1), Err(StatementError::Foreign { .. })));
    managed.operations[0].signature = managed.operations[1].signature;
    assert_eq!(
        verify(&asked, &managed, &own, &t.input.tariff, &l1),
        Err(StatementError::Foreign { index: 0, kind: Kind::Terms })
    );
    // Another slot's operation, signed or not.
    let mut moved = receipt.clone();
    moved.operations[2].operation.slot = 1;
    assert_eq!(
        verify(&asked, &moved, &own, &t.input.tariff, &l1),
        Err(StatementError::Foreign { index: 2, kind: Kind::Forced })
    );
}

#[test]
fn an_correction_rests_on_this_meters_packet() {
    let keys = Keys::generate().unwrap();
    let owner = owner_of(&keys.owner);
    let recipe = Recipe { shape: Shape::by_name("tiny-4x2").unwrap(), seed: 5, mechanism: Mechanism::Auction, used: 1 };
    let extras = fixture::Extras { correction: true, ..fixture::Extras::default() };
    let mut input = fixture::with_operations(&recipe, &[], extras).unwrap();
    input.community.accounts[0].owner = owner.commitment();
    let t = placed(input);
    let receipt = Receipt::of(&t, 0).unwrap();
    let asked = Asked { community: 5, slot: 0, first_interval: receipt.first_interval };
    let l1 = Both {
        root: t.instance.new_root,
        now: (receipt.first_interval, t.input.tariff.commitment()),
        then: receipt.correction.as_ref().unwrap().tariff.commitment(),
    };
    let own = Own {
        domain: t.input.domain,
        owner: &owner,
        operations: &[],
        packet: Some(&t.input.packets[0]),
        delivered: true,
        previous: None,
    };
    let statement = verify(&asked, &receipt, &own, &t.input.tariff, &l1).unwrap();
    let line = statement.correction.unwrap();
    assert_eq!(statement.settled_nano + line.change_nano, statement.after_nano);
    let edited = |edit: fn(&mut gridveil_protocol::correction::Correction)| {
        let mut r = receipt.clone();
        edit(r.correction.as_mut().unwrap());
        verify(&asked, &r, &own, &t.input.tariff, &l1).unwrap_err()
    };
    assert_eq!(edited(|a| a.late.packet.readings[0].import ^= 1), StatementError::Correction);
    assert_eq!(edited(|a| a.late = a.substitute.clone()), StatementError::Correction);
    assert_eq!(edited(|a| a.substitute.packet.slot = 1), StatementError::Correction);
    // The leaf waited for another substitute than this one.
    let others = StatementError::Receipt(gridveil_protocol::receipt::ReceiptError::Operations);
    assert_eq!(edited(|a| a.substitute.packet.previous_substitute = Fr::from(0u64)), others);
    assert_eq!(edited(|a| a.signer = fixture::meter_public(0)), others);
    let other = Both { then: Fr::from(1u64), ..l1 };
    assert_eq!(verify(&asked, &receipt, &own, &t.input.tariff, &other), Err(StatementError::Tariff));
}

/// L1 with a tariff of the period and one of all before.
#[derive(Clone, Copy)]
struct Both {
    root: Fr,
    now: (Interval, Fr),
    then: Fr,
}

impl Roots for Both {
    fn is_finalised(&self, root: Fr) -> Result<bool, L1Error> {
        Ok(root == self.root)
    }

    fn tariff_commitment(&self, _: u32, first_interval: Interval) -> Result<Fr, L1Error> {
        Ok(if first_interval == self.now.0 { self.now.1 } else { self.then })
    }
}
