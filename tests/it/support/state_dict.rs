//! Files as PyTorch's users write them, and a network with what they have in it.

use serde_json::{Map, Value, json};
use vbd_net::tensor_file::Tensors;

use super::Lab;

/// A network with batch normalisations, one of them behind a convolution without a bias.
pub(crate) const NORMALISED: &str = r#"
name = "normalised"
input = [1, 8, 8]
classes = 4
normalize = { scale = 0.00390625, mean = 0.2 }
layer = [
    { kind = "conv2d", name = "conv1", out_channels = 6, kernel = 3, bias = false },
    { kind = "batch_norm", name = "bn1" },
    { kind = "relu" },
    { kind = "flatten" },
    { kind = "linear", name = "fc1", out_features = 16 },
    { kind = "batch_norm", name = "bn2" },
    { kind = "relu" },
    { kind = "linear", name = "fc2", out_features = 4 },
]
"#;

/// Writes tensors as PyTorch's users do: a safetensors file without our metadata.
pub(crate) fn write_state_dict(lab: &Lab, file: &str, tensors: &Tensors) {
    let (mut header, mut bytes) = (Map::new(), Vec::new());
    header.insert("__metadata__".to_owned(), json!({"format": "pt"}));
    for (name, raw) in tensors {
        let begin = bytes.len();
        bytes.extend(&raw.bytes);
        let offsets = [begin, bytes.len()];
        let dtype = if name.ends_with("num_batches_tracked") {
            "I64".to_owned()
        } else {
            format!("{:?}", raw.dtype)
        };
        let entry = json!({"dtype": dtype, "shape": raw.shape, "data_offsets": offsets});
        header.insert(name.clone(), entry);
    }
    let header = Value::Object(header).to_string().into_bytes();
    let len = (header.len() as u64).to_le_bytes();
    lab.write(file, [&len[..], &header, &bytes].concat());
}

/// The values of a run's newest checkpoint, without moments and states.
pub(crate) fn values(lab: &Lab, run: &str) -> Tensors {
    let tensors = lab.last_tensors(run).into_iter();
    let is_value = |name: &str| {
        let what = name.rsplit('.').next().unwrap();
        ["weight", "bias", "running_mean", "running_var"].contains(&what)
    };
    tensors.filter(|(name, _)| is_value(name)).collect()
}
