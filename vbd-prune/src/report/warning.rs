//! What a report warns of: a net that has collapsed.

use std::fmt;

use super::Report;

/// A collapse of a net. The text says what it means.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportWarning {
    /// A layer has no weights left.
    NoWeights {
        /// Name of the layer.
        layer: String,
    },
    /// The outputs do not depend on the inputs.
    ConstantOutput {
        /// Name of the network.
        net: String,
    },
}

impl fmt::Display for ReportWarning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWeights { layer } => write!(formatter, "layer `{layer}` has no weights left"),
            Self::ConstantOutput { net } => write!(
                formatter,
                "the output of network `{net}` is constant: no weights connect it with the input, so \
                 that every sample gets the same answer"
            ),
        }
    }
}

impl Report {
    /// Returns the layers without weights, and whether the output is constant.
    pub fn warnings(&self) -> Vec<ReportWarning> {
        let empty = self.layers.iter().filter(|layer| layer.nnz == 0);
        let mut warnings: Vec<_> = empty
            .map(|layer| ReportWarning::NoWeights {
                layer: layer.name.clone(),
            })
            .collect();
        if self.constant_output {
            warnings.push(ReportWarning::ConstantOutput {
                net: self.model.clone(),
            });
        }
        warnings
    }
}
