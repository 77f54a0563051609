//! Colors of text. Output is readable without them.

/// Color or weight of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
}

impl Paint {
    /// Returns the text in this color if `colours`, or else unchanged.
    pub(crate) fn apply(self, text: &str, colours: bool) -> String {
        if !colours {
            return text.to_owned();
        }
        let code = match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Red => "1;31",
            Self::Green => "1;32",
            Self::Yellow => "1;33",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}
