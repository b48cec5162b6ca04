//! What has to be there before anything is measured. What is missing is installed.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    scenario::Scenario,
    system::{ON_NODE, System},
};
use crate::program::Outcome;

const DURABLE_STREAMS: &str = "0.1.5";
const NCHAN_MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";
const NCHAN_PACKAGE: &str = "libnginx-mod-nchan";

/// Programs, or why they are not there.
#[derive(Debug)]
pub(super) struct Tools {
    pub(super) fanfare: PathBuf,
    nginx: Installed<Nginx>,
    durable_streams: Installed<PathBuf>,
    node: Installed<PathBuf>,
    addon: Installed<()>,
    /// What the operator has installed, to keep logs in.
    log_servers: Vec<&'static str>,
}

type Installed<T> = Result<T, String>;

#[derive(Debug, Clone)]
pub(super) struct Nginx {
    pub(super) program: PathBuf,
    pub(super) module: PathBuf,
}

impl Tools {
    /// All that the systems of these scenarios need.
    pub(super) fn install(scenarios: &[Scenario]) -> Outcome<Self> {
        let systems: Vec<_> =
            scenarios.iter().flat_map(|one| &one.cases).map(|case| case.system).collect();
        let is_wanted = |any: &[System]| any.iter().any(|system| systems.contains(system));
        let mut log_servers: Vec<_> =
            systems.iter().filter_map(|system| system.log_server()).collect();
        log_servers.sort_unstable();
        log_servers.dedup();
        let durable_systems = [System::DurableStreams, System::DurableStreamsWal];
        Ok(Self {
            fanfare: fanfare()?,
            nginx: if_wanted(is_wanted(&[System::Nchan]), nginx),
            durable_streams: if_wanted(is_wanted(&durable_systems), durable_streams),
            node: if_wanted(is_wanted(&ON_NODE), node),
            addon: if_wanted(is_wanted(&[System::SseFanfare, System::SseFanfareBroadcast]), addon),
            log_servers,
        })
    }

    pub(super) fn nginx(&self) -> Outcome<&Nginx> {
        Ok(self.nginx.as_ref().map_err(String::clone)?)
    }

    pub(super) fn durable_streams(&self) -> Outcome<&Path> {
        Ok(self.durable_streams.as_ref().map_err(String::clone)?)
    }

    /// The folder of the scripts that node runs.
    pub(super) fn node_scripts(&self) -> Outcome<&Path> {
        Ok(self.node.as_ref().map_err(String::clone)?)
    }

    /// The same, where our npm package writes by its addon.
    pub(super) fn addon_scripts(&self) -> Outcome<&Path> {
        self.addon.as_ref().map_err(String::clone)?;
        self.node_scripts()
    }

    /// Names and versions, for the head of the tables.
    pub(super) fn versions(&self) -> Vec<String> {
        let mut versions = vec![said(&self.fanfare, &["--version"])];
        if let Ok(nginx) = &self.nginx {
            versions.push(said(&nginx.program, &["-v"]).replace("nginx version: ", ""));
            let package = ["-W", "-f=Nchan ${Version}", NCHAN_PACKAGE];
            versions.push(said("dpkg-query", &package));
        }
        if self.durable_streams.is_ok() {
            versions.push(format!("durable-streams {DURABLE_STREAMS}"));
        }
        if let Ok(scripts) = &self.node {
            versions.push(format!("node {}", said("node", &["--version"])));
            let packages = ["better-sse", "sse"].iter();
            versions.extend(packages.map(|name| node_package(scripts, name)));
        }
        versions.extend(self.log_servers.iter().map(|server| short_version(server)));
        versions
    }
}

fn if_wanted<T>(is_wanted: bool, install: fn() -> Outcome<T>) -> Installed<T> {
    if !is_wanted {
        return Err("it was not asked for".into());
    }
    install().map_err(|error| error.to_string())
}

/// Where all is built and kept.
pub(super) fn target() -> PathBuf {
    root().join("target")
}

pub(super) fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().unwrap_or(root)
}

/// Built anew, so that it is never an older one.
fn fanfare() -> Outcome<PathBuf> {
    let arguments = ["build", "--release", "-p", "fanfare-cli", "--bin", "fanfare"];
    run(Command::new("cargo").args(arguments).current_dir(root()))?;
    let program = env::current_exe()?.with_file_name("fanfare");
    if program.exists() {
        return Ok(program);
    }
    Err("fanfare is not beside this program: start it with `cargo run --release`".into())
}

