//! What a WebAssembly module needs from its host, read from its import section.
//!
//! A module that imports nothing cannot reach a clock, a source of randomness or a socket. The reader knows just enough
//! of the binary format (WebAssembly core specification, chapter 5) to list imports, and rejects what it does not know.

use std::fmt;

const PREAMBLE: &[u8] = b"\0asm\x01\0\0\0";
const IMPORT_SECTION: u8 = 2;

/// One thing a module imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The module it comes from.
    pub module: String,
    /// Its name there.
    pub name: String,
    /// What it is: "function", "table", "memory", "global" or "tag".
    pub kind: &'static str,
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}.{}", self.kind, self.module, self.name)
    }
}

/// Why the bytes are no module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WasmError {
    /// Not the preamble of a core module, version 1.
    NotAModule,
    /// The bytes end too early, or a section or number is malformed.
    Malformed,
    /// A kind of import that this reader does not know.
    UnknownKind(u8),
}

impl fmt::Display for WasmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAModule => f.write_str("not a WebAssembly module of version 1"),
            Self::Malformed => f.write_str("the module is cut off or malformed"),
            Self::UnknownKind(kind) => write!(f, "unknown kind of import {kind}"),
        }
    }
}

impl std::error::Error for WasmError {}

/// The imports of a module, in its order.
///
/// # Errors
/// [`WasmError`] if `module` is no binary module or its sections cannot be read.
pub fn imports(module: &[u8]) -> Result<Vec<Import>, WasmError> {
    let mut reader = Bytes(module.strip_prefix(PREAMBLE).ok_or(WasmError::NotAModule)?);
    let mut found = Vec::new();
    while !reader.0.is_empty() {
        let id = reader.byte()?;
        let mut section = reader.vector()?;
        if id == IMPORT_SECTION {
            for _ in 0..section.number()? {
                found.push(section.import()?);
            }
            if !section.0.is_empty() {
                return Err(WasmError::Malformed);
            }
        }
    }
    Ok(found)
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn byte(&mut self) -> Result<u8, WasmError> {
        let (&first, rest) = self.0.split_first().ok_or(WasmError::Malformed)?;
        self.0 = rest;
        Ok(first)
    }

    /// An unsigned LEB128 number of up to 64 bits.
    fn number(&mut self) -> Result<u64, WasmError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WasmError::Malformed)
    }

    /// As many bytes as the number before them says.
    fn vector(&mut self) -> Result<Bytes<'a>, WasmError> {
        let len = usize::try_from(self.number()?).map_err(|_| WasmError::Malformed)?;
        let (vector, rest) = self.0.split_at_checked(len).ok_or(WasmError::Malformed)?;
        self.0 = rest;
        Ok(Bytes(vector))
    }

    fn text(&mut self) -> Result<String, WasmError> {
        String::from_utf8(self.vector()?.0.to_vec()).map_err(|_| WasmError::Malformed)
    }

    fn import(&mut self) -> Result<Import, WasmError> {
        let (module, name) = (self.text()?, self.text()?);
        let kind = match self.byte()? {
            0 => {
                self.number()?;
                "function"
            }
            1 => {
                self.byte()?;
                self.limits()?;
                "table"
            }
            2 => {
                self.limits()?;
                "memory"
            }
            3 => {
                self.byte()?;
                self.byte()?;
                "global"
            }
            4 => {
                self.byte()?;
                self.number()?;
                "tag"
            }
            kind => return Err(WasmError::UnknownKind(kind)),
        };
        Ok(Import { module, name, kind })
    }

    fn limits(&mut self) -> Result<(), WasmError> {
        let flags = self.byte()?;
        self.number()?;
        if flags & 1 != 0 {
            self.number()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(id: u8, content: &[u8]) -> Vec<u8> {
        let len = u8::try_from(content.len()).expect("short").to_le_bytes();
        [&[id][..], &len, content].concat()
    }

    fn module(sections: &[Vec<u8>]) -> Vec<u8> {
        [PREAMBLE, &sections.concat()].concat()
    }

    fn entry(description: &[u8]) -> Vec<u8> {
        [&b"\x03env\x01f"[..], description].concat()
    }

    #[test]
    fn a_module_without_the_section_imports_nothing() {
        assert_eq!(imports(PREAMBLE), Ok(vec![]));
        let types = section(1, b"\x01\x60\0\0");
        let custom = section(0, b"\x04name");
        assert_eq!(imports(&module(&[types, custom])), Ok(vec![]));
        assert_eq!(imports(&module(&[section(2, &[0])])), Ok(vec![]));
    }

    #[test]
    fn every_kind_of_import_is_listed() {
        let descriptions: [(&[u8], &str); 6] = [
            (&[0, 0x85, 0x01], "function"),
            (&[1, 0x70, 0, 1], "table"),
            (&[2, 0, 17], "memory"),
            (&[2, 1, 17, 0x80, 0x01], "memory"),
            (&[3, 0x7f, 1], "global"),
            (&[4, 0, 3], "tag"),
        ];
        let entries: Vec<u8> = descriptions.iter().flat_map(|(description, _)| entry(description)).collect();
        let content = [&[descriptions.len() as u8][..], &entries].concat();
        let found = imports(&module(&[section(1, b"\0"), section(2, &content), section(3, b"\0")])).unwrap();
        let kinds: Vec<&str> = found.iter().map(|import| import.kind).collect();
        assert_eq!(kinds, descriptions.map(|(_, kind)| kind));
        assert!(found.iter().all(|import| import.module == "env" && import.name == "f"));
        assert_eq!(found[0].to_string(), "function env.f");
    }

    #[test]
    fn what_is_no_module_is_an_error() {
        assert_eq!(imports(b""), Err(WasmError::NotAModule));
        assert_eq!(imports(b"\x7fELF\x02\x01\x01\0\0"), Err(WasmError::NotAModule));
        assert_eq!(imports(b"\0asm\x0d\0\x01\0"), Err(WasmError::NotAModule), "a component");
        let unknown = [&[1][..], &entry(&[9])].concat();
        assert_eq!(imports(&module(&[section(2, &unknown)])), Err(WasmError::UnknownKind(9)));
    }

    #[test]
    fn a_module_that_is_cut_off_is_an_error() {
        let whole = module(&[section(2, &[&[1][..], &entry(&[0, 0])].concat())]);
        assert_eq!(imports(&whole).map(|found| found.len()), Ok(1));
        for len in PREAMBLE.len() + 1..whole.len() {
            assert_eq!(imports(&whole[..len]), Err(WasmError::Malformed), "{len} bytes");
        }
        let more = [&[1][..], &entry(&[0, 0]), &[0]].concat();
        assert_eq!(imports(&module(&[section(2, &more)])), Err(WasmError::Malformed));
        assert_eq!(imports(&module(&[[&[0][..], &[0xff; 12]].concat()])), Err(WasmError::Malformed), "no number");
    }
}
