//! Escapes text from files and file names, so that it cannot control the terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Returns the text with control characters and changes of direction as escapes such as `\n` or
/// `\u{1b}`.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_unprintable(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped.into()
}

/// Like [`printable`], for text of several lines: line feeds stay.
pub(crate) fn printable_lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(printable).collect();
    lines.join("\n")
}

/// Escapes in JSON what its own escapes leave: characters that are unprintable, though not below
/// U+0020. They are in strings only.
pub(crate) fn printable_json(json: &str) -> Cow<'_, str> {
    if !json.contains(is_unprintable) {
        return json.into();
    }
    let mut escaped = String::with_capacity(json.len() + 8);
    for character in json.chars() {
        if is_unprintable(character) {
            // None of them is above U+FFFF.
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    escaped.into()
}

/// Returns whether a character controls a terminal or the direction of the text around it.
pub(crate) fn is_unprintable(character: char) -> bool {
    let changes_direction = matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    let ends_line = matches!(character, '\u{2028}' | '\u{2029}');
    character.is_control() || changes_direction || ends_line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_controls_a_terminal_is_escaped_and_nothing_else() {
        assert_eq!(printable("a/é 日本 — ✓.png"), "a/é 日本 — ✓.png");
        let hostile = "x\x1b[31m\u{7}\r\n\u{9b}2J\u{202e}\t";
        let escaped = printable(hostile);
        assert!(!escaped.contains(is_unprintable), "{escaped}");
        assert_eq!(escaped, r"x\u{1b}[31m\u{7}\r\n\u{9b}2J\u{202e}\t");
        assert_eq!(printable_lines("a\nb\x07"), "a\nb\\u{7}");
    }

    #[test]
    fn escaped_json_is_the_same_json() {
        let text = "a\u{9b}\u{7f}\u{202e}\n\"é";
        let json = serde_json::to_string(text).unwrap();
        let escaped = printable_json(&json);
        assert!(!escaped.contains(is_unprintable), "{escaped}");
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
    }
}
