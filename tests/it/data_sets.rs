//! Data sets that are not what they seem: each is refused or told on stderr.
#![expect(
    clippy::disallowed_methods,
    reason = "tests write what an atomic write would refuse or take too long for"
)]

use std::fs;

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

use super::support::{Lab, assert_told, json_lines};

const NAMES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// An IDX file.
fn idx(sizes: &[u32], body: &[u8]) -> Vec<u8> {
    let dimensions = u8::try_from(sizes.len()).unwrap();
    let sizes = sizes.iter().flat_map(|size| size.to_be_bytes());
    [0, 0, 8, dimensions]
        .into_iter()
        .chain(sizes)
        .chain(body.iter().copied())
        .collect()
}

/// Writes a set of images of `shape` with these labels, the same for training and test.
fn write_set(lab: &Lab, folder: &str, shape: &[u32], labels: &[u8]) {
    fs::create_dir_all(lab.path(folder)).unwrap();
    let n = u32::try_from(labels.len()).unwrap();
    let len: u32 = shape.iter().product();
    let bytes: Vec<u8> = (0..n * len)
        .map(|place| u8::try_from(place * 37 % 251).unwrap())
        .collect();
    let sizes = [&[n][..], shape].concat();
    for [images, names] in [[NAMES[0], NAMES[1]], [NAMES[2], NAMES[3]]] {
        lab.write(&format!("{folder}/{images}"), idx(&sizes, &bytes));
        lab.write(&format!("{folder}/{names}"), idx(&[n], labels));
    }
}

#[test]
fn images_are_compared_axis_by_axis_by_every_verb_and_the_transposition_is_named() {
    let lab = Lab::new();
    let net = "name = 'rgb'\ninput = [3, 4, 5]\nclasses = 2\n[[layer]]\nkind = 'flatten'\n\
               [[layer]]\nkind = 'linear'\nname = 'fc1'\nout_features = 2\n";
    lab.write("rgb.toml", net);
    write_set(&lab, "chw", &[3, 4, 5], &[0, 1, 0, 1]);
    write_set(&lab, "hwc", &[4, 5, 3], &[0, 1, 0, 1]);
    lab.succeed("train vbd --model rgb.toml --data idx:chw --epochs 1 --out run");
    lab.succeed("prune run -o rgb.safetensors");
    let words = [
        "[4, 5, 3]",
        "[3, 4, 5]",
        "hint: the images fit if transposed, in numpy: images.transpose(0, 3, 1, 2)",
    ];
    for verb in [
        "eval rgb.safetensors --data idx:hwc",
        "predict rgb.safetensors --data idx:hwc --index 0",
        "bench rgb.safetensors --data idx:hwc --seconds 0.001",
        "train vbd --model rgb.toml --data idx:hwc --epochs 1 --out other",
        "train --resume run --data idx:hwc",
    ] {
        assert_told(&lab.vbd(verb), 1, &words);
    }
}

#[test]
fn other_data_of_the_recorded_name_are_refused_or_told_if_asked_for() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 1 --out run");
    lab.succeed("prune run -o small.safetensors");
    assert_told(&lab.vbd("eval small.safetensors"), 0, &[]);
    // The test images in another order; those of the training are the same.
    let path = lab.path("data").join(NAMES[2]);
    let mut bytes = fs::read(&path).unwrap();
    bytes[16..].reverse();
    fs::write(&path, bytes).unwrap();
    let words = ["`idx:data` is not the one that", "checksum is"];
    for file in ["small.safetensors", "run"] {
        for verb in [format!("eval {file}"), format!("predict {file} --index 0")] {
            assert_told(&lab.vbd(&verb), 1, &words);
            assert_told(&lab.vbd(&verb), 1, &["hint: choose the data with --data"]);
            let asked = lab.vbd(&format!("{verb} --data idx:data"));
            assert_told(&asked, 0, &words);
            assert!(asked.stderr.starts_with("warning: "), "{}", asked.stderr);
        }
    }
    // Under another name they are other data, and nothing is to be told.
    fs::rename(lab.path("data"), lab.path("more")).unwrap();
    let run = lab.vbd("eval small.safetensors --data idx:more");
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_file_without_a_checksum_of_its_data_is_told_where_they_were_looked_for() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 1 --out run");
    lab.succeed("prune run -o small.safetensors");
    let bytes = fs::read(lab.path("small.safetensors")).unwrap();
    let text = b"data_crc32";
    let place = bytes
        .windows(text.len())
        .position(|part| part == text)
        .unwrap();
    let mut old = bytes.clone();
    old[place..place + text.len()].copy_from_slice(b"data_other");
    lab.write("old.safetensors", old);
    assert_told(
        &lab.vbd("eval old.safetensors"),
        0,
        &[
            "warning: old.safetensors: no checksum of its data recorded",
            "`idx:data`",
        ],
    );
    let run = lab.vbd("eval old.safetensors --data idx:data");
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
}

