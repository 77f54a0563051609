//! Warnings and logs on stderr, as `warning: ...`.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::render::{Output, Paint, printable};

/// Starts logging at the level of `RUST_LOG`, or else of `-v`; warnings by default.
pub(crate) fn init(verbose: u8, out: &Output) {
    let level = match verbose {
        // What hf-hub tells at level error is part of the error that follows.
        0 => "warn,hf_hub=off",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // Keeps a subscriber that is already set.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(out.colours_stderr())
        .log_internal_errors(false)
        .event_format(Line)
        .try_init();
}

/// Formats an event as one line: level, message, fields.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        let (word, paint) = match level {
            Level::ERROR => ("error", Paint::Red),
            Level::WARN => ("warning", Paint::Yellow),
            Level::INFO => ("info", Paint::Green),
            Level::DEBUG => ("debug", Paint::Dim),
            Level::TRACE => ("trace", Paint::Dim),
        };
        write!(writer, "{}: ", paint.apply(word, writer.has_ansi_escapes()))?;
        if level > Level::WARN {
            write!(writer, "{}: ", event.metadata().target())?;
        }
        for span in context.event_scope().into_iter().flatten() {
            write!(writer, "{}: ", span.name())?;
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                write!(writer, "{fields} ")?;
            }
        }
        let mut fields = String::new();
        context
            .field_format()
            .format_fields(Writer::new(&mut fields), event)?;
        writeln!(writer, "{}", printable(&fields))
    }
}
