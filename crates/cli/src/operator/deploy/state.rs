//! How far a deployment came: what a crash leaves behind. A step is recorded as sent before its transaction, and as done
//! only when it is mined and its code is on chain.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use gridveil_keystore::durable::{self, Access};
use gridveil_verifier_contract::deployment::{Account, Hex};
use serde::{Deserialize, Serialize};

const FORM: u32 = 1;
const MAX_BYTES: u64 = 1 << 20;

/// A step of which a transaction was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    /// The transaction's number.
    pub nonce: u64,
    /// The contract, once it is mined.
    pub address: Option<Account>,
}

/// How far a deployment came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    form: u32,
    /// The chain.
    pub chain_id: u64,
    /// Who sends.
    pub deployer: Account,
    /// Hash of everything that is deployed.
    pub plan: Hex<32>,
    /// A block before the first transaction.
    pub from_block: u64,
    /// The steps so far, by name.
    pub steps: BTreeMap<String, Sent>,
}

/// The file of a deployment that is not finished.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    /// What it holds.
    pub progress: Progress,
}

impl StateFile {
    /// Beside the deployment file.
    #[must_use]
    pub fn path(out: &Path) -> PathBuf {
        let mut name = out.as_os_str().to_owned();
        name.push(".state");
        name.into()
    }

    /// One process at a time.
    ///
    /// # Errors
    /// Another one is at it.
    pub fn lock(out: &Path) -> anyhow::Result<std::fs::File> {
        let mut name = Self::path(out).into_os_string();
        name.push(".lock");
        let path = PathBuf::from(name);
        let held = durable::lock(&path).with_context(|| path.display().to_string())?;
        held.with_context(|| format!("{}: another process deploys this", path.display()))
    }

    /// Goes on with what is there, or begins; nothing is written before the first step.
    ///
    /// # Errors
    /// What is there is of another deployment, or is no such file.
    pub fn open(out: &Path, begin: Progress) -> anyhow::Result<Self> {
        let path = Self::path(out);
        let name = path.display().to_string();
        let Some(progress) = read(&path)? else { return Ok(Self { path, progress: begin }) };
        let same =
            (progress.chain_id, progress.deployer, progress.plan) == (begin.chain_id, begin.deployer, begin.plan);
        ensure!(
            same,
            "{name}: a deployment was begun with another configuration, key or chain; finish it with those, or remove the file and \
             pay for what was deployed once more"
        );
        Ok(Self { path, progress })
    }

    /// Records a step.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn record(&mut self, step: &str, sent: Sent) -> anyhow::Result<()> {
        self.progress.steps.insert(step.to_owned(), sent);
        let json = serde_json::to_vec_pretty(&self.progress)?;
        durable::replace_with(&self.path, Access::Mask, |file| file.write_all(&json))
            .with_context(|| self.path.display().to_string())
    }
}

impl Progress {
    /// Nothing yet.
    #[must_use]
    pub const fn new(chain_id: u64, deployer: Account, plan: Hex<32>, from_block: u64) -> Self {
        Self { form: FORM, chain_id, deployer, plan, from_block, steps: BTreeMap::new() }
    }
}

fn read(path: &Path) -> anyhow::Result<Option<Progress>> {
    let name = || path.display().to_string();
    let bytes = match durable::read_bounded(path, MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(name),
    };
    let progress: Progress =
        serde_json::from_slice(&bytes).with_context(|| format!("{}: not the state of a deployment", name()))?;
    ensure!(progress.form == FORM, "{}: of form {}, and this program reads form {FORM}", name(), progress.form);
    Ok(Some(progress))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_goes_on_with_its_own_state_alone() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("deployment.json");
        let begin = Progress::new(5, Hex([1; 20]), Hex([2; 32]), 9);
        let mut state = StateFile::open(&out, begin.clone()).unwrap();
        assert!(!StateFile::path(&out).exists(), "nothing was sent");
        state.record("poseidon", Sent { nonce: 3, address: None }).unwrap();
        state.record("poseidon", Sent { nonce: 3, address: Some(Hex([4; 20])) }).unwrap();
        let later = Progress { from_block: 20, ..begin.clone() };
        let again = StateFile::open(&out, later).unwrap();
        assert_eq!((&again.progress, again.progress.from_block), (&state.progress, 9));
        for other in [
            Progress { chain_id: 6, ..begin.clone() },
            Progress { deployer: Hex([7; 20]), ..begin.clone() },
            Progress { plan: Hex([7; 32]), ..begin.clone() },
        ] {
            assert!(StateFile::open(&out, other).unwrap_err().to_string().contains("another configuration"));
        }
        std::fs::write(StateFile::path(&out), "{}").unwrap();
        assert!(StateFile::open(&out, begin).unwrap_err().to_string().contains("not the state"));
    }
}
