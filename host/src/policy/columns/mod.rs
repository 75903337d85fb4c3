//! The columns that a policy may read, computed from logits, features and provenance. Only those asked for are computed.
//!
//! `p` is the teacher's softmax, `q` the student's, `y` the intended class, `C` the number of classes. Logarithms are
//! natural; sums run in f64 with one `exp` on every machine, so that the same logits give the same columns everywhere.
//! Rows of `teacher.max-prob`, `margin`, `entropy`, `p-class`, `correct`, `rank-class` and `loss` cost C exponentials
//! together, `student.…` likewise, `probs` C more each, `kl` C more than those of both; everything else is a copy. Meanings and
//! ranges are listed in `limbeck_policy::column`.

mod rows;
mod softmax;

pub use rows::Rows;
use softmax::probabilities;
pub(crate) use softmax::{Grade, divergence};

use crate::spelling::meant;

/// The numbers of a column, row after row.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    F32(Vec<f32>),
    U64(Vec<u64>),
}

/// A named column of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    name: String,
    width: usize,
    numbers: Numbers,
}

impl Column {
    /// Numbers of f32, `width` a row.
    pub fn f32s(name: &str, width: usize, numbers: Vec<f32>) -> Self {
        Self { name: name.to_owned(), width, numbers: Numbers::F32(numbers) }
    }

    /// Whole numbers, one a row.
    pub fn u64s(name: &str, numbers: Vec<u64>) -> Self {
        Self { name: name.to_owned(), width: 1, numbers: Numbers::U64(numbers) }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The numbers, row after row, in the one type that holds both kinds (whole numbers up to 2⁵³).
    pub fn to_f64s(&self) -> Vec<f64> {
        match &self.numbers {
            Numbers::F32(numbers) => numbers.iter().map(|&number| number.into()).collect(),
            Numbers::U64(numbers) => numbers.iter().map(|&number| number as f64).collect(),
        }
    }

    fn rows(&self) -> usize {
        let numbers = match &self.numbers {
            Numbers::F32(numbers) => numbers.len(),
            Numbers::U64(numbers) => numbers.len(),
        };
        numbers / self.width.max(1)
    }

    fn window(&self, start: usize, rows: usize) -> Self {
        let range = start * self.width..(start + rows) * self.width;
        let numbers = match &self.numbers {
            Numbers::F32(numbers) => Numbers::F32(numbers[range].to_vec()),
            Numbers::U64(numbers) => Numbers::U64(numbers[range].to_vec()),
        };
        Self { name: self.name.clone(), width: self.width, numbers }
    }
}

/// A batch of images as columns of numbers, owned by the host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    rows: usize,
    columns: Vec<Column>,
}

impl Columns {
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Name, width and numbers of each column.
    pub fn iter(&self) -> impl Iterator<Item = (&str, usize, &Numbers)> {
        self.columns.iter().map(|column| (column.name.as_str(), column.width, &column.numbers))
    }

    /// How many numbers a row of an f32 column has, or why there is none.
    pub fn f32_width(&self, name: &str) -> Result<usize, String> {
        let (column, ..) = self.range(name, 0, 0)?;
        match &column.numbers {
            Numbers::F32(_) => Ok(column.width),
            Numbers::U64(_) => Err(format!("column `{name}` holds u64 numbers, this needs f32")),
        }
    }

    /// `rows` rows from row `start` of an f32 column, or why not.
    pub fn f32_range(&self, name: &str, start: u32, rows: u32) -> Result<&[f32], String> {
        let (column, start, end) = self.range(name, start, rows)?;
        match &column.numbers {
            Numbers::F32(numbers) => Ok(&numbers[start..end]),
            Numbers::U64(_) => Err(format!("column `{name}` holds u64 numbers: read it with `u64s`")),
        }
    }

    /// `rows` rows from row `start` of a u64 column, or why not.
    pub fn u64_range(&self, name: &str, start: u32, rows: u32) -> Result<&[u64], String> {
        let (column, start, end) = self.range(name, start, rows)?;
        match &column.numbers {
            Numbers::U64(numbers) => Ok(&numbers[start..end]),
            Numbers::F32(_) => Err(format!("column `{name}` holds f32 numbers: read it with `f32s`")),
        }
    }

