//! How a ball of OGBench's point maze moves while walls push it: MuJoCo's soft contacts, written out for two axes.
//!
//! The ball has two slide joints, x and y, and no other freedom, so that floor and gravity do nothing, its mass cancels,
//! and a wall is a square in the plane. What is left of MuJoCo's chapter "Computation" is small enough to solve exactly:
//!
//! - A contact with outward normal n and in-plane tangent t gives four pyramid edges, n + t, n - t, n, n (friction 1;
//!   the last two belong to the vertical tangent, along which nothing can move).
//! - Edge e with direction J wants the acceleration r = -B (J·v) + K d p, where p > 0 is the penetration and d the
//!   impedance, and is as stiff as w = 3 d / (8 (1 - d)) per unit of mass.
//! - The acceleration a minimises |a|²/2 + Σ w/2 max(0, r - J·a)² over the edges.
//! - Positions and velocities advance by Runge-Kutta 4, with the contacts found again at every stage.

use super::maze::{CELL, Maze};

/// Radius of the ball, world units.
pub const RADIUS: f64 = 0.7;

/// Seconds per simulator step.
const TIMESTEP: f64 = 0.02;
/// MuJoCo's default `solimp`: the impedance grows from the first to the second number over the first `IMPEDANCE_WIDTH`
/// units of penetration.
const IMPEDANCE: [f64; 2] = [0.9, 0.95];
const IMPEDANCE_WIDTH: f64 = 0.001;
/// Time constant of a contact, seconds: MuJoCo's default is 0.02, raised to two simulator steps to stay stable.
const TIME_CONSTANT: f64 = 2.0 * TIMESTEP;
/// Stiffness K, 1/s², and damping B, 1/s, of a critically damped contact.
const STIFFNESS: f64 = 1.0 / (IMPEDANCE[1] * IMPEDANCE[1] * TIME_CONSTANT * TIME_CONSTANT);
const DAMPING: f64 = 2.0 / (IMPEDANCE[1] * TIME_CONSTANT);
/// The solver stops after this many Newton steps; in 63 000 recorded actions it never took more than five.
const MOST_NEWTON_STEPS: usize = 32;

type Vec2 = [f64; 2];

/// Position and velocity of the ball, world units and units per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Motion {
    pub position: Vec2,
    pub velocity: Vec2,
}

/// One edge of a friction pyramid: pushes along `direction` if the acceleration along it stays below `reference`.
#[derive(Clone, Copy, Debug)]
struct Edge {
    direction: Vec2,
    reference: f64,
    weight: f64,
}

/// Advances the ball by `steps` simulator steps; nothing but walls acts on it.
pub(crate) fn simulate(maze: &Maze, position: Vec2, steps: usize) -> Motion {
    let mut motion = Motion { position, velocity: [0.0; 2] };
    for _ in 0..steps {
        motion = runge_kutta_4(maze, motion);
    }
    motion
}

/// One simulator step.
fn runge_kutta_4(maze: &Maze, start: Motion) -> Motion {
    let (x, v1) = (start.position, start.velocity);
    let half = TIMESTEP / 2.0;
    let a1 = acceleration(maze, x, v1);
    let v2 = advance(v1, a1, half);
    let a2 = acceleration(maze, advance(x, v1, half), v2);
    let v3 = advance(v1, a2, half);
    let a3 = acceleration(maze, advance(x, v2, half), v3);
    let v4 = advance(v1, a3, TIMESTEP);
    let a4 = acceleration(maze, advance(x, v3, TIMESTEP), v4);
    let mean = |k: [Vec2; 4]| std::array::from_fn(|i| (k[0][i] + 2.0 * k[1][i] + 2.0 * k[2][i] + k[3][i]) / 6.0);
    Motion { position: advance(x, mean([v1, v2, v3, v4]), TIMESTEP), velocity: advance(v1, mean([a1, a2, a3, a4]), TIMESTEP) }
}

/// `from + time · rate`.
fn advance(from: Vec2, rate: Vec2, time: f64) -> Vec2 {
    [from[0] + time * rate[0], from[1] + time * rate[1]]
}

fn dot(a: Vec2, b: Vec2) -> f64 {
    a[0] * b[0] + a[1] * b[1]
}

/// Acceleration by the walls, units/s².
fn acceleration(maze: &Maze, position: Vec2, velocity: Vec2) -> Vec2 {
    let mut edges = Vec::new();
    let (row, col) = maze.cell(position);
    // A wall further than the neighbouring cell is out of reach: the radius is below half a cell.
    for row in row.saturating_sub(1)..=row + 1 {
        for col in col.saturating_sub(1)..=col + 1 {
            if maze.is_wall((row, col)) {
                push_edges(position, velocity, maze.centre((row, col)), &mut edges);
            }
        }
    }
    if edges.is_empty() { [0.0; 2] } else { minimise(&edges) }
}

