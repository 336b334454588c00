//! The files for Prometheus and Grafana against the program's page of metrics, and the page on alerts against both.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::Value;

/// A file of the documentation.
pub fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(file(path)).unwrap()
}

/// Names of the page, which a test of each program compares with what it registers.
pub fn on_the_page() -> BTreeSet<String> {
    let page = text("reference/metrics.md");
    page.lines()
        .filter_map(|line| Some(line.strip_prefix("| `gridveil_")?.split_once('`')?.0))
        .map(|name| format!("gridveil_{name}"))
        .collect()
}

/// Names of metrics in a text, those that rules record included.
fn named(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = text.split(|c: char| !is_part(c));
    words.filter(|word| word.starts_with("gridveil_") || word.starts_with("gridveil:")).map(str::to_owned).collect()
}

fn is_there(name: &str, page: &BTreeSet<String>, recorded: &BTreeSet<String>) -> bool {
    let bare = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    recorded.contains(name) || page.contains(name) || page.contains(bare)
}

fn recorded() -> BTreeSet<String> {
    let rules = text("monitoring/recording.yml");
    rules.lines().filter_map(|line| line.trim().strip_prefix("- record: ")).map(str::to_owned).collect()
}

#[test]
fn rules_and_dashboard_name_only_what_is_there() {
    let (page, recorded) = (on_the_page(), recorded());
    assert!(page.len() > 50 && recorded.len() > 5);
    let mut seen = BTreeSet::new();
    for path in
        ["monitoring/alerts.yml", "monitoring/recording.yml", "monitoring/dashboard.json", "monitoring/alerts.test.yml"]
    {
        let names = named(&text(path));
        assert!(!names.is_empty(), "{path}");
        for name in names {
            assert!(is_there(&name, &page, &recorded), "{path}: {name}");
            seen.insert(name);
        }
    }
    for name in recorded {
        assert!(seen.contains(&name), "recorded and not asked for: {name}");
    }
}

#[test]
fn the_dashboard_is_one_that_grafana_takes() {
    let dashboard: Value = serde_json::from_str(&text("monitoring/dashboard.json")).unwrap();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let source = variables.iter().find(|v| v["type"] == "datasource").unwrap();
    assert_eq!((&source["name"], &source["query"]), (&Value::from("datasource"), &Value::from("prometheus")));
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}");
            assert!(!target["expr"].as_str().unwrap().is_empty());
        }
        let place = &panel["gridPos"];
        assert!(place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24, "{panel}");
    }
    assert!(dashboard["uid"] == "gridveil" && ids.len() > 20);
}

#[test]
fn every_alert_has_a_page_and_a_test_of_both_ways() {
    let (alerts, tests, page) =
        (text("monitoring/alerts.yml"), text("monitoring/alerts.test.yml"), text("how-to/watch.md"));
    let names: BTreeSet<&str> = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let headings: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(names, headings);
    for name in names {
        assert!(alerts.contains(&format!("runbook: docs/how-to/watch.md#{}\n", name.to_lowercase())), "{name}");
        for way in ["fires", "is quiet"] {
            assert!(tests.contains(&format!("- name: {name} {way}\n")), "{name} {way}");
        }
    }
}
