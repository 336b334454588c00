//! What members and the operator open, and an auditor checks with L1 alone: the commands, one after the other.

use std::process::Stdio;

use serde_json::Value;

use super::{
    Town,
    people::{PASSPHRASE, good, gridveil, latest, refused},
    words,
};
use crate::common;

impl Town<'_> {
    /// Anna opens the last day, fact by fact. A changed file is refused, and one fact does not pass for another.
    pub(super) fn anna_opens_one_fact_after_the_other(&self) {
        let Self { net, anna, .. } = self;
        let audit = |what: &str, file: &str| -> Vec<String> {
            ["audit", what, file, "--json"].map(str::to_owned).into_iter().chain(net.l1()).collect()
        };
        let opened = ["balance", "reading", "bill"].map(|what| {
            let file = self.file(&format!("{what}.json"));
            anna.look(&["open", what, "--out", &file]);
            let shown = good(&words(&audit(what, &file)));
            let pinned = [audit(what, &file), vec!["--block-hash".to_owned(), latest(net)]].concat();
            assert_eq!(good(&words(&pinned)), shown, "nothing of the node is believed");
            assert_eq!((&shown[what], &shown["community"], &shown["slot"]), (&"ok".into(), &0.into(), &0.into()));
            let mut content: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
            content["first_interval"] = (content["first_interval"].as_u64().unwrap() - 24).into();
            let changed = self.file(&format!("changed-{what}.json"));
            std::fs::write(&changed, content.to_string()).unwrap();
            let error = refused(&words(&audit(what, &changed)));
            assert!(error.contains("does not open to the slot's leaf"), "{what}: {error}");
            shown
        });
        let [balance, reading, bill] = &opened;
        assert_eq!(balance["balance_nano"], anna.balance());
        assert!(reading["export_wh"].as_u64().unwrap() > 0, "{reading}");
        for same in ["import_wh", "export_wh", "batch", "substituted"] {
            assert_eq!(reading[same], bill[same], "{same}");
        }
        let error = refused(&words(&audit("bill", &self.file("reading.json"))));
        let unknown = vec!["--block-hash".to_owned(), format!("0x{}", "1".repeat(64))];
        let nowhere = refused(&words(&[audit("bill", &self.file("bill.json")), unknown].concat()));
        assert!(nowhere.contains("does not have the block with the hash"), "{nowhere}");
        assert!(error.contains("not an opening of a bill"), "{error}");
    }

    /// Bert writes down who he is, and where. Afterwards his commands need their own words alone.
    pub(super) fn a_household_needs_its_own_words_alone(&self) {
        let Self { net, bert, dir, .. } = self;
        let home = dir.join("home");
        std::fs::create_dir(&home).unwrap();
        let at_home = |words: &[&str]| {
            let output = common::gridveil()
                .current_dir(&home)
                .args(words)
                .env("GRIDVEIL_PASSPHRASE", PASSPHRASE)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let error = String::from_utf8(output.stderr).unwrap();
            (output.status.success(), String::from_utf8(output.stdout).unwrap(), error)
        };
        let (url, community) = (net.info("url"), bert.community.to_string());
        let mut init = vec!["member", "init", "--url", &url, "--community", &community, "--keys", &bert.keys];
        init.extend([
            "--wallet",
            &bert.wallet,
            "--buy-limit",
            "65535",
            "--sell-limit",
            "0",
            "--zone",
            "America/Los_Angeles",
            "--currency",
            "USD",
        ]);
        let l1 = net.l1();
        init.extend(words(&l1));
        init.extend(["--device", &bert.device]);
        // Nothing is written for somebody who is not there.
        let elsewhere: Vec<&str> = init.iter().map(|word| if *word == community { "1" } else { word }).collect();
        let (done, _, error) = at_home(&elsewhere);
        assert!(!done && error.contains("no slot of community 1 is this key file's yet"), "{error}");
        let file = home.join("household.toml");
        assert!(!file.exists());
        let (done, said, error) = at_home(&init);
        assert!(done && said.contains("slot       1"), "{said}{error}");
        let (again, _, error) = at_home(&init);
        assert!(!again && error.contains("is there already"), "{error}");
        // Wherever the household's file is: here, or named.
        let account = |words: &[&str]| -> Value { serde_json::from_str(&at_home(words).1).unwrap() };
        let own = account(&["member", "account", "--json"]);
        assert_eq!(own["balance_nano"], bert.balance());
        let moved = dir.join("bert.toml");
        std::fs::rename(&file, &moved).unwrap();
        assert!(!at_home(&["member", "account", "--json"]).0);
        let named = ["member", "account", "--json", "--household", moved.to_str().unwrap()];
        assert_eq!(account(&named)["balance_nano"], own["balance_nano"]);
        // An option goes first.
        assert_eq!(account(&[&named[..], &["--slot", "2"]].concat())["balance_nano"], Value::Null);
        std::fs::rename(&moved, &file).unwrap();
        let bill = account(&["member", "bill", "--json"]);
        assert_eq!((&bill["zone"], &bill["currency"]), (&"America/Los_Angeles".into(), &"USD".into()));
        // What asks for no account is not touched, and a meter's file keeps its own zone.
        let (done, said, error) = at_home(&["meter", "profiles"]);
        assert!(done && !said.is_empty(), "{error}");
        let (done, _, error) = at_home(&["member", "force", "--dry-run"]);
        assert!(done, "{error}");
        // A packet needs its file alone; this one has nothing of the open period.
        std::fs::write(home.join("old.csv"), "interval_start,import_wh,export_wh\n0,1,0\n3600,1,0\n").unwrap();
        let (done, _, error) = at_home(&["meter", "submit", "old.csv"]);
        assert!(!done && error.contains("is missing in the file"), "{error}");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.contains(PASSPHRASE) && text.contains("slot = 1\n"), "{text}");
    }

    /// Bert deposits more than he has: nothing is paid, allowed or kept.
    pub(super) fn a_deposit_that_cannot_be_paid_leaves_nothing_behind(&self) {
        let bert = &self.bert;
        let open = || -> Vec<Value> {
            let claims = bert.look(&["account"])["claims"].as_array().unwrap().clone();
            claims.into_iter().filter(|claim| claim["dropped"] == false && claim["taken"] == false).collect()
        };
        let before = open();
        let error =
            bert.fails(&["deposit", "90000000"], &["--url", &self.net.info("url"), "--yes", "--l1-key", &bert.l1_key]);
        assert!(
            error.contains(
                "nothing was paid, and nothing of it is kept: contract refused with ERC20InsufficientBalance"
            ),
            "{error}"
        );
        assert_eq!(open(), before);
    }

    /// What Anna paid, from her wallet and L1 alone: the items come to the total, and the account to what it is.
    pub(super) fn anna_reads_her_bill(&self) {
        let anna = &self.anna;
        let [html, pdf, csv, intensity] =
            ["bill.html", "bill.pdf", "bill.csv", "intensity.csv"].map(|name| self.file(name));
        let balance = anna.balance();
        let shown = anna.with_l1(&["bill", "--zone", "America/Los_Angeles", "--currency", "USD"]);
        let bill = &shown["bill"];
        let nano = |value: &Value| value.as_i64().unwrap();
        let items: i64 = bill["items"].as_array().unwrap().iter().map(|item| nano(&item["amount_nano"])).sum();
        let moved: i64 = bill["movements"].as_array().unwrap().iter().map(|one| nano(&one["change_nano"])).sum();
        assert_eq!((items, items), (nano(&bill["total_nano"]), nano(&bill["billed_nano"])), "{bill}");
        assert_eq!(nano(&bill["closing_nano"]), nano(&bill["opening_nano"]) - items + moved, "{bill}");
        assert_eq!(nano(&bill["closing_nano"]), i64::try_from(balance).unwrap());
        // A month has more days than were settled.
        assert_eq!((&shown["final"], &shown["currency"]), (&false.into(), &"USD".into()));
        let begins = bill["account_s"]["start"].as_u64().unwrap();
        std::fs::write(&intensity, format!("interval_start,g_co2_per_kwh\n{begins},250\n")).unwrap();
        let files = ["--html", &html, "--pdf", &pdf, "--csv", &csv, "--intensity", &intensity];
        let said = anna.reads(&[&["bill", "--zone", "America/Los_Angeles", "--currency", "USD"], &files[..]].concat());
        assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
        for part in
            ["provisional: ", "USD a kWh", "of it to neighbours", "CO2 of the supplier's", "without a figure of CO2"]
        {
            assert!(said.contains(part), "{part}: {said}");
        }
        let total = said.lines().find(|line| line.starts_with("to pay") || line.starts_with("earned")).unwrap();
        let (page, paper) = (std::fs::read_to_string(html).unwrap(), std::fs::read(pdf).unwrap());
        let amount = total.split_whitespace().next_back().unwrap();
        assert!(page.contains(&format!("<td>{amount}</td>")) && page.contains("America/Los_Angeles"), "{page}");
        assert!(paper.starts_with(b"%PDF-1.7") && paper.windows(amount.len()).any(|part| part == amount.as_bytes()));
        let rows = std::fs::read_to_string(csv).unwrap();
        let last: Vec<&str> = rows.lines().last().unwrap().split(',').collect();
        let exact = format!(
            "{}{}.{:09}",
            if items < 0 { "-" } else { "" },
            items.abs() / 1_000_000_000,
            items.abs() % 1_000_000_000
        );
        assert_eq!(last[2..], ["total", "", "", &exact, "USD", "no"], "{rows}");
        let never = anna.fails(&["bill", "--month", "2001-01"], &[]);
        assert!(never.contains("nothing that is kept here was settled in these days"), "{never}");
    }

    /// Every period of both communities, into a folder and an archive; both give the auditor the same table.
    pub(super) fn the_operator_opens_every_period(&self) {
        let net = self.net;
        let [folder, archive] = ["openings", "openings.zip"].map(|name| self.file(name));
        let mut open: Vec<String> = ["audit", "open-header", "--all", "--out", &folder, "--zip", &archive, "--json"]
            .map(str::to_owned)
            .to_vec();
        open.extend(["--admin", &net.info("admin"), "--admin-token", &net.file("admin.token")].map(str::to_owned));
        open.extend(net.l1());
        let (first, again) = (good(&words(&open)), good(&words(&open)));
        let periods = first["written"].as_u64().unwrap();
        assert!(periods >= 4 && first["there"] == 0, "{first}");
        assert_eq!((again["written"].as_u64(), again["there"].as_u64()), (Some(0), Some(periods)));
        let table = |source: &str, more: &[&str]| {
            let command =
                ["audit", "totals", source, "--csv"].into_iter().chain(more.iter().copied()).map(str::to_owned);
            let all: Vec<String> = command.chain(net.l1()).collect();
            let output = gridveil(&words(&all));
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let shown = table(&archive, &[]);
        assert_eq!(shown, table(&folder, &["--block-hash", &latest(net)]));
        let opened = |line: &&str| line.split(',').nth(5) == Some("yes");
        assert_eq!(shown.lines().filter(opened).count() as u64, periods, "{shown}");
    }
}
