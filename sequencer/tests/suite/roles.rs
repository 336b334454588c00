//! Who may do what: every endpoint with every role, with no credential and with wrong ones (`docs/reference/roles.md`).

mod audit;
mod grants;
pub mod issuer;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};

use gridveil_sequencer::{
    Clock, Config,
    api::roles::{Access, Listener, Row, TABLE, page, word},
    staff::{Role, StaffConfig},
};
use serde_json::{Value, json};

use crate::common::{Node, TOKEN, World};
use issuer::{AUDIENCE, ISSUER, NOW, claims, jwks, token};

/// A configuration with staff, at the time of the tokens.
pub fn with_staff(world: &World) -> Config {
    let mut config = world.config(&world.data());
    config.clock = Clock::new(|| NOW);
    config.staff = StaffConfig {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        jwks: jwks(world.dir.path()).display().to_string(),
        ..StaffConfig::default()
    };
    config
}

pub async fn staffed(world: &World) -> Node {
    world.start_with(with_staff(world)).await
}

/// One request, with these headers.
pub async fn ask(node: &Node, row: &Row, path: &str, method: &str, headers: &[(&str, &str)]) -> (u16, Value) {
    let address = match row.listener {
        Listener::Public => node.handle.public_address(),
        Listener::Admin => node.handle.admin_address(),
    };
    let request = node.http.request(method.parse().unwrap(), format!("http://{address}{path}"));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let request = if method == "GET" || method == "HEAD" { request } else { request.json(&json!({})) };
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let without_end = response.headers().get("content-type").is_some_and(|media| media == "text/event-stream");
    let text = if without_end { String::new() } else { response.text().await.unwrap_or_default() };
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// A path of a row, with numbers in it.
fn filled(row: &Row, community: &str) -> String {
    let path = row.path.replace("{community}", community).replace("{first_interval}", "420000");
    path.replace("{slot}", "1")
        .replace("{offset}", "0")
        .replace("{id}", &"0".repeat(64))
        .replace("{commitment}", &"0".repeat(64))
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Did the request get as far as what the endpoint does?
fn is_refused(status: u16) -> bool {
    [401, 403].contains(&status)
}

/// What the table says of a role, against what the sequencer does, for each row: with a token of that role alone.
#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_answers_every_role_as_the_table_says() {
    let world = World::new().await;
    let node = staffed(&world).await;
    for row in TABLE {
        let path = filled(row, "5");
        for role in Role::ALL {
            let header = bearer(&token(&claims(&[role.name()])));
            let (status, body) = ask(&node, row, &path, row.method, &[("authorization", &header)]).await;
            let said: String = body.to_string().chars().take(200).collect();
            let what = format!("{} {} {}: {status} {said}", row.method, row.path, role.name());
            match (row.access, word(row, role)) {
                // The handler looks for a signature, whatever the token says.
                (Access::Owner, _) => assert_eq!(body["code"], "body.malformed", "{what}"),
                (Access::Anybody, _) => assert!(!is_refused(status), "{what}"),
                (Access::Staff(..), "yes" | "own") => assert!(!is_refused(status) && status != 405, "{what}"),
                (Access::Staff(..), "grant") => {
                    assert_eq!((status, &body["code"]), (403, &json!("grant.missing")), "{what}")
                }
                (Access::Staff(..), _) => assert_eq!((status, &body["code"]), (403, &json!("staff.role")), "{what}"),
            }
            if word(row, role) == "own" {
                let (status, body) =
                    ask(&node, row, &filled(row, "7"), row.method, &[("authorization", &header)]).await;
                assert_eq!((status, &body["code"]), (403, &json!("staff.community")), "{what}");
            }
        }
        if row.listener == Listener::Public || matches!(row.access, Access::Anybody) {
            let (status, body) = ask(&node, row, &path, row.method, &[]).await;
            assert!(!is_refused(status), "{}: {body}", row.path);
            continue;
        }
        // The operator's own token; none; a wrong one; one that has expired; one without a role that is known here.
        let own = bearer(TOKEN);
        let (status, body) = ask(&node, row, &path, row.method, &[("authorization", &own)]).await;
        assert!(!is_refused(status) && status != 405, "{}: {status} {body}", row.path);
        let mut expired = claims(&["operator"]);
        expired["exp"] = json!(NOW - 61);
        let wrong = ["Bearer a token of another world".to_owned(), "Basic b3A6b3A=".to_owned(), TOKEN.to_owned()];
        for header in wrong {
            let (status, body) = ask(&node, row, &path, row.method, &[("authorization", &header)]).await;
            assert_eq!((status, &body["code"]), (401, &json!("admin.token")), "{}", row.path);
        }
        assert_eq!(ask(&node, row, &path, row.method, &[]).await.1["code"], "admin.token", "{}", row.path);
        let header = bearer(&token(&expired));
        let (status, body) = ask(&node, row, &path, row.method, &[("authorization", &header)]).await;
        assert_eq!((status, &body["code"]), (401, &json!("staff.token")), "{}", row.path);
        let header = bearer(&token(&claims(&["janitor"])));
        assert_eq!(ask(&node, row, &path, row.method, &[("authorization", &header)]).await.1["code"], "staff.role");
    }
}

/// What has no row is refused, to the operator too: other methods, and paths that there are not.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_the_table_is_refused() {
    let world = World::new().await;
    let node = staffed(&world).await;
    let own = bearer(TOKEN);
    let methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
    for row in TABLE {
        let known: BTreeSet<_> =
            TABLE.iter().filter(|other| other.path == row.path).map(|other| other.method).collect();
        for method in methods.into_iter().filter(|method| !known.contains(method)) {
            let (status, body) = ask(&node, row, &filled(row, "5"), method, &[("authorization", &own)]).await;
            assert_eq!((status, &body["code"]), (405, &json!("method.not_allowed")), "{method} {}", row.path);
        }
    }
    let admin = TABLE.iter().find(|row| row.listener == Listener::Admin).unwrap();
    for path in ["/admin/v1/nothing", "/admin/v2/status", "/admin/v1/status/", "//admin/v1/status", "/v1/info"] {
        assert_eq!(ask(&node, admin, path, "GET", &[]).await.0, 401, "{path}");
        let (status, body) = ask(&node, admin, path, "GET", &[("authorization", &own)]).await;
        assert_eq!((status, &body["code"]), (404, &json!("route.unknown")), "{path}");
    }
    // Nothing of the admin listener is on the public one.
    let public = TABLE.iter().find(|row| row.listener == Listener::Public).unwrap();
    let (status, _) = ask(&node, public, "/admin/v1/status", "GET", &[("authorization", &own)]).await;
    assert_eq!(status, 404);
}

