//! The workspace as rules see it: its packages with their manifests, and all its Rust files as tokens.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand, TargetKind};

use crate::tidy::Violation;
use crate::tidy::manifest::Manifest;
use crate::tidy::source::Source;

/// A workspace.
#[derive(Debug)]
pub(crate) struct Tree {
    packages: Vec<Package>,
    sources: Vec<Source>,
    unreadable: Vec<Violation>,
}

/// A member of the workspace. All paths are below the root of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) folder: PathBuf,
    pub(crate) is_published: bool,
    pub(crate) manifest: Manifest,
    pub(crate) edges: Vec<Edge>,
    pub(crate) crates: Vec<Crate>,
}

/// A dependency on another folder of the workspace.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) key: String,
    pub(crate) to: PathBuf,
    pub(crate) is_dev: bool,
}

/// What one target of a package is compiled from.
#[derive(Debug)]
pub(crate) struct Crate {
    pub(crate) root: PathBuf,
    pub(crate) kind: CrateKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CrateKind {
    Library,
    Binary,
    /// Tests, examples, benches, build scripts.
    Other,
}

impl Tree {
    /// Reads the workspace at `root`.
    pub(crate) fn read(root: &Path) -> Result<Self, Box<dyn Error>> {
        let root = root.canonicalize()?;
        let mut metadata = MetadataCommand::new();
        metadata.manifest_path(root.join("Cargo.toml")).no_deps();
        let metadata = metadata.exec()?;
        let below_root = |path: &Path| path.strip_prefix(&root).unwrap_or(path).to_owned();
        let mut packages = Vec::new();
        for package in metadata.workspace_packages() {
            let manifest_path = package.manifest_path.as_std_path();
            let folder = below_root(manifest_path.parent().expect("a manifest stands in a folder"));
            let edges = package.dependencies.iter().filter_map(|dependency| {
                let to = below_root(dependency.path.as_ref()?.as_std_path());
                let key = dependency.rename.clone().unwrap_or_else(|| dependency.name.clone());
                Some(Edge { key, to, is_dev: dependency.kind == DependencyKind::Development })
            });
            let crates = package.targets.iter().map(|target| Crate {
                root: below_root(target.src_path.as_std_path()),
                kind: crate_kind(&target.kind),
            });
            packages.push(Package {
                manifest: Manifest::parse(&folder.join("Cargo.toml"), &fs::read_to_string(manifest_path)?)?,
                is_published: package.publish.as_ref().is_none_or(|registries| !registries.is_empty()),
                edges: edges.collect(),
                crates: crates.collect(),
                folder,
            });
        }
        let mut tree = Self { packages, sources: Vec::new(), unreadable: Vec::new() };
        tree.read_sources(&root, Path::new(""))?;
        Ok(tree)
    }

    fn read_sources(&mut self, root: &Path, folder: &Path) -> io::Result<()> {
        let mut entries = fs::read_dir(root.join(folder))?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            let path = folder.join(&name);
            let is_hidden = name.to_string_lossy().starts_with('.');
            if entry.file_type()?.is_dir() {
                if !is_hidden && name != "target" {
                    self.read_sources(root, &path)?;
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                match Source::parse(&path, &fs::read_to_string(entry.path())?) {
                    Ok(source) => self.sources.push(source),
                    Err(violation) => self.unreadable.push(violation),
                }
            }
        }
        Ok(())
    }

    /// The members of the workspace.
    pub(crate) fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// All Rust files below the root, those of nested workspaces included.
    pub(crate) fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The file at `path`, if it is a Rust file.
    pub(crate) fn source(&self, path: &Path) -> Option<&Source> {
        self.sources.iter().find(|source| source.path() == path)
    }

    /// Files that are no Rust.
    pub(crate) fn unreadable(&self) -> &[Violation] {
        &self.unreadable
    }
}

fn crate_kind(kinds: &[TargetKind]) -> CrateKind {
    if kinds.contains(&TargetKind::Bin) {
        CrateKind::Binary
    } else if kinds.iter().any(|kind| {
        matches!(kind, TargetKind::Lib | TargetKind::RLib | TargetKind::ProcMacro | TargetKind::CDyLib)
    }) {
        CrateKind::Library
    } else {
        CrateKind::Other
    }
}
