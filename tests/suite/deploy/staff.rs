//! Staff of the deployment, as docs/how-to/staff.md says: tokens of an issuer in two files, a grant and its end, the audit log
//! with its heads on the chain, and the check of the log.

use gridveil_meter_client::cli::utc;
use gridveil_sequencer::audit_log::format;
use serde_json::{Value, json};

use super::{World, living::Sequencer};

const ISSUER: &str = "https://staff.grid.example";

/// A file `{subject}.token`.
fn token(world: &World, role: &str, subject: &str, more: &[&str]) {
    let file = format!("{subject}.token");
    let words = ["operator", "staff", "token", "--key", "staff.key", "--issuer", ISSUER, "--role", role, "--subject"];
    world.said(&[&words[..], &[subject, "--out", &file], more].concat());
}

pub fn who_may_read_reads(world: &World) {
    world.said(&["operator", "staff", "key", "staff.key", "--jwks", "jwks.json"]);
    token(world, "auditor", "auditor-1", &[]);
    token(world, "auditor", "auditor-2", &[]);
    token(world, "mdm", "mdm-1", &["--community", "0"]);
    let staff = format!("[staff]\nissuer = \"{ISSUER}\"\naudience = \"gridveil\"\njwks = \"jwks.json\"\n");
    std::fs::write(world.path("staff.toml"), staff).unwrap();
    let deploys = ["operator", "audit-log", "deploy", "--key-file", "deployer.key", "--deployment", "deployment.json"];
    let deployed = world.json(&[&deploys[..], &["--yes", "--json"]].concat());
    let file: Value = serde_json::from_slice(&std::fs::read(world.path("deployment.json")).unwrap()).unwrap();
    assert_eq!(file["contracts"]["audit_heads"]["address"], deployed["audit_heads"], "{deployed}");
    assert!(world.refused(&[&deploys[..], &["--yes"]].concat()).contains("already"));

    let sequencer = Sequencer::start_with(world, &["--config", "staff.toml", "--log-format", "json"]);
    let begin: Value = serde_json::from_slice(&std::fs::read(world.path("communities.json")).unwrap()).unwrap();
    let day = utc(i64::try_from(begin[0]["first_interval"].as_u64().unwrap() * 3600).unwrap());
    let by = ["--keys", "mdm.keys", "--passphrase-file", "mdm.passphrase", "--deployment", "deployment.json", "--yes"];
    let asks =
        ["mdm", "grant", "--community", "0", "--from", &day, "--to", &day, "--field", "issued", "--field", "debt"];
    let whom = ["--issuer", ISSUER, "--subject", "auditor-1", "--out", "grant.json", "--url", &sequencer.public];
    world.said(&[&asks[..], &whom, &by].concat());

    let (admin, url) = (&sequencer.admin, &sequencer.public);
    let reads = |file: &'static str, with: &'static str| {
        let what = ["audit", "granted", file, "--period", &day, "--json", "--admin-token", with];
        [&what[..], &["--admin", admin, "--url", url]].concat()
    };
    let read = world.json(&reads("grant.json", "auditor-1.token"));
    let fields: Vec<_> = read["totals"].as_array().unwrap().iter().map(|total| total["field"].clone()).collect();
    assert_eq!(fields, [json!("issued"), json!("debt")], "these and no other: {read}");
    // Not with another's token, nor more than was signed, nor after it was taken back.
    assert!(world.refused(&reads("grant.json", "auditor-2.token")).contains("grant"));
    let signed = std::fs::read_to_string(world.path("grant.json")).unwrap();
    let more = signed.replacen("\"debt\"", "\"import\"", 1);
    assert_ne!(more, signed);
    std::fs::write(world.path("more.json"), more).unwrap();
    assert!(world.refused(&reads("more.json", "auditor-1.token")).contains("grant"));
    let revokes = ["mdm", "revoke-grant", "grant.json", "--admin", &sequencer.admin, "--admin-token", "mdm-1.token"];
    world.said(&[&revokes[..], &by].concat());
    assert!(world.refused(&reads("grant.json", "auditor-1.token")).contains("grant"));

    // Where machines read the log, nothing else is on stderr: keys are read and listeners open in it, too.
    let said = sequencer.process.said();
    let lines: Vec<Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect();
    let told = |text: &str| lines.iter().any(|line| line["message"].as_str().is_some_and(|said| said.contains(text)));
    assert!(told("reading keys") && told("public http://"), "{said}");
    sequencer.process.stop();
    world.said(&["operator", "log", "check", "--data", "data", "--master-key", "master.key"]);
    audited(world);
}

/// Without a key, from a copy of the file and L1.
fn audited(world: &World) {
    let checks = |file: &'static str| ["audit", "log", file, "--deployment", "deployment.json", "--json"];
    let report = world.json(&checks("data/audit.log"));
    let entries = report["entries"].as_u64().unwrap();
    assert_eq!((&report["audit_log"], &report["vouched"]), (&json!("ok"), &json!(entries)), "{report}");
    assert!(entries > 3 && report["heads"].as_u64().unwrap() > 1 && report["times"].is_null(), "{report}");
    let listed = ["audit", "log", "data/audit.log", "--without-l1", "--master-key", "master.key", "--entries"];
    let listed = world.said(&listed);
    assert!(listed.contains("GET communities/0/totals/") && listed.contains("grant.revoked"), "{listed}");
    assert!(!listed.contains("auditor-1") && !listed.contains("mdm-1"), "who it was stays a pseudonym: {listed}");
    // An end that was cut off is missed by L1 alone.
    let end = usize::try_from(format::offset_of(entries - 1)).unwrap();
    let bytes = std::fs::read(world.path("data/audit.log")).unwrap();
    std::fs::write(world.path("short.log"), &bytes[..end]).unwrap();
    let without = world.json(&["audit", "log", "short.log", "--without-l1", "--json"]);
    assert_eq!(without["entries"], json!(entries - 1));
    let output = world.run(&checks("short.log"));
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["audit_log"], "broken", "{report}");
}
