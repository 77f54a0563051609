//! Decodes untrusted files into nets, checking everything.

use std::path::Path;

use crate::graph::{Graph, TensorSlot, WeightSpec};
use crate::matrix::SparseMatrix;
use crate::spec::{NetSpec, Statistic};
use crate::tensor_file;

use super::file_tensors::{FileTensors, WeightTensor};
use super::metadata::NetHeader;
use super::writer::{MEAN, STD};
use super::{Layout, ValueType, bitmask, csr, delta, dense, selection};
use crate::error::{Error, Result};
use crate::net::{NetTensors, Origin, PrunedLayer, PrunedNet, Selection, UnitScale};
use crate::problem::Problem;

/// Maximum number of rows of all weights without bias that the size of a file need not justify. A
/// writer adds biases of zeros to those beyond.
pub(crate) const MOST_ROWS: usize = 1 << 16;

/// A decoded file: net, value type, and layout and bytes of each weight.
pub(crate) struct DecodedNet {
    pub(crate) net: PrunedNet,
    pub(crate) values: ValueType,
    pub(crate) storage: Vec<(Layout, usize)>,
}

/// Decodes a pruned file. `path` is used in errors.
pub(crate) fn read(bytes: &[u8], path: &Path) -> Result<DecodedNet> {
    let (tensors, json) = tensor_file::from_bytes(bytes).map_err(Error::tensor_file(path))?;
    let header = NetHeader::from_json(&json, path)?;
    let in_file = |source| Error::SpecInFile {
        path: path.to_path_buf(),
        source: Box::new(source),
    };
    let graph = header.spec.resolve().map_err(in_file)?;
    if let Some(before) = &header.before {
        check_before(before, &header.spec, &graph).map_err(|problem| Error::Before {
            path: path.to_path_buf(),
            problem,
        })?;
    }
    check_blank(&header).map_err(|problem| Error::Provenance {
        path: path.to_path_buf(),
        field: "blank",
        problem,
    })?;
    let mut file = FileTensors {
        path,
        tensors,
        values: header.values,
        bytes_taken: 0,
    };
    // Rows without a bias take memory that no tensor may justify.
    let rows = graph.weights().iter().filter(|weight| !weight.has_bias);
    let rows = rows.fold(0_usize, |sum, weight| sum.saturating_add(weight.rows()));
    let most = MOST_ROWS.saturating_add(bytes.len());
    if rows > most {
        let problem = format!("{rows} rows of weights without bias: expected up to {most}");
        return Err(in_file(header.spec.problem("layer", problem)));
    }
    let (mut parts, mut storage) = (NetTensors::default(), Vec::new());
    for (_, node) in graph.nodes() {
        let input = node.inputs.first();
        let input = input.map_or(0, |&input| graph.node(input).shape.units());
        let name = node.label.clone();
        match node.slot {
            TensorSlot::Nothing => {}
            TensorSlot::Norm(_) => return Err(in_file(header.spec.not_folded(&name))),
            TensorSlot::Weight(weight) => {
                let weight = &graph.weights()[weight];
                let (layer, layout, bytes) = take_layer(&mut file, weight)?;
                parts.layers.push(layer);
                storage.push((layout, bytes));
            }
            TensorSlot::Index(_) => {
                let tensor = format!("{name}.index");
                let index = selection::decode(&mut file, &tensor, node.shape.units(), input)?;
                parts.selections.push(Selection { name, index });
            }
            TensorSlot::Scale(_) => {
                let [weight, bias] = ["weight", "bias"].map(|what| format!("{name}.{what}"));
                let values = file.values;
                parts.scales.push(UnitScale {
                    weight: file.take_values(&weight, values, &[input])?,
                    bias: file.take_values(&bias, values, &[input])?,
                    name,
                });
            }
        }
    }
    let rule = &header.spec.normalize;
    parts.mean = take_image(&mut file, MEAN, &rule.mean, &header.spec)?;
    parts.std = take_image(&mut file, STD, &rule.std, &header.spec)?;
    if let Some((index, &value)) = parts
        .std
        .iter()
        .flatten()
        .enumerate()
        .find(|(_, std)| **std <= 0.0)
    {
        return Err(file.problem(STD, Problem::NotPositive { index, value }));
    }
    if let Some((tensor, _)) = file.tensors.pop_first() {
        return Err(Error::SurplusTensor {
            path: path.to_path_buf(),
            tensor,
        });
    }
    let origin = Origin {
        method: header.method,
        threshold: header.threshold,
        provenance: header.provenance,
    };
    let net = PrunedNet {
        before: header.before,
        ..PrunedNet::assemble(header.spec, graph, parts, origin)
    };
    net.check_inputs().map_err(in_file)?;
    Ok(DecodedNet {
        net,
        values: header.values,
        storage,
    })
}

