//! Every shader against its kernel's Rust contract: no GPU needed. Parsing, validation, `struct Problem` field by field,
//! bindings, limits that any WebGPU device has, and a translation for every back end.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use naga::back::{hlsl, msl, spv};
use naga::front::wgsl;
use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, Module, Scalar, ScalarKind, StorageAccess, TypeInner, VectorSize};
use wgflow::engine::{Field, Kernel, Shader, Variant};
use wgflow::kernels::{self, ALL};

/// The bindings of every kernel: number, name, type, whether it is written.
const BINDINGS: [(u32, &str, &str, bool); 7] = [
    (0, "weights", "array<vec4<f32>>", true),
    (1, "training", "array<vec4<f32>>", true),
    (2, "activations", "array<vec4<f32>>", true),
    (3, "words", "array<u32>", true),
    (4, "problems", "array<Problem>", false),
    (5, "lanes", "Lanes", false),
    (6, "records", "array<vec4<f32>>", false),
];

/// What the WebGPU default limits allow.
const MOST_STORAGE_BUFFERS: usize = 8;
const MOST_INVOCATIONS: u32 = 256;
const MOST_WORKGROUP_BYTES: u32 = 16 * 1024;

fn source(shader: &Shader) -> String {
    shader.source.concat()
}

fn each_shader() -> impl Iterator<Item = (&'static Kernel, &'static Shader)> {
    ALL.iter().flat_map(|kernel| kernel.shaders.iter().map(move |shader| (*kernel, shader)))
}

/// A type as WGSL writes it, as far as contracts use types.
fn type_name(module: &Module, inner: &TypeInner, name: Option<&str>) -> String {
    let scalar = |s: Scalar| match s {
        Scalar { kind: ScalarKind::Uint, width: 4 } => "u32",
        Scalar { kind: ScalarKind::Float, width: 4 } => "f32",
        _ => "another scalar",
    };
    match *inner {
        TypeInner::Scalar(s) => scalar(s).to_owned(),
        TypeInner::Vector { size: VectorSize::Quad, scalar: s } => format!("vec4<{}>", scalar(s)),
        TypeInner::Array { base, size: naga::ArraySize::Dynamic, .. } => {
            let element = &module.types[base];
            format!("array<{}>", type_name(module, &element.inner, element.name.as_deref()))
        }
        _ => name.unwrap_or("another type").to_owned(),
    }
}

/// The members of struct `name`: name, type, offset.
fn members(module: &Module, name: &str) -> Option<Vec<(String, String, u32)>> {
    let found = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some(name))?;
    let TypeInner::Struct { members, .. } = &found.1.inner else { return None };
    let describe = |member: &naga::StructMember| {
        let ty = &module.types[member.ty];
        (member.name.clone().unwrap_or_default(), type_name(module, &ty.inner, ty.name.as_deref()), member.offset)
    };
    Some(members.iter().map(describe).collect())
}

fn check_problem(module: &Module, fields: &[Field]) -> Result<(), String> {
    let found = members(module, "Problem").ok_or("no struct Problem")?;
    let declared: Vec<_> =
        fields.iter().enumerate().map(|(i, (name, kind))| ((*name).to_owned(), (*kind).to_owned(), 4 * i as u32)).collect();
    if found == declared { Ok(()) } else { Err(format!("struct Problem is {found:?}, the contract says {declared:?}")) }
}

