//! Which columns of a CSV file are the vector, the id and further columns: the header and the first row tell.

use std::sync::Arc;

use super::csv::Csv;
use super::csv_records::is_list;
use super::payload::{Payload, Wanted};
use super::row_ids::{WELL_KNOWN, well_known};
use super::text::is_well_known;
use super::{number, quoted};
use crate::{Chosen, Error, IdType, Position};

/// What a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing of ours.
    Other,
    /// This value of the vector.
    Value(usize),
    /// The whole vector.
    List,
    Id,
    /// This one of the further columns.
    Payload(usize),
}

#[derive(Debug, Clone)]
pub(super) struct Columns {
    pub(super) roles: Vec<Role>,
    /// Whether the first record is no row.
    pub(super) header: bool,
    pub(super) id_type: IdType,
    /// The names of the further columns.
    pub(super) further: Vec<String>,
    pub(super) payload: Option<Arc<Payload>>,
    /// The columns of the vector and of the ids, where an option can name them.
    pub(super) chosen: Vec<Chosen>,
}

impl Columns {
    fn new(roles: Vec<Role>, header: bool) -> Self {
        let (further, chosen) = (Vec::new(), Vec::new());
        Self { roles, header, id_type: IdType::U64, further, payload: None, chosen }
    }

    /// What the ids are, if there are any.
    pub(super) fn ids(&self) -> Option<IdType> {
        self.roles.contains(&Role::Id).then_some(self.id_type)
    }

    /// Chooses by the first two records, as far as there are any.
    pub(super) fn choose(
        options: &Csv,
        records: &[Vec<Vec<u8>>],
        own_ids: bool,
        wanted: Wanted<'_>,
        notes: &mut Vec<String>,
    ) -> Result<Self, Error> {
        let Some(first) = records.first() else { return Ok(Self::new(Vec::new(), false)) };
        let header = match options.header {
            Some(header) => header,
            None => is_header(first)?,
        };
        let names: Vec<String> = match header {
            true => first.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect(),
            false => (0..first.len()).map(|position| position.to_string()).collect(),
        };
        let mut roles = vec![Role::Other; names.len()];
        let Some(row) = records.get(usize::from(header)) else { return Ok(Self::new(roles, header)) };
        if row.len() != names.len() {
            return Err(Error::expected(format!("{} fields, as the header has", names.len()), row.len())
                .at(Position::Row(0)));
        }
        let table = Table { names: &names, row };
        let id = table.id(options.id_column.as_deref(), own_ids, notes)?;
        for (column, role) in table.vector(options.vector_column.as_deref(), id.column)? {
            roles[column] = role;
        }
        if let Some(column) = id.column.filter(|_| id.is_used) {
            roles[column] = Role::Id;
        }
        let chosen = table.chosen(&roles);
        let mut columns = Self { chosen, ..Self::new(roles, header) };
        columns.add_further(&names, id.column, wanted, notes)?;
        Ok(columns)
    }

    fn add_further(
        &mut self,
        names: &[String],
        id: Option<usize>,
        wanted: Wanted<'_>,
        notes: &mut Vec<String>,
    ) -> Result<(), Error> {
        // What has no name is the numbers of the rows of a data frame.
        let others: Vec<usize> = (0..names.len())
            .filter(|&at| self.roles[at] == Role::Other && Some(at) != id && !names[at].is_empty())
            .collect();
        wanted.note_left_out(others.iter().map(|&at| names[at].as_bytes()), notes);
        for at in others {
            let is_wanted = match wanted {
                Wanted::All => true,
                Wanted::Named(wanted) => wanted.contains(&names[at]),
                Wanted::None { .. } => false,
            };
            if !is_wanted {
                continue;
            }
            if self.further.contains(&names[at]) {
                let message = format!(
                    "expected another name for each further column, found {} twice",
                    quoted(&names[at])
                );
                return Err(Error::request(message).with_help(
                    "say which are wanted: payload = [\"NAME\"] or payload = \"none\" in [source]",
                ));
            }
            self.roles[at] = Role::Payload(self.further.len());
            self.further.push(names[at].clone());
        }
        Ok(())
    }
}