/// Paths that the sources of the listeners name, and those of the table, are the same.
#[test]
fn every_path_of_the_sources_has_a_row() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/api");
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        // The table itself, and the listener for health, which is nobody's but the operator's machines'.
        if entry.is_dir() || ["roles.rs", "health.rs"].contains(&name.as_str()) {
            continue;
        }
        let text = std::fs::read_to_string(&entry).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        for literal in code.split('"').skip(1).step_by(2) {
            if ["/v1/", "/admin/", "/healthz"].iter().any(|start| literal.starts_with(start)) {
                named.insert(literal.to_owned(), name.clone());
            }
        }
    }
    let rows: BTreeSet<String> = TABLE.iter().map(|row| row.path.to_owned()).collect();
    let unlisted: Vec<_> = named.iter().filter(|(path, _)| !rows.contains(*path)).collect();
    assert!(unlisted.is_empty(), "paths without a row in api/roles.rs: {unlisted:?}");
    let gone: Vec<_> = rows.iter().filter(|path| !named.contains_key(*path)).collect();
    assert!(gone.is_empty(), "rows of no path: {gone:?}");
    let ends: BTreeSet<_> = TABLE.iter().map(|row| (row.method, row.path)).collect();
    assert_eq!(ends.len(), TABLE.len(), "an endpoint has one row");
}

