"""Serves environments to wgflow: several alike in one process, stepped in lockstep over standard input and output.

    python wgflow_envs.py ENV COUNT [pre|post]      ENV: an id of OGBench, Gymnasium, Gymnasium-Robotics or d4rl,
                                                    minari:DATASET, robosuite:TASK, d4rl:ID

wgflow starts it and speaks first; numbers are little-endian. The answer to the start are the 8 bytes MAGIC. Then
frames go both ways: the payload's length (u32), a letter, the payload.

    to wgflow   H  JSON: env, obs_dim, action_dim, horizon, success_timing, versions; once, when an environment stands
                A  nothing: alive, the answer takes longer
                O  first observations (f32), in the order asked for
                T  of every environment that was stepped: observations (f32), then rewards (f64), then flags (u8:
                   1 success, 2 terminated, 4 truncated, 8 the environment tells successes)
                E  JSON: problem, and the module that is missing or null; the process ends
    from wgflow R  (environment u32, seed u64) for each episode to start
                S  a byte for each environment, 1 to step it; then an action (f32) for each environment, stepped or not

The process ends when its standard input does. What environments print goes to standard error. Everything random in an
episode follows from its seed, whichever environments run beside it.
"""

import sys

if sys.path and sys.path[0] == "":
    del sys.path[0]  # A folder in the working directory must not stand in for a package.

import difflib
import importlib
import importlib.metadata
import json
import os
import platform
import random
import struct
import traceback
import warnings
from array import array

try:
    import numpy
except ImportError:  # Every real environment brings it; those that tests make up do without.
    numpy = None

MAGIC = b"wgfenvs1"
PACKAGES = ("ogbench", "mujoco", "dm_control", "gymnasium", "gymnasium_robotics", "minari", "robosuite", "d4rl", "gym")


class Pipe:
    """Frames over what were standard input and output."""

    def __init__(self):
        self.source = sys.stdin.buffer
        self.sink = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self.sink.write(MAGIC)
        self.sink.flush()

    def send(self, kind, payload=b""):
        self.sink.write(struct.pack("<Ic", len(payload), kind) + payload)
        self.sink.flush()

    def receive(self):
        """A letter and a payload; None at the end of the input."""
        head = self.source.read(5)
        if len(head) < 5:
            return None
        length, kind = struct.unpack("<Ic", head)
        payload = self.source.read(length)
        return (kind, payload) if len(payload) == length else None


class Draws:
    """Random numbers that an environment draws without a generator it was given a seed for: NumPy's global one, and
    those it makes without a seed. Each environment has its own, switched to whenever it acts."""

    current = None

    def __init__(self):
        self.seed(0)

    def seed(self, seed):
        self.base, self.made = seed, 0
        if numpy is not None:
            self.bits = numpy.random.MT19937(seed)

    def switch_to(self):
        Draws.current = self
        if numpy is None:
            return
        if hasattr(numpy.random, "set_bit_generator"):
            numpy.random.set_bit_generator(self.bits)
        elif self.made == 0:  # NumPy before 1.24: episodes are seeded, but share the generator.
            numpy.random.seed(self.base)

    def next_seed(self):
        self.made += 1
        return (self.base * 1_000_003 + self.made) % 2**31

    @staticmethod
    def take_over(package):
        """Makes its `np_random()` without a seed, behind every unseeded space and environment, draw from here."""
        seeding = importlib.import_module(f"{package}.utils.seeding")
        original = seeding.np_random

        def np_random(seed=None):
            own = Draws.current is not None and seed is None
            return original(Draws.current.next_seed() if own else seed)

        seeding.np_random = np_random


def leaves(observation):
    """The arrays of an observation, dictionaries in the order of their sorted keys, as Gymnasium flattens them."""
    if isinstance(observation, dict):
        return [leaf for key in sorted(observation) for leaf in leaves(observation[key])]
    if isinstance(observation, tuple):
        return [leaf for part in observation for leaf in leaves(part)]
    return [observation]


def flat(observation):
    """An observation as f32 bytes."""
    if numpy is None:
        return array("f", [value for leaf in leaves(observation) for value in leaf]).tobytes()
    return b"".join(numpy.asarray(leaf, dtype="<f4").tobytes() for leaf in leaves(observation))


