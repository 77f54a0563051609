//! `vbd train --from`: runs that start from a state dict or a pruned file.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use vbd_net::tensor_file::{self, RawTensor, Tensors};

use super::residual::LINEAR as RESIDUAL;
use super::support::{Lab, NORMALISED, assert_told, json_lines, values, write_state_dict};

/// Trains so little that the first line shows the net that the run started from.
const STILL: &str = "--epochs 1 --lr 1e-30";

fn tensors_of(lab: &Lab, file: &str) -> Tensors {
    let bytes = fs::read(lab.path(file)).unwrap();
    tensor_file::from_bytes(&bytes).unwrap().0
}

fn error_of(line: &Value) -> f64 {
    line["test_error"].as_f64().unwrap()
}

#[test]
fn a_state_dict_of_any_float_type_starts_a_run() {
    let lab = Lab::new();
    lab.write("normalised.toml", NORMALISED);
    lab.succeed("train dense --model normalised.toml --data idx:data --epochs 4 --out dense");
    let mut tensors = values(&lab, "dense");
    assert_eq!(tensors.len(), 3 + 2 + 2 * 4);
    // PyTorch's count is an i64.
    let mut count = RawTensor::u32(&[7, 0]);
    count.shape = Vec::new();
    tensors.insert("bn1.num_batches_tracked".to_owned(), count);
    write_state_dict(&lab, "f32.safetensors", &tensors);
    let train = "train dense --model normalised.toml --data idx:data";
    lab.succeed(&format!(
        "{train} {STILL} --from f32.safetensors --out again"
    ));
    let (first, again) = (values(&lab, "dense"), values(&lab, "again"));
    for (name, tensor) in &first {
        // Running averages follow the data, whatever the learning rate.
        if !name.contains("running") {
            assert!(again[name] == *tensor, "`{name}` differs");
        }
    }

    // The weights of a pruned file in f16, as those of a net of its own.
    lab.succeed("train small.toml --epochs 3 --out run");
    for dtype in ["f16", "bf16"] {
        lab.succeed(&format!(
            "prune run -o {dtype}.pruned --layout dense --values {dtype}"
        ));
        let tensors = tensors_of(&lab, &format!("{dtype}.pruned"));
        write_state_dict(&lab, "half.safetensors", &tensors);
        lab.succeed(&format!(
            "train dense --model net.toml --data idx:data {STILL} --from half.safetensors --out {dtype}"
        ));
        let started = values(&lab, dtype);
        for (name, raw) in &tensors {
            let (started, given) = (started[name].to_f32().unwrap(), raw.to_floats().unwrap());
            // Zeros move by the learning rate.
            let mut pairs = started.iter().zip(&given);
            let is_same = pairs.all(|(one, other)| (one - other).abs() < 1e-20);
            assert!(is_same && started.len() == given.len(), "{dtype} {name}");
        }
    }
}

#[test]
fn tensors_that_differ_are_missing_or_left_over_are_all_named() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 1 --out run");
    let mut tensors = BTreeMap::new();
    for (name, raw) in values(&lab, "run") {
        tensors.insert(name.replace("fc3", "classifier.6"), raw);
    }
    let wide = RawTensor::f32(&[2, 3], &[0.5; 6]);
    tensors.insert("fc1.weight".to_owned(), wide);
    tensors.insert("fc1.bias".to_owned(), RawTensor::u32(&[1; 32]));
    let mut numbers = [0.0; 16];
    numbers[3] = f32::NAN;
    tensors.insert("fc2.bias".to_owned(), RawTensor::f32(&[16], &numbers));
    write_state_dict(&lab, "other.safetensors", &tensors);
    assert_told(
        &lab.vbd("train small.toml --from other.safetensors --out next"),
        1,
        &[
            "other.safetensors",
            "network `small`",
            "`fc1.weight` has shape [2, 3]: expected [32, 64]",
            "`fc1.bias` has type U32: expected F32, F16 or BF16",
            "`fc2.bias` has NaN at 3",
            "missing: `fc3.weight`, `fc3.bias`",
            "left over: `classifier.6.bias`, `classifier.6.weight`",
        ],
    );
    assert!(!lab.path("next").exists());
}

