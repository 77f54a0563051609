//! `vbd data`: the data sets, or one's counts and checksums.

use vbd_models::data;

use super::{Finished, lists};
use crate::args::DataArgs;
use crate::files;
use crate::render::{Output, count, say};

pub(crate) fn run(args: &DataArgs, out: &Output) -> anyhow::Result<Finished> {
    let Some(name) = &args.data else {
        lists::show_list(out, &data::list())?;
        return Ok(Finished::Shown);
    };
    let set = files::load_data(name, &args.dir)?;
    let summary = data::summary(&set)?;
    if let Some(folder) = &args.out {
        data::idx::write_folder(&set, folder)?;
        say(&format!("written to {}", folder.display()));
    }
    if out.is_json() {
        out.object(&summary)?;
        return Ok(Finished::Shown);
    }
    let [channels, height, width] = summary.shape;
    let mut text = format!("name        {}\n", summary.name);
    text += &format!("train       {} images\n", count(summary.train as u64));
    text += &format!("test        {} images\n", count(summary.test as u64));
    text += &format!("classes     {}\n", summary.classes);
    text += &format!("shape       {channels} x {height} x {width} (channels, rows, columns)\n");
    text += "sha256 of each unzipped IDX file\n";
    for (file, sum) in &summary.sha256 {
        text += &format!("  {file:<24}  {sum}\n");
    }
    out.text(&text)?;
    Ok(Finished::Shown)
}
