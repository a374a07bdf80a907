//! Kinds of files: the trait a reader implements, its descriptor, and the registry of all that are linked.

use std::fmt;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use toml::de::ValueDeserializer;

use crate::unpack::STANDARD_INPUT;
use crate::{Dataset, Error, Io, Probe, Program, Score, Source, Surroundings, Unpacked};

/// The most bytes that a file is unpacked to where nobody says: no real file of vectors is larger.
const MAX_UNPACKED_BYTES: u64 = 1 << 40;

/// What every format is told when it opens a file, besides its own options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The file, by the name that the person gave. `-` is standard input once [`Input::unpacked`] has read it.
    pub path: PathBuf,
    /// Map or read.
    pub io: Io,
    /// The dimension the person gave. A format that records one compares; one that does not relies on it.
    pub dim: Option<usize>,
    /// Whether ids that lie beside the file are wanted. False where the pipeline brings its own.
    pub own_ids: bool,
    /// Whether further columns are wanted where the options of the format do not say which. False where nothing would
    /// become of them.
    pub payload: bool,
    /// A packed file that would give more bytes than this is refused.
    pub max_unpacked_bytes: u64,
    /// What the file was unpacked to, if it was.
    pub unpacked: Option<Unpacked>,
}

impl Input {
    /// `path` with no wishes.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let max_unpacked_bytes = MAX_UNPACKED_BYTES;
        Self {
            path,
            io: Io::Auto,
            dim: None,
            own_ids: true,
            payload: false,
            max_unpacked_bytes,
            unpacked: None,
        }
    }

    /// The same input, ready to be read from any place: a file packed by gzip or zstd, or standard input (`-`, packed or
    /// not), is written to a temporary file, once. Everything else is left as it is.
    ///
    /// # Errors
    /// I/O errors; the byte of the packed file at which it is damaged; more than [`Input::max_unpacked_bytes`].
    pub fn unpacked(self) -> Result<Self, Error> {
        self.unpacked_unless(&|| false)
    }

    /// As [`Input::unpacked`], but gives up with an error soon after `stop` says so.
    ///
    /// # Errors
    /// As [`Input::unpacked`].
    pub fn unpacked_unless(mut self, stop: &dyn Fn() -> bool) -> Result<Self, Error> {
        if self.unpacked.is_some() {
            return Ok(self);
        }
        let limit = self.max_unpacked_bytes;
        let unpacked = if self.path == Path::new("-") {
            self.path = PathBuf::from(STANDARD_INPUT);
            Unpacked::standard_input(limit, stop).map(Some)
        } else {
            Unpacked::file(&self.path, limit, stop)
        };
        self.unpacked = unpacked.map_err(|error| error.in_file(&self.path))?;
        Ok(self)
    }

    /// The same input, with all that `program` writes to standard output in place of the file: it is run to its end, and
    /// what it writes is kept in a temporary file. [`Input::path`], a file or a folder, may be empty.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`] if it cannot be started, or writes more than [`Input::max_unpacked_bytes`]; its exit
    /// status and what it said last, if that is not success; what [`Surroundings::stop`] asked for. It is ended then, with
    /// all that it started.
    pub fn written_by(mut self, program: &Program, around: &Surroundings<'_>) -> Result<Self, Error> {
        if self.path == Path::new("-") {
            return Err(Error::request("expected a file or a folder for the program, found `-`")
                .with_help("programs are given no standard input: save it to a file"));
        }
        if !self.path.as_os_str().is_empty() {
            std::fs::metadata(&self.path).map_err(|e| Error::io("open", e).in_file(&self.path))?;
        }
        self.unpacked = Some(program.run(&self.path, self.max_unpacked_bytes, around)?);
        self.path = program.output_name();
        Ok(self)
    }

    /// Opens the file, or what it was unpacked to.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub fn source(&self) -> Result<Source, Error> {
        match &self.unpacked {
            Some(unpacked) => Source::of_unpacked(&self.path, unpacked, self.io),
            None => Source::open(&self.path, self.io),
        }
    }

    /// The name of the content: `x.npy` of `x.npy.gz`, and [`Input::path`] where nothing was unpacked.
    pub fn inner_path(&self) -> &Path {
        self.unpacked.as_ref().and_then(Unpacked::name).unwrap_or(&self.path)
    }

    /// The name beside which further files belong to the content. Standard input has none.
    pub fn beside(&self) -> Option<&Path> {
        match &self.unpacked {
            Some(unpacked) => unpacked.name(),
            None => Some(&self.path),
        }
    }

    /// The file or folder that a program made the content of, if one did.
    pub fn made_of(&self) -> Option<&Path> {
        self.unpacked.as_ref().and_then(Unpacked::made_of)
    }

    /// What a person should hear once about how the file came in.
    pub fn note(&self) -> Option<String> {
        #[expect(clippy::cast_precision_loss, reason = "rounded for people")]
        let mib = self.unpacked.as_ref()?.len_bytes() as f64 / f64::from(1 << 20);
        Some(format!("unpacked {mib:.1} MiB"))
    }
}

