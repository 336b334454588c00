//! Bert's machine does what a member's machine does, with `meter sync`, against the real sequencer and the real L1.

use std::path::Path;

use serde_json::Value;

use super::{
    Town,
    people::{ZONE, gridveil},
    words,
};

impl Town<'_> {
    /// One round of Bert's: its events, and what it says to a person who reads no JSON.
    fn round(&self, file: &str, url: &str) -> (bool, Vec<Value>, String) {
        let bert = &self.bert;
        let (community, slot, copies) = (bert.community.to_string(), bert.slot.to_string(), self.file("copies"));
        let mut all = ["meter", "sync", file, "--once", "--json", "--url", url, "--local-zone", ZONE].to_vec();
        all.extend(["--community", &community, "--slot", &slot, "--keys", &bert.keys, "--device", &bert.device]);
        all.extend(["--outbox", &bert.wallet, "--buy-limit", "1900", "--sell-limit", "600", "--backup", &copies]);
        if file.starts_with("data/") {
            all.extend(["--meter", "1"]);
        }
        let l1 = self.net.l1();
        all.extend(words(&l1));
        let output = gridveil(&all);
        let events = String::from_utf8(output.stdout).unwrap();
        let events = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (output.status.success(), events, String::from_utf8(output.stderr).unwrap())
    }

    /// A file with nothing of these days: statements are checked all the same.
    fn old_file(&self) -> String {
        let file = self.file("old.csv");
        std::fs::write(&file, "interval_start,import_wh,export_wh\n0,1,0\n3600,1,0\n").unwrap();
        file
    }

    /// The open day is handed in, and a copy is made of wallet and key file; gives the day's first interval.
    pub(super) fn berts_machine_hands_the_day_in(&self) -> u64 {
        let (done, events, said) = self.round("data/zne17-2017-05.csv", &self.net.info("url"));
        let of = |name: &str| events.iter().filter(|event| event["event"] == name).collect::<Vec<_>>();
        let [sent] = of("sent")[..] else { panic!("{events:?} {said}") };
        assert!(done && said.is_empty() && of("rollup").is_empty(), "{events:?} {said}");
        let [backup] = of("backup")[..] else { panic!("{events:?}") };
        let folder = Path::new(backup["folder"].as_str().unwrap());
        let has = |end: &str| {
            let mut names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
            names.any(|name| name.to_string_lossy().ends_with(end))
        };
        let keys = Path::new(&self.bert.keys).file_name().unwrap().to_str().unwrap();
        for end in [keys, ".packet", ".receipt", ".wallet"] {
            assert!(has(end), "{end}: {:?}", std::fs::read_dir(folder).unwrap().collect::<Vec<_>>());
        }
        sent["first_interval"].as_u64().unwrap()
    }

    /// It is final, and every figure of it holds.
    pub(super) fn berts_machine_checks_the_day(&self, first_interval: u64) {
        let (file, url) = (self.old_file(), self.net.info("url"));
        let (done, events, said) = self.round(&file, &url);
        let statement = events.iter().find(|event| event["event"] == "statement").unwrap();
        assert!(done && said.is_empty(), "{said}");
        assert_eq!(
            (&statement["first_interval"], &statement["substituted"], &statement["corrects"]),
            (&first_interval.into(), &false.into(), &Value::Null)
        );
        assert_eq!(self.round(&file, &url).1, Vec::<Value>::new(), "nothing is new");
    }

    /// L1 says that the account is to leave, whether the sequencer is there or not.
    pub(super) fn berts_machine_warns(&self, expected: &str, url: &str) {
        let (done, events, said) = self.round(&self.old_file(), url);
        let warned = events.iter().find(|event| event["event"] == "rollup");
        assert_eq!(warned.map(|event| &event["rollup"]), Some(&expected.into()), "{events:?} {said}");
        assert!(!done || expected == "exited", "{said}");
    }
}
