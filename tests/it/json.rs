//! The fields that scripts rely on.

use super::support::{IMAGES, Lab, NORMALISED, has_fields, json_lines};

#[test]
fn train_has_a_line_an_epoch_and_a_last_one() {
    let lab = Lab::new();
    let text = lab.succeed("train small.toml --epochs 3 --out run --json");
    let lines = json_lines(&text);
    assert_eq!(lines.len(), 4);
    for (index, line) in lines[..3].iter().enumerate() {
        has_fields(
            line,
            &[
                "epoch",
                "loss",
                "nll",
                "kl",
                "kl_scale",
                "lr",
                "test_error",
                "numel",
                "nnz",
                "compression_ratio",
                "layers",
                "train_seconds",
                "seconds",
                "eta_seconds",
            ],
        );
        assert_eq!(line["epoch"], index + 1);
        assert_eq!(line["numel"], 64 * 32 + 32 * 16 + 16 * 4);
        let layers = line["layers"].as_array().unwrap();
        assert_eq!(layers.len(), 3);
        for layer in layers {
            has_fields(layer, &["name", "numel", "nnz", "sparsity"]);
        }
    }
    assert_eq!(lines[3]["run"], "run");
    assert!(lab.path(lines[3]["checkpoint"].as_str().unwrap()).is_file());
    assert!(lines[3]["best"].is_null() && lines[3].as_object().unwrap().contains_key("best"));
    // What is told is what is kept.
    let kept = std::fs::read_to_string(lab.path("run/metrics.jsonl")).unwrap();
    assert_eq!(json_lines(&kept), lines[..3]);
}

#[test]
fn prune_and_inspect_have_one_report() {
    let lab = Lab::new();
    lab.succeed("train small.toml --out run");
    let pruned = lab.json("prune run -o p.safetensors --layout csr --values f16");
    assert_eq!(pruned, lab.json("inspect p.safetensors"));
    has_fields(
        &pruned,
        &[
            "format",
            "version",
            "model",
            "bytes",
            "dense_bytes",
            "size_ratio",
            "numel",
            "nnz",
            "sparsity",
            "compression_ratio",
            "layers",
            "provenance",
        ],
    );
    assert_eq!(
        (&pruned["format"], &pruned["values"]),
        (&"pruned".into(), &"f16".into())
    );
    for layer in pruned["layers"].as_array().unwrap() {
        has_fields(
            layer,
            &[
                "name",
                "kind",
                "shape",
                "numel",
                "nnz",
                "sparsity",
                "layout",
                "bytes",
                "live_inputs",
                "live_outputs",
            ],
        );
        assert_eq!(
            (&layer["kind"], &layer["layout"]),
            (&"linear".into(), &"csr".into())
        );
    }
    has_fields(
        &pruned["provenance"],
        &["seed", "epochs", "data", "test_error"],
    );
    let again = lab.json("prune p.safetensors -o q.safetensors --layout delta");
    assert_eq!(
        (&again["nnz"], &again["values"]),
        (&pruned["nnz"], &"f16".into())
    );
    let cut = lab.json("prune run -o r.safetensors --threshold -1");
    assert!(cut["nnz"].as_u64() <= pruned["nnz"].as_u64());
    assert_eq!(lab.json("inspect run")["format"], "checkpoint");
}

#[test]
fn eval_and_predict_tell_what_they_measured() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 2 --out run");
    let test = lab.json("eval run");
    has_fields(
        &test,
        &["data", "split", "samples", "wrong", "test_error", "nll"],
    );
    assert_eq!(
        (&test["split"], &test["samples"]),
        (&"test".into(), &IMAGES[1].into())
    );
    let train = lab.json("eval run --data idx:data --split train");
    assert_eq!(
        (&train["split"], &train["samples"]),
        (&"train".into(), &IMAGES[0].into())
    );
    let lines = json_lines(&lab.succeed("predict run --data idx:data --index 0,7 --json"));
    assert_eq!(lines.len(), 2);
    for line in lines {
        has_fields(&line, &["input", "class", "probabilities"]);
        assert_eq!(line["probabilities"].as_array().unwrap().len(), 4);
    }
}

