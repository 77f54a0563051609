//! Networks as TOML: `vbd-models/nets`, or a user's own file.

use vbd_net::spec::NetSpec;

use crate::error::Result;
use crate::toml_file;

/// Conversion of a network from and to TOML, which `vbd-net` does not have.
///
/// ```
/// use vbd_core::recipe::NetToml;
/// use vbd_net::spec::NetSpec;
///
/// let spec = NetSpec::from_toml(
///     r#"
///     name = "small"
///     input = [1, 8, 8]
///     classes = 10
///     normalize = { scale = 0.00390625, mean = "image" }
///     [[layer]]
///     kind = "flatten"
///     [[layer]]
///     kind = "linear"
///     name = "fc1"
///     out_features = 10
///     "#,
///     "small.toml",
/// )?;
/// assert_eq!(spec.weights()?[0].shape, [10, 64]);
/// # Ok::<(), vbd_core::Error>(())
/// ```
pub trait NetToml: Sized {
    /// Parses a network. `origin` names the text in errors.
    ///
    /// # Errors
    /// [`crate::Error::Toml`] if the text is invalid TOML, has an unknown key or lacks one;
    /// [`vbd_net::Error::Spec`] if the network is invalid.
    fn from_toml(text: &str, origin: &str) -> Result<Self>;

    /// Serialises the network as TOML.
    ///
    /// # Errors
    /// [`crate::Error::TomlWrite`] if a value cannot be written as TOML.
    fn to_toml(&self) -> Result<String>;
}

impl NetToml for NetSpec {
    fn from_toml(text: &str, origin: &str) -> Result<Self> {
        let spec: Self = toml_file::parse(text, origin)?;
        spec.resolve()?;
        Ok(spec)
    }

    fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string(self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_in_every_kind_of_layer() {
        let kinds = [
            "kind = 'linear'\nname = 'a'\nout_features = 2",
            "kind = 'conv2d'\nname = 'a'\nout_channels = 2\nkernel = 1",
            "kind = 'max_pool2d'\nkernel = 1",
            "kind = 'relu'",
            "kind = 'flatten'",
            "kind = 'select'\nname = 'a'\nunits = 1",
        ];
        for kind in kinds {
            let text = format!(
                "name = 'n'\ninput = [1, 2, 2]\nclasses = 2\n[[layer]]\n{kind}\nslope = 0.1\n\
                 [[layer]]\nkind = 'linear'\nname = 'last'\nout_features = 2\n"
            );
            let error = NetSpec::from_toml(&text, "n.toml").unwrap_err().to_string();
            assert!(error.contains("slope"), "{kind}: {error}");
            let known = text.replace("slope = 0.1\n", "");
            assert!(NetSpec::from_toml(&known, "n.toml").is_ok(), "{kind}");
        }
    }
}