#[test]
fn classes_without_samples_and_labels_from_one_are_told() {
    let lab = Lab::new();
    write_set(&lab, "gap", &[8, 8], &[0, 1, 3]);
    write_set(&lab, "one", &[8, 8], &[1, 2, 3]);
    for verb in ["data", "train small.toml --epochs 1 --out run --data"] {
        assert_told(
            &lab.vbd(&format!("{verb} idx:gap")),
            0,
            &[
                "warning: ",
                "class 2 has no training sample",
                "class 2 has no test sample",
            ],
        );
    }
    for verb in ["data", "train small.toml --epochs 1 --out run2 --data"] {
        assert_told(
            &lab.vbd(&format!("{verb} idx:one")),
            0,
            &[
                "warning: ",
                "labels run from 1 to 3",
                "subtract 1 from each label",
            ],
        );
    }
}

#[test]
fn two_forms_of_a_file_must_be_the_same() {
    let lab = Lab::new();
    let zip = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let labels = fs::read(lab.path("data").join(NAMES[3])).unwrap();
    lab.write(&format!("data/{}.gz", NAMES[3]), zip(&labels));
    assert_told(&lab.vbd("data idx:data"), 0, &[]);
    let mut other = labels;
    *other.last_mut().unwrap() ^= 1;
    lab.write(&format!("data/{}.gz", NAMES[3]), zip(&other));
    assert_told(
        &lab.vbd("data idx:data"),
        1,
        &[
            "t10k-labels-idx1-ubyte.gz",
            "the same file with different content",
        ],
    );
}

#[test]
fn names_in_capitals_and_plain_folders_are_taken_and_missing_ones_named() {
    let lab = Lab::new();
    assert_eq!(lab.json("data ./data")["name"], "idx:./data");
    assert_eq!(lab.json("data data")["name"], "idx:data");
    assert_eq!(lab.json("data IDX:data")["name"], "idx:data");
    lab.succeed("train small.toml --data ./data --epochs 1 --out run");
    assert_eq!(lab.json("eval run")["data"], "idx:./data");
    fs::create_dir_all(lab.path("torch/MNIST")).unwrap();
    fs::rename(lab.path("data"), lab.path("torch/MNIST/raw")).unwrap();
    // Small files under a great name: found, and told.
    let run = lab.vbd("data MNIST --data-dir torch --json");
    assert_told(
        &run,
        0,
        &["warning: data set `mnist`: not the published files: train-images"],
    );
    assert!(run.stdout.contains("\"name\":\"mnist\""), "{run:?}");
    assert_told(
        &lab.vbd("data ./no"),
        2,
        &["`./no`: no such directory", "hint: "],
    );
}

#[test]
fn idx_files_of_another_kind_are_named_for_what_they_are() {
    let lab = Lab::new();
    for (content, word) in [
        (
            &b"version https://git-lfs.github.com/spec/v1\n"[..],
            "Git LFS",
        ),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"\x93NUMPY\x01\0", ".npy"),
    ] {
        lab.write(&format!("data/{}", NAMES[0]), content);
        assert_told(
            &lab.vbd("data idx:data"),
            1,
            &[NAMES[0], "magic number", word],
        );
    }
}

