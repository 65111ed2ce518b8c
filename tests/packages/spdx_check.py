# SPDX-License-Identifier: Apache-2.0
"""What SPDX 2.3 requires of a list, and whether it is true of the tree that it lists.

faults(document, root, own) returns a line for each breach; own is the list's own place.
Sections are those of the SPDX specification 2.3.
"""
import hashlib
import os
import re

ID = re.compile(r"SPDXRef-[A-Za-z0-9.-]+$")
# Section 10.1's list, as far as anything here could need it; another one is a fault to look at.
LICENCES = {"Apache-2.0", "GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-or-later", "LGPL-2.1-only",
            "LGPL-2.1-or-later", "LGPL-3.0-or-later", "BSD-2-Clause", "BSD-3-Clause", "ISC",
            "Beerware", "Zlib", "MIT", "X11-distribute-modifications-variant"}
EXCEPTIONS = {"GCC-exception-3.1"}
DOCUMENT = ("spdxVersion", "dataLicense", "SPDXID", "name", "documentNamespace", "creationInfo")
PACKAGE = ("name", "SPDXID", "downloadLocation", "versionInfo", "licenseConcluded",
           "licenseDeclared", "copyrightText")
FILE = ("fileName", "SPDXID", "checksums", "licenseConcluded", "licenseInfoInFiles",
        "copyrightText")
RELATIONS = {"DESCRIBES", "CONTAINS", "STATIC_LINK", "DYNAMIC_LINK"}


def lacks(what, entry, fields):
    return [f"{what}: no {field}" for field in fields if not entry.get(field)]


def licence_faults(what, text):
    """Annex D: identifiers joined by AND, OR, WITH and parentheses."""
    if text in ("NOASSERTION", "NONE"):
        return []
    words = re.findall(r"[()]|[^\s()]+", text or "")
    depth, operand, before = 0, False, None
    for word in words:
        if word == "(":
            depth += 1
            good = not operand
        elif word == ")":
            depth -= 1
            good = operand and depth >= 0
        elif word in ("AND", "OR", "WITH"):
            good, operand = operand, False
        else:
            good = not operand and word in (EXCEPTIONS if before == "WITH" else LICENCES)
            operand = True
        if not good:
            return [f"{what}: '{text}' at '{word}'"]
        before = word
    return [] if operand and not depth else [f"{what}: '{text}' ends too early"]


def head_faults(d):
    made = d.get("creationInfo", {})
    out = lacks("document", d, DOCUMENT) + lacks("creationInfo", made, ("created", "creators"))
    for field, want in (("spdxVersion", r"SPDX-2\.3"), ("dataLicense", r"CC0-1\.0"),
                        ("SPDXID", "SPDXRef-DOCUMENT"), ("documentNamespace", r"https?://[^#\s]+")):
        if not re.fullmatch(want, d.get(field, "")):
            out.append(f"{field}: {d.get(field)!r}")
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", made.get("created", "")):
        out.append(f"created: {made.get('created')!r}")
    out += [f"creator: {c!r}" for c in made.get("creators", [])
            if not re.match(r"(Tool|Organization|Person): \S", c)]
    return out


def file_faults(entry, root):
    name = entry.get("fileName", "?")
    out = lacks(name, entry, FILE) + licence_faults(name, entry.get("licenseConcluded"))
    for one in entry.get("licenseInfoInFiles", []):
        out += licence_faults(name, one)
    try:
        with open(os.path.join(root, name), "rb") as f:
            data = f.read()
    except OSError as e:
        return out + [str(e)]
    sums = {c["algorithm"]: c["checksumValue"] for c in entry.get("checksums", [])}
    if "SHA1" not in sums:
        out.append(f"{name}: SHA1 is required (8.4)")
    out += [f"{name}: {a} is wrong" for a, value in sums.items()
            if hashlib.new(a.lower(), data).hexdigest() != value]
    return out


def package_faults(entry, d):
    name = entry.get("name", "?")
    out = lacks(name, entry, PACKAGE)
    for field in ("licenseConcluded", "licenseDeclared"):
        out += licence_faults(name, entry.get(field))
    if entry.get("filesAnalyzed", True):
        sums = sorted(c["checksumValue"] for f in d["files"] for c in f["checksums"]
                      if c["algorithm"] == "SHA1")
        code = entry.get("packageVerificationCode", {}).get("packageVerificationCodeValue")
        if code != hashlib.sha1("".join(sums).encode()).hexdigest():
            out.append(f"{name}: the verification code is wrong (7.9)")
    return out


def relation_faults(d, ids):
    out, linked = [], set()
    for r in d.get("relationships", []):
        for end in ("spdxElementId", "relatedSpdxElement"):
            if r.get(end) not in ids:
                out.append(f"a relationship to {r.get(end)}")
        if r.get("relationshipType") not in RELATIONS:
            out.append(f"relationship {r.get('relationshipType')}")
        linked.add(r.get("relatedSpdxElement"))
    return out + [f"nothing relates to {i}" for i in ids - linked - {"SPDXRef-DOCUMENT"}]


def faults(d, root, own):
    entries = [d, *d.get("packages", []), *d.get("files", [])]
    names = [e.get("SPDXID", "") for e in entries]
    out = head_faults(d) + [f"SPDXID {n!r}" for n in names if not ID.match(n)]
    out += [f"SPDXID {n} twice" for n in set(names) if names.count(n) > 1]
    for entry in d.get("files", []):
        out += file_faults(entry, root)
    for entry in d.get("packages", []):
        out += package_faults(entry, d)
    there = {"./" + os.path.relpath(os.path.join(w, n), root)
             for w, _, files in os.walk(root) for n in files} - {"./" + own}
    listed = {f["fileName"] for f in d.get("files", [])}
    out += [f"not listed: {n}" for n in sorted(there - listed)]
    out += [f"listed, not there: {n}" for n in sorted(listed - there)]
    return out + relation_faults(d, set(names))
