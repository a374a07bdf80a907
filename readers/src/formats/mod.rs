//! The built-in formats, one file each. A new one is a file, a line here, and nothing else.
