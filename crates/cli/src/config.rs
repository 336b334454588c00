//! `gridveil config`: the sequencer's file, checked, shown and explained.

pub mod settings;

use std::{
    ffi::OsString,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use clap::{ArgAction, Command, FromArgMatches as _};
use documented::DocumentedFields;
use gridveil_sequencer::{Limits, Pace, Retention, staff::StaffConfig};
use serde::Serialize;
use serde_json::json;

use self::settings::{COMMAND, ConfigError, Found, setting, variable};
use crate::{common::text, sequencer};

const EXAMPLES: &str = "\
Examples:
  gridveil config example > gridveil.toml
  gridveil config check gridveil.toml
  gridveil config print gridveil.toml";

/// Options of `gridveil config`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Below,
}

#[derive(clap::Subcommand, Debug)]
enum Below {
    /// Reads the file, the variables that go before it, and the files that it names, and starts nothing.
    #[command(after_help = "Example:\n  gridveil config check gridveil.toml")]
    Check(FileArgs),
    /// Shows every setting, its value, and where that comes from. Keys in addresses are not shown.
    #[command(after_help = "Example:\n  gridveil config print gridveil.toml")]
    Print(FileArgs),
    /// Writes a file with every setting, what it means and its default.
    #[command(after_help = "Example:\n  gridveil config example > gridveil.toml")]
    Example,
}

#[derive(clap::Args, Debug)]
struct FileArgs {
    /// The file; without it, what variables alone say.
    #[arg(env = settings::VARIABLE)]
    file: Option<PathBuf>,
    /// For machines.
    #[arg(long)]
    json: bool,
}

/// Runs it. `whole` is the command line that the file is read for.
///
/// # Errors
/// The file, or what it says.
pub fn run(args: &Args, whole: Command) -> anyhow::Result<()> {
    match &args.command {
        Below::Check(args) => check(args, whole),
        Below::Print(args) => print(args, whole),
        Below::Example => Ok(text::print(&example(whole))?),
    }
}

/// The sequencer's options as the file gives them.
fn parsed(found: &Found, file: Option<&Path>, whole: Command) -> anyhow::Result<sequencer::Args> {
    let words = ["gridveil", COMMAND].map(OsString::from);
    let matches = found.below(whole)?.try_get_matches_from(words).map_err(|error| {
        let text = error.to_string();
        let text = text.split("\n\nUsage").next().unwrap_or(&text);
        let text: Vec<_> = text.trim_start_matches("error: ").lines().map(str::trim).collect();
        let place = file.map_or_else(|| "the environment".to_owned(), |file| file.display().to_string());
        anyhow::anyhow!("{place}: [{COMMAND}]: {}", text.join(" "))
    })?;
    let below = matches.subcommand_matches(COMMAND).ok_or_else(|| anyhow::anyhow!("no command {COMMAND}"))?;
    Ok(sequencer::Args::from_arg_matches(below)?)
}

fn check(args: &FileArgs, whole: Command) -> anyhow::Result<()> {
    let file = args.file.as_deref();
    let found = Found::read(file)?;
    let parsed = parsed(&found, file, whole)?;
    sequencer::check(&parsed)?;
    let name = file.map(|file| file.display().to_string());
    if args.json {
        return Ok(text::print(&format!("{}\n", json!({"config": "ok", "file": name})))?);
    }
    let name = name.unwrap_or_else(|| "the environment".to_owned());
    Ok(text::print(&format!("{name}: ok. Nothing was asked of L1, of the log or of provers.\n"))?)
}

/// One setting.
#[derive(Debug, Serialize)]
struct Row {
    section: &'static str,
    name: String,
    value: Option<toml::Value>,
    /// File or variable; `None` is the default.
    from: Option<String>,
    #[serde(skip)]
    doc: String,
    /// Value where none is given: `None` if there is none.
    #[serde(skip)]
    default: Option<toml::Value>,
}

fn rows(found: &Found, whole: &Command) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    if let Some(sequencer) = whole.find_subcommand(COMMAND) {
        let rpc_file = whole.get_arguments().filter(|option| option.get_id() == "rpc_file");
        for option in settings::options(sequencer).chain(rpc_file) {
            let name = setting(option);
            let default = default_of(option);
            let doc = option.get_help().map(ToString::to_string).unwrap_or_default();
            let said = found.settings.sequencer.get(&name).map(toml::Value::try_from).transpose()?;
            let from = found.place(&format!("{COMMAND}.{name}"));
            rows.push(Row {
                section: COMMAND,
                value: said.map(shown).or_else(|| default.clone()),
                name,
                from,
                doc,
                default,
            });
        }
    }
    let limits =
        fields(&found.settings.limits, &Limits::default(), "limits", found, |name| Limits::get_field_docs(name).ok())?;
    let pace = fields(&found.settings.pace, &Pace::default(), "pace", found, |name| Pace::get_field_docs(name).ok())?;
    let retention = fields(&found.settings.retention, &Retention::default(), "retention", found, |name| {
        Retention::get_field_docs(name).ok()
    })?;
    let staff = fields(&found.settings.staff, &StaffConfig::default(), "staff", found, |name| {
        StaffConfig::get_field_docs(name).ok()
    })?;
    rows.extend(limits.into_iter().chain(pace).chain(retention).chain(staff));
    Ok(rows)
}

