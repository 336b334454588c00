//! `gridveil operator staff`: an issuer of tokens in two files, for development and for operators without an identity
//! provider (`docs/how-to/staff.md`). Who has the key is everybody.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use gridveil_keystore::{durable, random, secret_file};
use gridveil_sequencer::staff::Role;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    common::{keys::secret_text, text},
    member::Details,
};

const EXAMPLE: &str = "Examples:
  gridveil operator staff key staff.key --jwks jwks.json
  gridveil operator staff token --key staff.key --issuer https://staff.grid.example --role auditor --subject auditor-1 --out auditor.token
  gridveil operator staff token --key staff.key --issuer https://staff.grid.example --role mdm --subject mdm-1 --community 0 --community 7 --minutes 60

For development, and for small operators. Who has the key is anybody: with an identity provider, use its tokens.";

/// An Ed25519 key of PKCS #8, before its 32 bytes.
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// Options of `gridveil operator staff`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLE)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Makes a key that signs tokens, and the file with its public half for the sequencer (staff.jwks).
    #[command(after_help = EXAMPLE)]
    Key(KeyArgs),
    /// Signs a token: who somebody is, for a short time.
    #[command(after_help = EXAMPLE)]
    Token(TokenArgs),
}

#[derive(Debug, clap::Args)]
struct KeyArgs {
    /// File of the key; made, mode 0600. Whoever reads it can be anybody.
    file: PathBuf,
    /// File of its public half.
    #[arg(long, value_name = "FILE")]
    jwks: PathBuf,
    /// For machines.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct TokenArgs {
    /// File of the key (`gridveil operator staff key`).
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// `iss`, exactly the sequencer's staff.issuer.
    #[arg(long, value_name = "TEXT")]
    issuer: String,
    /// `aud`, the sequencer's staff.audience.
    #[arg(long, value_name = "TEXT", default_value = "gridveil")]
    audience: String,
    /// `sub`: a name that stays the same, best no person's own. Grants name it.
    #[arg(long, value_name = "NAME")]
    subject: String,
    /// Role, may be repeated: operator, mdm, tariff-authority, regulator, auditor or support.
    #[arg(long = "role", value_name = "ROLE", required = true, value_parser = role)]
    roles: Vec<Role>,
    /// Community that it is for, may be repeated. A meter data manager needs it; for others none means all.
    #[arg(long = "community", value_name = "N")]
    communities: Vec<u32>,
    /// Minutes that it lives.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=720))]
    minutes: u16,
    /// Writes it into this file, mode 0600; otherwise it is shown.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// For machines.
    #[arg(long)]
    json: bool,
}

fn role(text: &str) -> Result<Role, String> {
    Role::of_staff(text).ok_or_else(|| "operator, mdm, tariff-authority, regulator, auditor or support".to_owned())
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Key(args) => key(args),
        Command::Token(args) => token(args),
    }
}

fn signing(seed: &[u8]) -> EncodingKey {
    EncodingKey::from_ed_der(&Zeroizing::new([&PKCS8[..], seed].concat()))
}

/// A key's name: a hash of its public half.
fn public(key: &EncodingKey) -> anyhow::Result<(Jwk, String)> {
    let mut jwk = Jwk::from_encoding_key(key, Algorithm::EdDSA).context("not a key")?;
    let kid = hex::encode(&blake3::hash(&serde_json::to_vec(&jwk)?).as_bytes()[..8]);
    jwk.common.key_id = Some(kid.clone());
    Ok((jwk, kid))
}

fn key(args: &KeyArgs) -> anyhow::Result<()> {
    let (file, jwks) = (args.file.display().to_string(), args.jwks.display().to_string());
    ensure!(!args.jwks.exists(), "{jwks}: there is such a file");
    let seed = Zeroizing::new(random::<32>()?);
    let (jwk, kid) = public(&signing(&*seed))?;
    let digits = Zeroizing::new(format!("{}\n", hex::encode(seed.as_slice())));
    secret_file::create(&args.file, digits.as_bytes()).with_context(|| file.clone())?;
    let set = format!("{}\n", json!({"keys": [jwk]}));
    durable::replace_with(&args.jwks, durable::Access::Mask, |out| std::io::Write::write_all(out, set.as_bytes()))
        .with_context(|| jwks.clone())?;
    Details::new("")
        .row("key", kid.clone(), kid)
        .row("file", file.clone(), file)
        .row("jwks", jwks.clone(), jwks)
        .print(args.json)
}

fn token(args: &TokenArgs) -> anyhow::Result<()> {
    let digits = secret_text(&args.key)?;
    let mut seed = Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits.as_bytes(), &mut *seed)
        .map_err(|_| anyhow::anyhow!("{}: not a key of gridveil operator staff key", args.key.display()))?;
    ensure!(
        !args.roles.contains(&Role::Mdm) || !args.communities.is_empty(),
        "--role mdm: name its communities (--community)"
    );
    let key = signing(&*seed);
    let (_, kid) = public(&key)?;
    let now = u64::try_from(Timestamp::now().as_second()).context("the clock")?;
    let expires = now + u64::from(args.minutes) * 60;
    let roles: Vec<_> = args.roles.iter().map(|role| role.name()).collect();
    let mut claims = json!({"iss": args.issuer, "aud": args.audience, "sub": args.subject, "iat": now, "nbf": now,
                            "exp": expires, "roles": roles});
    if let (false, Some(claims)) = (args.communities.is_empty(), claims.as_object_mut()) {
        claims.insert("communities".to_owned(), json!(args.communities));
    }
    let header = Header { kid: Some(kid), ..Header::new(Algorithm::EdDSA) };
    let token = Zeroizing::new(encode(&header, &claims, &key).context("the token could not be signed")?);
    let Some(out) = &args.out else {
        // Alone, so that it can be put into a file or a header.
        let shown =
            if args.json { json!({"token": *token, "expires_s": expires}).to_string() } else { token.to_string() };
        return Ok(text::print(&format!("{shown}\n"))?);
    };
    let name = out.display().to_string();
    // A new one every hour: the old one may go.
    durable::replace(out, format!("{}\n", *token).as_bytes()).with_context(|| name.clone())?;
    let until = Timestamp::from_second(i64::try_from(expires)?)?.to_string();
    Details::new("")
        .row("subject", args.subject.clone(), args.subject.clone())
        .row("roles", roles.join(", "), roles.clone())
        .row("expires", until, expires)
        .row("file", name.clone(), name)
        .print(args.json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{DecodingKey, Validation, decode};

    #[test]
    fn a_token_verifies_under_the_public_half_of_its_key() {
        let key = signing(&[7; 32]);
        let (jwk, kid) = public(&key).unwrap();
        assert_eq!(kid.len(), 16);
        assert_ne!(public(&signing(&[8; 32])).unwrap().1, kid);
        let claims = json!({"sub": "x", "exp": 4_000_000_000_u64, "aud": "gridveil"});
        let token = encode(&Header::new(Algorithm::EdDSA), &claims, &key).unwrap();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&["gridveil"]);
        let of = |key: &Jwk| decode::<serde_json::Value>(&token, &DecodingKey::from_jwk(key).unwrap(), &validation);
        assert!(of(&jwk).is_ok());
        assert!(of(&public(&signing(&[8; 32])).unwrap().0).is_err());
    }
}
