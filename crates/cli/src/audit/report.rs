//! The report as files: `report.json`, `report.html`, their hashes, and a signature over the hashes.

mod page;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use gridveil_auditor::AuditReport;
use gridveil_protocol::hex::hex0;
use gridveil_verifier_contract::{
    deployment::{Account, account},
    signing::{TextSignature, sign_text, signer_of},
};
use serde::{Deserialize, Serialize};

use crate::common::{keys::Signing, text};

const JSON: &str = "report.json";
const HTML: &str = "report.html";
/// As `b3sum` writes it and checks it.
const HASHES: &str = "report.blake3";
const SIGNATURE: &str = "report.sig";
/// What a signature is, in words.
const KIND: &str = "EIP-191 (personal_sign) with secp256k1, over the contents of report.blake3";

/// Example for the help.
pub const EXAMPLE: &str =
    "Example:\n  gridveil audit check-report audit-2026-11 --account 0x70997970c51812dc3a010c7d01b50e0d17dc79c8";

/// Options of `gridveil audit check-report`.
#[derive(clap::Args, Debug)]
pub struct CheckArgs {
    /// The report's folder.
    folder: PathBuf,
    /// Who should have signed it.
    #[arg(long, value_name = "ADDRESS")]
    account: Option<String>,
    /// For machines.
    #[arg(long)]
    json: bool,
}

/// `report.sig`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    kind: String,
    account: Account,
    #[serde(with = "gridveil_protocol::hex::hex_bytes")]
    signature: TextSignature,
}

fn hashes(json: &[u8], html: &[u8]) -> String {
    format!("{}  {JSON}\n{}  {HTML}\n", blake3::hash(json).to_hex(), blake3::hash(html).to_hex())
}

/// Writes the report into a folder, which is made if it is not there; signs it with the L1 key of a file, if one is given.
///
/// # Errors
/// Files, or the key.
pub fn file(folder: &Path, key: Option<&Path>, report: &AuditReport) -> anyhow::Result<()> {
    let name = folder.display();
    // Before anything is written.
    let key = key.map(|path| Signing::default().key_file(path)).transpose()?;
    std::fs::create_dir_all(folder).with_context(|| name.to_string())?;
    ensure!(!folder.join(JSON).exists(), "{name}: there is a report already: take another folder");
    let mut json = serde_json::to_vec_pretty(report)?;
    json.push(b'\n');
    let html = page::page(report);
    let hashes = hashes(&json, html.as_bytes());
    let write = |file: &str, bytes: &[u8]| {
        std::fs::write(folder.join(file), bytes).with_context(|| folder.join(file).display().to_string())
    };
    if let Some(key) = &key {
        let (signature, signer) = sign_text(key, &hashes)?;
        let signed = Signature {
            kind: KIND.to_owned(),
            account: gridveil_verifier_contract::deployment::Hex(signer),
            signature,
        };
        write(SIGNATURE, &serde_json::to_vec_pretty(&signed)?)?;
    }
    write(HASHES, hashes.as_bytes())?;
    write(HTML, html.as_bytes())?;
    write(JSON, &json)
}

/// Runs `check-report`.
///
/// # Errors
/// A file is missing, is not the one that was hashed, or was signed by somebody else.
pub fn check(args: &CheckArgs) -> anyhow::Result<()> {
    let read = |file: &str| {
        let path = args.folder.join(file);
        std::fs::read(&path).with_context(|| path.display().to_string())
    };
    let folder = args.folder.display();
    let told = String::from_utf8(read(HASHES)?).with_context(|| format!("{folder}/{HASHES}: not text"))?;
    ensure!(told == hashes(&read(JSON)?, &read(HTML)?), "{folder}: not the report whose hashes are in {HASHES}");
    let signer = match read(SIGNATURE) {
        Err(_) if !args.folder.join(SIGNATURE).exists() => None,
        bytes => Some(signer(&bytes?, &told).with_context(|| format!("{folder}/{SIGNATURE}"))?),
    };
    if let Some(expected) = &args.account {
        let expected = account(expected).context("--account")?;
        match signer {
            None => bail!("{folder}: nobody signed this report"),
            Some(signer) => ensure!(signer == expected, "{folder}: signed by {signer}, not by {expected}"),
        }
    }
    let said = signer.map_or_else(|| "nobody".to_owned(), |signer| signer.to_string());
    Ok(text::print(&if args.json {
        format!("{}\n", serde_json::json!({ "report": "ok", "signed_by": signer.map(|signer| hex0(signer.0)) }))
    } else {
        format!("report     ok: the files are those that were hashed\nsigned by  {said}\n")
    })?)
}

fn signer(bytes: &[u8], hashes: &str) -> anyhow::Result<Account> {
    let signed: Signature = serde_json::from_slice(bytes).context("not a signature of a report")?;
    ensure!(signed.kind == KIND, "a signature of another kind");
    let signer = signer_of(hashes, &signed.signature).context("not a signature")?;
    ensure!(signer == signed.account.0, "the signature is not of account {}", signed.account);
    Ok(signed.account)
}
