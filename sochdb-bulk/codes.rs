//! The codes of failures, and what `explain` says of each. A code is never given to another meaning.

/// What kind of mistake a failure is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Code {
    /// A pipeline file is no TOML.
    Syntax,
    /// A key or option that nothing has.
    UnknownKey,
    /// A source, stage, sink or command that is not known.
    UnknownType,
    /// A value of another type, or outside of its range.
    WrongValue,
    /// A key or table that has to be there.
    Missing,
    /// A pipeline file of another version.
    Version,
    /// Keys or flags of which one excludes the other.
    Conflict,
    /// A variable that is not set, or is no text.
    Variable,
    /// `--set`, or another flag of KEY=VALUE.
    Override,
    /// Flags and arguments.
    CommandLine,
    /// A file that is not there, or cannot be read.
    NoFile,
    /// An output that is there already.
    Exists,
    /// An output that is an input as well.
    OverInput,
    /// A file that cannot be put where it is meant to be.
    Target,
    /// A format that neither content nor name tells.
    Format,
    /// Standard input or output.
    Stdio,
    /// What was asked for does not fit the input.
    Request,
    /// Dimensions that disagree.
    Dimension,
    /// Ids that are missing, of another kind, or too many.
    Ids,
    /// Rows that are not there.
    Rows,
    /// A step that refuses its options or what comes into it.
    Step,
    /// More memory than is allowed.
    Memory,
    /// A program that may not be run.
    Permission,
    /// A file that breaks the rules of its format.
    Malformed,
    /// A well-formed file of a kind that is not read.
    Unsupported,
    /// NaN or infinity.
    NotFinite,
    /// Two rows of one id.
    SameId,
    /// An input that was changed meanwhile.
    Changed,
    /// The operating system refused.
    Io,
    /// The work failed for another reason.
    Failed,
    /// Recall below what was asked for.
    Recall,
    /// Files that are not the same.
    Differs,
    /// A signal.
    Stopped,
}

/// A code's number, its title, and the explanation: what it means, an example, and what to do.
type Entry = (Code, &'static str, &'static str, &'static str);

impl Code {
    /// All codes, in the order of their numbers.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|entry| entry.0)
    }

    /// The code with this number, such as `E0103`; case does not matter.
    pub fn called(number: &str) -> Option<Self> {
        TABLE.iter().find(|entry| entry.1.eq_ignore_ascii_case(number)).map(|entry| entry.0)
    }

    /// Its number, such as `E0103`.
    pub fn number(self) -> &'static str {
        self.entry().1
    }

    /// What it is about, in a few words.
    pub fn title(self) -> &'static str {
        self.entry().2
    }

    /// What it means and what to do, as a few paragraphs of Markdown.
    pub fn explanation(self) -> &'static str {
        self.entry().3
    }

    fn entry(self) -> &'static Entry {
        TABLE.iter().find(|entry| entry.0 == self).unwrap_or(&TABLE[0])
    }
}

