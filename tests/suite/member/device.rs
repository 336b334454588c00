//! The meter's key apart from the owner's: made, shown, given to a gateway, under a token.

use std::path::PathBuf;

use gridveil_meter_client::key_store::Cost;

use super::*;

const CHEAP: Cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };
/// Debian's SoftHSM, and where others have it.
const MODULES: [&str; 2] = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"];

fn good(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn bad(output: &Output) -> String {
    let error = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(!output.status.success() && error.lines().count() == 1, "{error}");
    error
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A gateway with the device's key alone, an outbox of its own, and a file of the period that is open.
struct Gateway {
    world: World,
    device: PathBuf,
    outbox: PathBuf,
    file: PathBuf,
    next: Interval,
}

impl Gateway {
    fn new(device: &Device, lock: Lock<'_>) -> Self {
        let (mut world, input) = World::new();
        let next = world.settle(input).after.header.next_interval;
        let path = |name: &str| world.dir.path().join(name);
        let [file, outbox, own] = ["day.csv", "gateway", "meter.device"].map(path);
        device.create(&own, lock).unwrap();
        let start = i64::from(next.0) * 3600;
        let rows = format!("{start},{},500,0\n{},{},100,0\n", start + 3600, start + 3600, start + 7200);
        std::fs::write(&file, format!("interval_start,interval_end,import_wh,export_wh\n{rows}")).unwrap();
        Self { world, device: own, outbox, file, next }
    }

    fn words(&self, command: &str, more: &[&str]) -> Vec<String> {
        let place = ["--url", &self.world.sequencer, "--community", "5", "--slot", "0"];
        let signs = ["--device", text(&self.device), "--outbox", text(&self.outbox)];
        let says = ["--buy-limit", "10", "--sell-limit", "20", "--scale", "10"];
        let all = [&["meter", command, text(&self.file)], &place[..], &signs, &says, more].concat();
        all.into_iter().map(str::to_owned).collect()
    }

    fn run(&self, command: &str, more: &[&str]) -> Output {
        gridveil(&self.words(command, more).iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn sync(&self, more: &[&str]) -> Vec<String> {
        let contract = hex0(CONTRACT);
        let l1 = ["--rpc", &self.world.rpc, "--contract", &contract, "--once", "--json"];
        let said = good(&self.run("sync", &[&l1[..], more].concat()));
        let event = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["event"].clone();
        said.lines().map(|line| event(line).as_str().unwrap().to_owned()).collect()
    }
}

/// What the gateway has opens no wallet, signs no operation, and is enough for the meter. The household, elsewhere, gets its
/// packets back from the operator and checks the statement.
#[test]
fn a_gateway_has_the_devices_key_alone() {
    let device = Device::of(fixture::meter_key(0));
    let mut gateway = Gateway::new(&device, Lock::Passphrase("a passphrase", CHEAP));
    let copies = gateway.world.dir.path().join("copies");
    assert_eq!(gateway.sync(&["--backup", text(&copies)]), ["sent", "backup"]);
    assert_eq!(gateway.sync(&["--backup", text(&copies)]), [] as [&str; 0], "nothing is new");
    let copy = std::fs::read_dir(&copies).unwrap().next().unwrap().unwrap().path();
    assert!(copy.join("meter.device").exists() && !copy.join("keys").exists());
    let handed_in = gateway.world.book.lock().unwrap().handed_in.clone();
    assert!(handed_in.len() == 1 && handed_in[0].verify(&device.public()).is_ok());

    // By hand it is the same packet again.
    assert!(good(&gateway.run("submit", &[])).contains("slot 0"));
    assert_eq!(gateway.world.book.lock().unwrap().handed_in.last(), handed_in.last());

    // The household's folder has no packet of that day. Its statement holds all the same.
    let period_is = gateway.next;
    let before = gateway.world.book.lock().unwrap().settled.last().cloned().unwrap();
    let mut input = fixture::following(&before, 2, |_| false).unwrap();
    input.packets[0] = handed_in[0].clone();
    gateway.world.settle_with(input, &[1]);
    let mut alice = gateway.world.session(0);
    assert_eq!(alice.sync(false).unwrap(), 2);
    let kept = gridveil_meter_client::outbox::Period {
        domain: alice.domain,
        community: 5,
        slot: 0,
        first_interval: period_is,
    };
    assert_eq!(alice.outbox.packet(&kept).unwrap().as_ref(), handed_in.first());
    // Neither opens what the other has.
    let household = Outbox::open(&gateway.outbox, &gateway.world.members[0]).unwrap();
    assert!(household.packet(&kept).is_err());
    let of_gateway = Outbox::of_device(&gateway.world.dir.path().join("0"), &device).unwrap();
    assert!(of_gateway.packet(&kept).is_err());
}

#[test]
fn two_files_are_made_and_neither_is_taken_for_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let [keys, device, gateway] = ["home.keys", "home.device", "gateway.device"].map(path);
    let made: serde_json::Value =
        serde_json::from_str(&good(&gridveil(&["meter", "keygen", "--keys", text(&keys), "--json"]))).unwrap();
    assert!(keys.exists() && device.exists());
    let again = bad(&gridveil(&["meter", "keygen", "--keys", text(&keys)]));
    assert!(again.contains("never overwritten"), "{again}");
    let show = |words: &[&str]| gridveil(&[&["meter", "device", "--json"], words].concat());
    let shown: serde_json::Value = serde_json::from_str(&good(&show(&["--keys", text(&keys)]))).unwrap();
    assert_eq!((&shown["meter"], &shown["sealed_with"]), (&made["meter"], &serde_json::json!("passphrase")));
    let wrong = bad(&show(&["--device", text(&keys)]));
    assert!(wrong.contains("this is a household's key file"), "{wrong}");
    let none = bad(&show(&["--device", text(&path("none"))]));
    assert!(none.contains("name it with --device"), "{none}");

    let one = bad(&gridveil(&["meter", "keygen", "--keys", text(&path("one.device"))]));
    assert!(one.contains("one name for two files") && !path("one.device").exists(), "{one}");

    // A device's alone, under a passphrase of its own.
    let own = |words: &[&str]| {
        common::gridveil()
            .args(words)
            .env("GRIDVEIL_PASSPHRASE", "a passphrase")
            .env("GRIDVEIL_DEVICE_PASSPHRASE", "another")
            .output()
            .unwrap()
    };
    let words = ["meter", "keygen", "--only", "device", "--device", text(&gateway), "--json"];
    let made: serde_json::Value = serde_json::from_str(&good(&own(&words))).unwrap();
    assert!(made.get("owner").is_none() && made["meter"].is_string());
    let wrong = bad(&show(&["--device", text(&gateway)]));
    assert!(wrong.contains("wrong passphrase"), "{wrong}");
    let shown = good(&own(&["meter", "device", "--device", text(&gateway)]));
    assert!(shown.contains(made["meter"].as_str().unwrap()), "{shown}");
    // The household's alone.
    let alone = path("alone.keys");
    good(&gridveil(&["meter", "keygen", "--only", "household", "--keys", text(&alone)]));
    assert!(alone.exists() && !path("alone.device").exists());
}

/// A file of the first kind, with both keys in it, still opens: its device signs, and its folder is the one it was.
#[test]
fn a_file_with_both_keys_still_opens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("old.keys");
    let known = "47564b31000000400000000100000001111111111111111111111111111111112222222222222222222222222222222222\
                 22222222222222\
                 fcd67f9c2588aa6d7a024bd19bf895415adf0c3716a6456aaadc45344513718503b1d8f27caf8a73c4715acd276ab0f8\
                 71912244652e607a296482fd3fb63cb4b18f5fe1b096db5b2c2ce63dfaf571bb";
    let bytes: Vec<u8> =
        (0..known.len()).step_by(2).map(|at| u8::from_str_radix(&known[at..at + 2], 16).unwrap()).collect();
    std::fs::write(&path, bytes).unwrap();
    let output = common::gridveil()
        .args(["meter", "device", "--device", text(&path)])
        .env("GRIDVEIL_PASSPHRASE", "correct horse")
        .output()
        .unwrap();
    assert!(good(&output).contains("sealed with  a passphrase"));
    // Its meter's key signs; where another one lies beside, nobody guesses.
    let day = dir.path().join("day.csv");
    std::fs::write(&day, "interval_start,import_wh,export_wh\n1512432000,1,0\n1512435600,1,0\n").unwrap();
    let outbox = dir.path().join("outbox");
    let (world, _) = World::new();
    let place = ["--url", &world.sequencer, "--community", "5", "--slot", "0", "--keys", text(&path)];
    let submit = || {
        common::gridveil()
            .args([&["meter", "submit", text(&day)], &place[..], &["--outbox", text(&outbox)]].concat())
            .args(["--buy-limit", "1", "--sell-limit", "2"])
            .env("GRIDVEIL_PASSPHRASE", "correct horse")
            .output()
            .unwrap()
    };
    Device::generate().unwrap().create(&path.with_extension("device"), Lock::Passphrase("x", CHEAP)).unwrap();
    let both = bad(&submit());
    assert!(both.contains("say with --device which of them signs"), "{both}");
    std::fs::remove_file(path.with_extension("device")).unwrap();
    assert!(!String::from_utf8_lossy(&submit().stderr).contains("--device"));
}

/// What a token seals opens with it alone. No PIN is shown.
#[test]
fn a_devices_key_under_a_token_signs_with_the_token_alone() {
    let Some(module) = MODULES.iter().find(|path| Path::new(path).exists()) else {
        assert!(std::env::var_os("GRIDVEIL_REQUIRE_TOKEN").is_none(), "SoftHSM is missing");
        eprintln!("left out: SoftHSM is not on this machine (Debian: apt install softhsm2)");
        return;
    };
    let mut gateway = Gateway::new(&Device::of(fixture::meter_key(0)), Lock::Passphrase("a passphrase", CHEAP));
    let path = |name: &str| gateway.world.dir.path().join(name);
    let [tokens, config, pin] = ["tokens", "softhsm2.conf", "pin"].map(path);
    std::fs::create_dir(&tokens).unwrap();
    std::fs::write(&config, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
    gridveil_keystore::secret_file::create(&pin, b"271828\n").unwrap();
    let made = std::process::Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "gateway", "--pin", "271828", "--so-pin", "567890"])
        .env("SOFTHSM2_CONF", &config)
        .status()
        .unwrap();
    assert!(made.success());
    let with_token = |words: &[&str]| common::gridveil().args(words).env("SOFTHSM2_CONF", &config).output().unwrap();
    let token = ["--token-module", module, "--token", "gateway", "--token-pin-file", text(&pin)];
    let own = path("token.device");
    let make = ["meter", "keygen", "--only", "device", "--device", text(&own), "--json"];
    let made: serde_json::Value = serde_json::from_str(&good(&with_token(&[&make[..], &token].concat()))).unwrap();
    let show = ["meter", "device", "--device", text(&own)];
    let shown = good(&with_token(&[&show[..], &token].concat()));
    assert!(shown.contains(made["meter"].as_str().unwrap()) && shown.contains("sealed with  a token"), "{shown}");
    assert!(bad(&with_token(&show)).contains("name it with --token-module and --token"));
    let other = ["--token-module", module, "--token", "cellar", "--token-pin-file", text(&pin)];
    let none = bad(&with_token(&[&show[..], &other].concat()));
    assert!(none.contains("no token is called \"cellar\"; there is \"gateway\"") && !none.contains("271828"), "{none}");

    // With a wrong PIN nothing is made, not even the household's file.
    std::fs::remove_file(&pin).unwrap();
    gridveil_keystore::secret_file::create(&pin, b"314159\n").unwrap();
    let keys = path("half.keys");
    let output = common::gridveil()
        .args([&["meter", "keygen", "--keys", text(&keys)], &token[..]].concat())
        .env("SOFTHSM2_CONF", &config)
        .env("GRIDVEIL_PASSPHRASE", "a passphrase")
        .output()
        .unwrap();
    assert!(bad(&output).contains("refuses the PIN") && !keys.exists() && !path("half.device").exists());
    std::fs::remove_file(&pin).unwrap();
    gridveil_keystore::secret_file::create(&pin, b"271828\n").unwrap();

    // It signs a packet, and the sequencer of this test takes any: its signature is the device's.
    gateway.device = own;
    let words = gateway.words("submit", &token);
    good(&with_token(&words.iter().map(String::as_str).collect::<Vec<_>>()));
    let packet = gateway.world.book.lock().unwrap().handed_in[0].clone();
    let key: gridveil_protocol::schnorr::PublicKey = serde_json::from_value(made["meter"].clone()).unwrap();
    assert!(packet.verify(&key).is_ok());
}
