//! How far a result may be from a fixture: the limits of `tests/fixtures/README.md`.

use super::fixture::Fixture;

/// Limits at one precision.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub losses: f64,
    pub intermediates: f64,
    pub gradients: f64,
    /// In units of the learning rate.
    pub first_step: f64,
    pub final_step: f64,
    /// Whether Adam's response to the gradient's own tolerance is allowed for.
    single: bool,
    /// 1 where the gate is steep, else 0: it amplifies rounding in the flow's terms.
    steep: f64,
    /// The least value that an error of the Q loss is taken relative to.
    least_q: f64,
}

impl Limits {
    pub fn double() -> Self {
        let at = 1e-10;
        let (first_step, final_step) = (1e-8, 1e-8);
        Self { losses: at, intermediates: at, gradients: at, first_step, final_step, single: false, steep: 0.0, least_q: 0.0 }
    }

    /// At f32. Errors of q are multiplied by lambda / eta before the sigmoid; where that is large (1e4 in `gfp_locomotion`),
    /// the flow's terms get the README's wider limits, in proportion. A normalised Q loss is the mean of values whose mean
    /// magnitude is 1; where they cancel (to 0.035 in update 3 of `rebrac_qmean`) its error does not shrink with it.
    pub fn single(fixture: &Fixture) -> Self {
        let lambda = fixture.arrays.get("step0/loss/lambda").map_or(0.0, |l| l[0]);
        let eta = fixture.config["eta"].as_f64().unwrap_or(0.0);
        let steepness = if eta > 0.0 { lambda / eta } else { 0.0 };
        let steep = if steepness > 1e3 { (steepness / 1e4).max(1.0) } else { 0.0 };
        let normalised = fixture.agent_name() == "rebrac" || fixture.config["normalize_q"] == true;
        let least_q = if normalised { 0.1 } else { 0.0 };
        let (first_step, final_step) = (2e-3, 1e-2);
        Self { losses: 2e-5, intermediates: 5e-5, gradients: 2e-5, first_step, final_step, single: true, steep, least_q }
    }

    /// For a loss whose reference value is `wanted`.
    pub fn loss(&self, name: &str, wanted: f64) -> f64 {
        match name {
            "flow" | "total" => self.losses.max(2e-3 * self.steep),
            "q" => self.losses * (self.least_q / wanted.abs()).max(1.0),
            _ => self.losses,
        }
    }

    pub fn intermediate(&self, name: &str) -> f64 {
        if name == "guidance" { self.intermediates.max(1e-2 * self.steep) } else { self.intermediates }
    }

    pub fn gradient(&self, tensor: &str) -> f64 {
        if tensor.starts_with("vabc") { self.gradients.max(5e-3 * self.steep) } else { self.gradients }
    }

    /// Compares parameters after one update (`last` false) or after all, element by element; errors in units of lr.
    /// `gradient` is the fixture's for these elements and `largest` the tensor's largest; `rate` is 1, or tau for a target.
    /// Returns the largest error.
    pub fn parameters(
        &self,
        tensor: &str,
        (found, wanted): (&[f64], &[f64]),
        (gradient, largest): (&[f64], f64),
        (lr, rate, last): (f64, f64, bool),
    ) -> Result<f64, String> {
        let mut base = if last { self.final_step } else { self.first_step };
        if last && tensor.contains("vabc") {
            base = base.max(5e-2 * self.steep);
        }
        let d = self.gradient(tensor.trim_start_matches("target_")) * largest;
        let (mut used, mut worst) = (0, 0.0f64);
        for i in 0..found.len() {
            let error = (found[i] - wanted[i]).abs() / lr;
            let g = gradient[i].abs();
            let times = if last { 5.0 } else { 1.0 };
            let room = if !self.single {
                0.0
            } else if g > 0.0 && g < d {
                2.0 * times
            } else {
                (1e-8 * d / ((g + 1e-8) * (g + 1e-8))).min(2.0) * times
            };
            let limit = if rate < 1.0 { (base + room) * rate + base } else { base + room };
            worst = worst.max(error);
            used += usize::from(error > base.max(2e-2));
            if error.is_nan() || error > limit {
                return Err(format!("element {i}: {error:.3e} lr off, {limit:.3e} allowed (gradient {g:.3e})"));
            }
        }
        let most = (found.len() / 1000).max(1);
        if self.single && used > most {
            return Err(format!("{used} elements are more than 2e-2 lr off, {most} allowed"));
        }
        Ok(worst)
    }
}

/// Greatest difference over the greatest reference value; infinite where a value is not finite.
pub fn relative_error(found: &[f64], wanted: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let scale = wanted.iter().fold(0.0, |m: f64, v| m.max(v.abs())).max(1e-300);
    let worst =
        found.iter().zip(wanted).map(|(f, w)| (f - w).abs()).fold(0.0, |m: f64, e| if e > m || e.is_nan() { e } else { m });
    if worst.is_nan() { f64::INFINITY } else { worst / scale }
}
