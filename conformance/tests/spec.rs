//! The specification stands as its README says, and nothing cites a requirement that does not exist.

use std::path::Path;

use jsp_conformance::spec::Specification;

#[test]
fn requirements_are_numbered_and_citations_are_theirs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let specification = Specification::load(&root).expect("the folders are there");
    let problems: Vec<String> = specification
        .problems
        .iter()
        .map(|problem| format!("{}:{}: {}", problem.file.display(), problem.line, problem.what))
        .collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(specification.requirements.len() > 100, "{} requirements", specification.requirements.len());
    println!("{specification}");
}
