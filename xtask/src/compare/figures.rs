//! What the rounds say: medians, spreads, and ratios pair by pair.

use serde::Serialize;

use super::process::Facts;

/// A middle value and the range around it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Of `values`, of which there is at least one; of an even number the median is the mean of the middle two.
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (n, half) = (sorted.len(), sorted.len() / 2);
        let median = if n % 2 == 1 { sorted[half] } else { f64::midpoint(sorted[half - 1], sorted[half]) };
        Self { median, min: sorted[0], max: sorted[n - 1] }
    }
}

/// One program's rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The program and its form.
    pub program: String,
    /// The framework, of which a program is one of several forms.
    pub family: &'static str,
    pub facts: Facts,
    /// Milliseconds of one update, round by round.
    pub rounds_ms: Vec<f64>,
}

impl Row {
    pub fn ms(&self) -> Spread {
        Spread::of(&self.rounds_ms)
    }

    /// This program's time over `reference`'s, round by round: above 1 where the reference is faster. What slows the machine
    /// down for a while slows both.
    pub fn ratio(&self, reference: &Self) -> Spread {
        let pairs = self.rounds_ms.iter().zip(&reference.rounds_ms);
        Spread::of(&pairs.map(|(own, other)| own / other).collect::<Vec<_>>())
    }
}

/// A program that was not timed.
#[derive(Clone, Debug, Serialize)]
pub struct Absent {
    pub program: String,
    pub reason: String,
    /// What would change that.
    pub remedy: String,
}

/// What was measured for one kind of work.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    pub work: String,
    /// In words.
    pub about: String,
    /// The first is wgflow's.
    pub rows: Vec<Row>,
    pub absent: Vec<Absent>,
}

impl Comparison {
    /// wgflow's row.
    pub fn reference(&self) -> &Row {
        &self.rows[0]
    }

    /// The fastest form of each other family, in the order of the rows.
    pub fn best(&self) -> Vec<&Row> {
        let mut best: Vec<&Row> = Vec::new();
        for row in &self.rows[1..] {
            match best.iter_mut().find(|known| known.family == row.family) {
                Some(known) if row.ms().median < known.ms().median => *known = row,
                Some(_) => {}
                None => best.push(row),
            }
        }
        best
    }

    /// The largest distance of a program's action from wgflow's, where the programs told theirs.
    pub fn action_distance(&self) -> Option<f64> {
        let own = self.reference().facts.action.as_ref()?;
        let distance = |other: &Vec<f64>| {
            let pairs = own.iter().zip(other).map(|(a, b)| (a - b).abs());
            if own.len() == other.len() { pairs.fold(0.0, f64::max) } else { f64::INFINITY }
        };
        let others: Vec<f64> = self.rows[1..].iter().filter_map(|row| row.facts.action.as_ref()).map(distance).collect();
        others.into_iter().reduce(f64::max)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A program's rounds without facts.
    pub fn row(program: &str, family: &'static str, rounds_ms: &[f64]) -> Row {
        let facts = Facts { versions: [(family.to_owned(), "1.0".to_owned())].into(), device: "cpu".to_owned(), action: None };
        Row { program: program.to_owned(), family, facts, rounds_ms: rounds_ms.to_vec() }
    }

    /// wgflow against two forms of JAX and one absent program.
    pub fn comparison() -> Comparison {
        let rows = vec![
            row("wgflow", "wgflow", &[10.0, 20.0, 10.0]),
            row("JAX, scan", "JAX", &[15.0, 40.0, 12.0]),
            row("JAX, step", "JAX", &[14.0, 20.0, 14.0]),
        ];
        let absent = Absent { program: "Burn".to_owned(), reason: "not built".to_owned(), remedy: "cargo build".to_owned() };
        Comparison { work: "fql".to_owned(), about: "one update of FQL".to_owned(), rows, absent: vec![absent] }
    }

    #[test]
    fn medians_and_ranges() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 8.0]).median, 3.0);
    }

    #[test]
    fn ratios_are_made_in_each_round_and_not_of_medians() {
        let comparison = comparison();
        // 15/10, 40/20, 12/10; the ratio of the medians would be 15/10 with no spread.
        assert_eq!(comparison.rows[1].ratio(comparison.reference()), Spread { median: 1.5, min: 1.2, max: 2.0 });
        assert_eq!(comparison.rows[2].ratio(comparison.reference()), Spread { median: 1.4, min: 1.0, max: 1.4 });
    }

    #[test]
    fn the_best_form_of_a_family_has_the_least_median() {
        let best: Vec<String> = comparison().best().iter().map(|row| row.program.clone()).collect();
        assert_eq!(best, ["JAX, step"]);
    }

    #[test]
    fn actions_are_compared_where_there_are_any() {
        let mut comparison = comparison();
        assert_eq!(comparison.action_distance(), None);
        comparison.rows[0].facts.action = Some(vec![0.5, -0.5]);
        assert_eq!(comparison.action_distance(), None);
        comparison.rows[2].facts.action = Some(vec![0.5, -0.25]);
        assert_eq!(comparison.action_distance(), Some(0.25));
        comparison.rows[1].facts.action = Some(vec![0.5]);
        assert_eq!(comparison.action_distance(), Some(f64::INFINITY));
    }
}
