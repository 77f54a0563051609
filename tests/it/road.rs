//! A user's own network and data: train, prune, inspect, eval, predict.

use super::support::{Lab, has_fields, json_lines};

#[test]
fn a_users_own_net_and_data_train_prune_evaluate_and_predict() {
    let lab = Lab::new();
    let epochs = json_lines(&lab.succeed(
        "train vbd --model net.toml --data idx:data --epochs 15 --batch-size 20 --lr 1e-2 \
         --set kl_warmup=[0.1,0.4] --out run --json",
    ));
    let last = &epochs[epochs.len() - 2];
    let error = last["test_error"].as_f64().unwrap();
    assert!(error < 0.1, "{last}");
    assert!(last["compression_ratio"].as_f64().unwrap() > 2.0, "{last}");

    let pruned = lab.json("prune run -o small.safetensors");
    assert_eq!(pruned["nnz"], last["nnz"]);
    assert_eq!(
        pruned["bytes"],
        std::fs::metadata(lab.path("small.safetensors"))
            .unwrap()
            .len()
    );
    assert_eq!(pruned["provenance"]["test_error"].as_f64(), Some(error));

    // The run, its checkpoint and the pruned file are one net.
    let checkpoint = lab.last_checkpoint("run");
    for file in ["small.safetensors", "run", checkpoint.to_str().unwrap()] {
        let inspected = lab.json(&format!("inspect {file}"));
        assert_eq!(
            (&inspected["model"], &inspected["nnz"]),
            (&"small".into(), &last["nnz"])
        );
        let evaluated = lab.json(&format!("eval {file}"));
        assert_eq!(evaluated["test_error"].as_f64(), Some(error), "{file}");
        assert_eq!(evaluated["data"], "idx:data");
    }
    let shown = lab.succeed("inspect run");
    assert!(
        shown.contains("fc2") && shown.contains("log_alpha"),
        "{shown}"
    );

    let predicted = lab.succeed("predict small.safetensors --index 0,1,2,3 --json");
    let right = json_lines(&predicted)
        .iter()
        .filter(|line| line["class"] == line["label"])
        .count();
    assert!(right >= 3, "{predicted}");
}

#[test]
fn a_recipe_of_ones_own_runs_from_another_folder() {
    let lab = Lab::new();
    std::fs::create_dir(lab.path("sub")).unwrap();
    for name in ["net.toml", "small.toml"] {
        std::fs::rename(lab.path(name), lab.path("sub").join(name)).unwrap();
    }
    lab.succeed("train sub/small.toml --epochs 1");
    lab.succeed("train sub/small.toml --epochs 1");
    for run in ["runs/small-seed0", "runs/small-seed0-2"] {
        assert_eq!(lab.metrics(run).len(), 1);
    }
}

#[test]
fn a_run_can_start_from_another_and_hold_out_samples() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 6 --out first");
    let lines = json_lines(&lab.succeed(
        "train small.toml --epochs 3 --seed 1 --from first --set validation=100 --out second --json",
    ));
    has_fields(&lines[0], &["validation_error"]);
    let end = lines.last().unwrap();
    assert_eq!(end["best"], "second/best.safetensors");
    lab.succeed("inspect second/best.safetensors");
}

#[test]
fn images_are_predicted_from_files() {
    let lab = Lab::new();
    lab.succeed("train small.toml --out run");
    let mut picture = image::GrayImage::new(8, 8);
    for (_, y, pixel) in picture.enumerate_pixels_mut() {
        *pixel = image::Luma([if y / 2 == 2 { 160 } else { 30 }]);
    }
    picture.save(lab.path("two.png")).unwrap();
    image::imageops::invert(&mut picture);
    image::DynamicImage::ImageLuma8(picture)
        .to_rgb8()
        .save(lab.path("dark.png"))
        .unwrap();
    let light = lab.json("predict run two.png");
    let dark = lab.json("predict run dark.png --invert");
    assert_eq!(
        (&light["class"], &light["input"]),
        (&2.into(), &"two.png".into())
    );
    assert_eq!(light["probabilities"], dark["probabilities"]);
    let sum: f64 = light["probabilities"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(serde_json::Value::as_f64)
        .sum();
    assert!((sum - 1.0).abs() < 1e-5, "{light}");
}
