// The products of a tile of 64 rows by a quad of columns for each of 16 invocations, all of one subgroup.

// The sums of four rows a matrix, a row a column of it. Every index is a constant once all is inlined: of an array that a loop
// indexes llvmpipe would make memory.
alias Sums = array<mat4x4<f32>, 16>;

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

// Matrix column `i`, which may vary.
fn pick(columns: mat4x4<f32>, i: u32) -> vec4<f32> {
    return select(
        select(columns[3], columns[2], i == 2u),
        select(columns[1], columns[0], i == 0u),
        i < 2u,
    );
}
