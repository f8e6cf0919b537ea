//! The grids of OGBench's point mazes: walls, tasks, teleporters, and the shortest path between cells.
//!
//! Facts of OGBench 1.2.2 (`locomaze/maze.py`): a cell is [`CELL`] = 4 world units wide, cell (1, 1) is centred at the
//! origin, rows grow with y and columns with x. Every cell of a wall is a box that fills its cell.

use crate::error::{Error, Result};

/// Width of one cell, world units.
pub const CELL: f64 = 4.0;

/// World coordinate of the centre of row 0 and of column 0: cell (1, 1) lies at the origin.
const FIRST_CENTRE: f64 = -CELL;

/// A cell as (row, column); row 0, column 0 is the wall at the lower left.
pub type Cell = (usize, usize);

/// One maze of OGBench: a grid of cells, five tasks, and in one of them teleporters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maze {
    layout: &'static Layout,
    rows: usize,
    cols: usize,
    walls: Vec<bool>,
}

/// A maze as it is written down here: `#` is a wall, `.` is free, row 0 first.
#[derive(Debug, PartialEq, Eq)]
struct Layout {
    name: &'static str,
    rows: &'static [&'static str],
    /// (start, goal) of tasks 1..5.
    tasks: [(Cell, Cell); 5],
    teleport_in: &'static [Cell],
    teleport_out: &'static [Cell],
}

const MEDIUM: Layout = Layout {
    name: "pointmaze-medium",
    rows: &["########", "#..##..#", "#..#...#", "##...###", "#..#...#", "#.#..#.#", "#...#..#", "########"],
    tasks: [((1, 1), (6, 6)), ((6, 1), (1, 6)), ((5, 3), (4, 2)), ((6, 5), (6, 1)), ((2, 6), (1, 1))],
    teleport_in: &[],
    teleport_out: &[],
};

const LARGE: Layout = Layout {
    name: "pointmaze-large",
    rows: &[
        "############",
        "#....#.....#",
        "#.##.#.#.#.#",
        "#......#...#",
        "#.####.###.#",
        "#..#.#.....#",
        "##.#.#.#.###",
        "#..#...#...#",
        "############",
    ],
    tasks: [((1, 1), (7, 10)), ((5, 4), (7, 1)), ((7, 4), (1, 10)), ((3, 8), (5, 4)), ((1, 1), (5, 4))],
    teleport_in: &[],
    teleport_out: &[],
};

const GIANT: Layout = Layout {
    name: "pointmaze-giant",
    rows: &[
        "################",
        "#.#......##....#",
        "#.#.##.#.#..##.#",
        "#...#..#...#...#",
        "#.###.######.#.#",
        "#...#...#....#.#",
        "###.#.#..#.#.###",
        "#...#..#...#...#",
        "#.#.#.######.#.#",
        "#.###...#...##.#",
        "#.....#...#....#",
        "################",
    ],
    tasks: [((1, 1), (10, 14)), ((1, 14), (10, 1)), ((8, 14), (1, 1)), ((8, 3), (5, 12)), ((5, 9), (3, 8))],
    teleport_in: &[],
    teleport_out: &[],
};

const TELEPORT: Layout = Layout {
    name: "pointmaze-teleport",
    rows: &[
        "############",
        "#.....#.#..#",
        "##.#...#..##",
        "##.###.....#",
        "#....#.#.#.#",
        "#.##.#.#.#.#",
        "#.##.#.#.#.#",
        "#....#...#.#",
        "############",
    ],
    tasks: [((1, 10), (7, 1)), ((1, 1), (7, 10)), ((5, 6), (7, 10)), ((7, 1), (7, 10)), ((5, 6), (7, 1))],
    teleport_in: &[(4, 6), (5, 1)],
    teleport_out: &[(1, 7), (6, 1), (6, 10)],
};

const LAYOUTS: [&Layout; 4] = [&MEDIUM, &LARGE, &GIANT, &TELEPORT];

impl Maze {
    /// Names that [`Maze::new`] knows.
    pub const NAMES: [&'static str; 4] = [MEDIUM.name, LARGE.name, GIANT.name, TELEPORT.name];

    /// The maze of that name.
    ///
    /// # Errors
    /// [`Error::Setting`] if `name` is none of [`Maze::NAMES`].
    pub fn new(name: &str) -> Result<Self> {
        let layout = LAYOUTS.into_iter().find(|layout| layout.name == name).ok_or_else(|| {
            Error::setting(
                "environment",
                format!("one of {}", Self::NAMES.join(", ")),
                format!("`{name}`"),
                "name a built-in maze, or evaluate in OGBench itself",
            )
        })?;
        let walls: Vec<bool> = layout.rows.iter().flat_map(|row| row.bytes().map(|cell| cell == b'#')).collect();
        let rows = layout.rows.len();
        Ok(Self { layout, rows, cols: walls.len() / rows, walls })
    }

    /// Its name, e.g. `pointmaze-medium`.
    pub fn name(&self) -> &'static str {
        self.layout.name
    }