#[test]
fn eval_by_draws_measures_calibration_of_a_run_alone() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 4 --out run");
    let draws = lab.json("eval run --mc-samples 8");
    let fields = [
        "data",
        "split",
        "samples",
        "wrong",
        "test_error",
        "nll",
        "ece",
        "brier",
    ];
    has_fields(&draws, &fields);
    assert_eq!(draws["mc_samples"], 8);
    let again = lab.json("eval run --mc-samples 8 --threads 1");
    assert_eq!(draws, again);
    let mean = lab.json("eval run");
    let differ = (draws["nll"].as_f64().unwrap() - mean["nll"].as_f64().unwrap()).abs();
    assert!(differ > 1e-9 && differ < 0.5, "{draws} {mean}");
    assert!(mean.get("ece").is_none());
    let shown = lab.succeed("eval run --mc-samples 2");
    assert!(shown.contains("brier"), "{shown}");
    lab.succeed("prune run -o small.safetensors");
    let told = lab.vbd("eval small.safetensors --mc-samples 8");
    assert_eq!(told.code, Some(2), "{told:?}");
    assert!(
        told.stderr.contains("needs a run or a checkpoint"),
        "{told:?}"
    );
    assert_eq!(lab.vbd("eval run --mc-samples 0").code, Some(2));
    lab.write("normalised.toml", NORMALISED);
    lab.succeed("train dense --model normalised.toml --data idx:data --epochs 1 --out normalised");
    let told = lab.vbd("eval normalised --mc-samples 2");
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(told.stderr.contains("batch normalisations"), "{told:?}");
}

#[test]
fn lists_have_names_and_summaries() {
    let lab = Lab::new();
    for (verb, name) in [
        ("recipes", "lenet-300-100-vbd"),
        ("models", "lenet-300-100"),
        ("data", "digits"),
    ] {
        let lines = json_lines(&lab.succeed(&format!("{verb} --json")));
        for line in &lines {
            has_fields(line, &["name", "summary"]);
        }
        assert!(lines.iter().any(|line| line["name"] == name), "{verb}");
    }
    has_fields(&lab.json("recipes vbd"), &["name", "summary", "toml"]);
    // The printed TOML can be used as a file.
    lab.write("mine.toml", lab.succeed("recipes vbd"));
    lab.succeed("train mine.toml --model net.toml --data idx:data --epochs 1");
}

#[test]
fn data_are_counted_and_written() {
    let lab = Lab::new();
    let data = lab.json("data idx:data --out copy");
    has_fields(
        &data,
        &["name", "train", "test", "classes", "shape", "sha256"],
    );
    assert_eq!(
        (&data["train"], &data["classes"]),
        (&IMAGES[0].into(), &4.into())
    );
    assert_eq!(data["shape"], serde_json::json!([1, 8, 8]));
    let copy = lab.json("data idx:copy");
    assert_eq!(copy["sha256"], data["sha256"]);
    assert_eq!(copy["sha256"].as_object().unwrap().len(), 4);
}