fn check_bindings(module: &Module) -> Result<(), String> {
    let mut found = Vec::new();
    for (_, global) in module.global_variables.iter() {
        let Some(binding) = global.binding else { continue };
        let AddressSpace::Storage { access } = global.space else {
            return Err(format!("{:?} is no storage buffer", global.name));
        };
        let ty = &module.types[global.ty];
        let described = type_name(module, &ty.inner, ty.name.as_deref());
        found.push((binding.group, binding.binding, global.name.clone().unwrap_or_default(), described, access));
    }
    found.sort_by_key(|binding| (binding.0, binding.1));
    let access = |written: bool| if written { StorageAccess::LOAD | StorageAccess::STORE } else { StorageAccess::LOAD };
    let declared = BINDINGS.map(|(number, name, ty, written)| (0, number, name.to_owned(), ty.to_owned(), access(written)));
    if found != declared {
        return Err(format!("bindings are {found:?}"));
    }
    if found.len() > MOST_STORAGE_BUFFERS {
        return Err(format!("{} storage buffers", found.len()));
    }
    let lanes = members(module, "Lanes").ok_or("no struct Lanes")?;
    let lanes: Vec<_> = lanes.iter().map(|(name, ty, offset)| (name.as_str(), ty.as_str(), *offset)).collect();
    let ends = [lanes.first(), lanes.get(1), lanes.last()];
    let declared = [("strides", "vec4<u32>", 0), ("slots", "u32", 16), ("scalars", "array<f32>", 32)];
    if ends == declared.each_ref().map(Some) { Ok(()) } else { Err(format!("struct Lanes is {lanes:?}")) }
}

fn check_limits(module: &Module, entry: &str) -> Result<(), String> {
    let [point] = &module.entry_points[..] else { return Err("not one entry point".to_owned()) };
    if point.name != entry {
        return Err(format!("entry point {}, file {entry}", point.name));
    }
    let invocations: u32 = point.workgroup_size.iter().product();
    if invocations > MOST_INVOCATIONS {
        return Err(format!("{invocations} invocations a workgroup"));
    }
    let workgroup = module.global_variables.iter().filter(|(_, global)| global.space == AddressSpace::WorkGroup);
    let bytes: u32 = workgroup.map(|(_, global)| module.types[global.ty].inner.size(module.to_ctx()).next_multiple_of(16)).sum();
    if bytes > MOST_WORKGROUP_BYTES { Err(format!("{bytes} bytes of workgroup memory")) } else { Ok(()) }
}

/// Writes the module for Vulkan, Metal and Direct3D.
fn check_back_ends(module: &Module, info: &ModuleInfo) -> Result<(), String> {
    spv::write_vec(module, info, &spv::Options::default(), None).map_err(|e| format!("SPIR-V: {e}"))?;
    let metal = msl::Options { lang_version: (2, 1), ..msl::Options::default() };
    let (_, translation) =
        msl::write_string(module, info, &metal, &msl::PipelineOptions::default()).map_err(|e| format!("MSL: {e}"))?;
    for name in translation.entry_point_names {
        name.map_err(|e| format!("MSL: {e}"))?;
    }
    let special_constants_binding = Some(hlsl::BindTarget { space: 1, ..hlsl::BindTarget::default() });
    let direct3d = hlsl::Options { special_constants_binding, ..hlsl::Options::default() };
    let mut text = String::new();
    hlsl::Writer::new(&mut text, &direct3d, &hlsl::PipelineOptions::default())
        .write(module, info, None)
        .map_err(|e| format!("HLSL: {e}"))?;
    Ok(())
}

/// Everything a shader promises. None needs more than WebGPU has, but those of [`Variant::Subgroup`], which broadcast.
fn check(kernel: &Kernel, entry: &str, source: &str) -> Result<(), String> {
    let module = wgsl::parse_str(source).map_err(|e| e.emit_to_string(source))?;
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
    if kernel.shaders.iter().any(|shader| shader.entry == entry && shader.variant == Variant::Subgroup) {
        validator = Validator::new(ValidationFlags::all(), Capabilities::SUBGROUP);
        validator.subgroup_stages(ShaderStages::COMPUTE).subgroup_operations(SubgroupOperationSet::BALLOT);
    }
    let info = validator.validate(&module).map_err(|e| e.emit_to_string(source))?;
    check_problem(&module, kernel.fields)?;
    check_bindings(&module)?;
    check_limits(&module, entry)?;
    check_back_ends(&module, &info)
}

