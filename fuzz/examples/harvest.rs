//! Writes the inputs to begin with into `fuzz/corpus`. What is there already stays.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, inputs) in jsp_fuzz::harvest::harvest() {
        let folder = corpus.join(target);
        std::fs::create_dir_all(&folder)?;
        for input in &inputs {
            std::fs::write(folder.join(jsp_fuzz::harvest::name(input)), input)?;
        }
        println!("{target}: {}", inputs.len());
    }
    Ok(())
}
