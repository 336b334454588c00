//! Totals of a period, opened to an auditor.

use gridveil_api::admin::{CommunityStatus, Status};

use super::*;

/// With real proofs: a note shown as held is in the totals until it is spent, and the proof is good for nothing else.
#[test]
fn a_held_certificate_is_in_the_opened_totals() {
    let (world, t) = with_certificate();
    let prover = prover();
    let mut alice = world.session(0);
    let chain = world.chain();
    alice.sync(false).unwrap();
    let note = alice.wallet.state().notes[0].clone();
    let held = hold(&alice, &chain, prover, &note).unwrap();
    let before = &t.input.community;
    let opening = PeriodOpening {
        chain_id: 31337,
        contract: CONTRACT,
        community: 5,
        first_interval: before.header.next_interval,
        before: Some(before.header.clone()),
        after: t.after.header.clone(),
        genesis: Some(GenesisPlace {
            members_root: before.members_root(),
            certificates_root: before.certificates.root(),
            state_path: t.input.state_path.clone(),
        }),
    };
    let srs = Srs::for_chain(31337, SrsSource::InsecureDev, &common::cache()).unwrap();
    let verifier = NativeCertificates::new(srs.params(NativeCertificates::K, &Silent).unwrap()).unwrap();
    let check = |sealed: &[ShownRetirement], held: &[ShownHolding]| {
        chain.wait_for(Published::read(chain.client(), 0)).unwrap().totals(&opening, sealed, held, Some(&verifier))
    };
    let totals = check(&[], std::slice::from_ref(&held)).unwrap();
    assert_eq!(
        (totals.held, totals.held_wh, totals.notes_wh - totals.not_shown_wh),
        (1, note.note.amount, note.note.amount)
    );
    let mut richer = held.clone();
    richer.instance.disclosed += Fr::from(1u64);
    assert_eq!(check(&[], &[richer]), Err(TotalsError::Held { number: 1, why: HeldError::Proof }));
    // Under the contract's domain it would be a spending; this proof is none.
    let mut spending = held.clone();
    spending.instance.domain =
        gridveil_protocol::instance::domain(31337, &CONTRACT, gridveil_protocol::certificate::CERTIFICATE_VERSION);
    assert!(
        prover
            .verify(&gridveil_prover::certificate::CertificateProof {
                instance: spending.instance,
                proof: spending.proof
            })
            .is_err()
    );
    let retire = Spending::Retire {
        amount_wh: Wh(4),
        beneficiary: Fr::from(0xbeefu64),
        purpose: Purpose::Consumption,
        sealed: true,
    };
    spend(&mut alice, &chain, prover, &note, &retire).unwrap();
    assert_eq!(check(&[], &[held]), Err(TotalsError::Held { number: 1, why: HeldError::Spent }));
    let kept = alice.wallet.state().retirements[0].clone();
    let totals = check(&[ShownRetirement::new(31337, CONTRACT, kept.sealed, kept.statement)], &[]).unwrap();
    assert_eq!((totals.sealed_wh, totals.not_shown_wh), (Wh(4), totals.notes_wh - Wh(4)));
    assert!(hold(&alice, &chain, prover, &alice.wallet.state().notes[0]).is_err());
}

/// The operator's file, and what an auditor says of it when the node knows nothing of it.
#[test]
fn an_opening_is_written_and_refused_in_one_line() {
    let (mut world, input) = World::new();
    let t = world.settle(input);
    let first = t.input.community.header.next_interval;
    let opening = PeriodOpening {
        chain_id: 31337,
        contract: CONTRACT,
        community: 5,
        first_interval: first,
        before: None,
        after: t.after.header.clone(),
        genesis: None,
    };
    let answer = serde_json::to_string(&opening).unwrap();
    let asked = format!("/admin/v1/communities/5/header/{first}");
    let status = Status {
        state_root: t.instance.new_root,
        log_height: 1,
        versions: Vec::new(),
        stopped: None,
        retrying: Vec::new(),
        next: None,
        communities: vec![CommunityStatus {
            community: 5,
            next_interval: t.after.header.next_interval,
            intervals: 2,
            interval_length: 3600,
            packets: 0,
            accounts: 0,
            closed: false,
            operations: 0,
            late: 0,
            header_pending: false,
            header_refused: None,
            header_nonce: None,
            blocked: None,
            batches: Vec::new(),
        }],
    };
    let status = serde_json::to_string(&status).unwrap();
    let admin = serve(move |path, _| match path {
        "/admin/v1/status" => (200, status.clone()),
        path if path == asked => (200, answer.clone()),
        _ => problem(404, "header.not_settled"),
    });
    let rpc = serve(|_, body| {
        let request: serde_json::Value = serde_json::from_str(body).unwrap();
        let result = match request["method"].as_str().unwrap() {
            "eth_getLogs" => serde_json::json!([]),
            "eth_chainId" => "0x7a69".into(),
            "eth_blockNumber" => "0x1".into(),
            "eth_getBlockByNumber" => {
                let asked = request["params"][0].as_str().filter(|asked| asked.starts_with("0x")).unwrap_or("0x1");
                serde_json::json!({"number": asked, "hash": format!("0x{:064x}", 7), "timestamp": "0x1"})
            }
            _ => format!("0x{:064x}", 0).into(),
        };
        (200, serde_json::json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string())
    });
    let (token, out) = (world.dir.path().join("admin.token"), world.dir.path().join("totals.json"));
    common::write_secret(&token, "a token of enough bytes\n");
    let begins = |interval: Interval| gridveil_meter_client::cli::utc(i64::from(interval.0) * 3600);
    let period = begins(first);
    let open = |period: &str| {
        gridveil(&[
            "audit",
            "open-header",
            "--admin",
            &admin,
            "--admin-token",
            token.to_str().unwrap(),
            "--community",
            "5",
            "--period",
            period,
            "--out",
            out.to_str().unwrap(),
            "--json",
        ])
    };
    let error = |output: Output| {
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.lines().count() == 1, "{text}");
        text
    };
    assert!(error(open(&begins(first + 2))).contains("header.not_settled"));
    // Neither begins then, and it is said what does.
    for other in [begins(first + 1), (first + 1).to_string(), period[..10].to_owned()] {
        let text = error(open(&other));
        assert!(text.contains("a period has 2 hours, and the next ones begin "), "{text}");
    }
    assert_eq!(open("3.5.2017").status.code(), Some(2));
    let by_number = open(&first.to_string());
    assert!(by_number.status.success(), "{}", String::from_utf8_lossy(&by_number.stderr));
    std::fs::remove_file(&out).unwrap();
    let output = open(&period);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(serde_json::from_slice::<PeriodOpening>(&std::fs::read(&out).unwrap()).unwrap(), opening);
    let contract = hex0(CONTRACT);
    let totals =
        |file: &str, contract: &str| error(gridveil(&["audit", "totals", file, "--rpc", &rpc, "--contract", contract]));
    let text = totals(out.to_str().unwrap(), &contract);
    assert!(text.contains("no community 5"), "{text}");
    assert!(totals("missing.json", &contract).contains("missing.json"));
    assert!(totals(token.to_str().unwrap(), &contract).contains("not an opening of a period"));
    assert!(totals(out.to_str().unwrap(), &contract.replace("11", "12")).contains("another deployment"));
}
