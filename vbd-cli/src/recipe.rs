//! Resolves what `vbd train` trains: the recipe with the command line's changes, its network and data.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use toml::{Table, Value};
use vbd_core::recipe::{AugmentSetting, Method, Recipe, Train};
use vbd_core::toml_file;
use vbd_models::{is_path, nets, recipes};
use vbd_net::file;
use vbd_net::spec::NetSpec;
use vbd_prune::StartFile;

use crate::args::RecipeChanges;
use crate::assignment::{Assignment, paths};
use crate::error::{Problem, Usage};

/// A recipe whose network and data are known.
#[derive(Debug)]
pub(crate) struct RunPlan {
    /// Recipe with all changes applied.
    pub(crate) recipe: Recipe,
    /// Network.
    pub(crate) net: NetSpec,
    /// Name of the data set.
    pub(crate) data: String,
    /// Name of the recipe, for the run directory.
    pub(crate) label: String,
    /// Whether the network is that of the file that the run starts from.
    pub(crate) is_files_own: bool,
}

/// Reads `name_or_path` and applies the flags, then each `--set`.
///
/// With a `start`, defaults change: less initial noise, no KL warm-up. The network is then that of a
/// pruned file which does not fit the recipe's, or of the file if none is given.
pub(crate) fn choose(
    name_or_path: &OsStr,
    changes: &RecipeChanges,
    start: Option<&StartFile>,
) -> anyhow::Result<RunPlan> {
    let name = name_or_path.to_str().filter(|text| !is_path(text));
    let path = name.is_none().then(|| Path::new(name_or_path));
    let shown = name_or_path.to_string_lossy();
    let (text, origin) = match name {
        Some(name) => (
            recipes::toml(name)?.into_owned(),
            format!("recipe `{name}`"),
        ),
        None => (
            file::read_to_string(Path::new(name_or_path))?,
            shown.clone().into_owned(),
        ),
    };
    let stem = path
        .and_then(Path::file_stem)
        .map(|stem| stem.to_string_lossy().into_owned());
    let label = stem.unwrap_or_else(|| shown.into_owned());
    let recipe = changed(&text, &origin, changes, start.is_some())?;
    let Some((net, is_files_own)) = network(&recipe, changes, path, start)? else {
        let problem = Problem::usage(format!("{origin}: no network given"));
        return Err(problem
            .hint("choose one with --model NAME (see `vbd models`) or --model SPEC.toml")
            .into());
    };
    let Some(data) = recipe.data.clone() else {
        let problem = Problem::usage(format!("{origin}: no data given"));
        return Err(problem
            .hint("choose --data digits, mnist, fashion-mnist, cifar-10, svhn, idx:FOLDER, npz:FILE or images:FOLDER")
            .into());
    };
    Ok(RunPlan {
        recipe,
        net,
        data,
        label,
        is_files_own,
    })
}

/// Returns the network to train, and whether it is that of the file to start from. `path` is the
/// recipe's.
fn network(
    recipe: &Recipe,
    changes: &RecipeChanges,
    path: Option<&Path>,
    start: Option<&StartFile>,
) -> anyhow::Result<Option<(NetSpec, bool)>> {
    if let Some(model) = &changes.model {
        return Ok(Some((nets::net(model)?, false)));
    }
    let Some(model) = &recipe.model else {
        let of_file = start.and_then(StartFile::spec);
        return Ok(of_file.map(|spec| (spec.clone(), true)));
    };
    let named = match path {
        Some(path) => nets::net(beside(path, model))?,
        None => nets::net(model)?,
    };
    let of_file = match start {
        Some(start) => start.pruned_spec(&named)?,
        None => None,
    };
    let is_files_own = of_file.is_some();
    Ok(Some((of_file.cloned().unwrap_or(named), is_files_own)))
}