/// Checks that the blank color, if any, has one byte per channel of an image.
fn check_blank(header: &NetHeader) -> Result<(), String> {
    match (&header.provenance.blank, &header.spec.input[..]) {
        (None, _) => Ok(()),
        (Some(blank), &[channels, _, _]) if blank.len() == channels => Ok(()),
        (Some(blank), input) => Err(format!(
            "has {} numbers: expected one per channel of an image, network input is {input:?}",
            blank.len()
        )),
    }
}

/// Checks that `before` can be the original of the shrunk network `spec`.
fn check_before(before: &NetSpec, spec: &NetSpec, graph: &Graph) -> Result<(), String> {
    let all = before.resolve().map_err(|error| error.to_string())?;
    let ends = |spec: &NetSpec| (spec.input.clone(), spec.classes, spec.loss, spec.target);
    if ends(before) != ends(spec) {
        return Err("input, classes or loss differ from those of `spec`".to_owned());
    }
    if all.indices() > 0 {
        return Err("has a `select` layer: expected the original network".to_owned());
    }
    if !all.norms().is_empty() {
        return Err("has a `batch_norm` layer: expected them folded".to_owned());
    }
    let is_larger = |(before, after): (&WeightSpec, &WeightSpec)| {
        let sizes = before.shape.iter().zip(&after.shape);
        let kernels = before.shape[2..] == after.shape[2..];
        (&before.layer, before.kind) == (&after.layer, after.kind)
            && kernels
            && sizes.clone().all(|(before, after)| before >= after)
    };
    let (all, weights) = (all.weights(), graph.weights());
    if all.len() != weights.len() || !all.iter().zip(weights).all(is_larger) {
        return Err("layers do not match those of `spec`".to_owned());
    }
    Ok(())
}

fn take_image(
    file: &mut FileTensors<'_>,
    tensor: &str,
    rule: &Statistic,
    spec: &NetSpec,
) -> Result<Option<Vec<f32>>> {
    if !rule.is_image() {
        return Ok(None);
    }
    file.take_values(tensor, ValueType::F32, &spec.input)
        .map(Some)
}

fn take_layer(
    file: &mut FileTensors<'_>,
    spec: &WeightSpec,
) -> Result<(PrunedLayer, Layout, usize)> {
    // The bias first: it is as long as the weight has rows, and it is in the file.
    let (rows, cols) = (spec.rows(), spec.cols());
    let bias = if spec.has_bias {
        file.take_values(&format!("{}.bias", spec.layer), file.values, &[rows])?
    } else {
        vec![0.0; rows]
    };
    let name = format!("{}.weight", spec.layer);
    let before = file.bytes_taken;
    let tensor = WeightTensor {
        name: &name,
        shape: &spec.shape,
        rows,
        cols,
    };
    let (weight, layout) = take_weight(file, &tensor)?;
    let bytes = file.bytes_taken - before;
    let layer = PrunedLayer {
        name: spec.layer.clone(),
        kind: spec.kind,
        shape: spec.shape.clone(),
        weight,
        bias,
    };
    Ok((layer, layout, bytes))
}

/// Takes a weight. The names of its tensors determine the layout.
pub(super) fn take_weight(
    file: &mut FileTensors<'_>,
    weight: &WeightTensor<'_>,
) -> Result<(SparseMatrix, Layout)> {
    let layout = find_layout(file, weight.name)?;
    let matrix = match layout {
        Layout::Dense => dense::decode(file, weight),
        Layout::Csr => csr::decode(file, weight),
        Layout::Bitmask => bitmask::decode(file, weight),
        Layout::Delta => delta::decode(file, weight),
    }?;
    Ok((matrix, layout))
}

/// Finds the layout of a weight by tensor names. Tensors of a second layout stay untaken and are
/// rejected later.
fn find_layout(file: &FileTensors<'_>, weight: &str) -> Result<Layout> {
    let signs = [
        (Layout::Dense, dense::WEIGHT),
        (Layout::Csr, csr::ROWS),
        (Layout::Delta, delta::GAPS),
        (Layout::Bitmask, bitmask::BITS),
    ];
    let found = signs.into_iter().find(|(_, suffix)| {
        let tensor = format!("{weight}{suffix}");
        file.tensors.contains_key(&tensor)
    });
    found
        .map(|(layout, _)| layout)
        .ok_or_else(|| Error::MissingTensor {
            path: file.path.to_path_buf(),
            tensor: weight.to_owned(),
        })
}
