//! One safetensors file with everything a run needs to go on: weights, targets, Adam moments, step, and the hashes that
//! say what it belongs to.
//!
//! Random numbers are functions of (seed, step), so nothing else has to be kept. Tensors bear their official names:
//! `lane0/critic/dense0/kernel` is [2, in, out], the ensemble first.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::agents::parameters::{Entry, Parameters};
use crate::agents::{Agent, AgentConfig, Dims};
use crate::engine::{Arena, Memory, Region};
use crate::error::{Error, Result};
use crate::files::{self, hex};

/// Version of the layout.
const FORMAT: &str = "1";

/// The metadata entry that holds a [`Header`] as JSON.
const HEADER: &str = "wgflow";

/// What a checkpoint says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    algorithm: String,
    config_hash: String,
    dataset_hash: String,
    format_version: String,
    step: u64,
    /// Columns of an observation.
    obs_dim: u32,
    /// Columns of an action.
    action_dim: u32,
    /// The first 8 hex digits of each tensor's SHA-256.
    tensor_sums: BTreeMap<String, String>,
    wgflow: String,
}

/// What a checkpoint belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Hash of the settings that decide the numbers.
    pub config: String,
    /// Hash of the dataset's content.
    pub dataset: String,
}

/// The first 16 hex digits of the SHA-256 of `text`.
pub fn short_hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes())[..8])
}

/// The kinds of state of a trained tensor, by name, with their place.
fn kinds(parameters: &Parameters, entry: &Entry) -> Vec<(&'static str, Region)> {
    let region = entry.tensor.region;
    if entry.source.is_some() {
        return vec![("", region)];
    }
    let moment = |order| parameters.memory.moment_of(region, order);
    vec![("", region), ("/adam_m", moment(1)), ("/adam_v", moment(2))]
}

/// A tensor on its way to or from a file.
#[derive(Default)]
struct Stack {
    shape: Vec<usize>,
    values: Vec<f64>,
}

/// Every tensor of a lane by file name, ensembles stacked.
fn collect(agent: &mut Agent, lane: usize) -> Result<BTreeMap<String, Stack>> {
    let parameters = agent.blueprint().parameters.clone();
    let weights = agent.machine().read(parameters.whole(Arena::Weights), lane)?;
    let training = agent.machine().read(whole_training(&parameters.memory), lane)?;
    let mut stacks: BTreeMap<String, Stack> = BTreeMap::new();
    for entry in parameters.entries() {
        for (kind, region) in kinds(&parameters, entry) {
            let arena = if region.arena == Arena::Weights { &weights } else { &training };
            let stack = stacks.entry(format!("lane{lane}{kind}/{}", entry.name)).or_default();
            stack.values.extend(entry.tensor.pick(region, arena));
            stack.shape = shape(entry);
        }
    }
    Ok(stacks)
}

fn shape(entry: &Entry) -> Vec<usize> {
    let own = entry.tensor.shape.iter().map(|&n| n as usize);
    entry.member.map(|(_, count)| count as usize).into_iter().chain(own).collect()
}

fn whole_training(memory: &Memory) -> Region {
    let cols = 3 * memory.trained();
    Region { arena: Arena::Training, offset: 0, rows: 1, cols, stride: cols }
}

