//! Addresses of L1 nodes, which often hold a key: from a file, `--rpc-file FILE` or GRIDVEIL_RPC_FILE, in every command that
//! takes `--rpc`. A command line is read by everybody on a machine, so an address with what may be a key is refused there.

use std::{ffi::OsString, path::Path};

use anyhow::Context as _;
use clap::Command;
use gridveil_meter_client::cli::defaults::{Defaults, kept, named};
use gridveil_verifier_contract::address::secrets_in;

use crate::common::keys::secret_text;

/// Names the file where no option does.
const VARIABLE: &str = "GRIDVEIL_RPC_FILE";
/// Identifiers of the option: the second is that of commands to which a deployment file's node is not given.
const IDS: [&str; 2] = ["rpc", "node"];
/// The option as it is written.
const OPTIONS: [&str; 2] = ["--rpc", "--l1"];

/// The command line with the nodes of the file that these words, or the environment, name; no help shows an address.
///
/// # Errors
/// There is no such file, others may read it, or it names no node; an address among the words that may hold a key.
pub fn command(command: Command, words: &[OsString]) -> anyhow::Result<Command> {
    refuse_keys(words)?;
    let command = match named("--rpc-file", VARIABLE, words) {
        None => command,
        Some(path) => {
            let nodes = read(&path)?;
            Defaults::new(IDS.map(|id| (id, nodes.clone())).to_vec()).below(command, &[])
        }
    };
    Ok(hidden(command))
}

/// The nodes of a file.
///
/// # Errors
/// There is no such file, others may read it, or it names no node.
pub fn read(path: &Path) -> anyhow::Result<Vec<&'static str>> {
    let text = secret_text(path)?;
    let nodes: Vec<&'static str> = nodes(&text).map(|node| kept(node.to_owned())).collect();
    let name = || format!("{}: no address: expected one a line, https://… or http://…", path.display());
    anyhow::ensure!(nodes.iter().all(|node| node.starts_with("http")), name());
    nodes.first().with_context(name)?;
    Ok(nodes)
}

/// One a line, or with commas between them; a line that begins with `#` is none.
fn nodes(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|node| !node.is_empty())
}

/// A node's address is shown by no help, wherever it comes from.
fn hidden(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    let command = command.mut_args(|arg| match arg.get_long() {
        Some("rpc") => arg.hide_env_values(true).hide_default_value(true),
        _ => arg,
    });
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, hidden))
}

fn refuse_keys(words: &[OsString]) -> anyhow::Result<()> {
    let mut words = words.iter().skip(1).take_while(|word| *word != "--").map(|word| word.to_string_lossy());
    while let Some(word) = words.next() {
        let value = match word.split_once('=') {
            Some((option, value)) if OPTIONS.contains(&option) => value.to_owned(),
            Some(_) | None if OPTIONS.contains(&&*word) => words.next().unwrap_or_default().into_owned(),
            Some(_) | None => continue,
        };
        anyhow::ensure!(
            nodes(&value).all(|node| secrets_in(node).is_empty()),
            "--rpc: the address has what may be a key, and everybody on this machine can read a command line: \
             write it into a file (--rpc-file FILE, mode 0600) or into GRIDVEIL_RPC"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(words: &[&str]) -> bool {
        refuse_keys(&words.iter().map(OsString::from).collect::<Vec<_>>()).is_err()
    }

    #[test]
    fn an_address_that_may_hold_a_key_is_no_argument() {
        assert!(!refused(&["gridveil", "audit", "--rpc", "http://127.0.0.1:8545"]));
        assert!(!refused(&["gridveil", "audit", "--rpc=https://one.example/v1,https://two.example/"]));
        assert!(!refused(&["gridveil", "audit", "--url", "https://user:pass@one.example"]), "another option");
        for words in [
            ["gridveil", "audit", "--rpc", "https://one.example/v3/0123456789abcdef"],
            ["gridveil", "audit", "--rpc", "https://one.example,https://two.example/?key=1"],
            ["gridveil", "audit", "--l1", "https://user:pass@one.example"],
        ] {
            assert!(refused(&words), "{words:?}");
        }
        assert!(refused(&["gridveil", "--rpc=https://user@one.example", "audit"]));
    }

    #[test]
    fn a_file_names_nodes() {
        let text = "# ours\nhttps://one.example/key\n\nhttps://two.example, https://three.example\n";
        assert_eq!(
            nodes(text).collect::<Vec<_>>(),
            ["https://one.example/key", "https://two.example", "https://three.example"]
        );
    }
}
