"""Writes expected.json: scores of a few made-up runs, and what numpy says of them.

    python tests/report/expected.py          # needs numpy; uses scipy for one more check where it is installed

`tests/report.rs` writes the same runs as folders and compares the report's numbers. The bootstrap's draws are repeated
here (SplitMix64, see src/report/bootstrap.rs), so its intervals are compared to the last digits; `independent` holds
intervals of numpy's own generator, which they must be near to.
"""

import json
import pathlib

import numpy as np

SEED = 20211
RESAMPLES = 500
PROFILE_RESAMPLES = 2000
STEPS = [100, 200, 300]
EPISODES = 50
# (algorithm, task, seeds): unequal numbers of seeds, one seed that lacks a task, a task with a single seed.
RUNS = [
    ("gfp", ("cube-single-play", 1), [0, 1, 2, 3, 4]),
    ("gfp", ("cube-single-play", 2), [0, 1, 2, 3, 4]),
    ("gfp", ("cube-single-play", 3), [0, 1, 2, 4]),
    ("gfp", ("scene-play", 2), [0, 1, 2, 3]),
    ("fql", ("cube-single-play", 1), [0, 1, 2]),
    ("fql", ("cube-single-play", 2), [0, 1, 2]),
    ("fql", ("cube-single-play", 3), [0, 1]),
    ("fql", ("scene-play", 2), [1]),
]
POLICIES = ["actor", "flow"]


def draws(count):
    """The first `count` outputs of SplitMix64."""
    with np.errstate(over="ignore"):
        z = np.uint64(SEED) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def places(sizes, resamples):
    """[resamples, sum(sizes)]: places within strata of these sizes, drawn stratum by stratum."""
    wide = np.repeat(np.array(sizes, dtype=np.uint64), sizes)
    upper = draws(resamples * len(wide)).reshape(resamples, -1) >> np.uint64(32)
    return ((upper * wide) >> np.uint64(32)).astype(int)


def stratified(tasks, resamples, statistic, generator=None):
    """[resamples, ...]: a statistic of the flattened scores of each resample."""
    sizes = [len(task) for task in tasks]
    if generator is None:
        drawn = places(sizes, resamples)
    else:
        drawn = np.concatenate([generator.integers(0, size, (resamples, size)) for size in sizes], axis=1)
    starts = np.repeat(np.cumsum([0] + sizes[:-1]), sizes)
    return np.array([statistic(row) for row in np.concatenate(tasks)[drawn + starts]])


def interval(values):
    return np.quantile(values, [0.025, 0.975], axis=0).T.tolist()


def iqm(scores):
    """The mean without a quarter, rounded down, at each end."""
    scores, cut = np.sort(np.ravel(scores)), len(np.ravel(scores)) // 4
    return float(np.mean(scores[cut : len(scores) - cut]))


def beats(x, y):
    return np.mean((x[:, None] > y[None]) + 0.5 * (x[:, None] == y[None]))


def improvement(pairs, resamples):
    point = np.mean([beats(x, y) for x, y in pairs])
    if any(len(x) < 2 or len(y) < 2 for x, y in pairs):
        return float(point), None
    drawn = places([size for x, y in pairs for size in (len(x), len(y))], resamples)
    values = []
    for row in drawn:
        of_tasks = []
        for x, y in pairs:
            (at_x, at_y), row = np.split(row[: len(x) + len(y)], [len(x)]), row[len(x) + len(y) :]
            of_tasks.append(beats(x[at_x], y[at_y]))
        values.append(np.mean(of_tasks))
    return float(point), interval(values)


def summary(tasks):
    """Of a list of {seed: score}, one for each task."""
    complete = [seed for seed in sorted(tasks[0]) if all(seed in task for task in tasks)]
    means = [float(np.mean([task[seed] for task in tasks])) for seed in complete]
    scores = [np.array([task[seed] for seed in sorted(task)]) for task in tasks]
    spread = all(len(task) > 1 for task in scores)
    out = {
        "seeds": complete,
        "mean": float(np.mean(means)),
        "std": float(np.std(means)) if len(means) > 1 else None,
        "iqm": iqm(np.concatenate(scores)),
        "interval": interval(stratified(scores, RESAMPLES, iqm)) if spread else None,
        "independent": interval(stratified(scores, 20000, iqm, np.random.default_rng(1))) if spread else None,
    }
    if len(tasks) == 1 and len(complete) == 1:
        share, n, z = means[0] / 100, EPISODES, 1.959963984540054
        centre = (share + z * z / 2 / n) / (1 + z * z / n)
        half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / 4 / n**2)
        out["noise"] = [100 * (centre - half), 100 * (centre + half)]
    return out


def main():
    generator = np.random.RandomState(7)
    runs, scores = [], {}
    for algorithm, (family, task), seeds in RUNS:
        for seed in seeds:
            # Successes of 50 episodes: ties between seeds are common.
            successes = {p: generator.binomial(EPISODES, generator.uniform(0.3, 0.99), len(STEPS)).tolist() for p in POLICIES}
            runs.append({"algorithm": algorithm, "family": family, "task": task, "seed": seed, "successes": successes})
            for policy in POLICIES:
                score = 100 * successes[policy][-1] / EPISODES
                scores.setdefault(f"{algorithm} {policy}", {}).setdefault(f"{family} task{task}", {})[seed] = score
    thresholds = np.linspace(0, 100, 101)
    out = {"episodes": EPISODES, "resamples": RESAMPLES, "steps": STEPS, "runs": runs}
    out |= {"summaries": [], "profiles": [], "improvements": []}
    for method, tasks in scores.items():
        cube = [name for name in tasks if name.startswith("cube")]
        for names in [[name] for name in tasks] + [cube, sorted(tasks)]:
            out["summaries"].append({"method": method, "tasks": names, **summary([tasks[name] for name in names])})
        flat = [np.array([task[seed] for seed in sorted(task)]) for _, task in sorted(tasks.items())]
        above = lambda row: np.mean(row[None] > thresholds[:, None], axis=1)
        spread = all(len(task) > 1 for task in flat)
        band = interval(stratified(flat, PROFILE_RESAMPLES, above)) if spread else None
        out["profiles"].append({"method": method, "shares": above(np.concatenate(flat)).tolist(), "band": band})
        try:
            from scipy.stats import trim_mean
        except ImportError:
            continue
        assert np.isclose(iqm(np.concatenate(flat)), trim_mean(np.concatenate(flat), 0.25), rtol=1e-14)
    common = sorted(scores["fql actor"])
    for tasks in [common, [name for name in common if "scene" not in name]]:
        values = lambda method, name: np.array([scores[method][name][seed] for seed in sorted(scores[method][name])])
        pairs = [(values("fql actor", name), values("gfp actor", name)) for name in tasks]
        probability, ends = improvement(pairs, PROFILE_RESAMPLES)
        out["improvements"].append({"tasks": tasks, "probability": probability, "interval": ends})
    path = pathlib.Path(__file__).with_name("expected.json")
    # A line for each entry of a list.
    written = lambda part: "[\n" + ",\n".join(map(json.dumps, part)) + "\n]" if isinstance(part, list) else json.dumps(part)
    path.write_text("{\n" + ",\n".join(f'"{key}": {written(part)}' for key, part in out.items()) + "\n}\n")


main()
