//! Sweeps: many runs from one TOML file, and the table of their results.
//!
//! A sweep is rows times seeds. A row is a recipe with changes; a row with a `grid` stands for one row per
//! combination of the grid's values.

mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};
use vbd_core::toml_file;
use vbd_net::file;

use crate::error::{Error, Result};

pub use rows::{RowResult, RunResult, Spread};

/// Maximum number of runs of a sweep.
const MOST_RUNS: usize = 10_000;

/// A sweep's file.
///
/// Name | Default | Meaning
/// -|-|-
/// `summary` | | what is compared
/// `seeds` | `[0]` | seeds of each row
/// `select` | `last` | epoch that counts, see [`Select`]
/// `set` | | keys of every run's recipe, by dotted name
/// `run` | | the rows
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// What is compared.
    pub summary: String,
    /// Seeds of each row.
    #[serde(default = "first_seed")]
    pub seeds: Vec<u64>,
    /// Epoch that counts.
    #[serde(default)]
    pub select: Select,
    #[serde(default)]
    set: Table,
    #[serde(rename = "run")]
    rows: Vec<Row>,
    #[serde(skip)]
    origin: String,
}

/// How the epoch of a run is chosen.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Select {
    /// The last epoch.
    #[default]
    Last,
    /// The epoch with the lowest validation error among those at the recipe's `select_ratio` or more.
    /// The test set is not read.
    Validation,
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    recipe: String,
    seeds: Option<Vec<u64>>,
    #[serde(default)]
    set: Table,
    #[serde(default)]
    grid: BTreeMap<String, Vec<Value>>,
    paper: Option<PaperFigures>,
}

/// A paper's figures for a row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperFigures {
    /// Test error, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_error: Option<f64>,
    /// All weights to nonzero weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression_ratio: Option<f64>,
}

/// One run of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedRun {
    /// Name of its row.
    pub row: String,
    /// Name or path of the recipe.
    pub recipe: String,
    /// Changes of the recipe, in order: dotted key and value.
    pub set: Vec<(String, Value)>,
    /// Seed.
    pub seed: u64,
    /// Name of its directory.
    pub folder: String,
    /// The paper's figures.
    pub paper: Option<PaperFigures>,
}

fn first_seed() -> Vec<u64> {
    vec![0]
}

impl Sweep {
    /// Reads a sweep's file.
    ///
    /// # Errors
    /// [`Error::Sweep`] if it contradicts itself; [`vbd_core::Error`] if it cannot be read or is not valid TOML.
    pub fn read(path: &Path) -> Result<Self> {
        let text = file::read_to_string(path).map_err(vbd_core::Error::from)?;
        Self::from_toml(&text, &path.display().to_string())
    }

    /// Parses a sweep. `origin` names it in errors.
    ///
    /// # Errors
    /// As [`Sweep::read`].
    pub fn from_toml(text: &str, origin: &str) -> Result<Self> {
        let sweep: Self = toml_file::parse(text, origin)?;
        let sweep = Self {
            origin: origin.to_owned(),
            ..sweep
        };
        sweep.runs()?;
        Ok(sweep)
    }

    fn problem(&self, problem: String) -> Error {
        Error::Sweep {
            origin: self.origin.clone(),
            problem,
        }
    }

    /// Returns all runs: row by row, and seed by seed within a row.
    ///
    /// # Errors
    /// [`Error::Sweep`] if there is none, if names or seeds are doubled or unusable, or if there are too many.
    pub fn runs(&self) -> Result<Vec<PlannedRun>> {
        let (mut runs, mut rows, mut folders) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for row in &self.rows {
            let seeds = row.seeds.as_ref().unwrap_or(&self.seeds);
            self.check_seeds(row, seeds)?;
            for (name, grid) in self.combinations(row)? {
                if name.trim().is_empty() || name.contains([',', '/', '\\']) {
                    return Err(self.problem(format!(
                        "run `{name}`: expected a name without commas and slashes"
                    )));
                }
                if !rows.insert(name.clone()) {
                    return Err(self.problem(format!("run `{name}`: duplicate name")));
                }
                let mut set = flat(&self.set);
                set.extend(flat(&row.set));
                set.extend(grid);
                if self.select == Select::Validation {
                    set.push(("train.test".to_owned(), Value::Boolean(false)));
                }
                for &seed in seeds {
                    let folder = format!("{}-seed{seed}", folder_name(&name));
                    if !folders.insert(folder.clone()) {
                        return Err(self.problem(format!(
                            "run `{name}`: another run has the directory `{folder}` too"
                        )));
                    }
                    runs.push(PlannedRun {
                        row: name.clone(),
                        recipe: row.recipe.clone(),
                        set: set.clone(),
                        seed,
                        folder,
                        paper: row.paper,
                    });
                }
            }
            if runs.len() > MOST_RUNS {
                return Err(self.problem(format!("more than {MOST_RUNS} runs")));
            }
        }
        if runs.is_empty() {
            return Err(self.problem("no `[[run]]`".to_owned()));
        }
        Ok(runs)
    }

