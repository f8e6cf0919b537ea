//! Reports: numbers against numpy, and what must never be averaged in silence.

use std::process::{Command, Output};

use serde_json::{Value, json};
use wgflow::agents::{AgentConfig, Common, FqlConfig, GfpConfig};
use wgflow::report::{Kind, Method, Metric, Options, Outcome, Protocol, Published, Report, Summary, Task, Verdict};
use wgflow::train::Protocol as Official;

#[path = "common/folder.rs"]
mod folder;
#[path = "report/runs.rs"]
mod runs;

use folder::Folder;
use runs::*;

/// What `tests/report/expected.py` computed with numpy.
const EXPECTED: &str = include_str!("report/expected.json");

#[test]
fn numbers_are_numpy_s() {
    let expected: Value = serde_json::from_str(EXPECTED).unwrap();
    let folder = Folder::new("numpy");
    write_expected(&folder, &expected);
    let resamples = expected["resamples"].as_u64().unwrap() as u32;
    let report = folder.report(Options { resamples, ..Options::default() });
    let precise = folder.report(Options::default());
    let name = |task: &usize| format!("{} {}", report.tasks[*task].family, report.tasks[*task].label);
    let summaries = |report: &Report| [&report.cells[..], &report.families, &report.overall].concat();
    let (found, again) = (summaries(&report), summaries(&precise));
    for e in expected["summaries"].as_array().unwrap() {
        let is = |s: &&Summary| {
            json!(report.methods[s.method].label) == e["method"]
                && json!(s.tasks.iter().map(name).collect::<Vec<_>>()) == e["tasks"]
        };
        let what = format!("{} on {}", e["method"], e["tasks"]);
        let [own, other] = [&found, &again].map(|all| all.iter().find(is).unwrap_or_else(|| panic!("{what}: no summary")));
        assert_eq!(json!(own.seeds), e["seeds"], "{what}");
        near(own.mean.unwrap(), e["mean"].as_f64().unwrap(), 1e-9, &what);
        assert_eq!(own.std.is_some(), e["std"].is_number(), "{what}");
        near(own.std.unwrap_or(0.0), e["std"].as_f64().unwrap_or(0.0), 1e-9, &what);
        near(own.iqm.unwrap(), e["iqm"].as_f64().unwrap(), 1e-9, &what);
        assert_eq!(own.iqm_interval.is_some(), e["interval"].is_array(), "{what}");
        for end in 0..own.iqm_interval.map_or(0, |i| i.len()) {
            near(own.iqm_interval.unwrap()[end], e["interval"][end].as_f64().unwrap(), 1e-9, &what);
            // Scores are multiples of 2 %; a quantile of few of them jumps.
            near(other.iqm_interval.unwrap()[end], e["independent"][end].as_f64().unwrap(), 1.0, &what);
        }
        assert_eq!(own.evaluation_noise.is_some(), e["noise"].is_array(), "{what}");
        for end in 0..own.evaluation_noise.map_or(0, |i| i.len()) {
            near(own.evaluation_noise.unwrap()[end], e["noise"][end].as_f64().unwrap(), 1e-9, &what);
        }
    }
    assert_eq!(found.len(), expected["summaries"].as_array().unwrap().len());
}