fn fields<T: Serialize>(
    value: &T,
    default: &T,
    section: &'static str,
    found: &Found,
    doc: impl Fn(&str) -> Option<&'static str>,
) -> anyhow::Result<Vec<Row>> {
    let (values, defaults) = (toml::Table::try_from(value)?, toml::Table::try_from(default)?);
    let row = |(name, value): (String, toml::Value)| Row {
        section,
        from: found.place(&format!("{section}.{name}")),
        doc: plain(doc(&name).unwrap_or_default()),
        default: defaults.get(&name).cloned(),
        value: Some(value),
        name,
    };
    Ok(values.into_iter().map(row).collect())
}

/// Documentation without links of Rust.
fn plain(doc: &str) -> String {
    doc.replace("[`Self::", "`").replace("[`", "`").replace("`]", "`")
}

/// The default of an option as the file would say it.
fn default_of(option: &clap::Arg) -> Option<toml::Value> {
    let texts: Vec<String> =
        option.get_default_values().iter().map(|text| text.to_string_lossy().into_owned()).collect();
    let one = |text: &String| {
        text.parse::<i64>().map(toml::Value::Integer).unwrap_or_else(|_| toml::Value::String(text.clone()))
    };
    match (option.get_action(), texts.as_slice()) {
        (ArgAction::SetTrue, _) => Some(toml::Value::Boolean(false)),
        (_, []) => None,
        (ArgAction::Append, all) => Some(toml::Value::Array(all.iter().map(one).collect())),
        (_, [first, ..]) => Some(one(first)),
    }
}

/// An address may have a key in its path, its query or before its host: scheme, host and port are shown.
fn shown(value: toml::Value) -> toml::Value {
    match value {
        toml::Value::String(text) => toml::Value::String(text.split(',').map(address).collect::<Vec<_>>().join(",")),
        toml::Value::Array(all) => toml::Value::Array(all.into_iter().map(shown).collect()),
        other => other,
    }
}

fn address(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let hidden = if path.len() > 1 || host.len() < authority.len() { "/…" } else { path };
    format!("{scheme}://{host}{hidden}")
}

fn print(args: &FileArgs, whole: Command) -> anyhow::Result<()> {
    let found = Found::read(args.file.as_deref())?;
    // A name that is no option's is refused here too; a file of nodes need not be there to be named.
    match found.below(whole.clone()) {
        Ok(_) | Err(ConfigError::RpcFile(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let rows = rows(&found, &whole)?;
    if args.json {
        return Ok(text::print(&format!("{}\n", serde_json::to_string(&rows)?))?);
    }
    let mut out = String::new();
    let mut section = "";
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    for row in &rows {
        if row.section != section {
            section = row.section;
            let gap = if out.is_empty() { "" } else { "\n" };
            let _ = writeln!(out, "{gap}[{section}]");
        }
        let value = row.value.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        let from = row.from.as_deref().unwrap_or("default");
        let from = if row.value.is_none() { "not given" } else { from };
        let _ = writeln!(out, "{:<width$}  {value:<24}  {from}", row.name);
    }
    Ok(text::print(&out)?)
}

/// Columns of the example's comments.
const COLUMNS: usize = 100;

/// Values of an example for what has no default and a sequencer cannot do without.
const NEEDED: [(&str, &str); 6] = [
    ("data", "\"/var/lib/gridveil\""),
    ("master_key", "\"master.key\""),
    ("rpc_file", "\"rpc.url\""),
    ("contract", "\"0x5fbdb2315678afecb367f032d93f642f64180aa3\""),
    ("operator_key", "\"operator.key\""),
    ("admin_token", "\"admin.token\""),
];

fn example(whole: Command) -> String {
    let found = Found::none();
    let rows = rows(&found, &whole).unwrap_or_default();
    let about = format!(
        "The file of `gridveil sequencer --config FILE`. A line that begins with # shows the default. A variable goes before \
         the file ({}), an option before both. Secrets are files of their own. A relative path is seen from this file's folder.",
        variable("limits.body_bytes")
    );
    let mut out: String = folded(&about).iter().map(|line| format!("# {line}\n")).collect();
    let mut section = "";
    for row in rows {
        if row.section != section {
            section = row.section;
            let _ = writeln!(out, "\n[{section}]");
        }
        for line in folded(&row.doc) {
            let _ = writeln!(out, "# {line}");
        }
        let needed = NEEDED.iter().find(|(name, _)| section == COMMAND && *name == row.name);
        let _ = match (needed, row.default) {
            (Some((_, value)), _) => writeln!(out, "{} = {value}", row.name),
            (None, Some(value)) => writeln!(out, "# {} = {value}", row.name),
            (None, None) => writeln!(out, "# {} =", row.name),
        };
    }
    out
}

/// A text in lines of [`COLUMNS`].
fn folded(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() + 3 <= COLUMNS => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
