"""Acting with a policy that `wgflow export` wrote: a safetensors file in numpy, an ONNX file in ONNX Runtime."""

import argparse
import json
import os
import pathlib


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=pathlib.Path, help="x.safetensors: numpy acts; x.onnx: ONNX Runtime")
    parser.add_argument("--batch", type=int, default=1, help="states acted on at once")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 for the library's own choice")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a round")
    parser.add_argument("--dataset", action="store_true", help="write a small dataset of the published size to FILE instead")
    return parser.parse_args()


ARGS = arguments()
if ARGS.threads:
    for library in ["OPENBLAS", "MKL", "OMP"]:
        os.environ[f"{library}_NUM_THREADS"] = str(ARGS.threads)

import numpy as np  # noqa: E402  (the number of threads has to be set before)

import common  # noqa: E402


def dataset(path):
    """Writes transitions in OGBench's layout: for a policy whose speed counts, not what it does."""
    rows = common.random_dataset(common.Settings(), 1000)
    ends = np.zeros(1000, bool)
    ends[99::100] = True
    labels = {"rewards_task2": rows["rewards"], "masks_task2": rows["masks"]}
    np.savez(path, observations=rows["observations"], actions=rows["actions"], terminals=ends, **labels)


def safetensors(path):
    """(what the file says of itself, tensors); the format is a length, JSON, and the numbers."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    about = json.loads(header.pop("__metadata__")["wgflow"])
    view = lambda entry: np.frombuffer(data[8 + size:][slice(*entry["data_offsets"])], np.float32).reshape(entry["shape"])
    return about, {name: view(entry).copy() for name, entry in header.items()}


def time_columns(about):
    """What the flow's net sees of the time at each Euler step."""
    steps, columns = about["flow_steps"], about["time_columns"]
    t = np.arange(steps, dtype=np.float32)[:, None] / max(steps, 1)
    if columns <= 1:
        return t[:, :columns]
    half = columns // 2
    angles = t * np.float32(10_000) ** (-np.arange(half, dtype=np.float32) / (half - 1))
    return np.concatenate([np.sin(angles), np.cos(angles)], -1)


def with_numpy(path, observation, noise):
    """A function that acts, as lean as numpy allows: every array is made once and written in place."""
    about, tensors = safetensors(path)
    layers = [(tensors[f"w{i}"], tensors[f"b{i}"]) for i in range(len(about["hidden"]) + 1)]
    batch, obs, act, steps = len(observation), observation.shape[1], noise.shape[1], about["flow_steps"]
    times = time_columns(about)
    entry = np.empty((batch, layers[0][0].shape[0]), np.float32)
    outs = [np.empty((batch, kernel.shape[1]), np.float32) for kernel, _ in layers]
    inner = [np.empty_like(out) for out in outs]

    def gelu(x, s):
        np.multiply(x, x, out=s)
        np.multiply(s, np.float32(0.044715 * (2 / np.pi) ** 0.5), out=s)
        np.add(s, np.float32((2 / np.pi) ** 0.5), out=s)
        np.multiply(s, x, out=s)
        np.tanh(s, out=s)
        np.add(s, np.float32(1), out=s)
        np.multiply(s, x, out=s)
        np.multiply(s, np.float32(0.5), out=x)

    def net():
        x = entry
        for i, (kernel, bias) in enumerate(layers):
            np.matmul(x, kernel, out=outs[i])
            x = outs[i]
            np.add(x, bias, out=x)
            if i + 1 < len(layers):
                gelu(x, inner[i])
        return x

    def run():
        entry[:, :obs] = observation
        entry[:, obs:obs + act] = noise
        if steps == 0:
            return np.clip(net(), -1, 1)
        x = entry[:, obs:obs + act]
        for time in times:
            entry[:, obs + act:] = time
            x += net() / np.float32(steps)
        return np.clip(x, -1, 1)

    return run, {"numpy": np.__version__}


def with_onnxruntime(path, observation, noise):
    """A function that acts through ONNX Runtime's CPU provider."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = ARGS.threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feed = {"observation": observation, "noise": noise}
    return lambda: session.run(None, feed)[0], {"onnxruntime": onnxruntime.__version__, "numpy": np.__version__}


def main():
    if ARGS.dataset:
        return dataset(ARGS.file)
    s = common.Settings()
    # The same numbers as in wgflow's own bench, so that the actions can be compared.
    observation = np.full((ARGS.batch, s.obs_dim), 0.1, np.float32)
    noise = ((np.arange(ARGS.batch * s.act_dim) % 7) / 3 - 1).astype(np.float32).reshape(ARGS.batch, s.act_dim)
    act, versions = (with_onnxruntime if ARGS.file.suffix == ".onnx" else with_numpy)(ARGS.file, observation, noise)
    facts = {"versions": versions, "device": "cpu", "action": [float(x) for x in act()[0]]}

    def run(count):
        for _ in range(count):
            act()

    common.serve(facts, run, ARGS.seconds)


if __name__ == "__main__":
    main()
