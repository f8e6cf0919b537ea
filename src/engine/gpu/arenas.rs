//! The buffers of a run: arenas for each group of lanes, and datasets in chunks.

use super::Gpu;
use crate::engine::machine::Records;
use crate::engine::memory::{Arena, Memory, Region};
use crate::error::{Error, Result};

/// A lane's share of an arena is a multiple of this many elements, as on the CPU.
const LANE_ALIGNMENT: u64 = 64;

/// A grid has this many workgroups in a direction at most, and lanes are its third.
const MOST_GROUPS: u64 = 65_535;

/// The names of the arenas, in the order of [`Arena::ALL`].
const NAMES: [&str; 4] = ["weights", "training", "activations", "words"];

/// Lanes whose arenas fit into bindings together.
#[derive(Debug)]
pub(super) struct LaneGroup {
    /// In the order of [`Arena::ALL`].
    pub buffers: [wgpu::Buffer; 4],
    /// `struct Lanes` of `shaders/shared/memory.wgsl`.
    pub table: wgpu::Buffer,
    /// Number of lanes.
    pub lanes: u32,
}

/// The state of a run: every arena, once per lane.
#[derive(Debug)]
pub(super) struct Arenas {
    /// Elements of a lane's share.
    strides: [u64; 4],
    per_group: usize,
    lanes: usize,
    pub groups: Vec<LaneGroup>,
}

impl Arenas {
    /// Zeroed arenas for `lanes` lanes, in as few groups as the device's limits allow, and the lanes' scalars.
    pub async fn new(gpu: &Gpu, memory: &Memory, lanes: usize, scalars: &[f64]) -> Result<Self> {
        if lanes == 0 || !scalars.len().is_multiple_of(lanes) {
            let found = format!("{lanes} lanes and {} scalars", scalars.len());
            return Err(Error::setting(
                "lanes",
                "at least 1, and as many scalars for each",
                found,
                "give every lane its scalars",
            ));
        }
        let strides = memory.used().map(|elements| u64::from(elements).next_multiple_of(LANE_ALIGNMENT).max(LANE_ALIGNMENT));
        let count = lanes.div_ceil(lanes_per_group(gpu, strides)?);
        let per_group = lanes.div_ceil(count);
        let slots = scalars.len() / lanes;
        let mut arenas = Self { strides, per_group, lanes, groups: Vec::with_capacity(count) };
        for first in (0..lanes).step_by(per_group) {
            let end = lanes.min(first + per_group);
            let group = arenas.group(gpu, (end - first) as u32, &scalars[first * slots..end * slots]).await?;
            arenas.groups.push(group);
        }
        Ok(arenas)
    }

    async fn group(&self, gpu: &Gpu, lanes: u32, scalars: &[f64]) -> Result<LaneGroup> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let create = |i: usize| gpu.buffer(NAMES[i], self.strides[i] * u64::from(lanes) * 4, usage, false);
        let buffers = gpu.scoped("allocating the arenas of a run", || [0, 1, 2, 3].map(create)).await?;
        let slots = scalars.len() / lanes as usize;
        let mut table: Vec<u32> = self.strides.iter().map(|&stride| stride as u32).collect();
        table.extend([slots as u32, 0, 0, 0]);
        table.extend(scalars.iter().map(|&scalar| (scalar as f32).to_bits()));
        // At least one scalar, as the shaders' type has, and whole vec4s.
        table.resize(table.len().max(9).next_multiple_of(4), 0);
        Ok(LaneGroup { buffers, table: gpu.constant("lanes", &table).await?, lanes })
    }

    /// Number of lanes.
    pub const fn lanes(&self) -> usize {
        self.lanes
    }

    /// The buffer that holds `region` of `lane`, and the number of the region's first element in it.
    pub fn locate(&self, region: Region, lane: usize) -> Result<(&wgpu::Buffer, u64)> {
        let index = region.arena.index();
        if lane >= self.lanes || !region.is_empty() && u64::from(region.end()) > self.strides[index] {
            let problem = format!("{region:?} of lane {lane} lies outside the {} lanes of {}", self.lanes, NAMES[index]);
            return Err(Error::Plan { label: "memory".to_owned(), problem });
        }
        let (group, within) = (lane / self.per_group, (lane % self.per_group) as u64);
        Ok((&self.groups[group].buffers[index], within * self.strides[index] + u64::from(region.offset)))
    }
}

/// How many lanes one binding of each arena holds.
fn lanes_per_group(gpu: &Gpu, strides: [u64; 4]) -> Result<usize> {
    let allowed = gpu.binding_bytes();
    for arena in Arena::ALL {
        let needed = strides[arena.index()] * 4;
        if needed > allowed {
            return Err(Error::Limit {
                need: format!("one lane's share of the {}", NAMES[arena.index()]),
                needed,
                allowed,
                limit: "max_storage_buffer_binding_size",
                remedy: "lower the batch or the width of the nets, or use the CPU engine".to_owned(),
            });
        }
    }
    let widest = strides.iter().max().map_or(1, |stride| stride * 4);
    Ok((allowed / widest).min(MOST_GROUPS) as usize)
}

/// A dataset on the device: its chunks, each in a buffer of its own.
#[derive(Debug)]
pub(super) struct Chunks {
    /// First element of the dataset's values, their number, and where they lie.
    pub parts: Vec<(usize, usize, wgpu::Buffer)>,
}

impl Chunks {
    /// Buffers for the chunks of `records`; nothing is uploaded yet.
    pub async fn new(gpu: &Gpu, records: &Records) -> Result<Self> {
        let (record, allowed) = (records.record as usize, gpu.binding_bytes());
        if !records.is_empty() && (record == 0 || record as u64 * 4 > allowed) {
            return Err(Error::Limit {
                need: "one record of the dataset".to_owned(),
                needed: record as u64 * 4,
                allowed,
                limit: "max_storage_buffer_binding_size",
                remedy: "use the CPU engine".to_owned(),
            });
        }
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let create = |(first, count): (u32, u32)| {
            let (first, count) = (first as usize * record, count as usize * record);
            (first, count, gpu.buffer("records", count as u64 * 4, usage, false))
        };
        let chunks = if records.is_empty() { Vec::new() } else { records.chunks(allowed) };
        let parts = gpu.scoped("allocating the dataset", || chunks.into_iter().map(create).collect()).await?;
        Ok(Self { parts })
    }
}

impl Gpu {
    /// A buffer of `bytes`, zeroed. To be called inside a scope.
    pub(in crate::engine) fn buffer(&self, label: &str, bytes: u64, usage: wgpu::BufferUsages, mapped: bool) -> wgpu::Buffer {
        self.device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size: bytes, usage, mapped_at_creation: mapped })
    }

    /// A buffer that shaders read, filled with `words`.
    pub(super) async fn constant(&self, label: &str, words: &[u32]) -> Result<wgpu::Buffer> {
        const DURING: &str = "allocating a table";
        let fill = || {
            let buffer = self.buffer(label, words.len() as u64 * 4, wgpu::BufferUsages::STORAGE, true);
            let mapped = buffer.get_mapped_range_mut(..).map(|mut range| range.copy_from_slice(bytemuck::cast_slice(words)));
            buffer.unmap();
            (buffer, mapped)
        };
        let (buffer, mapped) = self.scoped(DURING, fill).await?;
        if let Err(error) = mapped {
            self.probe(DURING).await?;
            return Err(Error::Device { during: DURING, message: error.to_string() });
        }
        Ok(buffer)
    }
}
