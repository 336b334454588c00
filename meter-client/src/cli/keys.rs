//! Key files on the command line: the household's, and the device's.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use gridveil_keystore::token::Token;
use gridveil_protocol::{field::to_bytes, hex::hex0, owner::owner_of};
use zeroize::Zeroizing;

use super::{
    MeterError,
    passphrase::{CostArgs, DEVICE, HOUSEHOLD, PIN, passphrase},
    print_json,
};
use crate::{
    device::{Device, Lock, Unlock},
    key_store::{KeyStoreError, Keys},
};

/// Ends the name of a device's file beside its household's.
const DEVICE_FILE: &str = "device";

/// Where the household's keys are, and how they open.
#[derive(Clone, Debug, clap::Args)]
pub struct KeyArgs {
    /// Key file of the household.
    #[arg(long, env = "GRIDVEIL_KEYS")]
    pub keys: PathBuf,
    /// File whose first line is the passphrase, mode 0600; otherwise GRIDVEIL_PASSPHRASE, otherwise it is asked for on the
    /// terminal, or read from standard input.
    #[arg(long)]
    pub passphrase_file: Option<PathBuf>,
}

/// Where the key of the meter's device is, and how it opens.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct DeviceArgs {
    /// Key file of the meter's device. If absent, the one beside the household's key file: home7.device for home7.keys.
    #[arg(long, value_name = "FILE", env = "GRIDVEIL_DEVICE")]
    pub device: Option<PathBuf>,
    #[command(flatten)]
    lock: LockArgs,
}

/// What a device's key file is sealed with.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LockArgs {
    /// File whose first line is the device's passphrase, mode 0600; otherwise GRIDVEIL_DEVICE_PASSPHRASE, otherwise the
    /// household's.
    #[arg(long, value_name = "FILE")]
    device_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    token: TokenArgs,
}

/// The token that a device's file is sealed with, if it is.
#[derive(Clone, Debug, Default, clap::Args)]
struct TokenArgs {
    /// PKCS#11 module of the token that the device's file is sealed with, a shared library. The token protects the file; no
    /// token signs on this curve, so the key is in memory while it signs.
    #[arg(long, value_name = "LIBRARY", env = "GRIDVEIL_TOKEN_MODULE", requires = "token")]
    token_module: Option<PathBuf>,
    /// Label of the token.
    #[arg(long, value_name = "LABEL", env = "GRIDVEIL_TOKEN", requires = "token_module")]
    token: Option<String>,
    /// File whose first line is the token's PIN, mode 0600; otherwise GRIDVEIL_TOKEN_PIN, otherwise it is asked for.
    #[arg(long, value_name = "FILE")]
    token_pin_file: Option<PathBuf>,
}

impl TokenArgs {
    /// `None` if no token is named.
    fn open(&self) -> Result<Option<Token>, MeterError> {
        let (Some(module), Some(label)) = (&self.token_module, &self.token) else { return Ok(None) };
        let pin = PIN.existing(self.token_pin_file.as_deref(), Path::new(label))?;
        let failed = |source| MeterError::Token { path: module.clone(), source };
        Token::open(module, label, &pin).map(Some).map_err(failed)
    }
}

/// Who signs packets: a household with its device, or a device alone.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SigningArgs {
    /// Key file of the household. Without it the device hands in alone: no statement is checked, and the outbox is the
    /// device's own.
    #[arg(long, env = "GRIDVEIL_KEYS")]
    keys: Option<PathBuf>,
    /// File whose first line is the passphrase, mode 0600; otherwise GRIDVEIL_PASSPHRASE, otherwise it is asked for on the
    /// terminal, or read from standard input.
    #[arg(long)]
    passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Open keys of who signs packets.
#[derive(Debug)]
pub(super) struct Signing {
    /// The household's, if they are here.
    pub(super) household: Option<Keys>,
    /// The meter's.
    pub(super) device: Device,
    /// The key files: for a backup.
    pub(super) files: Vec<PathBuf>,
}

