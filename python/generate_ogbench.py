"""Makes a manipulation or point-maze dataset with OGBench's own generators, from seeds, without the network but for PyPI.

    python generate_ogbench.py cube-single-play --seeds 0 1 2 --episodes 200 --out data

writes data/cube-single-play-v0.npz and data/cube-single-play-v0-val.npz in the published layout: for each seed a chunk of
whole trajectories, one after the other. It needs the Python that `wgflow setup` makes. The published files hold 1000
episodes; report a score obtained with others as "regenerated with the OGBench generators, N transitions".

The generators ship in OGBench's source package, which pip fetches. They take a --seed and ignore it: their random numbers
come from the operating system. Here numpy's is seeded, and every environment that asks for entropy gets the next of a
counted row of seeds, so a chunk comes out the same every time. Seeds of a shorter run begin a longer one's.
"""

import argparse
import os
import pathlib
import runpy
import subprocess
import sys
import tarfile
import types

OGBENCH = "1.2.2"
# The families whose generators need no trained expert, with the options of the published commands.
SCRIPTS = {"pointmaze": "generate_locomaze.py", "cube": "generate_manipspace.py", "scene": "generate_manipspace.py", "puzzle": "generate_manipspace.py"}
OPTIONS = {("cube", "noisy"): ["--p_random_action=0.1"], ("scene", "noisy"): ["--p_random_action=0.1"], ("puzzle", "noisy"): ["--p_random_action=0.2"]}


def generators(folder):
    """The folder of OGBench's generators, fetched if it is not there."""
    root = folder / f"ogbench-{OGBENCH}"
    if not root.exists():
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "ogbench", f"ogbench=={OGBENCH}", "-d", str(folder)]
        subprocess.run(pip, check=True)
        with tarfile.open(folder / f"ogbench-{OGBENCH}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
    return root / "data_gen_scripts"


def chunk(script, arguments, seed):
    """Runs a generator in this process with everything random seeded."""
    import numpy as np
    from gymnasium.utils import seeding

    # Stand-ins for the loader of trained experts, which these families never call.
    for name, attribute in [("agents", "SACAgent"), ("utils", None), ("utils.evaluation", "supply_rng"), ("utils.flax_utils", "restore_agent")]:
        module = types.ModuleType(name)
        module.__path__ = []
        if attribute:
            setattr(module, attribute, None)
        sys.modules[name] = module
    np.random.seed(seed)
    count, original = seed * 100_003, seeding.np_random

    def counted(wanted=None):
        nonlocal count
        if wanted is None:
            count += 1
            wanted = count
        return original(wanted)

    seeding.np_random = counted
    sys.argv = [str(script), *arguments]
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise


def merge(parts, out):
    """Concatenates chunks of whole trajectories."""
    import numpy as np

    files = [np.load(part) for part in parts]
    assert all(file["terminals"][-1] and set(file.files) == set(files[0].files) for file in files)
    np.savez_compressed(out, **{name: np.concatenate([file[name] for file in files]) for name in files[0].files})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="environment and kind of data: cube-single-play, cube-single-noisy, pointmaze-medium-navigate, ..")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="one chunk each, about 10 minutes of a core for 200 episodes of cube-single")
    parser.add_argument("--episodes", type=int, default=200, help="of 1001 rows, in each chunk; a tenth of it for validation")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("."))
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    environment, kind = arguments.name.rsplit("-", 1)
    family = environment.split("-")[0]
    if family not in SCRIPTS:
        parser.error(f"{family}: OGBench's generator needs a trained expert; these need none: {', '.join(SCRIPTS)}")
    work = arguments.out / f"{arguments.name}-chunks"
    part = lambda seed, suffix="": work / f"{seed}{suffix}.npz"
    if arguments.one is not None:
        options = OPTIONS.get((family, kind), []) + (["--noise=0.5"] if family == "pointmaze" else [])
        options += [f"--env_name={environment}-v0", f"--dataset_type={kind}", f"--num_episodes={arguments.episodes}", "--max_episode_steps=1001"]
        return chunk(generators(work) / SCRIPTS[family], [*options, f"--save_path={part(arguments.one)}"], arguments.one)
    work.mkdir(parents=True, exist_ok=True)
    generators(work)
    environ = {"MUJOCO_GL": "disable", "OMP_NUM_THREADS": "1", **os.environ}
    for seed in arguments.seeds:
        # A chunk that is there was finished: a generator writes its file at the end, the one for validation last.
        if not part(seed, "-val").exists():
            subprocess.run([sys.executable, __file__, *sys.argv[1:], "--one", str(seed)], check=True, env=environ)
    for suffix in ["", "-val"]:
        out = arguments.out / f"{arguments.name}-v0{suffix}.npz"
        merge([part(seed, suffix) for seed in arguments.seeds], out)
        print(out)


if __name__ == "__main__":
    main()
