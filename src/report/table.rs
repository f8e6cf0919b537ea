//! Documents of headings, text, tables and pictures, as plain text and as Markdown.

/// Columns of a terminal that a plain document fills at most.
pub const WIDTH: usize = 120;
/// Columns between two columns of a table.
const GAP: usize = 2;
/// Columns that a shortened column keeps.
const SHORTEST: usize = 8;

/// A part of a document.
#[derive(Clone, Debug)]
pub enum Block {
    /// A heading.
    Heading(String),
    /// Text.
    Text(String),
    /// Lines that belong together.
    List(Vec<String>),
    /// A table.
    Table(Table),
    /// A picture in the folder of the document, by the stem of its files; left out of plain text.
    Picture(String),
}

/// A table. Its first columns are aligned on the left, the others, which hold numbers, on the right.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Columns with text.
    pub left: usize,
    /// Names of the columns.
    pub head: Vec<String>,
    /// Rows of as many cells.
    pub rows: Vec<Vec<String>>,
}

/// A document.
#[derive(Clone, Debug, Default)]
pub struct Document(pub Vec<Block>);

impl Document {
    /// As plain text without control characters, its tables at most [`WIDTH`] columns wide.
    pub fn plain(&self) -> String {
        let part = |block: &Block| match block {
            Block::Heading(text) => format!("{}\n", one_line(text)),
            Block::Text(text) => wrapped(text, "", ""),
            Block::List(lines) => lines.iter().map(|line| wrapped(line, "  ", "      ")).collect(),
            Block::Table(table) => table.plain(),
            Block::Picture(_) => String::new(),
        };
        let mut text = String::new();
        for (index, block) in self.0.iter().enumerate() {
            // What follows a heading belongs to it.
            let apart = index > 0 && !matches!(self.0[index - 1], Block::Heading(_)) && !matches!(block, Block::Picture(_));
            text += if apart { "\n" } else { "" };
            text += &part(block);
        }
        text
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        let part = |(index, block): (usize, &Block)| match block {
            Block::Heading(text) => format!("{} {}\n\n", if index == 0 { "#" } else { "##" }, one_line(text)),
            Block::Text(text) => format!("{}\n\n", one_line(text)),
            Block::List(lines) => lines.iter().map(|line| format!("- {}\n", one_line(line))).collect::<String>() + "\n",
            Block::Table(table) => table.markdown() + "\n",
            Block::Picture(stem) => format!("![{stem}]({stem}.png)\n\n"),
        };
        self.0.iter().enumerate().map(part).collect()
    }
}

impl Table {
    /// The columns that it takes if nothing is shortened.
    pub fn width(&self) -> usize {
        self.widths().iter().map(|width| width + GAP).sum::<usize>().saturating_sub(GAP)
    }

    fn widths(&self) -> Vec<usize> {
        let cells = |column: usize| std::iter::once(&self.head).chain(&self.rows).filter_map(move |row| row.get(column));
        (0..self.head.len()).map(|column| cells(column).map(|cell| length(cell)).max().unwrap_or(0)).collect()
    }

    fn plain(&self) -> String {
        let mut widths = self.widths();
        // Names give way before numbers do.
        while widths.iter().map(|width| width + GAP).sum::<usize>() > WIDTH + GAP {
            match (0..self.left).filter(|column| widths[*column] > SHORTEST).max_by_key(|column| widths[*column]) {
                Some(widest) => widths[widest] -= 1,
                None => break,
            }
        }
        let line = |row: &Vec<String>| {
            let cell = |(column, cell): (usize, &String)| {
                let (text, width) = (shortened(&one_line(cell), widths[column]), widths[column]);
                if column < self.left { format!("{text:width$}") } else { format!("{text:>width$}") }
            };
            let cells: Vec<String> = row.iter().enumerate().map(cell).collect();
            format!("{}\n", cells.join(&" ".repeat(GAP)).trim_end())
        };
        std::iter::once(&self.head).chain(&self.rows).map(line).collect()
    }

    fn markdown(&self) -> String {
        let line = |row: &Vec<String>| {
            let cells: Vec<String> = row.iter().map(|cell| one_line(cell).replace('|', "\\|")).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let rule: String = (0..self.head.len()).map(|column| if column < self.left { "|---" } else { "|---:" }).collect();
        format!("{}{rule}|\n{}", line(&self.head), self.rows.iter().map(line).collect::<String>())
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// `text` with its control characters replaced: names of folders may hold any.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The first characters, and a sign that there are more.
fn shortened(text: &str, width: usize) -> String {
    if length(text) <= width { text.to_owned() } else { text.chars().take(width.saturating_sub(1)).chain(['…']).collect() }
}

/// Lines of at most [`WIDTH`] columns; a word that alone is longer stays whole, so that it can be copied.
fn wrapped(text: &str, first: &str, other: &str) -> String {
    let (mut lines, mut line, mut empty) = (String::new(), first.to_owned(), true);
    for word in one_line(text).split_whitespace() {
        if !empty && length(&line) + 1 + length(word) > WIDTH {
            lines += line.trim_end();
            lines += "\n";
            (line, empty) = (other.to_owned(), true);
        }
        line += if empty { "" } else { " " };
        line += word;
        empty = false;
    }
    format!("{lines}{line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let row = |name: &str| vec![name.to_owned(), "a|b".to_owned(), "1.0 ± 0.5".to_owned()];
        Table {
            left: 2,
            head: vec!["task".into(), "x".into(), "mean".into()],
            rows: vec![row(&"long ".repeat(40)), row("b\u{1b}[1m")],
        }
    }

    #[test]
    fn long_names_give_way_and_control_characters_do_not_pass() {
        let text = Document(vec![Block::Heading("h\u{7}".into()), Block::Table(table())]).plain();
        assert!(text.lines().all(|line| length(line) <= WIDTH), "{text}");
        assert!(text.contains('…') && text.matches("1.0 ± 0.5").count() == 2, "{text}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    }

    #[test]
    fn markdown_keeps_the_columns() {
        let text = Document(vec![Block::Table(table())]).markdown();
        assert!(text.contains("|---|---|---:|") && text.contains("a\\|b"), "{text}");
    }

    #[test]
    fn text_is_wrapped_between_words() {
        let text = wrapped(&"word ".repeat(60), "  ", "    ");
        assert!(text.lines().count() == 3 && text.lines().all(|line| length(line) <= WIDTH), "{text}");
        assert!(text.starts_with("  word") && text.contains("\n    word"), "{text}");
        assert!(wrapped(&"x".repeat(200), "", "").starts_with(&"x".repeat(200)));
    }
}
