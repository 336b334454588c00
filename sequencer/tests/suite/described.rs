//! The description of the API: it is the committed one, it is served, and real answers and requests are as it says.
use std::{collections::BTreeSet, fs, path::PathBuf};

use gridveil_protocol::{field::Fr, operation::Kind, owner::owner_of, receipt::ReceiptRequest};
use gridveil_sequencer::{Clock, api::openapi};
use serde_json::{Value, json};

use crate::common::{Node, TOKEN, World, first_interval, owner_key, units};

fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/openapi.json")
}

fn whole() -> Value {
    serde_json::to_value(openapi::whole()).unwrap()
}

/// Methods and paths of a description.
fn routes(described: &Value) -> BTreeSet<(String, String)> {
    let of = |(path, item): (&String, &Value)| {
        let methods: Vec<_> = item.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())).collect();
        methods
    };
    described["paths"].as_object().unwrap().iter().flat_map(of).collect()
}

#[test]
fn the_description_is_the_committed_one() {
    let text = format!("{:#}\n", whole());
    if std::env::var_os("GRIDVEIL_BLESS").is_some() {
        fs::write(page(), &text).unwrap();
    }
    let committed = fs::read_to_string(page()).unwrap_or_default();
    assert!(
        committed == text,
        "docs/reference/openapi.json is not what the types say: GRIDVEIL_BLESS=1 cargo test -p gridveil-sequencer described"
    );
}

#[test]
fn every_operation_says_enough() {
    let whole = whole();
    assert_eq!(whole["openapi"], "3.1.0");
    let mut names = BTreeSet::new();
    for (method, path) in routes(&whole) {
        let operation = &whole["paths"][&path][&method];
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{name} is the name of two");
        assert!(operation["summary"].is_string(), "{method} {path}: no summary");
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(!response["description"].as_str().unwrap().is_empty(), "{method} {path} {status}");
            if let Some(refusal) = response["content"].get("application/problem+json") {
                for (code, example) in refusal["examples"].as_object().unwrap() {
                    assert_eq!(example["$ref"], format!("#/components/examples/{code}"));
                    let value = &whole["components"]["examples"][code]["value"];
                    // A tariff is missing to who reads it, and to who closes a period.
                    let same = code == "tariff.unknown" || value["status"].as_u64() == status.parse().ok();
                    assert!(value["code"] == *code && same, "{method} {path}: {value}");
                }
            }
        }
        let in_path: BTreeSet<&str> = path.split(['{', '}']).skip(1).step_by(2).collect();
        let empty = Vec::new();
        let told = operation["parameters"].as_array().unwrap_or(&empty).iter().filter(|p| p["in"] == "path");
        assert_eq!(told.map(|p| p["name"].as_str().unwrap()).collect::<BTreeSet<_>>(), in_path, "{method} {path}");
        let without_token = path.starts_with("/admin/v1/docs");
        let token = path.starts_with("/admin/") && !without_token;
        assert_eq!(operation["security"].as_array().is_some_and(|s| s.iter().any(|s| s.get("token").is_some())), token);
    }
    // Every reference leads somewhere.
    let text = whole.to_string();
    for name in text.split("\"#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(whole["components"]["schemas"].get(name).is_some(), "{name}: no such schema");
    }
}

/// Why a value is not what a schema says; the part of JSON Schema that the description uses.
fn differs(whole: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    let fail = |why: &str| Some(format!("{at}: {why}: {value} against {schema}"));
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.trim_start_matches("#/components/schemas/");
        return differs(whole, &whole["components"]["schemas"][name], value, &format!("{at}/{name}"));
    }
    for (word, one) in [("oneOf", true), ("anyOf", false)] {
        if let Some(some) = schema[word].as_array() {
            let fits = some.iter().filter(|one| differs(whole, one, value, at).is_none()).count();
            if fits == 0 || one && fits > 1 {
                return fail(word);
            }
        }
    }
    if let Some(all) = schema["allOf"].as_array()
        && let Some(why) = all.iter().find_map(|one| differs(whole, one, value, at))
    {
        return Some(why);
    }
    let is = |word: &str| match word {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    };
    let words: Vec<&str> = match &schema["type"] {
        Value::String(word) => vec![word],
        Value::Array(words) => words.iter().map(|word| word.as_str().unwrap()).collect(),
        _ => Vec::new(),
    };
    if !words.is_empty() && !words.iter().any(|word| is(word)) {
        return fail("type");
    }
    if let Some(some) = schema["enum"].as_array()
        && !some.contains(value)
    {
        return fail("enum");
    }
    if value.is_null() {
        return None;
    }
    if let Some(required) = schema["required"].as_array()
        && let Some(missing) = required.iter().find(|name| value.get(name.as_str().unwrap()).is_none())
    {
        return fail(&format!("lacks {missing}"));
    }
    if let (Some(fields), Some(known)) = (value.as_object(), schema["properties"].as_object()) {
        for (name, field) in fields {
            let Some(schema) = known.get(name) else {
                // Part of a whole that has several parts says of its own fields alone.
                continue;
            };
            if let Some(why) = differs(whole, schema, field, &format!("{at}.{name}")) {
                return Some(why);
            }
        }
    }
    if let Some(items) = value.as_array() {
        let bound = |word: &str| schema[word].as_u64().map(|n| usize::try_from(n).unwrap());
        if bound("minItems").is_some_and(|n| items.len() < n) || bound("maxItems").is_some_and(|n| items.len() > n) {
            return fail("number of items");
        }
        let schema = schema.get("items")?;
        return items.iter().enumerate().find_map(|(n, item)| differs(whole, schema, item, &format!("{at}[{n}]")));
    }
    let hex =
        schema["pattern"].as_str().and_then(|pattern| pattern.strip_prefix("^0x[0-9a-fA-F]{")?.strip_suffix("}$"));
    if let (Some(digits), Some(text)) = (hex, value.as_str())
        && (text.len() != 2 + digits.parse::<usize>().unwrap() || !text.starts_with("0x"))
    {
        return fail("pattern");
    }
    None
}

