//! docs/reference/meter-files.md says what becomes of the files in `shared/data`, beside the repository. Without them the
//! test says so and stops.

use std::path::Path;

#[test]
fn the_page_says_what_becomes_of_every_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let data = root.join("../shared/data");
    if !data.exists() {
        println!("skipped: {} is not there", data.display());
        return;
    }
    let page = std::fs::read_to_string(root.join("docs/reference/meter-files.md")).unwrap();
    assert!(
        page == crate::files::page(&data).unwrap(),
        "docs/reference/meter-files.md is not what the files give: make it anew"
    );
}
