//! The commands of one member, from keys to a statement, against a scripted sequencer that settles what it is handed.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use crate::server::serve;
use clap::Parser;
use gridveil_api::public::{CommunityInfo, GivenBack, OpenPeriod};
use gridveil_meter_client::{
    cli::{Args, MeterError, run},
    device::{Device, Unlock},
    key_store::Keys,
    outbox::OutboxError,
    source::CutError,
    statement::StatementError,
    submit::ApiError,
};
use gridveil_protocol::{
    codec::packet_id,
    community::Community,
    field::{Fr, to_bytes},
    fixture::{self, Recipe},
    market::Mechanism,
    owner::owner_of,
    packet::SignedPacket,
    params::Shape,
    receipt::{Receipt, ReceiptRequest},
    settlement::{SettlementInput, Transition, apply},
    tree::SparseTree,
};

fn meter(arguments: &[&str]) -> Result<(), MeterError> {
    run(Args::try_parse_from([&["meter"], arguments].concat()).unwrap())
}

fn path(p: &Path) -> &str {
    p.to_str().unwrap()
}

/// Slot 0 is the member's; it meters in units of 10 Wh.
fn community(keys: &Keys, device: &Device) -> SettlementInput {
    let recipe = Recipe { shape: Shape::by_name("tiny-4x2").unwrap(), seed: 3, mechanism: Mechanism::Auction, used: 2 };
    let mut input = fixture::settlement(&recipe).unwrap();
    input.community.accounts[0].owner = owner_of(&keys.owner).commitment();
    input.community.accounts[0].meter = Some(device.public());
    let mut state = SparseTree::new(8);
    state.set(u64::from(input.community.index), input.community.node());
    input.state_path = state.path(u64::from(input.community.index));
    input
}

/// What the sequencer says of it before anything is settled.
fn served(community: &Community) -> CommunityInfo {
    let (header, shape) = (&community.header, community.shape);
    let open = OpenPeriod { first_interval: header.next_interval, closed: false };
    CommunityInfo {
        community: community.index,
        shape: shape.name.to_owned(),
        members: shape.members,
        intervals: header.intervals,
        interval_length: header.interval_length,
        mechanism: header.mechanism,
        mdm: header.mdm,
        next_interval: header.next_interval,
        settled: Vec::new(),
        open,
    }
}

#[derive(Default)]
struct Book {
    packet: Option<SignedPacket>,
    settled: Option<Transition>,
}