#[test]
fn a_pruned_file_that_fits_the_recipes_network_goes_on_where_it_was() {
    let lab = Lab::new();
    lab.succeed("train small.toml --out run");
    lab.succeed("prune run -o small.safetensors");
    let file = lab.json("inspect small.safetensors");
    let error = error_of(&lab.json("eval small.safetensors"));
    // The mean image is part of the file's biases, and not of the run's.
    let dense = "train dense --model net.toml --data idx:data --from small.safetensors";
    let lines = json_lines(&lab.succeed(&format!("{dense} {STILL} --out still --json")));
    assert!((error_of(&lines[0]) - error).abs() < 1e-9, "{}", lines[0]);
    let net = fs::read_to_string(lab.path("still/net.toml")).unwrap();
    assert!(net.contains("image"), "{net}");
    let biases = |file: &str| tensors_of(&lab, file)["fc1.bias"].to_floats().unwrap();
    lab.succeed("prune still -o still.safetensors");
    for (found, expected) in biases("still.safetensors")
        .iter()
        .zip(biases("small.safetensors"))
    {
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }

    // Zeros are trained by a method without a posterior, and by one as long as the KL is off.
    let nnz = |line: &Value| line["nnz"].as_u64().unwrap();
    let sparse = nnz(&file);
    let lines = json_lines(&lab.succeed(&format!("{dense} --epochs 1 --out full --json")));
    assert!(nnz(&lines[0]) > 2 * sparse, "{} {sparse}", lines[0]);
    // Unless they are fixed.
    for (from, out) in [("small.safetensors", "of_file"), ("run", "of_run")] {
        let fixed = "--set method.fixed_zeros=true --epochs 2 --json";
        let dense = "train dense --model net.toml --data idx:data";
        let train = format!("{dense} --from {from} {fixed} --out {out}");
        let lines = json_lines(&lab.succeed(&train));
        assert!(
            lines[..2].iter().all(|line| nnz(line) == sparse),
            "{lines:?}"
        );
        lab.succeed(&format!("prune {out} -o {out}.safetensors"));
        let [own, old] = [out, "small"].map(|name| {
            let dense = format!("{out}-{name}.torch.safetensors");
            lab.succeed(&format!("export {name}.safetensors --to torch -o {dense}"));
            tensor_file::tensors_of(&fs::read(lab.path(&dense)).unwrap()).unwrap()
        });
        for name in ["fc1.weight", "fc2.weight"] {
            let [own, old] = [&own, &old].map(|tensors| tensors[name].to_floats().unwrap());
            let zeros = |values: &[f32]| values.iter().map(|&x| x == 0.0).collect::<Vec<_>>();
            assert!(own != old && zeros(&own) == zeros(&old), "{out}: {name}");
        }
    }
    let vbd = "train small.toml --from small.safetensors --epochs 2";
    let cold = "--set kl_warmup=[0,0] --out cold --json";
    let lines = json_lines(&lab.succeed(&format!("{vbd} {cold}")));
    assert!(nnz(&lines[0]) <= sparse, "{} {sparse}", lines[0]);
    // The recipe's own warm-up.
    let lines = json_lines(&lab.succeed(&format!("{vbd} --out warm --json")));
    assert!(nnz(&lines[0]) > sparse, "{} {sparse}", lines[0]);
}

