//! The report under `cargo bench`. Nothing under `cargo test`, which also runs bench targets on request.

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if std::env::var_os(gridveil_benches::run::CHILD).is_none()
        && !arguments.iter().any(|argument| argument == "--bench")
    {
        return Ok(());
    }
    gridveil_benches::run::main(arguments.into_iter().filter(|argument| argument != "--bench"))
}
