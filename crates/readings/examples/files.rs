//! The table of docs/reference/meter-files.md: every file of folders, read or refused with its reason.
//!
//! `cargo run -p gridveil-readings --example files -- FOLDER …`

use std::{fmt::Write as _, path::Path};

use gridveil_readings::{Choice, read_file};

/// Names of the folders that the page is about, beside each other.
pub const FOLDERS: [&str; 4] = ["b-greenbutton", "b-nem12", "b-p1-dsmr", "b-sml"];

/// Rows of a folder's files.
pub fn rows(folder: &Path) -> std::io::Result<String> {
    let mut files: Vec<_> = std::fs::read_dir(folder)?.filter_map(Result::ok).map(|entry| entry.path()).collect();
    files.sort();
    let mut out = String::new();
    for file in files {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name == "README.md" || name == "FILES.txt" || name.ends_with(".xsd") {
            continue;
        }
        let said = match read_file(&file, &Choice::default()) {
            Ok(import) => {
                let series = &import.series;
                let mut rules: Vec<&str> = import.findings.iter().map(|finding| finding.rule.name()).collect();
                rules.dedup();
                let notes = if rules.is_empty() { String::new() } else { format!("; {}", rules.join(", ")) };
                let [import_wh, export_wh] = series.total_wh();
                format!(
                    "read: {} intervals of {} s, {import_wh} Wh import, {export_wh} Wh export{notes}",
                    series.entries().len(),
                    series.length()
                )
            }
            Err(error) => format!("refused: {error}"),
        };
        let _ = writeln!(out, "| `{name}` | {} |", said.replace('|', "\\|").replace('\n', " "));
    }
    Ok(out)
}

/// The page.
pub fn page(data: &Path) -> std::io::Result<String> {
    let mut out = "# Meter files\n\nWhat becomes of real and official sample files, without any option. Nothing is guessed: a file is read, or refused with \
                   what was found,\nwhere, and what to do. Names after the figures are rules (`Rule` in \
                   `crates/readings/src/rules.rs`); `meter read FILE` says more of each.\nA test compares this page with the \
                   files where they are. It is made by\n`cargo run -p gridveil-readings --example files -- FOLDER`.\n"
        .to_owned();
    for folder in FOLDERS {
        let _ = write!(out, "\n## {folder}\n\n| file | |\n|---|---|\n{}", rows(&data.join(folder))?);
    }
    Ok(out)
}

#[allow(dead_code, reason = "a test includes this file for its page")]
fn main() -> std::io::Result<()> {
    let data = std::env::args().nth(1).unwrap_or_default();
    print!("{}", page(Path::new(&data))?);
    Ok(())
}
