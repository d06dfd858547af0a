//! Arithmetic that `core` lacks.

/// The square root of a number that is not negative; `core` has none. Newton's method from an estimate that halves
/// the exponent.
pub(crate) fn sqrt(x: f64) -> f64 {
    if x <= 0.0 || !x.is_finite() {
        return 0.0;
    }
    let mut y = f64::from_bits((x.to_bits() >> 1) + 0x1ff8_0000_0000_0000);
    for _ in 0..4 {
        y = f64::midpoint(y, x / y);
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn square_roots(x in 0.0f64..1e15) {
            prop_assert!((sqrt(x) - x.sqrt()).abs() <= 1e-9 * x.sqrt().max(1.0));
        }
    }
}