#[test]
fn a_pruned_file_with_folded_norms_is_trained_as_the_network_that_it_is() {
    let lab = Lab::new();
    lab.write("normalised.toml", NORMALISED);
    let recipe = fs::read_to_string(lab.path("small.toml")).unwrap();
    lab.write("own.toml", recipe.replace("net.toml", "normalised.toml"));
    lab.succeed("train dense --model normalised.toml --data idx:data --epochs 4 --out dense");
    lab.succeed("prune dense -o dense.safetensors --layout dense --values f16");
    let error = error_of(&lab.json("eval dense.safetensors"));
    let train = "train own.toml --from dense.safetensors";
    let told = lab.vbd(&format!(
        "{train} {STILL} --set kind=dense --out still --json"
    ));
    assert_told(
        &told,
        0,
        &["starting from dense.safetensors, training its network"],
    );
    let lines = json_lines(&told.stdout);
    assert!((error_of(&lines[0]) - error).abs() < 1e-9, "{}", lines[0]);
    let names: Vec<String> = values(&lab, "still").into_keys().collect();
    assert!(names.contains(&"conv1.bias".to_owned()), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("bn")), "{names:?}");

    // A recipe without a network trains the file's; the start is part of what is pruned from it.
    let own = "train vbd --data idx:data --epochs 3 --batch-size 20 --lr 1e-2";
    lab.succeed(&format!("{own} --from dense.safetensors --out run"));
    lab.succeed("prune run -o run.safetensors");
    let report = lab.json("inspect run.safetensors");
    assert_eq!(report["provenance"]["start"], "dense.safetensors");
    assert_eq!(report["model"], "normalised");

    // A network that was asked for is not exchanged.
    assert_told(
        &lab.vbd(&format!("{train} --model normalised.toml --out other")),
        1,
        &["cannot start", "0 batch normalisations: expected 2"],
    );
}

#[test]
fn a_shrunk_file_with_selections_is_refused_with_what_to_give_instead() {
    let lab = Lab::new();
    let mut recipe = fs::read_to_string(lab.path("small.toml")).unwrap();
    recipe += "[[method.gate]]\nafter = 'input'\nkl_weight = 30.0\n";
    lab.write("gates.toml", recipe);
    lab.succeed("train gates.toml --out run");
    lab.succeed("prune run --structured -o shrunk.safetensors");
    assert_told(
        &lab.vbd("train small.toml --from shrunk.safetensors --out next"),
        1,
        &["`select` layers", "run that the file was pruned from"],
    );
    lab.succeed("prune run -o folded.safetensors");
    lab.succeed("train small.toml --from folded.safetensors --epochs 1 --out next");
}

#[test]
fn a_run_with_gates_starts_another_without_its_dead_units() {
    let lab = Lab::new();
    let mut recipe = fs::read_to_string(lab.path("small.toml")).unwrap();
    recipe = recipe.replace("kind = \"vbd\"", "kind = \"dense\"");
    recipe += "[[method.gate]]\nafter = 'input'\nkl_weight = 30.0\n";
    lab.write("gates.toml", recipe);
    lab.succeed("train gates.toml --out run");
    lab.succeed("prune run -o folded.safetensors");
    let (pruned, error) = (
        lab.json("inspect folded.safetensors"),
        error_of(&lab.json("eval folded.safetensors")),
    );
    assert!(pruned["nnz"].as_u64() < pruned["numel"].as_u64());
    let dense = "train dense --model net.toml --data idx:data --from run";
    let fixed = "--set method.fixed_zeros=true --json";
    let lines = json_lines(&lab.succeed(&format!("{dense} {STILL} {fixed} --out still")));
    assert_eq!(lines[0]["nnz"], pruned["nnz"]);
    assert!((error_of(&lines[0]) - error).abs() < 1e-9, "{}", lines[0]);
    let lines = json_lines(&lab.succeed(&format!("{dense} --epochs 2 {fixed} --out on")));
    assert_eq!(lines[1]["nnz"], pruned["nnz"]);
}

#[test]
fn a_run_with_a_gate_that_cannot_be_folded_is_refused_as_a_start() {
    let lab = Lab::new();
    lab.write("residual.toml", RESIDUAL);
    lab.write(
        "gates.toml",
        "summary = 'units of a sum'\nmodel = 'residual.toml'\ndata = 'idx:data'\n\
         [method]\nkind = 'dense'\n[[method.gate]]\nafter = 'r1'\n\
         [train]\nepochs = 1\nbatch_size = 20\n",
    );
    lab.succeed("train gates.toml --out run");
    let told = lab.vbd("train dense --model residual.toml --data idx:data --from run --out next");
    assert_told(&told, 1, &["`gate.r1`", "layers without a weight", "hint:"]);
    assert!(!lab.path("next").exists());
}
