//! What a command shows before and after it acts, as aligned rows or JSON, and the question that it asks on a terminal.

use gridveil_protocol::units::Nano;
use std::io::{BufRead, IsTerminal, Write};

use anyhow::{bail, ensure};
pub use gridveil_protocol::hex::hex0;
use serde_json::{Map, Value};

use super::{options::Acting, text};

/// Rows of names and values, in order.
#[derive(Clone, Debug, Default)]
pub struct Details {
    title: String,
    rows: Vec<(String, String)>,
    values: Map<String, Value>,
}

impl Details {
    /// Empty.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// A row; the name in JSON is in snake case.
    pub fn row(mut self, name: &str, shown: impl Into<String>, value: impl Into<Value>) -> Self {
        self.rows.push((name.to_owned(), shown.into()));
        self.values.insert(name.replace([' ', '-'], "_").to_lowercase(), value.into());
        self
    }

    /// A value for JSON alone.
    pub fn value(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.values.insert(name.to_owned(), value.into());
        self
    }

    /// For a person.
    pub fn text(&self) -> String {
        let width = self.rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let rows: String = self.rows.iter().map(|(name, shown)| format!("{name:<width$}  {shown}\n")).collect();
        if self.title.is_empty() { rows } else { format!("{}\n{rows}", self.title) }
    }

    /// Prints it.
    pub fn print(&self, json: bool) -> anyhow::Result<()> {
        let out = if json { format!("{}\n", Value::Object(self.values.clone())) } else { self.text() };
        Ok(text::print(&out)?)
    }
}

/// Shows what is to be done. `false`: it was a dry run, and nothing is to be done.
///
/// # Errors
/// The person on the terminal says no, or there is nobody to ask.
pub fn agreed(details: Details, acting: Acting, json: bool) -> anyhow::Result<bool> {
    if acting.dry_run {
        details.value("dry_run", true).print(json)?;
        return Ok(false);
    }
    if acting.yes {
        return Ok(true);
    }
    ensure!(
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
        "not confirmed: there is no terminal to ask on (--yes does not ask)"
    );
    let mut err = std::io::stderr().lock();
    write!(err, "{}Go ahead? [y/N] ", details.text())?;
    err.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
        Ok(true)
    } else {
        bail!("not confirmed: nothing was done")
    }
}

/// Money, exact, with its unit.
pub fn exact(nano: Nano) -> String {
    format!("{nano:>20}")
}
