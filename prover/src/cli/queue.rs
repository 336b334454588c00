//! `gridveil prover queue`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{CliError, cache::from_variable};
use crate::{
    job::JobId,
    queue::{Admin, QueueUrl, URL_VARIABLE},
};

const RETRY_EXAMPLE: &str = "\
Example:
  gridveil prover queue retry JOB --queue postgres://user@host/db

JOB is the id that `gridveil prover queue` lists under \"set aside\".";

#[derive(Debug, Args)]
pub(super) struct QueueArgs {
    #[command(subcommand)]
    command: Option<Command>,
    /// The queue's database, postgres://USER@HOST/DATABASE; better in the environment variable GRIDVEIL_QUEUE if it
    /// holds a password
    #[arg(long, value_name = "URL", global = true)]
    queue: Option<QueueUrl>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Puts a poisoned job back, with its attempts before it.
    #[command(after_help = RETRY_EXAMPLE)]
    Retry {
        /// The job's id, 64 hex digits
        job: String,
    },
}

/// Key file of a queue where no option names one.
#[must_use]
pub fn default_key() -> PathBuf {
    let config = from_variable("XDG_CONFIG_HOME").or_else(|| from_variable("HOME").map(|home| home.join(".config")));
    config.unwrap_or_else(|| PathBuf::from(".config")).join("gridveil").join("queue.key")
}

pub(super) fn run(args: &QueueArgs) -> Result<(), CliError> {
    let url = args.queue.clone().or_else(QueueUrl::from_env);
    let url = url.ok_or_else(|| CliError::Usage(format!("--queue URL is needed (or the variable {URL_VARIABLE})")))?;
    match &args.command {
        None => show(&Admin::new(&url)?, args.json),
        Some(Command::Retry { job }) => {
            let id =
                JobId::parse(job).ok_or_else(|| CliError::Usage("JOB: expected 64 lower-case hex digits".into()))?;
            Admin::new(&url)?.retry(id)?;
            println!("waiting: {id}");
            Ok(())
        }
    }
}

fn show(admin: &Admin, json: bool) -> Result<(), CliError> {
    let status = admin.status()?;
    if json {
        println!("{}", serde_json::to_string_pretty(&status).map_err(|_| CliError::Encoding)?);
    } else {
        print!("{status}");
    }
    Ok(())
}
