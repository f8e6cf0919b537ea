"""FQL's and GFP's update in PyTorch: eager, compiled, or as a CUDA graph."""

import torch
import torch.nn.functional as F

import common

ARGS = common.arguments(["eager", "compile", "cuda graph"])
DEVICE = torch.device("cuda" if torch.cuda.is_available() and not ARGS.check and ARGS.device != "cpu" else "cpu")
DTYPE = torch.float64 if ARGS.check else torch.float32
if ARGS.threads:
    torch.set_num_threads(ARGS.threads)
if DEVICE.type == "cuda" and ARGS.precision == "default":
    # What JAX does by default: TF32 where the GPU has it. PyTorch's own default is "highest".
    torch.set_float32_matmul_precision("high")


def tensors(tree):
    """Nested arrays as nested tensors."""
    if isinstance(tree, dict):
        return {name: tensors(value) for name, value in tree.items()}
    return torch.as_tensor(tree, dtype=DTYPE, device=DEVICE).contiguous()


def leaves(tree):
    """The tensors of a nested dictionary."""
    return [leaf for value in tree.values() for leaf in leaves(value)] if isinstance(tree, dict) else [tree]


def mlp(layers, x, eps, member=None):
    """[dense, GELU, (layer norm)] for each hidden width, then a dense head; `member` picks one of an ensemble."""
    pick = (lambda tensor: tensor) if member is None else (lambda tensor: tensor[member])
    depth = sum(name.startswith("dense") for name in layers)
    for i in range(depth):
        x = torch.addmm(pick(layers[f"dense{i}"]["bias"]), x, pick(layers[f"dense{i}"]["kernel"]))
        if i + 1 < depth:
            x = F.gelu(x, approximate="tanh")
            if f"norm{i}" in layers:
                norm = layers[f"norm{i}"]
                x = F.layer_norm(x, x.shape[-1:], pick(norm["scale"]), pick(norm["bias"]), eps)
    return x


def aggregate(how, values):
    """Over the first axis."""
    return {"mean": torch.mean, "min": torch.amin, "max": torch.amax}[how](values, dim=0)


def frozen(layers):
    """The same weights without their gradient."""
    return {name: {leaf: tensor.detach() for leaf, tensor in layer.items()} for name, layer in layers.items()}


def losses(s, params, targets, batch, noise):
    """(total, parts) of one update."""
    obs, next_obs, data = batch["observations"], batch["next_observations"], batch["actions"]
    gfp = s.agent == "gfp"
    flow_params = params["vabc" if gfp else "bc_flow"]

    def q(critic, obs, action):
        pair = torch.cat([obs, action], -1)
        return torch.stack([mlp(critic, pair, s.ln_eps, member)[:, 0] for member in range(2)])

    def actor(obs, z):
        return mlp(params["actor"], torch.cat([obs, z], -1), s.ln_eps)

    def velocity(obs, x, t):
        if s.encode_time_dim:
            half = s.encode_time_dim // 2
            exponents = torch.arange(half, dtype=DTYPE, device=DEVICE) / (half - 1)
            angles = t * 10_000.0 ** -exponents
            t = torch.cat([torch.sin(angles), torch.cos(angles)], -1)
        return mlp(flow_params, torch.cat([obs, x, t], -1), s.ln_eps)

    @torch.no_grad()
    def integrate(obs, z):
        x = z
        for i in range(s.flow_steps):
            x = x + velocity(obs, x, torch.full_like(x[:, :1], i / s.flow_steps)) / s.flow_steps
        return x.clamp(-1, 1)

    flow_action = integrate(obs, noise["z"])

    # Critic.
    with torch.no_grad():
        values = []
        if not gfp or s.target_agg != "vabc":
            values.append(aggregate(s.q_agg, q(targets, next_obs, actor(next_obs, noise["z_next"]).clamp(-1, 1))))
        if gfp and s.target_agg != "actor":
            next_flow = integrate(next_obs if s.target_use_next else obs, noise["z_next"])
            values.append(aggregate(s.q_agg, q(targets, next_obs, next_flow)))
        over = s.target_agg if len(values) > 1 else "mean"
        target = batch["rewards"] + s.discount * batch["masks"] * aggregate(over, torch.stack(values))
    critic_loss = ((q(params["critic"], obs, data) - target) ** 2).mean()

    # Actor.
    u = actor(obs, noise["z"])
    distill_loss = ((u - flow_action) ** 2).mean()
    clipped = u.clamp(-1, 1)
    value = aggregate(s.q_agg if gfp else "mean", q(frozen(params["critic"]), obs, clipped))
    scale = 1 / value.detach().abs().mean()
    q_loss = -value.mean() * (scale if s.normalize_q else 1)

    # Flow.
    x0, t = noise["x0"], noise["t"]
    error = ((velocity(obs, (1 - t) * x0 + t * data, t) - (data - x0)) ** 2).mean(-1)
    weight = 1.0
    if gfp and s.eta > 0:
        with torch.no_grad():
            references = []
            if s.guidance_agg != "vabc":
                references.append(aggregate(s.q_agg, q(targets, obs, clipped)))
            if s.guidance_agg != "actor":
                references.append(aggregate(s.q_agg, q(targets, obs, flow_action)))
            over = s.guidance_agg if len(references) > 1 else "mean"
            gap = scale / s.eta * (aggregate(s.q_agg, q(targets, obs, data)) - aggregate(over, torch.stack(references)))
            weight = torch.sigmoid(gap) if s.guidance_fn == "softmax" else torch.exp(gap)
    flow_loss = (weight * error).mean()

    total = critic_loss + flow_loss + s.alpha * distill_loss + q_loss
    return total, {"total": total, "critic": critic_loss, "flow": flow_loss, "distill": distill_loss, "q": q_loss}


