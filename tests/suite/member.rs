//! A member's commands: their help, their refusals, and the whole way of money against a scripted sequencer and the
//! fake L1.

mod totals;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::Path,
    process::Output,
    sync::{Arc, Mutex},
};

use crate::common;
use gridveil_api::public::{CommunityInfo, OpenPeriod, SettledPeriod};
use gridveil_auditor::{HeldError, Published, TotalsError, native::NativeCertificates};
use gridveil_cli::member::{
    Chain, Left, Session, abandon, deposit, exit_of, hex0, hold, leave, operate, receive, refresh, send, spend,
};
use gridveil_meter_client::{
    key_store::Keys,
    operation::{self, BuildError},
    outbox::Outbox,
    packet::Draft,
    submit::{Retry, Sequencer},
    wallet::{ExitError, Progress, Spending},
};
use gridveil_protocol::{
    certificate::{Purpose, ShownHolding, ShownRetirement},
    codec::operation_id,
    field::{Fr, to_bytes},
    fixture::{self, Recipe},
    header_operation::{Pool, Transfer},
    market::Mechanism,
    opening::{GenesisPlace, PeriodOpening},
    operation::SignedOperation,
    owner::owner_of,
    params::{STATE_DEPTH, Shape, UNIT_NANO},
    receipt::{Receipt, ReceiptRequest},
    settlement::{SettlementInput, Transition, apply},
    tree::SparseTree,
    units::Ticks,
};
use gridveil_prover::{
    certificate::{CertificateProver, CertificateProverConfig},
    progress::Silent,
    srs::{Srs, SrsSource},
};
use gridveil_verifier_contract::{
    CertificateCall, ChainL1, CommunityParams, MemberL1, OperatorL1, QueuesL1, SettleCall, SettlementL1,
    memory::{MemoryL1, MemoryL1Config, MemoryTerms},
};

fn gridveil(arguments: &[&str]) -> Output {
    common::gridveil()
        .args(arguments)
        .env_remove("GRIDVEIL_L1_KEY")
        .env("GRIDVEIL_PASSPHRASE", "a passphrase")
        .output()
        .unwrap()
}

#[test]
fn every_command_has_help_with_an_example() {
    let own = [
        "account", "deposit", "withdraw", "send", "receive", "rotate", "close", "enrol", "replace", "terms", "collect",
        "force", "exit",
    ]
    .map(|c| format!("member {c}"));
    let certificates = ["list", "receive", "transfer", "retire", "abandon", "prove", "show"]
        .map(|c| format!("member certificate {c}"));
    let others = ["mdm sign", "mdm substitute", "mdm header", "operator close", "operator header", "operator fund"]
        .map(str::to_owned);
    let shown = [
        "member",
        "member certificate prove",
        "audit",
        "audit retirement",
        "audit totals",
        "audit open-header",
        "mdm",
        "mdm key",
        "operator",
        "operator status",
        "devnet",
        "devnet up",
        "devnet settle",
        "devnet clock",
    ];
    let mut commands: Vec<_> = shown.map(str::to_owned).to_vec();
    commands.extend(
        own.into_iter().chain(certificates.into_iter().filter(|c| c != "member certificate prove")).chain(others),
    );
    for command in commands {
        let words: Vec<_> = command.split(' ').chain(["--help"]).collect();
        let output = gridveil(&words);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{command}");
        assert!(
            ["Example:\n  gridveil ", "Examples:\n  gridveil ", "Example, in two terminals:\n  gridveil "]
                .iter()
                .any(|example| text.contains(example)),
            "{command}: {text}"
        );
        let acts = !shown.contains(&command.as_str())
            && !["account", "list", "show"].iter().any(|word| command.ends_with(word))
            && command != "member certificate receive";
        assert_eq!(text.contains("--dry-run") && text.contains("--yes"), acts, "{command}");
        assert!(!text.contains("--private"), "{command}");
    }
}