fn nginx() -> Outcome<Nginx> {
    let program = Path::new("/usr/sbin/nginx");
    let module = Path::new(NCHAN_MODULE);
    if !program.exists() || !module.exists() {
        install_package(NCHAN_PACKAGE)?;
    }
    Ok(Nginx { program: program.into(), module: module.into() })
}

fn install_package(package: &str) -> Outcome {
    let install = ["install", "--yes", "--no-install-recommends", package];
    let as_root = |arguments: &[&str]| {
        let mut command = if is_root() {
            Command::new("apt-get")
        } else {
            let mut sudo = Command::new("sudo");
            sudo.args(["--non-interactive", "apt-get"]);
            sudo
        };
        run(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    // The lists of packages may be missing, or too old.
    let installed = as_root(&install).or_else(|_| {
        as_root(&["update"])?;
        as_root(&install)
    });
    installed.map_err(|error| {
        format!(
            "install it as root with `apt-get install {package}`, on Debian or its like: {error}"
        )
        .into()
    })
}

#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

fn durable_streams() -> Outcome<PathBuf> {
    let folder = target().join("bench-tools");
    let program = folder.join("bin/durable-streams-server");
    let installed = fs::read_to_string(folder.join(".crates.toml")).unwrap_or_default();
    if !program.exists() || !installed.contains(&format!("\"durable-streams {DURABLE_STREAMS} ")) {
        let version = format!("={DURABLE_STREAMS}");
        let mut install = Command::new("cargo");
        install.args(["install", "durable-streams", "--locked", "--version", &version, "--root"]);
        // Beside what is built here, and not in the folder for temporary files.
        run(install.arg(&folder).arg("--target-dir").arg(folder.join("build")))?;
    }
    Ok(program)
}

/// Where the scripts are, with what they need.
fn node() -> Outcome<PathBuf> {
    let scripts = root().join("bench/systems");
    let changed = |path: &str| fs::metadata(scripts.join(path)).and_then(|file| file.modified());
    let (wanted, installed) =
        (changed("package-lock.json")?, changed("node_modules/.package-lock.json"));
    if installed.is_ok_and(|installed| installed >= wanted) {
        return Ok(scripts);
    }
    let arguments = ["ci", "--no-audit", "--no-fund"];
    run(Command::new("npm").args(arguments).current_dir(&scripts))
        .map_err(|error| format!("it needs node and npm: {error}"))?;
    Ok(scripts)
}

/// Built anew, as the command is.
fn addon() -> Outcome {
    run(Command::new("node").arg(root().join("node/build.js")))
}

/// Runs a command that installs something, and tells why it could not.
fn run(command: &mut Command) -> Outcome {
    let words = || {
        let arguments = command.get_args().map(|word| word.to_string_lossy());
        let words = [command.get_program().to_string_lossy()].into_iter().chain(arguments);
        words.collect::<Vec<_>>().join(" ")
    };
    let words = words();
    eprintln!("{words}");
    let output = command.output().map_err(|error| format!("`{words}` cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let messages = String::from_utf8_lossy(&output.stderr);
    let last = messages.lines().rfind(|line| !line.trim().is_empty());
    Err(format!("`{words}` failed: {}", last.unwrap_or("no message").trim()).into())
}

/// The first line that a program says.
pub(super) fn said(program: impl AsRef<Path>, arguments: &[&str]) -> String {
    let output = Command::new(program.as_ref()).args(arguments).output();
    let lines = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    String::from_utf8_lossy(&lines).lines().next().unwrap_or("unknown").trim().to_owned()
}

/// Without what Redis says besides.
fn short_version(server: &str) -> String {
    let said = said(server, &["--version"]);
    said.split(" sha=").next().unwrap_or_default().to_owned()
}

fn node_package(scripts: &Path, name: &str) -> String {
    let package = scripts.join("node_modules").join(name).join("package.json");
    let package = fs::read_to_string(package).unwrap_or_default();
    let package: serde_json::Value = serde_json::from_str(&package).unwrap_or_default();
    format!("{name} {}", package["version"].as_str().unwrap_or("of unknown version"))
}
