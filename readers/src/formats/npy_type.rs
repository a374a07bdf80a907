//! The element types of .npy files.

use schemars::JsonSchema;
use serde::Deserialize;

use super::dense::NATIVE;
use super::quoted;
use crate::{ByteOrder, DType, Error, Position};

/// What the bytes of a type are that numpy has no name for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VoidType {
    /// bfloat16, which ml_dtypes, JAX and PyTorch users save as 2 bytes of type `V2`.
    Bf16,
}

const NUMBERS: &str = "f2, f4, f8, i1 to i8 or u1 to u8";

/// The type that `descr` names; `void` says what `V2` is.
pub(super) fn parse(descr: &str, void: Option<VoidType>) -> Result<(DType, ByteOrder), Error> {
    let at = Position::Part("descr".to_owned());
    let (order, name) = match descr.split_at_checked(1) {
        Some(("<", name)) => (ByteOrder::Little, name),
        Some((">", name)) => (ByteOrder::Big, name),
        // Files are not supposed to have these, except for single bytes, but numpy takes them for the reader's order.
        Some(("=" | "|", name)) => (NATIVE, name),
        _ => (NATIVE, descr),
    };
    let dtype = match name {
        "f2" => DType::F16,
        "f4" => DType::F32,
        "f8" => DType::F64,
        "i1" => DType::I8,
        "u1" => DType::U8,
        "i2" => DType::I16,
        "u2" => DType::U16,
        "i4" => DType::I32,
        "u4" => DType::U32,
        "i8" => DType::I64,
        "u8" => DType::U64,
        "V2" | "bfloat16" if void == Some(VoidType::Bf16) => {
            // `|V2` is what numpy makes of it; the values are the writer's, and nobody writes them big-endian unsaid.
            let order = if descr.starts_with('>') { ByteOrder::Big } else { ByteOrder::Little };
            return Ok((DType::Bf16, order));
        }
        _ => return Err(refusal(descr, name).at(at)),
    };
    if void.is_some() {
        return Err(Error::request(format!(
            "expected `V2`, which dtype = \"bf16\" is for, found {}",
            quoted(descr)
        ))
        .at(at)
        .with_help("leave dtype away"));
    }
    Ok((dtype, order))
}

fn refusal(descr: &str, name: &str) -> Error {
    const AS_F32: &str = "np.save(\"vectors.npy\", a.astype(\"float32\"))";
    let (what, help) = match name.chars().next() {
        Some('[' | '(') => (
            "a structured type",
            "save one field as a plain array: np.save(\"vectors.npy\", a[\"FIELD\"])".to_owned(),
        ),
        Some('O') => (
            "Python objects (a pickle)",
            "unpack it where it is trusted: np.save(\"vectors.npy\", np.stack(a).astype(\"float32\"))"
                .to_owned(),
        ),
        Some('c') => ("complex numbers", "save a real part: np.save(\"vectors.npy\", a.real)".to_owned()),
        Some('b') if name != "bfloat16" => ("truth values", format!("save them as numbers: {AS_F32}")),
        Some('U' | 'S' | 'a') => ("strings", format!("if they are numbers, save them as such: {AS_F32}")),
        Some('M' | 'm') => ("dates or durations", "save the columns that are vectors".to_owned()),
        Some('V' | 'b') if matches!(name, "V2" | "bfloat16") => (
            "2 bytes of no type that numpy knows",
            format!("if they are bfloat16, say dtype = \"bf16\" in [source], or convert: {AS_F32}"),
        ),
        Some('V') => ("bytes of no type that numpy knows", format!("convert them: {AS_F32}")),
        _ => ("a type that is not read", format!("convert it: {AS_F32}")),
    };
    Error::unsupported(format!("expected {NUMBERS}, found {what}: {}", quoted(descr))).with_help(help)
}