const TABLE: &[Entry] = &[
    (
        Code::Syntax,
        "E0101",
        "a pipeline file is no TOML",
        "The text cannot be read as TOML, so nothing in it has a meaning yet.\n\n    path = vectors.npy\n\nStrings need quotes: `path = \"vectors.npy\"`. \
         A table begins with `[name]`, one of several with `[[name]]`. Up to eight places are shown; correct the first one first, since it may be the cause of the others.",
    ),
    (
        Code::UnknownKey,
        "E0102",
        "a key that nothing has",
        "A key of a table is not among those that its step knows. Unknown keys are errors, since a misspelt one would be ignored silently otherwise.\n\n    \
         [sink]\n    type = \"hnsw\"\n    efconstruction = 200\n\nThe message lists all keys of the table and names the one that is most like it, here `ef_construction`. \
         `sochdb-bulk plugins show hnsw` describes them.",
    ),
    (
        Code::UnknownType,
        "E0103",
        "a source, stage or sink that is not known",
        "No plugin has the name that `type` gives.\n\n    [[stage]]\n    type = \"normalise\"\n\nThe message lists the names that this program knows; \
         `sochdb-bulk plugins` says what each is. Names of formats that this build lacks say with which feature of Cargo they come.",
    ),
    (
        Code::WrongValue,
        "E0104",
        "a value of another type, or outside of its range",
        "The key is known, but its value is of another type, or is a number or word that it cannot be.\n\n    [run]\n    threads = \"two\"\n\n\
         The message says what was expected. Numbers are written without quotes, texts with them, lists in brackets. On the command line of `--set` a value is TOML, or else a text as it is.",
    ),
    (
        Code::Missing,
        "E0105",
        "something that has to be there",
        "A key or table is missing.\n\n    version = 1\n    [source]\n    path = \"vectors.npy\"\n\nA pipeline needs `version`, `[source]` and `[sink]`; a step needs its `type` \
         (only a source finds it out by itself), and most need a `path`. `sochdb-bulk new npy/hnsw` prints a whole example.",
    ),
    (
        Code::Version,
        "E0106",
        "a pipeline of another version",
        "The file says that it is written for a version of the language that this program does not read. Use a newer program, or look up what changed and write `version = 1`.",
    ),
    (
        Code::Conflict,
        "E0107",
        "keys or flags of which one excludes the other",
        "Two things were given of which only one can hold.\n\n    [source]\n    path = \"a.npy\"\n    paths = [\"a.npy\", \"b.npy\"]\n\nRemove one of the two; the message says which ones they are.",
    ),
    (
        Code::Variable,
        "E0108",
        "a variable that is not set",
        "`${NAME}` in a string of a pipeline file stands for a variable of the environment, and that one is not set.\n\n    path = \"${DATA}/vectors.npy\"\n\n\
         Set it (`DATA=/data sochdb-bulk run p.toml`), give what else is meant (`${DATA:-.}`), or write `$${` where the characters `${` themselves are meant.",
    ),
    (
        Code::Override,
        "E0109",
        "KEY=VALUE that does not fit",
        "`--set` puts another value into a pipeline: the key is a path through its tables, the value is TOML or else a text as it is.\n\n    \
         sochdb-bulk run p.toml --set stage.0.dim=64 --set sink.path=out.hnsw\n\nStages and several sources are counted from 0, and `-1` is the last one.",
    ),
    (
        Code::CommandLine,
        "E0110",
        "flags and arguments",
        "The command line is not one that the command understands. `sochdb-bulk COMMAND --help` lists its flags, with examples at the end.",
    ),
    (
        Code::NoFile,
        "E0201",
        "a file that is not there or cannot be read",
        "No file has this name or matches this pattern, or the system does not let this user read it. Paths in a pipeline file begin in the folder of that file, all others in the current one. \
         Patterns need quotes on a command line, so that the shell leaves them alone.",
    ),
    (
        Code::Exists,
        "E0202",
        "an output that is there already",
        "A file has the name of the output, and `if_exists = \"error\"` says that it must not be replaced. Choose another name, `--if-exists replace`, or `--if-exists skip` to be content with what is there.",
    ),
    (
        Code::OverInput,
        "E0203",
        "an output that is an input",
        "The output is one of the files that are read, by this or another name or link, or two outputs have one name. Inputs may be used in place while an output is written, so they are never written to. Choose another name for the output.",
    ),
    (
        Code::Target,
        "E0204",
        "a place where no file can be put",
        "The folder of the output is not there, the output is itself a folder, or the system does not let this user write there. Folders are not made: make it (`mkdir -p`), or choose another place.",
    ),
    (
        Code::Format,
        "E0205",
        "a format that nothing tells",
        "Neither the content nor the name of a file says what it is, or they contradict the format that was named. Name it: `type = \"raw_f32\"` in `[source]`, `--format` on the command line, `--to-format` for an output. \
         `sochdb-bulk plugins` lists all formats.",
    ),
    (
        Code::Stdio,
        "E0206",
        "standard input or output",
        "Standard input can be read once, and standard output holds one thing: rows, hits or statistics. What is binary does not go to a terminal, and an index is not written from front to back. Name a file for one of them.",
    ),
    (
        Code::Request,
        "E0301",
        "what was asked for does not fit the input",
        "The input is sound, but it has no such column, array or part, or several of which one must be named. The message lists what there is. `sochdb-bulk inspect FILE` describes a file.",
    ),
    (
        Code::Dimension,
        "E0302",
        "dimensions that disagree",
        "Two places say how many values a row has, and they do not say the same: the file and `dim`, two files of one source, or a stage and what comes into it.\n\n    \
         [[stage]]\n    type = \"slice\"\n    to = 512      # of vectors of 384 values\n\nThe second place in the message is where the other dimension comes from.",
    ),
    (
        Code::Ids,
        "E0303",
        "ids that do not fit",
        "An index has numbers for ids; texts (and UUIDs) travel through pipelines and other formats. There must be one id for each row. Take another column (`id_column`), a file of numbers, or count the rows: a stage of `type = \"ids\"`.",
    ),
    (
        Code::Rows,
        "E0304",
        "rows that are not there",
        "A range of rows goes past the end of the input. Rows are counted from 0, and the end of a range is the row behind its last: `0..10` are ten rows. Without an end (`10..`) all that follow are meant.",
    ),
    (
        Code::Step,
        "E0305",
        "a step that refuses its options or what comes into it",
        "Each option is well formed, but together, or for these rows, they have no meaning for this step. The message says what is expected; `sochdb-bulk plugins show NAME` describes the step.",
    ),
    (
        Code::Memory,
        "E0306",
        "more memory than is allowed",
        "What the pipeline holds in memory at a time (mapped files not counted, since the system takes those pages back) is more than `memory_limit`, even with the smallest batches. \
         The message has the parts. Allow more, use fewer threads, or build several indexes of a part of the rows each.",
    ),
    (
        Code::Permission,
        "E0307",
        "a program that may not be run",
        "A source of type `exec` runs a program. Who runs a pipeline of somebody else should know, so it needs `--allow-exec` on the command line; the file itself cannot give that permission.",
    ),
    (
        Code::Malformed,
        "E0401",
        "a file that breaks the rules of its format",
        "The bytes are not what the format demands: the file is damaged, cut short, or not what its name says. The message has the place, what was expected there, and what was found. Nothing is guessed and nothing was written: write the file again, or check where it is from.",
    ),
    (
        Code::Unsupported,
        "E0402",
        "a kind of file that is not read",
        "The file is well formed, but of a kind that is not read on purpose: pickles (they run code), complex numbers, texts, arrays of other than two dimensions. The message says what was found; write the vectors in another way.",
    ),
    (
        Code::NotFinite,
        "E0403",
        "NaN or infinity",
        "A value of a vector is NaN or infinite. It has no distance to anything, so no index can find its row; usually an embedding failed. Find out where it comes from, or leave such rows out, counted and named:\n\n    \
         [[stage]]\n    type = \"filter\"\n    on_error = \"skip\"",
    ),
    (
        Code::SameId,
        "E0404",
        "two rows of one id",
        "An index tells rows apart by their ids, so each is there once. Remove one of the rows, leave the ids away to number the rows, or keep the first of each: a stage of `type = \"dedup\"` with `by = \"id\"`.",
    ),
    (
        Code::Changed,
        "E0405",
        "an input that was changed",
        "A file was written to while it was read, so what was made of it belongs to no state that it ever had. Nothing was written. Run the command again when nobody writes to the input.",
    ),
    (
        Code::Io,
        "E0406",
        "the operating system refused",
        "Reading or writing failed: a full disk, a quota, a failing device, a limit of open files. The message has the words of the system. Older outputs are untouched.",
    ),
    (
        Code::Failed,
        "E0407",
        "the work failed",
        "The work failed for a reason that is in the message. Nothing was left behind, and older outputs are untouched.",
    ),
    (
        Code::Recall,
        "E0501",
        "recall below what was asked for",
        "The pipeline asks for a recall (`[check] recall = { k = 10, min = 0.95 }`), and a sample of rows searched in the new index found fewer of their nearest neighbours. The index was not written. \
         Raise `ef_construction` or `m` of the sink, or `ef` of the check if searches may take longer.\n\n\
         From `eval --target-recall` it means that no ef reaches it: then the ground truth is not that of the index.",
    ),
    (
        Code::Differs,
        "E0502",
        "files that are not the same",
        "Two sources that were compared differ; the message has the first place. With a tolerance, values of narrower types count as equal.",
    ),
    (
        Code::Stopped,
        "E0601",
        "stopped by a signal",
        "Ctrl-C (SIGINT) or SIGTERM stopped the work. Nothing was left behind, and older outputs are untouched. The exit code is 128 and the number of the signal.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_order_and_lead_back_to_their_codes() {
        let numbers: Vec<_> = Code::all().map(Code::number).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        for code in Code::all() {
            assert_eq!(Code::called(&code.number().to_lowercase()), Some(code));
            assert!(code.explanation().len() > 80 && code.title().len() > 5, "{code:?}");
        }
        assert_eq!(Code::called("E9999"), None);
    }
}
