//! Grants: what they open, to whom, and until when.

use gridveil_api::grant::{GRANT_HEADER, Grant, GrantField, Revocation, SignedGrant};
use gridveil_protocol::{fixture, schnorr::SecretKey, units::Interval};
use serde_json::{Value, json};

use super::{
    issuer::{ISSUER, NOW, claims, token},
    staffed,
};
use crate::common::{CHAIN, CONTRACT, Node, World, first_interval};

/// A grant of totals of the first period of community 5 to an auditor.
fn grant() -> Grant {
    Grant {
        id: [7; 16],
        chain_id: CHAIN,
        contract: CONTRACT,
        community: 5,
        from: first_interval(),
        to: first_interval(),
        fields: [GrantField::Import, GrantField::Debt].into(),
        expires_s: NOW + 1,
        issuer: ISSUER.to_owned(),
        subject: "auditor-1".to_owned(),
    }
}

fn by_mdm(edit: impl FnOnce(&mut Grant)) -> SignedGrant {
    let mut grant = grant();
    edit(&mut grant);
    grant.sign(&fixture::mdm_key()).unwrap()
}

fn auditor(subject: &str) -> String {
    let mut claims = claims(&["auditor"]);
    claims["sub"] = json!(subject);
    token(&claims)
}

async fn read(node: &Node, what: &str, community: u32, first: Interval, token: &str, grant: &str) -> (u16, Value) {
    let url = format!("http://{}/admin/v1/communities/{community}/{what}/{first}", node.handle.admin_address());
    let response = node.http.get(url).bearer_auth(token).header(GRANT_HEADER, grant).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn carried(grant: &SignedGrant) -> String {
    hex::encode(serde_json::to_vec(grant).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_opens_what_it_says_to_whom_it_names() {
    let world = World::new().await;
    let node = staffed(&world).await;
    for period in [0, 1] {
        node.run_period(&world, 5, period).await;
    }
    node.run_period(&world, 7, 0).await;
    node.settled(5, 2).await;
    node.settled(7, 1).await;
    let first = first_interval();
    let totals =
        async |grant: &SignedGrant| read(&node, "totals", 5, first, &auditor("auditor-1"), &carried(grant)).await;
    let good = by_mdm(|_| {});
    let (status, body) = totals(&good).await;
    assert_eq!(status, 200, "{body}");
    // The granted fields, and no other.
    let fields: Vec<_> = body["totals"].as_array().unwrap().iter().map(|one| one["field"].clone()).collect();
    assert_eq!(fields, [json!("import"), json!("debt")]);
    assert_eq!(body.as_object().unwrap().len(), 3, "{body}");
    // They are those of the headers, which the operator opens.
    let opening = node.admin(&format!("/admin/v1/communities/5/header/{first}"), None, crate::common::TOKEN).await.1;
    assert_eq!(body["totals"][0]["after"], opening["after"]["totals"]["import"]);
    assert_eq!(body["totals"][0]["before"], opening["before"]["totals"]["import"]);
    // The whole header, to who has that granted.
    let whole = by_mdm(|grant| grant.fields = [GrantField::Header].into());
    let (status, header) = read(&node, "header", 5, first, &auditor("auditor-1"), &carried(&whole)).await;
    assert_eq!((status, &header), (200, &opening));

    let refused = |answer: (u16, Value), code: &str| {
        assert_eq!((answer.0, answer.1["code"].as_str()), (403, Some(code)), "{}", answer.1);
        assert!(!answer.1.to_string().contains("auditor-1"));
    };
    // Another field, period or community than the grant's.
    refused(read(&node, "header", 5, first, &auditor("auditor-1"), &carried(&good)).await, "grant.scope");
    refused(read(&node, "totals", 5, first, &auditor("auditor-1"), &carried(&whole)).await, "grant.scope");
    refused(read(&node, "totals", 5, first + 2, &auditor("auditor-1"), &carried(&good)).await, "grant.scope");
    refused(
        read(&node, "totals", 5, Interval(first.0 - 2), &auditor("auditor-1"), &carried(&good)).await,
        "grant.scope",
    );
    let mut both = claims(&["auditor"]);
    (both["sub"], both["communities"]) = (json!("auditor-1"), json!([5, 7]));
    refused(read(&node, "totals", 7, first, &token(&both), &carried(&good)).await, "grant.scope");
    refused(totals(&by_mdm(|grant| grant.fields.clear())).await, "grant.scope");
    // Expired; of another rollup; of a community that is not served.
    refused(totals(&by_mdm(|grant| grant.expires_s = NOW)).await, "grant.expired");
    refused(totals(&by_mdm(|grant| grant.chain_id += 1)).await, "grant.invalid");
    refused(totals(&by_mdm(|grant| grant.contract[0] ^= 1)).await, "grant.invalid");
    refused(totals(&by_mdm(|grant| grant.community = 9)).await, "grant.invalid");
    // Forged: another key, or changed after it was signed.
    refused(totals(&grant().sign(&SecretKey::from_seed(&[1; 64])).unwrap()).await, "grant.invalid");
    let mut changed = good.clone();
    changed.grant.fields = GrantField::ALL.into();
    refused(totals(&changed).await, "grant.invalid");
    // Somebody else with the grant's file: an auditor of the same issuer, and one of the same name of another role.
    refused(read(&node, "totals", 5, first, &auditor("auditor-2"), &carried(&good)).await, "grant.invalid");
    let mut other = claims(&["support"]);
    other["sub"] = json!("auditor-1");
    refused(read(&node, "totals", 5, first, &token(&other), &carried(&good)).await, "staff.role");
    // What is no grant.
    for text in ["", "00", "zz", &"ab".repeat(5000)] {
        refused(read(&node, "totals", 5, first, &auditor("auditor-1"), text).await, "grant.invalid");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_was_taken_back_stays_so_after_a_restart() {
    let world = World::new().await;
    let node = staffed(&world).await;
    node.run_period(&world, 5, 0).await;
    node.settled(5, 1).await;
    let first = first_interval();
    let good = by_mdm(|_| {});
    let other = by_mdm(|grant| grant.id = [8; 16]);
    let read = async |node: &Node, grant: &SignedGrant| {
        read(node, "totals", 5, first, &auditor("auditor-1"), &carried(grant)).await
    };
    assert_eq!(read(&node, &good).await.0, 200);
    let revoke = async |revocation: &Revocation, community: u32, token: &str| {
        let path = format!("/admin/v1/communities/{community}/grants/revoke");
        node.admin(&path, Some(&serde_json::to_value(revocation).unwrap()), token).await
    };
    let mdm = token(&claims(&["mdm"]));
    let revocation = Revocation::sign(&good.grant, &fixture::mdm_key()).unwrap();
    // By another key; for another grant or community than was signed.
    let forged = Revocation::sign(&good.grant, &SecretKey::from_seed(&[1; 64])).unwrap();
    assert_eq!(revoke(&forged, 5, &mdm).await.1["code"], "revocation.signature");
    let moved = Revocation { id: [8; 16], ..revocation.clone() };
    assert_eq!(revoke(&moved, 5, &mdm).await.1["code"], "revocation.signature");
    assert_eq!(revoke(&revocation, 7, crate::common::TOKEN).await.1["code"], "revocation.signature");
    assert_eq!(read(&node, &good).await.0, 200);
    for _ in 0..2 {
        let (status, body) = revoke(&revocation, 5, &mdm).await;
        assert_eq!((status, body), (200, json!({"id": format!("0x{}", "07".repeat(16))})));
    }
    assert_eq!(read(&node, &good).await.1["code"], "grant.revoked");
    assert_eq!(read(&node, &other).await.0, 200, "no other grant");
    node.handle.kill().await;
    let node = staffed(&world).await;
    assert_eq!(read(&node, &good).await.1["code"], "grant.revoked");
    assert_eq!(read(&node, &other).await.0, 200);
    // A list that is damaged does not make grants count again.
    node.handle.kill().await;
    let list = world.data().join("grants.revoked");
    std::fs::write(&list, "00000005 07\n").unwrap();
    let started = gridveil_sequencer::serve(super::with_staff(&world), world.l1.clone(), world.prover.clone()).await;
    assert!(matches!(started, Err(gridveil_sequencer::Error::Revocations(_))));
}