/// A key file says itself what opening it takes.
#[test]
fn a_key_file_of_a_small_device_takes_less_memory() {
    let dir = tempfile::tempdir().unwrap();
    let passphrase = dir.path().join("passphrase");
    std::fs::write(&passphrase, "correct horse\n").unwrap();
    std::fs::set_permissions(&passphrase, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    for (memory, mib) in [(None, 64u32), (Some("19"), 19), (Some("64"), 64)] {
        let keys = dir.path().join(format!("{memory:?}.keys"));
        let words = ["keygen", "--keys", path(&keys), "--passphrase-file", path(&passphrase), "--json"];
        let more: Vec<&str> = memory.iter().flat_map(|memory| ["--key-memory", memory]).collect();
        meter(&[&words, &more[..]].concat()).unwrap();
        let file = std::fs::read(&keys).unwrap();
        assert_eq!(file[4..8], (mib << 10).to_be_bytes(), "{memory:?}");
        Keys::open(&keys, "correct horse").unwrap();
    }
    // Only what somebody recommends.
    assert!(Args::try_parse_from(["meter", "keygen", "--keys", "x", "--key-memory", "1"]).is_err());
}

fn problem(status: u16, code: &str) -> (u16, String) {
    (status, format!(r#"{{"type":"about:blank","title":"refused","status":{status},"detail":"","code":"{code}"}}"#))
}

#[test]
fn keys_reading_submission_statement() {
    let dir = tempfile::tempdir().unwrap();
    let [keys, secret, file, outbox] = ["m.keys", "secret", "m.csv", "outbox"].map(|name| dir.path().join(name));
    gridveil_keystore::secret_file::create(&secret, b"a long passphrase\n").unwrap();
    let with_keys = ["--keys", path(&keys), "--passphrase-file", path(&secret)];
    meter(&[&["keygen", "--json"], &with_keys[..]].concat()).unwrap();
    assert!(matches!(meter(&[&["keygen"], &with_keys[..]].concat()), Err(MeterError::Keys { .. })));
    let opened = Keys::open(&keys, "a long passphrase").unwrap();

    let device = Device::open(&keys.with_extension("device"), Unlock::Passphrase("a long passphrase")).unwrap();

    let input = community(&opened, &device);
    let (first, domain, community) = (input.community.header.next_interval, input.domain, input.community.index);
    let start = i64::from(first) * 3600;
    std::fs::write(
        &file,
        format!("interval_start,import_wh,export_wh\n{start},500,0\n{},0,1230\n{},70,0\n", start + 3600, start + 7200),
    )
    .unwrap();
    meter(&["read", path(&file)]).unwrap();
    meter(&["read", path(&file), "--json"]).unwrap();
    meter(&["profiles"]).unwrap();

    let book = Arc::new(Mutex::new(Book::default()));
    let (shared, tariff) = (book.clone(), input.tariff.clone());
    let terms = served(&input.community);
    let (sequencer, _) = serve(Box::new(move |_, path, body| {
        let mut book = shared.lock().unwrap();
        match path {
            "/v1/info" => (
                200,
                format!(
                    r#"{{"chain_id":31337,"contract":"0x{}","domain":"0x{}","circuit_version":2}}"#,
                    "11".repeat(20),
                    hex::encode(to_bytes(&domain))
                ),
            ),
            "/v1/communities/5" => (200, serde_json::to_string(&terms).unwrap()),
            "/v1/packets" => {
                let packet: SignedPacket = serde_json::from_str(body).unwrap();
                let id = hex::encode(packet_id(&packet));
                // A retry is the same packet.
                assert!(book.packet.as_ref().is_none_or(|p| *p == packet));
                book.packet = Some(packet);
                (201, format!(r#"{{"packet_id":"{id}","status":"accepted"}}"#))
            }
            "/v1/given-back" => {
                let request: ReceiptRequest = serde_json::from_str(body).unwrap();
                let packet = book.packet.clone().filter(|p| p.packet.context.first_interval == request.first_interval);
                (200, serde_json::to_string(&GivenBack { packet, ..GivenBack::default() }).unwrap())
            }
            "/v1/receipts" => {
                let request: ReceiptRequest = serde_json::from_str(body).unwrap();
                let Some(t) = &book.settled else { return problem(404, "NOT_SETTLED") };
                if request.verify(domain, t.after.accounts[0].owner).is_err() {
                    return problem(403, "OWNER");
                }
                (200, serde_json::to_string(&Receipt::of(t, usize::from(request.slot)).unwrap()).unwrap())
            }
            _ if path.starts_with("/v1/communities/5/tariffs/") => (200, serde_json::to_string(&tariff).unwrap()),
            _ => problem(404, "NO_SUCH_PATH"),
        }
    }));

    let number = community.to_string();
    let place = ["--url", &sequencer, "--community", &number, "--slot", "0", "--outbox", path(&outbox)];
    let limits = ["--buy-limit", "2100", "--sell-limit", "800"];
    let contract = format!("0x{}", "11".repeat(20));
    let submit =
        |extra: &[&str]| meter(&[&["submit", path(&file)], &place[..], &with_keys[..], &limits[..], extra].concat());
    let at = |seconds: i64| jiff::Timestamp::from_second(seconds).unwrap();
    let clock = |seconds: i64, zone: &str| at(seconds).in_tz(zone).unwrap().strftime("%Y-%m-%dT%H:%M").to_string();
    // The period after this one, in every way that there is to write it.
    let later = start + 7200;
    for words in [
        vec!["--period", &at(later).to_string()],
        vec!["--period", &clock(later, "UTC")],
        vec!["--period", &clock(later, "Asia/Kolkata"), "--local-zone", "Asia/Kolkata"],
        // That of the file, where no other is named.
        vec!["--period", &clock(later, "Asia/Kolkata"), "--zone", "Asia/Kolkata"],
        vec!["--period", &clock(later, "UTC"), "--zone", "Asia/Kolkata", "--local-zone", "UTC"],
        vec!["--first-interval", &(first + 2).to_string()],
    ] {
        let outcome = submit(&[&["--scale", "10"], &words[..]].concat());
        assert!(
            matches!(outcome, Err(MeterError::Cut { source: CutError::Missing { position: 1, .. }, .. })),
            "{words:?}: {outcome:?}"
        );
    }
    let between = submit(&["--scale", "10", "--period", &at(start + 3600).to_string()]).unwrap_err();
    let next = format!("begin {}Z and {}Z", clock(start, "UTC"), clock(later, "UTC"));
    assert!(matches!(between, MeterError::Period(_)) && between.to_string().ends_with(&next), "{between}");
    assert!(matches!(submit(&["--scale", "10", "--chain-id", "1"]), Err(MeterError::OtherDeployment)));
    submit(&["--scale", "10", "--chain-id", "31337", "--contract", &contract]).unwrap();
    submit(&["--scale", "10"]).unwrap();
    // From an old copy of the folder, which does not know that it was handed in, the same bytes go again.
    let copy = dir.path().join("copy");
    let place_of_copy = ["--url", &sequencer, "--community", &number, "--slot", "0", "--outbox", path(&copy)];
    let submit_copy = || {
        meter(&[&["submit", path(&file)], &place_of_copy[..], &with_keys[..], &limits[..], &["--scale", "10"]].concat())
    };
    submit_copy().unwrap();
    assert_eq!(std::fs::read_dir(&copy).unwrap().count(), 2, "packet, delivered");
    // Other readings for the same period are not signed.
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace(",1230", ",1240")).unwrap();
    assert!(matches!(submit(&["--scale", "10"]), Err(MeterError::Outbox(OutboxError::AlreadySigned { .. }))));
    std::fs::remove_dir_all(&copy).unwrap();
    assert!(matches!(submit_copy(), Err(MeterError::Outbox(OutboxError::AlreadySigned { .. }))));

    let root = Arc::new(Mutex::new(Fr::from(0u64)));
    let (finalised, commitment) = (root.clone(), input.tariff.commitment());
    let (rpc, _) = serve(Box::new(move |_, _, body| {
        let request: serde_json::Value = serde_json::from_str(body).unwrap();
        let data = request["params"][0]["data"].as_str().unwrap_or("").to_owned();
        let word = |x: u64| format!("{x:064x}");
        let result = match (request["method"].as_str().unwrap(), data.len()) {
            ("eth_chainId", _) => "7a69".to_owned(),
            // registry(), then tariffInForce(7, ..) and communityOf(5) of it; any other root is not final.
            (_, 10) => word(0x7e9),
            (_, 138) => word(1) + &hex::encode(to_bytes(&commitment)),
            _ if data.ends_with(&hex::encode(to_bytes(&*finalised.lock().unwrap()))) => word(1),
            _ if data.ends_with(&word(5)) => word(1) + &word(3600) + &word(2) + &word(1) + &word(7),
            _ => word(0),
        };
        (200, format!(r#"{{"jsonrpc":"2.0","id":1,"result":"0x{result}"}}"#))
    }));
    let period = clock(start, "Europe/Vienna");
    let last = ["--rpc", &rpc, "--contract", &contract, "--period", &period, "--zone", "Europe/Vienna"];
    let statement = |extra: &[&str]| meter(&[&["statement"], &place[..], &with_keys[..], &last[..], extra].concat());
    let early = statement(&[]);
    assert!(
        matches!(early, Err(MeterError::Api(ApiError::Refused(ref p))) if p.code.as_str() == "NOT_SETTLED"),
        "{early:?}"
    );

    let mut settled = input;
    settled.packets[0] = book.lock().unwrap().packet.clone().unwrap();
    let t = apply(settled).unwrap();
    let new_root = t.instance.new_root;
    book.lock().unwrap().settled = Some(t);
    assert!(matches!(statement(&[]), Err(MeterError::Statement(StatementError::NotFinal))));
    *root.lock().unwrap() = new_root;
    statement(&[]).unwrap();
    statement(&["--json"]).unwrap();
    assert_eq!(std::fs::read_dir(&outbox).unwrap().count(), 4, "packet, delivered, tariff, receipt");

    std::fs::write(&secret, "another\n").unwrap();
    let wrong = statement(&[]).unwrap_err();
    assert!(!wrong.to_string().contains('\n') && matches!(wrong, MeterError::Keys { .. }));
}

#[test]
fn help_has_examples() {
    for command in ["keygen", "read", "watch", "profiles", "submit", "sync", "statement"] {
        let help = Args::try_parse_from(["meter", command, "--help"]).unwrap_err().to_string();
        assert!(help.contains("gridveil meter"), "{command}");
    }
}
