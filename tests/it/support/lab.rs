//! A folder with a network of three linear layers and 8 x 8 images in four classes.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use assert_cmd::assert::OutputAssertExt;
use serde_json::Value;
use tempfile::TempDir;
use vbd_core::train::RunFolder;
use vbd_net::tensor_file::{self, Tensors};

use super::{binary, json_lines};

const SIDE: usize = 8;
const CLASSES: usize = 4;
/// Training and test images of [`Lab::new`].
pub(crate) const IMAGES: [usize; 2] = [600, 200];

const NET: &str = r#"
name = "small"
input = [1, 8, 8]
classes = 4
normalize = { scale = 0.00390625, mean = "image" }
[[layer]]
kind = "flatten"
[[layer]]
kind = "linear"
name = "fc1"
out_features = 32
[[layer]]
kind = "relu"
[[layer]]
kind = "linear"
name = "fc2"
out_features = 16
[[layer]]
kind = "relu"
[[layer]]
kind = "linear"
name = "fc3"
out_features = 4
"#;

/// A recipe that trains the small network in a blink.
const RECIPE: &str = r#"
summary = "a small network"
model = "net.toml"
data = "idx:data"
[method]
kind = "vbd"
[train]
epochs = 12
batch_size = 20
lr = 1e-2
kl_warmup = [0.1, 0.4]
"#;

/// The folder; `vbd` runs in it.
pub(crate) struct Lab {
    folder: TempDir,
}

impl Lab {
    /// A small network (`net.toml`), data (`data`), and a recipe for them (`small.toml`).
    pub(crate) fn new() -> Self {
        Self::with_images(IMAGES)
    }

    /// Creates a lab with these numbers of training and test images.
    pub(crate) fn with_images([train, test]: [usize; 2]) -> Self {
        let lab = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        lab.write("net.toml", NET);
        lab.write("small.toml", RECIPE);
        fs::create_dir(lab.path("data")).unwrap();
        lab.write_split("train", train, 1);
        lab.write_split("t10k", test, 2);
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        vbd_net::file::write_atomic(&self.path(name), content.as_ref()).unwrap();
    }

    /// Two IDX files, byte by byte.
    fn write_split(&self, split: &str, len: usize, seed: u64) {
        let size = |size: usize| u32::try_from(size).unwrap().to_be_bytes();
        let (images, labels) = samples(len, seed);
        let header = [[0, 0, 8, 3], size(len), size(SIDE), size(SIDE)].concat();
        self.write(
            &format!("data/{split}-images-idx3-ubyte"),
            [header, images].concat(),
        );
        let header = [[0, 0, 8, 1], size(len)].concat();
        self.write(
            &format!("data/{split}-labels-idx1-ubyte"),
            [header, labels].concat(),
        );
    }

    /// `vbd` with these words, in the folder.
    pub(crate) fn command<W: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = W>) -> Command {
        let mut command = Command::new(binary());
        command.args(words).current_dir(self.folder.path());
        for name in [
            "VBD_DATA_DIR",
            "RUST_LOG",
            "NO_COLOR",
            "COLUMNS",
            "RAYON_NUM_THREADS",
            "VBD_SIMD",
        ] {
            command.env_remove(name);
        }
        // No test asks the real hub, or reads this machine's cache.
        for name in ["HF_ENDPOINT", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE"] {
            command.env_remove(name);
        }
        command.env("HF_HUB_OFFLINE", "1");
        command.env("HF_HOME", self.path("hf-home"));
        command
    }

    /// Runs `vbd` with words apart by spaces.
    pub(crate) fn vbd(&self, words: &str) -> Run {
        let output = self.command(words.split_whitespace()).output().unwrap();
        Run {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs `vbd`, which must succeed.
    pub(crate) fn succeed(&self, words: &str) -> String {
        let done = self.command(words.split_whitespace()).assert().success();
        String::from_utf8(done.get_output().stdout.clone()).unwrap()
    }

    /// Runs `vbd WORDS --json`, which must succeed with one object.
    pub(crate) fn json(&self, words: &str) -> Value {
        let text = self.succeed(&format!("{words} --json"));
        let mut lines = json_lines(&text);
        assert_eq!(lines.len(), 1, "{text}");
        lines.remove(0)
    }

    /// The tensors of a run's newest checkpoint, but for the seal of its bytes, which hold times.
    pub(crate) fn last_tensors(&self, run: &str) -> Tensors {
        let mut tensors = tensors(&self.last_checkpoint(run));
        tensors.remove("crc32");
        tensors
    }

    /// The newest checkpoint's file.
    pub(crate) fn last_checkpoint(&self, run: &str) -> PathBuf {
        let run = RunFolder::open(&self.path(run)).unwrap();
        run.checkpoints().unwrap().pop().unwrap().1
    }

    /// A run's metrics without times.
    pub(crate) fn metrics(&self, run: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(run).join("metrics.jsonl")).unwrap();
        let mut lines = json_lines(&text);
        for line in &mut lines {
            for clock in ["train_seconds", "seconds", "eta_seconds"] {
                assert!(
                    line.as_object_mut().unwrap().remove(clock).is_some(),
                    "{clock}"
                );
            }
        }
        lines
    }

    /// Asserts that two runs have the same tensors and metrics, to the bit.
    pub(crate) fn assert_same_runs(&self, one: &str, other: &str) {
        assert_eq!(self.metrics(one), self.metrics(other));
        self.assert_same_tensors(one, other);
    }

    /// Asserts that two runs' last checkpoints have the same tensors, to the bit.
    pub(crate) fn assert_same_tensors(&self, one: &str, other: &str) {
        let (one, other) = (self.last_tensors(one), self.last_tensors(other));
        assert!(one.keys().any(|name| name == "fc1.weight"));
        for (name, tensor) in &one {
            assert!(other.get(name) == Some(tensor), "`{name}` differs");
        }
        assert_eq!(one.len(), other.len());
    }
}

/// Result of a finished command.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

fn tensors(path: &Path) -> Tensors {
    tensor_file::from_bytes(&fs::read(path).unwrap()).unwrap().0
}

/// A bright band of two rows for each class, of varying brightness, in noise.
fn samples(len: usize, seed: u64) -> (Vec<u8>, Vec<u8>) {
    let mut state = seed;
    let mut below = |most: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u8::try_from((state >> 33) % most).unwrap()
    };
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for index in 0..len {
        let class = index % CLASSES;
        let band = 60 + below(140);
        for row in 0..SIDE {
            for _ in 0..SIDE {
                let ink = if row / 2 == class { band } else { 0 };
                images.push(ink.saturating_add(below(56)));
            }
        }
        labels.push(u8::try_from(class).unwrap());
    }
    (images, labels)
}