/// Writes the agent's state to `path`, whole or not at all.
///
/// # Errors
/// [`Error::Io`] if the file cannot be written; on a GPU also a lost device.
pub fn save(path: &Path, agent: &mut Agent, identity: &Identity) -> Result<()> {
    let mut bytes: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for lane in 0..agent.seeds().len() {
        for (name, stack) in collect(agent, lane)? {
            let data = stack.values.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect();
            bytes.push((name, stack.shape, data));
        }
    }
    let views = bytes.iter().map(|(name, shape, data)| {
        TensorView::new(Dtype::F32, shape.clone(), data).map(|view| (name.as_str(), view)).map_err(|e| invalid(path, &e))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    let sums = bytes.iter().map(|(name, _, data)| (name.clone(), hex(&Sha256::digest(data)[..4]))).collect();
    let header = Header {
        algorithm: agent.config().name().to_owned(),
        config_hash: identity.config.clone(),
        dataset_hash: identity.dataset.clone(),
        format_version: FORMAT.to_owned(),
        step: agent.step(),
        obs_dim: agent.dims().obs,
        action_dim: agent.dims().action,
        tensor_sums: sums,
        wgflow: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let header = serde_json::to_string(&header).map_err(|e| invalid(path, &e))?;
    // One entry: a map of several would be written in an arbitrary order, and equal states would differ in their bytes.
    let metadata = HashMap::from([(HEADER.to_owned(), header)]);
    let file = safetensors::serialize(views, Some(metadata)).map_err(|e| invalid(path, &e))?;
    files::replace(path, &file)
}

fn invalid(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::content(path, "safetensors", "a checkpoint of wgflow", error.to_string(), "use an older checkpoint or start anew")
}

/// A checkpoint that was read and is not damaged.
#[derive(Debug)]
pub struct Checked {
    path: PathBuf,
    bytes: Vec<u8>,
    header: Header,
}

impl Checked {
    /// Reads the file at `path` and checks every tensor's sum.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Content`] if the file is damaged.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io(path, "read"))?;
        let header = header(path, &bytes)?;
        check_sums(path, &header, &parse(path, &bytes)?)?;
        Ok(Self { path: path.to_path_buf(), bytes, header })
    }

    /// Puts the state into `agent`.
    ///
    /// # Errors
    /// [`Error::Content`] if it is of another run, or lacks a tensor; on a GPU also a lost device.
    pub fn load(&self, agent: &mut Agent, identity: &Identity) -> Result<()> {
        check_header(&self.path, &self.header, agent.config().name(), identity)?;
        let file = parse(&self.path, &self.bytes)?;
        for lane in 0..agent.seeds().len() {
            load_lane(&self.path, &file, agent, lane)?;
        }
        agent.set_step(self.header.step)
    }

    /// The weights of `lanes` lanes of an agent with settings `config`.
    ///
    /// # Errors
    /// [`Error::Content`] if it is of another algorithm, of other nets, or has fewer lanes.
    pub fn weights(&self, config: &AgentConfig, lanes: usize) -> Result<Weights> {
        let header = &self.header;
        // Whoever only reads has no data to compare with.
        let own = Identity { config: header.config_hash.clone(), dataset: header.dataset_hash.clone() };
        check_header(&self.path, header, config.name(), &own)?;
        let file = parse(&self.path, &self.bytes)?;
        let dims = Dims { obs: header.obs_dim, action: header.action_dim };
        let parameters = config.parameters(dims);
        let lane = |lane| Ok(arenas(&self.path, &file, &parameters, lane, &[Arena::Weights])?.remove(0));
        Ok(Weights { step: header.step, dims, identity: own, lanes: (0..lanes).map(lane).collect::<Result<_>>()? })
    }
}

/// Bytes of a checkpoint of `agent`, its header left out.
pub fn bytes(agent: &Agent) -> u64 {
    let memory = &agent.blueprint().memory;
    let values = u64::from(memory.used()[Arena::Weights.index()]) + 2 * u64::from(memory.trained());
    4 * values * agent.seeds().len() as u64
}

fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<SafeTensors<'a>> {
    SafeTensors::deserialize(bytes).map_err(|e| invalid(path, &e))
}

fn header(path: &Path, bytes: &[u8]) -> Result<Header> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| invalid(path, &e))?;
    let text = metadata.metadata().as_ref().and_then(|m| m.get(HEADER)).map_or("nothing", String::as_str);
    serde_json::from_str(text).map_err(|e| invalid(path, &e))
}

