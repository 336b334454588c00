//! Requests that are wrong in every way: the answer is a problem document with its code, and repeats nothing of them.
use std::net::SocketAddr;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::common::{TOKEN, World};

/// It stands in every part of a request that could be repeated.
const PLANTED: &str = "planted-4711";

struct Told {
    status: u16,
    head: String,
    body: String,
}

async fn ask(to: SocketAddr, request: &[u8]) -> Told {
    let mut stream = TcpStream::connect(to).await.unwrap();
    // The answer may come before all of it is taken.
    let _ = stream.write_all(request).await;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Told { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{length}{headers}\r\n{body}").into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_a_problem_document() {
    let world = World::new().await;
    let node = world.start().await;
    let (public, admin, health) =
        (node.handle.public_address(), node.handle.admin_address(), node.handle.health_address());
    let token = format!("authorization: Bearer {TOKEN}\r\n");
    let json = format!("{token}content-type: application/json\r\n");
    let long = format!("/v1/communities/{}", PLANTED.repeat(700));
    let long_query = format!("/v1/communities/5/periods?after={}", "9".repeat(8000));
    let of_key = |key: &str| format!("{json}idempotency-key: {key}\r\n");
    let c = "/v1/communities";
    let a = "/admin/v1/communities";
    let transfer = r#"{"transfer":{"pool":"supplier_in","units":5}}"#;
    let at: Vec<(SocketAddr, &str, String, String, &str, u16, &str)> = vec![
        (public, "GET", format!("{c}/%ff"), String::new(), "", 400, "path.malformed"),
        (public, "GET", format!("{c}/%ff/events"), String::new(), "", 400, "path.malformed"),
        (public, "GET", format!("{c}/%ff/periods"), String::new(), "", 400, "path.malformed"),
        (public, "GET", format!("{c}/5/tariffs/%c3%28"), String::new(), "", 400, "path.malformed"),
        (public, "GET", "/v1/operations/%ff".into(), String::new(), "", 400, "path.malformed"),
        (public, "GET", "/v1/notes/%fe%ff".into(), String::new(), "", 400, "path.malformed"),
        (public, "GET", format!("{c}/{PLANTED}"), String::new(), "", 400, "path.malformed"),
        (public, "GET", format!("{c}/-1"), String::new(), "", 400, "path.malformed"),
        (public, "GET", format!("{c}/4294967296"), String::new(), "", 400, "path.malformed"),
        (public, "GET", long, String::new(), "", 400, "path.malformed"),
        (public, "GET", format!("/{PLANTED}/%ff"), String::new(), "", 404, "route.unknown"),
        (public, "GET", format!("//{PLANTED}"), String::new(), "", 404, "route.unknown"),
        (public, "GET", format!("{c}/5/periods?{PLANTED}=1"), String::new(), "", 400, "query.malformed"),
        (public, "GET", format!("{c}/5/periods?after={PLANTED}"), String::new(), "", 400, "query.malformed"),
        (public, "GET", format!("{c}/5/periods?limit=0"), String::new(), "", 400, "query.malformed"),
        (public, "GET", format!("{c}/5/periods?limit=501"), String::new(), "", 400, "query.malformed"),
        (public, "GET", format!("{c}/5/periods?limit=1&limit=2"), String::new(), "", 400, "query.malformed"),
        (public, "GET", format!("{c}/5/tariffs?after=%ff"), String::new(), "", 400, "query.malformed"),
        (public, "GET", long_query, String::new(), "", 400, "query.malformed"),
        (public, "GET", format!("{c}/5/events?after=x"), String::new(), "", 400, "query.malformed"),
        (public, "GET", format!("{c}/5/events"), format!("last-event-id: {PLANTED}\r\n"), "", 400, "query.malformed"),
        (public, "GET", format!("{c}/5/events?after=999999"), String::new(), "", 409, "events.unknown"),
        (public, "GET", format!("{c}/6/events"), String::new(), "", 404, "account.unknown"),
        (public, "DELETE", format!("{c}/5"), String::new(), "", 405, "method.not_allowed"),
        (public, "OPTIONS", "/v1/packets".into(), String::new(), "", 405, "method.not_allowed"),
        (public, "OPTIONS", "/v1/packets/bulk".into(), String::new(), "", 405, "method.not_allowed"),
        (public, "PATCH", "/v1/docs".into(), String::new(), "", 405, "method.not_allowed"),
        (public, "TRACE", "/v1/info".into(), String::new(), "", 405, "method.not_allowed"),
        (public, "PLANTED-4711", "/v1/info".into(), String::new(), "", 405, "method.not_allowed"),
        (public, "OPTIONS", "*".into(), String::new(), "", 404, "route.unknown"),
        (
            public,
            "POST",
            "/v1/packets".into(),
            format!("content-type: text/{PLANTED}\r\n"),
            "x",
            415,
            "body.media_type",
        ),
        (public, "POST", "/v1/packets".into(), json.clone(), "{\"planted-4711\"", 400, "body.malformed"),
        (public, "POST", "/v1/packets".into(), json.clone(), "{\"context\":\"planted-4711\"}", 400, "body.malformed"),
        (public, "POST", "/v1/operations".into(), json.clone(), "[\"planted-4711\"]", 400, "body.malformed"),
        (public, "POST", "/v1/receipts".into(), json.clone(), "planted-4711", 400, "body.malformed"),
        (public, "POST", "/v1/given-back".into(), json.clone(), "", 400, "body.malformed"),
        (public, "POST", "/v1/packets/bulk".into(), json.clone(), "[]", 415, "body.media_type"),
        (
            public,
            "POST",
            "/v1/packets/bulk".into(),
            "content-type: application/octet-stream\r\n".into(),
            PLANTED,
            400,
            "body.malformed",
        ),
        (public, "GET", "/admin/v1/status".into(), token.clone(), "", 404, "route.unknown"),
        (
            admin,
            "GET",
            "/admin/v1/status".into(),
            format!("authorization: Bearer {PLANTED}\r\n"),
            "",
            401,
            "admin.token",
        ),
        (admin, "GET", format!("/{PLANTED}"), String::new(), "", 401, "admin.token"),
        (admin, "GET", format!("{a}/%ff/missing"), token.clone(), "", 400, "path.malformed"),
        (admin, "GET", format!("{a}/5/missing?limit=x"), token.clone(), "", 400, "query.malformed"),
        (admin, "GET", "/admin/v1/status?limit=x".into(), token.clone(), "", 400, "query.malformed"),
        (admin, "GET", "/admin/v1/events?after=-1".into(), token.clone(), "", 400, "query.malformed"),
        (admin, "POST", format!("{a}/%ff/close"), json.clone(), "{}", 400, "path.malformed"),
        (admin, "POST", "/admin/v1/members/5/%ff/erase".into(), json.clone(), "{}", 400, "path.malformed"),
        (admin, "POST", format!("{a}/5/close"), json.clone(), "{\"planted-4711\":1}", 400, "body.malformed"),
        (admin, "POST", format!("{a}/5/header-operation"), of_key("short"), transfer, 400, "idempotency.key"),
        (
            admin,
            "POST",
            format!("{a}/5/header-operation"),
            of_key("planted 4711 planted"),
            transfer,
            400,
            "idempotency.key",
        ),
        (admin, "PUT", "/admin/v1/status".into(), token.clone(), "", 405, "method.not_allowed"),
        (admin, "POST", "/admin/v1/docs".into(), String::new(), "", 401, "admin.token"),
        (admin, "GET", format!("/admin/v1/{PLANTED}"), token, "", 404, "route.unknown"),
        (health, "GET", format!("/{PLANTED}/%ff"), String::new(), "", 404, "route.unknown"),
        (health, "POST", "/livez".into(), String::new(), "", 405, "method.not_allowed"),
        (health, "OPTIONS", "/metrics".into(), String::new(), "", 405, "method.not_allowed"),
    ];
    for (to, method, path, headers, body, status, code) in at {
        let shown = format!("{method} {}", path.chars().take(60).collect::<String>());
        let told = ask(to, &request(method, &path, &headers, body)).await;
        assert_eq!(told.status, status, "{shown}: {}{}", told.head, told.body);
        assert!(told.head.contains("content-type: application/problem+json"), "{shown}: {}", told.head);
        let document: Value = serde_json::from_str(&told.body).unwrap_or_else(|_| panic!("{shown}: {}", told.body));
        assert_eq!(document["code"], code, "{shown}");
        assert_eq!(document["type"], format!("urn:gridveil:problem:{code}"), "{shown}");
        assert_eq!(document["status"], status, "{shown}");
        for part in [PLANTED, "4711", "%ff", "999999"] {
            assert!(!told.head.contains(part) && !told.body.contains(part), "{shown} repeats {part}: {}", told.body);
        }
        if status == 405 {
            assert!(told.head.contains("allow: "), "{shown}: {}", told.head);
        }
    }
    // Of an answer to HEAD there is the head alone.
    for (path, status) in [("/v1/info", 200), ("/v1/communities/%ff", 400), ("/v1/packets", 405)] {
        let told = ask(public, &request("HEAD", path, "", "")).await;
        assert_eq!((told.status, told.body.as_str()), (status, ""), "{path}");
        let media = if status == 200 { "application/json" } else { "application/problem+json" };
        assert!(told.head.contains(&format!("content-type: {media}")), "{path}: {}", told.head);
    }
    // What is no HTTP gets a status without a body, and repeats nothing either.
    let heads = [
        (format!("GET /v1/info HTTP/1.1\r\nhost: x\r\nx-{PLANTED}: {}\r\n\r\n", "y".repeat(40 << 10)), 431),
        (format!("{PLANTED}\r\n\r\n"), 400),
        ("POST /v1/packets HTTP/1.1\r\nhost: x\r\ncontent-length: planted-4711\r\n\r\n".to_owned(), 400),
    ];
    for (head, status) in heads {
        for to in [public, admin, health] {
            let told = ask(to, head.as_bytes()).await;
            assert!(told.body.is_empty() && !told.head.contains(PLANTED), "{}", told.head);
            // A client that still writes may see the connection end.
            assert!(told.status == status || told.status == 0, "{}", told.head);
        }
    }
    node.handle.shutdown().await;
}
