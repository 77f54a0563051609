//! The only module that prints: results to stdout, everything else to stderr.

mod epochs;
mod histogram;
mod number;
mod paint;
mod printable;
mod progress;
mod report;
mod sensitivity;
mod table;
mod weights;

use std::fmt;
use std::io::{self, IsTerminal, Write};

use clap::ColorChoice;
use serde::Serialize;

pub(crate) use self::epochs::EpochView;
pub(crate) use self::number::{bytes, count, loss, micros, percent, ratio, times};
pub(crate) use self::paint::Paint;
#[cfg(test)]
pub(crate) use self::printable::is_unprintable;
pub(crate) use self::printable::{printable, printable_lines};
pub(crate) use self::progress::spinner;
#[cfg(feature = "hub")]
pub(crate) use self::progress::transfer_bar;
pub(crate) use self::report::show_report;
pub(crate) use self::sensitivity::show_sensitivity;
pub(crate) use self::table::{Column, Table, bar};
pub(crate) use self::weights::show_weights;
use crate::args::Global;

/// Width of a terminal whose width is unknown.
const USUAL_WIDTH: usize = 80;

/// Destination and format of results.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    json: bool,
    to_stderr: bool,
    colour: ColorChoice,
    /// Characters per line; `None` for no limit.
    width: Option<usize>,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        Self {
            json: global.json,
            to_stderr: false,
            colour: global.color,
            width: width(),
        }
    }

    /// Text without colours, of any width.
    #[cfg(test)]
    fn plain() -> Self {
        Self {
            json: false,
            to_stderr: false,
            colour: ColorChoice::Never,
            width: None,
        }
    }

    /// Returns whether results are JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Returns the same output as text on stderr, for a command that keeps stdout for itself.
    pub(crate) fn for_people_on_stderr(&self) -> Self {
        Self {
            json: false,
            to_stderr: true,
            ..self.clone()
        }
    }

    pub(crate) fn width(&self) -> Option<usize> {
        self.width
    }

    /// Returns whether results may be colored.
    pub(crate) fn colours(&self) -> bool {
        if self.to_stderr {
            return self.colours_stderr();
        }
        self.colours_on(io::stdout().is_terminal())
    }

    /// Returns whether text on stderr may be colored.
    pub(crate) fn colours_stderr(&self) -> bool {
        self.colours_on(io::stderr().is_terminal())
    }

    fn colours_on(&self, terminal: bool) -> bool {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        match self.colour {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                terminal && set("NO_COLOR").is_none() && set("TERM").is_none_or(|t| t != "dumb")
            }
        }
    }

    /// Writes a result, adding a final newline if it is missing.
    ///
    /// # Errors
    /// [`ClosedPipe`] if the reader closed the pipe.
    pub(crate) fn text(&self, text: &str) -> anyhow::Result<()> {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        let bytes = format!("{text}{end}");
        if self.to_stderr {
            let _ = io::stderr().lock().write_all(bytes.as_bytes());
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        let written = stdout
            .write_all(bytes.as_bytes())
            .and_then(|()| stdout.flush());
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ClosedPipe.into()),
            written => written.map_err(|error| anyhow::Error::new(error).context("stdout")),
        }
    }

    /// Writes a result as one line of JSON.
    ///
    /// # Errors
    /// Those of [`Output::text`].
    pub(crate) fn object(&self, object: &impl Serialize) -> anyhow::Result<()> {
        self.text(&json_text(object)?)
    }
}

/// Serialises an object as one line of JSON, with escapes for what controls a terminal.
fn json_text(object: &impl Serialize) -> anyhow::Result<String> {
    let json = serde_json::to_string(object)?;
    Ok(printable::printable_json(&json).into_owned())
}

/// Prints a message to stderr, with escapes for what controls a terminal.
pub(crate) fn say(text: &str) {
    say_painted(&printable(text));
}

/// Prints a message to stderr that may have colours.
pub(crate) fn say_painted(text: &str) {
    // A closed stderr does not stop the program.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// The reader closed stdout. Reported as success.
#[derive(Debug)]
pub(crate) struct ClosedPipe;

impl fmt::Display for ClosedPipe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("stdout is closed")
    }
}

impl std::error::Error for ClosedPipe {}

/// Returns `COLUMNS` if set, or else the terminal's width if stdout is a terminal.
fn width() -> Option<usize> {
    let columns = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok());
    if let Some(columns) = columns.filter(|&columns| columns > 0) {
        return Some(columns);
    }
    if !io::stdout().is_terminal() {
        return None;
    }
    let size = terminal_size::terminal_size_of(io::stdout());
    Some(size.map_or(USUAL_WIDTH, |(width, _)| usize::from(width.0)))
}
