//! Fuzz targets over the reader, the plan builder and the session: a file or a typed error, never a
//! panic, and never 64 MB more than the file.
//!
//! `cargo test` runs the corpus in `tests/__fuzz__` and a few thousand inputs of each target.
//! `BOLERO_RANDOM_ITERATIONS=10000000 cargo test --release -p vbd-prune --test fuzz` runs that many.
//! `cargo bolero test` uses a fuzzer.

#![allow(clippy::unwrap_used, reason = "tests fail by panics")]

mod common;
mod counting;
mod lies;

use common::{gated_checkpoint, net_of_all_kinds, random_checkpoint};
use counting::count;
use lies::{small, use_it};
use vbd_net::tensor_file;
use vbd_net::{Layout, PrunedFile, ValueType};
use vbd_prune::prune_checkpoint;

/// Memory that a file may cost beyond its own size.
const MOST_BYTES: usize = 64 << 20;

fn check(bytes: &[u8]) -> bool {
    let (is_file, _, most) = count(|| use_it(bytes));
    assert!(
        most <= bytes.len() + MOST_BYTES,
        "{most} bytes for a file of {}",
        bytes.len()
    );
    is_file
}

#[test]
fn any_bytes() {
    bolero::check!()
        .with_iterations(2000)
        .for_each(|bytes: &[u8]| {
            check(bytes);
        });
}

/// Files of shrunk nets, with selections and the original network.
fn shrunk() -> impl Iterator<Item = Vec<u8>> {
    (0..12).map(|seed| {
        let checkpoint = if seed % 2 == 0 {
            gated_checkpoint(seed / 2)
        } else {
            random_checkpoint(seed / 2)
        };
        let net = prune_checkpoint(&checkpoint, None).unwrap();
        let file = PrunedFile::new(&net.shrunk().unwrap(), None, ValueType::F32);
        file.unwrap().to_bytes().unwrap()
    })
}

/// Files of nets with every kind of layer, every second one shrunk.
fn of_all_kinds() -> impl Iterator<Item = Vec<u8>> {
    (0..24).filter_map(|seed| {
        let net = net_of_all_kinds(seed);
        let is_original = net.selections().is_empty();
        let net = if seed % 2 == 0 && is_original {
            net.shrunk().unwrap()
        } else {
            net
        };
        let layout = Layout::ALL[usize::try_from(seed / 2).unwrap() % 4];
        let file = PrunedFile::new(&net, Some(layout), ValueType::F16).ok()?;
        Some(file.to_bytes().unwrap())
    })
}

/// Valid files, small ones and those of random nets.
fn files() -> Vec<Vec<u8>> {
    let random = (0..12).map(|seed| {
        let net = prune_checkpoint(&random_checkpoint(seed), None).unwrap();
        let kind = usize::try_from(seed).unwrap();
        let (layout, values) = (Layout::ALL[kind % 4], ValueType::ALL[kind % 3]);
        PrunedFile::new(&net, Some(layout), values)
            .unwrap()
            .to_bytes()
            .unwrap()
    });
    Layout::ALL
        .map(small)
        .into_iter()
        .chain(random)
        .chain(shrunk())
        .chain(of_all_kinds())
        .filter(|file| file.len() < 6000)
        .collect()
}

/// Changes to the bytes of a file's tensors and JSON inside a valid container.
#[test]
fn changed_files() {
    let files = files();
    let changes = bolero::check!().with_iterations(5000);
    changes
        .with_type::<(u8, Vec<(u8, u16, u8)>)>()
        .for_each(|(file, changes)| {
            let bytes = &files[usize::from(*file) % files.len()];
            let (mut tensors, json) = tensor_file::from_bytes(bytes).unwrap();
            let mut json = json.into_bytes();
            for &(tensor, place, byte) in changes.iter().take(4) {
                let count = tensors.len() + 1;
                let target = match tensors.values_mut().nth(usize::from(tensor) % count) {
                    Some(raw) => &mut raw.bytes,
                    None => &mut json,
                };
                let len = target.len().max(1);
                if let Some(target) = target.get_mut(usize::from(place) % len) {
                    *target = byte;
                }
            }
            let Ok(json) = String::from_utf8(json) else {
                return;
            };
            if let Ok(bytes) = tensor_file::to_bytes(&tensors, json) {
                check(&bytes);
            }
        });
}

/// Files whose network is larger than their content, and some invalid files.
fn hostile() -> Vec<Vec<u8>> {
    let respec = |input: &str, layers: &str| {
        let (mut tensors, json) = tensor_file::from_bytes(&small(Layout::Delta)).unwrap();
        tensors.remove("normalize.std");
        let layer = json.find(r#""layer":["#).unwrap() + r#""layer":["#.len();
        let json = format!("{}{layers}{}", &json[..layer], &json[layer..]);
        let json = json.replace("[10]", input).replace(r#""image""#, "1.0");
        tensor_file::to_bytes(&tensors, json).unwrap()
    };
    let pool = r#"{"kind":"max_pool2d","kernel":1000},{"kind":"flatten"},"#;
    let conv = |keys: &str| {
        let conv = r#"{"kind":"conv2d","name":"c","out_channels":1,"bias":false"#;
        format!(r#"{conv},{keys}}},{{"kind":"flatten"}},"#)
    };
    let whole = small(Layout::Csr);
    vec![
        respec(
            "[4,2,5]",
            &conv(r#""kernel":[1,16777215],"padding":"same""#),
        ),
        respec("[1,2,5]", &conv(r#""kernel":1,"padding":8000000"#)),
        respec("[1,2,5]", &conv(r#""kernel":1,"stride":1000000000000"#)),
        respec("[4,2,5]", &conv(r#""kernel":2,"groups":"depthwise""#)),
        respec("[16777216]", ""),
        respec("[1,2,5]", r#"{"kind":"relu"},{"kind":"flatten"},"#),
        respec("[10,1000,1000]", pool),
        respec("[1,4000,4000]", pool),
        whole[..whole.len() - 1].to_vec(),
        Vec::new(),
        vec![0xFF; 16],
    ]
}

/// `cargo test --release -p vbd-prune --test fuzz -- --ignored` regenerates the corpus.
#[test]
#[ignore = "writes tests/__fuzz__"]
fn write_the_corpus() {
    let folder = corpus();
    std::fs::create_dir_all(&folder).unwrap();
    for (number, file) in files().iter().chain(&hostile()).enumerate() {
        vbd_net::file::write_atomic(&folder.join(format!("{number:02}")), file).unwrap();
    }
}

fn corpus() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/__fuzz__/any_bytes/corpus")
}

#[test]
fn the_corpus_has_files_that_are_read() {
    let files = std::fs::read_dir(corpus()).unwrap();
    let read = files.filter(|file| check(&std::fs::read(file.as_ref().unwrap().path()).unwrap()));
    assert!(read.count() >= 10);
}
