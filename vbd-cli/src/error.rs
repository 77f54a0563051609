//! Errors as the user sees them: `error: what: why`, then `hint: what to do`, and an exit code.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::render::{ClosedPipe, Output, Paint, say};

/// The exit code of a wrong command line; a run that failed has 1.
pub(crate) const USAGE: u8 = 2;
/// The exit code of a run that was interrupted.
pub(crate) const INTERRUPTED: u8 = 130;

/// An error that only the command line can make.
#[derive(Debug)]
pub(crate) struct Problem {
    message: String,
    hint: Option<String>,
    is_usage: bool,
}

impl Problem {
    /// What was asked for cannot be done.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            is_usage: false,
        }
    }

    /// The command line itself is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            is_usage: true,
            ..Self::new(message)
        }
    }

    /// Says what to do about it.
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

/// Marks an error as one of the command line: what it names was given there.
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

/// Tells the error on stderr; the exit code that it means.
pub(crate) fn report(error: &anyhow::Error, out: &Output) -> ExitCode {
    if error.is::<ClosedPipe>() {
        return ExitCode::SUCCESS;
    }
    let colours = out.colours_stderr();
    say(&format!(
        "{}: {}",
        Paint::Red.apply("error", colours),
        message(error)
    ));
    for hint in hints(error) {
        say(&format!("{}: {hint}", Paint::Green.apply("hint", colours)));
    }
    if is_usage(error) {
        ExitCode::from(USAGE)
    } else {
        ExitCode::FAILURE
    }
}

/// The chain of causes, without those that the error before them has in its own words.
fn message(error: &anyhow::Error) -> String {
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
    let unknown = |error: &vbd_models::Error| matches!(error, vbd_models::Error::Unknown { .. });
    error.downcast_ref::<Usage>().is_some()
        || error
            .downcast_ref::<Problem>()
            .is_some_and(|problem| problem.is_usage)
        || error
            .downcast_ref::<vbd_models::Error>()
            .is_some_and(unknown)
}

/// What can be done about an error.
fn hints(error: &anyhow::Error) -> Vec<String> {
    let hints = error.chain().filter_map(|cause| {
        if let Some(problem) = cause.downcast_ref::<Problem>() {
            return problem.hint.clone();
        }
        if let Some(error) = cause.downcast_ref::<vbd_core::Error>() {
            return core_hint(error);
        }
        if let Some(error) = cause.downcast_ref::<vbd_net::Error>() {
            return net_hint(error);
        }
        match cause.downcast_ref::<vbd_models::Error>() {
            Some(vbd_models::Error::Core(error)) => return core_hint(error),
            Some(vbd_models::Error::Net(error)) => return net_hint(error),
            Some(error) => return models_hint(error),
            None => {}
        }
        match cause.downcast_ref::<vbd_prune::Error>() {
            Some(vbd_prune::Error::Core(error)) => core_hint(error),
            Some(vbd_prune::Error::Net(error)) => net_hint(error),
            Some(error) => error.hint().map(str::to_owned),
            None => None,
        }
    });
    hints.collect()
}

fn core_hint(error: &vbd_core::Error) -> Option<String> {
    use vbd_core::Error;
    match error {
        Error::Toml {
            nearest: Some(nearest),
            ..
        } => Some(format!("the nearest known key is `{nearest}`")),
        Error::RunExists { path } => Some(format!(
            "go on with it: `vbd train --resume {}`, or choose another --out",
            path.display()
        )),
        Error::NoCheckpoint { .. } => {
            Some("give a run's folder; one without a checkpoint has to start anew".to_owned())
        }
        Error::Diverged { .. } => {
            Some("the last checkpoint is from before; a smaller --lr may help".to_owned())
        }
        Error::Net(error) => net_hint(error),
        Error::Checkpoint { .. } => {
            Some("the run's checkpoints/ folder has the one before it".to_owned())
        }
        _ => None,
    }
}

fn net_hint(error: &vbd_net::Error) -> Option<String> {
    use vbd_net::Error;
    match error {
        Error::Data { .. } => {
            Some("choose the network with --model, the data with --data".to_owned())
        }
        Error::NoLabels { .. } => Some("choose data with labels with --data".to_owned()),
        Error::Io { path, source } if source.kind() == io::ErrorKind::NotFound => {
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty())?;
            (!folder.exists()).then(|| format!("there is no folder {}", folder.display()))
        }
        _ => None,
    }
}

fn models_hint(error: &vbd_models::Error) -> Option<String> {
    use vbd_models::Error;
    match error {
        Error::Unknown { kind: "recipe", .. } => {
            Some("`vbd recipes` lists them; a file of your own needs its path".to_owned())
        }
        Error::Unknown {
            kind: "network", ..
        } => Some("`vbd models` lists them; a file of your own needs its path".to_owned()),
        Error::Unknown { .. } => Some("`vbd data` lists them".to_owned()),
        Error::DataNotFound { .. } => Some("--data digits needs no files".to_owned()),
        Error::NoIdxFiles { .. } => Some("the four IDX files have MNIST's names".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_cause_that_is_in_the_words_before_it_is_not_told_twice() {
        let error = vbd_net::file::read(std::path::Path::new("/no/such/file")).unwrap_err();
        let text = message(&anyhow::Error::new(error).context("the run"));
        assert_eq!(text.matches("No such file").count(), 1, "{text}");
        assert!(text.starts_with("the run: /no/such/file: "), "{text}");
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
    fn what_the_command_line_names_wrongly_is_wrong_usage() {
        let unknown = vbd_models::recipes::recipe("vdb")
            .map(|_| ())
            .context("the recipe");
        assert!(is_usage(&unknown.unwrap_err()));
        assert!(is_usage(&Problem::usage("x").into()));
        assert!(!is_usage(&Problem::new("x").into()));
    }
}
