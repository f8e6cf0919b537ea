//! What the losses, their targets and their choices are tested on.

use wgflow::kernels::awr_loss::Weights;
use wgflow::kernels::critic_loss::Reduction;
use wgflow::kernels::flow_loss::{Gate, Guidance};
use wgflow::kernels::td_target::Penalty;
use wgflow::kernels::*;

use super::super::scene::{Law, Scene, slot};
use super::{NORMAL, ROWS_COLS, scenes, turn};

const AGGREGATES: [Aggregate; 4] = [Aggregate::First, Aggregate::Mean, Aggregate::Min, Aggregate::Max];
const BATCHES: [(u32, u32); 8] = [(1, 1), (3, 2), (63, 1), (64, 2), (65, 3), (127, 2), (257, 10), (31, 2)];

pub fn td_target_scenes() -> Vec<Scene> {
    let problems: Vec<_> = BATCHES.into_iter().zip(AGGREGATES.into_iter().cycle()).collect();
    scenes(&problems, |s, ((rows, members), over_members)| {
        for (number, over_candidates) in AGGREGATES.into_iter().enumerate() {
            let q = [s.input(members * rows, 1, NORMAL), s.input(members * rows, 1, NORMAL)];
            let (reward_mask, out) = (s.input(rows, 2, Law::Within(-1.0, 1.0)), s.output(rows, 4));
            let candidates = if number == 0 { &q[..1] } else { &q[..] };
            let how = (over_members, over_candidates);
            // Half of them with a penalty, over as many dimensions as the batch has rows.
            let penalty = (number % 2 == 0).then(|| Penalty {
                action: s.input(rows, rows, NORMAL),
                reference: s.input(rows, rows, NORMAL),
                weight: slot::ALPHA,
            });
            td_target::record(&mut s.plan, "target", candidates, how, penalty, (reward_mask, slot::DISCOUNT), out);
        }
    })
}

pub fn critic_loss_scenes() -> Vec<Scene> {
    scenes(&BATCHES, |s, (rows, members)| {
        let (q, target) = (s.input(members * rows, 1, NORMAL), s.input(rows, 4, NORMAL));
        let (d_q, terms) = (s.output(members * rows, 1), s.output(rows, 1));
        let reduction = if rows % 2 == 1 { Reduction::Mean } else { Reduction::Sum };
        critic_loss::record(&mut s.plan, "critic", (q, target), reduction, (d_q, terms));
    })
}

pub fn expectile_loss_scenes() -> Vec<Scene> {
    let problems: Vec<_> = BATCHES.into_iter().zip(AGGREGATES.into_iter().cycle()).collect();
    scenes(&problems, |s, ((rows, members), how)| {
        // In steps of a 64th some values are equal to their target.
        let law = if rows % 2 == 1 { Law::Within(-0.25, 0.25) } else { NORMAL };
        let (q, v) = (s.input(members * rows, 1, law.clone()), s.input(rows, 1, law));
        let (d_v, out) = (s.output(rows, 1), s.output(rows, 2));
        expectile_loss::record(&mut s.plan, "value", (q, v), how, slot::EXPECTILE, (d_v, out));
    })
}

pub fn perturb_scenes() -> Vec<Scene> {
    scenes(&ROWS_COLS, |s, (rows, cols)| {
        let (x, noise, out) = (s.input(rows, cols, Law::Within(-1.0, 1.0)), s.input(rows, cols, NORMAL), s.output(rows, cols));
        perturb::record(&mut s.plan, "action", (x, noise), (slot::NOISE, slot::BOUND), out);
    })
}

pub fn bc_penalty_scenes() -> Vec<Scene> {
    scenes(&ROWS_COLS, |s, (rows, cols)| {
        let (action, data) = (s.input(rows, cols, Law::Within(-1.0, 1.0)), s.input(rows, cols, Law::Within(-1.0, 1.0)));
        let d_action = s.input((1 + rows % 3) * rows, cols, NORMAL);
        let (d_z, out) = (s.output(rows, cols), s.output(rows, 2));
        let how = (slot::ALPHA, turn(s, rows));
        bc_penalty::record(&mut s.plan, "actor", (action, data), d_action, how, (d_z, out));
    })
}

