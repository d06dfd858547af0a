//! Key ids as people type them.

use std::str::FromStr;

use jsp_proto::{KeyId, KeyIdError};

/// Reads the bytes as text, and the text of an id made of them.
pub fn run(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        typed(text);
    }
    let mut bytes = [0; 32];
    data.iter().zip(&mut bytes).for_each(|(from, to)| *to = *from);
    let id = KeyId::new(bytes);
    let text = id.to_string();
    assert_eq!((text.len(), text.parse(), text.to_uppercase().parse()), (57, Ok(id), Ok(id)));
    // Each digit counts: another one is another id or none.
    let at = 5 + usize::from(data.first().copied().unwrap_or_default()) % 52;
    let other = if text.as_bytes()[at] == b'a' { "b" } else { "a" };
    assert_ne!([&text[..at], other, &text[at + 1..]].concat().parse(), Ok(id));
}

fn typed(text: &str) {
    match KeyId::from_str(text) {
        Ok(id) => assert_eq!(id.to_string(), text.to_ascii_lowercase()),
        Err(KeyIdError::Prefix) => {
            assert!(!text.as_bytes().get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"jsp1-")));
        }
        Err(KeyIdError::Length) => assert_ne!(text.len(), 57),
        Err(KeyIdError::Character) => {
            assert!(!text[5..].bytes().all(|byte| byte.is_ascii_alphabetic() || (b'2'..=b'7').contains(&byte)));
        }
        Err(_) => assert!(!text.ends_with(['a', 'A', 'q', 'Q'])),
    }
}
