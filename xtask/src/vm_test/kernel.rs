//! Kernels from Debian's packages, without installing anything.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A kernel that can be booted.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) release: String,
    pub(crate) image: PathBuf,
}

impl Kernel {
    /// The cloud kernel of a release of Debian, which has the drivers of NVMe and ext4 built in; from `folder`, if it
    /// was fetched before.
    ///
    /// # Errors
    ///
    /// Why the package cannot be had.
    pub(crate) fn of(suite: &str, folder: &Path) -> Result<Self, Box<dyn Error>> {
        let unpacked = folder.join("kernels").join(suite);
        if let Some(kernel) = Self::find(&unpacked) {
            return Ok(kernel);
        }
        let apt = Apt::new(suite, &folder.join("apt").join(suite))?;
        let mut package = META_PACKAGE.to_owned();
        // The package that depends on the newest, then that one; since Linux 6.17 it depends on one more.
        for _ in 0..3 {
            let shown = apt.run("apt-cache", &["show", "--no-all-versions", &package])?;
            if package != META_PACKAGE {
                let archive = apt.download(&package)?;
                Apt::unpack(&archive, &unpacked)?;
                if let Some(kernel) = Self::find(&unpacked) {
                    return Ok(kernel);
                }
            }
            package = next_package(&shown).ok_or_else(|| format!("{package} leads to no kernel"))?;
        }
        Err(format!("no package of {suite} has a kernel where it is looked for").into())
    }

    /// In `/boot`, or since Linux 7.3 beside its modules.
    fn find(unpacked: &Path) -> Option<Self> {
        let names = |folder: PathBuf| {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        };
        let in_boot = names(unpacked.join("boot"))
            .filter_map(|(name, path)| Some((name.strip_prefix("vmlinuz-")?.to_owned(), path)));
        let beside_modules = names(unpacked.join("usr/lib/modules"))
            .map(|(release, folder)| (release, folder.join("vmlinuz")))
            .filter(|(_, image)| image.is_file());
        in_boot.chain(beside_modules).next().map(|(release, image)| Self { release, image })
    }
}

/// The first package that is depended on and may have the kernel.
fn next_package(shown: &str) -> Option<String> {
    let depends = shown.lines().find_map(|line| line.strip_prefix("Depends: "))?;
    let names = depends.split(',').filter_map(|dependency| dependency.split_whitespace().next());
    let mut kernels =
        names.filter(|name| name.starts_with("linux-image-") || name.starts_with("linux-binary-"));
    kernels.next().map(str::to_owned)
}

/// Debian's package tools, with lists of their own.
struct Apt {
    folder: PathBuf,
    options: Vec<String>,
}

impl Apt {
    fn new(suite: &str, folder: &Path) -> Result<Self, Box<dyn Error>> {
        if !suite.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(format!("`{suite}` is no release of Debian").into());
        }
        let (lists, cache) = (folder.join("lists"), folder.join("cache"));
        fs::create_dir_all(lists.join("partial"))?;
        fs::create_dir_all(cache.join("archives/partial"))?;
        let sources = folder.join("sources.list");
        let source = format!("deb [signed-by={KEYS}] {} {suite} main\n", Self::mirror()?);
        fs::write(&sources, source)?;
        let options = [
            format!("Dir::Etc::sourcelist={}", sources.display()),
            "Dir::Etc::sourceparts=-".to_owned(),
            format!("Dir::State::lists={}", lists.display()),
            format!("Dir::Cache={}", cache.display()),
            "APT::Get::List-Cleanup=0".to_owned(),
            // A backport is not taken unless one says so.
            format!("APT::Default-Release={suite}"),
            // Who fetches as another user needs a folder that this one can write to.
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Retries=2".to_owned(),
        ];
        let options = options.into_iter().flat_map(|option| ["-o".to_owned(), option]).collect();
        let this = Self { folder: folder.to_owned(), options };
        this.run("apt-get", &["--quiet", "--error-on=any", "update"])?;
        Ok(this)
    }

    /// The mirror of Debian's archive that this machine takes its packages from.
    fn mirror() -> Result<String, Box<dyn Error>> {
        let output = Command::new("apt-get")
            .args(["indextargets", "--format", "$(REPO_URI) $(LABEL)", "Created-By: Packages"])
            .output()?;
        let targets = String::from_utf8(output.stdout)?;
        let mirror = targets.lines().find_map(|line| line.strip_suffix(" Debian"));
        Ok(mirror
            .ok_or("apt-get has no mirror of Debian: try this on a Debian, or in a container of one")?
            .to_owned())
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<String, Box<dyn Error>> {
        let output =
            Command::new(program).args(&self.options).args(arguments).current_dir(&self.folder).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().last().unwrap_or("it says nothing").to_owned();
            return Err(format!("{program} {}: {last}", arguments.join(" ")).into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The archive of a package.
    fn download(&self, package: &str) -> Result<PathBuf, Box<dyn Error>> {
        self.run("apt-get", &["--quiet", "download", package])?;
        let prefix = format!("{package}_");
        let archive = fs::read_dir(&self.folder)?
            .flatten()
            .find(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
        Ok(archive.ok_or_else(|| format!("apt-get left no archive of {package}"))?.path())
    }

    fn unpack(archive: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
        fs::create_dir_all(to)?;
        let (archive, to) = (archive.display().to_string(), to.display().to_string());
        let unpacked = Command::new("dpkg-deb").args(["--extract", &archive, &to]).status()?;
        if unpacked.success() { Ok(()) } else { Err(format!("{archive} cannot be unpacked").into()) }
    }
}

const META_PACKAGE: &str = "linux-image-cloud-amd64";
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

#[cfg(test)]
mod tests {
    use super::next_package;

    #[test]
    fn the_next_package_is_the_kernel_that_is_depended_on() {
        let check = |depends: &str, expected: Option<&str>| {
            let shown = format!("Package: p\nDepends: {depends}\nDescription: d\n");
            assert_eq!(next_package(&shown).as_deref(), expected);
        };
        check("linux-image-6.1.0-56-cloud-amd64 (= 6.1.1-1)", Some("linux-image-6.1.0-56-cloud-amd64"));
        check(
            "kmod, linux-base (>= 4.12~), linux-binary-7.2 (= 7.2.1), initramfs-tools",
            Some("linux-binary-7.2"),
        );
        check("kmod", None);
        assert_eq!(next_package("Package: p\n"), None);
    }
}
