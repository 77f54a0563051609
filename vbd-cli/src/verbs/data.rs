//! `vbd data`: lists the data sets, or shows one's counts and checksums.

use vbd_models::data;

use super::{VerbResult, lists};
use crate::args::DataArgs;
use crate::error::Problem;
use crate::files;
use crate::render::{Output, count, printable, say};

pub(crate) fn run(args: &DataArgs, out: &Output) -> anyhow::Result<VerbResult> {
    let Some(name) = &args.data else {
        lists::show_list(out, &data::list())?;
        return Ok(VerbResult::Shown);
    };
    let set = files::load_data(name, &args.dir)?;
    let summary = data::summary(&set)?;
    if let Some(folder) = &args.out {
        for file in data::idx::files(&set)? {
            let path = folder.join(file.name);
            let is_other = path.exists() && vbd_net::file::read(&path)? != file.bytes();
            if is_other && !args.force {
                let text = format!("{}: exists with another content", path.display());
                let problem = Problem::usage(text);
                return Err(problem
                    .hint("choose another --out, or write over it with --force")
                    .into());
            }
        }
        data::idx::write_folder(&set, folder)?;
        say(&format!("written to {}", folder.display()));
    }
    if out.is_json() {
        out.object(&summary)?;
        return Ok(VerbResult::Shown);
    }
    let [channels, height, width] = summary.shape;
    let mut lines = vec![
        format!("name        {}", printable(&summary.name)),
        format!("train       {} images", count(summary.train as u64)),
        format!("test        {} images", count(summary.test as u64)),
        match summary.classes {
            0 => "classes     none (no labels)".to_owned(),
            classes if summary.class_names.is_empty() => format!("classes     {classes}"),
            classes => {
                let names = summary.class_names.join(", ");
                format!("classes     {classes}: {}", printable(&names))
            }
        },
        format!("shape       {channels} x {height} x {width} (channels, rows, columns)"),
        if summary.sha256.contains_key("x_train") {
            "sha256 of each array".to_owned()
        } else {
            "sha256 of each unzipped IDX file".to_owned()
        },
    ];
    lines.extend(
        summary
            .sha256
            .iter()
            .map(|(file, sum)| format!("  {file:<24}  {sum}")),
    );
    out.text(&lines.join("\n"))?;
    Ok(VerbResult::Shown)
}
