//! Archives of numpy arrays.

use std::fs::File;

use schemars::JsonSchema;
use serde::Deserialize;

use super::dense::{Dense, DenseDataset};
use super::npy::array_layout;
use super::npy_header::{MAX_HEAD_BYTES, NpyHeader, parse_npy_header};
use super::npy_type::{self, VoidType};
use super::quoted;
use super::zip::{self, Member, Method};
use crate::{
    Batches, BufferPool, Chosen, DType, Dataset, DatasetInfo, Error, Format, Input, Matrix, Piece, Probe,
    Rows, Scan, Score, Source,
};

/// Archives of numpy arrays: `np.savez` and `np.savez_compressed`. One row of an array of two dimensions is one vector.
/// What is compressed is inflated to a temporary file first (in `TMPDIR`).
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Npz {
    /// The name of the array. Needed where more than one has two dimensions.
    #[serde(alias = "vector_column")]
    #[schemars(extend("aliases" = ["vector_column"]))]
    pub array: Option<String>,
    /// What the values are in an array whose type numpy has no name for (`V2`): "bf16".
    pub dtype: Option<VoidType>,
}

crate::register_format!(Npz);

/// What the names of arrays end in.
const SUFFIX: &str = ".npy";

/// How many arrays a message names.
const SHOWN: usize = 8;

/// How many arrays are looked at in order to find the one that is meant.
const MAX_ARRAYS: usize = 4096;

impl Format for Npz {
    const NAME: &'static str = "npz";
    const EXTENSIONS: &'static [&'static str] = &["npz"];
    const SUMMARY: &'static str = "one array of an archive (np.savez, np.savez_compressed)";
    const EXAMPLE: &'static str = "[source]\ntype = \"npz\"\npath = \"arrays.npz\"\narray = \"vectors\"\n";

    fn probe(probe: &Probe<'_>) -> Score {
        let by_name = probe.by_extension(Self::EXTENSIONS);
        if !probe.head.starts_with(zip::LOCAL) {
            return by_name;
        }
        let name_len = probe.head.get(26..28).map_or(0, |len| usize::from(len[0]) | usize::from(len[1]) << 8);
        let name = probe.head.get(zip::LOCAL_BYTES..zip::LOCAL_BYTES + name_len).unwrap_or_default();
        if name.ends_with(SUFFIX.as_bytes()) {
            Score::Yes(Score::CERTAIN, "it is a zip archive whose first member is a .npy".into())
        } else {
            by_name
        }
    }

    fn open(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
        let source = input.source()?;
        let arrays = Arrays::of(&source)?;
        let member = self.choose(&source, &arrays)?;
        let within = |error: Error| error.within(&format!("member {}", member.shown()));
        let (method, start) = member.locate(&source).map_err(within)?;
        let head = member.head(&source, MAX_HEAD_BYTES).map_err(within)?;
        let (mut layout, spare) = array_layout(&head, member.size, self.dtype, input.dim).map_err(within)?;
        if spare > 0 {
            let expected = format!("{} bytes, up to the end of the array", member.size - spare);
            return Err(within(Error::expected(expected, member.size)));
        }
        // Where there is one array only, any name would do.
        let others = arrays.0.iter().filter(|other| other.name != member.name);
        let others: Vec<String> = others.take(SHOWN).map(|other| name(other).to_owned()).collect();
        let chosen = Chosen { option: "array", value: name(member).to_owned(), others };
        let mut notes = Vec::new();
        if arrays.0.len() > 1 && self.array.is_none() {
            notes.push(format!("vectors from {}", member.shown()));
        }
        if layout.dtype == DType::F64 {
            notes.push("f64 values are rounded to f32".to_owned());
        }
        let size_bytes = source.len_bytes();
        let (values, archive) = match method {
            Method::Stored => {
                layout.offset += start;
                (source, None)
            }
            Method::Deflated => {
                notes.push(format!(
                    "{} was inflated to a temporary file of {} bytes",
                    member.shown(),
                    member.size
                ));
                let file = inflated(member, &source).map_err(within)?;
                (Source::of_file(&input.path, file, input.io)?, Some(source))
            }
        };
        let info = DatasetInfo {
            format: Self::NAME,
            rows: Rows::Exact(layout.rows),
            dim: layout.dim,
            dtype: layout.dtype,
            metric: None,
            ids: None,
            payload: None,
            files: vec![input.path.clone()],
            size_bytes,
            chosen: vec![chosen],
            notes,
        };
        Ok(Box::new(NpzDataset { matrix: DenseDataset { info, dense: Dense::new(values, layout) }, archive }))
    }
}

/// What `member` is when it is taken out, in a file that has no name and goes when it is closed.
fn inflated(member: &Member, source: &Source) -> Result<File, Error> {
    let mut file = tempfile::tempfile().map_err(|error| {
        Error::io("create a temporary file", error).with_help("set TMPDIR to a folder that can be written to")
    })?;
    member.inflate(source, &mut file)?;
    Ok(file)
}

