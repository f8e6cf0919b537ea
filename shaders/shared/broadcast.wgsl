// The products of such a tile (shared/tile.wgsl) where the left factor lies row by row: shared by the subgroup variants of matmul_nn
// and matmul_nt, whose `struct Problem` it reads and whose `load_b` it calls.

// Adds the products of 16 rows of the left factor, of which each invocation holds one, to the sums from `first` on.
fn add_sixteen(sums: ptr<function, Sums>, first: u32, mine: vec4<f32>, b: mat4x4<f32>) {
    (*sums)[first] = add_products((*sums)[first], mat4x4<f32>(
        subgroupBroadcast(mine, 0u),
        subgroupBroadcast(mine, 1u),
        subgroupBroadcast(mine, 2u),
        subgroupBroadcast(mine, 3u),
    ), b);
    (*sums)[first + 1u] = add_products((*sums)[first + 1u], mat4x4<f32>(
        subgroupBroadcast(mine, 4u),
        subgroupBroadcast(mine, 5u),
        subgroupBroadcast(mine, 6u),
        subgroupBroadcast(mine, 7u),
    ), b);
    (*sums)[first + 2u] = add_products((*sums)[first + 2u], mat4x4<f32>(
        subgroupBroadcast(mine, 8u),
        subgroupBroadcast(mine, 9u),
        subgroupBroadcast(mine, 10u),
        subgroupBroadcast(mine, 11u),
    ), b);
    (*sums)[first + 3u] = add_products((*sums)[first + 3u], mat4x4<f32>(
        subgroupBroadcast(mine, 12u),
        subgroupBroadcast(mine, 13u),
        subgroupBroadcast(mine, 14u),
        subgroupBroadcast(mine, 15u),
    ), b);
}

// The sums of the tile from `row` on. What `load_b` finds at `at_b` is this invocation's quad of columns.
fn tile_sums(p: Problem, lane: u32, row: u32, local: u32, at_b: u32) -> Sums {
    let a = activations_at(lane, p.a);
    let last = p.rows - 1u;
    let step = p.a_stride / 4u;
    let at_a0 = a + min(row + local, last) * step;
    let at_a1 = a + min(row + 16u + local, last) * step;
    let at_a2 = a + min(row + 32u + local, last) * step;
    let at_a3 = a + min(row + 48u + local, last) * step;
    let deep = quads_of(p.depth);
    var sums = Sums();
    for (var k = 0u; k < deep; k += 2u) {
        let b0 = load_b(p, at_b, k);
        add_sixteen(&sums, 0u, activations[at_a0 + k], b0);
        add_sixteen(&sums, 4u, activations[at_a1 + k], b0);
        add_sixteen(&sums, 8u, activations[at_a2 + k], b0);
        add_sixteen(&sums, 12u, activations[at_a3 + k], b0);
        // Past the last quad of the depth the last one again, times zero.
        let next = min(k + 1u, deep - 1u);
        let some = vec4<bool>(k + 1u < deep);
        let b1 = load_b(p, at_b, next);
        add_sixteen(&sums, 0u, select(vec4<f32>(), activations[at_a0 + next], some), b1);
        add_sixteen(&sums, 4u, select(vec4<f32>(), activations[at_a1 + next], some), b1);
        add_sixteen(&sums, 8u, select(vec4<f32>(), activations[at_a2 + next], some), b1);
        add_sixteen(&sums, 12u, select(vec4<f32>(), activations[at_a3 + next], some), b1);
    }
    return sums;
}

// Matrix column `i`, which may vary.
fn pick(columns: mat4x4<f32>, i: u32) -> vec4<f32> {
    return select(
        select(columns[3], columns[2], i == 2u),
        select(columns[1], columns[0], i == 0u),
        i < 2u,
    );
}
