//! Commands as a member types them: help, refusals in one line, and nothing done that was not confirmed.

use std::collections::BTreeSet;

use super::*;

/// Every command with its help, as the helps themselves list them.
fn commands(words: &[&str]) -> Vec<(String, String)> {
    let output = gridveil(&[words, &["--help"]].concat());
    assert!(output.status.success(), "{words:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let listed = text.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap_or_default();
    let names = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<&str> = names.filter_map(|line| line.split_whitespace().next()).filter(|n| *n != "help").collect();
    let below: Vec<_> = names.iter().flat_map(|name| commands(&[words, &[name]].concat())).collect();
    [(words.join(" "), text)].into_iter().chain(below).collect()
}

#[test]
fn every_command_has_help_with_an_example() {
    let all = commands(&[]);
    // Their examples begin with a comment, a variable, or what is piped into the command.
    let otherwise = ["market", "meter keygen", "meter device", "sequencer", "prover", "prover run"];
    for (command, text) in &all {
        let begins = ["Example:\n  gridveil ", "Examples:\n  gridveil ", "Example, in two terminals:\n  gridveil "]
            .iter()
            .any(|example| text.contains(example));
        let example = text.split("Example").nth(1).unwrap_or_default();
        let piped = otherwise.contains(&command.as_str()) && example.contains("gridveil ");
        assert!(begins || piped, "{command}: {text}");
        assert!(!text.contains("--private"), "{command}");
    }
    // What acts for a person asks first, and can be tried without doing anything.
    let shows = [
        "member",
        "member account",
        "member recover",
        "member init",
        "member bill",
        "member certificate",
        "member certificate list",
        "member certificate receive",
        "member certificate prove",
        "member certificate show",
        "member open",
        "member open balance",
        "member open reading",
        "member open bill",
        "member export",
        "member export check",
        "mdm",
        "mdm key",
        "operator",
        "operator status",
        "operator community",
        "operator community list",
        "operator key",
        "operator log",
        "operator log check",
        "operator member",
        "operator member export",
        "operator audit-log",
        "operator staff",
        "operator staff key",
        "operator staff token",
        "operator key new",
        "operator key show",
        "operator upgrade",
        "operator upgrade status",
        "operator role",
        "operator role list",
        "operator council",
        "operator council show",
        "operator council statement",
        "operator tariff",
        "operator tariff check",
        "operator tariff list",
    ];
    let member = ["deposit", "withdraw", "send", "receive", "rotate", "close", "enrol", "replace", "terms", "collect"];
    let acts: Vec<String> = member
        .map(|name| format!("member {name}"))
        .into_iter()
        .chain(["force", "exit"].map(|name| format!("member {name}")))
        .chain(["transfer", "retire", "abandon", "drop"].map(|name| format!("member certificate {name}")))
        .chain(["sign", "substitute", "header", "grant", "revoke-grant"].map(|name| format!("mdm {name}")))
        .chain(["close", "header", "fund", "deploy", "abandon"].map(|name| format!("operator {name}")))
        .chain(
            ["pause", "unpause", "community add", "community close", "community serve", "role grant"]
                .map(|name| format!("operator {name}")),
        )
        .chain(["role revoke", "tariff open", "tariff publish"].map(|name| format!("operator {name}")))
        .chain(["deploy", "register", "announce", "retire", "plan"].map(|name| format!("operator upgrade {name}")))
        .chain(
            ["tariff hand-in", "pay-treasury", "log restore-keys", "log seal", "member erase", "audit-log deploy"]
                .map(|name| format!("operator {name}")),
        )
        .chain(["appoint", "prove-unsound", "hasten"].map(|name| format!("operator council {name}")))
        .collect();
    let role = |command: &str| ["member", "mdm", "operator"].contains(&command.split(' ').next().unwrap_or_default());
    let found: BTreeSet<&str> = all.iter().map(|(command, _)| command.as_str()).filter(|c| role(c)).collect();
    assert_eq!(found, acts.iter().map(String::as_str).chain(shows).collect());
    for (command, text) in all.iter().filter(|(command, _)| role(command)) {
        assert_eq!(text.contains("--dry-run") && text.contains("--yes"), acts.contains(command), "{command}");
    }
}

/// The build for a small device says which commands it does not have: all but `meter`.
#[test]
fn the_build_for_a_small_device_says_what_it_lacks() {
    let source = include_str!("../../../src/small.rs");
    let listed = source.split("Not in this build: ").nth(1).and_then(|rest| rest.split('.').next()).unwrap();
    let absent: BTreeSet<&str> = listed.split(',').map(str::trim).collect();
    let output = String::from_utf8(gridveil(&["--help"]).stdout).unwrap();
    let full = output.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
    let full = full.lines().filter_map(|line| line.split_whitespace().next());
    assert_eq!(absent, full.filter(|name| !["meter", "help"].contains(name)).collect());
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

/// Every command that the pages of data protection name is there, with its options.
#[test]
fn every_command_of_the_pages_of_data_protection_is_there() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let below = std::fs::read_dir(docs.join("gdpr")).unwrap().map(|entry| entry.unwrap().path());
    let pages = below.chain(["gdpr.md", "how-to/export.md"].map(|page| docs.join(page)));
    let mut all = BTreeSet::new();
    for page in pages.filter(|page| page.extension().is_some_and(|extension| extension == "md")) {
        let text = std::fs::read_to_string(&page).unwrap().replace("\\\n", " ");
        // Blocks of code have a command a line; elsewhere one is between backticks.
        for (n, part) in text.split("```").enumerate() {
            let commands: Vec<&str> =
                if n % 2 == 1 { part.lines().collect() } else { part.split('`').skip(1).step_by(2).collect() };
            let commands = commands.into_iter().filter_map(|words| words.trim().strip_prefix("gridveil "));
            all.extend(commands.map(|command| command.split(" # ").next().unwrap().trim().to_owned()));
        }
    }
    assert!(all.len() >= 12, "{all:?}");
    for command in &all {
        let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        let words: Vec<&str> =
            command.split_whitespace().take_while(|word| is_word(word) && !word.starts_with('-')).collect();
        // What follows a command may be an argument.
        let shown = (1..=words.len()).rev().find_map(|n| {
            let output = gridveil(&[&words[..n], &["--help"]].concat());
            output.status.success().then(|| (n, String::from_utf8(output.stdout).unwrap()))
        });
        let (n, help) = shown.unwrap_or_else(|| panic!("no such command: {command}"));
        let rest = words.get(n).copied();
        assert!(!help.contains("Commands:\n") || rest.is_none(), "{command}: no {rest:?}");
        for option in command.split_whitespace().filter(|word| word.starts_with("--")) {
            assert!(help.contains(option), "{command}: {option}");
        }
    }
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
    // A file that is not there is told in the same words by every command.
    let rollup = ["--rpc", "http://127.0.0.1:1", "--contract", "0x1111111111111111111111111111111111111111"];
    for words in [
        &["audit", "retirement", "missing.json"][..],
        &["audit", "balance", "missing.json"],
        &["audit", "totals", "missing.json"],
        &["audit", "--genesis", "missing.json"],
        &["audit", "--deployment", "missing.json"],
        &["meter", "read", "missing.json"],
        &["simulate", "missing.json"],
        &["operator", "status", "--admin-token", "missing.json"],
        &["member", "bill", "--household", "missing.json"],
    ] {
        let alone = ["meter", "simulate", "operator", "member"].contains(&words[0]) || words[1] == "--deployment";
        let output = gridveil(&[words, if alone { &[] } else { &rollup[..] }].concat());
        let error = String::from_utf8(output.stderr).unwrap();
        let same = error.starts_with("gridveil: missing.json: ") && error.ends_with("no such file\n");
        assert!(!output.status.success() && same && error.lines().count() == 1, "{words:?}: {error}");
    }
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
    let contract = hex0(CONTRACT);
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
    let (owner, payout) = (hex0(to_bytes(&owner_of(&world.members[1].owner).commitment())), hex0([0x41; 20]));
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
    assert!(next.same_folder(&world.members[0]) && next.owner.public() != world.members[0].owner.public());
    assert!(json(member(&["certificate", "list", "--json"])).is_array());
    assert!(error(member(&["exit", "--yes"])).contains("no L1 key"));
    assert_eq!(world.book.lock().unwrap().operations.len(), 3);
}
