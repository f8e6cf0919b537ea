"""Lets onnx.checker and onnxruntime judge an exported policy. usage: check.py POLICY.onnx OBSERVATION NOISE ACTION
The last three are little-endian f32: rows of inputs, and the actions that wgflow itself computes from them."""
import sys

import numpy as np
import onnx
import onnxruntime

LIMIT = 1e-5

model, observation, noise, action = sys.argv[1], *(np.fromfile(path, "<f4") for path in sys.argv[2:])
loaded = onnx.load(model)
onnx.checker.check_model(loaded, full_check=True)
onnx.shape_inference.infer_shapes(loaded, check_type=True, strict_mode=True)
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
shapes = {value.name: [-1, *value.shape[1:]] for value in session.get_inputs()}
feed = {name: values.reshape(shapes[name]) for name, values in [("observation", observation), ("noise", noise)] if name in shapes}
rows = len(feed["observation"])
action = action.reshape(rows, -1)
differences = {}
for batch in (1, 7, rows):
    parts = [session.run(["action"], {name: values[i : i + batch] for name, values in feed.items()})[0] for i in range(0, rows, batch)]
    found = np.concatenate(parts)
    assert found.shape == action.shape, (found.shape, action.shape)
    # Where candidates are nearly equal, another engine may choose another one.
    off = (np.abs(found - action) > LIMIT).any(axis=1)
    chooses = "best_of_n" in model
    assert off.sum() <= (rows // 100 if chooses else 0), f"batch {batch}: {off.sum()} rows differ, by up to {np.abs(found - action).max():.1e}"
    differences[batch] = float(np.abs(found - action)[~off].max())
print(f"{len(loaded.graph.node)} nodes, opset {loaded.opset_import[0].version}, {rows} rows, differences by batch {differences}")
