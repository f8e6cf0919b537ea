"""FQL's and GFP's update in plain JAX, as lean as we could write it: no Flax, no Optax, one compiled function."""

import functools

import numpy as np

import common

ARGS = common.arguments(["scan", "scan merged", "step"], ["default", "highest", "bfloat16"])
common.prepare_jax(ARGS)

import jax  # noqa: E402  (the number of threads has to be set before)
import jax.numpy as jnp  # noqa: E402
import jaxlib  # noqa: E402

if ARGS.check:
    jax.config.update("jax_enable_x64", True)
if ARGS.check or ARGS.precision == "highest":
    jax.config.update("jax_default_matmul_precision", "highest")


def rounded_product(a, b):
    """Factors rounded to bfloat16, summed at float32."""
    return jnp.matmul(a.astype(jnp.bfloat16), b.astype(jnp.bfloat16), preferred_element_type=jnp.float32)


@jax.custom_vjp
def rounded(x, kernel):
    """A layer's product whose factors are rounded, in its gradients too."""
    return rounded_product(x, kernel)


rounded.defvjp(
    lambda x, kernel: (rounded_product(x, kernel), (x, kernel)),
    lambda saved, gradient: (rounded_product(gradient, saved[1].T), rounded_product(saved[0].T, gradient)),
)


def product(x, kernel):
    """A layer's product; at bfloat16 those of layers of 64 inputs and outputs or more are rounded, as wgflow rounds them."""
    return rounded(x, kernel) if ARGS.precision == "bfloat16" and min(kernel.shape) >= 64 else x @ kernel


def mlp(layers, x, eps, member=None):
    """[dense, GELU, (layer norm)] for each hidden width, then a dense head; `member` picks one of an ensemble."""
    pick = (lambda array: array) if member is None else (lambda array: array[member])
    depth = sum(name.startswith("dense") for name in layers)
    for i in range(depth):
        x = product(x, pick(layers[f"dense{i}"]["kernel"])) + pick(layers[f"dense{i}"]["bias"])
        if i + 1 < depth:
            x = jax.nn.gelu(x, approximate=True)
            if f"norm{i}" in layers:
                mean = x.mean(-1, keepdims=True)
                variance = jnp.maximum((x * x).mean(-1, keepdims=True) - mean * mean, 0)
                x = (x - mean) * jax.lax.rsqrt(variance + eps)
                x = x * pick(layers[f"norm{i}"]["scale"]) + pick(layers[f"norm{i}"]["bias"])
    return x


def aggregate(how, values):
    """Over the first axis."""
    return {"mean": jnp.mean, "min": jnp.min, "max": jnp.max}[how](values, axis=0)


