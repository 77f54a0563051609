//! Checks docs/format.md: its worked bytes, its reader, and the results of the reader.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    reason = "tests fail by panics, compare exactly, and draw small numbers"
)]

mod common;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::residual::gated_residual_checkpoint;
use common::{checkpoint_of, net_of_all_kinds, random_checkpoint, random_samples};
use vbd_core::recipe::NetToml;
use vbd_net::file::write_atomic;
use vbd_net::spec::{NetSpec, Statistic};
use vbd_net::tensor_file::{self, RawTensor, Tensors};
use vbd_net::{Layout, PrunedFile, ValueType};
use vbd_prune::{Prediction, SparseNet, prune_checkpoint};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// Returns the block of `language` between two marks in format.md. With `VBD_BLESS=1`, replaces it.
fn block_is(mark: &str, language: &str, expected: &str) {
    let path = docs().join("format.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let start = format!("<!-- {mark} -->\n```{language}\n");
    let end = format!("```\n<!-- end of {mark} -->");
    let from = text.find(&start).unwrap() + start.len();
    let to = from + text[from..].find(&end).unwrap();
    if std::env::var_os("VBD_BLESS").is_some() {
        let text = format!("{}{expected}{}", &text[..from], &text[to..]);
        write_atomic(&path, text.as_bytes()).unwrap();
    } else {
        assert_eq!(&text[from..to], expected, "run with VBD_BLESS=1 to accept");
    }
}

fn example() -> PrunedFile {
    let json = r#"{"version":1,"kind":"pruned","spec":{"name":"tiny","input":[3],"classes":2,"layer":[{"kind":"linear","name":"fc1","out_features":2}]},"values":"f32","threshold":3.0,"provenance":{"data":"digits","seed":0}}"#;
    let mut tensors = Tensors::new();
    let weight = RawTensor::f32(&[2, 3], &[0.0, 1.5, 0.0, 0.0, 0.0, -0.25]);
    tensors.insert("fc1.weight".to_owned(), weight);
    tensors.insert("fc1.bias".to_owned(), RawTensor::f32(&[2], &[0.5, -1.0]));
    let bytes = tensor_file::to_bytes(&tensors, json.to_owned()).unwrap();
    let dense = PrunedFile::from_bytes(&bytes, Path::new("tiny")).unwrap();
    PrunedFile::new(dense.net(), Some(Layout::Delta), ValueType::F16).unwrap()
}

/// As `hexdump -C` writes it.
fn hexdump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (line, row) in bytes.chunks(16).enumerate() {
        let hex: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
        let (left, right) = hex.split_at(hex.len().min(8));
        let shown = |byte: &u8| {
            if (0x20..0x7f).contains(byte) {
                char::from(*byte)
            } else {
                '.'
            }
        };
        let ascii: String = row.iter().map(shown).collect();
        let columns = format!("{}  {}", left.join(" "), right.join(" "));
        writeln!(text, "{:08x}  {columns:<48}  |{ascii}|", line * 16).unwrap();
    }
    text
}

#[test]
fn the_page_contains_the_worked_bytes_and_the_reader() {
    // One test, because both write to the page when blessed.
    block_is(
        "worked bytes",
        "text",
        &hexdump(&example().to_bytes().unwrap()),
    );
    let reader = std::fs::read_to_string(docs().join("read_vbd.py")).unwrap();
    block_is("read_vbd.py", "python", &reader);
}

/// Writes every tensor that `read_vbd` gives of every file as raw f32.
const DUMP: &str = r"
import sys, pathlib
sys.path.insert(0, sys.argv[1])
from read_vbd import read_vbd
for path in sorted(pathlib.Path(sys.argv[2]).glob('*.safetensors')):
    meta, tensors = read_vbd(path)
    for name, values in tensors.items():
        if name.endswith('.index'):
            continue
        assert values.dtype == 'float32'
        shape = 'x'.join(map(str, values.shape))
        (path.parent / f'{path.stem}.{name}.{shape}').write_bytes(values.tobytes())
";

