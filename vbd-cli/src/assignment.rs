//! `--set key=value`: sets one value of a recipe by its dotted TOML path or its bare key.

use std::str::FromStr;

use toml::{Table, Value};

use crate::error::Problem;

/// A key and its new value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Assignment {
    key: String,
    value: Value,
}

impl Assignment {
    pub(crate) fn new(key: &str, value: impl Into<Value>) -> Self {
        Self {
            key: key.to_owned(),
            value: value.into(),
        }
    }

    /// Sets the value in `recipe`. `known` lists every key that a recipe may have.
    ///
    /// A dotted key is not checked here; parsing the recipe rejects an unknown one.
    pub(crate) fn apply(&self, recipe: &mut Table, known: &[String]) -> Result<(), Problem> {
        let path = self.path(known)?;
        let mut parts: Vec<&str> = path.split('.').collect();
        let last = parts.pop().unwrap_or_default();
        let mut table = recipe;
        for part in parts {
            let entry = table
                .entry(part)
                .or_insert_with(|| Value::Table(Table::new()));
            let Value::Table(inner) = entry else {
                return Err(Problem::usage(format!(
                    "--set {}: `{part}` is not a table",
                    self.key
                )));
            };
            table = inner;
        }
        table.insert(last.to_owned(), self.value.clone());
        Ok(())
    }

    /// The dotted path of the key.
    fn path<'a>(&'a self, known: &'a [String]) -> Result<&'a str, Problem> {
        if self.key.contains('.') || known.contains(&self.key) {
            return Ok(&self.key);
        }
        let same = known
            .iter()
            .filter(|path| path.rsplit('.').next() == Some(&self.key));
        match same.collect::<Vec<_>>()[..] {
            [path] => Ok(path),
            [] => {
                let likeness = |path: &str| {
                    let bare = path.rsplit('.').next().unwrap_or(path);
                    strsim::jaro_winkler(&self.key, bare)
                };
                let nearest = known
                    .iter()
                    .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
                let problem = Problem::usage(format!("--set {}: unknown recipe key", self.key));
                Err(match nearest {
                    Some(nearest) => problem.hint(format!("the nearest known key is `{nearest}`")),
                    None => problem,
                })
            }
            ref several => {
                let names: Vec<String> = several.iter().map(|path| format!("`{path}`")).collect();
                let text = format!(
                    "--set {}: ambiguous key, matches {}",
                    self.key,
                    names.join(" and ")
                );
                Err(Problem::usage(text).hint("use the dotted key"))
            }
        }
    }
}

impl FromStr for Assignment {
    type Err = String;

    /// Parses `KEY=VALUE`. A value that is not valid TOML becomes a string.
    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || key.split('.').any(str::is_empty) {
            return Err("key is empty".to_owned());
        }
        let parsed = toml::from_str::<Table>(&format!("value = {value}")).ok();
        let parsed = parsed.filter(|table| table.len() == 1);
        let parsed = parsed.and_then(|mut table| table.remove("value"));
        let value = parsed.unwrap_or_else(|| Value::String(value.to_owned()));
        Ok(Self::new(key, value))
    }
}

/// Returns the dotted paths of all values in a table.
pub(crate) fn paths(table: &Table) -> Vec<String> {
    let mut paths = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => {
                paths.extend(
                    self::paths(inner)
                        .into_iter()
                        .map(|path| format!("{key}.{path}")),
                );
            }
            _ => paths.push(key.clone()),
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<String> {
        [
            "model",
            "method.kl_weight",
            "train.lr",
            "train.x",
            "method.x",
        ]
        .map(str::to_owned)
        .into()
    }

    #[test]
    fn values_are_toml_or_bare_strings() {
        for (text, value) in [
            ("lr=1e-3", Value::Float(1e-3)),
            ("lr = 2", Value::Integer(2)),
            ("a.b=[0.1, 0.2]", Value::Array(vec![0.1.into(), 0.2.into()])),
            ("a=normal(0.01)", Value::String("normal(0.01)".into())),
            ("a='he'", Value::String("he".into())),
            ("a=x=y", Value::String("x=y".into())),
        ] {
            assert_eq!(text.parse::<Assignment>().unwrap().value, value, "{text}");
        }
        for text in ["lr", "=1", "a..b=1"] {
            assert!(text.parse::<Assignment>().is_err(), "{text}");
        }
    }

    #[test]
    fn dotted_and_bare_keys_reach_their_value() {
        let mut table: Table = toml::from_str("[train]\nlr = 1.0").unwrap();
        for text in ["lr=2.0", "method.kl_weight=3.0", "model=mine"] {
            text.parse::<Assignment>()
                .unwrap()
                .apply(&mut table, &known())
                .unwrap();
        }
        let expected = "model = 'mine'\n[train]\nlr = 2.0\n[method]\nkl_weight = 3.0";
        assert_eq!(table, toml::from_str(expected).unwrap());
        assert_eq!(paths(&table), ["method.kl_weight", "model", "train.lr"]);
    }

    #[test]
    fn unknown_and_ambiguous_bare_keys_are_refused() {
        let mut table = Table::new();
        let error = Assignment::new("kl_wieght", 1.0)
            .apply(&mut table, &known())
            .unwrap_err();
        assert!(format!("{error:?}").contains("method.kl_weight"));
        let error = Assignment::new("x", 1.0)
            .apply(&mut table, &known())
            .unwrap_err();
        assert!(
            error.to_string().contains("`train.x` and `method.x`"),
            "{error}"
        );
        let error = Assignment::new("train", 1)
            .apply(&mut table, &known())
            .unwrap_err();
        assert!(error.to_string().contains("unknown recipe key"), "{error}");
    }
}
