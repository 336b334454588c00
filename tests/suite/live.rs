//! A rollup as its people use it: `gridveil devnet` as one process, and every command of members, meter data manager, operator and
//! auditor as another, against a real chain and a real sequencer with real proofs. From enrolment to the day the
//! operator goes silent and everybody leaves.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use crate::common;
use gridveil_cli::member::hex0;
use gridveil_verifier_contract::address_of;
use serde_json::{Value, json};

/// Keys are made where there are none yet: on a busy machine.
const UP_WITHIN: Duration = Duration::from_secs(600);
const PASSPHRASE: &str = "a passphrase of the test";

/// A devnet's process, interrupted when it is dropped: it takes its chain with it.
struct Net {
    child: Child,
    dir: PathBuf,
}

impl Net {
    fn up(dir: &Path) -> Self {
        let dir = dir.join("net");
        let child = common::gridveil()
            .args(["devnet", "up", "--dir", dir.to_str().unwrap(), "--members", "3", "--cache"])
            .arg(common::cache())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut net = Self { child, dir };
        let start = Instant::now();
        while !net.dir.join("devnet.json").exists() {
            assert!(net.child.try_wait().unwrap().is_none(), "the devnet ended");
            assert!(start.elapsed() < UP_WITHIN, "the devnet is not up");
            std::thread::sleep(Duration::from_millis(50));
        }
        net
    }

    fn file(&self, name: &str) -> String {
        self.dir.join(name).to_str().unwrap().to_owned()
    }

    fn info(&self, name: &str) -> String {
        let json: Value = serde_json::from_slice(&std::fs::read(self.dir.join("devnet.json")).unwrap()).unwrap();
        json[name].as_str().unwrap().to_owned()
    }

    fn active_from(&self) -> u64 {
        let json: Value = serde_json::from_slice(&std::fs::read(self.dir.join("devnet.json")).unwrap()).unwrap();
        json["active_from"].as_u64().unwrap()
    }

    /// Where L1 is: of every command that asks it.
    fn l1(&self) -> Vec<String> {
        ["--rpc", &self.info("rpc"), "--contract", &self.info("contract")].map(str::to_owned).to_vec()
    }

    /// A period passes in one community: number of substitutes.
    fn settle(&self, community: u32) -> u64 {
        let community = community.to_string();
        let settled =
            good(&["devnet", "settle", "--dir", self.dir.to_str().unwrap(), "--community", &community, "--json"]);
        settled[0]["substituted"].as_u64().unwrap()
    }