#[test]
fn every_shader_keeps_its_contract() {
    let faults: Vec<String> = each_shader()
        .filter_map(|(kernel, shader)| {
            let fault = check(kernel, shader.entry, &source(shader)).err()?;
            Some(format!("{}: {fault}", shader.entry))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn problems_begin_with_their_first_group() {
    for kernel in ALL {
        assert_eq!(kernel.fields[0], ("first_group", "u32"), "{}", kernel.name);
        assert!(kernel.fields.iter().all(|(_, kind)| matches!(*kind, "u32" | "f32")), "{}", kernel.name);
    }
}

#[test]
fn a_broken_contract_is_noticed() {
    let kernel = &kernels::metric::KERNEL;
    let intact = source(&kernel.shaders[0]);
    assert_eq!(check(kernel, "metric", &intact), Ok(()));
    let memory_entry = "@group(0) @binding(6) var<storage, read> records: array<vec4<f32>>;";
    let mutations = [
        ("two fields swapped", "    x: u32,\n    x_stride: u32,", "    x_stride: u32,\n    x: u32,"),
        ("a field renamed", "period", "length"),
        ("u32 read as f32", "    rows: u32,", "    rows: f32,"),
        ("f32 read as u32", "    threshold: f32,", "    threshold: u32,"),
        ("a field missing", "    period: u32,\n", ""),
        ("a field too many", "    period: u32,\n", "    period: u32,\n    extra: u32,\n"),
        ("a binding dropped", memory_entry, ""),
        ("a binding renamed", "records", "transitions"),
        ("a binding written that is only read", "var<storage, read> lanes", "var<storage, read_write> lanes"),
        ("two bindings swapped", "@binding(5) var<storage, read> lanes", "@binding(7) var<storage, read> lanes"),
        ("the entry point renamed", "fn metric(", "fn main("),
        ("too many invocations", "@workgroup_size(64)", "@workgroup_size(512)"),
        ("too much workgroup memory", "array<vec2<f32>, 64>", "array<vec2<f32>, 4096>"),
        ("half floats", "// The numbers", "enable f16;\n// The numbers"),
        ("a syntax error", "return", "retrun"),
    ];
    for (what, from, to) in mutations {
        let mutated = intact.replace(from, to);
        assert_ne!(mutated, intact, "{what}: nothing to change");
        // A renamed field is renamed where it is used as well: only the contract can tell.
        assert!(check(kernel, "metric", &mutated).is_err(), "{what}: not noticed");
    }
}

/// The stems of the files in `directory` that end in `ending`.
fn stems(directory: &str, ending: &str) -> BTreeSet<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let entries = fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    entries
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(ending)?.to_owned()))
        .filter(|stem| !stem.is_empty())
        .collect()
}

#[test]
fn every_file_has_its_partner() {
    let entries: BTreeSet<String> = each_shader().map(|(_, shader)| shader.entry.to_owned()).collect();
    assert_eq!(entries, stems("shaders", ".wgsl"), "shaders in kernels::ALL, and files in shaders/");
    let names: BTreeSet<String> = ALL.iter().map(|kernel| kernel.name.to_owned()).collect();
    assert_eq!(names.len(), ALL.len(), "a name twice");
    let mut files = stems("src/kernels", ".rs");
    assert!(files.remove("mod") && files.remove("random"), "the two files that are no kernel");
    assert_eq!(names, files, "kernels::ALL, and files in src/kernels/");
    for kernel in ALL {
        assert_eq!(kernel.shaders[0].entry, kernel.name, "the first shader is the plain one");
        let stem = |variant| match variant {
            Variant::Plain => kernel.name.to_owned(),
            Variant::Large => format!("{}_large", kernel.name),
            Variant::Software => format!("{}_rows", kernel.name),
            Variant::Subgroup => format!("{}_subgroup", kernel.name),
        };
        assert_eq!(kernel.shaders[0].variant, Variant::Plain, "{}", kernel.name);
        assert!(kernel.shaders.iter().all(|shader| shader.entry == stem(shader.variant)), "{}", kernel.name);
    }
}

#[test]
fn every_shared_file_is_used() {
    for stem in stems("shaders/shared", ".wgsl") {
        let path = format!("{}/shaders/shared/{stem}.wgsl", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert!(each_shader().any(|(_, shader)| shader.source.contains(&text.as_str())), "{path} is in no shader");
    }
}
