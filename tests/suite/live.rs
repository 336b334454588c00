//! A rollup as its people use it: `gridveil devnet` as one process, and every command of members, meter data manager,
//! operator and auditor as another, against a real chain and a real sequencer with real proofs. From enrolment to the
//! day the operator goes silent and everybody leaves.

mod opened;
mod people;
mod recovered;
mod synced;

use std::path::Path;

use gridveil_protocol::params::UNIT_NANO as UNIT;
use people::{Member, NANO_PER_TOKEN, Net, ZONE, good, gridveil, hasten, latest, local_day, refused, tokens};
use serde_json::{Value, json};

use crate::common;

/// Two communities of three members, and where they keep their files.
struct Town<'a> {
    net: &'a Net,
    dir: &'a Path,
    anna: Member<'a>,
    bert: Member<'a>,
    cleo: Member<'a>,
}

#[test]
fn people_live_with_a_rollup_until_it_ends() {
    let _turn = common::turn();
    let dir = tempfile::tempdir().unwrap();
    let net = Net::up(dir.path());
    let member = |number, place| Member::new(&net, dir.path(), number, place);
    let (anna, bert, cleo) = (member(0, (0, 0)), member(1, (0, 1)), member(2, (1, 0)));
    let mut town = Town { net: &net, dir: dir.path(), anna, bert, cleo };
    town.enrolment();
    town.the_first_day();
    town.bert_copies_his_folder();
    town.the_second_day();
    town.certificates();
    town.annas_folder_is_lost_and_berts_is_old();
    town.keys_and_meters_change_hands();
    town.a_forced_withdrawal();
    town.anna_opens_one_fact_after_the_other();
    town.anna_reads_her_bill();
    town.a_household_needs_its_own_words_alone();
    town.a_deposit_that_cannot_be_paid_leaves_nothing_behind();
    town.the_operator_opens_every_period();
    town.a_verifier_is_hastened();
    town.the_operator_goes_silent();
    town.an_auditor_follows_all_of_it();
}

