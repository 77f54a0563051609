//! Networks by name, from TOML files in `nets/`, one for each network or family, or from a user's own
//! files.
//!
//! ```
//! let lenet = vbd_models::nets::net("lenet-300-100")?;
//! let widths: Vec<usize> = lenet.weights()?.iter().map(|weight| weight.rows()).collect();
//! assert_eq!(widths, [300, 100, 10]);
//! # Ok::<(), vbd_models::Error>(())
//! ```

use std::borrow::Cow;
use std::ffi::OsStr;

use vbd_core::recipe::NetToml;
use vbd_net::spec::NetSpec;

use crate::catalog::{Catalog, CatalogEntry, Family};
use crate::error::Result;

/// Built-in networks. The first line of each is a comment with its summary.
const NETS: Catalog = Catalog {
    kind: "network",
    texts: &[
        ("lenet-300-100", include_str!("../nets/lenet-300-100.toml")),
        ("lenet-5-caffe", include_str!("../nets/lenet-5-caffe.toml")),
        ("lenet-500-300", include_str!("../nets/lenet-500-300.toml")),
        ("resnet-8", include_str!("../nets/resnet-8.toml")),
        ("ds-cnn", include_str!("../nets/ds-cnn.toml")),
        (
            "mobilenet-v1-0.25",
            include_str!("../nets/mobilenet-v1-0.25.toml"),
        ),
        (
            "fc-autoencoder",
            include_str!("../nets/fc-autoencoder.toml"),
        ),
        ("vgg-like", include_str!("../nets/vgg-like.toml")),
    ],
    families: &[
        Family {
            text: include_str!("../nets/mlp-3x.toml"),
            words: &["UNITS"],
            members: &[
                ("mlp-3x100", &["100"]),
                ("mlp-3x340", &["340"]),
                ("mlp-3x580", &["580"]),
                ("mlp-3x820", &["820"]),
                ("mlp-3x1060", &["1060"]),
            ],
        },
        Family {
            text: include_str!("../nets/conv-kingma.toml"),
            words: &["SCALE", "MAPS_1", "MAPS_2", "UNITS"],
            members: &[
                ("conv-kingma-1", &["1", "32", "64", "128"]),
                ("conv-kingma-1.5", &["1.5", "48", "96", "192"]),
                ("conv-kingma-2", &["2", "64", "128", "256"]),
            ],
        },
    ],
};

/// Lists the built-in networks.
pub fn list() -> Vec<CatalogEntry> {
    let entries = NETS.entries().map(|(name, text)| CatalogEntry {
        name,
        summary: summary(&text),
    });
    entries.collect()
}

/// Returns the TOML of a built-in network.
///
/// # Errors
/// [`crate::Error::Unknown`] with the known names and the nearest one.
pub fn toml(name: &str) -> Result<Cow<'static, str>> {
    NETS.text(name)
}

/// Returns a built-in network by name, or reads a TOML file if the name ends in `.toml` or contains
/// a path separator.
///
/// # Errors
/// [`crate::Error::Unknown`] for an unknown name; [`vbd_core::Error`] if a file cannot be read, is
/// not valid TOML, or is invalid.
pub fn net(name_or_path: impl AsRef<OsStr>) -> Result<NetSpec> {
    NETS.read(name_or_path.as_ref(), NetSpec::from_toml)
}

fn summary(text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    first.trim_start_matches('#').trim().to_owned()
}

#[cfg(test)]
mod tests {
    use vbd_net::graph::WeightSpec;

    use super::*;

    #[test]
    fn every_network_parses_under_its_name_and_has_a_summary() {
        for CatalogEntry { name, summary } in list() {
            assert!(toml(name).unwrap().starts_with("# "));
            assert!(!summary.is_empty());
            assert_eq!(net(name).unwrap().name, name);
        }
    }

    #[test]
    fn lenet_300_100_has_the_papers_266200_weights() {
        let lenet = net("lenet-300-100").unwrap();
        let weights = lenet.weights().unwrap();
        assert_eq!(
            weights.iter().map(WeightSpec::numel).sum::<usize>(),
            266_200
        );
        assert!((lenet.normalize.scale * 256.0 - 1.0).abs() < 1e-15);
        assert!(lenet.normalize.mean.is_image());
    }

    /// Weights, biases of the net with batch normalisation folded, and multiply-adds per sample.
    fn sizes(name: &str) -> [usize; 3] {
        let graph = net(name).unwrap().resolve().unwrap();
        let weights = graph.weights().iter();
        weights.fold([0; 3], |[numel, biases, products], weight| {
            [
                numel + weight.numel(),
                biases + weight.rows(),
                products + weight.numel() * weight.positions,
            ]
        })
    }

    #[test]
    fn nets_have_the_published_parameters_and_multiply_adds() {
        for (name, expected) in [
            ("resnet-8", [77_360, 346, 12_501_632]),
            ("ds-cnn", [22_016, 588, 2_656_768]),
            ("mobilenet-v1-0.25", [208_112, 2_738, 7_489_664]),
            ("fc-autoencoder", [264_192, 1_672, 264_192]),
            ("vgg-like", [14_977_728, 4_746, 313_463_808]),
            ("mlp-3x100", [99_400, 310, 99_400]),
            ("mlp-3x1060", [3_088_840, 3_190, 3_088_840]),
            ("conv-kingma-1", [595_552, 362, 4_433_152]),
            ("conv-kingma-1.5", [1_337_232, 538, 9_512_832]),
            ("conv-kingma-2", [2_374_848, 714, 16_501_248]),
        ] {
            assert_eq!(sizes(name), expected, "{name}");
        }
    }

    #[test]
    fn a_path_is_read_from_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        let text = toml("lenet-300-100")
            .unwrap()
            .replace("lenet-300-100", "mine");
        vbd_net::file::write_atomic(&path, text.as_bytes()).unwrap();
        assert_eq!(net(path.to_str().unwrap()).unwrap().name, "mine");
        let missing = folder.path().join("missing").display().to_string();
        assert!(net(&missing).unwrap_err().to_string().starts_with(&missing));
        assert!(
            net("missing.toml")
                .unwrap_err()
                .to_string()
                .starts_with("missing.toml")
        );
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        let message = net("lenet300").unwrap_err().to_string();
        assert!(message.contains("unknown network `lenet300`"), "{message}");
        assert!(
            message.contains("the nearest is `lenet-300-100`"),
            "{message}"
        );
    }
}