/// What changes something is an entry of the audit log.
#[test]
fn what_changes_something_is_audited() {
    for row in TABLE.iter().filter(|row| row.listener == Listener::Admin) {
        assert!(row.audited || row.method == "GET", "{}", row.path);
        if let Access::Staff(_, grantees) = row.access {
            assert!(row.audited || grantees.is_empty(), "{}: every grant that is used", row.path);
        }
    }
}

#[test]
fn the_page_has_the_table() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/roles.md");
    let mut text = std::fs::read_to_string(&path).unwrap();
    if std::env::var_os("GRIDVEIL_BLESS").is_some() {
        let from = text.find("| endpoint |").unwrap();
        let to = text[from..].find("\n\n").unwrap() + from + 1;
        text.replace_range(from..to, &page());
        std::fs::write(&path, &text).unwrap();
    }
    assert!(
        text.contains(&page()),
        "docs/reference/roles.md has another table (GRIDVEIL_BLESS=1 rewrites it):\n{}",
        page()
    );
}

/// Support's status has no count of people, no slot and no free text.
#[tokio::test(flavor = "multi_thread")]
async fn support_sees_nothing_of_a_person() {
    let world = World::new().await;
    let node = staffed(&world).await;
    node.publish(&world, 5).await;
    node.submit_but(&world, 5, 0, 2).await;
    assert_eq!(node.close(5, 0).await.1["missing"], json!([2]));
    let header = token(&claims(&["support"]));
    let (status, body) = node.admin("/admin/v1/support/status", None, &header).await;
    assert_eq!(status, 200, "{body}");
    let fields: BTreeSet<_> = body["communities"][0].as_object().unwrap().keys().cloned().collect();
    let expected = ["blocked", "closed", "community", "last_settled", "next_interval"];
    assert_eq!(fields, expected.map(str::to_owned).into());
    let fields: BTreeSet<_> = body.as_object().unwrap().keys().cloned().collect();
    let expected = ["communities", "health", "log_height", "reasons", "unsettled", "versions"];
    assert_eq!(fields, expected.map(str::to_owned).into());
}

/// A meter data manager hands in its decisions, and no money.
#[tokio::test(flavor = "multi_thread")]
async fn a_meter_data_manager_moves_no_money() {
    let world = World::new().await;
    let node = staffed(&world).await;
    let (mdm, path) = (token(&claims(&["mdm"])), "/admin/v1/communities/5/header-operation");
    let body = json!({"transfer": {"pool": "supplier_in", "units": 1}});
    let (status, answer) = node.admin(path, Some(&body), &mdm).await;
    assert_eq!((status, &answer["code"]), (403, &json!("staff.role")));
    let (status, answer) = node.admin(path, Some(&json!({})), &mdm).await;
    assert_eq!((status, &answer["code"]), (422, &json!("header.empty")));
    // A number is one as it stands in the path: the router would read 7 of this.
    assert_eq!(node.admin("/admin/v1/communities/%37/missing", None, &mdm).await.1["code"], "path.malformed");
    assert_eq!(node.admin("/admin/v1/communities/7/missing", None, &mdm).await.1["code"], "staff.community");
    // Without a list of communities a meter data manager has none, and an operator all.
    let mut all = claims(&["mdm"]);
    all.as_object_mut().unwrap().remove("communities");
    assert_eq!(node.admin("/admin/v1/communities/5/missing", None, &token(&all)).await.1["code"], "staff.community");
    all["roles"] = json!("operator");
    assert_eq!(node.admin("/admin/v1/communities/7/missing", None, &token(&all)).await.0, 200);
}