/// Every operation's page names the command that makes it, and the command has what the page says.
#[test]
fn every_operation_has_a_command() {
    let pages = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/spec/operations")).unwrap();
    let mut count = 0;
    for page in pages.map(|entry| entry.unwrap().path()) {
        let text = std::fs::read_to_string(&page).unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("Command: "))
            .unwrap_or_else(|| panic!("{}: no command", page.display()));
        let commands: Vec<_> =
            line.split('`').skip(1).step_by(2).filter_map(|words| words.strip_prefix("gridveil ")).collect();
        assert!(!commands.is_empty(), "{}", page.display());
        for command in commands {
            let (options, words): (Vec<_>, Vec<_>) = command.split(' ').partition(|word| word.starts_with("--"));
            let output = gridveil(&[&words[..], &["--help"]].concat());
            let help = String::from_utf8(output.stdout).unwrap();
            assert!(
                output.status.success() && options.iter().all(|option| help.contains(option)),
                "{}: {command}",
                page.display()
            );
            count += 1;
        }
    }
    assert!(count >= 18, "{count}");
}

#[test]
fn errors_take_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    let place = [
        "--rpc",
        "http://127.0.0.1:1",
        "--contract",
        "0x1111111111111111111111111111111111111111",
        "--community",
        "5",
        "--slot",
        "0",
    ];
    let files = ["--keys", keys.to_str().unwrap(), "--wallet", dir.path().to_str().unwrap()];
    let member = |words: &[&str]| gridveil(&[&["member"], words, &place[..], &files[..]].concat());
    for (words, text) in [
        (&["withdraw", "5.001x"][..], "amount in currency units"),
        (&["withdraw", "-5"], "unexpected argument"),
        (&["deposit", "0"], "above zero"),
        (&["deposit"], "required"),
        (&["account"], "key file"),
        (&["rotate"], "required"),
    ] {
        let output = member(words);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.lines().count() == 1 && error.contains(text), "{words:?}: {error}");
    }
    Keys::generate()
        .unwrap()
        .create(&keys, "a passphrase", gridveil_meter_client::key_store::Cost { memory_kib: 64, passes: 1, lanes: 1 })
        .unwrap();
    let output = member(&["account"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("does not answer"));
    let output = gridveil(&[
        "audit",
        "retirement",
        "missing.json",
        "--rpc",
        "http://127.0.0.1:1",
        "--contract",
        "0x1111111111111111111111111111111111111111",
    ]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("missing.json") && error.lines().count() == 1, "{error}");
}

/// Answers by path and body.
fn serve(handler: impl Fn(&str, &str) -> (u16, String) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut first, mut length) = (String::new(), 0);
            reader.read_line(&mut first).unwrap();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let (status, answer) = handler(first.split(' ').nth(1).unwrap_or(""), &String::from_utf8(body).unwrap());
            write!(
                stream,
                "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
                answer.len()
            )
            .unwrap();
        }
    });
    url
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    hex0(bytes.as_ref()).split_off(2)
}

const CONTRACT: [u8; 20] = [0x11; 20];

/// What operator and L1 have.
#[derive(Default)]
struct Book {
    settled: Vec<Transition>,
    operations: BTreeMap<String, SignedOperation>,
    refuse: Option<&'static str>,
}

