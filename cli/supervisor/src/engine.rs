//! Podman with the instance's own storage: all files, locks included, are below the root, and the host's configuration is not
//! read. So instances and the user's own containers never mix.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use messages::message;
use services::{podman, seccomp};
use sha2::{Digest as _, Sha256};
use tokio::{process::Command, time::sleep};

use crate::binaries;

/// Images and containers, below the root.
const STORAGE: &str = "var/lib/maru/containers";
/// Files that last until the next boot, below the root.
const RUN: &str = "run/maru/containers";
/// How long Podman may take to clean up after its containers.
const CLEANUP: Duration = Duration::from_secs(10);

/// Podman for one instance.
#[derive(Clone, Debug)]
pub struct Podman {
    root: PathBuf,
}

/// How a host runs containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RuntimeOptions {
    /// `systemd` or `cgroupfs`.
    pub(crate) cgroup_manager: &'static str,
    /// The runtime's name; `None` leaves the choice to Podman.
    pub(crate) runtime: Option<&'static str>,
}

/// The output of a finished call.
#[derive(Debug)]
pub(crate) struct PodmanOutput {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Podman {
    /// Podman for the instance at `root`.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Makes the directories and configuration of the instance's storage.
    pub fn prepare(&self) -> anyhow::Result<()> {
        for folder in [STORAGE, RUN] {
            let path = self.root.join(folder);
            fs::create_dir_all(&path)
                .with_context(|| message!("directory-not-made", path = path.display()))?;
        }
        let overlay = !self.root.join(STORAGE).join("vfs-images").exists();
        self.use_driver(if overlay { "overlay" } else { "vfs" })?;
        self.write(seccomp::FILE, &seccomp::profile())?;
        self.use_options(&runtime_options()[0])
    }

    /// Writes how containers are stored.
    fn use_driver(&self, driver: &str) -> anyhow::Result<()> {
        let text = format!(
            "[storage]\ndriver = \"{driver}\"\ngraphroot = {:?}\nrunroot = {:?}\n",
            self.root.join(STORAGE),
            self.root.join(RUN).join("run"),
        );
        self.write("storage.conf", &text)
    }

    /// Writes how containers are run.
    pub(crate) fn use_options(&self, options: &RuntimeOptions) -> anyhow::Result<()> {
        let mut text = format!(
            "[containers]\nlog_driver = \"none\"\n[engine]\ncgroup_manager = \"{}\"\n\
             events_logger = \"none\"\nlock_type = \"file\"\n",
            options.cgroup_manager
        );
        if let Some(runtime) = options.runtime {
            text.push_str(&format!("runtime = \"{runtime}\"\n"));
        }
        self.write("containers.conf", &text)
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.root.join(RUN).join(name);
        fs::write(&path, text).with_context(|| message!("file-not-saved", path = path.display()))
    }

    /// The profile of system calls for its containers.
    pub(crate) fn seccomp(&self) -> PathBuf {
        self.root.join(RUN).join(seccomp::FILE)
    }

    /// The arguments before a command of Podman's.
    pub(crate) fn globals(&self) -> Vec<String> {
        let run = self.root.join(RUN);
        vec![
            format!("--root={}", self.root.join(STORAGE).display()),
            format!("--runroot={}", run.join("run").display()),
            format!("--tmpdir={}", run.join("tmp").display()),
        ]
    }