def losses(s, params, targets, batch, noise, merged):
    """(total, parts) of one update."""
    obs, next_obs, data = batch["observations"], batch["next_observations"], batch["actions"]
    fixed = jax.lax.stop_gradient
    gfp = s.agent == "gfp"
    flow_params = params["vabc" if gfp else "bc_flow"]

    def q(critic, obs, action):
        pair = jnp.concatenate([obs, action], -1)
        return jnp.stack([mlp(critic, pair, s.ln_eps, member)[:, 0] for member in range(2)])

    def actor(obs, z):
        return mlp(params["actor"], jnp.concatenate([obs, z], -1), s.ln_eps)

    def velocity(obs, x, t):
        if s.encode_time_dim:
            half = s.encode_time_dim // 2
            angles = t * 10_000.0 ** (-jnp.arange(half) / (half - 1))
            t = jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)
        return mlp(flow_params, jnp.concatenate([obs, x, t], -1), s.ln_eps)

    def integrate(obs, z):
        x = z
        for i in range(s.flow_steps):
            x = x + velocity(obs, x, jnp.full((len(x), 1), i / s.flow_steps)) / s.flow_steps
        return fixed(jnp.clip(x, -1, 1))

    uses_flow_target = gfp and s.target_agg != "actor"
    flow_obs = next_obs if s.target_use_next else obs
    if uses_flow_target and merged:
        both = integrate(jnp.concatenate([flow_obs, obs]), jnp.concatenate([noise["z_next"], noise["z"]]))
        next_flow, flow_action = jnp.split(both, 2)
    else:
        next_flow = integrate(flow_obs, noise["z_next"]) if uses_flow_target else None
        flow_action = integrate(obs, noise["z"])

    # Critic.
    values = []
    if not gfp or s.target_agg != "vabc":
        values.append(aggregate(s.q_agg, q(targets, next_obs, jnp.clip(actor(next_obs, noise["z_next"]), -1, 1))))
    if uses_flow_target:
        values.append(aggregate(s.q_agg, q(targets, next_obs, next_flow)))
    over = s.target_agg if len(values) > 1 else "mean"
    target = fixed(batch["rewards"] + s.discount * batch["masks"] * aggregate(over, jnp.stack(values)))
    critic_loss = jnp.mean((q(params["critic"], obs, data) - target) ** 2)

    # Actor.
    u = actor(obs, noise["z"])
    distill_loss = jnp.mean((u - flow_action) ** 2)
    clipped = jnp.clip(u, -1, 1)
    value = aggregate(s.q_agg if gfp else "mean", q(fixed(params["critic"]), obs, clipped))
    scale = fixed(1 / jnp.mean(jnp.abs(value)))
    q_loss = -jnp.mean(value) * (scale if s.normalize_q else 1)

    # Flow.
    x0, t = noise["x0"], noise["t"]
    error = jnp.mean((velocity(obs, (1 - t) * x0 + t * data, t) - (data - x0)) ** 2, -1)
    weight = 1.0
    if gfp and s.eta > 0:
        references = []
        if s.guidance_agg != "vabc":
            references.append(aggregate(s.q_agg, q(targets, obs, clipped)))
        if s.guidance_agg != "actor":
            references.append(aggregate(s.q_agg, q(targets, obs, flow_action)))
        over = s.guidance_agg if len(references) > 1 else "mean"
        gap = scale / s.eta * (aggregate(s.q_agg, q(targets, obs, data)) - aggregate(over, jnp.stack(references)))
        weight = fixed(jax.nn.sigmoid(gap) if s.guidance_fn == "softmax" else jnp.exp(gap))
    flow_loss = jnp.mean(weight * error)

    total = critic_loss + flow_loss + s.alpha * distill_loss + q_loss
    return total, {"total": total, "critic": critic_loss, "flow": flow_loss, "distill": distill_loss, "q": q_loss}


def update(s, state, batch, noise, merged=False):
    """One update: every loss at the parameters before it, Adam, then the targets from the critic before it."""
    params, targets, m, v, step = state
    gradient, parts = jax.grad(lambda p: losses(s, p, targets, batch, noise, merged), has_aux=True)(params)
    step = step + 1
    m = jax.tree.map(lambda m, g: s.b1 * m + (1 - s.b1) * g, m, gradient)
    v = jax.tree.map(lambda v, g: s.b2 * v + (1 - s.b2) * g * g, v, gradient)
    rate = lambda p, m, v: p - s.lr * (m / (1 - s.b1**step)) / (jnp.sqrt(v / (1 - s.b2**step)) + s.adam_eps)
    targets = jax.tree.map(lambda q, target: s.tau * q + (1 - s.tau) * target, params["critic"], targets)
    return (jax.tree.map(rate, params, m, v), targets, m, v, step), parts


def start(parameters, dtype):
    """A training state from nested parameters."""
    params = jax.tree.map(lambda array: jnp.asarray(array, dtype), parameters)
    targets = params.pop("target_critic")
    zeros = jax.tree.map(jnp.zeros_like, params)
    return params, targets, zeros, zeros, jnp.zeros((), dtype)


def check(path):
    """Whether K updates end where the fixture's do."""
    s, arrays = common.fixture(path)
    agree = True
    for merged in [False, True]:
        state = start(common.nested(arrays, "param/"), jnp.float64)
        one = jax.jit(lambda state, batch, noise: update(s, state, batch, noise, merged))
        trace = {name: [] for name in ["total", "critic", "flow", "distill", "q"]}
        for k in range(len(arrays["batch/rewards"])):
            of = lambda prefix: {n[len(prefix):]: jnp.asarray(a[k], jnp.float64) for n, a in arrays.items() if n.startswith(prefix)}
            state, parts = one(state, of("batch/"), of("noise/"))
            for name, value in parts.items():
                trace[name].append(float(value))
        agree &= common.report(path, s, trace, {**state[0], "target_critic": state[1]})
    return agree