fn problem(status: u16, code: &str) -> (u16, String) {
    (status, format!(r#"{{"type":"x","title":"refused","status":{status},"detail":"","code":"{code}"}}"#))
}

/// What the sequencer says of community 5.
fn served(settled: &[Transition]) -> CommunityInfo {
    let shape = Shape::by_name("tiny-4x2").unwrap();
    let next = settled.last().map_or(0, |t| t.after.header.next_interval);
    let period = |(batch, t): (u64, &Transition)| SettledPeriod {
        first_interval: t.input.community.header.next_interval,
        root: t.instance.new_root,
        batch,
        tx: None,
        block: None,
    };
    CommunityInfo {
        community: 5,
        shape: shape.name.to_owned(),
        members: shape.members,
        intervals: 2,
        interval_length: 3600,
        mechanism: Mechanism::Auction,
        mdm: fixture::mdm_key().public(),
        next_interval: next,
        settled: (1..).zip(settled).map(period).collect(),
        open: OpenPeriod { first_interval: next, received: 0, expected: 0, closed: false },
    }
}

fn sequencer(book: Arc<Mutex<Book>>, domain: Fr) -> String {
    serve(move |path, body| {
        let mut book = book.lock().unwrap();
        let contract = hex(CONTRACT);
        match path {
            "/v1/info" => (
                200,
                format!(
                    r#"{{"chain_id":31337,"contract":"0x{contract}","domain":"0x{}","circuit_version":2}}"#,
                    hex(to_bytes(&domain))
                ),
            ),
            "/v1/communities/5" => (200, serde_json::to_string(&served(&book.settled)).unwrap()),
            "/v1/receipts" => {
                let request: ReceiptRequest = serde_json::from_str(body).unwrap();
                let Some(t) =
                    book.settled.iter().find(|t| t.input.community.header.next_interval == request.first_interval)
                else {
                    return problem(404, "receipt.not_settled");
                };
                let owner = t.input.community.accounts[usize::from(request.slot)].owner;
                if request.verify(domain, owner).is_err() {
                    return problem(401, "request.signature");
                }
                (200, serde_json::to_string(&Receipt::of(t, usize::from(request.slot)).unwrap()).unwrap())
            }
            "/v1/operations" => {
                if let Some(code) = book.refuse {
                    return problem(422, code);
                }
                let signed: SignedOperation = serde_json::from_str(body).unwrap();
                let id = format!("0x{}", hex(operation_id(&signed)));
                let again = book.operations.insert(id.clone(), signed).is_some();
                (
                    if again { 200 } else { 201 },
                    format!(r#"{{"operation_id":"{id}","status":"{}"}}"#, if again { "duplicate" } else { "accepted" }),
                )
            }
            _ if path.starts_with("/v1/operations/") => match book.operations.contains_key(&path[15..]) {
                true => (200, r#"{"state":"pending"}"#.into()),
                false => problem(404, "operation.unknown"),
            },
            _ if path.starts_with("/v1/communities/5/tariffs/") => {
                let first: u32 = path.rsplit('/').next().unwrap().parse().unwrap();
                let t = book.settled.iter().find(|t| t.input.community.header.next_interval == first).unwrap();
                (200, serde_json::to_string(&t.input.tariff).unwrap())
            }
            _ => problem(404, "route.unknown"),
        }
    })
}

fn rpc(book: Arc<Mutex<Book>>) -> String {
    serve(move |_, body| {
        let book = book.lock().unwrap();
        let request: serde_json::Value = serde_json::from_str(body).unwrap();
        let data = request["params"][0]["data"].as_str().unwrap_or("").to_owned();
        let word = |x: u64| format!("{x:064x}");
        let is = |root: &Fr| data.ends_with(&hex(to_bytes(root)));
        let result = match (request["method"].as_str().unwrap(), data.len()) {
            ("eth_chainId", _) => "7a69".to_owned(),
            (_, 138) => {
                let t = &book.settled[usize::from_str_radix(&data[130..], 16).unwrap()];
                word(u64::from(t.input.community.header.next_interval)) + &hex(to_bytes(&t.instance.tariff_commitment))
            }
            _ if book.settled.iter().any(|t| is(&t.instance.new_root)) => word(1),
            _ if data.ends_with(&word(5)) => [1, 1, 3600, 2, 1, 7].map(word).concat(),
            _ if data.ends_with(&word(7)) => word(book.settled.len() as u64),
            _ => word(0),
        };
        (200, format!(r#"{{"jsonrpc":"2.0","id":1,"result":"0x{result}"}}"#))
    })
}

struct World {
    book: Arc<Mutex<Book>>,
    l1: Arc<MemoryL1>,
    state: SparseTree,
    sequencer: String,
    rpc: String,
    members: [Keys; 2],
    dir: tempfile::TempDir,
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

impl World {
    /// A tiny community with two members of ours, and the L1 that knows it from its genesis on.
    fn new() -> (Self, SettlementInput) {
        Self::seeded(5)
    }

    fn seeded(seed: u64) -> (Self, SettlementInput) {
        let recipe =
            Recipe { shape: Shape::by_name("tiny-4x2").unwrap(), seed, mechanism: Mechanism::Auction, used: 2 };
        let mut input = fixture::settlement(&recipe).unwrap();
        for (slot, account) in input.community.accounts.iter_mut().enumerate().take(2) {
            (account.balance, account.debt, account.payout) =
                (100_000 * UNIT_NANO, 0, [u8::try_from(slot).unwrap() + 0x40; 20]);
        }
        input.community.header.totals.debt = 0;
        let mut state = SparseTree::new(STATE_DEPTH);
        state.set(5, input.community.node());
        state.set(9, Fr::from(77u64));
        let l1 = Arc::new(MemoryL1::new(MemoryL1Config {
            chain_id: 31337,
            contract: CONTRACT,
            genesis_root: to_bytes(&state.root()),
            timestamp: 1_000,
            shapes: vec![(1, 4, 2)],
            circuit_version: 2,
            proof_length: None,
            enforce_future_tariffs: false,
            terms: MemoryTerms::default(),
        }));
        let params = CommunityParams {
            community: 5,
            shape: 1,
            interval_length_s: 3600,
            m: 2,
            tariff_set: 7,
            genesis_terms: [0; 32],
        };
        wait(l1.open_tariff_set(7, 3600, 2)).unwrap();
        wait(l1.register_community(params)).unwrap();
        l1.set_timestamp(3_000_000_000);
        let book = Arc::new(Mutex::new(Book::default()));
        let members = [0, 1].map(|slot| Keys { owner: fixture::owner_key(slot), meter: fixture::meter_key(slot) });
        let (sequencer, rpc) = (sequencer(book.clone(), input.domain), rpc(book.clone()));
        (Self { book, l1, state, sequencer, rpc, members, dir: tempfile::tempdir().unwrap() }, input)
    }

    fn session(&self, slot: u16) -> Session {
        let sequencer = Sequencer::new(&self.sequencer, Retry::default()).unwrap();
        let dir = self.dir.path().join(slot.to_string());
        Session::with(&self.rpc, CONTRACT, Some(sequencer), self.members[usize::from(slot)].clone(), &dir, (5, slot))
            .unwrap()
    }

    fn chain(&self) -> Chain {
        let client: Arc<dyn MemberL1> = self.l1.clone();
        Chain::new(client, Some([0xca; 20])).unwrap()
    }

    /// Both members sign their packets, and the period settles, with everything that was handed in.
    fn settle(&mut self, mut input: SettlementInput) -> Transition {
        let context = input.context();
        for slot in 0..2u16 {
            let keys = &self.members[usize::from(slot)];
            let packet = &input.packets[usize::from(slot)].packet;
            let draft = Draft {
                context,
                slot,
                readings: packet.readings.clone(),
                buy_limit: Ticks(10),
                sell_limit: Ticks(20),
                scale: packet.scale,
            };
            let outbox = Outbox::open(&self.dir.path().join(slot.to_string()), keys).unwrap();
            input.packets[usize::from(slot)] = outbox.sign_once(draft, &keys.meter).unwrap();
        }
        let mut book = self.book.lock().unwrap();
        input.operations.slots = std::mem::take(&mut book.operations).into_values().collect();
        input.operations.slots.sort_by_key(|signed| (signed.operation.slot, signed.operation.nonce));
        input.state_path = self.state.path(5);
        let t = apply(input).unwrap();
        let index = u32::try_from(book.settled.len()).unwrap();
        let first_interval = t.input.community.header.next_interval;
        wait(self.l1.register_tariff(7, first_interval, to_bytes(&t.instance.tariff_commitment))).unwrap();
        let call = SettleCall {
            circuit_version: 2,
            community: 5,
            first_interval,
            tariff_index: index,
            new_root: to_bytes(&t.instance.new_root),
            community_new: to_bytes(&t.instance.community_new),
            ops_digest: to_bytes(&t.instance.ops_digest),
            data: t.data.iter().map(to_bytes).collect(),
            proof: vec![],
        };
        wait(self.l1.settle(call)).unwrap();
        self.state.set(5, t.instance.community_new);
        book.settled.push(t.clone());
        t
    }
}

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
    assert_eq!(left, Left { balance_nano: exit.balance, exited_before: false, claims: 0, refunds: 1 });
    assert_eq!(alice.wallet.state().open_claims(), 0);
    let again = leave(&mut alice, &chain, &exit).unwrap();
    assert_eq!(again, Left { exited_before: true, ..Left::default() });
}

#[test]
fn a_wallet_is_used_by_one_process() {
    let (mut world, input) = World::new();
    world.settle(input);
    let _alice = world.session(0);
    let dir = world.dir.path().join("0");
    let again = Session::with(&world.rpc, CONTRACT, None, world.members[0].clone(), Path::new(&dir), (5, 0));
    assert!(again.unwrap_err().to_string().contains("in use"));
}

/// The binary itself: JSON, a dry run, no terminal to ask on, and the same bytes on a second try.
#[test]
fn commands_act_only_when_they_are_told_to() {
    let (mut world, input) = World::new();
    let t = world.settle(input);
    let keys = world.dir.path().join("keys");
    let cost = gridveil_meter_client::key_store::Cost { memory_kib: 64, passes: 1, lanes: 1 };
    world.members[0].create(&keys, "a passphrase", cost).unwrap();
    let wallet = world.dir.path().join("0");
    let contract = hex0(&CONTRACT);
    let place =
        ["--url", &world.sequencer, "--rpc", &world.rpc, "--contract", &contract, "--community", "5", "--slot", "0"];
    let files = ["--keys", keys.to_str().unwrap(), "--wallet", wallet.to_str().unwrap()];
    let member = |words: &[&str]| gridveil(&[&["member"], words, &place[..], &files[..]].concat());
    let json = |output: Output| {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let error = |output: Output| {
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.lines().count() == 1, "{text}");
        text
    };
    let account = json(member(&["account", "--json"]));
    assert_eq!(account["balance"].as_u64(), Some(t.after.accounts[0].balance));
    let table = String::from_utf8(member(&["account"]).stdout).unwrap();
    assert!(table.starts_with("Community 5, slot 0\n") && table.contains("balance"), "{table}");
    assert!(error(member(&["withdraw", "5.001", "--yes"])).contains("not a whole number of hundredths"));
    assert!(error(member(&["withdraw", "100000000", "--yes"])).contains("the balance is"));
    assert!(error(member(&["withdraw", "5"])).contains("not confirmed"));
    assert_eq!(json(member(&["withdraw", "5", "--dry-run", "--json"]))["dry_run"], true);
    assert!(world.book.lock().unwrap().operations.is_empty(), "nothing was handed in");
    let done = json(member(&["withdraw", "5", "--yes", "--json"]));
    assert_eq!((done["sequencer"].as_str(), done["amount"].as_u64()), (Some("accepted"), Some(500 * UNIT_NANO)));
    // The sequencer lost it: the same bytes again.
    let lost = std::mem::take(&mut world.book.lock().unwrap().operations);
    let account = json(member(&["account", "--resend", "--json"]));
    assert_eq!(account["operations"][0]["id"], done["id"]);
    assert_eq!(world.book.lock().unwrap().operations, lost);
    assert!(error(member(&["close", "--yes"])).contains("other operations wait"));
    let claim = world.dir.path().join("claim.json");
    let (owner, payout) = (hex0(&to_bytes(&owner_of(&world.members[1].owner).commitment())), hex0(&[0x41; 20]));
    json(member(&[
        "send",
        "0.5",
        "--to",
        &owner,
        "--payout",
        &payout,
        "--out",
        claim.to_str().unwrap(),
        "--yes",
        "--json",
    ]));
    assert!(claim.exists());
    assert!(error(member(&["deposit", "5", "--yes"])).contains("no L1 key"));
    let next = world.dir.path().join("next");
    json(member(&["rotate", "--new-keys", next.to_str().unwrap(), "--yes", "--json"]));
    let next = Keys::open(&next, "a passphrase").unwrap();
    assert!(
        next.meter.public() == world.members[0].meter.public()
            && next.owner.public() != world.members[0].owner.public()
    );
    assert!(json(member(&["certificate", "list", "--json"])).is_array());
    assert!(error(member(&["exit", "--yes"])).contains("no L1 key"));
    assert_eq!(world.book.lock().unwrap().operations.len(), 3);
}

/// With a real proof: a part retired under seal, what its holder shows, and the rest as a new note that waits for its
/// settlement.
#[test]
fn a_certificate_is_retired_and_an_auditor_agrees() {
    let (world, mut alice) = (0..40)
        .find_map(|seed| {
            let (mut world, input) = World::seeded(seed);
            let t = world.settle(input);
            (t.notes[0].amount > 10).then(|| {
                let session = world.session(0);
                (world, session)
            })
        })
        .unwrap();
    alice.sync(false).unwrap();
    let chain = world.chain();
    let note = alice.wallet.state().notes[0].clone();
    let cache = tempfile::tempdir().unwrap();
    let prover = CertificateProver::open(&CertificateProverConfig::local(cache.path().to_owned()), &Silent).unwrap();
    let spending = Spending::Retire {
        amount_wh: 4,
        beneficiary: Fr::from(0xbeefu64),
        purpose: Purpose::Consumption,
        sealed: true,
    };
    let spent = spend(&mut alice, &chain, &prover, &note, &spending).unwrap();
    assert!(spent.tx.is_some());
    let kept = alice.wallet.state().retirements[0].clone();
    let shown = ShownRetirement::new(31337, CONTRACT, kept.sealed, kept.statement);
    assert!(chain.wait_for(gridveil_auditor::retirement(chain.client(), &shown, 0)).unwrap().sealed);
    let (old, rest) = (&alice.wallet.state().notes[0], &alice.wallet.state().notes[1]);
    assert!(old.spent && rest.path.is_none() && rest.note.amount == note.note.amount - 4);
    // Nothing is spent twice, and nothing without a path.
    for note in [old.clone(), rest.clone()] {
        assert!(spend(&mut alice, &chain, &prover, &note, &spending).is_err());
    }
    refresh(&mut alice, &chain).unwrap();
}

fn prover() -> (tempfile::TempDir, CertificateProver) {
    let cache = tempfile::tempdir().unwrap();
    let prover = CertificateProver::open(&CertificateProverConfig::local(cache.path().to_owned()), &Silent).unwrap();
    (cache, prover)
}

/// A world whose first member has a certificate of more than 10 Wh.
fn with_certificate() -> (World, Transition) {
    (0..40)
        .find_map(|seed| {
            let (mut world, input) = World::seeded(seed);
            let t = world.settle(input);
            (t.notes[0].amount > 10).then_some((world, t))
        })
        .unwrap()
}

/// A proof that was sent and given up lands when the note was about to be spent otherwise: the wallet has what came of
/// it.
#[test]
fn an_abandoned_spending_that_lands_is_recovered() {
    let (world, _) = with_certificate();
    let (_cache, prover) = prover();
    let mut alice = world.session(0);
    let chain = world.chain();
    alice.sync(false).unwrap();
    let note = alice.wallet.state().notes[0].clone();
    assert!(abandon(&mut alice, &chain, &note).unwrap_err().to_string().contains("not being spent"));
    let retire = |amount_wh, sealed| Spending::Retire {
        amount_wh,
        beneficiary: Fr::from(0xbeefu64),
        purpose: Purpose::Consumption,
        sealed,
    };
    let plan = alice.wallet.state().plan(&note, &alice.deployment, &alice.keys.owner, &retire(3, true)).unwrap();
    alice.wallet.keep_spend(&plan, &alice.keys.owner).unwrap();
    let sent = prover.prove(&plan.clone().sign(&alice.keys.owner).unwrap()).unwrap();
    abandon(&mut alice, &chain, &note).unwrap();
    refresh(&mut alice, &chain).unwrap();
    assert_eq!((alice.wallet.state().notes.len(), alice.wallet.state().notes[0].spent), (1, false));
    wait(world.l1.certify(CertificateCall::new(&sent.instance, sent.proof.clone()).unwrap())).unwrap();
    // Another spending is refused, and the one that landed is found.
    let error = spend(&mut alice, &chain, &prover, &note, &retire(4, false)).unwrap_err().to_string();
    assert!(error.contains("another spending"), "{error}");
    let state = alice.wallet.state();
    assert_eq!(
        state
            .retirements
            .iter()
            .map(|kept| (kept.statement.amount, kept.sealed, kept.tx.is_some()))
            .collect::<Vec<_>>(),
        [(3, true, true)]
    );
    assert_eq!(
        state.notes.iter().map(|kept| (kept.note.amount, kept.spent)).collect::<Vec<_>>(),
        [(note.note.amount, true), (note.note.amount - 3, false)]
    );
    let shown = ShownRetirement::new(31337, CONTRACT, true, state.retirements[0].statement.clone());
    assert!(chain.wait_for(gridveil_auditor::retirement(chain.client(), &shown, 0)).unwrap().sealed);
    let spent = state.notes[0].clone();
    assert!(abandon(&mut alice, &chain, &spent).unwrap_err().to_string().contains("L1 has a spending"));
}
