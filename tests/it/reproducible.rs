//! The same bits whatever the number of threads, and in every run.

use super::support::Lab;

#[test]
fn one_thread_and_two_give_the_same_bits() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 6 --threads 1 --out one");
    lab.succeed("train small.toml --epochs 6 --threads 2 --out two");
    lab.assert_same_runs("one", "two");
    lab.succeed("train small.toml --epochs 6 --seed 1 --out other");
    assert!(lab.last_tensors("one") != lab.last_tensors("other"));
}

#[test]
fn pruning_twice_writes_the_same_bytes() {
    let lab = Lab::new();
    lab.succeed("train small.toml --out run");
    for values in ["f32", "f16", "bf16"] {
        for layout in ["auto", "dense", "csr", "bitmask", "delta"] {
            let words = format!("prune run --values {values} --layout {layout} -o");
            lab.succeed(&format!("{words} a.safetensors"));
            lab.succeed(&format!("{words} b.safetensors --threads 1"));
            let [a, b] = ["a", "b"]
                .map(|name| std::fs::read(lab.path(&format!("{name}.safetensors"))).unwrap());
            assert!(a == b, "{values} {layout}");
        }
    }
}