/// Whether the first record is a header: it is if it has names, and not if it has values only.
fn is_header(first: &[Vec<u8>]) -> Result<bool, Error> {
    let is_value = |field: &&Vec<u8>| number::whole(field).is_ok() || is_list(field);
    let values: Vec<_> = first.iter().filter(is_value).collect();
    let count_up = |from: u64| (from..).zip(&values).all(|(number, field)| number::id(field) == Some(number));
    // Numbers that count up are names where a table was written without names.
    let numbered = values.len() > 1 && (count_up(0) || count_up(1));
    let names = first.iter().filter(|field| !field.is_empty()).count() - values.len();
    match (values.len(), names) {
        (0, _) => Ok(true),
        (_, 0) if !numbered && values.len() == first.len() => Ok(false),
        (_, 1..) if numbered => Ok(true),
        (_, 0) if numbered && values.len() < first.len() => Ok(true),
        _ => {
            let shown: Vec<_> = first.iter().take(4).map(|field| number::shown(field)).collect();
            Err(Error::request(format!(
                "expected names or values in the first record, found what may be either: {}",
                shown.join(", ")
            ))
            .with_help("say `header = true` or `header = false` in [source] of a pipeline"))
        }
    }
}

struct IdColumn {
    /// The column that is no part of the vector.
    column: Option<usize>,
    /// Whether its values are the ids.
    is_used: bool,
}

/// The names, and a row to see what the columns hold.
struct Table<'t> {
    names: &'t [String],
    row: &'t [Vec<u8>],
}