#[test]
fn profiles_and_improvements_are_numpy_s() {
    let expected: Value = serde_json::from_str(EXPECTED).unwrap();
    let folder = Folder::new("profiles");
    write_expected(&folder, &expected);
    let report = folder.report(Options::default());
    let profiles = expected["profiles"].as_array().unwrap();
    assert_eq!(report.profiles.len(), profiles.len());
    for e in profiles {
        let own = report.profiles.iter().find(|p| json!(report.methods[p.method].label) == e["method"]).unwrap();
        assert_eq!((own.thresholds[0], own.thresholds[100]), (0.0, 100.0));
        assert_eq!(own.band.is_some(), e["band"].is_array());
        for (index, share) in own.shares.iter().enumerate() {
            near(*share, e["shares"][index].as_f64().unwrap(), 1e-12, "share");
            for end in 0..if own.band.is_some() { 2 } else { 0 } {
                near(own.band.as_ref().unwrap()[index][end], e["band"][index][end].as_f64().unwrap(), 1e-12, "band");
            }
        }
    }
    let cube = Report::new(&[folder.join("cube-single-play")], &Options::default(), &|_, _| None).unwrap();
    for (report, e) in [&report, &cube].into_iter().zip(expected["improvements"].as_array().unwrap()) {
        let [own] = report.improvements.as_slice() else { panic!("the judged policies of two algorithms are one pair") };
        assert_eq!(own.methods.map(|m| report.methods[m].label.as_str()), ["fql actor", "gfp actor"]);
        assert_eq!(own.tasks.len(), e["tasks"].as_array().unwrap().len());
        near(own.probability, e["probability"].as_f64().unwrap(), 1e-12, "probability");
        assert_eq!(own.interval.is_some(), e["interval"].is_array());
        for (end, found) in own.interval.iter().flatten().enumerate() {
            near(*found, e["interval"][end].as_f64().unwrap(), 1e-12, "interval");
        }
    }
}

