//! `docs/recipes.md` has every key of a recipe, and its default.
#![expect(clippy::unwrap_used, reason = "tests fail by panics")]

use vbd_core::recipe::{Method, MethodKind, Recipe, Train};

const PAGE: &str = include_str!("../../docs/recipes.md");

/// The cells of each row of the table that a mark on the page stands before.
fn rows(mark: &str) -> Vec<Vec<&'static str>> {
    let mark = format!("<!-- {mark} -->\n");
    let from = PAGE.find(&mark).unwrap() + mark.len();
    let table = PAGE[from..]
        .lines()
        .take_while(|line| line.starts_with('|'));
    let cells = table.map(|line| line.trim_matches('|').split('|').map(str::trim).collect());
    cells.skip(2).collect()
}

fn keys(mark: &str) -> Vec<&'static str> {
    rows(mark)
        .iter()
        .map(|row| row[0].trim_matches('`'))
        .collect()
}

/// The keys that a table may have, as the error for an unknown one lists them.
fn known(table: &str) -> Vec<String> {
    let text = format!("summary = ''\n[method]\nkind = 'vbd'\n{table}\nno_such_key = 1\n");
    let error = Recipe::from_toml(&text, "r").unwrap_err().to_string();
    let list = &error[error.find("expected one of").unwrap()..];
    list.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_page_has_the_keys_that_a_recipe_may_have_and_no_others() {
    let tables = [
        ("method", ""),
        ("rule", "[[method.rule]]\nweights = ['a']"),
        ("gate", "[[method.gate]]\nafter = 'a'"),
        ("train", "[train]"),
    ];
    for (mark, table) in tables {
        let (mut known, mut keys) = (known(table), keys(mark));
        known.sort_unstable();
        keys.sort_unstable();
        assert_eq!(known, keys, "{mark}");
    }
}

#[test]
fn the_pages_defaults_are_those_of_the_code() {
    let train = toml::Table::try_from(Train::default()).unwrap();
    let method = toml::Table::try_from(Method::new(MethodKind::Vbd)).unwrap();
    for (mark, defaults) in [("train", train), ("method", method)] {
        for row in rows(mark).iter().filter(|row| !row[1].is_empty()) {
            let page: toml::Table = toml::from_str(&format!("x = {}", row[1])).unwrap();
            assert_eq!(page["x"], defaults[row[0].trim_matches('`')], "{row:?}");
        }
    }
}