impl SigningArgs {
    /// Opens both, or the device's alone.
    ///
    /// # Errors
    /// Keys, passphrases or token.
    pub(super) fn open(&self) -> Result<Signing, MeterError> {
        let told = self.passphrase_file.as_deref();
        let Some(file) = &self.keys else {
            let path = self.device.device.clone().ok_or(MeterError::NoKeys)?;
            let device = self.device.lock.open(&path, None, told)?;
            return Ok(Signing { household: None, device, files: vec![path] });
        };
        let (keys, passphrase) =
            opened(&KeyArgs { keys: file.clone(), passphrase_file: self.passphrase_file.clone() })?;
        let (device, path) = match self.device.choose(file, &keys)? {
            Chosen::Own(device) => (device, None),
            Chosen::File(path) => (self.device.lock.open(&path, Some(&passphrase), told)?, Some(path)),
        };
        let files = std::iter::once(file.clone()).chain(path).collect();
        Ok(Signing { household: Some(keys), device, files })
    }
}

impl DeviceArgs {
    /// Opens the file that is named, or the one beside the household's key file.
    ///
    /// # Errors
    /// Keys, passphrase or token.
    pub fn open_beside(&self, keys: &KeyArgs, household: &Keys) -> Result<Device, MeterError> {
        match self.choose(&keys.keys, household)? {
            Chosen::Own(device) => Ok(device),
            Chosen::File(path) => self.lock.open(&path, None, keys.passphrase_file.as_deref()),
        }
    }

    /// The file that is named, or the one beside the household's; or the key in the household's own file, which one of the
    /// first kind has too. Where there are both, nobody guesses which one signs.
    fn choose(&self, keys: &Path, household: &Keys) -> Result<Chosen, MeterError> {
        let other = beside(keys);
        match (&self.device, household.device()) {
            (Some(named), _) => Ok(Chosen::File(named.clone())),
            (None, Some(_)) if other.exists() => Err(MeterError::TwoDevices { keys: keys.to_owned(), device: other }),
            (None, Some(device)) => Ok(Chosen::Own(device.clone())),
            (None, None) => Ok(Chosen::File(other)),
        }
    }
}

/// Where the meter's key is.
enum Chosen {
    /// In the household's file.
    Own(Device),
    /// In a file of its own.
    File(PathBuf),
}

impl LockArgs {
    /// Opens this file, or makes it with a new key if it is not there.
    ///
    /// # Errors
    /// Keys, passphrase or token.
    pub fn open_or_make(&self, path: &Path, keys: &KeyArgs, cost: CostArgs) -> Result<Device, MeterError> {
        let told = keys.passphrase_file.as_deref();
        if path.exists() { self.open(path, None, told) } else { self.prepared(path, None, told)?.make(path, cost) }
    }

    /// `known`: the household's passphrase, where it was asked for already. `household`: the file with it.
    fn open(
        &self,
        path: &Path,
        known: Option<&Zeroizing<String>>,
        household: Option<&Path>,
    ) -> Result<Device, MeterError> {
        if !path.exists() {
            return Err(MeterError::NoDevice { path: path.to_owned() });
        }
        let failed = |source| MeterError::Keys { path: path.to_owned(), source };
        if Device::needs_token(path).map_err(failed)? {
            let token = self.token.open()?.ok_or_else(|| failed(KeyStoreError::NeedsToken))?;
            return Device::open(path, Unlock::Token(&token)).map_err(failed);
        }
        let passphrase = match (self.own_passphrase(), known) {
            (true, _) => DEVICE.existing(self.device_passphrase_file.as_deref(), path)?,
            (false, Some(known)) => known.clone(),
            (false, None) => HOUSEHOLD.existing(household, path)?,
        };
        match Device::open(path, Unlock::Passphrase(&passphrase)) {
            // It may have another one than the household.
            Err(KeyStoreError::Passphrase) if known.is_some() && !self.own_passphrase() && DEVICE.can_ask() => {
                let asked = DEVICE.existing(None, path)?;
                Device::open(path, Unlock::Passphrase(&asked)).map_err(failed)
            }
            opened => opened.map_err(failed),
        }
    }