/// The words of a command, as it takes them.
fn words(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn owner(member: &Member<'_>) -> String {
    member.look(&["account"])["owner"].as_str().unwrap().to_owned()
}

impl<'a> Town<'a> {
    fn everybody(&self) -> [&Member<'a>; 3] {
        [&self.anna, &self.bert, &self.cleo]
    }

    fn file(&self, name: &str) -> String {
        self.dir.join(name).to_str().unwrap().to_owned()
    }

    /// First interval of a day, counted from the first.
    fn day(&self, number: u64) -> u64 {
        self.net.active_from() + 24 * number
    }

    /// A dry run does nothing; a consent alone is not enough; the meter data manager does not sign what its owner did not.
    fn enrolment(&self) {
        let Self { net, anna, .. } = self;
        let file = |name: &str| self.file(name);
        let terms = net.file("terms.json");
        for member in self.everybody() {
            let payout = member.payout();
            let enrol = ["enrol", "--terms", &terms, "--payout", &payout];
            let dry = member.run(&[&enrol[..], &["--out", &file("never.json")]].concat(), &["--dry-run"]);
            assert!(dry["dry_run"] == true && !Path::new(&file("never.json")).exists());
            member.managed(self.dir, &enrol);
        }
        let mut forged: Value = serde_json::from_slice(&std::fs::read(file("enrol-0-1.json")).unwrap()).unwrap();
        forged["consent"]["operation"]["payout"] = json!(anna.payout());
        std::fs::write(file("forged.json"), forged.to_string()).unwrap();
        let key =
            ["--keys", &net.file("mdm.keys"), "--passphrase-file", &net.file("mdm.passphrase")].map(str::to_owned);
        let sign: Vec<String> = ["mdm", "sign", &file("forged.json"), "--out", &file("never.json"), "--yes"]
            .map(str::to_owned)
            .into_iter()
            .chain(net.l1())
            .chain(key)
            .collect();
        assert!(refused(&words(&sign)).contains("owner's signature"));
        assert!((net.settle(0), net.settle(1)) == (0, 0));
        for member in self.everybody() {
            let account = member.look(&["account"]);
            assert!(account["balance_nano"] == 0 && account["payout"] == member.payout(), "{account}");
        }
    }

    /// Deposits. Anna and Bert are metered, Cleo's meter is silent.
    fn the_first_day(&self) {
        let Self { net, anna, bert, cleo, .. } = self;
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
        let [a, b, c] = self.everybody().map(Member::balance);
        assert!(a > 0 && b > 0 && c == 20_000_000_000, "{a} {b} {c}");
        let claim = taken["claim"].as_str().unwrap();
        assert!(
            anna.fails(&["deposit", "--claim", claim], &["--url", &net.info("url"), "--yes", "--l1-key", &anna.l1_key])
                .contains("taken in already")
        );
        let first = local_day(self.day(0));
        let mut asks: Vec<String> = [
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
        asks.extend(net.l1());
        asks.extend(["--period", &first, "--zone", ZONE, "--json"].map(str::to_owned));
        let statement = good(&words(&asks));
        assert_eq!(statement["after_nano"].to_string(), a.to_string(), "the statement and the wallet say the same");
    }

    /// Money moves. Cleo's meter speaks again, also of the first day.
    fn the_second_day(&self) {
        let Self { net, anna, bert, cleo, .. } = self;
        let file = |name: &str| self.file(name);
        let late = cleo.submit(3, Some(self.day(0)));
        assert!(
            late.status.success() && String::from_utf8_lossy(&late.stdout).contains("late"),
            "{}",
            String::from_utf8_lossy(&late.stderr)
        );
        anna.meters(2);
        bert.meters(1);
        cleo.meters(3);
        anna.act(&["withdraw", "5"]);
        let (to, payout, sent) = (owner(bert), bert.payout(), file("claim.json"));
        anna.act(&["send", "3.20", "--to", &to, "--payout", &payout, "--out", &sent]);
        assert!(anna.cannot(&["withdraw", "5000"]).contains("the balance is"));
        assert!(bert.cannot(&["receive", &sent]).contains("not on L1 yet"));
        let before = tokens(net, &anna.payout());
        assert!((net.settle(0), net.settle(1)) == (0, 0));
        anna.pay(&["collect"]);
        assert_eq!((tokens(net, &anna.payout()) - before) * NANO_PER_TOKEN, 5_000_000_000);
        let cleos = cleo.look(&["account"]);
        assert!(cleos["balance_nano"].as_u64().unwrap() != 20_000_000_000, "two days of home 3, one of them late");
    }

    /// A part handed to Cleo, a part retired for everybody to see, the rest sealed; more than there is, not at all.
    fn certificates(&self) {
        let Self { net, anna, bert, cleo, .. } = self;
        let file = |name: &str| self.file(name);
        let notes = anna.look(&["certificate", "list"]);
        let note = notes.as_array().unwrap().iter().find(|note| note["amount_wh"].as_u64().unwrap() > 3_000).unwrap();
        let (id, amount) = (note["note"].as_str().unwrap().to_owned(), note["amount_wh"].as_u64().unwrap());
        let kwh = |wh: u64| format!("{}.{:03}", wh / 1000, wh % 1000);
        let (cleos_owner, beneficiary) = (owner(cleo), anna.payout());
        let retire = |id: &str, wh: u64, out: &str, more: &[&str]| {
            [&["certificate", "retire", id, "--kwh", &kwh(wh), "--beneficiary", &beneficiary, "--out", out], more]
                .concat()
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        let error = anna.fails(
            &words(&retire(&id, amount + 1, &file("never.json"), &[])),
            &["--url", &net.info("url"), "--yes", "--l1-key", &anna.l1_key],
        );
        assert!(!Path::new(&file("never.json")).exists(), "{error}");
        anna.pay(&["certificate", "transfer", &id, "--to", &cleos_owner, "--kwh", "1", "--out", &file("note.json")]);
        anna.meters(2);
        bert.meters(1);
        cleo.meters(3);
        // Bert takes in what Anna sent.
        let sent = file("claim.json");
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
        anna.pay(&words(&retire(&rest, 500, &file("public.json"), &[])));
        bert.meters(1);
        anna.meters(2);
        assert!((net.settle(0), net.settle(1)) == (0, 1), "the change is in the state after a settlement");
        let notes = anna.look(&["certificate", "list"]);
        let last = notes.as_array().unwrap().iter().find(|note| note["amount_wh"] == amount - 1_500).unwrap();
        let last = last["note"].as_str().unwrap();
        anna.pay(&words(&retire(last, amount - 1_500, &file("sealed.json"), &["--sealed"])));
        for (name, wh) in [("public.json", 500), ("sealed.json", amount - 1_500)] {
            let audit: Vec<String> = ["audit", "retirement", &file(name), "--json", "--block-hash", &latest(net)]
                .map(str::to_owned)
                .into_iter()
                .chain(net.l1())
                .collect();
            let shown = good(&words(&audit));
            assert_eq!(shown["statement"]["amount"], wh, "{shown}");
        }
        cleo.look(&["certificate", "receive", &file("note.json")]);
        let cleos = cleo.look(&["certificate", "list"]);
        let got = cleos.as_array().unwrap().iter().find(|note| note["amount_wh"] == 1_000).unwrap()["note"]
            .as_str()
            .unwrap()
            .to_owned();
        cleo.pay(&words(&retire(&got, 1_000, &file("cleos.json"), &["--purpose", "export"])));
        assert_eq!(anna.look(&["certificate", "show"]).as_array().unwrap().len(), 2);
    }

    /// Cleo moves out.
    fn keys_and_meters_change_hands(&mut self) {
        let (net, dir) = (self.net, self.dir);
        let [new_keys, new_device, moved] = ["bert-2.keys", "anna-2.device", "leaves.json"].map(|name| self.file(name));
        let Self { anna, bert, cleo, .. } = &mut *self;
        bert.act(&["rotate", "--new-keys", &new_keys]);
        anna.managed(dir, &["replace", "--new-device", &new_device]);
        let mut leaves: Value = serde_json::from_slice(&std::fs::read(net.file("terms.json")).unwrap()).unwrap();
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
        std::fs::write(&moved, leaves.to_string()).unwrap();
        cleo.managed(dir, &["terms", "--terms", &moved]);
        anna.meters(2);
        bert.meters(1);
        cleo.meters(3);
        assert!((net.settle(0), net.settle(1)) == (0, 0));
        bert.look(&["account"]);
        bert.keys = new_keys;
        // The household's file stays, and opens what was before. The device that was replaced signs nothing any more.
        assert!(String::from_utf8_lossy(&anna.submit(2, None).stderr).contains("signature"));
        anna.device = new_device;
        assert!(anna.balance() > 0 && bert.balance() > 0);
        cleo.act(&["close"]);
        anna.meters(2);
        bert.meters(1);
        let before = tokens(net, &cleo.payout());
        net.settle(0);
        net.settle(1);
        assert!(cleo.look(&["account"])["balance_nano"] == 0);
        cleo.pay(&["collect"]);
        assert!(tokens(net, &cleo.payout()) > before);
        // From the household's file alone, across the replacement: what either device signed comes back.
        let (balance, wallet) = (anna.balance(), anna.wallet.clone());
        anna.wallet = dir.join("after-replacement").to_str().unwrap().to_owned();
        let came = anna.look(&["recover"]);
        assert!(came["missing"].as_array().unwrap().is_empty() && came["packets"].as_u64() > Some(3), "{came}");
        assert_eq!(anna.balance(), balance);
        anna.wallet = wallet;
    }

    /// Anna's withdrawal is not taken, so she asks L1; it is served, and she is paid.
    fn a_forced_withdrawal(&self) {
        let Self { net, anna, .. } = self;
        let before = tokens(net, &anna.payout());
        anna.pay(&["force"]);
        anna.meters(2);
        let day = self.berts_machine_hands_the_day_in();
        net.settle(0);
        self.berts_machine_checks_the_day(day);
        anna.pay(&["collect"]);
        assert!(tokens(net, &anna.payout()) > before && anna.balance() < 10_000_000);
    }

    /// While members may leave, Bert does, which closes his community; then all of it has not happened.
    fn a_verifier_is_hastened(&self) {
        let Self { net, anna, bert, .. } = self;
        let rpc = net.info("rpc");
        let nobody = |member: &Member<'_>| member.fails(&["exit"], &["--yes", "--l1-key", &member.l1_key]);
        let (owed, had, little) = (bert.balance(), tokens(net, &bert.payout()), anna.balance());
        assert!(owed > UNIT && little < UNIT && little > 0, "{owed} {little}");
        let stays = nobody(bert);
        assert!(stays.contains("nor the community closed, nor its verifier proven unsound"), "{stays}");
        let before = common::node(&rpc, "evm_snapshot", json!([]));
        hasten(net, u32::MAX.into());
        self.berts_machine_warns("unsound", &net.info("url"));
        let stays = nobody(anna);
        assert!(stays.contains("only a balance of a hundredth or more exits then"), "{stays}");
        let left = bert.alone(&["exit"]);
        assert!(left["way_out"].as_str().unwrap().contains("proven unsound"), "{left}");
        bert.alone(&["collect"]);
        assert_eq!(tokens(net, &bert.payout()) - had, u128::from(owed) / NANO_PER_TOKEN);
        // Its community is closed now, and any balance leaves.
        let had = tokens(net, &anna.payout());
        let left = anna.alone(&["exit"]);
        assert_eq!(left["way_out"], "the community is closed", "{left}");
        anna.alone(&["collect"]);
        assert!(tokens(net, &anna.payout()) > had);
        assert_eq!(common::node(&rpc, "evm_revert", json!([before])), true);
    }

    /// Nobody serves Bert, and he has a deposit on its way.
    fn the_operator_goes_silent(&self) {
        let Self { net, anna, bert, .. } = self;
        anna.pay(&["deposit", "1.25"]);
        bert.pay(&["deposit", "2.50"]);
        bert.unserved(&["force"]);
        assert!(bert.fails(&["force", "--freeze"], &["--yes", "--l1-key", &bert.l1_key]).contains("DeadlineNotOver"));
        assert!(bert.fails(&["exit"], &["--yes", "--l1-key", &bert.l1_key]).contains("not frozen"));
        let output = gridveil(&["devnet", "clock", "--dir", net.dir.to_str().unwrap(), "--hours", "200"]);
        assert!(output.status.success());
        bert.alone(&["force", "--freeze"]);
        self.berts_machine_warns("frozen", "http://127.0.0.1:9");
        let [a, b] = [anna, bert].map(|member| (tokens(net, &member.payout()), member));
        let owed = bert.balance();
        bert.unserved(&["exit"]);
        anna.alone(&["exit"]);
        let again = bert.alone(&["exit"]);
        assert!(
            owed > 0 && again["status"].as_str().unwrap().contains("out already") && again["paid"] == "0",
            "{again}"
        );
        for (before, member) in [a, b] {
            member.unserved(&["collect"]);
            let paid = (tokens(net, &member.payout()) - before) * NANO_PER_TOKEN;
            let deposit = if std::ptr::eq(member, bert) {
                2_500_000_000 + u128::from(owed) / NANO_PER_TOKEN * NANO_PER_TOKEN
            } else {
                1_250_000_000
            };
            assert!(paid >= deposit && paid < deposit + 10_000_000, "{paid} for {deposit}");
        }
    }

    /// With L1 alone.
    fn an_auditor_follows_all_of_it(&self) {
        let net = self.net;
        let audit: Vec<String> = ["audit", "--json", "--cache", common::cache().to_str().unwrap()]
            .map(str::to_owned)
            .into_iter()
            .chain(net.l1())
            .collect();
        let report = good(&words(&audit));
        assert!(
            report["failures"].as_array().unwrap().is_empty() && report["proofs_verified"] == report["batches"],
            "{report}"
        );
    }
}