/// The Python that can import what the reader needs; without one the test skips, but not in CI.
#[expect(clippy::print_stderr, reason = "a test that skips says so")]
fn python() -> Option<OsString> {
    let python = std::env::var_os("VBD_PYTHON").unwrap_or_else(|| "python3".into());
    let importable = Command::new(&python)
        .args(["-c", "import numpy, safetensors"])
        .output();
    if importable.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(
        !ci,
        "{} cannot import numpy and safetensors",
        python.display()
    );
    eprintln!(
        "skipped: {} cannot import numpy and safetensors",
        python.display()
    );
    None
}

fn run_python(python: &OsString, program: &str, folder: &Path) {
    let mut command = Command::new(python);
    let output = command
        .args(["-c", program])
        .arg(docs())
        .arg(folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_pages_numpy_net_gives_our_logits() {
    let Some(python) = python() else { return };
    let page = std::fs::read_to_string(docs().join("format.md")).unwrap();
    let from = page.find("def windows").unwrap();
    let function = &page[from..from + page[from..].find("```").unwrap()];
    let program = format!(
        "import sys, pathlib\nimport numpy as np\nsys.path.insert(0, sys.argv[1])\n\
         from read_vbd import groups_of, read_vbd, shapes_of, window_of\n{function}\n\
         for path in pathlib.Path(sys.argv[2]).glob('*.safetensors'):\n    \
             pixels = np.fromfile(path.with_suffix('.pixels'), 'u1').reshape(9, -1)\n    \
             logits(path, pixels).astype('f4').tofile(path.with_suffix('.logits'))\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    let chains = (0..24)
        .step_by(2)
        .map(|seed| (seed, random_checkpoint(seed)));
    let sums = (100..112)
        .step_by(2)
        .map(|seed| (seed, gated_residual_checkpoint(seed)));
    let pruned = chains
        .chain(sums)
        .map(|(seed, checkpoint)| (seed, prune_checkpoint(&checkpoint, None).unwrap()));
    let of_all_kinds = (200..280).map(|seed| (seed, net_of_all_kinds(seed)));
    for (seed, net) in pruned.chain(of_all_kinds) {
        let rule = &net.spec().normalize;
        let is_each = |statistic: &Statistic| matches!(statistic, Statistic::Channels(_));
        if is_each(&rule.mean) || is_each(&rule.std) {
            continue;
        }
        let small = net.shrunk().unwrap();
        for (name, net) in [("whole", net), ("small", small)] {
            let file = PrunedFile::new(&net, None, ValueType::F32).unwrap();
            let path = folder.path().join(format!("{seed}-{name}.safetensors"));
            file.write(&path).unwrap();
            let samples = random_samples(file.net().spec(), 9, seed);
            write_atomic(
                &path.with_extension("pixels"),
                samples.inputs().bytes().unwrap(),
            )
            .unwrap();
            let logits = SparseNet::new(file.net())
                .unwrap()
                .outputs(samples.inputs().bytes().unwrap(), 9)
                .unwrap();
            expected.push((path.with_extension("logits"), logits));
        }
    }
    run_python(&python, &program, folder.path());
    for (path, logits) in expected {
        let scale = logits.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
        let found = std::fs::read(path).unwrap();
        let found = found
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&word| f32::from_le_bytes(word));
        assert_eq!(found.len(), logits.len());
        for (found, logit) in found.zip(logits) {
            assert!((found - logit).abs() < 1e-5 * scale, "{found} {logit}");
        }
    }
}

#[test]
fn the_pages_numpy_net_gives_an_autoencoders_losses() {
    let Some(python) = python() else { return };
    let page = std::fs::read_to_string(docs().join("format.md")).unwrap();
    let from = page.find("def windows").unwrap();
    let functions = &page[from..from + page[from..].find("```").unwrap()];
    let program = format!(
        "import sys, pathlib\nimport numpy as np\nsys.path.insert(0, sys.argv[1])\n\
         from read_vbd import groups_of, read_vbd, shapes_of, window_of\n{functions}\n\
         for path in pathlib.Path(sys.argv[2]).glob('*.safetensors'):\n    \
             pixels = np.fromfile(path.with_suffix('.pixels'), 'u1').reshape(9, -1)\n    \
             losses(path, pixels).astype('f8').tofile(path.with_suffix('.losses'))\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    for seed in 0..8 {
        let text = "name = 'auto'\ninput = [1, 6, 5]\nloss = 'mse'\ntarget = 'input'\n\
            normalize = { scale = 0.01, mean = 'image', std = 0.5 }\nlayer = [\
            { kind = 'linear', name = 'a', out_features = 9 }, { kind = 'relu' },\
            { kind = 'linear', name = 'b', out_features = 30 }]";
        let checkpoint = checkpoint_of(NetSpec::from_toml(text, "auto").unwrap(), seed);
        let net = prune_checkpoint(&checkpoint, None).unwrap();
        for (name, net) in [("whole", net.clone()), ("small", net.shrunk().unwrap())] {
            let path = folder.path().join(format!("{seed}-{name}.safetensors"));
            let file = PrunedFile::new(&net, None, ValueType::F32).unwrap();
            file.write(&path).unwrap();
            let samples = random_samples(&checkpoint.spec, 9, seed);
            let pixels = samples.inputs().bytes().unwrap();
            write_atomic(&path.with_extension("pixels"), pixels).unwrap();
            let sparse = SparseNet::new(file.net()).unwrap();
            let losses = (0..9).map(
                |index| match sparse.predict(samples.input(index)).unwrap() {
                    Prediction::Values { loss, .. } => loss,
                    Prediction::Classes(_) => panic!("a net without classes"),
                },
            );
            expected.push((path.with_extension("losses"), losses.collect::<Vec<_>>()));
        }
    }
    run_python(&python, &program, folder.path());
    for (path, losses) in expected {
        let found = std::fs::read(path).unwrap();
        let found = found.as_chunks::<8>().0.iter();
        let found: Vec<f64> = found.map(|&word| f64::from_le_bytes(word)).collect();
        assert_eq!(found.len(), losses.len());
        for (found, loss) in found.iter().zip(&losses) {
            assert!((found - loss).abs() < 1e-5 * loss, "{found} {loss}");
        }
    }
}

#[test]
fn the_numpy_reader_reads_every_tensor_bit_for_bit() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut expected: Vec<(String, Vec<f32>)> = Vec::new();
    let chains = (0..16).map(|seed| (seed, random_checkpoint(seed)));
    let sums = (100..104).map(|seed| (seed, gated_residual_checkpoint(seed)));
    let pruned = chains
        .chain(sums)
        .map(|(seed, checkpoint)| (seed, prune_checkpoint(&checkpoint, None).unwrap()));
    // Without selections, whose indices are not dumped.
    let of_all_kinds = (200..).map(|seed| (seed, net_of_all_kinds(seed)));
    let of_all_kinds = of_all_kinds.filter(|(_, net)| net.selections().is_empty());
    for (seed, net) in pruned.chain(of_all_kinds.take(10)) {
        for (layout, values) in Layout::ALL
            .iter()
            .flat_map(|l| ValueType::ALL.map(|v| (*l, v)))
        {
            let file = PrunedFile::new(&net, Some(layout), values).unwrap();
            let stem = format!("{seed}-{layout}-{values}");
            let path = folder.path().join(format!("{stem}.safetensors"));
            file.write(&path).unwrap();
            let mut add = |name: &str, shape: &[usize], values: Vec<f32>| {
                let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
                expected.push((format!("{stem}.{name}.{}", shape.join("x")), values));
            };
            for layer in file.net().layers() {
                add(&layer.weight_name(), &layer.shape, layer.weight.to_dense());
                add(&layer.bias_name(), &[layer.bias.len()], layer.bias.clone());
            }
            for scale in file.net().scales() {
                let [weight, bias] = scale.names();
                add(&weight, &[scale.weight.len()], scale.weight.clone());
                add(&bias, &[scale.bias.len()], scale.bias.clone());
            }
            let (tensors, _) = tensor_file::from_bytes(&std::fs::read(&path).unwrap()).unwrap();
            for (name, raw) in tensors
                .iter()
                .filter(|(name, _)| name.starts_with("normalize."))
            {
                add(name, &raw.shape, raw.to_f32().unwrap());
            }
        }
    }
    run_python(&python, DUMP, folder.path());
    for (name, values) in &expected {
        let bytes = std::fs::read(folder.path().join(name)).unwrap();
        let bits: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        assert!(bytes == bits, "{name}");
    }
    let dumped = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(dumped, expected.len() + 30 * 12);
}
