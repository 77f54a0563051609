//! Times a recipe's training step and prints it as JSON, in place of `vbd bench --recipe`:
//! `train_step RECIPE DATA_DIR THREADS STEPS [CHECKPOINT]`.
#![expect(clippy::print_stdout, reason = "what this program is for")]

use std::path::Path;

use vbd_core::train::{Checkpoint, StepBench};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [recipe, data_dir, threads, steps, start @ ..] = &args[..] else {
        return Err("train_step RECIPE DATA_DIR THREADS STEPS [CHECKPOINT]".into());
    };
    let recipe = vbd_models::recipes::recipe(recipe)?;
    let spec = vbd_models::nets::net(recipe.model.as_deref().ok_or("the recipe has no model")?)?;
    let data = recipe.data.as_deref().unwrap_or("mnist");
    let dataset = vbd_models::data::load(data, Some(Path::new(data_dir)))?;
    let start = start.first().map(|path| Checkpoint::read(Path::new(path)));
    let start = start.transpose()?.map(|checkpoint| checkpoint.parameters);
    let bench = StepBench {
        threads: threads.parse()?,
        steps: steps.parse()?,
        ..StepBench::default()
    };
    let time = bench.run((&spec, &recipe), &dataset, start.as_ref())?;
    println!("{}", serde_json::json!({ "rows": [time] }));
    Ok(())
}
