"""What the baselines in Python share: settings, the check against the fixtures, and how `cargo xtask compare` talks to them.

A baseline prints one line of JSON when it is ready (name, versions, device), then for each line it reads runs updates for about
two seconds and prints the milliseconds of one update. So several programs can be timed in turn, round after round.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import sys
import time

import numpy as np


@dataclasses.dataclass(frozen=True)
class Settings:
    """One algorithm's settings under the fixtures' names; the defaults are the published cube-single-play of GFP."""

    agent: str = "gfp"
    obs_dim: int = 28
    act_dim: int = 5
    hidden: tuple = (512, 512, 512, 512)
    batch: int = 256
    flow_steps: int = 10
    encode_time_dim: int = 64
    alpha: float = 10.0
    eta: float = 0.1
    q_agg: str = "mean"
    target_agg: str = "mean"
    guidance_agg: str = "actor"
    guidance_fn: str = "softmax"
    target_use_next: bool = False
    normalize_q: bool = True
    discount: float = 0.99
    tau: float = 0.005
    lr: float = 3e-4
    b1: float = 0.9
    b2: float = 0.999
    adam_eps: float = 1e-8
    ln_eps: float = 1e-6


# What `cargo xtask compare` times.
WORK = {
    "fql": Settings(agent="fql", encode_time_dim=0, alpha=300.0, normalize_q=False),
    "gfp-actor": Settings(target_agg="actor"),
    "gfp-mean": Settings(),
}


def arguments(forms, precisions=("default", "highest")):
    """The command line that every baseline has; `forms` are the ways in which it can run an update. The precisions `default` and
    `highest` differ on GPUs only."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--algo", choices=[*WORK, "mlp"], default="gfp-mean", help="what to time; mlp: one training step of a plain 4x512 net")
    parser.add_argument("--form", choices=forms, default=forms[0])
    parser.add_argument("--lanes", type=int, default=1, help="seeds trained at once")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 for the framework's own choice")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a round")
    parser.add_argument("--device", choices=["cpu", "gpu"], help="refuse to run on the other one [default: the framework's choice]")
    parser.add_argument("--precision", choices=precisions, default="default", help="of matrix products")
    parser.add_argument("--check", nargs="+", metavar="FIXTURE", help="compare with these fixtures in float64 instead")
    return parser.parse_args()


def prepare_jax(args):
    """What JAX has to be told before it is imported."""
    if args.device == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
    if args.threads:
        os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen=true intra_op_parallelism_threads={args.threads}"


def fixture(path):
    """(settings, arrays) of a fixture."""
    arrays = dict(np.load(path))
    config = json.loads(bytes(arrays.pop("config_json")))
    known = {field.name for field in dataclasses.fields(Settings)}
    values = {name: tuple(value) if name == "hidden" else value for name, value in config.items() if name in known}
    return Settings(**values), arrays


def nested(arrays, prefix):
    """The tensors below `prefix` as {net: {layer: {leaf: array}}}."""
    tree = {}
    for name, array in arrays.items():
        if name.startswith(prefix):
            net, layer, leaf = name[len(prefix):].split("/")
            tree.setdefault(net, {}).setdefault(layer, {})[leaf] = array
    return tree


def report(path, settings, losses, final):
    """Compares `losses` ({name: [K]}) and `final` (parameters, nested) with a fixture; true if they agree."""
    _, arrays = fixture(path)
    loss_error = 0.0
    for name, ours in losses.items():
        theirs = arrays[f"trace/loss/{name}_loss"]
        loss_error = max(loss_error, np.max(np.abs(np.asarray(ours) - theirs)) / np.max(np.abs(theirs)))
    parameter_error = 0.0
    for net, layers in nested(arrays, "final/param/").items():
        for layer, leaves in layers.items():
            for leaf, theirs in leaves.items():
                parameter_error = max(parameter_error, np.max(np.abs(np.asarray(final[net][layer][leaf]) - theirs)) / settings.lr)
    agrees = loss_error < 1e-10 and parameter_error < 1e-8
    verdict = "agrees" if agrees else "DIFFERS"
    print(f"{pathlib.Path(path).name}: {verdict}, losses {loss_error:.1e} relative, parameters {parameter_error:.1e} learning rates")
    return agrees


def random_parameters(settings, seed=0):
    """Parameters of the right shapes, nested; what they are does not change how long an update takes."""
    rng = np.random.default_rng(seed)

    def net(inputs, outputs, norm, members=()):
        layers = {}
        widths = [inputs, *settings.hidden, outputs]
        for i, (fan_in, fan_out) in enumerate(zip(widths, widths[1:])):
            limit = (6 / (fan_in + fan_out)) ** 0.5
            kernel = rng.uniform(-limit, limit, (*members, fan_in, fan_out)).astype(np.float32)
            layers[f"dense{i}"] = {"kernel": kernel, "bias": np.zeros((*members, fan_out), np.float32)}
            if norm and i < len(settings.hidden):
                ones = np.ones((*members, fan_out), np.float32)
                layers[f"norm{i}"] = {"scale": ones, "bias": np.zeros_like(ones)}
        return layers

    obs, act = settings.obs_dim, settings.act_dim
    flow = net(obs + act + max(settings.encode_time_dim, 1), act, False)
    critic = net(obs + act, 1, True, (2,))
    return {
        "critic": critic,
        "target_critic": {name: {leaf: array.copy() for leaf, array in layer.items()} for name, layer in critic.items()},
        "actor": net(obs + act, act, False),
        "vabc" if settings.agent == "gfp" else "bc_flow": flow,
    }


def random_dataset(settings, rows=10_000, seed=1):
    """Transitions of the right shapes."""
    rng = np.random.default_rng(seed)
    normal = lambda cols: (rng.standard_normal((rows, cols)) * 0.5).astype(np.float32)
    return {
        "observations": normal(settings.obs_dim),
        "actions": np.clip(normal(settings.act_dim), -1, 1),
        "next_observations": normal(settings.obs_dim),
        "rewards": np.full(rows, -1, np.float32),
        "masks": np.ones(rows, np.float32),
    }


def serve(facts, run, seconds):
    """Announces `facts`, then answers each line of standard input with a round of `run`, which makes so many updates."""
    run(1)
    count = 1
    while True:
        start = time.perf_counter()
        run(count)
        if time.perf_counter() - start > 0.5:
            break
        count *= 2
    print(json.dumps({"ready": True, **facts}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        done = 0
        while time.perf_counter() - start < seconds:
            run(count)
            done += count
        print(json.dumps({"ms": (time.perf_counter() - start) * 1e3 / done}), flush=True)
