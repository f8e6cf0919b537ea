// The actor's value, its normaliser, and the gradient at the critics' outputs.
//   lambda = rows / sum over rows of |Q|    terms[row] = -scale Q    d_q = -scale / rows * share,  scale = lambda or 1
// GFP release `agents/gfp.py`, `actor_loss`. Q aggregates the members; critics that share a minimum share its gradient,
// as `jnp.min` does. q, d_q: [members * rows, 1], member after member; lambda: [1]; terms: [rows, 1]. One workgroup for
// the problem, an invocation takes every 64th row. Gradient reaches: the critics' inputs. Stopped at: lambda, critics.

struct Problem {
    first_group: u32,
    q: u32,
    q_stride: u32,
    members: u32,
    over_members: u32,
    normalize: u32,
    d_q: u32,
    lambda: u32,
    terms: u32,
    terms_stride: u32,
    rows: u32,
}

@compute @workgroup_size(64)
fn q_loss(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let number = group_index(group, groups);
    let p = problems[problem_index(number)];
    let lane = group.z;
    if (number > p.first_group) {
        return;
    }
    let q = activations_at(lane, p.q);
    let d_q = activations_at(lane, p.d_q);
    let step = p.q_stride / 4u;
    var sum = 0.0;
    for (var row = local; row < p.rows; row += 64u) {
        sum += abs(aggregate_members(p.over_members, p.members, q, step, p.rows, row));
    }
    let lambda = f32(p.rows) / sum_64(local, vec4<f32>(sum, 0.0, 0.0, 0.0)).x;
    if (local == 0u) {
        activations[activations_at(lane, p.lambda)] = vec4<f32>(lambda, 0.0, 0.0, 0.0);
    }
    let scale = select(1.0, lambda, p.normalize == 1u);
    let slope = -scale / f32(p.rows);
    for (var row = local; row < p.rows; row += 64u) {
        let best = aggregate_members(p.over_members, p.members, q, step, p.rows, row);
        var sharers = 0.0;
        for (var member = 0u; member < p.members; member += 1u) {
            sharers += select(0.0, 1.0, activations[q + (member * p.rows + row) * step].x == best);
        }
        for (var member = 0u; member < p.members; member += 1u) {
            let at = (member * p.rows + row) * step;
            var share = 1.0 / f32(p.members);
            if (p.over_members != MEAN) {
                share = select(0.0, 1.0 / sharers, activations[q + at].x == best);
            }
            activations[d_q + at] = vec4<f32>(slope * share, 0.0, 0.0, 0.0);
        }
        activations[activations_at(lane, p.terms + row * p.terms_stride)] = vec4<f32>(-scale * best, 0.0, 0.0, 0.0);
    }
}
