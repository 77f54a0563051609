//! `docs/recipes.md` has every key of a recipe, its default, its range and its meaning.
use vbd_core::gate::GateKind;
use vbd_core::method::MethodKind;
use vbd_core::recipe::{AugmentSetting, Key, Method, Recipe, Train, Value};

const PAGE: &str = include_str!("../../docs/recipes.md");

/// The rows of the table that follows a mark on the page.
fn rows(mark: &str) -> Vec<&'static str> {
    let mark = format!("<!-- {mark} -->\n");
    let from = PAGE.find(&mark).unwrap_or_else(|| panic!("no {mark}")) + mark.len();
    let table = PAGE[from..].lines();
    table
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .collect()
}

fn cells(row: &'static str) -> Vec<&'static str> {
    row.trim_matches('|').split('|').map(str::trim).collect()
}

/// The keys of a table.
fn keys(mark: &str) -> Vec<&'static str> {
    let rows = rows(mark).into_iter();
    rows.map(|row| cells(row)[0].trim_matches('`')).collect()
}

/// A key as a row of the page.
fn row(key: &Key) -> String {
    let default = match key.default {
        Value::Number(number) => format!("{number}"),
        Value::Word(word) => format!("{word:?}"),
        Value::Flag(flag) => flag.to_string(),
        Value::Methods(number) => format!("the method's, or {number}"),
        other => panic!("no words for {other:?}"),
    };
    let (name, range) = (key.name, key.range.words());
    format!("| `{name}` | {default} | {range} | {} |", key.meaning)
}

#[test]
fn the_page_has_the_keys_of_every_kind_with_their_defaults_and_ranges() {
    let methods = MethodKind::ALL.map(|kind| (format!("method {}", kind.as_str()), kind.keys()));
    let gates = GateKind::ALL.map(|kind| (format!("gate {}", kind.as_str()), kind.keys()));
    for (mark, keys) in methods.into_iter().chain(gates) {
        let expected: Vec<String> = keys.iter().map(row).collect();
        if expected.is_empty() {
            continue;
        }
        assert_eq!(rows(&mark), expected, "{mark}:\n{}", expected.join("\n"));
    }
}

#[test]
fn the_page_has_the_keys_that_every_kind_shares_and_no_others() {
    // The keys that the error for an unknown key lists, without those of a single kind.
    let known = |table: &str| -> Vec<String> {
        let text = format!("summary = ''\n[method]\nkind = 'vbd'\n{table}\nno_such_key = 1\n");
        let error = Recipe::from_toml(&text, "r").unwrap_err().to_string();
        let list = &error[error.rfind("expected ").unwrap()..];
        let words = list.split('`').skip(1).step_by(2);
        words.map(str::to_owned).collect()
    };
    let of_methods: Vec<&Key> = MethodKind::ALL.iter().flat_map(|k| k.keys()).collect();
    let of_gates: Vec<&Key> = GateKind::ALL.iter().flat_map(|kind| kind.keys()).collect();
    let tables = [
        ("method", "", &of_methods),
        ("rule", "[[method.rule]]\nweights = ['a']", &of_methods),
        ("gate", "[[method.gate]]\nafter = 'a'", &of_gates),
        ("train", "[train]", &Vec::new()),
        ("augment", "[train.augment]", &Vec::new()),
    ];
    for (mark, table, of_kinds) in tables {
        let mut known = known(table);
        known.retain(|known| of_kinds.iter().all(|key| key.name != known));
        let mut keys = keys(mark);
        keys.sort_unstable();
        known.sort_unstable();
        assert_eq!(known, keys, "{mark}");
    }
}

#[test]
fn the_pages_defaults_are_those_of_the_code() {
    let train = toml::Table::try_from(Train::default()).unwrap();
    let method = toml::Table::try_from(Method::new(MethodKind::Vbd)).unwrap();
    let augment = toml::Table::try_from(AugmentSetting::default()).unwrap();
    for (mark, defaults) in [("train", train), ("method", method), ("augment", augment)] {
        let rows = rows(mark).into_iter().map(cells);
        for row in rows.filter(|row| !row[1].is_empty()) {
            let page: toml::Table = toml::from_str(&format!("x = {}", row[1])).unwrap();
            assert_eq!(page["x"], defaults[row[0].trim_matches('`')], "{row:?}");
        }
    }
}
