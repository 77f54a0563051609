//! Text from files and file names, safe for a terminal.

use std::borrow::Cow;

/// Escapes control characters, line separators and characters that change the direction of text.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_unsafe(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_overrides_are_escaped() {
        let text = "a\x1b[2J\x07\n\r\t\u{9b}\u{202e}gnp.\u{2066}";
        let safe = r"a\u{1b}[2J\u{7}\n\r\t\u{9b}\u{202e}gnp.\u{2066}";
        assert_eq!(printable(text), safe);
    }

    #[test]
    fn other_text_is_unchanged() {
        for text in ["digit 2.png", "Bild ä 数字 ✓", r"C:\x"] {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text));
        }
    }
}
