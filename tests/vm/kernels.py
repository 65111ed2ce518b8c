#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Real kernels for the test VMs: the newest packaged cloud kernel of each series.

    kernels.py [--cache DIR] [--refresh] [SERIES ...]

Prints a line per series, tab separated: `SERIES RELEASE DIR` for what can be booted,
`SERIES skip REASON` for what cannot be had. DIR holds `vmlinuz`, `modules/*.ko`
(decompressed) and `modules.order` (each after what it depends on).

The packages are Debian's, from the mirror that this machine's own apt is configured
with: only the suite is changed. apt runs on a state of its own below the cache
directory, so that the machine's sources, lists and packages stay as they are. A pinned
version leaves the pool one day: a series is resolved by name, and a day-old answer is
asked for again. Without a network what is in the cache is used.
"""
import argparse
import fcntl
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DEFAULT_SERIES = ("5.10", "6.1", "6.12", "6.16", "6.17", "6.18", "7")

# Label of the archive in the machine's configuration -> suites to look into.
SUITES = {
    "Debian-Security": ("bullseye-security", "bookworm-security", "trixie-security"),
    "Debian": ("bookworm-backports", "trixie-backports", "experimental"),
}

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
ARCHITECTURE = "amd64"
INDEX_AGE_S = 24 * 3600

# What a scenario may ask for; what they depend on follows. One that the kernel has built in
# needs no file, one that it lacks is left out: the scenario that wants it then skips.
MODULES = (
    "veth", "dummy", "af_packet", "tls",
    "inet_diag", "tcp_diag", "mptcp_diag",
    "sch_netem", "sch_tbf", "sch_ingress", "cls_u32", "cls_matchall", "act_mirred", "act_gact",
    "nf_tables", "nft_ct", "nft_counter", "nft_limit", "nft_numgen", "nft_quota",
    "nft_reject", "nft_reject_inet", "nft_reject_ipv4", "nft_reject_ipv6",
)


class Skip(Exception):
    """This series cannot be had; the message says why."""


def run(*argv, env=None):
    return subprocess.run(argv, check=True, text=True, env=env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout


def mirrors():
    """{label: repository address}, as this machine's apt has them."""
    found = {}
    listing = run("apt-get", "indextargets", "--format", "$(LABEL)|$(REPO_URI)",
                  "Created-By: Packages")
    for line in listing.splitlines():
        label, _, uri = line.partition("|")
        found.setdefault(label, uri)
    return found