#[test]
fn quickstart_reports_each_step() {
    let lab = Lab::new();
    let road = lab.json("quickstart");
    let steps = road["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 5);
    for (step, verb) in steps
        .iter()
        .zip(["train", "prune", "eval", "inspect", "predict"])
    {
        has_fields(step, &["command", "seconds"]);
        assert!(
            step["command"]
                .as_str()
                .unwrap()
                .starts_with(&format!("vbd {verb} ")),
            "{step}"
        );
    }
    assert!(
        road["compression_ratio"].as_f64().unwrap() >= 20.0,
        "{road}"
    );
    assert!(road["test_error"].as_f64().unwrap() <= 0.05, "{road}");
    assert!(lab.path("runs/quickstart/pruned.safetensors").is_file());
}

#[test]
fn bench_has_a_row_for_the_training_step() {
    let lab = Lab::new();
    let timed = lab.json("bench --recipe small.toml --steps 3 --threads 1");
    let rows = timed["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 1);
    has_fields(
        &rows[0],
        &["what", "batch", "threads", "median_us", "p99_us"],
    );
    assert_eq!(rows[0]["what"], "train-step");
    assert_eq!(rows[0]["threads"], 1);
    assert!(rows[0]["median_us"].as_f64().unwrap() > 0.0);
}

#[test]
fn bench_has_rows_for_a_files_inference_sparse_and_dense() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 2 --out run");
    lab.succeed("prune run -o p.safetensors");
    for file in ["run", "p.safetensors"] {
        let words = format!("bench {file} --batch 1,5 --seconds 0.005 --threads 1");
        let timed = lab.json(&words);
        let mut measured = Vec::new();
        for row in timed["rows"].as_array().unwrap() {
            let number = |field: &str| row[field].as_f64().unwrap();
            assert!(number("median_us") > 0.0, "{row}");
            assert!(number("median_us") <= number("p99_us"), "{row}");
            assert_eq!(row["threads"], 1);
            let what = row["what"].as_str().unwrap().to_owned();
            measured.push((row["batch"].as_u64().unwrap(), what));
        }
        let whats = ["sparse", "gemm", "candle"];
        let all = [1, 5].map(|batch| whats.map(|what| (batch, what.to_owned())));
        assert_eq!(measured, all.concat());
    }
}

#[test]
fn bench_says_what_pixels_it_runs_on() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 1 --out run");
    let words = "bench run --batch 2 --seconds 0.001";
    let run = lab.vbd(words);
    assert_eq!(run.code, Some(0), "{run:?}");
    let (set, data) = run.stderr.split_once('\n').unwrap();
    assert!(set.starts_with("kernels run on "), "{run:?}");
    assert_eq!(data, "timing on the test images of idx:data\n");
    assert!(run.stdout.contains("speed / candle"), "{run:?}");
    // The training data may be missing, but requested data must exist.
    std::fs::rename(lab.path("data"), lab.path("moved")).unwrap();
    let run = lab.vbd(words);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(
        run.stderr.contains("timing on synthetic pixels") && run.stderr.contains("data"),
        "{run:?}"
    );
    let run = lab.vbd(&format!("{words} --data idx:moved"));
    assert!(
        run.stderr
            .ends_with("timing on the test images of idx:moved\n")
    );
    let run = lab.vbd(&format!("{words} --data idx:data"));
    assert_eq!(run.code, Some(1), "{run:?}");
}

#[test]
fn a_net_of_convolutions_is_pruned_inspected_and_evaluated() {
    let lab = Lab::new();
    let net = "
        name = 'conv'
        input = [1, 8, 8]
        classes = 4
        normalize = { scale = 0.00390625, mean = 'image' }
        [[layer]]
        kind = 'conv2d'
        name = 'conv1'
        out_channels = 6
        kernel = 3
        padding = 1
        [[layer]]
        kind = 'relu'
        [[layer]]
        kind = 'max_pool2d'
        kernel = 2
        [[layer]]
        kind = 'flatten'
        [[layer]]
        kind = 'linear'
        name = 'fc1'
        out_features = 4
    ";
    lab.write("conv.toml", net);
    let lines =
        json_lines(&lab.succeed("train small.toml --model conv.toml --epochs 4 --out run --json"));
    lab.succeed("prune run -o p.safetensors");
    let evaluated = lab.json("eval p.safetensors");
    assert_eq!(evaluated["test_error"], lines[3]["test_error"]);
    let report = lab.json("inspect p.safetensors");
    assert_eq!(report["layers"][0]["kind"], "conv2d");
    assert_eq!(
        report["layers"][0]["shape"],
        serde_json::json!([6, 1, 3, 3])
    );
    let predicted = lab.json("predict p.safetensors --data idx:data --index 0");
    has_fields(&predicted, &["input", "class", "probabilities"]);
    assert!(lab.succeed("inspect p.safetensors").contains(" taps "));
    let timed = lab.json("bench p.safetensors --batch 3 --seconds 0.001");
    assert_eq!(timed["rows"].as_array().unwrap().len(), 3);
}
