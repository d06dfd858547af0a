use std::path::Path;

use super::*;

fn read(text: &str) -> (Vec<Requirement>, Vec<String>) {
    let (mut requirements, mut problems) = (Vec::new(), Vec::new());
    read::text(Path::new("a.md"), text, &mut requirements, &mut problems);
    (requirements, problems.into_iter().map(|Problem { line, what, .. }| format!("{line}: {what}")).collect())
}

#[test]
fn requirements_are_list_items_with_a_number() {
    let text = "# A\n\nProse MAY say this.\n\n- **JSP-AB-01** A peer MUST\n  answer.\n- **JSP-AB-02** It MUST NOT lie.\n- item\n";
    let (requirements, problems) = read(text);
    assert_eq!(problems, [""; 0]);
    let found: Vec<_> =
        requirements.iter().map(|found| (found.id.to_string(), found.line, found.text.as_str())).collect();
    let expected = [("JSP-AB-01".into(), 5, "A peer MUST answer."), ("JSP-AB-02".into(), 7, "It MUST NOT lie.")];
    assert_eq!(found, expected);
}

#[test]
fn what_does_not_stand_as_it_should_is_told() {
    let text = "A peer MUST answer.\n\n- **JSP-AB-1** It MUST.\n- **JSP-AB-01** It does.\n```\nMUST\n```\n";
    let (_, problems) = read(text);
    let expected = [
        "1: a MUST outside of a numbered requirement",
        "3: JSP-AB-1 is no number of a requirement",
        "4: JSP-AB-01 has no MUST",
    ];
    assert_eq!(problems, expected);
}

#[test]
fn citations_are_code_or_tests() {
    let mut found = Vec::new();
    let mut cite = |file, text| {
        cite::text(Path::new(file), text, &mut found);
        std::mem::take(&mut found).into_iter().map(|(id, place)| (id.to_string(), place.kind)).collect::<Vec<_>>()
    };
    let (one, two) = ("JSP-AB-01".to_owned(), "JSP-CD-12".to_owned());
    let source = "// JSP-AB-01: why\nfn a() {}\n#[cfg(test)]\nmod tests {\n    // JSP-CD-12, JSP-AB-01\n}\n";
    let expected = [(one.clone(), Kind::Code), (two.clone(), Kind::Test), (one.clone(), Kind::Test)];
    assert_eq!(cite("jsp-proto/src/a.rs", source), expected);
    assert_eq!(cite("jsp-proto/tests/a.rs", "// JSP-AB-01"), [(one.clone(), Kind::Test)]);
    assert_eq!(cite("jsp-ffi/go/a_test.go", "// (JSP-CD-12)"), [(two, Kind::Test)]);
    assert_eq!(cite("conformance/reference/a.py", "# JSP-AB-01-"), [(one, Kind::Test)]);
    assert_eq!(cite("jsp-proto/src/a.rs", "// JSP-AB, JSP-ab-01, JSP-AB-1"), []);
}

#[test]
fn every_number_stands_once_and_in_order() {
    let folder = std::env::temp_dir().join(format!("jsp-spec-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    for (name, text) in [
        ("README.md", "MUST means that."),
        ("a.md", "- **JSP-AB-01** MUST\n- **JSP-AB-03** MUST\n- **JSP-AB-03** MUST\n"),
        ("b.md", "- **JSP-AB-04** MUST\n"),
    ] {
        std::fs::write(folder.join(name), text).expect("written");
    }
    let (requirements, problems) = read::folder(&folder).expect("read");
    std::fs::remove_dir_all(&folder).expect("removed");
    assert_eq!(requirements.len(), 4);
    let told: Vec<_> = problems.iter().map(|problem| problem.what.split(" is not in").next().unwrap_or("")).collect();
    assert_eq!(told, ["JSP-AB-03 follows 1 of its area", "JSP-AB-03 follows 3 of its area", "JSP-AB-04"]);
}