    fn check_seeds(&self, row: &Row, seeds: &[u64]) -> Result<()> {
        let different: BTreeSet<u64> = seeds.iter().copied().collect();
        if seeds.is_empty() || different.len() < seeds.len() {
            return Err(self.problem(format!(
                "run `{}`: seeds {seeds:?}: expected one or more, each once",
                row.name
            )));
        }
        Ok(())
    }

    /// Returns name and values of each combination of a row's grid.
    fn combinations(&self, row: &Row) -> Result<Vec<(String, Changes)>> {
        let mut all = vec![(row.name.clone(), Changes::new())];
        for (key, values) in &row.grid {
            if values.is_empty() || values.len().saturating_mul(all.len()) > MOST_RUNS {
                return Err(self.problem(format!(
                    "run `{}`: grid of `{key}` has {} values: expected 1 to {MOST_RUNS} in all",
                    row.name,
                    values.len()
                )));
            }
            let last = key.rsplit('.').next().unwrap_or(key);
            let longer = all.iter().flat_map(|(name, set)| {
                values.iter().map(move |value| {
                    let mut set = set.clone();
                    set.push((key.clone(), value.clone()));
                    (format!("{name} {last}={}", shown(value)), set)
                })
            });
            all = longer.collect();
        }
        Ok(all)
    }
}

/// Changes of a recipe: dotted key and value.
type Changes = Vec<(String, Value)>;

/// Returns a value in a row's name, which has no commas.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string().replace(", ", " ").replace(',', " "),
    }
}

/// Returns the values of a table with nested ones, by dotted key.
fn flat(table: &Table) -> Changes {
    let mut all = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => {
                let inner = flat(inner).into_iter();
                all.extend(inner.map(|(path, value)| (format!("{key}.{path}"), value)));
            }
            _ => all.push((key.clone(), value.clone())),
        }
    }
    all
}

/// Returns a name of a directory on any file system.
fn folder_name(name: &str) -> String {
    let kept = |c: char| {
        if c.is_ascii_alphanumeric() || "._=+-".contains(c) {
            c
        } else {
            '-'
        }
    };
    name.trim().chars().map(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(text: &str) -> Result<Sweep> {
        Sweep::from_toml(text, "s.toml")
    }

    #[test]
    fn rows_grids_and_seeds_become_runs_in_order() {
        let text = r#"
            summary = "two rows"
            seeds = [0, 2]
            [set]
            "train.epochs" = 3
            train.lr = 1e-2
            [[run]]
            name = "VBD, no"
            recipe = "vbd"
        "#;
        assert!(
            sweep(text)
                .unwrap_err()
                .to_string()
                .contains("without commas")
        );
        let text = text.replace("VBD, no", "VBD")
            + r#"
            set = { "train.lr" = 1e-3 }
            paper = { test_error = 0.0167 }
            [[run]]
            name = "VD"
            recipe = "vd"
            seeds = [7]
            grid = { "train.lr" = [1e-3, 5e-4], "method.kl_weight" = [1.0] }
        "#;
        let runs = sweep(&text).unwrap().runs().unwrap();
        let names: Vec<&str> = runs.iter().map(|run| run.folder.as_str()).collect();
        assert_eq!(
            names,
            [
                "VBD-seed0",
                "VBD-seed2",
                "VD-kl_weight=1.0-lr=0.001-seed7",
                "VD-kl_weight=1.0-lr=0.0005-seed7"
            ]
        );
        let set = |run: &PlannedRun| {
            let set = run.set.iter().map(|(key, value)| format!("{key}={value}"));
            set.collect::<Vec<_>>()
        };
        let expected = ["train.lr=0.01", "train.epochs=3", "train.lr=0.001"];
        assert_eq!(set(&runs[0]), expected);
        assert_eq!(runs[0].paper.unwrap().test_error, Some(0.0167));
        assert_eq!(
            set(&runs[3])[2..],
            ["method.kl_weight=1.0", "train.lr=0.0005"]
        );
    }

    #[test]
    fn a_choice_by_validation_reads_no_test_set() {
        let text = "summary = ''\nselect = 'validation'\n[[run]]\nname = 'a'\nrecipe = 'vbd'\n";
        let runs = sweep(text).unwrap().runs().unwrap();
        assert_eq!(
            runs[0].set,
            [("train.test".to_owned(), Value::Boolean(false))]
        );
    }

    #[test]
    fn doubled_names_and_seeds_and_unknown_keys_are_refused() {
        let run = "[[run]]\nname = 'a'\nrecipe = 'vbd'\n";
        for (text, words) in [
            (format!("summary = ''\n{run}{run}"), "duplicate name"),
            (format!("summary = ''\nseeds = [1, 1]\n{run}"), "each once"),
            (format!("summary = ''\nseeds = []\n{run}"), "each once"),
            ("summary = ''\nrun = []\n".to_owned(), "no `[[run]]`"),
            (
                format!("summary = ''\n{run}sede = 1\n"),
                "unknown field `sede`",
            ),
            (
                format!("summary = ''\n{run}grid = {{ lr = [] }}\n"),
                "grid of `lr` has 0 values",
            ),
            (
                format!("summary = ''\n{run}{}", run.replace("'a'", "'a '")),
                "another run has the directory",
            ),
        ] {
            let error = sweep(&text).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("s.toml"), "{error}");
        }
    }
}
