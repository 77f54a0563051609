//! `vbd recipes` and `vbd models`: list what is built in.

use std::borrow::Cow;

use serde::Serialize;
use vbd_models::{CatalogEntry, nets, recipes};

use super::VerbResult;
use crate::args::NameArgs;
use crate::render::{Column, Output, Table};

pub(crate) fn recipes(args: &NameArgs, out: &Output) -> anyhow::Result<VerbResult> {
    show(args, out, &recipes::list(), recipes::toml)
}

pub(crate) fn models(args: &NameArgs, out: &Output) -> anyhow::Result<VerbResult> {
    show(args, out, &nets::list(), nets::toml)
}

#[derive(Serialize)]
struct NamedToml<'a> {
    #[serde(flatten)]
    entry: &'a CatalogEntry,
    toml: &'a str,
}

fn show(
    args: &NameArgs,
    out: &Output,
    all: &[CatalogEntry],
    toml: impl Fn(&str) -> vbd_models::Result<Cow<'static, str>>,
) -> anyhow::Result<VerbResult> {
    match &args.name {
        Some(name) => {
            let toml = &*toml(name)?;
            match all.iter().find(|entry| entry.name == name) {
                Some(entry) if out.is_json() => out.object(&NamedToml { entry, toml })?,
                _ => out.text(toml)?,
            }
        }
        None => show_list(out, all)?,
    }
    Ok(VerbResult::Shown)
}

/// Prints one line per entry: a JSON object, or name and summary.
pub(super) fn show_list(out: &Output, all: &[CatalogEntry]) -> anyhow::Result<()> {
    if out.is_json() {
        return all.iter().try_for_each(|entry| out.object(entry));
    }
    let mut table = Table::new(out, &[("name", Column::Text), ("summary", Column::Text)]);
    for CatalogEntry { name, summary } in all {
        table.row([(*name).to_owned(), summary.clone()]);
    }
    out.text(&table.into_text())
}
