//! Each check of a token, with a token that fails it alone.

use std::time::Duration;

use gridveil_sequencer::{Error, serve, staff::StaffConfig};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::{
    issuer::{ISSUER, NOW, claims, ed25519, jwks, key, public, signed, token, write},
    staffed, with_staff,
};
use crate::common::{Node, World};

const PATH: &str = "/admin/v1/status";

/// Why a token is refused; nothing if it is taken.
async fn refused(node: &Node, token: &str) -> Option<String> {
    let (status, body) = node.admin(PATH, None, token).await;
    if status == 200 {
        return None;
    }
    assert_eq!(status, 401, "{body}");
    assert!(!body.to_string().contains(token) && !body.to_string().contains("somebody"));
    Some(format!("{}: {}", body["code"].as_str().unwrap(), body["detail"].as_str().unwrap()))
}

fn edited(edit: impl FnOnce(&mut Value)) -> Value {
    let mut claims = claims(&["operator"]);
    edit(&mut claims);
    claims
}

fn without(name: &str) -> Value {
    edited(|claims| _ = claims.as_object_mut().unwrap().remove(name))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_algorithm_of_the_list_is_taken() {
    let world = World::new().await;
    let node = staffed(&world).await;
    for (algorithm, kid) in [(Algorithm::EdDSA, "ed"), (Algorithm::ES256, "ec"), (Algorithm::RS256, "rsa")] {
        for kid in [Some(kid), None] {
            let token = signed(&claims(&["operator"]), &key(algorithm), algorithm, kid);
            assert_eq!(refused(&node, &token).await, None, "{algorithm:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_claim_is_checked() {
    let world = World::new().await;
    let node = staffed(&world).await;
    let cases: Vec<(&str, Value, &str)> = vec![
        ("another issuer", edited(|c| c["iss"] = json!("https://id.example/realms/other")), "another issuer"),
        ("a longer issuer", edited(|c| c["iss"] = json!(format!("{ISSUER}/"))), "another issuer"),
        ("several issuers", edited(|c| c["iss"] = json!([ISSUER, "x"])), "another issuer"),
        ("no issuer", without("iss"), "lacks"),
        ("another audience", edited(|c| c["aud"] = json!("payroll")), "another service"),
        ("no audience", without("aud"), "lacks"),
        ("expired", edited(|c| c["exp"] = json!(NOW - 60)), "expired"),
        ("never expires", without("exp"), "lacks"),
        ("expiry as text", edited(|c| c["exp"] = json!("4000000000")), "lacks"),
        ("expiry below zero", edited(|c| c["exp"] = json!(-1)), "lacks"),
        ("lives too long", edited(|c| c["exp"] = json!(NOW + 13 * 3600)), "lives too long"),
        ("not yet", edited(|c| c["nbf"] = json!(NOW + 61)), "not valid yet"),
        ("not yet, as text", edited(|c| c["nbf"] = json!("4000000000")), "no whole number"),
        ("made later", edited(|c| c["iat"] = json!(NOW + 61)), "not valid yet"),
        ("nobody", without("sub"), "lacks"),
        ("an empty name", edited(|c| c["sub"] = json!("")), "lacks"),
        ("communities as text", edited(|c| c["communities"] = json!("5")), "no list"),
        ("a community below zero", edited(|c| c["communities"] = json!([-1])), "no list"),
    ];
    for (what, claims, why) in cases {
        let told = refused(&node, &token(&claims)).await.unwrap_or_else(|| panic!("{what}: taken"));
        assert!(told.starts_with("staff.token: ") && told.contains(why), "{what}: {told}");
    }
    // Within the leeway, and with several audiences.
    for claims in [
        edited(|c| c["exp"] = json!(NOW - 59)),
        edited(|c| c["nbf"] = json!(NOW + 59)),
        edited(|c| c["aud"] = json!(["payroll", "gridveil"])),
        without("nbf"),
    ] {
        assert_eq!(refused(&node, &token(&claims)).await, None, "{claims}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_counts_by_a_key_of_the_issuer_and_a_known_algorithm() {
    let world = World::new().await;
    let node = staffed(&world).await;
    let good = claims(&["operator"]);
    let by = |key: &EncodingKey, algorithm, kid| signed(&good, key, algorithm, kid);
    // Another key under the name of the issuer's.
    let told = refused(&node, &by(&ed25519(2), Algorithm::EdDSA, Some("ed"))).await.unwrap();
    assert!(told.contains("does not verify"), "{told}");
    // A name that the issuer does not have, or has for another algorithm.
    for kid in ["nobody", "ec", "rsa"] {
        let told = refused(&node, &by(&key(Algorithm::EdDSA), Algorithm::EdDSA, Some(kid))).await.unwrap();
        assert!(told.contains("a key that the issuer does not have"), "{told}");
    }
    // A shared key, which is what everybody knows: the public key, as its JSON and as its bytes.
    let jwk = public(&key(Algorithm::EdDSA), Algorithm::EdDSA, "ed");
    for secret in [jwk.to_string(), jwk["x"].as_str().unwrap().to_owned()] {
        for algorithm in [Algorithm::HS256, Algorithm::HS512] {
            let token = by(&EncodingKey::from_secret(secret.as_bytes()).unwrap(), algorithm, Some("ed"));
            assert!(refused(&node, &token).await.unwrap().contains("algorithm that is not taken"));
        }
    }
    // `none`, with a signature and without.
    let (head, rest) = token_parts(&by(&key(Algorithm::EdDSA), Algorithm::EdDSA, Some("ed")));
    assert!(!head.is_empty());
    for none in ["eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0", "eyJhbGciOiJOb25lIn0"] {
        assert!(refused(&node, &format!("{none}.{rest}")).await.unwrap().contains("known algorithm"));
        let payload = rest.split('.').next().unwrap();
        assert!(refused(&node, &format!("{none}.{payload}.")).await.unwrap().contains("known algorithm"));
    }
    // Another payload under a good signature; a signature that is cut.
    let other = token(&claims(&["support"]));
    let (_, signature) = rest.split_once('.').unwrap();
    let (other_head, other_rest) = token_parts(&other);
    let moved = format!("{other_head}.{}.{signature}", other_rest.split('.').next().unwrap());
    assert!(refused(&node, &moved).await.unwrap().contains("does not verify"));
    let cut = &token(&good)[..token(&good).len() - 4];
    assert!(refused(&node, cut).await.unwrap().contains("does not verify"));
    // What is no token at all is answered as no token is.
    assert!(refused(&node, "a.b").await.unwrap().starts_with("admin.token"));
    assert!(refused(&node, "a.b.c").await.unwrap().starts_with("staff.token"));
    assert!(refused(&node, &format!("{}.b.c", "a".repeat(9000))).await.unwrap().contains("too long"));
}

fn token_parts(token: &str) -> (String, String) {
    let (head, rest) = token.split_once('.').unwrap();
    (head.to_owned(), rest.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_algorithm_that_is_not_in_the_list_is_not_taken() {
    let world = World::new().await;
    let mut config = with_staff(&world);
    config.staff.algorithms = vec!["ES256".to_owned()];
    let node = world.start_with(config).await;
    assert!(refused(&node, &token(&claims(&["operator"]))).await.unwrap().contains("not taken"));
    let es256 = signed(&claims(&["operator"]), &key(Algorithm::ES256), Algorithm::ES256, Some("ec"));
    assert_eq!(refused(&node, &es256).await, None);
}

/// A key that is new is found when the first token names it; unknown names do not make the sequencer read without end.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_read_again_at_a_new_name_and_not_at_every_one() {
    let world = World::new().await;
    let mut config = with_staff(&world);
    config.staff.refetch = Duration::from_millis(400);
    let path = jwks(world.dir.path());
    let node = world.start_with(config).await;
    assert_eq!(refused(&node, &token(&claims(&["operator"]))).await, None);
    let new = signed(&claims(&["operator"]), &ed25519(2), Algorithm::EdDSA, Some("new"));
    assert!(refused(&node, &new).await.is_some());
    write(&path, &[public(&ed25519(2), Algorithm::EdDSA, "new")]);
    tokio::time::sleep(Duration::from_millis(450)).await;
    assert_eq!(refused(&node, &new).await, None);
    // The issuer took the old one back.
    assert!(refused(&node, &token(&claims(&["operator"]))).await.is_some());
    // Read just now: another name is not looked for again yet.
    let third = signed(&claims(&["operator"]), &ed25519(3), Algorithm::EdDSA, Some("third"));
    tokio::time::sleep(Duration::from_millis(450)).await;
    assert!(refused(&node, &third).await.is_some());
    write(&path, &[public(&ed25519(3), Algorithm::EdDSA, "third")]);
    assert!(refused(&node, &third).await.is_some());
    // What is no key set leaves the keys that are known.
    std::fs::write(&path, "not JSON").unwrap();
    tokio::time::sleep(Duration::from_millis(450)).await;
    assert!(refused(&node, &third).await.is_some());
    assert_eq!(refused(&node, &new).await, None);
}

/// Roles from a claim inside an object, by the issuer's own names.
#[tokio::test(flavor = "multi_thread")]
async fn the_issuers_names_mean_roles() {
    let world = World::new().await;
    let mut config = with_staff(&world);
    config.staff.roles_claim = "realm_access/roles".to_owned();
    config.staff.roles =
        [("grid-ops".to_owned(), "operator".to_owned()), ("helpdesk".to_owned(), "support".to_owned())].into();
    let node = world.start_with(config).await;
    let with =
        |names: Value| edited(|c| (c["roles"], c["realm_access"]) = (json!(["operator"]), json!({"roles": names})));
    let status = async |names| node.admin(PATH, None, &token(&with(names))).await.0;
    assert_eq!(status(json!(["grid-ops", "uma_authorization"])).await, 200);
    assert_eq!(status(json!(["helpdesk"])).await, 403);
    // A member is nobody by a token, and a role's own name is one still.
    assert_eq!(status(json!(["member"])).await, 403);
    assert_eq!(status(json!("operator")).await, 200);
}

/// Keys are fetched where there is an address, no redirect is followed, and an issuer that is away is told as such.
#[tokio::test(flavor = "multi_thread")]
async fn keys_come_from_the_issuer() {
    let keys = json!({"keys": [public(&ed25519(1), Algorithm::EdDSA, "ed")]});
    let moved = (axum::http::StatusCode::FOUND, [("location", "/jwks")]);
    let router = axum::Router::new()
        .route("/jwks", axum::routing::get(move || async move { axum::Json(keys) }))
        .route("/moved", axum::routing::get(move || async move { moved }))
        .route("/long", axum::routing::get(|| async { "x".repeat(300_000) }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    for (path, taken) in [("/jwks", true), ("/moved", false), ("/long", false), ("/none", false)] {
        let world = World::new().await;
        let mut config = with_staff(&world);
        config.staff.jwks = format!("http://{address}{path}");
        let node = world.start_with(config).await;
        let (status, body) = node.admin(PATH, None, &token(&claims(&["operator"]))).await;
        assert_eq!(status, if taken { 200 } else { 503 }, "{path}: {body}");
        assert!(taken || body["code"] == "staff.issuer", "{body}");
        assert_eq!(
            node.admin(PATH, None, crate::common::TOKEN).await.0,
            200,
            "the operator's own token needs no issuer"
        );
    }
    server.abort();
}

/// The operator's own token counts on this machine; a proxy on it says for whom it asks.
#[tokio::test(flavor = "multi_thread")]
async fn the_operators_own_token_does_not_come_through_a_proxy() {
    let world = World::new().await;
    let node = staffed(&world).await;
    for (name, expected) in [("x-forwarded-for", 401), ("forwarded", 401), ("x-real-ip", 401), ("x-other", 200)] {
        let request = node.http.get(format!("http://{}{PATH}", node.handle.admin_address()));
        let request = request.bearer_auth(crate::common::TOKEN).header(name, "203.0.113.7");
        assert_eq!(request.send().await.unwrap().status().as_u16(), expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_would_take_too_much_does_not_start() {
    let world = World::new().await;
    let edits: [fn(&mut StaffConfig); 6] = [
        |staff| staff.audience.clear(),
        |staff| staff.algorithms = vec!["HS256".to_owned()],
        |staff| staff.algorithms.clear(),
        |staff| staff.jwks = "http://id.example/jwks".to_owned(),
        |staff| staff.jwks.clear(),
        |staff| _ = staff.roles.insert("everybody".to_owned(), "member".to_owned()),
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        let mut config = with_staff(&world);
        edit(&mut config.staff);
        let started = serve(config, world.l1.clone(), world.prover.clone()).await;
        assert!(matches!(started, Err(Error::Config(what)) if what.starts_with("staff.")), "{number}");
    }
    // Without staff the admin listener stays on this machine; with staff it may leave it.
    for on in [false, true] {
        let mut config = with_staff(&world);
        config.admin_bind = "0.0.0.0:0".parse().unwrap();
        if !on {
            config.staff = StaffConfig::default();
        }
        let started = serve(config, world.l1.clone(), world.prover.clone()).await;
        assert_eq!(started.is_ok(), on);
        if let Ok(handle) = started {
            handle.kill().await;
        }
    }
}

/// A token of another kind of header.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_inside_a_token_is_not_looked_at() {
    let world = World::new().await;
    let node = staffed(&world).await;
    let mut header = Header::new(Algorithm::EdDSA);
    header.jwk = Some(serde_json::from_value(public(&ed25519(6), Algorithm::EdDSA, "ed")).unwrap());
    header.jku = Some("https://evil.example/jwks".to_owned());
    header.kid = Some("ed".to_owned());
    let token = encode(&header, &claims(&["operator"]), &ed25519(6)).unwrap();
    assert!(refused(&node, &token).await.unwrap().contains("does not verify"));
}