/// Fields of a value that its schema does not list, where it lists all.
fn unknown(whole: &Value, name: &str, value: &Value) -> Vec<String> {
    let known = whole["components"]["schemas"][name]["properties"].as_object().unwrap();
    value.as_object().unwrap().keys().filter(|field| !known.contains_key(*field)).cloned().collect()
}

fn fits(whole: &Value, name: &str, value: &Value) {
    let reference = json!({"$ref": format!("#/components/schemas/{name}")});
    assert_eq!(differs(whole, &reference, value, ""), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_travels_is_as_it_is_described() {
    let (world, whole) = (World::new().await, whole());
    let node = world.start().await;
    // Of types that are described by hand, no field is forgotten either.
    let packet = serde_json::to_value(world.packet(5, 0, 0, false)).unwrap();
    let operation = world.operation(0, Kind::Withdraw, world.nonce(0), |o| o.amount = units(1));
    let operation = serde_json::to_value(&operation).unwrap();
    let enrolment = serde_json::to_value(world.operation(3, Kind::Terms, 0, |_| {})).unwrap();
    let owner = owner_key(0);
    let message = ReceiptRequest::message(world.domain(), 5, 0, first_interval(), Clock::system().now());
    let request = ReceiptRequest {
        community: 5,
        slot: 0,
        first_interval: first_interval(),
        timestamp: Clock::system().now(),
        owner: owner_of(&owner),
        signature: owner.sign(gridveil_protocol::poseidon::DomainTag::Request, &message).unwrap(),
    };
    let request = serde_json::to_value(&request).unwrap();
    let tariff = serde_json::to_value(&world.tariff).unwrap();
    for (name, value) in [
        ("SignedPacket", &packet),
        ("SignedOperation", &operation),
        ("SignedOperation", &enrolment),
        ("ReceiptRequest", &request),
        ("Tariff", &tariff),
    ] {
        fits(&whole, name, value);
        assert_eq!(unknown(&whole, name, value), [""; 0], "{name}");
    }
    for (name, part) in [
        ("Context", &packet["context"]),
        ("PacketSalts", &packet["salts"]),
        ("Reading", &packet["readings"][0]),
        ("OwnerKey", &operation["owner"]),
        ("IntervalTariff", &tariff["intervals"][0]),
        ("ClassPrices", &tariff["intervals"][0]["classes"][0]),
    ] {
        fits(&whole, name, part);
        assert_eq!(unknown(&whole, name, part), [""; 0], "{name}");
    }
    node.run_period(&world, 5, 0).await;
    node.settled(5, 1).await;
    let answer = node.post("/v1/receipts", &request).await;
    assert_eq!(answer.0, 200, "{}", answer.1);
    assert_eq!(unknown(&whole, "Receipt", &answer.1), [""; 0]);
    let first = first_interval();
    let mut seen = BTreeSet::new();
    let gets = [
        "/v1/info".to_owned(),
        "/v1/communities/5".into(),
        "/v1/communities/5/periods?limit=1".into(),
        "/v1/communities/5/tariffs".into(),
        format!("/v1/communities/5/tariffs/{first}"),
        format!("/v1/operations/{}", format_args!("0x{}", "11".repeat(32))),
        format!("/v1/notes/{}", gridveil_protocol::hex::hex0(gridveil_protocol::field::to_bytes(&Fr::from(1u64)))),
        "/healthz".into(),
        "/v1/nothing".into(),
        "/admin/v1/status".into(),
        "/admin/v1/communities/5/missing".into(),
        "/admin/v1/communities/5/batches".into(),
        format!("/admin/v1/communities/5/header/{first}"),
        "/readyz".into(),
    ];
    for path in gets {
        let (status, body) = match path.split('/').nth(1) {
            Some("admin") => node.admin(&path, None, TOKEN).await,
            Some("readyz") => node.watched(&path).await,
            _ => node.get(&path).await,
        };
        checked(&whole, &mut seen, "get", &path, status, &body);
    }
    for (path, body) in [("/v1/receipts", request), ("/v1/operations", operation), ("/v1/packets", packet)] {
        let (status, body) = node.post(path, &body).await;
        checked(&whole, &mut seen, "post", path, status, &body);
    }
    let (status, body) = node.header(5, &json!({"transfer": {"pool": "supplier_in", "units": 1}})).await;
    checked(&whole, &mut seen, "post", "/admin/v1/communities/5/header-operation", status, &body);
    assert!(seen.len() > 12, "{seen:?}");
    served(&node, &whole).await;
    node.handle.shutdown().await;
}

/// An answer fits what the description says of its path, method and status.
fn checked(whole: &Value, seen: &mut BTreeSet<String>, method: &str, path: &str, status: u16, body: &Value) {
    let path = path.split('?').next().unwrap();
    let parts: Vec<&str> = path.split('/').collect();
    let template = whole["paths"].as_object().unwrap().iter().find(|(template, item)| {
        let of: Vec<&str> = template.split('/').collect();
        item.get(method).is_some()
            && of.len() == parts.len()
            && of.iter().zip(&parts).all(|(t, p)| t == p || t.starts_with('{'))
    });
    let problem = json!({"$ref": "#/components/schemas/Problem"});
    let Some((template, item)) = template else {
        assert_eq!((status, differs(whole, &problem, body, path)), (404, None), "{path}");
        return;
    };
    let response = &item[method]["responses"][status.to_string()];
    let media = if status >= 400 { "application/problem+json" } else { "application/json" };
    let schema = &response["content"][media]["schema"];
    assert!(schema.is_object(), "{method} {template}: {status} is not described: {body}");
    assert_eq!(differs(whole, schema, body, template), None);
    seen.insert(format!("{method} {template}"));
}

/// Both listeners serve it, and a page; only the operator reads all of it.
async fn served(node: &Node, whole: &Value) {
    let (status, public) = node.get("/v1/openapi.json").await;
    assert_eq!(status, 200);
    let staff = |path: &str| path.starts_with("/admin/") || ["/livez", "/readyz", "/metrics"].contains(&path);
    let of_all = routes(whole);
    assert_eq!(routes(&public), of_all.iter().filter(|(_, path)| !staff(path)).cloned().collect());
    assert_eq!(node.admin("/admin/v1/openapi.json", None, TOKEN).await, (200, whole.clone()));
    assert_eq!(node.admin("/admin/v1/openapi.json", None, "another token of bytes").await.0, 401);
    let (of_public, of_admin) = (node.handle.public_address(), node.handle.admin_address());
    for (address, prefix) in [(of_public, "/v1"), (of_admin, "/admin/v1")] {
        for (file, media) in [("docs", "text/html"), ("docs.js", "text/javascript"), ("docs.css", "text/css")] {
            let answer = node.http.get(format!("http://{address}{prefix}/{file}")).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 200, "{file}");
            let headers = answer.headers().clone();
            assert!(headers["content-type"].to_str().unwrap().starts_with(media));
            let policy = headers["content-security-policy"].to_str().unwrap();
            assert!(
                policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"),
                "{policy}"
            );
            // Nothing of it comes from elsewhere, and no handler is in its markup.
            let text = answer.text().await.unwrap();
            assert!(!text.contains("://") && !text.contains(" on") || !text.starts_with("<!"), "{file}");
            assert!(!text.contains("http:") && !text.contains("https:") && !text.contains("innerHTML"), "{file}");
        }
    }
    // What is described is there: nothing of it is an unknown path.
    for (method, path) in of_all.iter().filter(|(method, path)| method == "get" && !path.ends_with("/events")) {
        let concrete = path.replace("{community}", "5").replace("{first_interval}", "1").replace("{slot}", "0");
        let concrete = concrete.replace("{id}", &"11".repeat(32)).replace("{commitment}", &"00".repeat(32));
        let (_, body) = if path.starts_with("/admin/") {
            node.admin(&concrete, None, TOKEN).await
        } else if staff(path) {
            node.watched(&concrete).await
        } else {
            node.get(&concrete).await
        };
        assert_ne!(body["code"], "route.unknown", "{method} {path}");
    }
}
