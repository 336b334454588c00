//! The audit log: what is in it, when, and what L1 has of it.

use std::{fs::File, path::Path, sync::Arc, time::Duration};

use gridveil_sequencer::{
    Error,
    audit_log::{
        self, Entry, Outcome,
        entry::Sealing,
        format::{self, FormatError, Head},
        publish::Heads,
    },
    serve,
    staff::Role,
    store::data_keys::read_master_key,
};
use gridveil_verifier_contract::{AuditHeadsL1 as _, memory::MemoryAuditHeads};
use serde_json::json;

use super::{
    issuer::{claims, token},
    staffed, with_staff,
};
use crate::common::{TOKEN, World, first_interval, until};

fn entries(world: &World) -> Vec<Entry> {
    let file = File::open(audit_log::path_in(&world.data())).unwrap();
    let size = file.metadata().unwrap().len();
    let master = read_master_key(&world.dir.path().join("master")).unwrap();
    let sealing = Sealing::of(&master, &format::header_of(&file, size).unwrap().unwrap().id);
    let mut all = Vec::new();
    format::scan(&file, |number, body| {
        all.push(sealing.open(number, body).unwrap());
        Ok::<_, FormatError>(())
    })
    .unwrap();
    all
}

fn heads(path: &Path) -> Result<Vec<Head>, FormatError> {
    let mut all = Vec::new();
    format::heads(&File::open(path).unwrap(), |head, _| {
        all.push(*head);
        Ok::<_, FormatError>(())
    })?;
    Ok(all)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_privileged_act_is_an_entry_with_its_outcome() {
    let world = World::new().await;
    let node = staffed(&world).await;
    node.publish(&world, 5).await;
    assert_eq!(node.close(5, 0).await.1["code"], "close.missing");
    let support = token(&claims(&["support"]));
    assert_eq!(node.admin("/admin/v1/status", None, &support).await.0, 403);
    assert_eq!(node.admin("/admin/v1/support/status", None, &support).await.0, 200);
    assert_eq!(node.admin("/admin/v1/status", None, TOKEN).await.0, 200);
    // Nobody's tries are not written: anybody could fill the log.
    assert_eq!(node.admin("/admin/v1/status", None, "a token of another world").await.0, 401);
    let (status, _) = node.admin("/admin/v1/members/5/2/erase", Some(&json!({})), TOKEN).await;
    assert_eq!(status, 409);
    let first = first_interval();
    node.admin(&format!("/admin/v1/communities/5/header/{first}"), None, TOKEN).await;
    let all = entries(&world);
    let told: Vec<_> = all
        .iter()
        .map(|entry| {
            let act = entry.act.as_ref();
            let what = act.map(|act| act.endpoint.rsplit('/').next().unwrap_or_default().to_owned());
            (entry.of, entry.outcome, what.unwrap_or_default(), entry.code.clone().unwrap_or_default())
        })
        .collect();
    let text = |text: &str| text.to_owned();
    let expected = [
        (None, Outcome::Begun, text("tariffs"), text("")),
        (Some(0), Outcome::Done, text(""), text("")),
        (None, Outcome::Begun, text("close"), text("")),
        (Some(2), Outcome::Refused, text(""), text("close.missing")),
        (None, Outcome::Refused, text("status"), text("staff.role")),
        (None, Outcome::Begun, text("erase"), text("")),
        (Some(5), Outcome::Refused, text(""), text("account.lives")),
        (None, Outcome::Begun, text("{first_interval}"), text("")),
        (Some(7), Outcome::Refused, text(""), text("header.not_settled")),
    ];
    assert_eq!(told, expected);
    assert_eq!((all[4].role, all[0].role), (Some(Role::Support), Some(Role::Operator)));
    assert_eq!(all[0].subject.as_deref(), Some("break-glass"));
    let pseudonym = all[4].subject.clone().unwrap();
    assert!(pseudonym.len() == 16 && pseudonym.bytes().all(|c| c.is_ascii_hexdigit()), "{pseudonym}");
    let erase = all[5].act.clone().unwrap();
    assert_eq!((erase.community, erase.slot), (Some(5), Some(2)));
    assert_eq!(all[7].act.clone().unwrap().first_interval, Some(first.0));
}

/// An entry is durable before its act, and an act without it is not carried out.
#[tokio::test(flavor = "multi_thread")]
async fn an_act_whose_entry_cannot_be_written_is_refused() {
    let world = World::new().await;
    let node = staffed(&world).await;
    let log = &node.handle.service().audit;
    log.fail_from_now_on();
    let (status, body) = node.publish(&world, 5).await;
    assert_eq!((status, &body["code"]), (503, &json!("audit.failed")));
    assert_eq!(node.get(&format!("/v1/communities/5/tariffs/{}", first_interval())).await.0, 404, "it was not done");
    // A refusal that cannot be written is no different; what is not audited goes on, and so do members.
    let support = token(&claims(&["support"]));
    assert_eq!(node.admin("/admin/v1/status", None, &support).await.1["code"], "audit.failed");
    assert_eq!(node.admin("/admin/v1/status", None, TOKEN).await.0, 200);
    assert_eq!(node.submit(&world.packet(5, 0, 0, false)).await.0, 201);
}

/// Killed between the entry and the end of its act: the next start says so.
#[tokio::test(flavor = "multi_thread")]
async fn an_act_that_a_kill_broke_off_is_told() {
    let world = World::new().await;
    let node = staffed(&world).await;
    node.publish(&world, 5).await;
    let (before, path) = (entries(&world).len(), audit_log::path_in(&world.data()));
    node.handle.kill().await;
    // As a kill after the entry leaves it: the outcome of the last act is not there.
    let length = format::offset_of(before as u64 - 1);
    File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
    let node = staffed(&world).await;
    let all = entries(&world);
    assert_eq!(all.len(), before);
    assert_eq!((all[before - 1].outcome, all[before - 1].of), (Outcome::Interrupted, Some(before as u64 - 2)));
    node.handle.kill().await;
    staffed(&world).await;
    assert_eq!(entries(&world).len(), before, "once");
}

/// A token, a grant and a body with something planted in them: nothing of it is in the audit log, and what is in it is sealed.
#[tokio::test(flavor = "multi_thread")]
async fn planted_secrets_are_in_no_entry() {
    let world = World::new().await;
    let node = staffed(&world).await;
    let mut planted = claims(&["auditor"]);
    (planted["sub"], planted["email"]) = (json!("planted-subject"), json!("planted@mail.example"));
    let token = token(&planted);
    let url = |path: &str| format!("http://{}{path}", node.handle.admin_address());
    let first = first_interval();
    let grant = hex::encode("planted-grant");
    let request = node.http.get(url(&format!("/admin/v1/communities/5/totals/{first}?key=planted-query")));
    let request = request.bearer_auth(&token).header("gridveil-grant", &grant).header("cookie", "planted-cookie");
    assert_eq!(request.send().await.unwrap().status().as_u16(), 403);
    let body = json!({"first_interval": "planted-body"});
    assert_eq!(node.admin("/admin/v1/communities/5/close?x=planted", Some(&body), TOKEN).await.0, 400);
    assert_eq!(node.admin("/admin/v1/communities/planted-path/close", Some(&body), TOKEN).await.0, 400);
    let all = entries(&world);
    assert_eq!(all.len(), 3);
    let text = serde_json::to_string(&all).unwrap();
    for word in ["planted", &token, TOKEN, &grant, token.split('.').next_back().unwrap()] {
        assert!(!text.contains(word), "{word}");
    }
    let bytes = std::fs::read(audit_log::path_in(&world.data())).unwrap();
    let held = |needle: &str| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
    assert!(!held("operator") && !held("communities") && !held("break-glass"));
}

/// Somebody with a valid token cannot fill the log with tries.
#[tokio::test(flavor = "multi_thread")]
async fn refused_tries_without_end_are_counted_and_not_all_written() {
    let world = World::new().await;
    let node = staffed(&world).await;
    let support = token(&claims(&["support"]));
    for _ in 0..50 {
        assert_eq!(node.admin("/admin/v1/upgrade", Some(&json!({})), &support).await.0, 403);
    }
    let written = entries(&world).len();
    assert!((30..40).contains(&written), "{written}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_is_published_at_its_pace_and_at_the_end() {
    let world = World::new().await;
    let l1 = Arc::new(MemoryAuditHeads::default());
    let config = |every| {
        let mut config = with_staff(&world);
        (config.audit_heads, config.audit_head_every) = (Some(Heads(l1.clone())), every);
        config
    };
    let (often, seldom) = (Duration::from_millis(20), Duration::from_secs(3600));
    let node = world.start_with(config(often)).await;
    node.publish(&world, 5).await;
    let path = audit_log::path_in(&world.data());
    until("a head", async || l1.published().await.unwrap() == 2).await;
    // L1 is away: acts and settlements go on, and it is told.
    l1.set_away(true);
    node.run_period(&world, 5, 0).await;
    node.settled(5, 1).await;
    until("told", async || node.health().await.1.to_string().contains("audit.head")).await;
    l1.set_away(false);
    until("a later head", async || l1.published().await.unwrap() > 2).await;
    until("well again", async || !node.health().await.1.to_string().contains("audit.head")).await;
    node.handle.shutdown().await;
    let node = world.start_with(config(seldom)).await;
    node.publish(&world, 7).await;
    node.handle.shutdown().await;
    let (all, published) = (heads(&path).unwrap(), l1.heads(0).await.unwrap());
    assert_eq!(published.last().unwrap().count, all.len() as u64);
    for head in &published {
        assert_eq!(all[usize::try_from(head.count).unwrap() - 1].chain, head.head);
    }

    // Cut at its end, as a whole: the file is good by itself, and L1 knows that it had more.
    let good = std::fs::read(&path).unwrap();
    let cut = usize::try_from(format::offset_of(all.len() as u64 - 2)).unwrap();
    std::fs::write(&path, &good[..cut]).unwrap();
    assert!(heads(&path).unwrap().len() < all.len());
    let node = world.start_with(config(often)).await;
    until("told", async || node.health().await.1.to_string().contains("an old copy of it")).await;
    assert_eq!(l1.heads(0).await.unwrap().len(), published.len(), "nothing is published over it");
    // A second history: as many entries as L1 knows, and another head.
    for _ in 0..2 {
        node.publish(&world, 7).await;
    }
    node.handle.kill().await;
    let forked = heads(&path).unwrap();
    let last = published.last().unwrap();
    assert_ne!(forked[usize::try_from(last.count).unwrap() - 1].chain, last.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_audit_log_is_not_gone_on_with() {
    let world = World::new().await;
    let node = staffed(&world).await;
    node.publish(&world, 5).await;
    node.publish(&world, 7).await;
    node.handle.kill().await;
    let path = audit_log::path_in(&world.data());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[200] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let started = serve(with_staff(&world), world.l1.clone(), world.prover.clone()).await;
    assert!(matches!(started, Err(Error::Audit(_))));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

/// Who may read the file gets it in pieces, as it is.
#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_fetches_the_file() {
    let world = World::new().await;
    let node = staffed(&world).await;
    node.publish(&world, 5).await;
    let auditor = token(&claims(&["auditor"]));
    let piece = async |offset: usize| {
        let url = format!("http://{}/admin/v1/audit-log/{offset}", node.handle.admin_address());
        node.http.get(url).bearer_auth(&auditor).send().await.unwrap().bytes().await.unwrap().to_vec()
    };
    let first = piece(0).await;
    let second = piece(first.len()).await;
    let file = std::fs::read(audit_log::path_in(&world.data())).unwrap();
    assert!(file.starts_with(&[first, second].concat()));
    assert_eq!(entries(&world).last().unwrap().of, Some(4), "that it was read is in it");
}