    /// Number of rows, outer walls included.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns, outer walls included.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Walls, row-major `[rows, cols]`; true where a wall stands.
    pub fn walls(&self) -> &[bool] {
        &self.walls
    }

    /// Whether a wall stands in that cell; everything outside the grid counts as wall.
    pub fn is_wall(&self, (row, col): Cell) -> bool {
        row >= self.rows || col >= self.cols || self.walls[row * self.cols + col]
    }

    /// World position of a cell's centre, `[x, y]`.
    pub fn centre(&self, (row, col): Cell) -> [f64; 2] {
        [col as f64 * CELL + FIRST_CENTRE, row as f64 * CELL + FIRST_CENTRE]
    }

    /// The cell that holds a world position; positions outside the grid belong to its border cells.
    pub fn cell(&self, [x, y]: [f64; 2]) -> Cell {
        // `as` saturates: below zero is 0.
        let index = |v: f64, count: usize| (((v - FIRST_CENTRE) / CELL + 0.5) as usize).min(count - 1);
        (index(y, self.rows), index(x, self.cols))
    }

    /// Outer corners of the grid in world units: lower left `[x, y]`, upper right `[x, y]`.
    pub fn extents(&self) -> ([f64; 2], [f64; 2]) {
        let low = FIRST_CENTRE - CELL / 2.0;
        ([low, low], [low + self.cols as f64 * CELL, low + self.rows as f64 * CELL])
    }

    /// Start and goal cell of a task, 1 to 5; `None` outside.
    pub fn task(&self, task: u32) -> Option<(Cell, Cell)> {
        let index = usize::try_from(task).ok()?.checked_sub(1)?;
        self.layout.tasks.get(index).copied()
    }

    /// Cells whose neighbourhood teleports; empty in all mazes but one.
    pub fn teleport_in(&self) -> &'static [Cell] {
        self.layout.teleport_in
    }

    /// Cells a teleport can lead to.
    pub fn teleport_out(&self) -> &'static [Cell] {
        self.layout.teleport_out
    }

    /// The ceiling every policy can be held against: the action, `[x, y]` of length 1, that walks from a world position
    /// `xy` to the next cell of a shortest path to `goal`, both in world units. At the goal's cell it heads for that
    /// cell's centre. It is the controller of OGBench's data generator without its noise; it ignores teleporters.
    pub fn oracle(&self, xy: [f64; 2], goal: [f64; 2]) -> [f32; 2] {
        let target = self.centre(self.next_cell(self.cell(xy), self.cell(goal)));
        let [dx, dy] = [target[0] - xy[0], target[1] - xy[1]];
        let length = dx.hypot(dy) + 1e-6;
        [(dx / length) as f32, (dy / length) as f32]
    }

    /// The neighbour of `from` on a shortest path to `goal`; `from` itself if there is none.
    fn next_cell(&self, from: Cell, goal: Cell) -> Cell {
        let mut distance = vec![usize::MAX; self.walls.len()];
        let mut queue = std::collections::VecDeque::from([goal]);
        distance[goal.0 * self.cols + goal.1] = 0;
        while let Some(cell) = queue.pop_front() {
            let next = distance[cell.0 * self.cols + cell.1] + 1;
            for (row, col) in self.free_neighbours(cell) {
                let known = &mut distance[row * self.cols + col];
                if *known == usize::MAX {
                    *known = next;
                    queue.push_back((row, col));
                }
            }
        }
        let distance_of = |&(row, col): &Cell| distance[row * self.cols + col];
        // The first of equals wins, as in OGBench: `min_by_key` keeps the first.
        std::iter::once(from).chain(self.free_neighbours(from)).min_by_key(distance_of).unwrap_or(from)
    }

    /// Free cells that share a side with `cell`, in OGBench's order: row below, column left, row above, column right.
    fn free_neighbours(&self, (row, col): Cell) -> impl Iterator<Item = Cell> {
        let sides = [(row.wrapping_sub(1), col), (row, col.wrapping_sub(1)), (row + 1, col), (row, col + 1)];
        sides.into_iter().filter(|&cell| !self.is_wall(cell))
    }
}
