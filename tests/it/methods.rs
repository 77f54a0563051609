//! Recipes that combine: rules for some weights, gates of every kind, optimisers. Each trains, resumes bit for bit,
//! prunes and evaluates, on one thread and on two the same.

use super::support::{Lab, json_lines};

/// A lab with `mixed.toml`: a recipe with these tables, `method` first.
fn lab(tables: &str) -> Lab {
    let lab = Lab::new();
    let recipe = format!("summary = 'mixed'\nmodel = 'net.toml'\ndata = 'idx:data'\n{tables}\n");
    lab.write("mixed.toml", recipe);
    lab
}

const TRAIN: &str = "[train]\nepochs = 6\nbatch_size = 20\nlr = 1e-2\nkl_warmup = [0.1, 0.4]\n";

fn goes_the_whole_road(tables: &str) {
    let lab = lab(tables);
    let lines = json_lines(&lab.succeed("train mixed.toml --out one --threads 1 --json"));
    lab.succeed("train mixed.toml --out two --threads 2");
    lab.assert_same_tensors("one", "two");
    // from the checkpoint before the last, the last epoch again
    std::fs::remove_file(lab.last_checkpoint("two")).unwrap();
    lab.succeed("train --resume two --threads 1");
    lab.assert_same_tensors("one", "two");
    let error = lines[lines.len() - 2]["test_error"].as_f64().unwrap();
    assert!(error < 0.3, "{tables}: {error}");
    lab.succeed("prune one -o small.safetensors --structured");
    for file in ["one", "small.safetensors"] {
        assert_eq!(
            lab.json(&format!("eval {file}"))["test_error"].as_f64(),
            Some(error)
        );
        lab.succeed(&format!("inspect {file}"));
    }
}

#[test]
fn a_net_with_a_dense_first_layer_and_vbd_for_the_others() {
    let rules = "[method]\nkind = 'vbd'\n[[method.rule]]\nweights = ['fc1']\nkind = 'dense'\n";
    goes_the_whole_road(&format!("{rules}{TRAIN}"));
    let lab = lab(&format!("{rules}{TRAIN}"));
    lab.succeed("train mixed.toml --out run");
    let tensors = lab.last_tensors("run");
    assert!(!tensors.contains_key("fc1.log_sigma2"));
    assert!(tensors.contains_key("fc2.log_sigma2"));
}

#[test]
fn one_alpha_per_row_or_layer_learned_or_fixed() {
    for method in [
        "kind = 'vbd'\nalpha = 'layer'\nrate = 0.2",
        "kind = 'vd'\nalpha = 'row'\nrate = 0.2\nlearn = false",
        "kind = 'fast'\nrate = 0.2",
    ] {
        goes_the_whole_road(&format!("[method]\n{method}\n{TRAIN}"));
    }
    // some weights share an alpha; the others have one alpha each and are pruned
    let rules =
        "[method]\nkind = 'vbd'\n[[method.rule]]\nweights = ['fc1']\nalpha = 'row'\nrate = 0.2\n";
    goes_the_whole_road(&format!("{rules}{TRAIN}"));
    let lab = lab(&format!("{rules}{TRAIN}"));
    lab.succeed("train mixed.toml --out run");
    let tensors = lab.last_tensors("run");
    assert!(tensors.contains_key("fc1.log_alpha") && tensors.contains_key("fc2.log_sigma2"));
    let layers = lab.json("inspect run")["layers"].clone();
    assert!(layers[0]["sparsity"].as_f64() < Some(0.01), "{layers}");
    let refused = lab.vbd("train mixed.toml --out no --set method.kl_wieght=2");
    assert!(refused.stderr.contains("kl_weight"), "{refused:?}");
}

#[test]
fn a_key_that_a_kind_does_not_have_is_refused() {
    for (method, key) in [
        (
            "kind = 'dense'\nlog_sigma2_init = -9.0",
            "method.log_sigma2_init",
        ),
        ("kind = 'vbd'\nrate = 0.2", "method.rate"),
        (
            "kind = 'vbd'\nalpha = 'row'\nlog_sigma2_init = -9.0",
            "method.log_sigma2_init",
        ),
        ("kind = 'vbd'\nalpha = 'column'", "`weight`, `row`, `layer`"),
        ("kind = 'fast'\nrate = 1.0", "method.rate"),
        (
            "kind = 'vd'\nlog_alpha_treshold = 1.0",
            "log_alpha_threshold",
        ),
    ] {
        let lab = lab(&format!("[method]\n{method}\n{TRAIN}"));
        let refused = lab.vbd("train mixed.toml --out run");
        assert!(refused.stderr.contains(key), "{method}: {refused:?}");
    }
    // gates inherit keys that the kind of the weights does not have
    let gate =
        "[method]\nkind = 'dense'\nlog_alpha_threshold = 1.0\n[[method.gate]]\nafter = 'fc1'\n";
    lab(&format!("{gate}{TRAIN}")).succeed("train mixed.toml --out run --epochs 1");
}

#[test]
fn weights_and_gates_of_every_kind_in_one_net() {
    goes_the_whole_road(&format!(
        "[method]\nkind = 'vd'\n[[method.gate]]\nafter = 'input'\nkind = 'gaussian'\nrate = 0.1\n\
         [[method.gate]]\nafter = 'fc1'\nkind = 'bernoulli'\nrate = 0.2\n\
         [[method.gate]]\nafter = 'fc2'\nprior = 'log-uniform'\n{TRAIN}"
    ));
}

#[test]
fn bernoulli_gates_make_the_training_loss_higher() {
    let loss = |gates: &str| {
        let lab = lab(&format!("[method]\nkind = 'dense'\n{gates}{TRAIN}"));
        let lines = json_lines(&lab.succeed("train mixed.toml --out run --json"));
        lines[lines.len() - 2]["loss"].as_f64().unwrap()
    };
    let gates = "[[method.gate]]\nafter = 'fc1'\nkind = 'bernoulli'\nrate = 0.9\n\
                 [[method.gate]]\nafter = 'fc2'\nkind = 'bernoulli'\nrate = 0.9\n";
    let (noisy, plain) = (loss(gates), loss(""));
    assert!(noisy > 2.0 * plain, "{noisy} {plain}");
}

#[test]
fn sgd_with_a_schedule_of_steps() {
    let train = TRAIN.replace("lr = 1e-2", "lr = 0.05\noptimizer = 'sgd'\nmomentum = 0.9\nweight_decay = 1e-4\nlr_schedule = 'steps'\nlr_steps = [0.5, 0.8]");
    goes_the_whole_road(&format!("[method]\nkind = 'dense'\n{train}"));
    let lab = lab("[method]\nkind = 'dense'\n[train]\nmomentum = 0.5\n");
    let refused = lab.vbd("train mixed.toml --out run");
    assert!(refused.stderr.contains("train.momentum"), "{refused:?}");
}