fn check_header(path: &Path, header: &Header, algorithm: &str, identity: &Identity) -> Result<()> {
    let own = "resume with the run folder's own config.toml";
    let expected = [
        ("format_version", FORMAT, &header.format_version, "use the version of wgflow that wrote it"),
        ("algorithm", algorithm, &header.algorithm, own),
        ("config_hash", &identity.config, &header.config_hash, own),
        ("dataset_hash", &identity.dataset, &header.dataset_hash, "put the dataset back that the run was started with"),
    ];
    match expected.into_iter().find(|(_, wanted, found, _)| wanted != found) {
        Some((key, wanted, found, remedy)) => Err(Error::content(path, key, wanted, found, remedy)),
        None => Ok(()),
    }
}

/// A flipped bit must not become a weight.
fn check_sums(path: &Path, header: &Header, file: &SafeTensors<'_>) -> Result<()> {
    for (name, view) in file.tensors() {
        let own = hex(&Sha256::digest(view.data())[..4]);
        let kept = header.tensor_sums.get(&name).map_or("none", String::as_str);
        if own != kept {
            let remedy = "the file is damaged: use an older checkpoint";
            return Err(Error::content(path, name, format!("checksum {kept}"), own, remedy));
        }
    }
    Ok(())
}

fn load_lane(path: &Path, file: &SafeTensors<'_>, agent: &mut Agent, lane: usize) -> Result<()> {
    let parameters = agent.blueprint().parameters.clone();
    let arenas = arenas(path, file, &parameters, lane, &[Arena::Weights, Arena::Training])?;
    agent.machine().write(parameters.whole(Arena::Weights), lane, &arenas[0])?;
    agent.machine().write(whole_training(&parameters.memory), lane, &arenas[1])
}

/// A lane's state in each of the arenas `wanted`.
fn arenas(path: &Path, file: &SafeTensors<'_>, parameters: &Parameters, lane: usize, wanted: &[Arena]) -> Result<Vec<Vec<f64>>> {
    let whole = |arena| if arena == Arena::Weights { parameters.whole(arena) } else { whole_training(&parameters.memory) };
    let mut arenas: Vec<Vec<f64>> = wanted.iter().map(|&arena| vec![0.0; whole(arena).len()]).collect();
    for entry in parameters.entries() {
        for (kind, region) in kinds(parameters, entry) {
            let Some(number) = wanted.iter().position(|&arena| arena == region.arena) else { continue };
            let name = format!("lane{lane}{kind}/{}", entry.name);
            let values = tensor(path, file, &name, &shape(entry))?;
            let len = entry.tensor.len();
            let part = &values[entry.member.map_or(0, |(j, _)| j as usize * len)..][..len];
            entry.tensor.place(region, part, &mut arenas[number]);
        }
    }
    Ok(arenas)
}

/// The weights in a checkpoint, for acting: no optimiser state, no dataset.
#[derive(Clone, Debug)]
pub struct Weights {
    /// Updates finished.
    pub step: u64,
    /// Dimensions of the task.
    pub dims: Dims,
    /// What they belong to, as the file says.
    pub identity: Identity,
    /// Each lane's whole weights arena.
    pub lanes: Vec<Vec<f64>>,
}

fn tensor(path: &Path, file: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Vec<f64>> {
    let expected = format!("f32 {shape:?}");
    let remedy = "use a checkpoint of this run";
    let view = file.tensor(name).map_err(|_| Error::content(path, name, expected.clone(), "nothing", remedy))?;
    if view.dtype() != Dtype::F32 || view.shape() != shape {
        return Err(Error::content(path, name, expected, format!("{:?} {:?}", view.dtype(), view.shape()), remedy));
    }
    let values: Vec<f64> = view.data().chunks_exact(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect();
    if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
        return Err(Error::content(path, name, "finite values", bad.to_string(), "use an older checkpoint"));
    }
    Ok(values)
}
