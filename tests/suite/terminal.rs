//! Secrets that are typed. `script`, of util-linux, gives a command a terminal.

use std::{
    io::{Read, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use crate::common::process::{SOON, wait};

const SECRET: &str = "correct horse battery";

/// What a person sees who answers each question as it comes; and whether the command succeeded.
fn typed(words: &[&str], answers: &[&str]) -> (String, bool) {
    let line =
        std::iter::once(env!("CARGO_BIN_EXE_gridveil")).chain(words.iter().copied()).collect::<Vec<_>>().join(" ");
    let mut child = Command::new("script")
        .args(["-qefc", &line, "/dev/null"])
        .env_remove("GRIDVEIL_PASSPHRASE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script of util-linux");
    let seen = Arc::new(Mutex::new(String::new()));
    let (mut screen, written) = (child.stdout.take().unwrap(), Arc::clone(&seen));
    let reader = thread::spawn(move || {
        let mut bytes = [0; 256];
        while let Ok(read @ 1..) = screen.read(&mut bytes) {
            written.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    });
    let mut keyboard = child.stdin.take().unwrap();
    let shown = || seen.lock().unwrap().clone();
    for (number, answer) in (1..).zip(answers) {
        wait("a question", SOON, shown, || (shown().matches(": ").count() >= number).then_some(()));
        // The question is written before the terminal stops showing what is typed. No person is as fast.
        thread::sleep(std::time::Duration::from_millis(300));
        writeln!(keyboard, "{answer}").unwrap();
    }
    let ended = wait("an end", SOON, shown, || child.try_wait().unwrap());
    reader.join().unwrap();
    (shown(), ended.success())
}

#[test]
fn what_is_typed_is_not_shown_and_a_new_secret_is_typed_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let [keys, other, l1] = ["member.keys", "other.keys", "operator.json"].map(path);
    for (words, file) in [(["meter", "keygen", "--keys", &keys], &keys), (["operator", "key", "new", &l1], &l1)] {
        let (seen, good) = typed(&words, &[SECRET, SECRET]);
        assert!(good && seen.contains("Again: ") && !seen.contains("horse"), "{seen}");
        assert!(Path::new(file).exists());
    }
    let (seen, good) = typed(&["meter", "keygen", "--keys", &other], &[SECRET, "another horse"]);
    assert!(!good && seen.contains("two passphrases") && !Path::new(&other).exists(), "{seen}");
    let (seen, good) = typed(&["operator", "key", "show", &l1], &[SECRET]);
    assert!(good && seen.contains("account") && !seen.contains("horse"), "{seen}");
}
