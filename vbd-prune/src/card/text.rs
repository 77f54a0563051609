//! Body of a model card.

use std::fmt::Write as _;

use super::CardTarget;
use crate::report::Report;

/// Writes the body: what the file is, its layers, how to load it, and the paper.
pub(super) fn body(report: &Report, target: CardTarget<'_>) -> String {
    let Report {
        model,
        numel,
        nnz,
        bytes,
        dense_bytes,
        provenance,
        ..
    } = report;
    let mut text = format!("\n# {model}\n\nKeeps {nnz} of {numel} weights");
    if let Some(ratio) = report.compression_ratio {
        let _ = write!(text, " ({ratio:.1} times fewer)");
    }
    let _ = write!(
        text,
        ": {bytes} bytes instead of {dense_bytes} as dense f32."
    );
    if let Some(error) = provenance.test_error {
        let _ = write!(text, " Test error: {:.2} %", 100.0 * error);
    } else if let Some(loss) = provenance.test_loss {
        let _ = write!(text, " Test loss: {loss:.4}");
    }
    if let (Some(data), true) = (&provenance.data, has_measure(report)) {
        let _ = write!(text, " on `{data}`");
    }
    text += if has_measure(report) { ".\n" } else { "\n" };
    let trained: Vec<String> = [
        provenance
            .recipe
            .as_ref()
            .map(|recipe| format!("Recipe: {recipe}")),
        provenance.seed.map(|seed| format!("Seed: {seed}")),
        provenance.epochs.map(|epochs| format!("Epochs: {epochs}")),
        provenance
            .start
            .as_ref()
            .map(|start| format!("Started from: `{start}`")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !trained.is_empty() {
        let _ = write!(text, "\n- {}\n", trained.join("\n- "));
    }
    text += "\n## Layers\n\n| layer | kind | shape | weights | kept | zeros | layout | bytes |\n\
             |---|---|---|---|---|---|---|---|\n";
    for layer in &report.layers {
        let shape: Vec<String> = layer.shape.iter().map(ToString::to_string).collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {:.1} % | {} | {} |",
            layer.name,
            layer.kind.as_str(),
            shape.join(" x "),
            layer.numel,
            layer.nnz,
            100.0 * layer.sparsity,
            layer.layout,
            layer.bytes
        );
    }
    let CardTarget { repo, file, .. } = target;
    let _ = write!(
        text,
        "\n## Use\n\nOn the command line:\n\n```sh\nvbd inspect hf://{repo}/{file}\nvbd eval \
         hf://{repo}/{file}\n```\n\nIn Python, with numpy alone:\n\n```python\nimport vbd_sparse\nfrom \
         huggingface_hub import hf_hub_download\n\nnet = vbd_sparse.load(hf_hub_download(\"{repo}\", \
         \"{file}\"))\nclasses = net.predict(pixels)  # [n, *net.spec[\"input\"]], u8 or f32, not \
         normalised\n```\n\nIn Rust, with the sparse runtime:\n\n```rust\nlet plan = \
         vbd_net::Plan::load(\"{file}\")?;\nlet mut session = plan.session();\nlet outputs = \
         session.run(pixels)?;\n```\n\nThe format is a safetensors file with the network in its \
         metadata; `vbd export {file} --to torch -o dense.safetensors` writes a PyTorch state dict.\n\n## \
         Method\n\nLiu et al., Variational Bayesian Dropout with a Hierarchical Prior, CVPR 2019.\n"
    );
    text
}

fn has_measure(report: &Report) -> bool {
    report.provenance.test_error.is_some() || report.provenance.test_loss.is_some()
}
