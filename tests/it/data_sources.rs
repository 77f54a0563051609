//! Data sources with the binary: `vbd data`, its `--out`, and a training on each.
#![expect(
    clippy::disallowed_methods,
    reason = "tests write what an atomic write would take too long for"
)]

use std::fs;
use std::path::Path;

use image::{Rgb, RgbImage, Rgba, RgbaImage};

use super::support::{Lab, assert_told, workspace};

/// A convolution with normalisation by channel for images of 32 x 32 pixels in color.
const NET: &str = "
name = 'color'
input = [3, 32, 32]
classes = 10
normalize = { scale = 0.00390625, mean = [0.4, 0.5, 0.3], std = [0.2, 0.25, 0.3] }
[[layer]]
kind = 'conv2d'
name = 'conv1'
out_channels = 4
kernel = 5
stride = 3
[[layer]]
kind = 'relu'
[[layer]]
kind = 'flatten'
[[layer]]
kind = 'linear'
name = 'fc1'
out_features = 10
";

/// Trains on a set, evaluates it by the name recorded in the file, and checks what `--out` writes.
fn assert_is_a_source(lab: &Lab, data: &str, test: usize) {
    lab.write("color.toml", NET);
    let dir = data.split_once(' ').map_or("", |(_, dir)| dir);
    let augment = "--set train.augment.crop=4 --set flip=true";
    lab.succeed(&format!(
        "train vbd --model color.toml --data {data} --epochs 2 --batch-size 10 {augment} --out run"
    ));
    lab.succeed(&format!("train --resume run {dir}"));
    lab.succeed("prune run -o color.safetensors");
    let evaluated = lab.json(&format!("eval color.safetensors {dir}"));
    assert_eq!(evaluated["samples"], test);
    let of_run = lab.json(&format!("eval run {dir}"));
    assert_eq!(of_run["wrong"], evaluated["wrong"]);
    let summary = lab.json(&format!("data {data}"));
    lab.succeed(&format!("data {data} --out idx"));
    let copy = lab.json("data idx:idx");
    assert_eq!(copy["sha256"], summary["sha256"]);
    assert_eq!(copy["shape"], serde_json::json!([3, 32, 32]));
}

#[test]
fn cifar_10_is_trained_on_evaluated_and_written_as_idx() {
    let lab = Lab::new();
    fs::create_dir_all(lab.path("sets/cifar-10-batches-bin")).unwrap();
    let record = |label: u8| {
        let pixels = (0..3072_u32).map(move |place| (place % 200) as u8 / 4 * (label + 1) / 2);
        std::iter::once(label).chain(pixels)
    };
    for batch in [
        "data_batch_1",
        "data_batch_2",
        "data_batch_3",
        "data_batch_4",
        "data_batch_5",
        "test_batch",
    ] {
        let records: Vec<u8> = (0..10).flat_map(record).collect();
        fs::write(
            lab.path(&format!("sets/cifar-10-batches-bin/{batch}.bin")),
            records,
        )
        .unwrap();
    }
    assert_is_a_source(&lab, "cifar-10 --data-dir sets", 10);
    let summary = lab.json("data cifar-10 --data-dir sets");
    assert_eq!(
        (&summary["train"], &summary["classes"]),
        (&50.into(), &10.into())
    );
    assert_eq!(summary["class_names"][9], "truck");
    assert_told(
        &lab.vbd("data CIFAR-10 --data-dir sets"),
        0,
        &["warning: data set `cifar-10`: not the published files: data_batch_1.bin"],
    );
    fs::write(
        lab.path("sets/cifar-10-batches-bin/data_batch_3.bin"),
        "short",
    )
    .unwrap();
    assert_told(
        &lab.vbd("eval color.safetensors --data-dir sets"),
        1,
        &["data_batch_3.bin: length is 5 bytes: expected a multiple of 3073"],
    );
    assert_told(&lab.vbd("data cifar-10"), 1, &["--data-dir DIR", "hint: "]);
}

#[test]
fn svhn_is_trained_on_evaluated_and_written_as_idx() {
    let lab = Lab::new();
    fs::create_dir_all(lab.path("sets")).unwrap();
    let golden = workspace().join("vbd-models/src/data/svhn/golden_packed.mat");
    for name in ["train_32x32.mat", "test_32x32.mat"] {
        fs::copy(&golden, lab.path(&format!("sets/{name}"))).unwrap();
    }
    assert_is_a_source(&lab, "svhn --data-dir sets", 3);
}

fn put(path: &Path, color: [u8; 3]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut image = RgbImage::from_pixel(32, 32, Rgb(color));
    image.put_pixel(3, 3, Rgb([200, 100, 0]));
    image.save(path).unwrap();
}

#[test]
fn folders_of_images_are_trained_on_evaluated_and_written_as_idx() {
    let lab = Lab::new();
    for (class, color) in [("blue sky", [0, 0, 250]), ("apple", [250, 0, 0])] {
        for number in 0..12 {
            put(
                &lab.path(&format!("photos/train/{class}/{number}.png")),
                color,
            );
        }
        put(&lab.path(&format!("photos/test/{class}/a.png")), color);
    }
    assert_is_a_source(&lab, "images:photos", 2);
    let summary = lab.json("data images:photos");
    assert_eq!(
        summary["class_names"],
        serde_json::json!(["apple", "blue sky"])
    );
    assert_eq!(
        (&summary["name"], &summary["train"]),
        (&"images:photos".into(), &24.into())
    );
    let text = lab.succeed("data photos");
    assert!(text.contains("classes     2: apple, blue sky"), "{text}");
    // A file and the sample that was read from it are the same to a network.
    let of_file = lab.json("predict color.safetensors photos/test/apple/a.png");
    let of_sample = lab.json("predict color.safetensors --index 0");
    assert_eq!(of_file["probabilities"], of_sample["probabilities"]);
    let transparent = RgbaImage::from_fn(32, 32, |x, y| {
        let [x, y] = [x, y].map(|place| place.to_le_bytes()[0]);
        Rgba([x, y, 200, if x < 9 { 0 } else { 255 }])
    });
    transparent
        .save(lab.path("photos/test/apple/aa.png"))
        .unwrap();
    assert_told(
        &lab.vbd("data images:photos"),
        0,
        &["warning: photos/test/apple/aa.png: transparent pixels are read on white"],
    );
    let odd = lab.path("photos/test/apple/b.png");
    fs::write(&odd, "no image").unwrap();
    assert_told(
        &lab.vbd("data images:photos"),
        1,
        &[
            "photos/test/apple/b.png: neither a PNG nor a JPEG image",
            "hint: save the image as PNG",
        ],
    );
    assert_told(
        &lab.vbd("data images:none"),
        1,
        &["none/train: directory is missing"],
    );
    assert_told(
        &lab.vbd("data image:photos"),
        2,
        &["the nearest is `images:FOLDER`"],
    );
}
