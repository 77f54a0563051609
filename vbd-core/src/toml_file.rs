//! TOML parsing that suggests the nearest known key.

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Parses `text` as a `T`. `origin` names it in errors.
///
/// # Errors
/// [`Error::Toml`] with line and column, and for an unknown key the nearest known one.
pub fn parse<T: DeserializeOwned>(text: &str, origin: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| {
        let nearest = nearest_key(error.message());
        Error::Toml {
            origin: origin.to_owned(),
            message: error.to_string().trim_end().to_owned(),
            nearest,
        }
    })
}

/// Returns the known key nearest to the unknown one in a serde message.
///
/// serde lists the known keys only in the text of its message: ``unknown field `a`, expected one of
/// `b`, `c` ``.
pub fn nearest_key(message: &str) -> Option<String> {
    let mut words = message
        .strip_prefix("unknown ")?
        .split('`')
        .skip(1)
        .step_by(2);
    let unknown = words.next()?;
    let nearness = |known: &str| strsim::jaro_winkler(unknown, known);
    let nearest = words.max_by(|a, b| nearness(a).total_cmp(&nearness(b)));
    nearest.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its field names matter")]
    struct PathTable {
        kl_weight: f64,
        log_alpha_threshold: f64,
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        let error = parse::<PathTable>("kl_wieght = 1.0", "r.toml").unwrap_err();
        let Error::Toml {
            nearest, message, ..
        } = error
        else {
            panic!("{error}")
        };
        assert_eq!(nearest.as_deref(), Some("kl_weight"));
        assert!(message.contains("line 1"), "{message}");
    }
}