#[test]
fn what_is_unfinished_diverged_or_twice_is_flagged_and_not_averaged() {
    let folder = Folder::new("flags");
    for (seed, success) in [(0, 0.8), (1, 0.9)] {
        finished(&folder.join(&format!("s{seed}")), "cube-single-play", 2, seed, gfp(), success);
    }
    // An unfinished copy of seed 1, newer than the finished one.
    let unfinished = |seed| config("cube-single-play", 2, &[seed], 100, gfp());
    write(&folder.join("s1-again"), &unfinished(1), &lines(&[(50, 0, 0.1, 0.1)]));
    write(&folder.join("s2"), &unfinished(2), &lines(&[(50, 0, 0.2, 0.2)]));
    write(&folder.join("s3"), &unfinished(3), &lines(&[(100, 0, 0.3, 0.3)]));
    std::fs::write(folder.join("s3/status.json"), r#"{"state":"diverged","step":100,"steps":100,"new":[1]}"#).unwrap();
    // A loss that was not finite is null; so is an evaluation.
    let null = "{\"lane\":0,\"step\":60,\"train/critic_loss\":null}\n".to_owned() + &lines(&[(100, 0, 0.4, 0.4)]);
    write(&folder.join("s4"), &unfinished(4), &null);
    let null = lines(&[(100, 0, 0.5, 0.5)]).replace("\"eval/actor/success\":0.5", "\"eval/actor/success\":null");
    write(&folder.join("s5"), &unfinished(5), &null);
    // Trained to the end, and last evaluated before it.
    let trained = lines(&[(50, 0, 0.6, 0.6)]) + "{\"lane\":0,\"step\":100,\"train/critic_loss\":0.5}\n";
    write(&folder.join("s6"), &unfinished(6), &trained);
    finished(&folder.join("other"), "cube-single-play", 3, 0, gfp(), 1.0);

    let report = folder.report(Options::default());
    let own = cell(&report, "gfp actor", "task2");
    assert_eq!((own.seeds.as_slice(), own.scores.as_slice()), (&[0, 1][..], &[80.0, 90.0][..]));
    assert_eq!(cell(&report, "gfp flow", "task2").seeds, [0, 1, 5], "the flow's own evaluation was finite");
    let outcome = |folder: &str| {
        let run = report.runs.iter().find(|run| run.folder.ends_with(folder) && run.identity.policy == "actor").unwrap();
        (std::mem::discriminant(&run.outcome), run.score)
    };
    let [missing, diverged, duplicate] =
        [Outcome::Missing, Outcome::Diverged, Outcome::Duplicate].map(|kind| std::mem::discriminant(&kind(String::new())));
    assert_eq!(outcome("s1-again"), (duplicate, Some(10.0)));
    assert_eq!(outcome("s2"), (missing, Some(20.0)));
    assert_eq!([outcome("s3").0, outcome("s4").0, outcome("s5").0], [diverged; 3]);
    let has = |kind, words: &[&str]| {
        let found = flags(&report, kind);
        assert!(found.iter().any(|text| words.iter().all(|word| text.contains(word))), "{words:?} in {found:#?}");
    };
    has(Kind::Duplicate, &["s1-again lane 0", "s1 lane 0", "complete"]);
    has(Kind::Missing, &["s2 lane 0:", "not finished: update 50 of 100"]);
    has(Kind::Missing, &["s6 lane 0:", "the last evaluation is at update 50 of 100"]);
    has(Kind::Diverged, &["s3"]);
    has(Kind::Diverged, &["s4", "update 60"]);
    has(Kind::Diverged, &["s5 lane 0 (actor)", "evaluation"]);
    has(Kind::Missing, &["gfp: no run of seeds 1-6 on cube-single-play task3"]);
    let text = report.text();
    assert!(text.contains("(20.0)") && text.contains("diverged") && text.contains("2 of 7"), "{text}");
    let family = report.families.iter().find(|s| report.methods[s.method].label == "gfp actor").unwrap();
    assert_eq!((family.seeds.as_slice(), family.mean), (&[0][..], Some(90.0)));
    assert_eq!(family.missing, ["seed 1 left out: no score on cube-single-play task3"]);
}

#[test]
fn settings_that_differ_on_a_task_are_methods_and_those_tuned_for_tasks_are_not() {
    let folder = Folder::new("methods");
    // Lanes with values of their own, and single runs of the same settings.
    let sweep = config("cube-single-play", 1, &[0, 0], 100, alpha(&[3.0, 10.0]));
    write(&folder.join("sweep"), &sweep, &lines(&[(100, 0, 0.2, 0.0), (100, 1, 0.6, 0.0)]));
    finished(&folder.join("single"), "cube-single-play", 1, 1, alpha(&[10.0]), 0.8);
    // Another task with an eta of its own.
    let tuned = GfpConfig { eta: vec![0.001], alpha: vec![10.0], ..GfpConfig::default() };
    finished(&folder.join("tuned"), "scene-play", 2, 0, AgentConfig::Gfp(tuned), 0.9);
    let report = folder.report(Options::default());
    let labels: Vec<&str> = report.methods.iter().map(|method| method.label.as_str()).collect();
    assert_eq!(labels, ["gfp actor alpha=3", "gfp actor alpha=10", "gfp flow alpha=3", "gfp flow alpha=10"]);
    assert_eq!(cell(&report, "gfp actor alpha=3", "task1").scores, [20.0]);
    assert_eq!(cell(&report, "gfp actor alpha=10", "task1").scores, [60.0, 80.0]);
    assert_eq!(cell(&report, "gfp actor alpha=10", "scene").scores, [90.0]);
    let tuned = &report.methods[1].tuned;
    assert_eq!(tuned.keys().collect::<Vec<_>>(), ["eta"]);
    assert_eq!(tuned["eta"]["scene-play-singletask-task2-v0"], json!(0.001));
    assert_eq!(report.methods[1].settings["alpha"], json!(10.0));
}

#[test]
fn later_evaluations_win_and_those_of_other_tasks_do_not_count() {
    let folder = Folder::new("sources");
    let run = folder.join("a");
    // The last evaluation is there twice, as after a resume; a crash tore the last line.
    let metrics =
        lines(&[(50, 0, 0.1, 0.1), (100, 0, 0.2, 0.2), (100, 0, 0.3, 0.3)]) + "{\"step\":100,\"lane\":0,\"eval/actor/succ";
    write(&run, &config("cube-single-play", 2, &[0], 100, gfp()), &metrics);
    let actor = |report: &Report| cell(report, "gfp actor", "task2").scores.clone();
    assert_eq!(actor(&folder.report(Options::default())), [30.0], "the last line of several");
    let evaluation = |env: &str, policy: &str, success: f64, protocol: Option<&str>| {
        json!({"step": 100, "lane": 0, "policy": policy, "env": env, "episodes": 100, "success": success, "return": -1.0,
            "length": 5.0, "normalized": null, "seed": 0, "protocol": protocol, "versions": {"ogbench": "1.2.2"}})
        .to_string()
            + "\n"
    };
    let task2 = "cube-single-singletask-task2-v0";
    append(run.join("evaluations.jsonl"), &evaluation(task2, "actor", 0.4, Some("gfp")));
    append(run.join("evaluations.jsonl"), &evaluation(task2, "actor", 0.5, None));
    append(run.join("evaluations.jsonl"), &evaluation("cube-single-singletask-task3-v0", "actor", 0.9, None));
    append(run.join("evaluations.jsonl"), "not json\n{\"step\":100");
    let report = folder.report(Options::default());
    assert_eq!(actor(&report), [50.0], "made afterwards, and the last of those");
    assert_eq!(cell(&report, "gfp flow", "task2").scores, [30.0], "the flow was not evaluated again");
    let unreadable = flags(&report, Kind::Unreadable);
    assert!(
        unreadable.len() == 2 && unreadable.iter().any(|text| text.contains("1 lines") && text.contains("another task")),
        "{unreadable:?}"
    );
    assert!(unreadable.iter().any(|text| text.contains("1 lines of evaluations.jsonl cannot be read")), "{unreadable:?}");
    let report = folder.report(Options { metric: Some(Metric::Return), ..Options::default() });
    assert_eq!(actor(&report), [-1.0]);
    let report = folder.report(Options { metric: Some(Metric::Normalized), ..Options::default() });
    assert_eq!(actor(&report), [0.0; 0]);
    assert!(flags(&report, Kind::Missing).iter().any(|text| text.contains("no evaluation")));
}

#[test]
fn protocols_average_their_evaluations_or_say_which_are_missing() {
    let folder = Folder::new("protocols");
    let steps = 1_000_000;
    let run = |name: &str, seed: u64, evaluations: &[(u64, usize, f64, f64)]| {
        write(&folder.join(name), &config("cube-single-play", 2, &[seed], steps, gfp()), &lines(evaluations));
    };
    run("whole", 0, &[(700_000, 0, 0.0, 0.0), (800_000, 0, 0.6, 0.0), (900_000, 0, 0.7, 0.0), (steps, 0, 0.8, 0.0)]);
    run("lacking", 1, &[(800_000, 0, 0.6, 0.0), (steps, 0, 0.8, 0.0)]);
    let report = folder.report(Options { protocol: Protocol::Official(Official::Fql), ..Options::default() });
    let own = cell(&report, "gfp actor", "task2");
    assert_eq!(own.seeds, [0]);
    near(own.scores[0], 70.0, 1e-12, "the mean of three");
    assert!(flags(&report, Kind::Missing).iter().any(|text| text.contains("lacking lane 0: no evaluation at update 900000")));
    assert_eq!(flags(&report, Kind::Protocol), [""; 0]);
    let report = folder.report(Options { protocol: Protocol::Official(Official::Gfp), ..Options::default() });
    assert!(flags(&report, Kind::Protocol)[0].contains("50 episodes where 100 are asked for"));
    // Among evaluations of one checkpoint, those made for the protocol that is asked for count first.
    let again = |success: f64, protocol: &str| {
        let line = json!({"step": steps, "lane": 0, "policy": "actor", "success": success, "return": 0, "protocol": protocol});
        append(folder.join("whole/evaluations.jsonl"), &format!("{line}\n"));
    };
    again(0.9, "gfp");
    again(0.5, "fql");
    for (protocol, score) in [(Official::Gfp, 220.0 / 3.0), (Official::Fql, 60.0)] {
        let report = folder.report(Options { protocol: Protocol::Official(protocol), ..Options::default() });
        near(cell(&report, "gfp actor", "task2").scores[0], score, 1e-12, "the protocol's own");
    }
    std::fs::remove_file(folder.join("whole/evaluations.jsonl")).unwrap();
    let report = folder.report(Options { protocol: Protocol::Last(2), ..Options::default() });
    let scores = &cell(&report, "gfp actor", "task2").scores;
    assert_eq!(scores.len(), 2);
    near(scores[0], 75.0, 1e-12, "the mean of two");
    let report = folder.report(Options { protocol: Protocol::Last(3), ..Options::default() });
    assert_eq!(cell(&report, "gfp actor", "task2").seeds, [0], "fewer than three are not averaged");
}

fn published(method: &Method, task: &Task) -> Option<Published> {
    let seeds = match (method.policy.as_str(), task.name.as_str()) {
        ("actor", "cube-single-play-singletask-task1-v0") => vec![95.0, 97.0],
        ("actor", "cube-single-play-singletask-task2-v0") => vec![97.0, 95.0],
        _ => return None,
    };
    Some(Published { mean: 96.0, std: 1.0, count: 2, seeds, source: "a paper".to_owned() })
}

#[test]
fn published_scores_stand_beside_own_ones_with_a_verdict() {
    let folder = Folder::new("published");
    for (task, success) in [(1, [0.98, 0.96]), (2, [0.90, 0.88])] {
        for (seed, success) in success.into_iter().enumerate() {
            finished(&folder.join(&format!("{task}-{seed}")), "cube-single-play", task, seed as u64, gfp(), success);
        }
    }
    let report = folder.compared(Options::default(), &published);
    let of = |task| cell(&report, "gfp actor", task).comparison.clone().unwrap();
    // 2 sqrt(1 / 2 + 1 / 2 + 1) = 2.83
    near(of("task1").difference, 1.0, 1e-9, "difference");
    near(of("task1").limit, 8.0_f64.sqrt(), 1e-9, "limit");
    assert_eq!((of("task1").verdict, of("task2").verdict), (Verdict::Agrees, Verdict::Differs));
    let family = report.families.iter().find(|s| s.comparison.is_some()).unwrap();
    let family = family.comparison.as_ref().unwrap();
    assert_eq!((family.published.mean, family.published.std), (96.0, 0.0), "the published seeds' means over tasks are equal");
    let out = folder.join("out");
    let files = report.write(&out).unwrap();
    assert_eq!(files.len(), 6, "{files:?}");
    let svg = std::fs::read_to_string(out.join("curves-cube-single-play.svg")).unwrap();
    assert!(svg.contains("stroke-dasharray") && svg.contains("aria-label=\"gfp actor, published\""));
    let text = report.text();
    assert!(
        text.contains("96.0 ± 1.0") && text.contains("agrees") && text.contains("differs") && text.contains("-7.0"),
        "{text}"
    );
    // Returns are not what was published.
    let returns = Options { metric: Some(Metric::Return), ..Options::default() };
    let report = folder.compared(returns, &published);
    assert!(report.cells.iter().all(|cell| cell.comparison.is_none()));
}

#[test]
fn runs_of_different_data_or_environments_are_averaged_with_a_warning() {
    let folder = Folder::new("mixed");
    for seed in 0..3 {
        let run = folder.join(&format!("s{seed}"));
        finished(&run, "cube-single-play", 2, seed, gfp(), 0.5);
        let hash = if seed == 2 { "bbbb" } else { "aaaa" };
        std::fs::write(run.join("status.json"), json!({"state": "finished", "dataset_hash": hash}).to_string()).unwrap();
    }
    let line = json!({"step": 100, "lane": 0, "policy": "actor", "success": 0.5, "return": 0, "versions": {"ogbench": "1.2.2"}});
    append(folder.join("s1/evaluations.jsonl"), &format!("{line}\n"));
    let report = folder.report(Options::default());
    assert_eq!(cell(&report, "gfp actor", "task2").seeds.len(), 3);
    let mixed = flags(&report, Kind::Mixed);
    assert_eq!(mixed.len(), 2, "{mixed:?}");
    assert!(mixed[0].contains("datasets differ: aaaa") && mixed[0].contains("s2"), "{mixed:?}");
    assert!(mixed[1].contains("environments differ: built-in") && mixed[1].contains("ogbench 1.2.2"), "{mixed:?}");
}

fn command(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wgflow")).arg("report").args(arguments).output().unwrap()
}

#[test]
fn the_command_prints_tables_that_fit_and_lists_what_it_cannot_read() {
    let folder = Folder::new("command");
    for seed in 0..20 {
        let deep = folder.join(&format!("a/b/humanoidmaze {seed}"));
        // Two methods with long labels.
        let common = Common { hidden: vec![512; 4 + seed as usize % 2], ..GfpConfig::default().common };
        let [alpha, eta] = [[10.0, 0.001], [0.3, 0.0001]][seed as usize % 2];
        let agent = GfpConfig { alpha: vec![alpha], eta: vec![eta], common, ..GfpConfig::default() };
        finished(&deep, "humanoidmaze-medium-navigate", 1 + seed as u32 / 2 % 2, seed, AgentConfig::Gfp(agent), 0.3);
    }
    finished(&folder.join("other"), "antmaze-giant-navigate", 3, 4, AgentConfig::Fql(FqlConfig::default()), 0.1);
    std::fs::create_dir_all(folder.join("broken")).unwrap();
    std::fs::write(folder.join("broken/config.toml"), "steps = \"many\"").unwrap();
    std::fs::write(folder.join("broken/metrics.jsonl"), "").unwrap();
    finished(&folder.join("begun"), "antmaze-giant-navigate", 3, 5, gfp(), 0.1);
    std::fs::remove_file(folder.join("begun/metrics.jsonl")).unwrap();
    let root = folder.0.to_str().unwrap().to_owned();
    // Named twice: counted once.
    let output = command(&[&root, &format!("{root}/a"), "--out", &format!("{root}/out")]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.starts_with("21 run folders, 3 tasks: 42 of 42 scores are averaged\n"), "{text}");
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    for line in text.lines().filter(|line| !line.contains(&root)) {
        assert!(line.chars().count() <= 120, "{line}");
    }
    assert!(
        text.contains("seed 19")
            && text.contains('…')
            && text.contains("broken/config.toml")
            && text.contains("begun/metrics.jsonl"),
        "{text}"
    );
    let files = ["report.md", "report.json", "profile.svg", "profile.png", "curves-antmaze-giant-navigate.png"];
    for file in files
        .map(|name| folder.join("out").join(name))
        .iter()
        .chain(&[folder.join("out/curves-humanoidmaze-medium-navigate.svg")])
    {
        assert!(file.metadata().is_ok_and(|data| data.len() > 0), "{}", file.display());
    }
    let markdown = std::fs::read_to_string(folder.join("out/report.md")).unwrap();
    assert!(markdown.starts_with("# 21 run folders") && markdown.contains("![profile](profile.png)"), "{markdown}");
    let json: Value = serde_json::from_slice(&command(&[&root, "--json"]).stdout).unwrap();
    assert_eq!((json["runs"].as_array().unwrap().len(), json["how"]["bootstrap_seed"].as_u64()), (42, Some(20211)));
    assert_eq!(
        text,
        String::from_utf8(command(&[&root, "--out", &format!("{root}/out")]).stdout).unwrap(),
        "the same every time"
    );
}

#[test]
fn wrong_folders_and_flags_are_one_clear_line() {
    let folder = Folder::new("wrong");
    let root = folder.0.to_str().unwrap();
    for (arguments, code, word) in [
        (&[root][..], 64, "run folders"),
        (&["no/such/folder"], 74, "no/such/folder"),
        (&[root, "--last", "0"], 64, "--last"),
        (&[root, "--resamples", "0"], 64, "--resamples"),
        (&[root, "--last", "3", "--protocol", "gfp"], 64, "--protocol"),
        (&[], 64, "<DIR>"),
    ] {
        let output = command(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(word) && !error.contains("panicked"), "{arguments:?}: {error}");
    }
}