/// Adds the edges of the contact with the square around `centre`, if the ball touches it.
fn push_edges(position: Vec2, velocity: Vec2, centre: Vec2, edges: &mut Vec<Edge>) {
    let (normal, penetration) = penetrate(position, centre);
    if penetration <= 0.0 {
        return;
    }
    let tangent = [-normal[1], normal[0]];
    let impedance = impedance(penetration);
    let mut push = |direction: Vec2, count: f64| {
        let reference = STIFFNESS * impedance * penetration - DAMPING * dot(direction, velocity);
        edges.push(Edge { direction, reference, weight: count * 3.0 * impedance / (8.0 * (1.0 - impedance)) });
    };
    push([normal[0] + tangent[0], normal[1] + tangent[1]], 1.0);
    push([normal[0] - tangent[0], normal[1] - tangent[1]], 1.0);
    push(normal, 2.0);
}

/// Outward normal of a wall's nearest point, and how deep the ball is in it (negative: no contact).
fn penetrate(position: Vec2, centre: Vec2) -> (Vec2, f64) {
    const HALF: f64 = CELL / 2.0;
    let offset = [position[0] - centre[0], position[1] - centre[1]];
    let gap: Vec2 = std::array::from_fn(|i| offset[i] - offset[i].clamp(-HALF, HALF));
    let distance = gap[0].hypot(gap[1]);
    if distance > 0.0 {
        return ([gap[0] / distance, gap[1] / distance], RADIUS - distance);
    }
    // The centre is inside the wall: out through the nearest side. Clipped actions never get here.
    let axis = usize::from(offset[1].abs() > offset[0].abs());
    let mut normal = [0.0; 2];
    normal[axis] = 1.0_f64.copysign(offset[axis]);
    (normal, RADIUS + HALF - offset[axis].abs())
}

/// MuJoCo's impedance with its default power 2 and midpoint 0.5: two parabolas that meet halfway.
fn impedance(penetration: f64) -> f64 {
    let x = (penetration / IMPEDANCE_WIDTH).min(1.0);
    let y = if x <= 0.5 { 2.0 * x * x } else { 1.0 - 2.0 * (1.0 - x) * (1.0 - x) };
    IMPEDANCE[0] + y * (IMPEDANCE[1] - IMPEDANCE[0])
}

/// The acceleration of least cost. The cost is convex, and quadratic between the lines where an edge lets go: a Newton step
/// that crosses none of them lands on the exact minimum. A line search, which would make it certain that such a step
/// comes, was tried and left out: five million random contacts with one to four walls all ended within twelve steps.
fn minimise(edges: &[Edge]) -> Vec2 {
    let mut a = [0.0; 2];
    for _ in 0..MOST_NEWTON_STEPS {
        let step = newton_step(edges, a);
        let target = advance(a, step, 1.0);
        if edges.iter().all(|edge| pushes(edge, a) == pushes(edge, target)) {
            return target;
        }
        a = target;
    }
    a
}

/// Whether an edge pushes at acceleration `a`.
fn pushes(edge: &Edge, a: Vec2) -> bool {
    dot(edge.direction, a) < edge.reference
}

/// Gradient of the cost.
fn gradient(edges: &[Edge], a: Vec2) -> Vec2 {
    edges
        .iter()
        .filter(|edge| pushes(edge, a))
        .fold(a, |sum, edge| advance(sum, edge.direction, edge.weight * (dot(edge.direction, a) - edge.reference)))
}

/// Minus the gradient times the inverse of the Hessian, which is at least the identity.
fn newton_step(edges: &[Edge], a: Vec2) -> Vec2 {
    let (mut xx, mut xy, mut yy) = (1.0, 0.0, 1.0);
    for Edge { direction: [x, y], weight, .. } in edges.iter().filter(|edge| pushes(edge, a)) {
        xx += weight * x * x;
        xy += weight * x * y;
        yy += weight * y * y;
    }
    let [gx, gy] = gradient(edges, a);
    let determinant = xx * yy - xy * xy;
    [(xy * gy - yy * gx) / determinant, (xy * gx - xx * gy) / determinant]
}

#[cfg(test)]
mod tests {
    use super::super::mix;
    use super::*;

    /// Any number of walls, deeper and faster than a maze can bring about: the gradient vanishes at the answer.
    #[test]
    fn the_solver_ends_at_the_minimum() {
        for case in 0..20_000 {
            let uniform = |i: u64| (mix(case, i) >> 11) as f64 / (1_u64 << 53) as f64;
            let mut edges = Vec::new();
            let velocity = [4.0 * uniform(0) - 2.0, 4.0 * uniform(1) - 2.0];
            for wall in 0..1 + case % 4 {
                let angle = std::f64::consts::TAU * uniform(3 + 2 * wall);
                let gap = CELL / 2.0 + RADIUS - 0.5 * uniform(4 + 2 * wall).powi(4);
                push_edges([0.0; 2], velocity, [gap * angle.cos(), gap * angle.sin()], &mut edges);
            }
            let scale: f64 = edges.iter().map(|edge| edge.weight * edge.reference.abs()).sum();
            let [x, y] = gradient(&edges, minimise(&edges));
            assert!(x.hypot(y) <= 1e-12 * scale, "case {case}: gradient {x:e}, {y:e} of {edges:?}");
        }
    }
}