def size_of(space):
    """Number of values of a space of boxes."""
    if isinstance(space, tuple):
        return sum(map(size_of, space))
    if hasattr(space, "spaces"):
        parts = space.spaces
        return sum(map(size_of, parts.values() if hasattr(parts, "values") else parts))
    if not getattr(space, "shape", None) or hasattr(space, "n"):
        raise ValueError(f"its space {space} is not made of boxes of numbers, which is all that a policy here acts on")
    size = 1
    for length in space.shape:
        size *= int(length)
    return size


class Gymnasium:
    """An environment behind Gymnasium's interface."""

    def __init__(self, env, name=None):
        self.env, self.name = env, name or env.spec.id
        self.obs_dim, self.action_dim = size_of(env.observation_space), size_of(env.action_space)
        self.horizon = env.spec.max_episode_steps
        self.success_timing = getattr(env.unwrapped, "_success_timing", None)

    def reset(self, seed):
        # Some spaces stay for an environment's life; those made anew for every use draw from `Draws`.
        self.env.unwrapped.action_space.seed(seed)
        return self.env.reset(seed=seed)[0]

    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, info.get("success", info.get("is_success")), terminated, truncated


class D4rl(Gymnasium):
    """An environment of d4rl, behind the interface of the old gym."""

    def __init__(self, env, name):
        super().__init__(env, f"d4rl:{name}")
        self.antmaze, self.reached = "antmaze" in name, False

    def reset(self, seed):
        self.reached = False
        self.env.seed(seed)
        self.env.unwrapped.action_space.seed(seed)
        return self.env.reset()

    def step(self, action):
        observation, reward, done, info = self.env.step(action)
        # The ant mazes pay 1 at the goal and nothing elsewhere: d4rl counts a return above 0 as a success.
        self.reached |= self.antmaze and reward > 0
        truncated = bool(info.get("TimeLimit.truncated", False))
        return observation, reward, self.reached if self.antmaze else None, done and not truncated, truncated


class Robosuite:
    """A task of robosuite with one Panda arm, its states in the order that robomimic's policies take them in."""

    keys = ("robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos", "object-state")
    horizon, success_timing = 400, None

    def __init__(self, suite, task):
        self.env = suite.make(
            task,
            robots="Panda",
            has_renderer=False,
            has_offscreen_renderer=False,
            use_camera_obs=False,
            use_object_obs=True,
            ignore_done=True,
            control_freq=20,
        )
        self.name, self.steps = f"robosuite:{task}", 0
        specification = self.env.observation_spec()
        self.obs_dim = sum(len(specification[key]) for key in self.keys)
        self.action_dim = self.env.action_dim

    def observation(self, everything):
        return tuple(everything[key] for key in self.keys)

    def reset(self, seed):
        self.steps = 0
        # The samplers of the start hold this generator, so it is set back rather than replaced.
        self.env.rng.bit_generator.state = numpy.random.default_rng(seed).bit_generator.state
        return self.observation(self.env.reset())

    def step(self, action):
        everything, reward, _, _ = self.env.step(action)
        self.steps += 1
        success = bool(self.env._check_success())
        return self.observation(everything), reward, success, success, self.steps >= self.horizon


def gymnasium():
    """Gymnasium, with all that is installed registered in it."""
    module = importlib.import_module("gymnasium")
    Draws.take_over("gymnasium")
    try:
        module.register_envs(importlib.import_module("gymnasium_robotics"))
    except ModuleNotFoundError as error:
        if error.name != "gymnasium_robotics":
            raise
    return module


def maker(name, timing):
    """A function that makes one environment of that name."""
    kind, _, rest = name.partition(":")
    if kind == "robosuite":
        suite = importlib.import_module("robosuite")
        return lambda: Robosuite(suite, rest)
    if kind == "d4rl":
        return d4rl_maker(rest)
    gym, options = gymnasium(), {} if timing is None else {"success_timing": timing}
    if "singletask" in name:
        return ogbench_maker(gym, name, options)
    if options:
        raise ValueError("only OGBench's environments have a success timing: leave it out")
    if kind == "minari":
        return minari_maker(rest)
    if name in gym.registry:
        return lambda: Gymnasium(gym.make(name, disable_env_checker=True))
    try:
        return d4rl_maker(name)
    except ModuleNotFoundError:
        raise unknown(name, gym.registry) from None


