//! Envelopes under a PKCS#11 token, with Debian's SoftHSM. Without it the test says so and passes; with
//! `GRIDVEIL_REQUIRE_TOKEN` set it fails.

use std::{path::Path, process::Command};

use gridveil_keystore::{
    SealError,
    token::{OVERHEAD_BYTES, Token, TokenError},
};

const MODULES: [&str; 2] = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"];
const CHILD: &str = "in_a_process_of_its_own";
const CONTENT: &[u8] = b"thirty-two bytes of a secret key";

/// SoftHSM finds its tokens by a variable, so the test proper is in a child process that has it.
#[test]
fn only_the_token_opens_what_it_sealed() {
    let Some(module) = MODULES.iter().find(|path| Path::new(path).exists()) else {
        assert!(std::env::var_os("GRIDVEIL_REQUIRE_TOKEN").is_none(), "SoftHSM is missing");
        eprintln!("left out: SoftHSM is not on this machine (Debian: apt install softhsm2)");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let config = dir.path().join("softhsm2.conf");
    std::fs::write(&config, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
    for label in ["gateway", "another"] {
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", label, "--pin", "1234", "--so-pin", "567890"])
            .env("SOFTHSM2_CONF", &config)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", CHILD])
        .env("SOFTHSM2_CONF", &config)
        .env("GRIDVEIL_TEST_ARGS", module)
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && out.contains("1 passed"), "{out}{}", String::from_utf8_lossy(&child.stderr));
    // The content is not on the token's disk.
    let kept = files(&tokens).unwrap();
    assert!(!kept.is_empty() && !kept.iter().any(|bytes| bytes.windows(CONTENT.len()).any(|w| w == CONTENT)));
}

fn files(directory: &Path) -> std::io::Result<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() { all.extend(files(&path)?) } else { all.push(std::fs::read(path)?) }
    }
    Ok(all)
}

#[test]
#[ignore = "run by only_the_token_opens_what_it_sealed, with a token"]
fn in_a_process_of_its_own() {
    let module = std::env::var("GRIDVEIL_TEST_ARGS").unwrap();
    let module = Path::new(&module);
    let wrong = |module: &Path, label: &str, pin: &str| Token::open(module, label, pin).unwrap_err();
    assert!(matches!(wrong(Path::new("/nowhere.so"), "gateway", "1234"), TokenError::Module(_)));
    assert_eq!(wrong(module, "gateway", "4321"), TokenError::Pin);
    let none = wrong(module, "cellar", "1234").to_string();
    assert!(none.contains("\"cellar\"") && none.contains("\"gateway\"") && none.contains("\"another\""), "{none}");

    let envelope = {
        let token = Token::open(module, "gateway", "1234").unwrap();
        let envelope = token.seal(*b"TEST", CONTENT).unwrap();
        assert_eq!(envelope.len(), CONTENT.len() + OVERHEAD_BYTES);
        assert_ne!(token.seal(*b"TEST", CONTENT).unwrap(), envelope, "keys and nonces are fresh");
        envelope
    };
    // After the module was unloaded, as another process would.
    let token = Token::open(module, "gateway", "1234").unwrap();
    assert_eq!(token.open_envelope(*b"TEST", &envelope).unwrap().as_slice(), CONTENT);
    assert_eq!(token.open_envelope(*b"TESS", &envelope), Err(TokenError::Format));
    for at in 4..envelope.len() {
        let mut bad = envelope.clone();
        bad[at] ^= 1;
        let error = token.open_envelope(*b"TEST", &bad).unwrap_err();
        let expected = if at < 20 { TokenError::NoKey } else { TokenError::Seal(SealError::NotOpened) };
        assert_eq!(error, expected, "byte {at}");
    }
    for short in [0, 4, 60, OVERHEAD_BYTES - 17] {
        assert_eq!(token.open_envelope(*b"TEST", &envelope[..short]), Err(TokenError::Format));
    }
    drop(token);
    let another = Token::open(module, "another", "1234").unwrap();
    assert_eq!(another.open_envelope(*b"TEST", &envelope), Err(TokenError::NoKey));
}
