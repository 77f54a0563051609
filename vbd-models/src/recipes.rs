//! Recipes by name, each a TOML file in `recipes/`, or from a user's own files.
//!
//! ```
//! let recipe = vbd_models::recipes::recipe("lenet-300-100-vbd")?;
//! assert_eq!(recipe.model.as_deref(), Some("lenet-300-100"));
//! assert_eq!(recipe.train.epochs, 200);
//! # Ok::<(), vbd_models::Error>(())
//! ```

use std::borrow::Cow;
use std::ffi::OsStr;

use vbd_core::recipe::Recipe;

use crate::catalog::{Catalog, CatalogEntry};
use crate::error::Result;

const RECIPES: Catalog = Catalog {
    kind: "recipe",
    families: &[],
    texts: &[
        (
            "lenet-300-100-vbd",
            include_str!("../recipes/lenet-300-100-vbd.toml"),
        ),
        (
            "lenet-300-100-vd",
            include_str!("../recipes/lenet-300-100-vd.toml"),
        ),
        (
            "lenet-5-caffe-vbd",
            include_str!("../recipes/lenet-5-caffe-vbd.toml"),
        ),
        (
            "lenet-5-caffe-vbd-fast",
            include_str!("../recipes/lenet-5-caffe-vbd-fast.toml"),
        ),
        (
            "lenet-5-caffe-vd",
            include_str!("../recipes/lenet-5-caffe-vd.toml"),
        ),
        (
            "lenet-5-caffe-vbd-neurons",
            include_str!("../recipes/lenet-5-caffe-vbd-neurons.toml"),
        ),
        (
            "lenet-5-caffe-dense",
            include_str!("../recipes/lenet-5-caffe-dense.toml"),
        ),
        (
            "lenet-500-300-vbd-neurons",
            include_str!("../recipes/lenet-500-300-vbd-neurons.toml"),
        ),
        (
            "lenet-500-300-dense",
            include_str!("../recipes/lenet-500-300-dense.toml"),
        ),
        (
            "resnet-8-dense",
            include_str!("../recipes/resnet-8-dense.toml"),
        ),
        ("resnet-8-vbd", include_str!("../recipes/resnet-8-vbd.toml")),
        (
            "resnet-8-vbd-retrain",
            include_str!("../recipes/resnet-8-vbd-retrain.toml"),
        ),
        (
            "resnet-8-vbd-neurons",
            include_str!("../recipes/resnet-8-vbd-neurons.toml"),
        ),
        ("ds-cnn-dense", include_str!("../recipes/ds-cnn-dense.toml")),
        ("ds-cnn-vbd", include_str!("../recipes/ds-cnn-vbd.toml")),
        (
            "mobilenet-v1-0.25-dense",
            include_str!("../recipes/mobilenet-v1-0.25-dense.toml"),
        ),
        (
            "mobilenet-v1-0.25-vbd",
            include_str!("../recipes/mobilenet-v1-0.25-vbd.toml"),
        ),
        (
            "fc-autoencoder-dense",
            include_str!("../recipes/fc-autoencoder-dense.toml"),
        ),
        (
            "fc-autoencoder-vbd",
            include_str!("../recipes/fc-autoencoder-vbd.toml"),
        ),
        ("vgg-like-vbd", include_str!("../recipes/vgg-like-vbd.toml")),
        ("vbd", include_str!("../recipes/vbd.toml")),
        ("vd", include_str!("../recipes/vd.toml")),
        ("dense", include_str!("../recipes/dense.toml")),
        ("quickstart", include_str!("../recipes/quickstart.toml")),
    ],
};

/// Lists the built-in recipes.
pub fn list() -> Vec<CatalogEntry> {
    let entries = RECIPES.entries().map(|(name, text)| CatalogEntry {
        name,
        summary: summary(name, &text),
    });
    entries.collect()
}

/// Returns the TOML of a built-in recipe.
///
/// # Errors
/// [`crate::Error::Unknown`] with the known names and the nearest one.
pub fn toml(name: &str) -> Result<Cow<'static, str>> {
    RECIPES.text(name)
}

/// Returns a built-in recipe by name, or reads a TOML file if the name ends in `.toml` or contains
/// a path separator.
///
/// # Errors
/// [`crate::Error::Unknown`] for an unknown name; [`vbd_core::Error`] if a file cannot be read, is
/// not valid TOML, or is invalid.
pub fn recipe(name_or_path: impl AsRef<OsStr>) -> Result<Recipe> {
    RECIPES.read(name_or_path.as_ref(), Recipe::from_toml)
}

fn summary(name: &str, text: &str) -> String {
    Recipe::from_toml(text, name)
        .expect("what is built in parses: a test reads all")
        .summary
}

#[cfg(test)]
mod tests {
    use vbd_core::recipe::{MethodKind, ThetaInit};

    use super::*;

    #[test]
    fn every_recipe_parses_and_names_a_model_and_data_that_are_known() {
        for CatalogEntry { name, summary } in list() {
            let recipe = recipe(name).unwrap();
            assert_eq!(recipe.summary, summary);
            assert!(!summary.is_empty() && !summary.contains('\n'));
            if let Some(model) = &recipe.model {
                let spec = crate::nets::net(model).unwrap();
                let gates = vbd_core::gate::Gate::all(&spec, &recipe.method).unwrap();
                assert_eq!(gates.len(), recipe.method.gates.len());
                recipe.method.of_weights(&spec).unwrap();
            }
            if let Some(data) = &recipe.data {
                crate::data::DataSource::parse(data).unwrap();
            }
        }
    }

    #[test]
    fn the_published_recipes_differ_in_the_prior_alone() {
        let vbd = recipe("lenet-300-100-vbd").unwrap();
        let vd = recipe("lenet-300-100-vd").unwrap();
        assert_eq!(
            (vbd.method.kind, vd.method.kind),
            (MethodKind::Vbd, MethodKind::Vd)
        );
        assert_eq!(vbd.method.theta_init, ThetaInit::Normal(0.01));
        assert_eq!(
            (&vbd.train, &vbd.model, &vbd.data),
            (&vd.train, &vd.model, &vd.data)
        );
        let method = vbd_core::recipe::Method {
            kind: MethodKind::Vbd,
            ..vd.method
        };
        assert_eq!(vbd.method, method);
    }

    #[test]
    fn the_general_recipes_leave_the_model_and_the_data_open() {
        for name in ["vbd", "vd", "dense"] {
            let recipe = recipe(name).unwrap();
            assert_eq!((recipe.model, recipe.data), (None, None));
        }
    }

    #[test]
    fn errors_name_the_recipe_or_the_file() {
        let message = recipe("lenet-300-100").unwrap_err().to_string();
        assert!(
            message.contains("the nearest is `lenet-300-100-v"),
            "{message}"
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.toml");
        let text = toml("vbd").unwrap().replace("epochs", "epoch");
        vbd_net::file::write_atomic(&path, text.as_bytes()).unwrap();
        let path = path.to_str().unwrap();
        assert!(recipe(path).unwrap_err().to_string().starts_with(path));
    }
}