class PrivateApt:
    """apt with sources, lists and archives of its own."""

    def __init__(self, root, suites=None):
        self.root = root
        self.suites = suites or SUITES
        self.sources = root / "sources.list"
        self.stamp = root / "updated"
        self.archives = root / "archives"
        for directory in (root / "lists" / "partial", self.archives / "partial"):
            directory.mkdir(parents=True, exist_ok=True)

    def options(self):
        settings = {
            "Dir::State::Lists": self.root / "lists",
            "Dir::State::status": "/dev/null",
            "Dir::Cache": self.root,
            "Dir::Cache::archives": self.archives,
            "Dir::Etc::SourceList": self.sources,
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::Preferences": "/dev/null",
            "Dir::Etc::PreferencesParts": "/dev/null",
            "APT::Architecture": ARCHITECTURE,
            "APT::Architectures": ARCHITECTURE,
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
            "Acquire::Retries": "2",
        }
        return [f"-o{key}={value}" for key, value in settings.items()]

    def update(self, force=False):
        """Ask the mirror again when the answer is old. A suite that is gone is no error."""
        if not force and self.stamp.exists() and time.time() - self.stamp.stat().st_mtime < INDEX_AGE_S:
            return
        have = mirrors()
        signed = f"[signed-by={KEYRING}] " if os.path.exists(KEYRING) else ""
        lines = [f"deb {signed}{have[label]} {suite} main\n"
                 for label, suites in self.suites.items() if label in have for suite in suites]
        if not lines:
            raise Skip("no Debian mirror in this machine's apt configuration")
        self.sources.write_text("".join(lines))
        done = subprocess.run(["apt-get", *self.options(), "-q", "update"], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True)
        complaints = [line for line in done.stderr.splitlines() if line[:2] in ("E:", "W:")]
        for line in complaints:
            print(f"kernels: {line}", file=sys.stderr)
        self.available.cache_clear()
        if not complaints:
            self.stamp.touch()

    @functools.lru_cache(maxsize=None)
    def available(self):
        """{package: version} of everything in the private lists."""
        packages, name = {}, None
        for line in run("apt-cache", *self.options(), "dumpavail").splitlines():
            if line.startswith("Package: "):
                name = line[9:]
            elif line.startswith("Version: "):
                packages[name] = line[9:]
        return packages

    def download(self, package, version):
        with tempfile.TemporaryDirectory(dir=self.root) as into:
            subprocess.run(["apt-get", *self.options(), "-q", "download", f"{package}={version}"],
                           cwd=into, check=True, text=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            deb = next(Path(into).glob("*.deb"))
            return shutil.move(deb, self.archives / deb.name)


def newer(a, b):
    return subprocess.run(["dpkg", "--compare-versions", a, "gt", b], check=False).returncode == 0


def resolve(series, available):
    """The packages that make up the newest kernel of a series: [(name, version), ...].

    A release candidate counts only where the series has nothing else.
    """
    shape = re.compile(rf"linux-(image|binary)-({re.escape(series)}(?:[.+-].*)?)-cloud-{ARCHITECTURE}$")
    best = None
    for name, version in available.items():
        match = shape.fullmatch(name)
        # The series' meta package ("linux-image-6.12-cloud-amd64") holds no kernel.
        if not match or (match.group(1) == "image" and match.group(2) == series):
            continue
        final = "~rc" not in version
        if best is None or (final, 0) > (best[0], 0) or (final == best[0] and newer(version, best[2])):
            best = (final, match.group(2), version)
    if best is None:
        raise Skip("not in the mirror's pool" if available else "the mirror does not answer")
    _, release, version = best
    names = [f"linux-{part}-{release}-cloud-{ARCHITECTURE}" for part in ("binary", "modules", "image")]
    have = [(name, available[name]) for name in names if available.get(name) == version]
    # From 7.x on an image package of the same name only pulls the other two in.
    return [h for h in have if "-image-" not in h[0]] or have


def plain_module(path, into):
    """Copies a module, decompressed: insmod in the VM takes .ko only."""
    name = path.name.split(".ko")[0]
    target = into / f"{name}.ko"
    tool = {".xz": "xz", ".zst": "zstd", ".gz": "gzip"}.get(path.suffix)
    if tool:
        with target.open("wb") as out:
            subprocess.run([tool, "-dqc", path], check=True, stdout=out)
    else:
        shutil.copyfile(path, target)
    return target


def collect_modules(tree, into):
    """The wanted modules and what they depend on, in an order that insmod can follow."""
    # A module's name has underscores where its file may have dashes.
    files = {p.name.split(".ko")[0].replace("-", "_"): p for p in tree.rglob("*.ko*")}
    order, seen = [], set()

    def visit(name):
        if name in seen or name not in files:
            return
        seen.add(name)
        target = plain_module(files[name], into)
        for needed in run("modinfo", "-F", "depends", str(target)).strip().split(","):
            visit(needed.replace("-", "_"))
        order.append(target.name)

    for name in MODULES:
        visit(name)
    return order


def unpack(debs, target):
    """Fills `target` from the packages, all or nothing."""
    work = Path(tempfile.mkdtemp(dir=target.parent, prefix=".unpack-"))
    try:
        tree, fresh = work / "tree", work / "kernel"
        tree.mkdir()
        (fresh / "modules").mkdir(parents=True)
        for deb in debs:
            run("dpkg-deb", "-x", str(deb), str(tree))
        images = [*tree.glob("boot/vmlinuz-*"), *tree.glob("usr/lib/modules/*/vmlinuz"),
                  *tree.glob("lib/modules/*/vmlinuz")]
        if not images:
            raise Skip("its package holds no vmlinuz")
        shutil.copyfile(images[0], fresh / "vmlinuz")
        releases = [*tree.glob("lib/modules/*/kernel"), *tree.glob("usr/lib/modules/*/kernel")]
        if not releases:
            raise Skip("its package holds no modules")
        (fresh / "release").write_text(releases[0].parent.name + "\n")
        order = collect_modules(releases[0], fresh / "modules")
        (fresh / "modules.order").write_text("".join(f"{name}\n" for name in order))
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def provide(series, cache, apt):
    """The directory of a bootable kernel of this series, downloaded if need be."""
    target = cache / "kernels" / series
    packages = target / "packages"
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        wanted = resolve(series, apt.available())
        text = "".join(f"{name} {version} {','.join(MODULES)}\n" for name, version in wanted)
        if not packages.exists() or packages.read_text() != text:
            debs = [apt.download(name, version) for name, version in wanted]
            unpack(debs, target)
            packages.write_text(text)
            for deb in debs:
                os.unlink(deb)
    except (Skip, subprocess.CalledProcessError) as error:
        if not packages.exists():
            why = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
            raise Skip(why[-1] if why else "unknown") from error
        print(f"kernels: {series}: {error}; using what is cached", file=sys.stderr)
    return target


def main():
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tcptrail-vm"
    parser = argparse.ArgumentParser(description="fetch packaged kernels for the test VMs")
    parser.add_argument("--cache", type=Path, default=cache, help="default: %(default)s")
    parser.add_argument("--refresh", action="store_true", help="ask the mirror again now")
    parser.add_argument("series", nargs="*", default=DEFAULT_SERIES)
    args = parser.parse_args()

    args.cache.mkdir(parents=True, exist_ok=True)
    with (args.cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)   # tests side by side share the cache
        offer(args)


def offer(args):
    """A line per series."""
    apt = PrivateApt(args.cache / "apt")
    try:
        apt.update(args.refresh)
    except (Skip, subprocess.CalledProcessError, OSError) as error:
        print(f"kernels: {error}", file=sys.stderr)
    for series in args.series:
        try:
            where = provide(series, args.cache, apt)
            print(series, (where / "release").read_text().strip(), where, sep="\t", flush=True)
        except Skip as why:
            print(series, "skip", why, sep="\t", flush=True)


if __name__ == "__main__":
    main()