def ogbench_maker(gym, name, options):
    ogbench = importlib.import_module("ogbench")
    if name in gym.registry:
        return lambda: Gymnasium(gym.make(name, disable_env_checker=True, **options))
    # With the kind of a dataset: cube-single-play-singletask-v0.
    before, _, after = name.partition("-singletask")
    if f"{before.rpartition('-')[0]}-singletask{after}" not in gym.registry:
        raise unknown(name, gym.registry)
    make = ogbench.make_env_and_datasets
    return lambda: Gymnasium(make(name, env_only=True, disable_env_checker=True, **options))


def minari_maker(name):
    minari = importlib.import_module("minari")
    try:
        data = minari.load_dataset(name)
    except FileNotFoundError:
        raise ValueError(f"the dataset that names the environment is not here: fetch it with `minari download {name}`") from None
    make = data.recover_environment
    return lambda: Gymnasium(make(eval_env=True, disable_env_checker=True), f"minari:{name}")


def d4rl_maker(name):
    importlib.import_module("d4rl")
    gym = importlib.import_module("gym")
    Draws.take_over("gym")
    return lambda: D4rl(gym.make(name), name)


def unknown(name, registry):
    near = difflib.get_close_matches(name, list(registry), 3)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    if "gymnasium_robotics" not in sys.modules:
        hint += "; those of Gymnasium-Robotics come with `wgflow setup --with minari`"
    return ValueError(f"no environment of this name is installed{hint}")


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # Put into the path without an installer.
        return str(getattr(sys.modules[package], "__version__", "unknown"))


class Server:
    """The environments, made when they are first needed."""

    def __init__(self, pipe, name, count, timing):
        self.pipe, self.make, self.count = pipe, maker(name, timing), count
        self.draws = [Draws() for _ in range(count)]
        self.envs = [None] * count
        first = self.env(0)
        if first.horizon is None:
            raise ValueError("it has no time limit, so its episodes might never end")
        hello = {key: getattr(first, key) for key in ("obs_dim", "action_dim", "horizon", "success_timing")}
        versions = {package: version(package) for package in PACKAGES if package in sys.modules}
        versions["python"] = platform.python_version()
        pipe.send(b"H", json.dumps({"env": first.name, "versions": versions, **hello}).encode())

    def env(self, index):
        self.draws[index].switch_to()
        if self.envs[index] is None:
            self.envs[index] = self.make()
        return self.envs[index]

    def reset(self, payload):
        first = []
        for index, seed in struct.iter_unpack("<IQ", payload):
            # Old libraries take seeds of 31 bits.
            seed %= 2**31
            env = self.env(index)
            self.draws[index].seed(seed)
            self.draws[index].switch_to()
            random.seed(seed)
            first.append(flat(env.reset(seed)))
            self.pipe.send(b"A")
        self.pipe.send(b"O", b"".join(first))

    def step(self, payload):
        active, actions = payload[: self.count], array("f", payload[self.count :])
        width = len(actions) // self.count
        if numpy is not None:
            actions = numpy.array(actions, dtype=numpy.float32)
        observations, rewards, flags = [], [], bytearray()
        for index in (index for index in range(self.count) if active[index]):
            action = actions[index * width : (index + 1) * width]
            observation, reward, success, terminated, truncated = self.env(index).step(action)
            observations.append(flat(observation))
            rewards.append(float(reward))
            flags.append(bool(success) + 2 * bool(terminated) + 4 * bool(truncated) + 8 * (success is not None))
        self.pipe.send(b"T", b"".join(observations) + struct.pack(f"<{len(rewards)}d", *rewards) + flags)

    def serve(self):
        answers = {b"R": self.reset, b"S": self.step}
        while (frame := self.pipe.receive()) is not None:
            answers[frame[0]](frame[1])


def main(name, count, timing=None):
    pipe = Pipe()
    warnings.filterwarnings("ignore")
    try:
        Server(pipe, name, int(count), timing).serve()
    except Exception as error:
        traceback.print_exc()
        problem = traceback.format_exception_only(type(error), error)[-1].strip()
        if not str(error):
            place = traceback.extract_tb(error.__traceback__)[-1]
            problem += f" in {os.path.basename(place.filename)}, line {place.lineno}"
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        pipe.send(b"E", json.dumps({"problem": problem, "missing": missing}).encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