/// Parses the recipe and applies the command line's changes, then the defaults of a run that starts
/// from a trained net.
fn changed(
    text: &str,
    origin: &str,
    changes: &RecipeChanges,
    starts_trained: bool,
) -> anyhow::Result<Recipe> {
    let mut recipe = Recipe::from_toml(text, origin)?;
    let mut table: Table = toml_file::parse(text, origin)?;
    let assignments = assignments(changes);
    if !assignments.is_empty() {
        let known = known_keys(&recipe)?;
        for assignment in assignments {
            assignment.apply(&mut table, &known)?;
        }
        let origin = format!("{origin} with command-line changes");
        let usage = || Usage::new("invalid recipe");
        recipe = Recipe::from_toml(&table.to_string(), &origin).with_context(usage)?;
    }
    if starts_trained {
        recipe.method.set_trained_defaults();
        let train = table.get("train").and_then(Value::as_table);
        if train.is_none_or(|train| !train.contains_key("kl_warmup")) {
            recipe.train.kl_warmup = [0.0, 0.0];
        }
    }
    Ok(recipe)
}

/// Returns the assignments of the flags, followed by those of `--set`.
fn assignments(changes: &RecipeChanges) -> Vec<Assignment> {
    let mut assignments = Vec::new();
    let mut assign = |key: &str, value: Option<Value>| {
        assignments.extend(value.map(|value| Assignment::new(key, value)));
    };
    let model = changes.model.as_deref().map(OsStr::to_string_lossy);
    assign("model", model.map(|model| model.into_owned().into()));
    assign("data", changes.data.clone().map(Into::into));
    assign("train.epochs", changes.epochs.map(Into::into));
    assign("train.batch_size", changes.batch_size.map(Into::into));
    assign("train.lr", changes.lr.map(Into::into));
    assign("train.seed", changes.seed.map(Into::into));
    assign("method.kl_weight", changes.kl_weight.map(Into::into));
    assignments.extend(changes.assignments.iter().cloned());
    assignments
}

/// Returns the dotted paths of every key that a recipe may have.
fn known_keys(recipe: &Recipe) -> anyhow::Result<Vec<String>> {
    let some = Some(String::new());
    let full = Recipe {
        model: some.clone(),
        data: some,
        train: Train {
            momentum: Some(0.0),
            weight_decay: Some(0.0),
            lr_steps: Some(Vec::new()),
            lr_factor: Some(0.0),
            lr_gamma: Some(0.0),
            lr_power: Some(0.0),
            augment: Some(AugmentSetting::default()),
            test: false,
            ..recipe.train.clone()
        },
        ..recipe.clone()
    };
    let mut known = paths(&toml_file::parse(&full.to_toml()?, "recipe")?);
    let of_method = Method::known_keys().into_iter();
    known.extend(of_method.map(|key| format!("method.{key}")));
    known.sort_unstable();
    known.dedup();
    Ok(known)
}

