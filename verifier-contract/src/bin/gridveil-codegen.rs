//! `gridveil-codegen fixture [--check]`: the toy circuit's verifier and one settlement-shaped proof of it, for the contract's tests.

use std::path::Path;
use std::process::ExitCode;

use gridveil_verifier_contract::codegen::fixture;

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["fixture"] => {
            let made = fixture::toy_fixture()?;
            println!("{}", serde_json::to_string(&made.stats)?);
            fixture::write(root, &made)?;
            Ok(())
        }
        ["fixture", "--check"] => Ok(fixture::check(root)?),
        _ => Err("usage: gridveil-codegen fixture [--check]".into()),
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
