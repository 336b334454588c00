//! `gridveil config`, run as an operator runs it.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn run(dir: &Path, words: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gridveil"));
    command.current_dir(dir).args(words).envs(variables.iter().copied());
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A file of an operator with everything beside it that it names.
fn operator(config: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gridveil.toml");
    fs::write(&file, config).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    for (name, content) in [
        ("operator.key", "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
        ("admin.token", "a token of an operator"),
        ("rpc.url", "https://rpc.example/v3/0123456789abcdef0123456789abcdef"),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    (dir, file)
}

const FILE: &str = "[sequencer]
data = \"log\"
master_key = \"master.key\"
rpc_file = \"rpc.url\"
contract = \"0x5fbdb2315678afecb367f032d93f642f64180aa3\"
operator_key = \"operator.key\"
admin_token = \"admin.token\"
auto_close = true
settlements_at_once = 2

[limits]
body_bytes = 32768
head = \"5s\"
";

#[test]
fn the_example_is_a_file_that_holds_and_says_every_setting() {
    let example = said(&run(Path::new("."), &["config", "example"], &[]));
    let (dir, file) = operator(&example);
    let checked = run(dir.path(), &["config", "check", "gridveil.toml"], &[]);
    assert!(checked.status.success(), "{}", said(&checked));
    // With every default written out it says the same.
    let whole: String = example
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(setting) if setting.contains(" = ") && !setting.contains(' ') => format!("{setting}\n"),
            Some(setting)
                if setting.split_once(" = ").is_some_and(|(name, _)| {
                    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b"_0123456789".contains(&b))
                }) =>
            {
                format!("{setting}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    assert_ne!(whole, example);
    let print = |variables: &[(&str, &str)]| {
        let output = run(dir.path(), &["config", "print", "gridveil.toml", "--json"], variables);
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let values = |rows: &serde_json::Value| -> Vec<(String, serde_json::Value)> {
        rows.as_array().unwrap().iter().map(|row| (row["name"].to_string(), row["value"].clone())).collect()
    };
    let defaults = values(&print(&[]));
    fs::write(&file, whole).unwrap();
    assert_eq!(values(&print(&[])), defaults);
    // Every option and every limit is in it, each with its meaning.
    for name in
        ["body_bytes", "requests_of_client_per_s", "late_after", "settlements_at_once", "trusted_proxy", "rpc_file"]
    {
        let at = example.find(&format!("{name} =")).unwrap_or_else(|| panic!("{name}"));
        let before = example[..at].trim_end_matches("# ").trim_end();
        assert!(before.lines().last().unwrap().len() > 12, "{name} says what it is");
    }
    // But for a word that is longer.
    let short = |line: &str| line.chars().count() <= 100 || line.split_whitespace().count() == 2;
    assert!(example.lines().all(short), "{example}");
}

#[test]
fn a_variable_goes_before_the_file_and_each_value_says_where_it_is_from() {
    let (dir, _) = operator(FILE);
    let variables = [("GRIDVEIL__LIMITS__BODY_BYTES", "16384"), ("GRIDVEIL__SEQUENCER__MAX_GAS_GWEI", "77")];
    let output = run(dir.path(), &["config", "print", "gridveil.toml", "--json"], &variables);
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = |name: &str| rows.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone();
    assert_eq!(
        (row("body_bytes")["value"].clone(), row("body_bytes")["from"].as_str().unwrap()),
        (16384.into(), "GRIDVEIL__LIMITS__BODY_BYTES")
    );
    assert_eq!(row("max_gas_gwei")["value"], 77);
    assert_eq!(
        (row("head")["value"].as_str().unwrap(), row("head")["from"].as_str().unwrap()),
        ("5s", "gridveil.toml")
    );
    assert!(row("burst_of_client")["from"].is_null() && row("burst_of_client")["value"] == 5000);
    let shown = said(&run(dir.path(), &["config", "print", "gridveil.toml"], &variables));
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
    // An address with a key is not shown, wherever it comes from.
    let secret = [("GRIDVEIL__SEQUENCER__RPC", "https://rpc.example/v3/0123456789abcdef0123456789abcdef")];
    let shown = said(&run(dir.path(), &["config", "print"], &secret));
    assert!(shown.contains("https://rpc.example/…") && !shown.contains("0123456789abcdef"), "{shown}");
}

#[test]
fn what_no_sequencer_starts_with_is_refused_with_its_place() {
    let refused = |config: &str, variables: &[(&str, &str)]| {
        let (dir, _) = operator(config);
        let output = run(dir.path(), &["config", "check", "gridveil.toml"], variables);
        let said = said(&output);
        assert!(!output.status.success() && said.lines().count() == 1, "{said}");
        assert!(!said.contains("0123456789abcdef"), "{said}");
        said
    };
    let with = |line: &str| FILE.replace("[limits]", &format!("[limits]\n{line}"));
    let retained = |line: &str| format!("{FILE}\n[retention]\n{line}\n");
    for (config, says) in [
        (FILE.replace("auto_close", "auto_closed"), "gridveil.toml: `auto_closed` is no option of gridveil sequencer"),
        (FILE.replace("[limits]", "[limit]"), "unknown field: found `limit`"),
        (with("bodies = 3"), "unknown field: found `bodies`"),
        (with("in_flight = 0"), "gridveil.toml: limits.in_flight = 0: it takes 1 to"),
        (with("head_bytes = 100"), "8192 bytes or more"),
        (with("request = \"0s\""), "limits.request = \"0s\": it takes more than no time"),
        (with("request = 10"), "gridveil.toml: limits.request: invalid type: found"),
        (retained("ended_accounts = \"29 days\""), "gridveil.toml: retention.ended_accounts: `29 days`: it takes"),
        (retained("ended_accounts = \"for ever\""), "90 days"),
        (retained("ended_accounts = 90"), "gridveil.toml: retention.ended_accounts: invalid type"),
        (retained("spool_files = \"1h\""), "gridveil.toml: retention.spool_files: it takes 24h or more"),
        (retained("look_every = \"0s\""), "retention.look_every = \"0s\": it takes more than no time"),
        (retained("readings = \"2 years\""), "readings"),
        (with("queue = \"many\""), "gridveil.toml: limits.queue: invalid type: found string \"many\""),
        (FILE.replace("data = \"log\"\n", ""), "--data <DIRECTORY>"),
        (FILE.replace("settlements_at_once = 2", "settlements_at_once = 99"), "99"),
        (FILE.replace("\"admin.token\"", "\"none.token\""), "none.token: no such file"),
        (
            FILE.replace("rpc_file = \"rpc.url\"", "rpc = \"https://rpc.example/v3/0123456789abcdef0123456789abcdef\""),
            "`rpc` has what may be a key",
        ),
        (FILE.replace("[sequencer]", "[sequencer"), "gridveil.toml"),
    ] {
        let said = refused(&config, &[]);
        assert!(said.contains(says), "{says}: {said}");
    }
    let said = refused(FILE, &[("GRIDVEIL__LIMITS__QUEUE", "many")]);
    assert!(said.contains("GRIDVEIL__LIMITS__QUEUE") && said.contains("many"), "{said}");
    // Files that others may change, or keys that they may read.
    let (dir, file) = operator(FILE);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(said_of(dir.path()).contains("others may change it"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(said_of(dir.path()).contains("gridveil.toml: ok"));
    fs::set_permissions(dir.path().join("operator.key"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(said_of(dir.path()).contains("operator.key"));
    // Nothing was made by looking.
    assert!(!dir.path().join("log").exists() && !dir.path().join("master.key").exists());
}

fn said_of(dir: &Path) -> String {
    said(&run(dir, &["config", "check", "gridveil.toml"], &[]))
}
