//! Metadata mutated at random: refused, or nothing that is printed controls the terminal.
//!
//! `VBD_CASES` sets the number of cases; `scripts/nightly` runs 100,000.

use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use vbd_net::format::{Method, Provenance};
use vbd_net::spec::NetSpec;
use vbd_net::tensor_file::{Tensors, from_bytes, to_bytes};
use vbd_net::{PrunedFile, PrunedNet, ValueType};
use vbd_prune::Report;

use super::report_text;
use crate::render::Output;

/// Cases without `VBD_CASES`.
const CASES: u32 = 10_000;

/// Texts and numbers that have broken programs.
fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[\\x00-\\x1f\\x7f-\\u{9f}\\u{202a}-\\u{202e}\\u{2066}-\\u{2069}a-z]{0,12}"
            .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop_oneof![
            Just(0.0),
            Just(-0.0),
            Just(1e-300),
            Just(1e300),
            Just(-1.0),
            Just(5.0)
        ]
        .prop_map(Value::from),
        Just(Value::Null),
        Just(json!([])),
        Just(json!({})),
        Just(json!([{"after": "\u{1b}[2J", "kind": "\u{9b}31m", "kl_weight": 2}])),
        Just(json!([{"weights": ["\u{7}\n"], "kl_weight": 0.5}])),
    ]
}

/// A change of one place of the metadata.
#[derive(Debug, Clone)]
enum Change {
    /// Another value at the place of this number.
    Set(usize, Value),
    /// No value there.
    Remove(usize),
    /// One more field in an object.
    Add(usize, String, Value),
    /// Another byte of the JSON.
    Byte(usize, u8),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        6 => (any::<usize>(), values()).prop_map(|(place, value)| Change::Set(place, value)),
        1 => any::<usize>().prop_map(Change::Remove),
        1 => (any::<usize>(), any::<String>(), values())
            .prop_map(|(place, key, value)| Change::Add(place, key, value)),
        1 => (any::<usize>(), any::<u8>()).prop_map(|(place, byte)| Change::Byte(place, byte)),
    ];
    prop::collection::vec(change, 1..4)
}

/// Collects the paths of all values.
fn paths(value: &Value, path: &str, all: &mut Vec<String>) {
    all.push(path.to_owned());
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let key = key.replace('~', "~0").replace('/', "~1");
                paths(value, &format!("{path}/{key}"), all);
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                paths(value, &format!("{path}/{index}"), all);
            }
        }
        _ => {}
    }
}

/// Applies changes to JSON; bytes last. `None` if the result is no longer text.
fn changed(json: &str, changes: &[Change]) -> Option<String> {
    let mut value: Value = serde_json::from_str(json).unwrap();
    for change in changes {
        let mut all = Vec::new();
        paths(&value, "", &mut all);
        let path = |place: &usize| all[place % all.len()].clone();
        match change {
            Change::Set(place, new) => *value.pointer_mut(&path(place)).unwrap() = new.clone(),
            Change::Remove(place) => {
                let path = path(place);
                let (parent, key) = path.rsplit_once('/').unwrap_or_default();
                if let Some(Value::Object(fields)) = value.pointer_mut(parent) {
                    fields.remove(key);
                }
            }
            Change::Add(place, key, new) => {
                if let Some(Value::Object(fields)) = value.pointer_mut(&path(place)) {
                    fields.insert(key.clone(), new.clone());
                }
            }
            Change::Byte(..) => {}
        }
    }
    let mut bytes = value.to_string().into_bytes();
    for change in changes {
        if let Change::Byte(place, byte) = change {
            let place = place % bytes.len();
            bytes[place] = *byte;
        }
    }
    String::from_utf8(bytes).ok()
}

/// A pruned file with every field of the metadata.
fn file() -> (Tensors, String) {
    let spec = NetSpec::from_json(
        r#"{"name": "net", "input": [1, 2, 2], "classes": 2,
            "normalize": {"scale": 0.00390625, "mean": [0.5], "std": 2.0},
            "layer": [{"kind": "flatten"}, {"kind": "linear", "name": "fc1", "out_features": 2}]}"#,
    );
    let weight = vec![1.0, 0.0, 0.5, 0.0, 0.0, 0.0, 2.0, 0.0];
    let tensors = [("fc1.weight", weight), ("fc1.bias", vec![0.0, 1.0])];
    let net = PrunedNet::from_parts(spec.unwrap(), tensors).unwrap();
    let file = PrunedFile::new(&net, None, ValueType::F32).unwrap();
    let (tensors, json) = from_bytes(&file.to_bytes().unwrap()).unwrap();
    let mut value: Value = serde_json::from_str(&json).unwrap();
    let method = Method {
        kind: "vbd".to_owned(),
        log_alpha_threshold: 3.0,
        layers: vec![json!({"name": "fc1", "kl_weight": 2.0})],
        rules: vec![json!({"weights": ["fc1"], "kl_weight": 2.0})],
        gates: vec![json!({"after": "input", "kind": "bernoulli", "kl_weight": 2.0})],
    };
    let provenance = Provenance {
        recipe: Some("summary".to_owned()),
        data: Some("idx:data".to_owned()),
        data_crc32: Some(7),
        start: Some("dense".to_owned()),
        folded: [("bn1".to_owned(), "fc1".to_owned())].into(),
        blank: Some(vec![0]),
        seed: Some(3),
        epochs: Some(4),
        n_train: Some(100),
        kl_weight: Some(0.5),
        test_error: Some(0.1),
        test_loss: Some(0.2),
    };
    value["method"] = serde_json::to_value(method).unwrap();
    value["threshold"] = json!(3.0);
    value["provenance"] = serde_json::to_value(provenance).unwrap();
    (tensors, value.to_string())
}

#[test]
fn mutated_metadata_are_refused_or_printed_without_control_characters() {
    let cases = std::env::var("VBD_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    let config = Config {
        cases: cases.unwrap_or(CASES),
        failure_persistence: None,
        ..Config::default()
    };
    let (tensors, json) = file();
    let out = Output::plain();
    let counts = std::cell::Cell::new((0_u32, 0_u32));
    let result = TestRunner::new(config).run(&changes(), |changes| {
        let Some(json) = changed(&json, &changes) else {
            return Ok(());
        };
        let bytes = to_bytes(&tensors, json).unwrap();
        let path = Path::new("hostile.safetensors");
        let report = PrunedFile::from_bytes(&bytes, path)
            .map_err(anyhow::Error::from)
            .and_then(|file| Ok(Report::of_file(&file)?));
        let texts = match report {
            Ok(report) => {
                counts.set((counts.get().0 + 1, counts.get().1));
                let warnings = report.warnings();
                let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
                vec![
                    report_text(&out, &report),
                    crate::render::json_text(&report).unwrap(),
                    crate::render::printable(&warnings.join(" ")).into_owned(),
                ]
            }
            Err(error) => {
                counts.set((counts.get().0, counts.get().1 + 1));
                vec![crate::error::shown(&error)]
            }
        };
        for text in &texts {
            let fits = |c: char| c == '\n' || !crate::render::is_unprintable(c);
            prop_assert!(text.chars().all(fits), "{text:?}");
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    // Both kinds of case must occur, or the mutations test nothing.
    let (shown, refused) = counts.get();
    assert!(
        shown > 100 && refused > 100,
        "{shown} shown, {refused} refused"
    );
}