/// The arrays of an archive, sorted by name.
struct Arrays(Vec<Member>);

impl Arrays {
    fn of(source: &Source) -> Result<Self, Error> {
        let mut arrays = zip::members(source)?;
        arrays.retain(|member| member.name.ends_with(SUFFIX));
        arrays.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(twice) = arrays.windows(2).find(|pair| pair[0].name == pair[1].name) {
            let message = format!("expected each array once, found a second {}", twice[0].shown());
            return Err(Error::malformed(message));
        }
        Ok(Self(arrays))
    }

    fn get(&self, array: &str) -> Option<&Member> {
        self.0.iter().find(|member| name(member) == array || member.name == array)
    }

    /// As `scipy.sparse.save_npz` names them.
    fn is_sparse(&self) -> bool {
        let has = |array| self.get(array).is_some();
        has("format") && has("shape") && ["indptr", "row", "offsets", "coords"].into_iter().any(has)
    }
}

/// The name of an array without its suffix.
fn name(member: &Member) -> &str {
    member.name.strip_suffix(SUFFIX).unwrap_or(&member.name)
}

impl Npz {
    /// The array that was asked for, or the only one that can be meant.
    fn choose<'a>(&self, source: &Source, arrays: &'a Arrays) -> Result<&'a Member, Error> {
        if let Some(asked) = &self.array {
            return arrays.get(asked).ok_or_else(|| {
                let names: Vec<_> = arrays.0.iter().map(|member| (member, String::new())).collect();
                Error::request(format!("expected an array {}, found {}", quoted(asked), list(&names)))
            });
        }
        if arrays.is_sparse() {
            return Err(Error::unsupported("expected an array of vectors, found a sparse matrix of scipy")
                .with_help("if it has few columns, save it as np.save(\"vectors.npy\", scipy.sparse.load_npz(\"FILE\").toarray())"));
        }
        if let [only] = arrays.0.as_slice() {
            return Ok(only);
        }
        if arrays.0.len() > MAX_ARRAYS {
            return Err(Error::request(format!(
                "expected at most {MAX_ARRAYS} arrays, found {}",
                arrays.0.len()
            ))
            .with_help("say which: array = \"NAME\" in [source], --vector-column NAME on the command line"));
        }
        let (mut matrices, mut others) = (Vec::new(), Vec::new());
        for member in &arrays.0 {
            let header = member.head(source, MAX_HEAD_BYTES).and_then(|head| parse_npy_header(&head));
            match header {
                Ok(header) if self.is_matrix(&header) => matrices.push((member, described(&header))),
                Ok(header) => others.push((member, described(&header))),
                Err(_) => others.push((member, " that cannot be read".to_owned())),
            }
        }
        match matrices.as_slice() {
            [(only, _)] => Ok(only),
            [] => Err(Error::unsupported(format!(
                "expected an array of numbers in two dimensions, found {}",
                list(&others)
            ))
            .with_help("save one that has a row for each vector: np.save(\"vectors.npy\", a)")),
            [(first, _), ..] => {
                let found = list(&matrices);
                Err(Error::request(format!("expected one array of two dimensions, found {found}")).with_help(
                    format!(
                        "say which, such as --vector-column {0}, or array = {0:?} in [source] of a pipeline",
                        name(first)
                    ),
                ))
            }
        }
    }

    fn is_matrix(&self, header: &NpyHeader) -> bool {
        header.shape.len() == 2 && npy_type::parse(&header.descr, self.dtype).is_ok()
    }
}

fn described(header: &NpyHeader) -> String {
    format!(
        " {} {}",
        header.descr.chars().take(20).flat_map(char::escape_debug).collect::<String>(),
        header.shape_text()
    )
}

/// The first few arrays, each with what is known of it.
fn list(arrays: &[(&Member, String)]) -> String {
    let shown: Vec<_> =
        arrays.iter().take(SHOWN).map(|(member, what)| format!("{}{what}", quoted(name(member)))).collect();
    match arrays.len() {
        0 => "none".to_owned(),
        count if count > SHOWN => format!("{} and {} more", shown.join(", "), count - SHOWN),
        _ => shown.join(", "),
    }
}

#[derive(Debug)]
struct NpzDataset {
    matrix: DenseDataset,
    /// The file itself, where the values are not in it.
    archive: Option<Source>,
}

impl Dataset for NpzDataset {
    fn info(&self) -> &DatasetInfo {
        self.matrix.info()
    }

    fn read<'a>(&'a self, scan: &Scan, piece: &Piece, pool: &'a BufferPool) -> Result<Batches<'a>, Error> {
        self.matrix.read(scan, piece, pool)
    }

    fn matrix(&self) -> Option<Matrix> {
        self.matrix.matrix()
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        match &self.archive {
            Some(archive) => archive.check_unchanged(),
            None => self.matrix.check_unchanged(),
        }
    }
}
