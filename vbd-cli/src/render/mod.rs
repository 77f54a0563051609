//! All that is shown: results on stdout, everything else on stderr. Nothing else prints.

mod epochs;
mod histogram;
mod number;
mod paint;
mod progress;
mod report;
mod table;
mod weights;

use std::fmt;
use std::io::{self, IsTerminal, Write};

use clap::ColorChoice;
use serde::Serialize;

pub(crate) use self::epochs::EpochView;
pub(crate) use self::number::{bytes, count, loss, micros, percent, ratio, times};
pub(crate) use self::paint::Paint;
pub(crate) use self::progress::spinner;
pub(crate) use self::report::show_report;
pub(crate) use self::table::{Column, Table, bar};
pub(crate) use self::weights::show_weights;
use crate::args::Global;

/// Width of a terminal that does not tell its own.
const USUAL_WIDTH: usize = 80;

/// Where results go, and how.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    json: bool,
    to_stderr: bool,
    colour: ColorChoice,
    /// Characters of a line; `None` where it may be as long as it likes.
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

    /// Whether results are JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// The same for people on stderr: where stdout is another's.
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

    /// Whether results may have colours.
    pub(crate) fn colours(&self) -> bool {
        if self.to_stderr {
            return self.colours_stderr();
        }
        self.colours_on(io::stdout().is_terminal())
    }

    /// Whether what goes to stderr may have colours.
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

    /// Writes a result, with a line's end if it has none.
    ///
    /// # Errors
    /// [`ClosedPipe`] if the reader is gone.
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
    /// As [`Output::text`].
    pub(crate) fn object(&self, object: &impl Serialize) -> anyhow::Result<()> {
        self.text(&serde_json::to_string(object)?)
    }
}

/// Says something that is no result, on stderr.
pub(crate) fn say(text: &str) {
    // A stderr that is gone is no reason to stop.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Who reads stdout has gone away, which is no error.
#[derive(Debug)]
pub(crate) struct ClosedPipe;

impl fmt::Display for ClosedPipe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("stdout is closed")
    }
}

impl std::error::Error for ClosedPipe {}

/// `COLUMNS` if it is set, else the terminal's width, if stdout is one.
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