    fn mdm(&self, words: &[&str]) -> Value {
        let l1 = self.l1();
        let (keys, passphrase) = (self.file("mdm.keys"), self.file("mdm.passphrase"));
        let key = ["--keys", &keys, "--passphrase-file", &passphrase];
        good(
            &[&["mdm"], words, &l1.iter().map(String::as_str).collect::<Vec<_>>(), &key, &["--yes", "--json"]].concat(),
        )
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

fn gridveil(words: &[&str]) -> Output {
    common::gridveil()
        .args(words)
        .env_remove("GRIDVEIL_L1_KEY")
        .env("GRIDVEIL_PASSPHRASE", PASSPHRASE)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The JSON of a command that succeeds.
fn good(words: &[&str]) -> Value {
    let output = gridveil(words);
    assert!(output.status.success(), "gridveil {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("gridveil {}: no JSON", words.join(" ")))
}

/// The one line of a command that refuses.
fn refused(words: &[&str]) -> String {
    let output = gridveil(words);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.lines().count() == 1, "gridveil {}: {error}", words.join(" "));
    error
}

/// A member at home.
struct Member<'a> {
    net: &'a Net,
    community: u32,
    slot: u16,
    keys: String,
    wallet: String,
    l1_key: String,
}

impl<'a> Member<'a> {
    /// Makes its keys.
    fn new(net: &'a Net, dir: &Path, number: usize, (community, slot): (u32, u16)) -> Self {
        let path = |name: &str| dir.join(format!("{name}-{number}")).to_str().unwrap().to_owned();
        let member = Self {
            net,
            community,
            slot,
            keys: path("keys"),
            wallet: path("wallet"),
            l1_key: net.file(&format!("l1-{number}.key")),
        };
        good(&["meter", "keygen", "--keys", &member.keys, "--json"]);
        member
    }

    fn payout(&self) -> String {
        hex0(&address_of(&std::fs::read_to_string(&self.l1_key).unwrap()).unwrap())
    }

    fn words(&self, words: &[&str], more: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = [&["member"], words].concat().iter().map(|word| (*word).to_owned()).collect();
        all.extend(self.net.l1());
        let (community, slot) = (self.community.to_string(), self.slot.to_string());
        all.extend(
            ["--community", &community, "--slot", &slot, "--keys", &self.keys, "--wallet", &self.wallet, "--json"]
                .map(str::to_owned),
        );
        all.extend(more.iter().map(|word| (*word).to_owned()));
        all
    }

    fn run(&self, words: &[&str], more: &[&str]) -> Value {
        good(&self.words(words, more).iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn fails(&self, words: &[&str], more: &[&str]) -> String {
        refused(&self.words(words, more).iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// What needs no answer, through the sequencer.
    fn look(&self, words: &[&str]) -> Value {
        self.run(words, &["--url", &self.net.info("url")])
    }

    /// What is confirmed, through the sequencer.
    fn act(&self, words: &[&str]) -> Value {
        self.run(words, &["--url", &self.net.info("url"), "--yes"])
    }

    /// The same, refused.
    fn cannot(&self, words: &[&str]) -> String {
        self.fails(words, &["--url", &self.net.info("url"), "--yes"])
    }

    /// What is confirmed and paid for on L1.
    fn pay(&self, words: &[&str]) -> Value {
        self.run(words, &["--url", &self.net.info("url"), "--yes", "--l1-key", &self.l1_key])
    }

    /// With L1 alone.
    fn alone(&self, words: &[&str]) -> Value {
        self.run(words, &["--yes", "--l1-key", &self.l1_key])
    }

    fn balance(&self) -> u64 {
        self.look(&["account"])["balance_nano"].as_u64().unwrap()
    }

    /// The meter hands a day in: readings of a real home.
    fn submit(&self, home: u16, first_interval: Option<u64>) -> Output {
        let (url, home, community, slot) =
            (self.net.info("url"), home.to_string(), self.community.to_string(), self.slot.to_string());
        let first = first_interval.map(|first| first.to_string());
        let mut words = vec![
            "meter",
            "submit",
            "data/zne17-2017-05.csv",
            "--meter",
            &home,
            "--url",
            &url,
            "--community",
            &community,
            "--slot",
            &slot,
        ];
        words.extend(["--keys", &self.keys, "--outbox", &self.wallet, "--buy-limit", "1900", "--sell-limit", "600"]);
        if let Some(first) = &first {
            words.extend(["--first-interval", first]);
        }
        gridveil(&words)
    }

    fn meters(&self, home: u16) {
        let output = self.submit(home, None);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Consents, the meter data manager signs, and hands it in.
    fn managed(&self, dir: &Path, words: &[&str]) {
        let file = dir.join(format!("{}-{}-{}.json", words[0], self.community, self.slot));
        let file = file.to_str().unwrap();
        self.act(&[words, &["--out", file]].concat());
        let signed = self.net.mdm(&["sign", file, "--url", &self.net.info("url")]);
        assert_eq!(signed["sequencer"], "accepted", "{signed}");
    }
}

fn tokens(net: &Net, account: &str) -> u128 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let address = |text: &str| gridveil_meter_client::submit::address(text).unwrap();
    runtime.block_on(async {
        let l1 = gridveil_verifier_contract::EthersClient::connect(
            &net.info("rpc"),
            None,
            Some(address(&net.info("contract"))),
        )
        .await
        .unwrap();
        l1.token_balance(address(account)).await.unwrap()
    })
}

/// Units of the contract's token in nano.
const NANO_PER_TOKEN: u128 = 1_000;

#[test]
fn people_live_with_a_rollup_until_it_ends() {
    let _turn = common::turn();
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let net = Net::up(dir);
    let [anna, bert, cleo] = [(0, 0), (0, 1), (1, 0)]
        .into_iter()
        .enumerate()
        .map(|(i, place)| Member::new(&net, dir, i, place))
        .collect::<Vec<_>>()
        .try_into()
        .unwrap_or_else(|_| panic!());
    let everybody = [&anna, &bert, &cleo];
    let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let day = |number: u64| net.active_from() + 24 * number;

    // Enrolment. A dry run does nothing; a consent alone is not enough; the meter data manager does not sign what its owner did
    // not.
    let terms = net.file("terms.json");
    for member in everybody {
        let payout = member.payout();
        let enrol = ["enrol", "--terms", &terms, "--payout", &payout];
        let dry = member.run(&[&enrol[..], &["--out", &file("never.json")]].concat(), &["--dry-run"]);
        assert!(dry["dry_run"] == true && !Path::new(&file("never.json")).exists());
        member.managed(dir, &enrol);
    }
    let mut forged: Value = serde_json::from_slice(&std::fs::read(file("enrol-0-1.json")).unwrap()).unwrap();
    forged["consent"]["operation"]["payout"] = json!(anna.payout());
    std::fs::write(file("forged.json"), forged.to_string()).unwrap();
    let key = ["--keys", &net.file("mdm.keys"), "--passphrase-file", &net.file("mdm.passphrase")].map(str::to_owned);
    let words: Vec<String> = ["mdm", "sign", &file("forged.json"), "--out", &file("never.json"), "--yes"]
        .map(str::to_owned)
        .into_iter()
        .chain(net.l1())
        .chain(key)
        .collect();
    assert!(refused(&words.iter().map(String::as_str).collect::<Vec<_>>()).contains("owner's signature"));
    assert!((net.settle(0), net.settle(1)) == (0, 0));
    for member in everybody {
        let account = member.look(&["account"]);
        assert!(account["balance_nano"] == 0 && account["payout"] == member.payout(), "{account}");
    }

    // Deposits, and the first day: Anna and Bert are metered, Cleo's meter is silent.
    let dry = anna.run(&["deposit", "50"], &["--url", &net.info("url"), "--dry-run"]);
    assert!(dry["dry_run"] == true && anna.look(&["account"])["claims"].as_array().unwrap().is_empty());
    assert!(
        anna.fails(&["deposit", "50"], &["--url", &net.info("url"), "--l1-key", &anna.l1_key])
            .contains("not confirmed")
    );
    let taken = anna.pay(&["deposit", "50"]);
    bert.pay(&["deposit", "300"]);
    cleo.pay(&["deposit", "20"]);
    anna.meters(2);
    bert.meters(1);
    assert!((net.settle(0), net.settle(1)) == (0, 1));
    let [a, b, c] = everybody.map(Member::balance);
    assert!(a > 0 && b > 0 && c == 20_000_000_000, "{a} {b} {c}");
    let claim = taken["claim"].as_str().unwrap();
    assert!(
        anna.fails(&["deposit", "--claim", claim], &["--url", &net.info("url"), "--yes", "--l1-key", &anna.l1_key])
            .contains("taken in already")
    );
    let first = day(0).to_string();
    let mut words: Vec<String> = [
        "meter",
        "statement",
        "--url",
        &net.info("url"),
        "--community",
        "0",
        "--slot",
        "0",
        "--keys",
        &anna.keys,
        "--outbox",
        &anna.wallet,
    ]
    .map(str::to_owned)
    .to_vec();
    words.extend(net.l1());
    words.extend(["--first-interval", &first, "--json"].map(str::to_owned));
    let statement = good(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(statement["after_nano"].to_string(), a.to_string(), "the statement and the wallet say the same");

    // The second day: money moves. Cleo's meter speaks again, also of the first day.
    let late = cleo.submit(3, Some(day(0)));
    assert!(
        late.status.success() && String::from_utf8_lossy(&late.stdout).contains("late"),
        "{}",
        String::from_utf8_lossy(&late.stderr)
    );
    anna.meters(2);
    bert.meters(1);
    cleo.meters(3);
    anna.act(&["withdraw", "5"]);
    let owner = |member: &Member<'_>| member.look(&["account"])["owner"].as_str().unwrap().to_owned();
    let (to, payout, sent) = (owner(&bert), bert.payout(), file("claim.json"));
    anna.act(&["send", "3.20", "--to", &to, "--payout", &payout, "--out", &sent]);
    assert!(anna.cannot(&["withdraw", "5000"]).contains("the balance is"));
    assert!(bert.cannot(&["receive", &sent]).contains("not on L1 yet"));
    let before = tokens(&net, &anna.payout());
    assert!((net.settle(0), net.settle(1)) == (0, 0));
    anna.pay(&["collect"]);
    assert_eq!((tokens(&net, &anna.payout()) - before) * NANO_PER_TOKEN, 5_000_000_000);
    let cleos = cleo.look(&["account"]);
    assert!(cleos["balance_nano"].as_u64().unwrap() != 20_000_000_000, "two days of home 3, one of them late");

    // Certificates: a part handed to Cleo, a part retired for everybody to see, the rest sealed; more than there is,
    // not at all.
    let notes = anna.look(&["certificate", "list"]);
    let note = notes.as_array().unwrap().iter().find(|note| note["amount_wh"].as_u64().unwrap() > 3_000).unwrap();
    let (id, amount) = (note["note"].as_str().unwrap().to_owned(), note["amount_wh"].as_u64().unwrap());
    let kwh = |wh: u64| format!("{}.{:03}", wh / 1000, wh % 1000);
    let (cleos_owner, beneficiary) = (owner(&cleo), anna.payout());
    let retire = |id: &str, wh: u64, out: &str, more: &[&str]| {
        [&["certificate", "retire", id, "--kwh", &kwh(wh), "--beneficiary", &beneficiary, "--out", out], more]
            .concat()
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    let words = retire(&id, amount + 1, &file("never.json"), &[]);
    let error = anna.fails(
        &words.iter().map(String::as_str).collect::<Vec<_>>(),
        &["--url", &net.info("url"), "--yes", "--l1-key", &anna.l1_key],
    );
    assert!(!Path::new(&file("never.json")).exists(), "{error}");
    anna.pay(&["certificate", "transfer", &id, "--to", &cleos_owner, "--kwh", "1", "--out", &file("note.json")]);
    anna.meters(2);
    bert.meters(1);
    cleo.meters(3);
    // Bert takes his money in, and pays a new key.
    bert.act(&["receive", &sent]);
    assert!((net.settle(0), net.settle(1)) == (0, 0));
    assert!(bert.balance() > 0 && bert.cannot(&["receive", &sent]).contains("taken in already"));
    let rest = anna.look(&["certificate", "list"]);
    let rest = rest
        .as_array()
        .unwrap()
        .iter()
        .find(|note| note["amount_wh"] == amount - 1_000 && note["state"] == "ready")
        .unwrap()["note"]
        .as_str()
        .unwrap()
        .to_owned();
    for (words, sealed) in [(retire(&rest, 500, &file("public.json"), &[]), false), (retire("", 0, "", &[]), true)] {
        let words = if sealed {
            anna.meters(2);
            assert!((net.settle(0), net.settle(1)) == (0, 1), "the change is in the state after a settlement");
            let notes = anna.look(&["certificate", "list"]);
            let last =
                notes.as_array().unwrap().iter().find(|note| note["amount_wh"] == amount - 1_500).unwrap()["note"]
                    .as_str()
                    .unwrap()
                    .to_owned();
            retire(&last, amount - 1_500, &file("sealed.json"), &["--sealed"])
        } else {
            words
        };
        anna.pay(&words.iter().map(String::as_str).collect::<Vec<_>>());
        if !sealed {
            bert.meters(1);
        }
    }
    for (name, wh) in [("public.json", 500), ("sealed.json", amount - 1_500)] {
        let words: Vec<String> =
            ["audit", "retirement", &file(name), "--json"].map(str::to_owned).into_iter().chain(net.l1()).collect();
        let shown = good(&words.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(shown["statement"]["amount"], wh, "{shown}");
    }
    cleo.look(&["certificate", "receive", &file("note.json")]);
    let cleos = cleo.look(&["certificate", "list"]);
    let got = cleos.as_array().unwrap().iter().find(|note| note["amount_wh"] == 1_000).unwrap()["note"]
        .as_str()
        .unwrap()
        .to_owned();
    let words = retire(&got, 1_000, &file("cleos.json"), &["--purpose", "export"]);
    cleo.pay(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(anna.look(&["certificate", "show"]).as_array().unwrap().len(), 2);

    // Keys and meters change hands; Cleo moves out.
    let mut bert = bert;
    let new_keys = file("bert-2.keys");
    bert.act(&["rotate", "--new-keys", &new_keys]);
    let mut anna = anna;
    let new_meter = file("anna-2.keys");
    anna.managed(dir, &["replace", "--new-keys", &new_meter]);
    let mut leaves: Value = serde_json::from_slice(&std::fs::read(&terms).unwrap()).unwrap();
    let moves_out = good(&[
        "operator",
        "status",
        "--admin",
        &net.info("admin"),
        "--admin-token",
        &net.file("admin.token"),
        "--json",
    ])["communities"][1]["next_interval"]
        .as_u64()
        .unwrap()
        + 24;
    leaves["active_until"] = json!(moves_out);
    std::fs::write(file("leaves.json"), leaves.to_string()).unwrap();
    cleo.managed(dir, &["terms", "--terms", &file("leaves.json")]);
    assert!(anna.cannot(&["replace", "--new-keys", &new_meter, "--finish"]).contains("another meter still"));
    anna.meters(2);
    bert.meters(1);
    cleo.meters(3);
    assert!((net.settle(0), net.settle(1)) == (0, 0));
    bert.look(&["account"]);
    bert.keys = new_keys;
    anna.act(&["replace", "--new-keys", &new_meter, "--finish"]);
    anna.keys = new_meter;
    assert!(anna.balance() > 0 && bert.balance() > 0);
    cleo.act(&["close"]);
    anna.meters(2);
    bert.meters(1);
    let before = tokens(&net, &cleo.payout());
    net.settle(0);
    net.settle(1);
    assert!(cleo.look(&["account"])["balance_nano"] == 0);
    cleo.pay(&["collect"]);
    assert!(tokens(&net, &cleo.payout()) > before);

    // Anna's withdrawal is not taken, so she asks L1; it is served, and she is paid.
    let before = tokens(&net, &anna.payout());
    anna.pay(&["force"]);
    anna.meters(2);
    bert.meters(1);
    net.settle(0);
    anna.pay(&["collect"]);
    assert!(tokens(&net, &anna.payout()) > before && anna.balance() < 10_000_000);

    // The operator goes silent: nobody serves Bert, and he has a deposit on its way.
    anna.pay(&["deposit", "1.25"]);
    bert.pay(&["deposit", "2.50"]);
    bert.alone(&["force"]);
    assert!(bert.fails(&["force", "--freeze"], &["--yes", "--l1-key", &bert.l1_key]).contains("DeadlineNotOver"));
    assert!(bert.fails(&["exit"], &["--yes", "--l1-key", &bert.l1_key]).contains("not frozen"));
    let output = gridveil(&["devnet", "clock", "--dir", net.dir.to_str().unwrap(), "--hours", "200"]);
    assert!(output.status.success());
    bert.alone(&["force", "--freeze"]);
    let [a, b] = [&anna, &bert].map(|member| (tokens(&net, &member.payout()), member));
    let owed = bert.balance();
    bert.alone(&["exit"]);
    anna.alone(&["exit"]);
    let again = bert.alone(&["exit"]);
    assert!(owed > 0 && again["status"].as_str().unwrap().contains("out already") && again["paid"] == "0", "{again}");
    for (before, member) in [a, b] {
        member.alone(&["collect"]);
        let paid = (tokens(&net, &member.payout()) - before) * NANO_PER_TOKEN;
        let deposit = if std::ptr::eq(member, &bert) {
            2_500_000_000 + u128::from(owed) / NANO_PER_TOKEN * NANO_PER_TOKEN
        } else {
            1_250_000_000
        };
        assert!(paid >= deposit && paid < deposit + 10_000_000, "{paid} for {deposit}");
    }

    // An auditor who has L1 alone follows all of it.
    let words: Vec<String> = ["audit", "--json", "--cache", common::cache().to_str().unwrap()]
        .map(str::to_owned)
        .into_iter()
        .chain(net.l1())
        .collect();
    let report = good(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(
        report["failures"].as_array().unwrap().is_empty() && report["proofs_verified"] == report["batches"],
        "{report}"
    );
}
