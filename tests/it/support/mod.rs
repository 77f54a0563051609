//! A folder with a small network and data of its own, and the binary to run there.

mod binary;
mod hub_server;
mod lab;
mod state_dict;

pub(crate) use self::binary::{binary, workspace};
pub(crate) use self::hub_server::{Answer, HubServer};
pub(crate) use self::lab::{IMAGES, Lab, Run};
pub(crate) use self::state_dict::{NORMALISED, values, write_state_dict};

use serde_json::Value;

/// Asserts the exit code of a command and words of its stderr.
#[track_caller]
pub(crate) fn assert_told(run: &Run, code: i32, words: &[&str]) {
    assert_eq!(run.code, Some(code), "{run:?}");
    for word in words {
        assert!(run.stderr.contains(word), "no `{word}` in {}", run.stderr);
    }
}

/// Asserts that a JSON object has these fields.
pub(crate) fn has_fields(object: &Value, fields: &[&str]) {
    for field in fields {
        assert!(object.get(field).is_some(), "no `{field}` in {object}");
    }
}

/// Every line of a text as JSON.
pub(crate) fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}