    /// What a new file is to be sealed with: a token that is open, or a passphrase that was asked for.
    fn prepared(
        &self,
        path: &Path,
        known: Option<&Zeroizing<String>>,
        household: Option<&Path>,
    ) -> Result<Prepared, MeterError> {
        if let Some(token) = self.token.open()? {
            return Ok(Prepared::Token(token));
        }
        let passphrase = match (self.own_passphrase(), known) {
            (true, _) => DEVICE.new_one(self.device_passphrase_file.as_deref(), path)?,
            (false, Some(known)) => known.clone(),
            (false, None) => HOUSEHOLD.new_one(household, path)?,
        };
        Ok(Prepared::Passphrase(passphrase))
    }

    /// Is the device's own passphrase told?
    fn own_passphrase(&self) -> bool {
        DEVICE.is_told(self.device_passphrase_file.as_deref())
    }
}

/// What a new device's file is sealed with.
enum Prepared {
    Passphrase(Zeroizing<String>),
    Token(Token),
}

impl Prepared {
    fn make(&self, path: &Path, cost: CostArgs) -> Result<Device, MeterError> {
        let failed = |source| MeterError::Keys { path: path.to_owned(), source };
        let device = Device::generate().map_err(failed)?;
        let lock = match self {
            Self::Passphrase(passphrase) => Lock::Passphrase(passphrase, cost.cost()),
            Self::Token(token) => Lock::Token(token),
        };
        device.create(path, lock).map_err(failed)?;
        Ok(device)
    }
}

/// Opens the household's key file.
///
/// # Errors
/// [`MeterError::Passphrase`], [`MeterError::Keys`].
pub fn open_keys(args: &KeyArgs) -> Result<Keys, MeterError> {
    opened(args).map(|(keys, _)| keys)
}

fn opened(args: &KeyArgs) -> Result<(Keys, Zeroizing<String>), MeterError> {
    let passphrase = passphrase(args, &args.keys)?;
    let keys =
        Keys::open(&args.keys, &passphrase).map_err(|source| MeterError::Keys { path: args.keys.clone(), source })?;
    Ok((keys, passphrase))
}

/// The device's file beside a household's.
fn beside(keys: &Path) -> PathBuf {
    keys.with_extension(DEVICE_FILE)
}

/// Which files are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Only {
    /// The household's: the device makes its own.
    Household,
    /// The device's: on the gateway beside the meter.
    Device,
}

#[derive(Debug, clap::Args)]
pub(super) struct KeygenArgs {
    /// Key file of the household.
    #[arg(long, env = "GRIDVEIL_KEYS")]
    keys: Option<PathBuf>,
    /// File whose first line is the passphrase, mode 0600; otherwise GRIDVEIL_PASSPHRASE, otherwise it is asked for on the
    /// terminal, or read from standard input.
    #[arg(long)]
    passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Make one file alone, in place of both.
    #[arg(long, value_name = "WHICH")]
    only: Option<Only>,
    #[command(flatten)]
    cost: CostArgs,
    /// For machines.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// Key file of the household: its device's is beside it.
    #[arg(long, env = "GRIDVEIL_KEYS")]
    keys: Option<PathBuf>,
    /// File whose first line is the passphrase, mode 0600, where the device has none of its own.
    #[arg(long)]
    passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    /// For machines.
    #[arg(long)]
    json: bool,
}

