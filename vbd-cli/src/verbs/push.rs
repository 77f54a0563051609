//! `vbd push`: puts a pruned file on the hub, with its configuration and a model card.

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;
use vbd_models::data::DataSource;
use vbd_prune::card::{CardTarget, card, config};
use vbd_prune::{ModelFile, Report};

use super::VerbResult;
use crate::args::PushArgs;
use crate::error::Problem;
use crate::files;
use crate::hub::{self, Upload};
use crate::render::{Output, printable};

/// Name of a file that has none of its own.
const USUAL_NAME: &str = "model.safetensors";

/// What was pushed, or would be.
#[derive(Debug, Serialize)]
struct Pushed<'a> {
    url: &'a str,
    files: Vec<&'a str>,
}

pub(crate) fn run(args: &PushArgs, out: &Output) -> anyhow::Result<VerbResult> {
    let repo = hub::repo_id(&args.repo)?;
    let uploads = uploads(&args.file, &repo)?;
    let url = match &args.dry_run {
        Some(folder) => {
            write(&uploads, folder)?;
            args.repo.clone()
        }
        None => hub::push(&args.repo, &uploads)?,
    };
    let files = uploads.iter().map(|upload| upload.path.as_str()).collect();
    let pushed = Pushed { url: &url, files };
    if out.is_json() {
        out.object(&pushed)?;
    } else {
        let what = pushed.files.join(", ");
        let text = match &args.dry_run {
            Some(folder) => format!("wrote {} for {url}: {what}", folder.display()),
            None => format!("pushed to {url}: {what}"),
        };
        out.text(&format!("{}\n", printable(&text)))?;
    }
    Ok(VerbResult::Shown)
}

/// Returns the file, its configuration and its card.
fn uploads(path: &Path, repo: &str) -> anyhow::Result<Vec<Upload>> {
    let local = files::local(path)?;
    let ModelFile::Pruned { file, .. } = files::open(&local)? else {
        let path = path.display();
        let hint = format!("prune it first: `vbd prune {path} -o small.safetensors`");
        return Err(Problem::usage(format!("{path}: not a pruned file"))
            .hint(hint)
            .into());
    };
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.filter(|name| name.ends_with(".safetensors"));
    let name = name.unwrap_or(USUAL_NAME);
    let (spec, report) = (file.net().spec(), Report::of_file(&file)?);
    let data = file.net().provenance().data.clone().unwrap_or_default();
    let dataset = match DataSource::parse(&data) {
        Ok(DataSource::Named(set)) => Some(set.hub_id()),
        _ => None,
    };
    let target = CardTarget {
        repo,
        file: name,
        dataset,
    };
    let upload = |path: &str, bytes: Vec<u8>| Upload {
        path: path.to_owned(),
        bytes,
    };
    Ok(vec![
        upload(name, vbd_net::file::read(&local)?),
        upload("config.json", config(spec, &report, target).into_bytes()),
        upload("README.md", card(spec, &report, target).into_bytes()),
    ])
}

/// Writes files into a directory that has none of them.
fn write(uploads: &[Upload], folder: &Path) -> anyhow::Result<()> {
    for upload in uploads {
        let path = folder.join(&upload.path);
        if path.exists() {
            let text = format!("{}: exists", path.display());
            return Err(Problem::usage(text)
                .hint("choose another directory with --dry-run")
                .into());
        }
    }
    std::fs::create_dir_all(folder)
        .with_context(|| format!("{}: cannot create the directory", folder.display()))?;
    for upload in uploads {
        vbd_net::file::write_atomic(&folder.join(&upload.path), &upload.bytes)?;
    }
    Ok(())
}
