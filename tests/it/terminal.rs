//! stdout for results alone, colours, width, closed pipes, completions.

use super::support::{Lab, json_lines};

#[test]
fn results_go_to_stdout_and_all_else_to_stderr() {
    let lab = Lab::new();
    let run = lab.vbd("train small.toml --epochs 2 --out run");
    assert_eq!(run.code, Some(0), "{run:?}");
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(lines[0].contains("epoch") && lines[0].contains("fc1") && lines[0].contains("ratio"));
    assert!(lines[1].trim().starts_with("1/2") && lines[2].trim().starts_with("2/2"));
    assert!(
        run.stderr.contains("training small in run"),
        "{}",
        run.stderr
    );
    assert!(!run.stdout.contains("training small"), "{}", run.stdout);
    // Without a terminal on stderr, there is no progress display.
    assert!(
        !run.stderr.contains('\r') && !run.stderr.contains('\x1b'),
        "{}",
        run.stderr
    );
}

#[test]
fn colours_come_only_when_they_should() {
    let lab = Lab::new();
    assert!(!lab.succeed("recipes").contains('\x1b'));
    assert!(lab.succeed("recipes --color always").contains("\x1b["));
    assert!(!lab.succeed("recipes --color never").contains('\x1b'));
    let error = lab.vbd("train vdb --color always").stderr;
    assert!(error.contains("\x1b[1;31merror\x1b[0m: "), "{error:?}");
}

#[test]
fn output_fits_into_columns() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 1 --out run");
    for (words, columns) in [
        ("recipes", 50),
        ("train small.toml --epochs 1", 44),
        ("inspect run", 90),
        ("inspect run", 80),
        ("inspect run", 60),
        ("bench run --batch 1,1024 --seconds 0.001", 80),
    ] {
        let words = words.split_whitespace();
        let output = lab
            .command(words)
            .env("COLUMNS", columns.to_string())
            .output()
            .unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let table = text
            .lines()
            .take_while(|line| !line.starts_with("checkpoint ") && !line.starts_with("ratio "));
        let widest = table.map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= columns, "{widest} over {columns}:\n{text}");
    }
}

#[test]
fn inspect_shows_kernels_and_multiply_adds() {
    let lab = Lab::new();
    lab.succeed("train small.toml --out run");
    let report = lab.json("inspect run");
    for columns in ["80", "200"] {
        let mut command = lab.command(["inspect", "run"]);
        let output = command.env("COLUMNS", columns).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap().replace(',', "");
        let cells = |first: &str| -> Vec<&str> {
            let row = text.lines().map(str::split_whitespace);
            let mut row = row.filter(|row| row.clone().next() == Some(first));
            row.next().unwrap().collect()
        };
        let titles = cells("layer");
        assert!(titles.ends_with(&["kernel", "mul-adds"]), "{text}");
        let mut sum = 0;
        for layer in report["layers"].as_array().unwrap() {
            let word = |field: &str| layer[field].as_str().unwrap();
            let (many, one) = (word("kernel"), word("kernel_one"));
            let kernel = if many == one {
                many.to_owned()
            } else {
                format!("{many}/{one}")
            };
            let multiply_adds = layer["multiply_adds"].as_u64().unwrap();
            sum += multiply_adds;
            let ends = [kernel, multiply_adds.to_string()];
            assert!(cells(word("name")).ends_with(&ends.each_ref().map(|end| &**end)));
        }
        assert_eq!(cells("all").last(), Some(&&*sum.to_string()));
        let work = format!("work        {sum} multiply-adds per sample");
        assert!(text.contains(&work), "{text}");
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 1 --out run");
    for words in [
        "recipes",
        "models lenet-300-100",
        "inspect run",
        "eval run --json",
        "predict run --index 0,1,2 --json",
        "completions bash",
        "--help",
        "train --help",
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = lab
            .command(words.split_whitespace())
            .stdout(writer)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*stderr), (Some(0), ""), "{words}");
    }
}

#[test]
fn a_run_continues_after_its_reader_closes_the_pipe() {
    let lab = Lab::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let words = "train small.toml --epochs 3 --out run --json";
    let output = lab
        .command(words.split_whitespace())
        .stdout(writer)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("metrics.jsonl"), "{stderr}");
    assert_eq!(lab.metrics("run").len(), 3);
}

#[test]
fn logs_follow_rust_log_and_the_flag() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 2 --out run");
    let checkpoint = lab.last_checkpoint("run");
    let whole = std::fs::read(&checkpoint).unwrap();
    vbd_net::file::write_atomic(&checkpoint, &whole[..whole.len() / 2]).unwrap();
    let warned = lab.vbd("inspect run --json");
    assert!(warned.stderr.starts_with("warning: "), "{}", warned.stderr);
    assert_eq!(json_lines(&warned.stdout).len(), 1);
    let quiet = lab
        .command(["inspect", "run"])
        .env("RUST_LOG", "off")
        .output()
        .unwrap();
    assert!(quiet.status.success() && quiet.stderr.is_empty());
}

#[test]
fn completions_know_the_verbs() {
    let lab = Lab::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = lab.succeed(&format!("completions {shell}"));
        assert!(
            script.contains("quickstart") && script.contains("keep-every"),
            "{shell}"
        );
    }
}