    fn range(&self, name: &str, start: u32, rows: u32) -> Result<(&Column, usize, usize), String> {
        let column = self.columns.iter().find(|column| column.name == name);
        let column = column.ok_or_else(|| format!("there is no column `{name}`: name it in `needs`"))?;
        let end = u64::from(start) + u64::from(rows);
        if end > self.rows as u64 {
            return Err(format!("rows {start} to {end} were asked for, the batch has {}", self.rows));
        }
        Ok((column, start as usize * column.width, end as usize * column.width))
    }
}

/// What columns are computed from. `None` where the stage doesn't have it: a policy that asks for it is refused.
#[derive(Clone, Copy, Default)]
pub struct Source<'a> {
    /// C.
    pub classes: usize,
    /// The intended class of each row.
    pub class: &'a [u32],
    /// The pool's id of each row.
    pub id: &'a [u64],
    /// Logits, rows × C.
    pub teacher: Option<&'a [f32]>,
    /// Logits, rows × C.
    pub student: Option<&'a [f32]>,
    /// Features, rows × the second number.
    pub features: Option<(&'a [f32], usize)>,
    /// Columns that the stage gives as they are: provenance, history, aggregates. One row for each of these images, after
    /// `first` others.
    pub given: &'a [Column],
    pub first: usize,
}

const SCALARS: [&str; 7] = ["max-prob", "margin", "entropy", "p-class", "correct", "rank-class", "loss"];

impl<'a> Source<'a> {
    /// The names of all columns that this source can give.
    pub fn available(&self) -> Vec<String> {
        let mut names = vec!["class".to_owned(), "id".to_owned()];
        for (model, logits) in [("teacher", self.teacher), ("student", self.student)] {
            if logits.is_some() {
                names.extend(SCALARS.iter().chain(&["logits", "probs"]).map(|scalar| format!("{model}.{scalar}")));
            }
        }
        names.extend((self.teacher.is_some() && self.student.is_some()).then(|| "kl".to_owned()));
        names.extend(self.features.map(|_| "teacher.features".to_owned()));
        names.extend(self.given.iter().map(|column| column.name.clone()));
        names
    }

    /// Some rows of this source. Panics when they are out of range.
    pub fn window(&self, rows: std::ops::Range<usize>) -> Self {
        let wide = |width: usize| rows.start * width..rows.end * width;
        let logits = |all: &'a [f32]| &all[wide(self.classes)];
        Self {
            classes: self.classes,
            class: &self.class[rows.clone()],
            id: &self.id[rows.clone()],
            teacher: self.teacher.map(logits),
            student: self.student.map(logits),
            features: self.features.map(|(all, width)| (&all[wide(width)], width)),
            given: self.given,
            first: self.first + rows.start,
        }
    }

    fn check(&self) -> Result<(), String> {
        let (rows, logits) = (self.class.len(), self.class.len() * self.classes);
        let lengths = [
            ("ids", self.id.len(), rows),
            ("teacher logits", self.teacher.map_or(logits, <[f32]>::len), logits),
            ("student logits", self.student.map_or(logits, <[f32]>::len), logits),
            ("features", self.features.map_or(0, |(f, _)| f.len()), self.features.map_or(0, |(_, width)| rows * width)),
        ];
        for (what, found, expected) in lengths {
            if found != expected {
                return Err(format!("{found} {what} for {rows} images, expected {expected}"));
            }
        }
        if let Some(short) = self.given.iter().find(|column| column.rows() < self.first + rows) {
            return Err(format!("column `{}` has {} rows of {}", short.name, short.rows(), self.first + rows));
        }
        match self.class.iter().find(|&&class| class as usize >= self.classes) {
            Some(class) => Err(format!("class {class} of {}", self.classes)),
            None => Ok(()),
        }
    }
}

