"""Stands in for Gymnasium in tests: no package needed, every episode can be calculated, and every fault has an id."""

import os
import random
import sys
import time
import types

print("a greeting that belongs nowhere")
os.write(1, b"a line from a C library\n")


class Box:
    def __init__(self, *shape):
        self.shape = shape

    def seed(self, seed):
        pass


def np_random(seed=None):
    """Without a seed from the operating system, as Gymnasium's."""
    return random.Random(seed), seed


utils = types.ModuleType("gymnasium.utils")
utils.seeding = types.ModuleType("gymnasium.utils.seeding")
utils.seeding.np_random = np_random
sys.modules["gymnasium.utils"], sys.modules["gymnasium.utils.seeding"] = utils, utils.seeding
__path__ = []
__version__ = "0.1-fake"


class Env:
    """Observation: [seed % 97, step, sum of the actions so far, a number drawn without a seed], or part of it.

    An episode ends after 3 + seed % 5 steps, as a success if the seed is odd; each step pays the first action.
    """

    def __init__(self, name, success_timing="pre"):
        self.name, self.unwrapped, self.seed, self._success_timing = name, self, 0, success_timing
        limit = None if name == "endless-v0" else 1000 if name == "slow-v0" else 50
        self.spec = types.SimpleNamespace(id=name, max_episode_steps=limit)
        self.observation_space = Box(2) if name in ("flat2-v0", "slow-v0") else Box(4)
        if name == "dict-v0":
            self.observation_space = types.SimpleNamespace(spaces={"b": Box(3), "a": Box(1)})
        if name == "image-v0":
            self.observation_space = types.SimpleNamespace(shape=(), n=3)
        self.action_space = Box(2)
        if name == "needs-v0":
            import a_module_that_nobody_has  # noqa: F401

    def observe(self):
        values = [float(self.seed % 97), float(self.steps), self.sum, np_random_of_now().random()]
        if self.name in ("flat2-v0", "slow-v0"):
            return values[:2]
        if self.name == "dict-v0":
            return {"b": values[1:], "a": values[:1]}
        if self.name == "nan-v0" and self.steps == 2:
            values[1] = float("nan")
        if self.name == "short-v0" and self.steps == 2:
            return values[:3]
        return values

    def reset(self, seed=None):
        print("reset", seed)
        if self.name == "lazy-v0":
            time.sleep(0.4)
        self.seed, self.steps, self.sum = seed, 0, 0.0
        return self.observe(), {}

    def step(self, action):
        os.write(1, b"stray\n")
        self.steps += 1
        self.sum += float(action[0]) + float(action[1])
        if self.steps == 2:
            self.fault()
        ended = self.steps == 3 + self.seed % 5 and self.name not in ("long-v0", "slow-v0")
        info = {} if self.name == "silent-v0" else {"success": ended and self.seed % 2 == 1}
        return self.observe(), float(action[0]), ended, False, info

    def fault(self):
        if self.name == "crash-v0":
            print("assertion failed in the simulator", file=sys.stderr, flush=True)
            os._exit(3)
        if self.name == "killed-v0":
            os.kill(os.getpid(), 9)
        if self.name == "raise-v0":
            raise ValueError("the arm left its workspace")
        if self.name == "hang-v0":
            time.sleep(60)
        if self.name == "slow-v0":
            print("stepping", file=sys.stderr, flush=True)
            time.sleep(0.1)


def np_random_of_now():
    """As a space that is made anew for every use."""
    return utils.seeding.np_random()[0]


IDS = "plain dict flat2 silent crash killed raise hang slow lazy nan short endless image needs long".split()
registry = {f"{name}-v0": None for name in IDS}


def make(name, disable_env_checker=False, **options):
    print("make", name)
    return Env(name, **options)


def register_envs(module):
    pass