pub fn awr_loss_scenes() -> Vec<Scene> {
    scenes(&ROWS_COLS, |s, (rows, cols)| {
        let (mean, action) = (s.input(rows, cols, NORMAL), s.input(rows, cols, NORMAL));
        let (q, v) = (s.input((1 + rows % 3) * rows, 1, NORMAL), s.input(rows, 1, NORMAL));
        let weights = Weights { q, over_members: AGGREGATES[cols as usize % 4], v, alpha: slot::ALPHA, cap: 100 };
        let (d_mean, out) = (s.output(rows, cols), s.output(rows, 4));
        awr_loss::record(&mut s.plan, "actor", (mean, action), weights, (d_mean, out));
    })
}

pub fn best_candidate_scenes() -> Vec<Scene> {
    let problems = [(1, 1, 1), (3, 8, 2), (63, 2, 5), (64, 3, 4), (65, 32, 7), (130, 5, 33), (2, 128, 21)];
    scenes(&problems, |s, (rows, count, cols)| {
        let members = 1 + rows % 3;
        // Steps of a 64th in a narrow range: the best value occurs more than once.
        let q = s.input(members * rows * count, 1, Law::Within(0.0, 0.25));
        let (candidates, out) = (s.input(rows * count, cols, NORMAL), s.output(rows, cols));
        best_candidate::record(&mut s.plan, "best", q, AGGREGATES[cols as usize % 4], candidates, out);
    })
}

pub fn q_loss_scenes() -> Vec<Scene> {
    let problems: Vec<_> = BATCHES.into_iter().flat_map(|shape| [(shape, Aggregate::Mean), (shape, Aggregate::Min)]).collect();
    scenes(&problems, |s, ((rows, members), how)| {
        // Steps of a 64th in a narrow range: some critics share their minimum.
        let q = s.input(members * rows, 1, Law::Within(0.5, 0.6));
        let to = q_loss::Results { d_q: s.output(members * rows, 1), lambda: s.output(1, 1), terms: s.output(rows, 1) };
        q_loss::record(&mut s.plan, "q", q, how, rows % 2 == 1, to);
    })
}

pub fn distill_scenes() -> Vec<Scene> {
    scenes(&ROWS_COLS, |s, (rows, cols)| {
        // Steps of a 64th: some values lie on the edge of the clip.
        let (u, teacher) = (s.input(rows, cols, Law::Within(-1.25, 1.25)), s.input(rows, cols, NORMAL));
        let d_action = s.input((1 + rows % 3) * rows, cols, NORMAL);
        let (d_u, terms) = (s.output(rows, cols), s.output(rows, 1));
        distill::record(&mut s.plan, "actor", (u, teacher), d_action, slot::ALPHA, (d_u, terms));
    })
}

pub fn flow_loss_scenes() -> Vec<Scene> {
    let kinds = [Guidance::None, Guidance::Softmax, Guidance::Advantage];
    let problems: Vec<_> = ROWS_COLS.into_iter().flat_map(|shape| kinds.map(|guidance| (shape, guidance))).collect();
    scenes(&problems, |s, ((rows, cols), guidance)| {
        let (prediction, velocity) = (s.input(rows, cols, NORMAL), s.input(rows, cols, NORMAL));
        let members = 1 + rows % 3;
        let mut q = || s.input(members * rows, 1, NORMAL);
        let (q_data, q_first, second) = (q(), q(), q());
        let gate = Gate {
            guidance,
            q_data,
            q_first,
            q_second: (cols % 2 == 1).then_some(second),
            over_members: AGGREGATES[rows as usize % 4],
            over_references: AGGREGATES[cols as usize % 4],
            lambda: s.input(1, 1, Law::Values(vec![0.5])),
            eta: slot::ETA,
        };
        let gate = (guidance != Guidance::None).then_some(gate);
        let (d_prediction, out) = (s.output(rows, cols), s.output(rows, 5));
        flow_loss::record(&mut s.plan, &format!("{rows}x{cols}"), (prediction, velocity), gate, (d_prediction, out));
    })
}