/// Computes the named columns of a batch. Fails on a name that the source can't give, on logits that are not finite, and
/// where the parts of the source don't fit together.
pub fn compute(source: &Source, needs: &[String]) -> Result<Columns, String> {
    source.check()?;
    let mut columns = Columns { rows: source.class.len(), columns: Vec::with_capacity(needs.len()) };
    let grade = |who: &str, logits: Option<&[f32]>| {
        let graded = |name: &String| {
            let of_model = name.strip_prefix(who).and_then(|rest| rest.strip_prefix('.'));
            name == "kl" || of_model.is_some_and(|column| column == "probs" || SCALARS.contains(&column))
        };
        let wanted = logits.filter(|_| needs.iter().any(graded));
        wanted.map(|logits| grades(who, logits, source)).transpose()
    };
    let teacher = grade("teacher", source.teacher)?;
    let student = grade("student", source.student)?;

    for name in needs {
        let found = match name.split_once('.') {
            Some(("teacher", "features")) => source.features.map(|(f, width)| (width, Numbers::F32(f.to_vec()))),
            Some(("teacher", rest)) => column_of(rest, source.teacher, teacher.as_deref(), source.classes),
            Some(("student", rest)) => column_of(rest, source.student, student.as_deref(), source.classes),
            None if name == "kl" => kl(source, teacher.as_deref(), student.as_deref()).map(|kl| (1, Numbers::F32(kl))),
            _ => plain(name, source).map(|numbers| (1, numbers)),
        };
        let computed = found.map(|(width, numbers)| Column { name: name.clone(), width, numbers });
        let given = || source.given.iter().find(|column| column.name == *name);
        let column = computed.or_else(|| given().map(|column| column.window(source.first, columns.rows)));
        columns.columns.push(column.ok_or_else(|| unknown(name, source))?);
    }
    Ok(columns)
}

fn unknown(name: &str, source: &Source) -> String {
    let available = source.available();
    let near = meant(name, available.iter().map(|near| &**near)).map(|near| format!("; `{near}` is near"));
    format!("no column `{name}` here{}; there are {}", near.unwrap_or_default(), available.join(", "))
}

fn grades(who: &str, logits: &[f32], source: &Source) -> Result<Vec<Grade>, String> {
    let rows = logits.chunks_exact(source.classes).zip(source.class).zip(source.id);
    rows.map(|((logits, &class), id)| Grade::of(logits, class as usize).ok_or_else(|| not_finite(who, *id))).collect()
}

fn not_finite(who: &str, id: u64) -> String {
    format!("the {who}'s logits for image {id} are not finite numbers")
}

fn column_of(
    scalar: &str,
    logits: Option<&[f32]>,
    grades: Option<&[Grade]>,
    classes: usize,
) -> Option<(usize, Numbers)> {
    match scalar {
        "logits" => return Some((classes, Numbers::F32(logits?.to_vec()))),
        "probs" => return Some((classes, Numbers::F32(probabilities(logits?, classes, grades?)))),
        _ => {}
    }
    let pick: fn(&Grade) -> f64 = match scalar {
        "max-prob" => |g| g.max_prob,
        "margin" => |g| g.margin,
        "entropy" => |g| g.entropy,
        "p-class" => |g| g.p_class,
        "correct" => |g| f64::from(u8::from(g.correct)),
        "rank-class" => |g| f64::from(g.rank),
        "loss" => |g| g.loss,
        _ => return None,
    };
    Some((1, Numbers::F32(grades?.iter().map(|grade| pick(grade) as f32).collect())))
}

fn plain(name: &str, source: &Source) -> Option<Numbers> {
    match name {
        "class" => Some(Numbers::U64(source.class.iter().map(|&class| class.into()).collect())),
        "id" => Some(Numbers::U64(source.id.to_vec())),
        _ => None,
    }
}

fn kl(source: &Source, teacher: Option<&[Grade]>, student: Option<&[Grade]>) -> Option<Vec<f32>> {
    let teachers = source.teacher?.chunks_exact(source.classes).zip(teacher?);
    let students = source.student?.chunks_exact(source.classes).zip(student?);
    Some(teachers.zip(students).map(|((z, p), (other, q))| divergence(z, p, other, q) as f32).collect())
}

#[cfg(test)]
mod tests;
