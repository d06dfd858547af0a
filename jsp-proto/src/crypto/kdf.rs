//! SHA-256 and HKDF-SHA-256 with this protocol's labels (specification sections 2.4 and 2.7).

use hkdf::{Hkdf, HkdfExtract};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

secrets! {
    /// A pseudorandom key: what HKDF-Extract gives and HKDF-Expand takes.
    Prk;
}

unit_errors! {
    /// More output was asked for than HKDF-SHA-256 can give (8160 bytes), or the label or context is too long.
    LengthError = "output, label or context too long";
}

/// SHA-256 over the concatenation of `parts`.
pub fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// HKDF-Extract.
pub fn extract(salt: &[u8], ikm: &[u8]) -> Prk {
    extract_parts(salt, &[ikm])
}

/// HKDF-Extract of the concatenation of `ikm`.
pub fn extract_parts(salt: &[u8], ikm: &[&[u8]]) -> Prk {
    let mut context = HkdfExtract::<Sha256>::new(Some(salt));
    for part in ikm {
        context.input_ikm(part);
    }
    let (mut out, _) = context.finalize();
    let prk = Prk::new(out.into());
    out.as_mut_slice().zeroize();
    prk
}

/// `Expand(prk, label, ctx, L)` of specification section 2.4:
/// HKDF-Expand with info = u16 L, u8-prefixed `"jsp1 " + label`, u8-prefixed `ctx`. The label comes in two pieces.
pub fn try_expand(prk: &Prk, label: [&[u8]; 2], ctx: &[u8], out: &mut [u8]) -> Result<(), LengthError> {
    const PREFIX: &[u8] = b"jsp1 ";
    let [label, more] = label;
    let label_len = PREFIX.len().saturating_add(label.len()).saturating_add(more.len());
    let label_len = u8::try_from(label_len).map_err(|_| LengthError)?;
    let ctx_len = u8::try_from(ctx.len()).map_err(|_| LengthError)?;
    let out_len = u16::try_from(out.len()).map_err(|_| LengthError)?;
    let info = [&out_len.to_be_bytes()[..], &[label_len], PREFIX, label, more, &[ctx_len], ctx];
    let hkdf = Hkdf::<Sha256>::from_prk(prk.as_bytes()).map_err(|_| LengthError)?;
    hkdf.expand_multi_info(&info, out).map_err(|_| LengthError)
}

/// [`try_expand`] for the labels, contexts and lengths that this protocol fixes.
///
/// # Panics
/// If `out`, `label` or `ctx` is too long. No peer has a say in those lengths.
pub fn expand(prk: &Prk, label: &str, ctx: &[u8], out: &mut [u8]) {
    if try_expand(prk, [label.as_bytes(), b""], ctx, out).is_err() {
        unreachable!("lengths fixed by the protocol");
    }
}

/// [`expand`] to a new pseudorandom key.
pub fn expand_key(prk: &Prk, label: &str, ctx: &[u8]) -> Prk {
    let mut key = Prk::new([0; 32]);
    expand(prk, label, ctx, &mut key.0);
    key
}

/// Keying material for the application, bound to this connection (specification section 13, item 12):
/// Expand(exporter, "app " + label, SHA-256(ctx), length of `out`).
pub fn exporter(exporter: &Prk, label: &[u8], ctx: &[u8], out: &mut [u8]) -> Result<(), LengthError> {
    try_expand(exporter, [b"app ", label], &hash(&[ctx]), out)
}

#[cfg(test)]
#[path = "tests/kdf.rs"]
mod tests;
