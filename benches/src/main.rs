//! `bench [SHAPE...]`: see the library.

fn main() -> anyhow::Result<()> {
    gridveil_benches::run::main(std::env::args().skip(1))
}
