"""FQL's update in its authors' own code: a clone of github.com/seohongpark/fql in the folder `fql` of this Python's environment.

Nothing of it is changed: batches are drawn by numpy and given to `FQLAgent.update`, as its `main.py` does.
"""

import hashlib
import pathlib
import sys

import numpy as np

import common

ARGS = common.arguments(["update"])
common.prepare_jax(ARGS)
if ARGS.algo != "fql" or ARGS.lanes > 1 or ARGS.check:
    raise SystemExit("the authors' code makes updates of FQL, of one seed, and has no fixtures: they were made with it")
REPO = pathlib.Path(sys.prefix) / "fql"
if not (REPO / "agents" / "fql.py").is_file():
    raise SystemExit(f"{REPO / 'agents/fql.py'} is not there: git clone https://github.com/seohongpark/fql {REPO}")
# In front of everything: other packages have an `agents` too.
sys.path.insert(0, str(REPO))

import flax  # noqa: E402  (the number of threads has to be set before)
import jax  # noqa: E402
from agents.fql import FQLAgent, get_config  # noqa: E402

if ARGS.precision == "highest":
    jax.config.update("jax_default_matmul_precision", "highest")


def updates(settings):
    """A function that makes so many updates."""
    dataset = common.random_dataset(settings)
    config = get_config()
    config.alpha, config.q_agg, config.normalize_q_loss = settings.alpha, settings.q_agg, settings.normalize_q
    # The rest is what the settings have anyway; a clone in which it has changed is not to be timed unnoticed.
    theirs = (config.actor_hidden_dims, config.value_hidden_dims, config.flow_steps, config.lr, config.discount, config.tau)
    ours = (settings.hidden, settings.hidden, settings.flow_steps, settings.lr, settings.discount, settings.tau)
    if theirs != ours:
        raise SystemExit(f"this clone's settings are {theirs}, expected {ours}")
    agent = FQLAgent.create(0, dataset["observations"][:1], dataset["actions"][:1], config)

    def run(count):
        nonlocal agent
        for _ in range(count):
            rows = np.random.randint(len(dataset["rewards"]), size=settings.batch)
            agent, _ = agent.update({name: array[rows] for name, array in dataset.items()})
        jax.block_until_ready(agent.network.params)

    return run


def version():
    """Which version of the agent it is, whether or not git is there to tell."""
    return "agents/fql.py " + hashlib.sha256((REPO / "agents" / "fql.py").read_bytes()).hexdigest()[:8]


if __name__ == "__main__":
    settings = common.dataclasses.replace(common.WORK["fql"], batch=ARGS.batch)
    versions = {"fql": version(), "jax": jax.__version__, "flax": flax.__version__, "numpy": np.__version__}
    common.serve({"versions": versions, "device": jax.devices()[0].device_kind}, updates(settings), ARGS.seconds)
