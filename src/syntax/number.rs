//! [`decimal`]: numbers as HCL writes them → one text for one number.
//!
//! By text, never through a float: `0.1` and a 20-digit account id keep every digit. Invariant: two texts of one number give the
//! same text, and it is one that Packer and JSON read.

/// The number with the other sign, of a text that [`decimal`] made.
pub fn negated(number: &str) -> String {
    match number.strip_prefix('-') {
        Some(positive) => positive.to_owned(),
        None if number == "0" => number.to_owned(),
        None => format!("-{number}"),
    }
}

/// `1.10`, `1e3`, `007` → the shortest decimal string of the same number (`1.1`, `1000`, `7`): what Packer gets, and one form for
/// one number in the key. `None`: no number, or an exponent beyond any use.
pub fn decimal(written: &str) -> Option<String> {
    let (sign, digits) = written.strip_prefix('-').map_or(("", written), |rest| ("-", rest));
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || exponent.abs() > 400 || digits.len() > 400 {
        return None;
    }
    let mut point = i32::try_from(whole.len()).ok()? + exponent;
    let mut text = format!("{whole}{fraction}");
    while point <= 0 {
        text.insert(0, '0');
        point += 1;
    }
    let point = usize::try_from(point).ok()?;
    while text.len() < point {
        text.push('0');
    }
    let (whole, fraction) = text.split_at(point);
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let number = if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") };
    Some(if number == "0" { number } else { format!("{sign}{number}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_form() {
        for (written, number) in [
            ("1.10", "1.1"),
            ("007", "7"),
            ("1e3", "1000"),
            ("12.5e-3", "0.0125"),
            ("0.0", "0"),
            ("-0", "0"),
            ("1.0e1", "10"),
            ("100", "100"),
        ] {
            assert_eq!(decimal(written).as_deref(), Some(number), "{written}");
        }
        for written in ["", "x", ".5", "1e500", "1.2.3"] {
            assert_eq!(decimal(written), None, "{written}");
        }
    }
}
