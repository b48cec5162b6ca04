//! Markdown tables that are also easy to read as they are.

use std::fmt;

/// A table: a first column of names, then columns of numbers.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of these columns, without rows yet.
    pub fn new(columns: &[&str]) -> Self {
        Self { rows: vec![columns.iter().copied().map(str::to_owned).collect()] }
    }

    /// Adds a row.
    ///
    /// # Panics
    ///
    /// When it has not as many cells as the table has columns.
    pub fn push(&mut self, row: impl Into<Vec<String>>) {
        let row = row.into();
        assert_eq!(row.len(), self.rows[0].len(), "a row has a cell for each column");
        self.rows.push(row);
    }

    fn widths(&self) -> Vec<usize> {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max();
        (0..self.rows[0].len()).filter_map(width).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for (index, row) in self.rows.iter().enumerate() {
            write_row(f, row, &widths)?;
            if index == 0 {
                write_rule(f, &widths)?;
            }
        }
        Ok(())
    }
}

fn write_row(f: &mut fmt::Formatter<'_>, row: &[String], widths: &[usize]) -> fmt::Result {
    for (column, (cell, &width)) in row.iter().zip(widths).enumerate() {
        if column == 0 {
            write!(f, "| {cell:<width$} ")?;
        } else {
            write!(f, "| {cell:>width$} ")?;
        }
    }
    writeln!(f, "|")
}

/// The line under the head, whose colons align the columns.
fn write_rule(f: &mut fmt::Formatter<'_>, widths: &[usize]) -> fmt::Result {
    for (column, &width) in widths.iter().enumerate() {
        let dashes = "-".repeat(width + 1);
        if column == 0 {
            write!(f, "|:{dashes}")?;
        } else {
            write!(f, "|{dashes}:")?;
        }
    }
    writeln!(f, "|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["codec", "MB/s"]);
        table.push(["a codec".to_owned(), "1".to_owned()]);
        assert_eq!(
            table.to_string(),
            "| codec   | MB/s |\n\
             |:--------|-----:|\n\
             | a codec |    1 |\n"
        );
    }
}
