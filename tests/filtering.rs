//! The example that draws what GFP's temperature does: its claims with smaller nets, and its command line.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use tiny_skia::Pixmap;
use wgflow::agents::policy::act_noise;
use wgflow::engine::Engine;

#[expect(dead_code, reason = "the picture uses the rest")]
#[path = "../examples/filtering/bandit.rs"]
mod bandit;
#[path = "common/example.rs"]
mod example;
#[expect(dead_code, reason = "the picture uses the rest")]
#[path = "../examples/filtering/study.rs"]
mod study;

use study::{Effort, Learned, mean, shares};

fn effort(seed: u64, steps: u64) -> Effort {
    Effort { steps, seed, hidden: vec![32, 32], learning_rate: 3e-3, samples: 1_000 }
}

/// FQL first, then GFP with each temperature.
fn learned(effort: &Effort, etas: &[f64]) -> Vec<Learned> {
    let engine = Engine::cpu(Some(1));
    let (_, mut all) = study::train(&engine, &study::fql(effort), 1, effort).unwrap();
    all.extend(study::train(&engine, &study::gfp(effort, etas), etas.len(), effort).unwrap().1);
    all
}

#[test]
fn the_flow_moves_to_the_best_mode_as_eta_falls() {
    for seed in 0..3 {
        let all = learned(&effort(seed, 600), &[1e-1, 1e-3]);
        let [bc, soft, moderate] = [0, 1, 2].map(|agent: usize| shares(all[agent].flow())[2]);
        println!("seed {seed}: {bc:.3}, {soft:.3}, {moderate:.3} of the mass on the best mode (BC, eta 1e-1, 1e-3)");
        assert!((0.2..0.45).contains(&bc), "BC copies the data: {bc}");
        assert!(soft > bc + 0.05, "{soft} at eta 1e-1, {bc} in BC");
        assert!(moderate > 0.85, "{moderate} at eta 1e-3");
    }
}

#[test]
fn weights_are_one_half_at_a_huge_eta_and_one_at_zero() {
    let all = learned(&effort(0, 400), &[1e9, 1e-1, 1e-5, 0.0]);
    let rows: usize = all[1].weights.iter().map(Vec::len).sum();
    assert_eq!(rows, 16 * 256, "every row of the last 16 batches");
    assert!(all[1].weights.iter().flatten().all(|g| (g - 0.5).abs() < 1e-6), "a huge eta tells no data apart");
    let by_mode = all[2].weights.each_ref().map(|weights| mean(weights.iter().copied()));
    assert!(by_mode.is_sorted() && by_mode[2] > by_mode[0] + 0.05, "better data weighs more: {by_mode:?}");
    let undecided = all[3].weights.iter().flatten().filter(|g| (0.01..0.99).contains(*g)).count();
    assert!(undecided < rows / 20, "a small eta decides: {undecided} of {rows}");
    assert!([&all[0], &all[4]].into_iter().all(|plain| plain.weights.iter().flatten().all(|g| *g == 1.0)), "plain BC");
}

#[test]
fn a_flow_goes_from_its_noise_to_its_actions() {
    let effort = effort(5, 300);
    let flow = &learned(&effort, &[1e-1])[0];
    let noise: Vec<f32> = (0..effort.samples).flat_map(|row| act_noise(5, row, 0, 2)).map(|z| z as f32).collect();
    assert!(flow.path[0].iter().flatten().zip(noise).all(|(x, z)| *x == f64::from(z)), "x_0 is the noise");
    assert!(flow.flow().iter().flatten().all(|a| (-1.0..=1.0).contains(a)), "actions are clipped");
    // The paths of flow matching are nearly straight, so each step leaves less of the way.
    let way = |x: &[bandit::Action]| mean(x.iter().zip(flow.flow()).map(|(x, a)| (x[0] - a[0]).hypot(x[1] - a[1])));
    let left: Vec<f64> = flow.path.iter().map(|x| way(x)).collect();
    assert!(left.len() == 9 && left.windows(2).all(|pair| pair[1] < 0.95 * pair[0]), "{left:?}");
}

fn run(arguments: &[&str]) -> Output {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let path = PATH.get_or_init(|| example::built("filtering"));
    Command::new(path).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Number of pixels of nearly this colour.
fn count(png: &Pixmap, [red, green, blue]: [u8; 3]) -> usize {
    let near = |a: u8, b: u8| a.abs_diff(b) < 40;
    png.pixels().iter().filter(|p| near(p.red(), red) && near(p.green(), green) && near(p.blue(), blue)).count()
}

#[test]
fn the_example_prints_its_table_and_draws_its_picture() {
    let out = std::env::temp_dir().join(format!("wgflow-filtering-{}", std::process::id()));
    let output = run(&["--steps", "30", "--eta", "0,1e-3", "--threads", "1", "--out", out.join("new").to_str().unwrap()]);
    let printed = text(&output.stdout);
    assert!(output.status.success(), "{printed}{}", text(&output.stderr));
    let note = printed.lines().find(|line| line.starts_with("note: eta 0")).unwrap_or_default();
    assert!(note.contains("weight 1") && note.contains("opposite limit of eta towards 0"), "{printed}");
    for row in ["data ", "BC flow (FQL) ", "FQL actor ", "VaBC, eta 0e0 ", "GFP actor, eta 1e-3 "] {
        assert!(printed.lines().any(|line| line.starts_with(row) && line.matches('%').count() == 3), "{row}: {printed}");
    }
    let file = |suffix: &str| out.join("new").join("filtering").with_extension(suffix);
    let png = Pixmap::decode_png(&std::fs::read(file("png")).unwrap()).unwrap();
    for colour in [[0x00, 0x72, 0xb2], [0xe6, 0x9f, 0x00], [0x6b, 0x6f, 0x76]] {
        assert!(count(&png, colour) > 2_000, "{colour:?} is missing");
    }
    let svg = std::fs::read_to_string(file("svg")).unwrap();
    roxmltree::Document::parse(&svg).unwrap();
    for title in ["Data", "Learned Q", "BC flow (FQL)", "VaBC, η = 0", "GFP actor, η = 10⁻³", "Weight g, η = 10⁻³", "t = 0.25"]
    {
        assert!(svg.contains(&format!("aria-label=\"{title}\"")), "{title}");
    }
    std::fs::remove_dir_all(out).unwrap();
}

#[test]
fn wrong_flags_are_refused_before_anything_is_trained() {
    let out = std::env::temp_dir().join(format!("wgflow-filtering-never-{}", std::process::id()));
    let refused: [&[&str]; 7] = [
        &["--eta", "-1"],
        &["--eta", "soft"],
        &["--eta", "1,1,1,1,1"],
        &["--eta", ""],
        &["--threads", "0"],
        &["--steps", "0"],
        &["--colour"],
    ];
    for flags in refused {
        let output = run(&[&["--out", out.to_str().unwrap()], flags].concat());
        assert_eq!(output.status.code(), Some(64), "{flags:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).starts_with("error: "), "{flags:?}: {}", text(&output.stderr));
    }
    assert!(!Path::new(&out).exists());
    let quiet = run(&["--help"]);
    assert!(quiet.status.success() && text(&quiet.stdout).contains("--eta"));
}
