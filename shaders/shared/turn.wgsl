// Operations that take part in some updates only. The fields of src/kernels/mod.rs, `Turn`.

// Whether the update's number, the first word at `clock`, is a multiple of `period`; always without a clock.
fn takes_part(lane: u32, clock: u32, period: u32) -> bool {
    if (clock == NONE) {
        return true;
    }
    return words[words_at(lane, clock)] % period == 0u;
}