    /// The environment of Podman: `PATH` is the only variable of the caller.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let run = self.root.join(RUN);
        let path = std::env::var("PATH").unwrap_or_default();
        [
            ("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin")),
            ("HOME", "/root".to_owned()),
            ("CONTAINERS_CONF", run.join("containers.conf").display().to_string()),
            ("CONTAINERS_STORAGE_CONF", run.join("storage.conf").display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// Calls Podman and waits for it.
    pub(crate) async fn call<A: AsRef<str>>(&self, args: &[A]) -> anyhow::Result<PodmanOutput> {
        let output = Command::new("podman")
            .args(self.globals())
            .args(args.iter().map(AsRef::as_ref))
            .env_clear()
            .envs(self.environment())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .context(message!("podman-not-run"))?;
        Ok(PodmanOutput {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Makes the image of a program unless it is there; returns its name.
    pub async fn image(&self, binary: &Path) -> anyhow::Result<String> {
        let image = image_of(binary)?;
        let present = self.present_images().await?;
        if !present.contains(&image) {
            self.build(binary, &image).await?;
            self.remove_older(&present, &image).await?;
        }
        Ok(image)
    }

    async fn present_images(&self) -> anyhow::Result<Vec<String>> {
        let list = ["images", "--format={{.Repository}}:{{.Tag}}"];
        let mut said = self.call(&list).await?;
        if !said.success {
            // Overlay does not work on every file system; images are small enough to copy.
            self.forget_storage()?;
            self.use_driver("vfs")?;
            said = self.call(&list).await?;
        }
        if !said.success {
            bail!(message!("podman-no-storage", reason = last_line(&said.stderr)));
        }
        Ok(said.stdout.lines().map(str::to_owned).collect())
    }

    async fn build(&self, binary: &Path, image: &str) -> anyhow::Result<()> {
        let name = binary.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let folder = self.root.join(RUN).join("build");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)
            .and_then(|()| fs::copy(binary, folder.join(name)))
            .and_then(|_| fs::write(folder.join("Containerfile"), podman::containerfile(name)))
            .with_context(|| {
                message!("program-not-copied", from = binary.display(), to = folder.display())
            })?;
        let context = folder.display().to_string();
        let said = self.call(&["build", "--quiet", "--tag", image, context.as_str()]).await?;
        let _ = fs::remove_dir_all(&folder);
        if !said.success {
            bail!(message!("image-not-built", name, reason = last_line(&said.stderr)));
        }
        Ok(())
    }

    async fn remove_older(&self, present: &[String], image: &str) -> anyhow::Result<()> {
        let Some((repository, _)) = image.rsplit_once(':') else { return Ok(()) };
        for old in present.iter().filter(|old| {
            old.rsplit_once(':').is_some_and(|(name, _)| name == repository) && *old != image
        }) {
            // One that a container still uses stays until the next build.
            self.call(&["rmi", old.as_str()]).await?;
        }
        Ok(())
    }

    /// Removes every container of the instance; returns how many there were.
    pub async fn remove_containers(&self) -> anyhow::Result<usize> {
        let listed = self.call(&["ps", "--all", "--quiet"]).await?;
        let count = listed.stdout.lines().count();
        if listed.success && count == 0 {
            return Ok(0);
        }
        let removed = self.call(&["rm", "--all", "--force", "--time=2"]).await?;
        if listed.success && removed.success {
            return Ok(count);
        }
        bail!(message!("containers-not-removed", reason = last_line(&removed.stderr)))
    }

    /// Whether the storage is unused.
    pub(crate) fn is_new(&self) -> bool {
        !self.root.join(STORAGE).join("libpod").exists()
    }

    /// Removes the state of the last boot.
    pub(crate) fn forget_run(&self) -> anyhow::Result<()> {
        self.unmount_now();
        for folder in ["run", "tmp"] {
            remove(&self.root.join(RUN).join(folder))?;
        }
        Ok(())
    }

    /// Removes images and containers; the next start makes them again.
    pub(crate) fn forget_storage(&self) -> anyhow::Result<()> {
        self.forget_run()?;
        let storage = self.root.join(STORAGE);
        remove(&storage)?;
        fs::create_dir_all(&storage)
            .with_context(|| message!("directory-not-made", path = storage.display()))
    }

    /// Unmounts what containers left mounted below the root, the innermost first. Podman, which cleans up once more after
    /// a container that ended, mounts its storage for that: it is waited for, but not longer than [`CLEANUP`].
    pub async fn unmount(&self) {
        let started = Instant::now();
        while self.is_used() && started.elapsed() < CLEANUP {
            sleep(Duration::from_millis(50)).await;
        }
        self.unmount_now();
    }

    /// Whether a process runs that was given the storage: Podman, or the keeper of a container.
    fn is_used(&self) -> bool {
        let storage = self.root.join(STORAGE);
        let storage = storage.as_os_str().as_encoded_bytes();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let mut commands = processes.filter_map(|it| fs::read(it.path().join("cmdline")).ok());
        commands.any(|command| command.windows(storage.len()).any(|part| part == storage))
    }

    fn unmount_now(&self) {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let folders = [self.root.join(STORAGE), self.root.join(RUN)];
        let points: Vec<_> = mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(4))
            .map(|point| PathBuf::from(point.replace("\\040", " ")))
            .filter(|point| folders.iter().any(|folder| point.starts_with(folder)))
            .collect();
        for point in points.iter().rev() {
            let _ = rustix::mount::unmount(point, rustix::mount::UnmountFlags::DETACH);
        }
    }

    /// The first process of a container, as the host numbers it.
    pub(crate) async fn pid(&self, container: &str) -> anyhow::Result<Option<u32>> {
        let said = self.call(&["inspect", "--format={{.State.Pid}}", container]).await?;
        Ok(said.stdout.trim().parse().ok().filter(|&pid| pid != 0))
    }
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| message!("file-not-deleted", path = path.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The runtime options that this host may support, the best first.
pub(crate) fn runtime_options() -> Vec<RuntimeOptions> {
    // systemd cannot be used without this socket, as in a namespace with its own /run.
    let managers: &[_] = if Path::new("/run/systemd/system").exists() {
        &["systemd", "cgroupfs"]
    } else {
        &["cgroupfs"]
    };
    let runtimes = ["crun", "runc"]
        .into_iter()
        .filter(|runtime| binaries::in_path(runtime).is_some())
        .map(Some);
    let runtimes: Vec<_> = [None].into_iter().chain(runtimes).collect();
    let options = |&cgroup_manager: &&'static str| {
        let of = move |&runtime: &Option<_>| RuntimeOptions { cgroup_manager, runtime };
        runtimes.iter().map(of).collect::<Vec<_>>()
    };
    managers.iter().flat_map(options).collect()
}

/// The image that holds the program at `binary`: its tag is the program's hash.
fn image_of(binary: &Path) -> anyhow::Result<String> {
    let name = binary.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let unreadable = || message!("file-not-read", path = binary.display());
    let mut file = fs::File::open(binary).with_context(unreadable)?;
    let mut hash = Sha256::new();
    std::io::copy(&mut file, &mut hash).with_context(unreadable)?;
    Ok(format!("localhost/{name}:{}", hex::encode(&hash.finalize()[..16])))
}

/// The last line of Podman's that is not empty.
pub(crate) fn last_line(text: &str) -> String {
    let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    last.map_or_else(|| message!("no-reason-given").to_string(), str::to_owned)
}
