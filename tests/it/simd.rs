//! `VBD_SIMD`: the same bits on every instruction set that the machine has, and errors for the others.

use vbd_net::simd::{InstructionSet, VARIABLE};

use super::support::{Lab, json_lines};

/// Convolutions with padding, stride and odd sizes, pools, and then a linear layer.
const CONVOLUTIONS: &str = r#"
name = "convolutions"
input = [1, 8, 8]
classes = 4
normalize = { scale = 0.00390625, mean = "image" }
[[layer]]
kind = "conv2d"
name = "conv1"
out_channels = 7
kernel = 3
padding = 1
[[layer]]
kind = "relu"
[[layer]]
kind = "max_pool2d"
kernel = 2
[[layer]]
kind = "conv2d"
name = "conv2"
out_channels = 26
kernel = 2
stride = 2
[[layer]]
kind = "relu"
[[layer]]
kind = "flatten"
[[layer]]
kind = "linear"
name = "fc1"
out_features = 4
"#;

/// Trains under each instruction set, and asserts that all runs are the same to the bit.
fn assert_same_bits(lab: &Lab, words: &str) {
    let mut first: Option<String> = None;
    for set in InstructionSet::available() {
        let run = format!("{words} --out {set}");
        let status = lab
            .command(run.split_whitespace())
            .env(VARIABLE, set.name())
            .output()
            .unwrap();
        assert!(status.status.success(), "{set}: {status:?}");
        match &first {
            Some(first) => lab.assert_same_tensors(first, set.name()),
            None => first = Some(set.name().to_owned()),
        }
    }
}

#[test]
fn linear_layers_train_to_the_same_bits_on_every_instruction_set() {
    let lab = Lab::new();
    assert_same_bits(&lab, "train small.toml --epochs 4");
    let lab = Lab::new();
    assert_same_bits(
        &lab,
        "train vd --model net.toml --data idx:data --epochs 4 --batch-size 37",
    );
}

#[test]
fn convolutions_train_to_the_same_bits_on_every_instruction_set() {
    let lab = Lab::with_images([200, 40]);
    lab.write("conv.toml", CONVOLUTIONS);
    assert_same_bits(&lab, "train small.toml --model conv.toml --epochs 3");
}

#[test]
fn gates_train_to_the_same_bits_on_every_instruction_set() {
    let lab = Lab::with_images([200, 40]);
    lab.write("conv.toml", CONVOLUTIONS);
    let recipe = r#"
summary = "gates"
model = "conv.toml"
data = "idx:data"
[method]
kind = "dense"
[[method.gate]]
after = "conv1"
[[method.gate]]
after = "flatten"
[train]
epochs = 3
batch_size = 30
lr = 1e-2
kl_warmup = [0.1, 0.4]
"#;
    lab.write("gates.toml", recipe);
    assert_same_bits(&lab, "train gates.toml");
}

#[test]
fn every_instruction_set_evaluates_a_pruned_file_alike() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 4 --out run");
    lab.succeed("prune run -o pruned.safetensors");
    let wrong: Vec<_> = InstructionSet::available()
        .into_iter()
        .map(|set| {
            let output = lab
                .command(["eval", "pruned.safetensors", "--json"])
                .env(VARIABLE, set.name())
                .output()
                .unwrap();
            json_lines(&String::from_utf8(output.stdout).unwrap())[0]["wrong"].clone()
        })
        .collect();
    assert!(wrong.windows(2).all(|pair| pair[0] == pair[1]), "{wrong:?}");
}

#[test]
fn a_set_that_the_machine_lacks_is_an_error_that_says_what_it_has() {
    let lab = Lab::new();
    let lacking = if cfg!(target_arch = "x86_64") {
        "neon"
    } else {
        "avx2"
    };
    for value in [lacking, "sse9", ""] {
        for words in ["train small.toml --epochs 1 --out run", "models"] {
            let output = lab
                .command(words.split_whitespace())
                .env(VARIABLE, value)
                .output()
                .unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{stderr}");
            assert!(
                stderr.contains(&format!("VBD_SIMD is `{value}`: expected scalar")),
                "{stderr}"
            );
            for set in InstructionSet::available() {
                assert!(stderr.contains(set.name()), "{stderr}");
            }
        }
    }
    assert!(!lab.path("run").exists());
}

#[test]
fn bench_and_verbose_say_which_set_runs() {
    let lab = Lab::new();
    let output = lab
        .command("bench --recipe small.toml --steps 2 --json -v".split(' '))
        .env(VARIABLE, "scalar")
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(json_lines(&stdout)[0]["simd"], "scalar");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("kernels run on scalar"), "{stderr}");
    assert!(stderr.contains("instruction_set=scalar"), "{stderr}");
}
