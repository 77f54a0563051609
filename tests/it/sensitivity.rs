//! `vbd inspect --sensitivity`.

use super::support::{Lab, assert_told, has_fields};

#[test]
fn a_run_is_measured_on_the_samples_that_it_held_out_or_else_on_the_test_set() {
    let lab = Lab::new();
    lab.succeed("train small.toml --out run");
    lab.succeed("train small.toml --set validation=150 --out held");
    let shown = lab.json("inspect run --sensitivity");
    has_fields(&shown, &["layers", "nnz", "provenance", "uncut"]);
    assert_eq!(shown["measured_on"]["split"], "test");
    assert_eq!(shown["measured_on"]["data"], "idx:data");
    let evaluated = lab.json("eval run");
    assert_eq!(shown["uncut"]["test_error"], evaluated["test_error"]);
    let layers = shown["sensitivity"].as_array().unwrap();
    let names: Vec<&str> = layers.iter().map(|l| l["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["fc1", "fc2", "fc3"]);
    for (layer, counted) in layers.iter().zip(shown["layers"].as_array().unwrap()) {
        let rows = layer["rows"].as_array().unwrap();
        assert!(rows.len() > 1, "{layer}");
        assert_eq!(rows[0]["nnz"], counted["nnz"]);
        for row in rows {
            has_fields(row, &["threshold", "nnz", "sparsity", "test_error"]);
        }
    }
    // Almost nothing is left of the first layer.
    let last = layers[0]["rows"].as_array().unwrap().last().unwrap();
    assert!(last["test_error"].as_f64().unwrap() > 0.2, "{last}");

    let of = |words: &str| {
        let shown = lab.json(&format!("inspect held --sensitivity {words}"));
        let on = &shown["measured_on"];
        (
            on["split"].as_str().unwrap().to_owned(),
            on["samples"].as_u64(),
        )
    };
    assert_eq!(of(""), ("validation".to_owned(), Some(150)));
    assert_eq!(of("--data idx:data"), ("validation".to_owned(), Some(150)));
    assert_eq!(of("--split test"), ("test".to_owned(), Some(200)));
    assert_eq!(of("--split train"), ("train".to_owned(), Some(600)));

    let table = lab.succeed("inspect held --sensitivity");
    for words in [
        "150 validation samples of idx:data",
        "fc2",
        "threshold",
        "error %",
    ] {
        assert!(table.contains(words), "{table}");
    }
    lab.succeed("prune run -o small.safetensors");
    assert_told(
        &lab.vbd("inspect small.safetensors --sensitivity"),
        1,
        &["small.safetensors", "no log_sigma2", "hint: give the run"],
    );
}