impl Table<'_> {
    fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|other| other == name)
    }

    /// The columns by the names that would be options. Columns of single values have one name if they are numbered alike.
    fn chosen(&self, roles: &[Role]) -> Vec<Chosen> {
        let is_id_name = |name: &str| WELL_KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name));
        let mut chosen = Vec::new();
        let (mut others, mut ids) = (Vec::new(), Vec::new());
        for (at, name) in self.names.iter().enumerate() {
            match roles[at] {
                Role::List | Role::Id | Role::Value(_) => {}
                _ if is_list(&self.row[at]) => others.push(name.clone()),
                _ if is_id_name(name) && !self.row[at].is_empty() => ids.push(name.clone()),
                _ => {}
            }
        }
        let values: Vec<usize> =
            (0..roles.len()).filter(|&at| matches!(roles[at], Role::Value(_) | Role::List)).collect();
        let id = roles.iter().position(|&role| role == Role::Id);
        let name = match values.as_slice() {
            &[only] => Some(self.names[only].clone()),
            &[first, ..] => {
                numbered_name(&self.names[first]).map(|(stem, _)| stem.to_owned()).filter(|stem| {
                    self.position(stem).is_none()
                        && self.numbered(stem, id).is_some_and(|group| group.len() == values.len())
                })
            }
            [] => None,
        };
        if let Some(value) = name.filter(|name| !name.is_empty()) {
            chosen.push(Chosen { option: "vector_column", value, others });
        }
        if let Some(id) = id {
            chosen.push(Chosen { option: "id_column", value: self.names[id].clone(), others: ids });
        }
        chosen
    }

    fn names_for_help(&self) -> String {
        const NAMED: usize = 12;
        let mut names: Vec<_> = self.names.iter().take(NAMED).map(|name| quoted(name)).collect();
        if self.names.len() > NAMED {
            names.push(format!("and {} more", self.names.len() - NAMED));
        }
        names.join(", ")
    }

    fn no_column(&self, option: &str, name: &str) -> Error {
        Error::request(format!("expected the column {} of {option}, found none of that name", quoted(name)))
            .with_help(format!("the columns are {}", self.names_for_help()))
    }

    fn id(&self, asked: Option<&str>, own_ids: bool, notes: &mut Vec<String>) -> Result<IdColumn, Error> {
        let is_id = |column: usize| !self.row[column].is_empty();
        if let Some(name) = asked {
            let column = self.position(name).ok_or_else(|| self.no_column("id_column", name))?;
            if !is_id(column) {
                let message = format!("expected an id, found nothing in {}", quoted(name));
                return Err(Error::request(message)
                    .with_help("leave id_column away: rows then have their row numbers"));
            }
            return Ok(IdColumn { column: Some(column), is_used: own_ids });
        }
        let position = |name: &str| self.names.iter().position(|other| other.eq_ignore_ascii_case(name));
        let column = well_known(|name| position(name).is_some()).and_then(position);
        let is_used = own_ids && column.is_some_and(is_id);
        if let Some(column) = column.filter(|_| own_ids && !is_used) {
            let name = quoted(&self.names[column]);
            notes.push(format!("{name} is empty in the first row: rows have their numbers as ids"));
        }
        Ok(IdColumn { column, is_used })
    }

    fn vector(&self, asked: Option<&str>, id: Option<usize>) -> Result<Vec<(usize, Role)>, Error> {
        let columns = || (0..self.names.len()).filter(|&column| Some(column) != id);
        let list = |column: usize| Ok(vec![(column, Role::List)]);
        let values = |columns: Vec<usize>| {
            Ok(columns.into_iter().enumerate().map(|(i, c)| (c, Role::Value(i))).collect())
        };
        let is_number = |column: usize| number::whole(&self.row[column]).is_ok();
        if let Some(name) = asked {
            return match self.position(name) {
                Some(column) if self.row[column].starts_with(b"[") || self.row[column].starts_with(b"{") => {
                    list(column)
                }
                Some(column) => values(vec![column]),
                None => {
                    let group = self.numbered(name.trim_end_matches('_'), id);
                    values(group.ok_or_else(|| self.no_column("vector_column", name))?)
                }
            };
        }
        let lists: Vec<usize> = columns().filter(|&column| is_list(&self.row[column])).collect();
        let known: Vec<usize> =
            lists.iter().copied().filter(|&column| is_well_known(self.names[column].as_bytes())).collect();
        match (lists.as_slice(), known.as_slice()) {
            (&[column], _) | (_, &[column]) => return list(column),
            ([], _) => {}
            _ => {
                let message = format!("expected one column of lists, found {}", lists.len());
                let names: Vec<_> = lists.iter().map(|&column| quoted(&self.names[column])).collect();
                return Err(Error::request(message)
                    .with_help(format!("name it with vector_column: {}", names.join(", "))));
            }
        }
        let mut stems: Vec<&str> =
            columns().filter_map(|column| Some(numbered_name(&self.names[column])?.0)).collect();
        stems.sort_unstable();
        stems.dedup();
        let mut groups = stems.iter().filter_map(|stem| self.numbered(stem, id));
        if let (Some(group), None) = (groups.next(), groups.next())
            && group.len() > 1
            && group.iter().any(|&column| is_number(column))
        {
            return values(group);
        }
        if let Some(empty) = columns().find(|&column| self.row[column].is_empty()) {
            let name = quoted(&self.names[empty]);
            return Err(Error::expected("a value in each column", format!("nothing in {name}"))
                .at(Position::Row(0))
                .with_help("say which columns are the vector with vector_column"));
        }
        // What has no name is the numbers of the rows of a data frame.
        let numbers: Vec<usize> =
            columns().filter(|&column| is_number(column) && !self.names[column].is_empty()).collect();
        if numbers.is_empty() {
            return Err(Error::request("expected columns of numbers or a column of lists, found none")
                .with_help(format!("the columns are {}; look at the first row", self.names_for_help())));
        }
        values(numbers)
    }

    /// The columns `STEM0` or `STEM_0` and on, in the order of their numbers, which begin with 0 or 1 and have no gaps.
    fn numbered(&self, stem: &str, id: Option<usize>) -> Option<Vec<usize>> {
        let mut group: Vec<(u64, usize)> = (self.names.iter().enumerate())
            .filter(|&(column, _)| Some(column) != id)
            .filter_map(|(column, name)| {
                Some((numbered_name(name).filter(|found| found.0 == stem)?.1, column))
            })
            .collect();
        group.sort_unstable();
        let first = group.first()?.0;
        let counts_up =
            first <= 1 && (first..).zip(&group).all(|(expected, &(number, _))| number == expected);
        counts_up.then(|| group.into_iter().map(|(_, column)| column).collect())
    }
}

/// `dim_12` is `dim` and 12.
fn numbered_name(name: &str) -> Option<(&str, u64)> {
    let stem = name.trim_end_matches(|char: char| char.is_ascii_digit());
    let number = name[stem.len()..].parse().ok()?;
    Some((stem.trim_end_matches('_'), number))
}