pub(super) fn keygen(args: &KeygenArgs) -> Result<(), MeterError> {
    let told = args.passphrase_file.as_deref();
    let keys = args.keys.as_ref().filter(|_| args.only != Some(Only::Device));
    let device = match (&args.device.device, keys.or(args.keys.as_ref())) {
        _ if args.only == Some(Only::Household) => None,
        (Some(device), _) => Some(device.clone()),
        (None, Some(keys)) => Some(beside(keys)),
        (None, None) => return Err(MeterError::NoKeys),
    };
    // Both or none: nothing is made where one of them is there.
    for path in keys.into_iter().chain(&device) {
        if path.exists() {
            return Err(MeterError::Keys { path: path.clone(), source: KeyStoreError::Exists });
        }
    }
    if keys == device.as_ref() {
        return Err(MeterError::OneFile { path: device.unwrap_or_default() });
    }
    // Everything that may be missing or wrong is asked for before the first file is made.
    let known = keys.map(|path| HOUSEHOLD.new_one(told, path)).transpose()?;
    let lock = device.as_ref().map(|path| args.device.lock.prepared(path, known.as_ref(), told)).transpose()?;
    let household = match (keys, &known) {
        (Some(path), Some(passphrase)) => {
            let failed = |source| MeterError::Keys { path: path.clone(), source };
            let keys = Keys::generate().map_err(failed)?;
            keys.create(path, passphrase, args.cost.cost()).map_err(failed)?;
            Some((keys, path))
        }
        _ if args.only == Some(Only::Household) => return Err(MeterError::NoKeys),
        _ => None,
    };
    let made = device.as_ref().zip(lock).map(|(path, lock)| lock.make(path, args.cost)).transpose()?;
    let owner = household.as_ref().map(|(keys, _)| owner_of(&keys.owner));
    let commitment = owner.as_ref().map(|owner| hex0(to_bytes(&owner.commitment())));
    let meter = made.as_ref().map(Device::public);
    if args.json {
        let mut all = serde_json::Map::new();
        let mut add = |name: &str, value: serde_json::Value| {
            if !value.is_null() {
                all.insert(name.to_owned(), value);
            }
        };
        add("owner", serde_json::json!(owner));
        add("owner_commitment", serde_json::json!(commitment));
        add("meter", serde_json::json!(meter));
        add("device", serde_json::json!(device));
        return print_json(&all);
    }
    if let (Some(owner), Some(commitment)) = (owner, commitment) {
        println!("owner key         {}", hex0(owner.key.to_bytes()));
        println!("nullifier key     {}", hex0(to_bytes(&owner.nullifier)));
        println!("owner commitment  {commitment}");
    }
    if let Some(meter) = meter {
        println!("meter key         {}", hex0(meter.to_bytes()));
    }
    if household.is_some() {
        println!("Give these to the meter data manager for enrolment.");
    } else {
        println!("The household needs it: `gridveil member enrol --meter-key`, or `member replace --meter-key`.");
    }
    if let Some((_, path)) = household {
        println!("The household's keys are in {}: keep a copy, it is the account.", path.display());
    }
    if let Some(path) = device {
        println!("The meter's key is in {}: it goes to the device beside the meter.", path.display());
    }
    Ok(())
}

pub(super) fn show(args: &ShowArgs) -> Result<(), MeterError> {
    let told = args.passphrase_file.as_deref();
    // Beside the household's file, or in it, if that is of the first kind.
    let of = |keys: &PathBuf| Some(beside(keys)).filter(|path| path.exists()).unwrap_or_else(|| keys.clone());
    let path = args.device.device.clone().or_else(|| args.keys.as_ref().map(of)).ok_or(MeterError::NoKeys)?;
    let device = args.device.lock.open(&path, None, told)?;
    let failed = |source| MeterError::Keys { path: path.clone(), source };
    let sealed = if Device::needs_token(&path).map_err(failed)? { "token" } else { "passphrase" };
    let meter = device.public();
    if args.json {
        return print_json(&serde_json::json!({"meter": meter, "sealed_with": sealed, "device": path}));
    }
    println!("file         {}", path.display());
    println!("meter key    {}", hex0(meter.to_bytes()));
    println!("sealed with  a {sealed}");
    Ok(())
}