/// A kind of file. The implementing type is the format's options: its fields are the keys that a pipeline's `[source]`
/// may set, their doc comments are the documentation, and unknown keys must be refused
/// (`#[serde(deny_unknown_fields)]`).
///
/// Register it with [`crate::register_format!`].
pub trait Format: DeserializeOwned + JsonSchema + fmt::Debug + Send + Sync + 'static {
    /// The name in `--format` and `type = "..."`.
    const NAME: &'static str;
    /// Further names, for people and scripts that know another one. Lower case.
    const ALIASES: &'static [&'static str] = &[];
    /// File name extensions without the dot. Lower case.
    const EXTENSIONS: &'static [&'static str];
    /// One line for lists.
    const SUMMARY: &'static str;
    /// A `[source]` table as one would write it.
    const EXAMPLE: &'static str;

    /// Says whether a file looks like this format. Pure and cheap: no I/O.
    fn probe(probe: &Probe<'_>) -> Score;

    /// Opens a file: reads and checks whatever tells its rows and dimension, allocates nothing that a header asks for
    /// before the file's length confirms it.
    ///
    /// # Errors
    /// What is wrong with the file or with the request. [`Input::path`] is added where the error names no file.
    fn open(&self, input: &Input) -> Result<Box<dyn Dataset>, Error>;

    /// Opens a file for its columns alone: ids and further columns of rows whose vectors are in another file. The dataset
    /// has the dimension 0. Formats without columns leave it as it is.
    ///
    /// # Errors
    /// As [`Format::open`]; a format without columns.
    fn open_columns(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
        let _ = input;
        Err(Error::request(format!("expected a file with columns, found {}", Self::NAME)).with_help(
            "ids and further columns are read from Parquet and Arrow: write them there; ids alone can be a file for --ids",
        ))
    }

    /// Whether the options say where in a file the rows are. What the file begins with then belongs to somebody else: it is
    /// not unpacked, and not compared with other formats.
    fn is_part(&self) -> bool {
        false
    }

    /// The program that makes the bytes, for a format that is one: [`Format::open`] is given them then. Whoever opens the
    /// format asks the person first whether it may be run.
    fn program(&self) -> Option<Program> {
        None
    }
}

/// [`Format::open`] without the associated constants.
pub trait OpenFormat: fmt::Debug + Send + Sync {
    /// As [`Format::open`].
    ///
    /// # Errors
    /// As [`Format::open`]; the file is always named.
    fn open(&self, input: &Input) -> Result<Box<dyn Dataset>, Error>;

    /// As [`Format::open_columns`].
    ///
    /// # Errors
    /// As [`Format::open_columns`]; the file is always named.
    fn open_columns(&self, input: &Input) -> Result<Box<dyn Dataset>, Error>;

    /// As [`Format::is_part`].
    fn is_part(&self) -> bool;

    /// As [`Format::program`].
    fn program(&self) -> Option<Program>;
}

impl<T: Format> OpenFormat for T {
    fn open(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
        Format::open(self, input).map_err(|error| error.in_file(&input.path))
    }

    fn open_columns(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
        Format::open_columns(self, input).map_err(|error| error.in_file(&input.path))
    }

    fn is_part(&self) -> bool {
        Format::is_part(self)
    }

    fn program(&self) -> Option<Program> {
        Format::program(self)
    }
}

/// Everything that is known of a format: help, detection, parsing and documentation all follow from it.
pub struct FormatDescriptor {
    /// [`Format::NAME`].
    pub name: &'static str,
    /// [`Format::ALIASES`].
    pub aliases: &'static [&'static str],
    /// [`Format::EXTENSIONS`].
    pub extensions: &'static [&'static str],
    /// [`Format::SUMMARY`].
    pub summary: &'static str,
    /// [`Format::EXAMPLE`].
    pub example: &'static str,
    /// The crate that brings it.
    pub krate: &'static str,
    /// [`Format::probe`].
    pub probe: fn(&Probe<'_>) -> Score,
    /// The JSON schema of the options.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Reads the options.
    pub parse: for<'d> fn(ValueDeserializer<'d>) -> Result<Box<dyn OpenFormat>, toml::de::Error>,
}

impl FormatDescriptor {
    /// The format with no option set.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`] naming the option, if there is one that must be set.
    pub fn with_defaults(&self) -> Result<Box<dyn OpenFormat>, Error> {
        ValueDeserializer::parse("{}")
            .and_then(|options| (self.parse)(options))
            .map_err(|e| Error::request(e.message().to_owned()))
    }

    /// The descriptor of `T`, brought by the crate `krate`.
    pub const fn of<T: Format>(krate: &'static str) -> Self {
        Self {
            name: T::NAME,
            aliases: T::ALIASES,
            extensions: T::EXTENSIONS,
            summary: T::SUMMARY,
            example: T::EXAMPLE,
            krate,
            probe: T::probe,
            schema: T::json_schema,
            parse: |options| Ok(Box::new(T::deserialize(options)?)),
        }
    }

    /// Whether `word` is the name or an alias, in any case.
    pub fn is_called(&self, word: &str) -> bool {
        word.eq_ignore_ascii_case(self.name) || self.aliases.iter().any(|a| word.eq_ignore_ascii_case(a))
    }
}

impl fmt::Debug for FormatDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FormatDescriptor({} from {})", self.name, self.krate)
    }
}

inventory::collect!(FormatDescriptor);

/// Adds a format to the registry: `readers::register_format!(MyFormat);`. The crate must be named somewhere in the
/// binary (`use my_crate as _;`), or the linker leaves it out.
#[macro_export]
macro_rules! register_format {
    ($format:ty) => {
        $crate::__inventory::submit! {
            $crate::FormatDescriptor::of::<$format>(env!("CARGO_PKG_NAME"))
        }
    };
}

/// Every linked format, sorted by name.
pub fn formats() -> Vec<&'static FormatDescriptor> {
    let mut all: Vec<_> = inventory::iter::<FormatDescriptor>().collect();
    all.sort_by_key(|format| (format.name, format.krate));
    all
}

/// The format of that name or alias.
pub fn format_called(word: &str) -> Option<&'static FormatDescriptor> {
    formats().into_iter().find(|format| format.is_called(word))
}
