//! What a pruned file needs on the hub beside itself: `config.json` and the model card.
//!
//! The card's front matter follows the hub's [specification]; values are written as JSON, which is YAML.
//!
//! [specification]: https://github.com/huggingface/hub-docs/blob/main/modelcard.md

mod text;
mod yaml;

use serde::Serialize;
use vbd_net::format::Provenance;
use vbd_net::spec::{Loss, NetSpec};

use crate::report::Report;

/// Where a file will be, and what the hub calls its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CardTarget<'a> {
    /// `owner/repo`.
    pub repo: &'a str,
    /// Name of the pruned file in the repository.
    pub file: &'a str,
    /// Repository of the data set that it was trained on, if the hub has it.
    pub dataset: Option<&'a str>,
}

/// `config.json`, by which the hub counts downloads.
#[derive(Debug, Serialize)]
struct Config<'a> {
    library_name: &'static str,
    file: &'a str,
    spec: &'a NetSpec,
    numel: usize,
    nnz: usize,
    compression_ratio: Option<f64>,
    provenance: &'a Provenance,
}

const LIBRARY: &str = "vbd";

/// Writes `config.json`: the file's name, the network and what is kept of it.
///
/// # Panics
/// Never: a configuration is plain data.
pub fn config(spec: &NetSpec, report: &Report, target: CardTarget<'_>) -> String {
    let config = Config {
        library_name: LIBRARY,
        file: target.file,
        spec,
        numel: report.numel,
        nnz: report.nnz,
        compression_ratio: report.compression_ratio,
        provenance: &report.provenance,
    };
    let json = serde_json::to_string_pretty(&config).expect("a configuration is plain data");
    json + "\n"
}

/// Writes the model card, `README.md`: front matter, the layers, how to load it, the paper.
pub fn card(spec: &NetSpec, report: &Report, target: CardTarget<'_>) -> String {
    yaml::front_matter(report, is_images(spec), target) + &text::body(report, target)
}

/// Returns whether a network classifies images.
fn is_images(spec: &NetSpec) -> bool {
    spec.loss == Loss::CrossEntropy && spec.input.len() == 3
}

#[cfg(test)]
mod tests {
    use vbd_net::{PrunedFile, ValueType};

    use super::*;
    use crate::testing;

    #[test]
    fn a_net_without_a_measured_error_claims_none() {
        let net = testing::net_of_all_kinds(3);
        let file = PrunedFile::new(&net, None, ValueType::F32).unwrap();
        let target = CardTarget {
            repo: "me/a \"net\": # 1",
            file: "net.safetensors",
            dataset: None,
        };
        let report = Report::of_file(&file).unwrap();
        let card = card(net.spec(), &report, target);
        assert!(card.starts_with("---\nlibrary_name: vbd\n") && !card.contains("model-index"));
        let config = config(net.spec(), &report, target);
        let config: serde_json::Value = serde_json::from_str(&config).unwrap();
        assert_eq!(config["file"], "net.safetensors");
    }
}