class Agent:
    """Parameters, targets and Adam."""

    def __init__(self, settings, parameters):
        self.settings = settings
        self.params = tensors(parameters)
        self.targets = self.params.pop("target_critic")
        self.followed = leaves(self.params["critic"])
        self.leaves = leaves(self.params)
        for leaf in self.leaves:
            leaf.requires_grad_()
        s = settings
        graph = ARGS.form == "cuda graph"
        self.adam = torch.optim.Adam(self.leaves, s.lr, (s.b1, s.b2), s.adam_eps, fused=not ARGS.check, capturable=graph)

    def update(self, batch, noise):
        """One update: every loss at the parameters before it, the targets from the critic before it, Adam."""
        self.adam.zero_grad(set_to_none=ARGS.form != "cuda graph")
        total, parts = losses(self.settings, self.params, self.targets, batch, noise)
        total.backward()
        with torch.no_grad():
            torch._foreach_lerp_(leaves(self.targets), [leaf.detach() for leaf in self.followed], self.settings.tau)
        self.adam.step()
        return parts


def check(path):
    """Whether K updates end where the fixture's do."""
    s, arrays = common.fixture(path)
    agent = Agent(s, common.nested(arrays, "param/"))
    trace = {name: [] for name in ["total", "critic", "flow", "distill", "q"]}
    for k in range(len(arrays["batch/rewards"])):
        of = lambda prefix: {name[len(prefix):]: tensors(array[k]) for name, array in arrays.items() if name.startswith(prefix)}
        for name, value in agent.update(of("batch/"), of("noise/")).items():
            trace[name].append(value.item())
    numpy = lambda tree: {n: numpy(v) for n, v in tree.items()} if isinstance(tree, dict) else tree.detach().numpy()
    return common.report(path, s, trace, {**numpy(agent.params), "target_critic": numpy(agent.targets)})


def drawn(s, dataset):
    """A batch and its noise."""
    rows = torch.randint(len(dataset["rewards"]), (s.batch,), device=DEVICE)
    normal = lambda: torch.randn(s.batch, s.act_dim, device=DEVICE)
    noise = {"z_next": normal(), "z": normal(), "x0": normal(), "t": torch.rand(s.batch, 1, device=DEVICE)}
    return {name: tensor[rows] for name, tensor in dataset.items()}, noise


def repeated(step):
    """A function that runs `step` so many times, in the form asked for."""
    if ARGS.form == "compile":
        step = torch.compile(step)
    if ARGS.form == "cuda graph":
        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        step = graph.replay

    def run(count):
        for _ in range(count):
            step()
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()

    return run


def agent():
    """A function that makes so many updates."""
    s = common.dataclasses.replace(common.WORK[ARGS.algo], batch=ARGS.batch)
    agent = Agent(s, common.random_parameters(s))
    dataset = tensors(common.random_dataset(s))
    return repeated(lambda: agent.update(*drawn(s, dataset)))


def plain():
    """A function that makes so many training steps of a 4x512 net with a squared loss and Adam."""
    s = common.Settings(batch=ARGS.batch)
    net = tensors(common.random_parameters(s)["actor"])
    x, y = torch.ones(s.batch, s.obs_dim + s.act_dim, device=DEVICE), torch.zeros(s.batch, s.act_dim, device=DEVICE)
    parameters = [leaf.requires_grad_() for leaf in leaves(net)]
    adam = torch.optim.Adam(parameters, s.lr, fused=True, capturable=ARGS.form == "cuda graph")

    def step():
        adam.zero_grad(set_to_none=ARGS.form != "cuda graph")
        ((mlp(net, x, s.ln_eps) - y) ** 2).mean().backward()
        adam.step()

    return repeated(step)


if __name__ == "__main__":
    if ARGS.check:
        raise SystemExit(not all([check(path) for path in ARGS.check]))
    if ARGS.lanes > 1:
        raise SystemExit("PyTorch trains one seed a process")
    if ARGS.device == "gpu" and DEVICE.type == "cpu":
        raise SystemExit("PyTorch sees no GPU: install a build with CUDA or ROCm")
    name = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "cpu"
    facts = {"versions": {"torch": torch.__version__}, "device": name}
    common.serve(facts, plain() if ARGS.algo == "mlp" else agent(), ARGS.seconds)
