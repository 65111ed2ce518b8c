#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An SPDX 2.3 list (JSON) of what a packaged tree holds: each file with its checksums, and
each library that the program carries or loads, with name, version and licence.

    spdx.py --root TREE --program PATH --out PATH [--map FILE]

PATHs are relative to TREE. The files are those that are there. With --map (what ld wrote with
-Map) the libraries are those whose members were linked into the program; without, those that
it names as NEEDED. Name and version come from dpkg. The same input gives the same bytes: the
date is SOURCE_DATE_EPOCH.
"""
import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
OWN = "Apache-2.0"
BPF = "(Apache-2.0 OR GPL-2.0-only)"    # the programs for the kernel, embedded in ours
PROGRAM = f"{OWN} AND {BPF}"

# By Debian source package: the licence of the library itself, from its copyright file.
LICENCES = {
    "elfutils": "LGPL-3.0-or-later OR GPL-2.0-or-later",
    "gcc": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "glibc": "LGPL-2.1-or-later",
    "libbpf": "LGPL-2.1-only OR BSD-2-Clause",
    "libcap-ng": "LGPL-2.1-or-later",
    "libmd": "BSD-3-Clause AND BSD-2-Clause AND ISC AND Beerware",
    "libmicrohttpd": "LGPL-2.1-or-later",
    "libpcap": "BSD-3-Clause",
    "libseccomp": "LGPL-2.1-only",
    "libzstd": "BSD-3-Clause OR GPL-2.0-only",
    "ncurses": "X11-distribute-modifications-variant AND BSD-3-Clause",
    "zlib": "Zlib",
}


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def version():
    with open(os.path.join(HERE, "..", "Makefile"), encoding="utf-8") as f:
        return re.search(r"^VERSION\s*:=\s*(\S+)", f.read(), re.M)[1]


# ---- libraries ------------------------------------------------------------------------------

def linked(map_file):
    """The archives and start files of which something is in the program; ours lie by the map."""
    seen, own = set(), os.path.dirname(os.path.realpath(map_file)) + "/"
    with open(map_file, encoding="utf-8", errors="surrogateescape") as f:
        for line in f:
            m = re.match(r"(/\S+\.a)\(\S+\.o\)$", line.rstrip()) or \
                re.match(r"LOAD (/\S+\.o)$", line.rstrip())
            if m:
                seen.add(os.path.realpath(m[1]))
    return sorted(p for p in seen if not p.startswith(own))


def needed(program):
    return sorted(set(re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-dW", program))))


def package_of(path):
    """dpkg's name for who owns a file; a soname is looked for in every directory."""
    for pattern in (path, path.replace("/usr/lib/", "/lib/", 1)) if "/" in path else (f"*/{path}",):
        out = subprocess.run(["dpkg", "-S", pattern], check=False, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        for line in out.splitlines():
            name = line.split(": ")[0]
            if not line.startswith("diversion ") and not name.endswith("-cross"):
                return name.split(", ")[0]
    sys.exit(f"spdx: no package owns {path}")


def library(package):
    source, number = run("dpkg-query", "-W", "-f", "${source:Package} ${source:Version}",
                         package).split()
    source = re.sub(r"^gcc-\d+$", "gcc", source)
    if source not in LICENCES:
        sys.exit(f"spdx: {package} (source {source}): add its licence to LICENCES")
    return source, number


def libraries(args):
    """Source package to (version, what of it)."""
    files = linked(args.map) if args.map else needed(os.path.join(args.root, args.program))
    found = {}
    for path in files:
        source, number = library(package_of(path))
        found.setdefault(source, (number, []))[1].append(os.path.basename(path))
    if not found:
        sys.exit("spdx: no library found")
    return found


# ---- files ----------------------------------------------------------------------------------

def listed(args):
    """Every file of the tree but this list; dpkg's own directory is not part of it."""
    for where, directories, names in os.walk(args.root):
        if where == args.root and "DEBIAN" in directories:
            directories.remove("DEBIAN")
        for name in names:
            path = os.path.relpath(os.path.join(where, name), args.root)
            if path != os.path.normpath(args.out):
                yield path


def licence_of(path, args, found):
    if path == os.path.normpath(args.program):
        carried = sorted({f"({LICENCES[s]})" for s in found}) if args.map else []
        return " AND ".join([PROGRAM, *carried])
    # the texts of other people's licences
    return "NOASSERTION" if "/licences/" in path else OWN


def kind_of(path, args):
    if path == os.path.normpath(args.program):
        return "BINARY"
    if "/doc/" in path or "/man/" in path:
        return "DOCUMENTATION"
    return "TEXT"


def file_entry(path, args, found):
    with open(os.path.join(args.root, path), "rb") as f:
        data = f.read()
    licence = licence_of(path, args, found)
    info = sorted(set(re.split(r" AND | OR ", re.sub(r"[()]", "", licence))))
    return {
        "fileName": f"./{path}",
        "SPDXID": f"SPDXRef-File-{hashlib.sha1(path.encode()).hexdigest()[:16]}",
        "checksums": [{"algorithm": a.upper(), "checksumValue": hashlib.new(a, data).hexdigest()}
                      for a in ("sha1", "sha256")],
        "fileTypes": [kind_of(path, args)],
        "licenseConcluded": licence,
        "licenseInfoInFiles": info,
        "copyrightText": "NOASSERTION",
    }


def verification_code(files):
    """SPDX 2.3, section 7.9: the SHA-1 of the sorted SHA-1 of the files."""
    sums = sorted(f["checksums"][0]["checksumValue"] for f in files)
    return hashlib.sha1("".join(sums).encode()).hexdigest()


# ---- the document ---------------------------------------------------------------------------

def own_package(args, files, number):
    return {
        "name": "tcptrail", "SPDXID": "SPDXRef-Package-tcptrail", "versionInfo": number,
        "downloadLocation": "NOASSERTION", "filesAnalyzed": True,
        "packageVerificationCode": {
            "packageVerificationCodeValue": verification_code(files),
            "packageVerificationCodeExcludedFiles": [f"./{os.path.normpath(args.out)}"]},
        "licenseDeclared": PROGRAM, "licenseConcluded": PROGRAM,
        "licenseInfoFromFiles": ["Apache-2.0", "GPL-2.0-only"],
        "copyrightText": "The tcptrail authors",
        "primaryPackagePurpose": "APPLICATION",
    }


def library_package(source, number, parts):
    purl = f"pkg:deb/debian/{source}@{number.replace(':', '%3A').replace('+', '%2B')}?arch=source"
    return {
        "name": source, "SPDXID": f"SPDXRef-Library-{source}", "versionInfo": number,
        "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
        "licenseDeclared": LICENCES[source], "licenseConcluded": LICENCES[source],
        "copyrightText": "NOASSERTION", "supplier": "Organization: Debian",
        "primaryPackagePurpose": "LIBRARY", "comment": "of it: " + ", ".join(parts),
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                          "referenceLocator": purl}],
    }


