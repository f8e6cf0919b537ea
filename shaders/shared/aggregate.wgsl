// How the values of several critics, or of several actions, become one. The numbers of src/kernels/mod.rs, `Aggregate`.

const FIRST: u32 = 0u;
const MEAN: u32 = 1u;
const MIN: u32 = 2u;

// `result` joined by one more value.
fn aggregate_next(how: u32, result: f32, next: f32) -> f32 {
    if (how == FIRST) {
        return result;
    }
    if (how == MEAN) {
        return result + next;
    }
    return select(max(result, next), min(result, next), how == MIN);
}

// What is left to do after the last of `count` values.
fn aggregate_last(how: u32, result: f32, count: u32) -> f32 {
    return select(result, result / f32(count), how == MEAN);
}

// Over two candidates, or over the first alone.
fn aggregate_two(how: u32, first: f32, second: f32, two: bool) -> f32 {
    if (two) {
        return aggregate_last(how, aggregate_next(how, first, second), 2u);
    }
    return first;
}

// Over the critics: one value a row, `step` quads apart, `rows` of them for each of `members`; `base` counts quads.
fn aggregate_members(how: u32, members: u32, base: u32, step: u32, rows: u32, row: u32) -> f32 {
    var result = activations[base + row * step].x;
    for (var member = 1u; member < members; member += 1u) {
        result = aggregate_next(how, result, activations[base + (member * rows + row) * step].x);
    }
    return aggregate_last(how, result, members);
}