/// Resolves a recipe's network: a path relative to the recipe, or else to the current directory.
fn beside(recipe: &Path, model: &str) -> PathBuf {
    let found = recipe.parent().map(|folder| folder.join(model));
    let found = found.filter(|path| is_path(model) && path.is_file());
    found.unwrap_or_else(|| model.into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn train_args(words: &str) -> crate::args::TrainArgs {
        let command = Cli::try_parse_from(words.split_whitespace())
            .unwrap()
            .command;
        let Command::Train(args) = command else {
            panic!("{command:?}")
        };
        *args
    }

    fn choose_by(words: &str) -> anyhow::Result<RunPlan> {
        let args = train_args(words);
        choose(args.recipe.as_deref().unwrap(), &args.changes, None)
    }

    #[test]
    fn a_run_from_a_trained_net_starts_with_little_noise_by_default() {
        let of = |text: &str, words: &str, starts_trained: bool| {
            let changes = train_args(&format!("vbd train r.toml {words}")).changes;
            let recipe = changed(text, "r.toml", &changes, starts_trained).unwrap();
            (
                recipe.method.settings().number("log_sigma2_init"),
                recipe.train.kl_warmup,
            )
        };
        let open = "summary = 's'\n[method]\nkind = 'vbd'\n";
        let told = "summary = 's'\n[method]\nkind = 'vbd'\nlog_sigma2_init = -5.0\n\
            [train]\nkl_warmup = [0.1, 0.2]\n";
        assert_eq!(of(open, "", false), (-10.0, [0.025, 0.1]));
        assert_eq!(of(open, "", true), (-8.0, [0.0, 0.0]));
        assert_eq!(of(told, "", true), (-5.0, [0.1, 0.2]));
        let flag = "--set log_sigma2_init=-6";
        assert_eq!(of(open, flag, true), (-6.0, [0.0, 0.0]));
        let flags = "--set train.kl_warmup=[0,0.5]";
        assert_eq!(of(open, flags, true), (-8.0, [0.0, 0.5]));
        // A kind that a flag chooses, and one of a rule.
        let dense = "summary = 's'\n[method]\nkind = 'dense'\n";
        assert_eq!(of(dense, "--set method.kind=vd", true), (-8.0, [0.0, 0.0]));
        let rule = "[[method.rule]]\nweights = ['fc1']\nkind = 'vbd'\n";
        let changes = train_args("vbd train r.toml").changes;
        let ruled = changed(&format!("{dense}{rule}"), "r.toml", &changes, true).unwrap();
        assert!(ruled.method.keys.is_empty());
        let init = ruled.method.rules[0].keys.get("log_sigma2_init");
        assert_eq!(init.map(ToString::to_string), Some("-8".to_owned()));
    }

    #[test]
    fn flags_and_sets_change_the_recipe() {
        let chosen = choose_by(
            "vbd train vbd --model lenet-300-100 --data digits --epochs 3 --lr 2e-3 --seed 7 \
             --kl-weight 2 --batch-size 50 --set log_alpha_threshold=2 --set train.kl_warmup=[0,0.5] \
             --set theta_init=normal(0.02)",
        );
        let RunPlan {
            recipe,
            net,
            data,
            label,
            is_files_own,
        } = chosen.unwrap();
        assert!(!is_files_own);
        assert_eq!(
            (
                recipe.train.epochs,
                recipe.train.seed,
                recipe.train.batch_size
            ),
            (3, 7, 50)
        );
        assert_eq!((recipe.train.lr, recipe.method.kl_weight), (2e-3, 2.0));
        assert_eq!(
            (
                recipe.method.settings().number("log_alpha_threshold"),
                recipe.train.kl_warmup
            ),
            (2.0, [0.0, 0.5])
        );
        assert_eq!(
            (net.name.as_str(), data.as_str(), label.as_str()),
            ("lenet-300-100", "digits", "vbd")
        );
    }

    #[test]
    fn what_is_left_open_must_be_given() {
        let error = choose_by("vbd train vbd --data digits")
            .unwrap_err()
            .to_string();
        assert!(error.contains("network"), "{error}");
        let error = choose_by("vbd train vbd --model lenet-300-100")
            .unwrap_err()
            .to_string();
        assert!(error.contains("data"), "{error}");
    }

    #[test]
    fn an_unknown_dotted_key_is_answered_with_the_nearest() {
        let error = choose_by("vbd train quickstart --set method.kl_wieght=2").unwrap_err();
        let Some(vbd_core::Error::Toml { nearest, .. }) = error.downcast_ref() else {
            panic!("{error:#}")
        };
        assert_eq!(nearest.as_deref(), Some("kl_weight"));
    }

    #[test]
    fn a_recipes_own_network_is_looked_for_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        let net = nets::toml("lenet-300-100")
            .unwrap()
            .replace("lenet-300-100", "mine");
        file::write_atomic(&folder.path().join("net.toml"), net.as_bytes()).unwrap();
        let text = "summary = ''\nmodel = 'net.toml'\ndata = 'digits'\nmethod = { kind = 'vd' }";
        file::write_atomic(&path, text.as_bytes()).unwrap();
        let chosen = choose_by(&format!("vbd train {}", path.display())).unwrap();
        assert_eq!(
            (chosen.net.name.as_str(), chosen.label.as_str()),
            ("mine", "mine")
        );
    }
}
