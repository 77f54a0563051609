//! Error reporting: `error: what: why`, then `hint: what to do`, and the exit code.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::render::{ClosedPipe, Output, Paint, printable, printable_lines, say_painted};

/// Exit code for wrong usage. Other failures exit with 1.
pub(crate) const USAGE: u8 = 2;
/// Exit code of an interrupted run.
pub(crate) const INTERRUPTED: u8 = 130;

/// An error of the command line itself, with an optional hint.
#[derive(Debug)]
pub(crate) struct Problem {
    message: String,
    hint: Option<String>,
    is_usage: bool,
}

impl Problem {
    /// Creates an error with exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            is_usage: false,
        }
    }

    /// Creates an error with exit code [`USAGE`].
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            is_usage: true,
            ..Self::new(message)
        }
    }

    /// Adds a hint.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// Context that marks an error as wrong usage.
#[derive(Debug)]
pub(crate) struct Usage(String);

impl Usage {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Prints the error and its hints to stderr. Returns the exit code.
pub(crate) fn report(error: &anyhow::Error, out: &Output) -> ExitCode {
    if error.is::<ClosedPipe>() {
        return ExitCode::SUCCESS;
    }
    let colours = out.colours_stderr();
    say_error(error, colours);
    say_hints(hints(error), colours);
    if is_usage(error) {
        ExitCode::from(USAGE)
    } else {
        ExitCode::FAILURE
    }
}

/// Prints the errors of several inputs to stderr, then each hint once.
pub(crate) fn report_inputs(errors: &[anyhow::Error], out: &Output) {
    let colours = out.colours_stderr();
    let mut all_hints = Vec::new();
    for error in errors {
        say_error(error, colours);
        for hint in hints(error) {
            if !all_hints.contains(&hint) {
                all_hints.push(hint);
            }
        }
    }
    say_hints(all_hints, colours);
}

fn say_error(error: &anyhow::Error, colours: bool) {
    let word = Paint::Red.apply("error", colours);
    say_painted(&format!("{word}: {}", shown(error)));
}

fn say_hints(hints: Vec<String>, colours: bool) {
    let word = Paint::Green.apply("hint", colours);
    for hint in hints {
        say_painted(&format!("{word}: {}", printable(&hint)));
    }
}

/// Returns the message with escapes for what controls a terminal. Only errors of TOML, which quote
/// the text, have several lines.
pub(crate) fn shown(error: &anyhow::Error) -> String {
    let has_lines = error
        .chain()
        .any(|cause| matches!(core_error(cause), Some(vbd_core::Error::Toml { .. })));
    let message = message(error);
    if has_lines {
        printable_lines(&message)
    } else {
        printable(&message).into_owned()
    }
}

/// Joins the chain of causes. Skips a cause whose text already ends the message.
pub(crate) fn message(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn is_usage(error: &anyhow::Error) -> bool {
    let unknown = |error: &vbd_models::Error| {
        use vbd_models::Error;
        matches!(error, Error::Unknown { .. } | Error::NoFolder { .. })
    };
    error.downcast_ref::<Usage>().is_some()
        || error
            .downcast_ref::<Problem>()
            .is_some_and(|problem| problem.is_usage)
        || error
            .downcast_ref::<vbd_models::Error>()
            .is_some_and(unknown)
}

/// Collects the hints of an error and its causes.
fn hints(error: &anyhow::Error) -> Vec<String> {
    let hints = error.chain().filter_map(|cause| {
        if let Some(problem) = cause.downcast_ref::<Problem>() {
            return problem.hint.clone();
        }
        if let Some(error) = cause.downcast_ref::<vbd_models::picture::DecodeError>() {
            return error.hint().map(str::to_owned);
        }
        if let Some(error) = core_error(cause) {
            return core_hint(error);
        }
        if let Some(error) = cause.downcast_ref::<vbd_net::Error>() {
            return net_hint(error);
        }
        match cause.downcast_ref::<vbd_models::Error>() {
            Some(vbd_models::Error::Net(error)) => return net_hint(error),
            Some(error) => return models_hint(error),
            None => {}
        }
        match cause.downcast_ref::<vbd_prune::Error>() {
            Some(vbd_prune::Error::Net(error)) => net_hint(error),
            Some(error) => error.hint().map(str::to_owned),
            None => None,
        }
    });
    hints.collect()
}

/// Returns the error of vbd-core that a cause is or wraps transparently.
fn core_error<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a vbd_core::Error> {
    if let Some(vbd_models::Error::Core(error)) = cause.downcast_ref() {
        return Some(error);
    }
    if let Some(vbd_prune::Error::Core(error)) = cause.downcast_ref() {
        return Some(error);
    }
    cause.downcast_ref()
}

fn core_hint(error: &vbd_core::Error) -> Option<String> {
    use vbd_core::Error;
    match error {
        Error::Toml {
            nearest: Some(nearest),
            ..
        } => Some(format!("the nearest known key is `{nearest}`")),
        Error::RunExists { path } => Some(format!(
            "resume it with `vbd train --resume {}` or choose another --out",
            path.display()
        )),
        Error::AllDamaged { .. } => {
            Some("start the run again in another directory, with --out".to_owned())
        }
        Error::NoCheckpoint { path } => Some(format!(
            "give a run directory, or start a run there with `vbd train RECIPE --out {}`",
            path.display()
        )),
        Error::Collapsed { .. } => {
            Some("try a smaller --kl-weight, a later train.kl_warmup or a smaller --lr".to_owned())
        }
        Error::Diverged { .. } => {
            Some("try a smaller --lr; the last checkpoint predates the divergence".to_owned())
        }
        Error::StartPruned { .. } => {
            Some("give the checkpoint or run that the file was pruned from".to_owned())
        }
        Error::StartGateStays { .. } => Some(
            "start from a run whose gates come before layers with weights alone".to_owned(),
        ),
        Error::StartTensors { .. } => Some(
            "choose the network that they belong to with --model, or --spec of `vbd import`; `vbd models \
             NAME` lists its layers"
                .to_owned(),
        ),
        Error::Net(error) => net_hint(error),
        Error::Checkpoint { .. } => {
            Some("the previous checkpoint is in the run's checkpoints/ directory".to_owned())
        }
        _ => None,
    }
}

fn net_hint(error: &vbd_net::Error) -> Option<String> {
    use vbd_net::Error;
    match error {
        Error::Data { .. } => Some(
            "compare `vbd data DATA` with the network: `vbd inspect FILE`, `vbd models NAME`"
                .to_owned(),
        ),
        Error::ImageShape {
            found, expected, ..
        } => Some(match transposition(found, expected) {
            Some([a, b, c]) => format!(
                "the images fit if transposed, in numpy: images.transpose(0, {}, {}, {})",
                a + 1,
                b + 1,
                c + 1
            ),
            None => "choose the network with --model and the data with --data".to_owned(),
        }),
        Error::NoLabels { .. } => Some("choose labeled data with --data".to_owned()),
        Error::Io { path, source } if source.kind() == io::ErrorKind::NotFound => {
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty())?;
            (!folder.exists()).then(|| format!("directory {} does not exist", folder.display()))
        }
        _ => error.hint().map(str::to_owned),
    }
}

/// Returns the order of the axes of `found` that gives `expected`, if there is one.
fn transposition(found: &[usize; 3], expected: &[usize]) -> Option<[usize; 3]> {
    const ORDERS: [[usize; 3]; 5] = [[2, 0, 1], [1, 2, 0], [0, 2, 1], [2, 1, 0], [1, 0, 2]];
    let fits = |order: &[usize; 3]| order.map(|axis| found[axis])[..] == *expected;
    ORDERS.into_iter().find(fits)
}

fn models_hint(error: &vbd_models::Error) -> Option<String> {
    use vbd_models::Error;
    use vbd_models::picture::DecodeError;
    match error {
        Error::Unknown { kind: "recipe", .. } => {
            Some("list recipes with `vbd recipes`, or give the path to a TOML file".to_owned())
        }
        Error::Unknown {
            kind: "network", ..
        } => Some("list networks with `vbd models`, or give the path to a TOML file".to_owned()),
        Error::Unknown { .. } | Error::NoFolder { .. } => {
            Some("list data sets with `vbd data`".to_owned())
        }
        #[cfg(feature = "hub")]
        Error::Hub { problem, .. } => problem.hint().map(str::to_owned),
        #[cfg(feature = "hub")]
        Error::DataNotFetched { name, source, .. } => {
            let files = format!(
                "set --data-dir DIR or VBD_DATA_DIR to the directory that has its files (DIR/{name}/ or DIR/), \
                 or use your own data (idx:FOLDER, npz:FILE, images:FOLDER) or the built-in set digits"
            );
            let hub = models_hint(source);
            Some(hub.map_or_else(|| files.clone(), |hub| format!("{files}; or {hub}")))
        }
        Error::DataNotFound { .. } => Some("use --data digits, which needs no files".to_owned()),
        Error::Picture { problem, .. } => match problem {
            DecodeError::NothingShows(_) | DecodeError::UnknownGround => {
                Some("save the image without transparency".to_owned())
            }
            problem => problem.hint().map(str::to_owned),
        },
        Error::NoIdxFiles { .. } => Some("use MNIST's names for the four IDX files".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_cause_that_the_message_already_contains_is_not_repeated() {
        let error = vbd_net::file::read(std::path::Path::new("/no/such/file")).unwrap_err();
        let text = message(&anyhow::Error::new(error).context("the run"));
        assert_eq!(text.matches("No such file").count(), 1, "{text}");
        assert!(text.starts_with("the run: /no/such/file: "), "{text}");
    }

    #[test]
    fn images_in_another_order_of_axes_get_the_transposition_that_fits() {
        assert_eq!(transposition(&[8, 9, 3], &[3, 8, 9]), Some([2, 0, 1]));
        assert_eq!(transposition(&[3, 9, 8], &[3, 8, 9]), Some([0, 2, 1]));
        assert_eq!(transposition(&[28, 28, 1], &[1, 28, 28]), Some([2, 0, 1]));
        assert_eq!(transposition(&[8, 8, 3], &[3, 8, 9]), None);
        assert_eq!(transposition(&[8, 8, 3], &[192]), None);
    }

    #[test]
    fn hints_are_found_under_every_wrapping() {
        let exists = || vbd_core::Error::RunExists {
            path: "runs/x".into(),
        };
        let wrapped: [anyhow::Error; 3] = [
            exists().into(),
            vbd_models::Error::from(exists()).into(),
            vbd_prune::Error::from(exists()).into(),
        ];
        for error in wrapped {
            let error = error.context("training");
            assert!(hints(&error)[0].contains("--resume runs/x"));
            assert!(!is_usage(&error));
        }
    }

    #[test]
    fn unknown_names_on_the_command_line_are_wrong_usage() {
        let unknown = vbd_models::recipes::recipe("vdb")
            .map(|_| ())
            .context("the recipe");
        assert!(is_usage(&unknown.unwrap_err()));
        assert!(is_usage(&Problem::usage("x").into()));
        assert!(!is_usage(&Problem::new("x").into()));
    }
}