def drawn(s, dataset, key):
    """A batch and its noise, drawn on the device."""
    keys = jax.random.split(key, 5)
    rows = jax.random.randint(keys[0], (s.batch,), 0, len(dataset["rewards"]))
    batch = {name: array[rows] for name, array in dataset.items()}
    normal = lambda key: jax.random.normal(key, (s.batch, s.act_dim))
    noise = {"z_next": normal(keys[1]), "z": normal(keys[2]), "x0": normal(keys[3]), "t": jax.random.uniform(keys[4], (s.batch, 1))}
    return batch, noise


def agent():
    """A function that makes so many updates."""
    s = common.dataclasses.replace(common.WORK[ARGS.algo], batch=ARGS.batch)
    dataset = jax.tree.map(jnp.asarray, common.random_dataset(s))

    def one(state, key):
        batch, noise = drawn(s, dataset, key)
        return update(s, state, batch, noise, ARGS.form == "scan merged")[0]

    states = [start(common.random_parameters(s, seed), jnp.float32) for seed in range(ARGS.lanes)]
    state = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states) if ARGS.lanes > 1 else states[0]
    many = jax.vmap(one) if ARGS.lanes > 1 else one
    split = lambda key: jax.random.split(key, ARGS.lanes) if ARGS.lanes > 1 else key
    # Donating the state's buffers costs a third on the CPU, and helps on a GPU.
    donate = () if jax.default_backend() == "cpu" else (0,)

    @functools.partial(jax.jit, static_argnums=2, donate_argnums=donate)
    def fused(state, key, count):
        return jax.lax.scan(lambda state, key: (many(state, split(key)), None), state, jax.random.split(key, count))[0]

    single = jax.jit(lambda state, key: many(state, split(key)), donate_argnums=donate)
    key = jax.random.key(0)

    def run(count):
        nonlocal state, key
        key, own = jax.random.split(key)
        if ARGS.form == "step":
            for own in jax.random.split(own, count):
                state = single(state, own)
        else:
            for _ in range(max(count // 8, 1)):
                state = fused(state, own, min(count, 8))
        jax.block_until_ready(state)

    return run


def plain():
    """A function that makes so many training steps of a 4x512 net with a squared loss and Adam."""
    s = common.Settings(batch=ARGS.batch)
    net = jax.tree.map(jnp.asarray, common.random_parameters(s)["actor"])
    x, y = jnp.ones((s.batch, s.obs_dim + s.act_dim)), jnp.zeros((s.batch, s.act_dim))
    zeros = jax.tree.map(jnp.zeros_like, net)
    state = (net, zeros, zeros, jnp.zeros(()))

    @jax.jit
    def step(state):
        net, m, v, step = state
        g = jax.grad(lambda net: jnp.mean((mlp(net, x, s.ln_eps) - y) ** 2))(net)
        step = step + 1
        m = jax.tree.map(lambda m, g: s.b1 * m + (1 - s.b1) * g, m, g)
        v = jax.tree.map(lambda v, g: s.b2 * v + (1 - s.b2) * g * g, v, g)
        rate = lambda p, m, v: p - s.lr * (m / (1 - s.b1**step)) / (jnp.sqrt(v / (1 - s.b2**step)) + s.adam_eps)
        return jax.tree.map(rate, net, m, v), m, v, step

    def run(count):
        nonlocal state
        for _ in range(count):
            state = step(state)
        jax.block_until_ready(state)

    return run


if __name__ == "__main__":
    if ARGS.check:
        raise SystemExit(not all([check(path) for path in ARGS.check]))
    if ARGS.algo == "mlp" and ARGS.lanes > 1:
        raise SystemExit("the plain step has one lane")
    if ARGS.device == "gpu" and jax.default_backend() == "cpu":
        raise SystemExit("JAX sees no GPU: install jax[cuda12] for NVIDIA's")
    device = jax.devices()[0].device_kind
    facts = {"versions": {"jax": jax.__version__, "jaxlib": jaxlib.__version__, "numpy": np.__version__}, "device": device}
    common.serve(facts, plain() if ARGS.algo == "mlp" else agent(), ARGS.seconds)