#[test]
#[cfg(unix)]
fn a_folder_whose_name_is_not_utf8_is_trained_on_resumed_and_evaluated() {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStrExt;

    let lab = Lab::new();
    let folder = OsStr::from_bytes(b"caf\xe9");
    fs::rename(lab.path("data"), lab.path("x").with_file_name(folder)).unwrap();
    let mut data = OsString::from("idx:");
    data.push(folder);
    let words = [
        "train",
        "small.toml",
        "--epochs",
        "1",
        "--out",
        "run",
        "--data",
    ];
    let words: Vec<&OsStr> = words.iter().map(OsStr::new).chain([&*data]).collect();
    let output = lab.command(words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    // The recipe and the network may have such names too.
    for (name, ending) in [
        ("small.toml", &b"r\xe9.toml"[..]),
        ("net.toml", b"n\xe9.toml"),
    ] {
        let copy = lab.path(name).with_file_name(OsStr::from_bytes(ending));
        fs::copy(lab.path(name), copy).unwrap();
    }
    let words = [
        OsStr::new("train"),
        OsStr::from_bytes(b"r\xe9.toml"),
        OsStr::new("--model"),
        OsStr::from_bytes(b"n\xe9.toml"),
        OsStr::new("--data"),
        &data,
        OsStr::new("--epochs"),
        OsStr::new("1"),
        OsStr::new("--out"),
        OsStr::from_bytes(b"o\xe9"),
    ];
    let output = lab.command(words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    for words in ["train --resume run", "eval run"] {
        assert_told(&lab.vbd(words), 0, &[]);
    }
    assert_eq!(lab.json("eval run")["data"], "idx%:caf%E9");
}

/// A numpy archive of float features in two classes, of which one has larger values.
fn write_npz(lab: &Lab, name: &str) {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (split, n) in [("train", 200_u8), ("test", 60)] {
        let classes: Vec<u8> = (0..n).map(|index| index % 2).collect();
        let values = classes.iter().flat_map(|&class| {
            (0..6_u8).map(move |place| f32::from(class * 2) + f32::from(place) / 10.0 - 1.25)
        });
        let values: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
        for (array, descr, shape, bytes) in [
            ("x", "<f4", format!("({n}, 6)"), values),
            ("y", "|u1", format!("({n},)"), classes),
        ] {
            let header =
                format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
            let len = u16::try_from(header.len()).unwrap().to_le_bytes();
            let file = [b"\x93NUMPY\x01\x00", &len[..], header.as_bytes(), &bytes].concat();
            let options = zip::write::SimpleFileOptions::default();
            writer
                .start_file(format!("{array}_{split}.npy"), options)
                .unwrap();
            writer.write_all(&file).unwrap();
        }
    }
    lab.write(name, writer.finish().unwrap().into_inner());
}

#[test]
fn float_features_of_numpy_are_trained_on_pruned_and_predicted() {
    let lab = Lab::new();
    write_npz(&lab, "own.npz");
    let net = "name = 'features'\ninput = [6]\nclasses = 2\n[[layer]]\nkind = 'linear'\n\
               name = 'fc1'\nout_features = 8\n[[layer]]\nkind = 'relu'\n[[layer]]\n\
               kind = 'linear'\nname = 'fc2'\nout_features = 2\n";
    lab.write("features.toml", net);
    let summary = lab.json("data own.npz");
    assert_eq!(summary["name"], "npz:own.npz");
    assert_eq!(summary["sha256"]["x_test"].as_str().map(str::len), Some(64));
    assert_told(
        &lab.vbd("data own.npz --out folder"),
        1,
        &["float32", "IDX files hold"],
    );
    let train = "train vbd --model features.toml --data npz:own.npz --epochs 30 --batch-size 10";
    lab.succeed(&format!("{train} --lr 1e-2 --out run"));
    lab.succeed("prune run -o features.safetensors");
    let evaluated = lab.json("eval features.safetensors");
    assert_eq!(
        (&evaluated["data"], &evaluated["wrong"]),
        (&"npz:own.npz".into(), &0.into())
    );
    let text = lab.succeed("predict features.safetensors --index 0,1 --json");
    let classes: Vec<_> = json_lines(&text)
        .iter()
        .map(|line| line["class"].clone())
        .collect();
    assert_eq!(classes, [0, 1]);
    // A network that scales bytes down is told of floats from 0 to 1.
    let scaled = "classes = 2\nnormalize = { scale = 0.00390625 }\n";
    lab.write("scaled.toml", net.replace("classes = 2\n", scaled));
    assert_told(
        &lab.vbd("train vbd --model scaled.toml --data npz:own.npz --epochs 1 --out scaled"),
        0,
        &[
            "warning: data set `npz:own.npz`: the largest input is 0.0",
            "`normalize.scale`",
        ],
    );
    // The same road again gives the same bits, on another number of threads.
    lab.succeed(&format!("{train} --lr 1e-2 --threads 1 --out again"));
    lab.assert_same_runs("run", "again");
}

#[test]
fn data_are_not_written_over_others() {
    let lab = Lab::new();
    lab.succeed("data idx:data --out copy");
    lab.succeed("data idx:data --out copy");
    write_set(&lab, "other", &[8, 8], &[0, 1, 2]);
    let refused = lab.vbd("data idx:other --out copy");
    assert_told(&refused, 2, &["exists with another content", "--force"]);
    assert_eq!(lab.json("data idx:copy")["train"], 600);
    lab.succeed("data idx:other --out copy --force");
    assert_eq!(lab.json("data idx:copy")["train"], 3);
}
