//! The page of the HTTP API and its types agree. Every example on the page is read into the type of its answer, and is
//! the same JSON when it is written again. Every code is in a table of the page with its status, fault and retry.
#![allow(clippy::unwrap_used, clippy::panic)]

use gridveil_protocol::{
    field::{Fr, to_bytes},
    schnorr::SecretKey,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    admin::{self, CloseRequest, TariffRequest, UpgradeRequest},
    code::{CODES, Fault},
    problem::Problem,
    public::{self, Taken},
};

const PAGE: &str = include_str!("../../../docs/spec/api.md");

/// An example: the status it is sent with, and the JSON.
type Example = (u16, Value);

/// Reads an example into `T` and writes it again.
pub(crate) fn same<T: Serialize + DeserializeOwned>(example: &Value) -> Result<(), String> {
    let read: T = serde_json::from_value(example.clone()).map_err(|error| error.to_string())?;
    let written = serde_json::to_value(&read).map_err(|error| error.to_string())?;
    if written == *example { Ok(()) } else { Err(format!("written again: {written}")) }
}

/// A section of the page, and how its examples are checked. Types of `protocol` and plain text are not checked here.
pub(crate) type Section = (&'static str, Option<Check>);
type Check = fn(&Value) -> Result<(), String>;

/// The refusals' sections, between the two listeners'.
const REFUSALS: &[Section] = &[("Errors", Some(same::<Problem>)), ("Codes of a settlement's refusals", None)];

/// What the page shortens, in full.
fn in_full(text: &str) -> String {
    let element = format!("0x{}", hex(&to_bytes(&Fr::from(7u64))));
    let key = format!("0x{}", hex(&SecretKey::from_seed(&[7; 64]).public().to_bytes()));
    let address = format!("0x{}", "11".repeat(20));
    let named = text.replace("0x<64 bytes>", &key).replace("0x<20 bytes>", &address).replace("0x..", &element);
    named.replace(",...]", "]").replace("[...]", "[]").replace("{...}", "\"as before\"")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Examples of a section: its fenced blocks, each a row of statuses with their JSON.
fn examples(section: &str) -> Vec<Example> {
    let mut found = Vec::new();
    for block in section.split("```").skip(1).step_by(2) {
        let block = in_full(block);
        let mut rest = block.trim_start();
        while let Some((status, json)) = rest.split_once(' ') {
            let mut values = serde_json::Deserializer::from_str(json).into_iter::<Value>();
            let mut value = values.next().unwrap().unwrap_or_else(|error| panic!("{error}: {json}"));
            if value["after"] == "as before" {
                value["after"] = value["before"].clone();
            }
            rest = json[values.byte_offset()..].trim_start();
            found.push((status.parse().unwrap(), value));
        }
    }
    found
}

/// Sections of the page by heading, without the listeners' own.
fn sections() -> Vec<(&'static str, &'static str)> {
    let headings = PAGE.split("\n##").skip(1).map(|section| section.trim_start_matches('#').trim_start());
    let split = headings.map(|section| section.split_once('\n').unwrap_or((section, "")));
    split
        .filter(|(heading, _)| {
            *heading != "Public" && !["Admin (", "Health ("].iter().any(|own| heading.starts_with(own))
        })
        .collect()
}

#[test]
fn every_example_of_the_page_is_one_of_its_type() {
    let all: Vec<Section> = [public::SECTIONS, REFUSALS, admin::SECTIONS].concat();
    let known: Vec<&str> = all.iter().map(|(heading, _)| *heading).collect();
    let there: Vec<&str> = sections().iter().map(|(heading, _)| *heading).collect();
    assert_eq!(there, known, "a section of the page has no type, or the other way round");
    for ((heading, check), (_, text)) in all.iter().zip(sections()) {
        let examples = examples(text);
        let Some(check) = check else {
            assert!(examples.is_empty(), "{heading}: its examples have no type");
            continue;
        };
        assert!(!examples.is_empty(), "{heading}: no example");
        for (status, example) in examples {
            check(&example).unwrap_or_else(|error| panic!("{heading}: {example}: {error}"));
            let word = example.get("status").cloned().unwrap_or_default();
            if let Ok(taken) = serde_json::from_value::<Taken>(word.clone())
                && !["`GET /healthz`", "`GET /readyz`"].contains(heading)
                && word.is_string()
            {
                assert_eq!(taken.status(), status, "{heading}: {word}");
            } else if word.is_u64() {
                assert_eq!(word, json!(status), "{heading}");
            }
        }
    }
}

#[test]
fn the_requests_in_the_headings_are_requests() {
    same::<CloseRequest>(&json!({"first_interval": 420_000})).unwrap();
    same::<TariffRequest>(&json!({"first_interval": 420_000, "tariff": {"intervals": []}})).unwrap();
    same::<UpgradeRequest>(&json!({"circuit_version": 3, "from_s": 1_512_086_400})).unwrap();
    let unknown = json!({"first_interval": 420_000, "force": true});
    assert!(serde_json::from_value::<CloseRequest>(unknown).is_err(), "a request says nothing that is not understood");
}

#[test]
fn every_code_is_on_the_page_as_it_is() {
    for code in CODES {
        let row = format!("| `{}` | {} |", code.name, code.status);
        let line = PAGE.lines().find(|line| line.starts_with(&row)).unwrap_or_else(|| panic!("the page lacks {row}"));
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        // Tables of the admin listener have no columns for fault and retry.
        if cells.len() < 7 {
            continue;
        }
        let fault = match code.fault {
            Fault::Mdm => json!("meter data manager"),
            fault => serde_json::to_value(fault).unwrap(),
        };
        assert_eq!((json!(cells[3]), cells[4]), (fault, if code.retry { "yes" } else { "no" }), "{}", code.name);
    }
}