def relations(files, found, how):
    yield "SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Package-tcptrail"
    for entry in files:
        yield "SPDXRef-Package-tcptrail", "CONTAINS", entry["SPDXID"]
    program = next(f["SPDXID"] for f in files if f["fileTypes"] == ["BINARY"])
    for source in sorted(found):
        yield program, how, f"SPDXRef-Library-{source}"


def document(args):
    found = libraries(args)
    number = version()
    files = [file_entry(p, args, found) for p in sorted(listed(args))]
    packages = [own_package(args, files, number)]
    packages += [library_package(s, *found[s]) for s in sorted(found)]
    when = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH") or time.time()))
    content = hashlib.sha256(json.dumps([files, packages]).encode()).hexdigest()
    return {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"tcptrail-{number}",
        "documentNamespace": f"https://spdx.org/spdxdocs/tcptrail-{number}-{content[:32]}",
        "creationInfo": {"created": time.strftime("%Y-%m-%dT%H:%M:%SZ", when),
                         "creators": [f"Tool: tcptrail-spdx.py-{number}"]},
        "packages": packages, "files": files,
        "relationships": [{"spdxElementId": a, "relationshipType": r, "relatedSpdxElement": b}
                          for a, r, b in relations(files, found,
                                                   "STATIC_LINK" if args.map else "DYNAMIC_LINK")],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    for name in ("--root", "--program", "--out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--map")
    parser.add_argument("--licences", help="copy the licences of what is linked in to here")
    args = parser.parse_args()
    if args.licences:
        copy_licences(args)
    out = os.path.join(args.root, args.out)
    os.makedirs(os.path.dirname(out), exist_ok=True)
    with open(out, "w", encoding="utf-8") as f:
        json.dump(document(args), f, indent=1)
        f.write("\n")
    os.chmod(out, 0o644)


def copy_licences(args):
    """What the licences ask of who passes a static program on: their texts beside it."""
    to = os.path.join(args.root, args.licences)
    os.makedirs(to, exist_ok=True)
    common = {"Apache-2.0", "GPL-2", "GPL-3", "LGPL-2.1", "LGPL-3"}
    packages = {library(p)[0]: p for p in map(package_of, linked(args.map))}
    sources = {s: f"/usr/share/doc/{p.split(':')[0]}/copyright" for s, p in packages.items()}
    sources.update({name: f"/usr/share/common-licenses/{name}" for name in common})
    for name, source in sources.items():
        with open(source, "rb") as f, open(os.path.join(to, name), "wb") as copy:
            copy.write(f.read())
        os.chmod(os.path.join(to, name), 0o644)


if __name__ == "__main__":
    main()
