//! Imports a dense net: a PyTorch state dict in a safetensors file becomes a net of ours.

use std::path::Path;
use std::str::FromStr;

use vbd_core::train::Start;
use vbd_net::PrunedNet;
use vbd_net::spec::NetSpec;
use vbd_net::tensor_file::Tensors;

use crate::error::{Error, Result};
use crate::start::read_tensors;

/// Tensors of the images that a normalisation may have.
const MEAN: &str = "normalize.mean";
const STD: &str = "normalize.std";

/// A tensor's new name: `old=new`. Whole names are renamed, and beginnings that end before a dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    old: String,
    new: String,
}

impl FromStr for Rename {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((old, new)) if !old.is_empty() && !new.is_empty() => Ok(Self {
                old: old.to_owned(),
                new: new.to_owned(),
            }),
            _ => Err("expected old=new, such as conv1=features.0".to_owned()),
        }
    }
}

impl Rename {
    /// Returns the new name of a tensor, if it has this one.
    fn renamed(&self, name: &str) -> Option<String> {
        let rest = name.strip_prefix(&self.old)?;
        let is_whole = rest.is_empty() || rest.starts_with('.') || self.old.ends_with('.');
        is_whole.then(|| format!("{}{rest}", self.new))
    }
}

/// Reads dense tensors in f32, f16 or bf16 with a network's names: `fc1.weight` and `fc1.bias` of each
/// layer with a weight, `bn1.weight`, `bn1.bias`, `bn1.running_mean` and `bn1.running_var` of each
/// batch normalisation, which is folded. A network that normalises by images has them in
/// `normalize.mean` and `normalize.std`. Each tensor is renamed by the first of `renames` that fits.
///
/// # Errors
/// [`vbd_net::Error::TensorFile`] if the file is not a safetensors file; [`Error::Rename`] if a rename
/// fits no tensor, or two tensors get one name; [`Error::NoImage`];
/// [`vbd_core::Error::StartTensors`], which names the tensors that differ, are missing or are left over;
/// [`vbd_net::Error::Spec`] if the network is invalid.
pub fn import(path: impl AsRef<Path>, spec: &NetSpec, renames: &[Rename]) -> Result<PrunedNet> {
    let path = path.as_ref();
    let mut tensors = renamed(read_tensors(path)?, renames, path)?;
    let mut parts = Vec::new();
    for (name, statistic) in [(MEAN, &spec.normalize.mean), (STD, &spec.normalize.std)] {
        if statistic.is_image() {
            let values = tensors.remove(name).and_then(|raw| raw.to_floats());
            let values = values.ok_or_else(|| Error::NoImage {
                path: path.to_path_buf(),
                net: spec.name.clone(),
                name,
            })?;
            parts.push((name.to_owned(), values));
        }
    }
    let parameters = Start::from_state_dict(spec, tensors, path)?.parameters;
    let graph = spec.resolve()?;
    for (layer, weight) in parameters.layers.into_iter().zip(graph.weights()) {
        let theta = layer.weight.to_dense().theta().value.clone();
        parts.push((format!("{}.weight", layer.name), theta));
        if weight.has_bias {
            parts.push((format!("{}.bias", layer.name), layer.bias.value));
        }
    }
    for norm in parameters.norms {
        let of = |what: &str| format!("{}.{what}", norm.name);
        parts.push((of("weight"), norm.weight.value));
        parts.push((of("bias"), norm.bias.value));
        parts.push((of("running_mean"), norm.running_mean));
        parts.push((of("running_var"), norm.running_var));
    }
    Ok(PrunedNet::from_parts(spec.clone(), parts)?)
}

/// Renames tensors.
fn renamed(tensors: Tensors, renames: &[Rename], path: &Path) -> Result<Tensors> {
    let problem = |problem: String| Error::Rename {
        path: path.to_path_buf(),
        problem,
    };
    let mut is_used = vec![false; renames.len()];
    let mut all = Tensors::new();
    for (name, raw) in tensors {
        let mut fits = renames.iter().enumerate();
        let found = fits.find_map(|(number, rename)| Some((number, rename.renamed(&name)?)));
        let new = match found {
            Some((number, new)) => {
                is_used[number] = true;
                new
            }
            None => name,
        };
        if all.insert(new.clone(), raw).is_some() {
            return Err(problem(format!("two tensors get the name `{new}`")));
        }
    }
    match renames.iter().zip(is_used).find(|(_, is_used)| !is_used) {
        Some((Rename { old, new }, _)) => Err(problem(format!(
            "`{old}={new}` fits no tensor: expected the name of one, or its beginning up to a dot"
        ))),
        None => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_their_beginnings_are_renamed() {
        for (rename, name, expected) in [
            ("a=b", "a", Some("b")),
            ("a=b", "a.weight", Some("b.weight")),
            ("a=b", "ab.weight", None),
            ("a.=", "a.weight", None),
            ("net.=x.", "net.fc1.weight", Some("x.fc1.weight")),
            ("features.0=conv1", "features.0.bias", Some("conv1.bias")),
            ("features.0=conv1", "features.01.bias", None),
        ] {
            let found = rename.parse::<Rename>().ok();
            let found = found.and_then(|rename| rename.renamed(name));
            assert_eq!(found.as_deref(), expected, "{rename} {name}");
        }
    }
}
