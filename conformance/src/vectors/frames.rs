//! Frames: decoded, encoded again, compared. Those that the project ships must also have the shipped bytes.

use jsp_proto::wire::{Frame, Reader, Writer};
use serde_json::{Map, Value};

use super::SHIPPED;
use super::report::{Report, Section, Verdict, difference};

pub(super) fn check(file: &Map<String, Value>, report: &mut Report) {
    let shipped: Value = serde_json::from_str(SHIPPED).unwrap_or_default();
    let nothing = Map::new();
    let shipped = shipped.as_object().unwrap_or(&nothing);
    let mut ignored = Report::default();
    let mut shipped = Section::new("frames", shipped, &mut ignored);
    let mut section = Section::new("frames", file, report);
    for key in section.keys() {
        let Ok(bytes) = section.read(key) else { continue };
        let verdict = match encoded_again(&bytes) {
            Ok(again) => difference(&bytes, &again),
            Err(why) => Some(why),
        };
        // A name says which frame with which fields it is, so the same name with other bytes is another frame.
        let verdict = verdict.or_else(|| difference(&bytes, &shipped.read(key).ok()?));
        section.verdict(key, verdict.map_or(Verdict::Right, Verdict::Wrong));
    }
    section.finish(&shipped.keys());
}

fn encoded_again(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut reader = Reader::new(bytes);
    let frame = Frame::decode(&mut reader).map_err(|error| format!("not a frame: {error}"))?;
    if !reader.is_empty() {
        return Err(format!("{} bytes follow the frame", reader.remaining()));
    }
    // Room for an encoding that is longer than it should be, so that it shows up as a difference.
    let mut out = vec![0; bytes.len() + 64];
    let mut writer = Writer::new(&mut out);
    frame.encode(&mut writer).map_err(|_| "its encoding is much longer")?;
    Ok(writer.written().to_vec())
}
