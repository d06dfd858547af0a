//! What the crate brings along: smol, and no other runtime.

use std::process::Command;

#[test]
fn tokio_is_no_dependency() {
    let listed = Command::new(env!("CARGO"))
        .args(["tree", "-e", "normal", "-p", "jsp-smol", "--all-features", "--prefix", "none", "--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let tree = match listed {
        Ok(tree) => tree,
        Err(error) => return eprintln!("skipped: {} cannot be run: {error}", env!("CARGO")),
    };
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8_lossy(&tree.stdout);
    // The path of the checkout follows and may say anything.
    let names: Vec<_> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for expected in ["jsp-smol", "jsp-proto", "smol", "async-io"] {
        assert!(names.contains(&expected), "{expected} is missing:\n{tree}");
    }
    let tokio: Vec<_> = names.iter().filter(|name| name.contains("tokio")).collect();
    assert!(tokio.is_empty(), "{tokio:?} in\n{tree}");
}
