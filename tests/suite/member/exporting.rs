//! `gridveil operator member export` and `gridveil member export check`, as they are typed.

use gridveil_api::export::{
    ExportPage, ExportPart, ExportPlace, ExportRequest, ExportStage, ExportedAccount, ExportedPeriod, PacketOf, SCHEMA,
};

use super::*;

const OPERATOR_KEY: &str = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
const OPERATOR: &str = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";

/// An admin listener that exports slot 0 in two pages, and notes what it was asked.
fn admin(t: &Transition, asked: Arc<Mutex<Vec<ExportRequest>>>) -> String {
    let header = &t.after.header;
    let about = ExportedAccount {
        schema: SCHEMA,
        chain_id: 31337,
        contract: CONTRACT,
        community: 5,
        slot: 0,
        account: 2,
        lives: true,
        ended_with: None,
        erased: false,
        intervals: header.intervals,
        interval_length: header.interval_length,
        made_s: 1_793_000_000,
        erased_from_s: None,
    };
    let first_interval = t.input.community.header.next_interval;
    let state = |batch, account: &gridveil_protocol::account::Account| ExportPart::State {
        first_interval,
        batch,
        counts: true,
        account: Box::new(account.clone()),
    };
    let packet = Box::new(t.input.packets[0].clone());
    let first = vec![
        state(None, &t.input.community.accounts[0]),
        ExportPart::Packet { of: PacketOf::Meter, counts: true, outcome: None, packet },
        state(Some(1), &t.after.accounts[0]),
    ];
    let second = vec![
        ExportPart::Period(ExportedPeriod {
            first_interval,
            batch: 1,
            is_final: true,
            tx: None,
            block: Some(3),
            root: t.instance.new_root,
            tariff_from: first_interval,
            substituted: Some(false),
        }),
        ExportPart::Tariff { first_interval, tariff: t.input.tariff.clone() },
        ExportPart::Receipt { batch: 1, receipt: Box::new(Receipt::of(t, 0).unwrap()) },
    ];
    let stage = ExportStage::Periods;
    let next = ExportPlace { stage, offset: 64, records: 9, batch: Some(1), tariff_from: None, owners: vec![] };
    serve(move |path, body| {
        assert_eq!(path, "/admin/v1/members/5/0/export");
        let request: ExportRequest = serde_json::from_str(body).unwrap();
        let page = match &request.at {
            None => ExportPage { about: about.clone(), parts: first.clone(), next: Some(next.clone()) },
            Some(at) if *at == next => ExportPage { about: about.clone(), parts: second.clone(), next: None },
            Some(at) => panic!("{at:?}"),
        };
        asked.lock().unwrap().push(request);
        (200, serde_json::to_string(&page).unwrap())
    })
}

#[test]
fn an_operator_exports_and_the_member_checks() {
    let (mut world, input) = World::new();
    let t = world.settle(input);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let admin = admin(&t, asked.clone());
    let at = |name: &str| world.dir.path().join(name).to_str().unwrap().to_owned();
    common::write_secret(at("operator.key"), OPERATOR_KEY);
    common::write_secret(at("admin.token"), "a token of an operator");
    let template = std::fs::read_to_string(Path::new(common::ROOT).join("docs/gdpr/notice.toml")).unwrap();
    common::write_secret(at("blank.toml"), &template);
    common::write_secret(at("notice.toml"), &template.replace("FILL IN", "Stadtwerke"));
    let export = |notice: &str, out: &str, more: &[&str]| {
        let words = ["operator", "member", "export", "--community", "5", "--slot", "0", "--zone", "Europe/Vienna"];
        let files = [at(notice), at(out), at("operator.key"), at("admin.token")];
        let [notice, out, key, token] = files.each_ref().map(String::as_str);
        let place = ["--notice", notice, "--out", out, "--admin", &admin, "--admin-token", token];
        let signed = if more.contains(&"--unsigned") { vec![] } else { vec!["--operator-key", key] };
        gridveil(&[&words[..], &place, &signed, more].concat())
    };
    let said = |output: &Output| {
        String::from_utf8(output.stdout.clone()).unwrap() + &String::from_utf8(output.stderr.clone()).unwrap()
    };
    let refused = said(&export("blank.toml", "blank", &[]));
    assert!(refused.contains("line 5: still to be filled in") && asked.lock().unwrap().is_empty(), "{refused}");
    assert!(!Path::new(&at("blank")).exists());
    let output = export("notice.toml", "data", &["--with", &at("notice.toml")]);
    let shown = said(&output);
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains("not encrypted") && shown.contains(OPERATOR), "{shown}");
    let paths = |line: &&str| !line.contains(world.dir.path().to_str().unwrap());
    assert!(shown.lines().filter(paths).all(|line| line.len() <= 88), "{shown}");
    // The second page is asked of the very account that the first one was of.
    let accounts: Vec<_> = asked.lock().unwrap().iter().map(|request| request.account).collect();
    assert_eq!(accounts, [None, Some(2)]);
    let data = at("data");
    assert!(said(&export("notice.toml", "data", &[])).contains("is there already"));
    let contract = hex0(CONTRACT);
    let check = |more: &[&str]| gridveil(&[&["member", "export", "check", &data], more].concat());
    let whole = check(&["--account", OPERATOR, "--rpc", &world.rpc, "--contract", &contract]);
    let told = said(&whole);
    assert!(whole.status.success() && told.contains("The export holds"), "{told}");
    assert!(told.lines().all(|line| line.len() <= 80), "{told}");
    let json: serde_json::Value =
        serde_json::from_slice(&check(&["--rpc", &world.rpc, "--contract", &contract, "--json"]).stdout).unwrap();
    assert_eq!(
        (json["roots_on_l1"].as_u64(), json["tariffs_on_l1"].as_u64(), json["receipts"].as_u64()),
        (Some(1), Some(1), Some(1))
    );
    // Another operator's, another contract's, and an L1 that never had the root.
    assert!(said(&check(&["--account", &contract])).contains("signed by"));
    world.book.lock().unwrap().settled.clear();
    let foreign = said(&check(&["--rpc", &world.rpc, "--contract", &contract]));
    assert!(foreign.contains("never finalised"), "{foreign}");
    std::fs::write(Path::new(&data).join("readings.csv"), "changed").unwrap();
    let changed = said(&check(&[]));
    assert!(changed.contains("readings.csv: not the file that was exported"), "{changed}");
    assert_eq!(changed.trim().lines().count(), 1, "{changed}");
    let unsigned = export("notice.toml", "unsigned", &["--unsigned"]);
    assert!(unsigned.status.success() && said(&unsigned).contains("nobody"), "{}", said(&unsigned));
}
