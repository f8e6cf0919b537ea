// The bindings of every kernel. Each kernel declares its own `struct Problem`; the rest is the same everywhere, so that
// one pipeline layout serves them all. Float arenas are bound as vec4: every offset and stride is a multiple of 4, and
// four neighbouring columns are a *quad*.

struct Lanes {
    // Elements of a lane's share of weights, training, activations and words.
    strides: vec4<u32>,
    // Scalars a lane.
    slots: u32,
    unused_0: u32,
    unused_1: u32,
    unused_2: u32,
    // The table of scalars, lane after lane.
    scalars: array<f32>,
}

@group(0) @binding(0) var<storage, read_write> weights: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> training: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> activations: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> words: array<u32>;
@group(0) @binding(4) var<storage, read> problems: array<Problem>;
@group(0) @binding(5) var<storage, read> lanes: Lanes;
@group(0) @binding(6) var<storage, read> records: array<vec4<f32>>;

// Stands for "no such operand".
const NONE: u32 = 0xffffffffu;

// A dispatch is groups_x * groups_y workgroups for each lane (z). The grid may be larger than the table needs: what is
// left over falls to the last problem, so every kernel leaves when its group or element is beyond its problem.
fn group_index(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.x + group.y * groups.x;
}

// The problem a workgroup works on: the last one that starts at or before it. By bisection, since each step waits for
// a load and tables hold up to a few dozen problems.
fn problem_index(group: u32) -> u32 {
    var first = 0u;
    var last = arrayLength(&problems) - 1u;
    while (first < last) {
        let middle = (first + last + 1u) / 2u;
        if (problems[middle].first_group <= group) {
            first = middle;
        } else {
            last = middle - 1u;
        }
    }
    return first;
}

// Scalar `slot` of `lane`.
fn scalar(lane: u32, slot: u32) -> f32 {
    return lanes.scalars[lane * lanes.slots + slot];
}

// A vec4 index from an element offset of a lane's weights, training or activations.
fn weights_at(lane: u32, offset: u32) -> u32 {
    return (lane * lanes.strides.x + offset) / 4u;
}
fn training_at(lane: u32, offset: u32) -> u32 {
    return (lane * lanes.strides.y + offset) / 4u;
}
fn activations_at(lane: u32, offset: u32) -> u32 {
    return (lane * lanes.strides.z + offset) / 4u;
}
fn words_at(lane: u32, offset: u32) -> u32 {
    return lane * lanes.strides.w + offset;
}

// Quads of a row of `cols` columns.
fn quads_of(cols: u32) -> u32 {
    return (cols + 3u) / 4u;
}

// Quad number `quad` of a row of `cols` columns, with zeros where it is padding.
fn pad(value: vec4<f32>, quad: u32, cols: u32) -> vec4<f32> {
    let col = vec4<u32>(4u * quad) + vec4<u32>(0u, 1u, 2u, 3u);
    return select(vec4<f32>(0.0), value, col < vec4<u32>(cols));
}

// The sum of the four.
fn across(value: vec4<f32>) -> f32 {
    return (value.x + value.y) + (value.z + value.w);
}
