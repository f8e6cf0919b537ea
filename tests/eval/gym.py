"""Stands in for the old gym that d4rl needs: four values from a step, seeds by a method, time limits in `info`."""

import random
import sys
import types


def np_random(seed=None):
    return random.Random(seed), seed


utils = types.ModuleType("gym.utils")
utils.seeding = types.ModuleType("gym.utils.seeding")
utils.seeding.np_random = np_random
sys.modules["gym.utils"], sys.modules["gym.utils.seeding"] = utils, utils.seeding
__path__ = []


class Box:
    def __init__(self, size):
        self.shape = (size,)

    def seed(self, seed):
        pass


class Env:
    """Ends after 4 steps: by its time limit if the seed is even. An ant maze pays 1 in its second step if it is odd."""

    def __init__(self, name):
        self.unwrapped, self.maze = self, name.startswith("antmaze")
        self.spec = types.SimpleNamespace(id=name, max_episode_steps=4)
        self.observation_space, self.action_space = Box(1), Box(2)

    def seed(self, seed):
        self.odd = seed % 2 == 1

    def reset(self):
        self.steps = 0
        return [0.0]

    def step(self, action):
        self.steps += 1
        done = self.steps == 4
        reward = float(self.odd and self.steps == 2) if self.maze else 2.5
        return [float(self.steps)], reward, done, {"TimeLimit.truncated": True} if done and not self.odd else {}


def make(name):
    return Env(name)
