//! The hub: data sets and files by way of `HF_ENDPOINT`, whatever the server does, and `vbd push`.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::{Answer, HubServer, Lab, Run, assert_told, has_fields, workspace};

/// MNIST's files on the hub.
const SPLITS: [&str; 2] = ["train", "test"];

fn mnist_path(split: &str) -> String {
    format!("datasets/ylecun/mnist/resolve/refs/convert/parquet/mnist/{split}/0000.parquet")
}

/// 40 images, as the hub has MNIST's, written by pyarrow.
fn parquet() -> Vec<u8> {
    fs::read(workspace().join("vbd-models/src/data/parquet/golden.parquet")).unwrap()
}

/// `vbd` with this server as its hub, and more of the environment.
fn with_hub(lab: &Lab, endpoint: &str, environment: &[(&str, &str)], words: &str) -> Run {
    let mut command = lab.command(words.split_whitespace());
    command
        .env_remove("HF_HUB_OFFLINE")
        .env("HF_ENDPOINT", endpoint);
    command.envs(environment.iter().copied());
    let output = command.output().unwrap();
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn json_of(run: &Run) -> Value {
    assert_eq!(run.code, Some(0), "{run:?}");
    serde_json::from_str(&run.stdout).unwrap()
}

/// A server with MNIST, answered in this manner.
fn mnist(answer: Answer) -> HubServer {
    let server = HubServer::start();
    for split in SPLITS {
        server.host(&mnist_path(split), &parquet(), answer);
    }
    server
}

/// A pruned file of the small network, and a server that has it.
fn pruned(answer: Answer) -> (Lab, HubServer) {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 2 --out run");
    lab.succeed("prune run -o small.safetensors");
    let server = HubServer::start();
    let bytes = fs::read(lab.path("small.safetensors")).unwrap();
    server.host("me/net/resolve/main/small.safetensors", &bytes, answer);
    (lab, server)
}

#[test]
fn a_named_set_without_files_comes_from_the_hub_and_then_from_the_cache() {
    for answer in [Answer::Whole, Answer::Redirected, Answer::Slow] {
        let (lab, server) = (Lab::new(), mnist(answer));
        let train = "train lenet-300-100-vbd --epochs 1 --data mnist --json --out";
        let run = with_hub(&lab, server.address(), &[], &format!("{train} run"));
        assert_told(&run, 0, &["not the published files"]);
        assert_eq!(lab.metrics("run")[0]["numel"], 266_200);
        // Without a request, and without a server.
        server.requests();
        let again = with_hub(&lab, server.address(), &[], "data mnist --json");
        assert_eq!(json_of(&again)["train"], 40);
        assert_eq!(server.requests(), [""; 0]);
        assert_eq!(lab.json("data mnist")["test"], 40);
        assert_eq!(lab.json("eval run --data mnist")["samples"], 40);
    }
}

#[test]
fn files_on_disk_come_before_the_hub() {
    let (lab, server) = (Lab::new(), mnist(Answer::Whole));
    lab.succeed("data digits --out own");
    let found = with_hub(
        &lab,
        server.address(),
        &[],
        "data mnist --data-dir own --json",
    );
    assert_eq!(json_of(&found)["train"], 60_000);
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn a_file_of_the_hub_is_used_as_one_on_disk_in_every_verb() {
    let (lab, server) = pruned(Answer::Whole);
    let file = "hf://me/net/small.safetensors";
    let local = lab.json("eval small.safetensors");
    let run = |words: &str| with_hub(&lab, server.address(), &[], words);
    assert_eq!(json_of(&run(&format!("eval {file} --json"))), local);
    assert_eq!(
        json_of(&run(&format!("inspect {file}@main --json")))["model"],
        "small"
    );
    let nnz = json_of(&run(&format!("prune {file} -o again.safetensors --json")));
    assert_eq!(nnz["nnz"], lab.json("inspect small.safetensors")["nnz"]);
    for words in [
        format!("predict {file} --data idx:data --index 0"),
        format!("bench {file} --batch 1"),
        format!("export {file} --to torch -o torch.safetensors"),
    ] {
        assert_told(&run(&words), 0, &[]);
    }
    let train = format!("train small.toml --from {file} --epochs 1 --out next");
    assert_told(
        &run(&train),
        0,
        &["starting from hf://me/net/small.safetensors"],
    );
    lab.succeed("prune next -o next.safetensors");
    assert_eq!(
        lab.json("inspect next.safetensors")["provenance"]["start"],
        file
    );
    // A dense net of another program.
    let bytes = fs::read(lab.path("torch.safetensors")).unwrap();
    server.host(
        "me/net/resolve/main/torch.safetensors",
        &bytes,
        Answer::Redirected,
    );
    let net = fs::read_to_string(lab.path("net.toml")).unwrap();
    lab.write("plain.toml", net.replace("mean = \"image\"", "mean = 0.0"));
    let import = "import hf://me/net/torch.safetensors --spec plain.toml -o in.safetensors";
    assert_told(&run(import), 0, &[]);
    // Each use asks whether there is a newer one; the cache does when nobody answers.
    server.requests();
    assert_told(&run(&format!("inspect {file}")), 0, &[]);
    let requests = server.requests();
    assert!(
        requests.iter().all(|request| request.starts_with("HEAD")),
        "{requests:?}"
    );
    assert_told(&lab.vbd(&format!("inspect {file}")), 0, &[]);
    let gone = with_hub(&lab, &nobody(), &[], &format!("inspect {file}"));
    assert_told(&gone, 0, &[]);
}

#[test]
fn what_the_hub_does_not_have_or_give_is_told_with_what_to_do() {
    let (lab, server) = pruned(Answer::Private);
    let run = |environment: &[(&str, &str)], words: &str| {
        with_hub(&lab, server.address(), environment, words)
    };
    let file = "hf://me/net/small.safetensors";
    let refused = run(&[], &format!("inspect {file}"));
    assert_told(&refused, 1, &[file, "access refused", "HF_TOKEN"]);
    assert_told(
        &run(&[("HF_TOKEN", "wrong")], &format!("inspect {file}")),
        1,
        &["access refused"],
    );
    assert_told(
        &run(&[("HF_TOKEN", "secret")], &format!("inspect {file}")),
        0,
        &[],
    );
    let missing = run(&[], "inspect hf://me/net/other.safetensors@v2");
    assert_told(
        &missing,
        1,
        &["hf://me/net/other.safetensors@v2", "not found"],
    );
    for address in ["hf://me/net", "hf://me/net/../x", "hf://"] {
        let wrong = run(&[], &format!("inspect {address}"));
        assert_told(&wrong, 1, &[address, "expected hf://owner/repo/path"]);
    }
    let none = run(&[], "data mnist");
    assert_told(
        &none,
        1,
        &[
            "datasets/ylecun/mnist",
            "not found",
            "--data-dir DIR",
            "digits",
        ],
    );
    let bad = with_hub(&lab, "no url", &[], &format!("inspect {file}"));
    assert_told(&bad, 1, &["HF_ENDPOINT"]);
}

#[test]
fn a_half_or_changed_download_is_never_taken_for_the_file() {
    for (answer, told) in [
        (Answer::Cut, "connection cut"),
        (Answer::Changed, "SHA-256"),
        (Answer::Page, "length is 15"),
    ] {
        let (lab, server) = pruned(answer);
        let inspect = "inspect hf://me/net/small.safetensors";
        for _ in 0..2 {
            let run = with_hub(&lab, server.address(), &[], inspect);
            assert_told(
                &run,
                1,
                &["hf://me/net/small.safetensors", told, "try again"],
            );
        }
        let offline = lab.vbd(inspect);
        assert_told(&offline, 1, &["HF_HUB_OFFLINE"]);
        let bytes = fs::read(lab.path("small.safetensors")).unwrap();
        server.host(
            "me/net/resolve/main/small.safetensors",
            &bytes,
            Answer::Whole,
        );
        assert_told(&with_hub(&lab, server.address(), &[], inspect), 0, &[]);
    }
}

/// The address of a port that nobody listens to.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn without_network_the_ways_out_are_named_within_20_seconds() {
    let lab = Lab::new();
    let train = "train lenet-300-100-vbd --data mnist --out run";
    let ways = [
        "--data-dir DIR",
        "VBD_DATA_DIR",
        "idx:FOLDER",
        "digits",
        "HF_HOME",
    ];
    let start = Instant::now();
    let run = with_hub(&lab, &nobody(), &[], train);
    assert_told(&run, 1, &ways);
    assert_told(&run, 1, &["no connection"]);
    assert!(start.elapsed() < Duration::from_secs(20));
    let run = lab.vbd(train);
    assert_told(&run, 1, &ways);
    assert_told(&run, 1, &["HF_HUB_OFFLINE"]);
    let server = mnist(Answer::Silent);
    let start = Instant::now();
    let run = with_hub(&lab, server.address(), &[], train);
    assert_told(&run, 1, &ways);
    assert_told(&run, 1, &["no answer for 15 s"]);
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(!lab.path("run").exists());
}

#[test]
fn a_push_is_one_commit_of_the_file_its_configuration_and_its_card() {
    let (lab, server) = pruned(Answer::Whole);
    let push = "push small.safetensors hf://me/net";
    lab.succeed(&format!("{push} --dry-run dry"));
    let run = with_hub(
        &lab,
        server.address(),
        &[("HF_TOKEN", "secret")],
        &format!("{push} --json"),
    );
    let pushed = json_of(&run);
    has_fields(&pushed, &["url", "files"]);
    let names = ["small.safetensors", "config.json", "README.md"];
    assert_eq!(pushed["files"], serde_json::json!(names));
    let lines = server.commits();
    let files: Vec<&Value> = lines.iter().filter(|line| line["key"] == "file").collect();
    assert_eq!((files.len(), &lines[0]["key"]), (3, &Value::from("header")));
    for (name, file) in names.iter().zip(files) {
        assert_eq!(file["value"]["path"], *name);
        let dry = fs::read(lab.path(&format!("dry/{name}"))).unwrap();
        let content = file["value"]["content"].as_str().unwrap();
        assert_eq!(content.len(), dry.len().div_ceil(3) * 4, "{name}");
    }
    let own = fs::read(lab.path("small.safetensors")).unwrap();
    assert_eq!(fs::read(lab.path("dry/small.safetensors")).unwrap(), own);

    let card = fs::read_to_string(lab.path("dry/README.md")).unwrap();
    let error = lab.json("inspect small.safetensors")["provenance"]["test_error"]
        .as_f64()
        .unwrap();
    let accuracy = format!("value: {}", 1.0 - error);
    for part in [
        "---\nlibrary_name: vbd\n",
        "pipeline_tag: image-classification",
        "model-index:",
        &accuracy,
        "| fc1 |",
        "hf://me/net/small.safetensors",
        "vbd_sparse.load",
        "Variational Bayesian Dropout",
    ] {
        assert!(card.contains(part), "no `{part}` in {card}");
    }
    let config = fs::read(lab.path("dry/config.json")).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["spec"]["name"], "small");
}

#[test]
fn what_cannot_be_pushed_is_told_before_anything_is_sent() {
    let (lab, server) = pruned(Answer::Whole);
    server.requests();
    let run = |words: &str| with_hub(&lab, server.address(), &[], words);
    assert_told(&run("push run hf://me/net"), 2, &["vbd prune run"]);
    assert_told(
        &run("push small.safetensors me/net"),
        1,
        &["expected hf://owner/repo"],
    );
    assert_told(
        &run("push none.safetensors hf://me/net"),
        1,
        &["none.safetensors"],
    );
    fs::create_dir(lab.path("dry")).unwrap();
    lab.write("dry/README.md", "my own");
    let dry = "push small.safetensors hf://me/net --dry-run dry";
    assert_told(&run(dry), 2, &["dry/README.md", "exists"]);
    assert_eq!(fs::read(lab.path("dry/README.md")).unwrap(), b"my own");
    assert_eq!(server.requests(), [""; 0]);
    assert_told(
        &lab.vbd("push small.safetensors hf://me/net"),
        1,
        &["HF_HUB_OFFLINE"],
    );
    let alone = with_hub(&lab, &nobody(), &[], "push small.safetensors hf://me/net");
    assert_told(&alone, 1, &["hf://me/net", "no connection"]);
}
