//! The L1 side of Gridveil: the rollup contract's bindings and, behind `codegen`, the generator of its verifiers.

pub mod anvil;
#[cfg(feature = "codegen")]
pub mod codegen;
