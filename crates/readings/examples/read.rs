//! `meter read FILE …` and `meter profiles [--json]` without the rest of the program: what a decoder makes of a file.
//!
//! `cargo run -p gridveil-readings --example read -- meter read FILE [--profile NAME] [--json]`

use std::path::Path;

use gridveil_readings::{Choice, csv::Mapping, read_file, report, zone::Zone};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).skip_while(|a| a == "meter").collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|a| a == name)?;
        arguments.get(at + 1).cloned()
    };
    let json = arguments.iter().any(|a| a == "--json");
    match arguments.first().map(String::as_str) {
        Some("profiles") => {
            let profiles = report::profiles()?;
            let names: Vec<_> =
                profiles.iter().map(|(name, title)| serde_json::json!({"name": name, "title": title})).collect();
            println!("{}", serde_json::to_string(&names)?);
        }
        Some("read") => {
            let file = arguments.get(1).ok_or("a file")?;
            let mapping = match value("--mapping") {
                Some(path) => Some(Mapping::parse(&std::fs::read_to_string(path)?)?),
                None => None,
            };
            let choice = Choice {
                profile: value("--profile"),
                mapping,
                meter: value("--meter"),
                zone: value("--zone").map(|z| Zone::parse(&z)).transpose()?,
                length: value("--interval-length").map(|l| l.parse()).transpose()?,
                resample: value("--resample").map(|l| l.parse()).transpose()?,
                total_is_import: arguments.iter().any(|a| a == "--total-is-import"),
                ..Choice::default()
            };
            let import = read_file(Path::new(file), &choice)?;
            if json {
                println!("{}", report::json(&import));
            } else {
                print!("{}", report::table(&import));
            }
        }
        _ => return Err("meter read FILE | meter profiles".into()),
    }
    Ok(())
}
