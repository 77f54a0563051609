//! Number formatting.

/// Formats a count with thousands separators: `266,200`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a size in kilobytes of 1,000 bytes: `1,064.9 KB`.
pub(crate) fn bytes(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let tenths = (bytes + 50) / 100;
    format!("{}.{} KB", count(tenths / 10), tenths % 10)
}

/// Formats a fraction of 0 to 1 in per cent: `1.79`.
pub(crate) fn percent(fraction: f64) -> String {
    format!("{:.2}", fraction * 100.0)
}

/// Formats a loss with four significant digits: `0.01790`.
pub(crate) fn loss(loss: f64) -> String {
    let size = loss.abs();
    if size >= 1000.0 || (size > 0.0 && size < 1e-4) {
        return format!("{loss:.3e}");
    }
    let decimals = match size {
        100.0.. => 1,
        10.0.. => 2,
        1.0.. => 3,
        0.1.. => 4,
        0.01.. => 5,
        0.001.. => 6,
        _ => 7,
    };
    format!("{loss:.decimals$}")
}

/// Formats a compression ratio: `94.9`, or ∞ if no weight is kept.
pub(crate) fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "∞".to_owned(), times)
}

/// Formats microseconds.
pub(crate) fn micros(time: f64) -> String {
    if time < 10.0 {
        format!("{time:.3}")
    } else {
        format!("{time:.1}")
    }
}

/// Formats a factor.
pub(crate) fn times(factor: f64) -> String {
    if factor < 10.0 {
        format!("{factor:.2}")
    } else {
        format!("{factor:.1}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            ["0", "999", "1,000", "266,200"].map(String::from),
            [0, 999, 1000, 266_200].map(count)
        );
        assert_eq!(
            [bytes(812), bytes(20_149), bytes(1_064_949)],
            ["812 B", "20.1 KB", "1,064.9 KB"]
        );
        assert_eq!([micros(0.0834), micros(1750.26)], ["0.083", "1750.3"]);
        assert_eq!(
            [0.01794, 0.5, 12.345, 1234.5, 0.000_324_6, 0.000_012_3].map(loss),
            [
                "0.01794",
                "0.5000",
                "12.35",
                "1.234e3",
                "0.0003246",
                "1.230e-5"
            ]
        );
        assert_eq!([percent(0.0179), percent(1.0)], ["1.79", "100.00"]);
        assert_eq!(
            [ratio(None), ratio(Some(1.0)), ratio(Some(94.94))],
            ["∞", "1.00", "94.9"]
        );
    }
}
