//! solc: npm's, or a native one.

use std::{
    ffi::OsString,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::CodegenError;

/// A compiled contract.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Deployment bytecode.
    pub creation: Vec<u8>,
    /// Runtime bytecode.
    pub runtime: Vec<u8>,
}

/// The EVM version that verifiers are compiled for: they use `mcopy`.
pub const EVM_VERSION: &str = "cancun";

/// Hands its input to npm's solc, and prints what that answers.
const NPM_SCRIPT: &str = r#"
const fs = require("fs");
const output = require("solc").compile(fs.readFileSync(0, "utf8"));
fs.writeSync(1, ""); // keep stdout blocking
process.stdout.write(output);
"#;

/// How solc is started. Bytecode depends on its version: pin it.
#[derive(Clone, Debug)]
pub struct Solc {
    program: OsString,
    arguments: Vec<OsString>,
    folder: Option<PathBuf>,
}

impl Solc {
    /// A native executable, 0.8.24 or newer.
    #[must_use]
    pub fn native(path: &Path) -> Self {
        Self { program: path.into(), arguments: vec!["--standard-json".into()], folder: None }
    }

    /// npm's package `solc` in `node_modules` of a folder, run by the `node` on the path.
    #[must_use]
    pub fn npm(folder: &Path) -> Self {
        Self {
            program: "node".into(),
            arguments: vec!["-e".into(), NPM_SCRIPT.into()],
            folder: Some(folder.to_path_buf()),
        }
    }

    /// Assembles a Yul object. The optimiser runs on the assembly only: the Yul optimiser moves values and overflows the
    /// stack.
    ///
    /// # Errors
    /// [`CodegenError::Solc`].
    pub fn compile_yul(&self, source: &str, name: &str) -> Result<Compiled, CodegenError> {
        let input = json!({
            "language": "Yul",
            "sources": { "verifier.yul": { "content": source } },
            "settings": {
                "evmVersion": EVM_VERSION,
                "optimizer": {
                    "enabled": true,
                    "runs": 1,
                    "details": {
                        "peephole": true, "jumpdestRemover": true, "deduplicate": true, "inliner": false,
                        "orderLiterals": false, "cse": false, "constantOptimizer": false, "yul": false
                    }
                },
                "outputSelection": { "*": { "*": ["evm.bytecode.object", "evm.deployedBytecode.object"] } }
            }
        });
        let output = self.run(&input)?;
        let creation = match compiled(&output, name) {
            Ok(compiled) => return Ok(compiled),
            Err(CodegenError::Solc(what)) if what.contains("deployedBytecode/object is empty") => {
                output["contracts"]["verifier.yul"][name]["evm"]["bytecode"]["object"].as_str().map(hex::decode)
            }
            Err(error) => return Err(error),
        };
        // For Yul input some releases give the creation code only; the runtime object is its tail, after the short loader.
        let creation = creation.and_then(Result::ok).ok_or_else(|| CodegenError::Solc("no bytecode".to_owned()))?;
        let runtime = runtime_of(&creation)?;
        Ok(Compiled { creation, runtime })
    }

    /// Compiles a Solidity contract without the Yul optimiser.
    ///
    /// # Errors
    /// [`CodegenError::Solc`].
    pub fn compile_solidity_unoptimised(&self, source: &str, name: &str) -> Result<Compiled, CodegenError> {
        let input = json!({
            "language": "Solidity",
            "sources": { "verifier.sol": { "content": source } },
            "settings": {
                "evmVersion": EVM_VERSION,
                "optimizer": { "enabled": true, "runs": 1, "details": { "yul": false } },
                "outputSelection": { "*": { "*": ["evm.bytecode.object", "evm.deployedBytecode.object"] } }
            }
        });
        compiled(&self.run(&input)?, name)
    }

    fn run(&self, input: &Value) -> Result<Value, CodegenError> {
        let failed = |what: String| CodegenError::Solc(what);
        let mut command = Command::new(&self.program);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let mut child = command
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| failed(format!("{} did not start: {e}", self.program.to_string_lossy())))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.to_string().as_bytes()).map_err(|e| failed(format!("writing the input: {e}")))?;
        }
        let output = child.wait_with_output().map_err(|e| failed(format!("waiting: {e}")))?;
        if !output.status.success() {
            let tail = String::from_utf8_lossy(&output.stderr).chars().take(2000).collect::<String>();
            return Err(failed(format!("it failed (was `npm ci` run?): {tail}")));
        }
        serde_json::from_slice(&output.stdout).map_err(|e| failed(format!("output is not JSON: {e}")))
    }
}

fn compiled(output: &Value, name: &str) -> Result<Compiled, CodegenError> {
    let errors: Vec<&str> = output["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|error| error["severity"] == "error")
        .filter_map(|error| error["formattedMessage"].as_str())
        .collect();
    if !errors.is_empty() {
        return Err(CodegenError::Solc(errors.join("\n").chars().take(4000).collect()));
    }
    let contract = output["contracts"]
        .as_object()
        .and_then(|files| files.values().find_map(|file| file.get(name)))
        .ok_or_else(|| CodegenError::Solc(format!("no contract {name} in the output")))?;
    let bytes = |pointer: &str| -> Result<Vec<u8>, CodegenError> {
        let text = contract.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let bytes = hex::decode(text).map_err(|e| CodegenError::Solc(format!("{pointer}: {e}")))?;
        // solc answers some too-deep stacks with an empty contract, to which every call succeeds.
        if bytes.is_empty() { Err(CodegenError::Solc(format!("{name}: {pointer} is empty"))) } else { Ok(bytes) }
    };
    Ok(Compiled { creation: bytes("/evm/bytecode/object")?, runtime: bytes("/evm/deployedBytecode/object")? })
}

/// The runtime object inside `codecopy(0, offset, size) return(0, size)` creation code.
fn runtime_of(creation: &[u8]) -> Result<Vec<u8>, CodegenError> {
    // The loader ends with RETURN INVALID.
    creation
        .windows(2)
        .position(|pair| pair == [0xf3, 0xfe])
        .map(|at| creation[at + 2..].to_vec())
        .ok_or_else(|| CodegenError::Solc("creation code of an unexpected form".to_owned()))
}
