//! Folders are lost and restored from old copies, and the page about it is walked.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use super::{Town, people::PASSPHRASE};

const PAGE: &str = include_str!("../../../docs/how-to/recover.md");

fn copy(from: &str, to: &str) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), Path::new(to).join(entry.file_name())).unwrap();
    }
}

/// The page's commands, in order.
fn walk() -> String {
    let blocks: Vec<_> = PAGE.split("```sh walk\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() > 1);
    blocks.concat()
}

impl Town<'_> {
    fn old_folder(&self) -> String {
        self.file("bert-old")
    }

    pub fn bert_copies_his_folder(&self) {
        copy(&self.bert.wallet, &self.old_folder());
    }

    /// As the page says it, with where everything is in the variables.
    fn walked(&self, wallet: &str) -> Output {
        let binary = Path::new(env!("CARGO_BIN_EXE_gridveil")).parent().unwrap().to_path_buf();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([binary].into_iter().chain(std::env::split_paths(&path))).unwrap();
        let mut command = Command::new("sh");
        command.args(["-euc", &walk()]).current_dir(self.dir).env("PATH", path).stdin(Stdio::null());
        command.envs([("GRIDVEIL_URL", self.net.info("url")), ("GRIDVEIL_RPC", self.net.info("rpc"))]);
        command.envs([("GRIDVEIL_CONTRACT", self.net.info("contract")), ("GRIDVEIL_KEYS", self.anna.keys.clone())]);
        command.envs([("GRIDVEIL_COMMUNITY", "0"), ("GRIDVEIL_SLOT", "0"), ("GRIDVEIL_WALLET", wallet)]);
        command.env("GRIDVEIL_PASSPHRASE", PASSPHRASE).env_remove("GRIDVEIL_L1_KEY").output().unwrap()
    }

    /// Anna has her key file and nothing else. Bert has his folder as it was a day and four commands ago. Both go on.
    pub fn annas_folder_is_lost_and_berts_is_old(&mut self) {
        let [anna, bert] = [&self.anna, &self.bert].map(|member| member.look(&["account"]));
        let lost = self.file("lost");
        std::fs::rename(&self.anna.wallet, &lost).unwrap();
        let output = self.walked(&self.anna.wallet);
        let (said, told) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
        assert!(output.status.success(), "{said} {told}");
        assert!(told.contains("this wallet is up to date") && !told.contains("did not give back"), "{told}");
        assert!(told.contains("spent on L1"), "what was left of her certificates only the folder knew: {told}");
        println!("{told}");
        let back = self.anna.look(&["account"]);
        for name in ["balance", "debt", "nonce", "state_root", "verified_until", "behind"] {
            assert_eq!(back[name], anna[name], "{name}");
        }
        assert_eq!(back["operations"].as_array().map(Vec::len), anna["operations"].as_array().map(Vec::len));
        let files = |folder: &str, end: &str| {
            let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
            names.filter(|name| name.to_string_lossy().ends_with(end)).count()
        };
        for end in [".packet", ".receipt", ".delivered"] {
            assert_eq!(files(&self.anna.wallet, end), files(&lost, end), "{end}");
        }
        // Bert's newer folder hands a day in; then only the old copy is there.
        self.bert.meters(1);
        let newer = self.file("bert-newer");
        std::fs::rename(&self.bert.wallet, &newer).unwrap();
        copy(&self.old_folder(), &self.bert.wallet);
        let again = self.bert.submit(1, None);
        let word = String::from_utf8_lossy(&again.stdout).into_owned();
        assert!(
            again.status.success() && word.contains("duplicate"),
            "{word} {}",
            String::from_utf8_lossy(&again.stderr)
        );
        let healed = self.bert.look(&["account"]);
        for name in ["balance", "nonce", "state_root", "verified_until"] {
            assert_eq!(healed[name], bert[name], "{name}");
        }
        assert_eq!(healed["claims"], bert["claims"]);
    }
}
