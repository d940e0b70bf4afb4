#!/usr/bin/env python3
"""Holds the source tree against the rules that are written down: the dependency table of docs/architecture.md, heavy
headers, comments in protos, events in their table. Usage: check_layering.py REPOSITORY. Prints every violation and exits
with 1 if there is one. `--self-test` checks the checker."""

import os
import re
import sys

GROUPS = ("foundation", "programs", "machines", "learning", "fleet")
HEAVY = re.compile(
    r'#include\s+[<"](?:grpcpp/|grpc/|google/protobuf/|google/rpc/|spdlog/|prometheus/|nlohmann/|llvm|dnnl|oneapi/|cuda'
    r'|nvrtc|boost/|openssl/|zlib\.h|snappy|rocksdb/|librdkafka/|zookeeper/)|#include\s+"[^"]*\.pb\.h"')
GRPC = re.compile(r'#include\s+<grpc')
PB = re.compile(r'#include\s+"[^"]*\.pb\.h"')
INCLUDE = re.compile(r'^\s*#include\s+"((?:common|services|clients|tests|bench)/[^"]+)"', re.M)


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def library_of(path):
    """common/fleet/rpc/internal/x.h -> fleet/rpc; services/cache/x.h -> services/cache."""
    parts = path.split("/")
    if parts[0] == "common" and len(parts) > 3 and parts[1] in GROUPS:
        return parts[1] + "/" + parts[2]
    if parts[0] in ("services", "clients") and len(parts) > 2:
        return parts[0] + "/" + parts[1]
    return None


def is_test(path):
    """Files that no product links."""
    return (path.startswith(("tests/", "bench/")) or path.endswith(("_test.cc", "_bench.cc")) or "/testing/" in path)


def parse_table(text):
    """The rows between the markers: {library: (layer, [names it may include])}."""
    match = re.search(r"<!-- dependencies begin -->(.*?)<!-- dependencies end -->", text, re.S)
    if not match:
        raise SystemExit("docs/architecture.md has no dependency table")
    table = {}
    for line in match.group(1).splitlines():
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if len(cells) == 3 and cells[0].isdigit():
            table[cells[1]] = (int(cells[0]), cells[2].split())
    return table


def expand(table):
    """{library: set of libraries it may include}, with group/* written out."""
    allowed = {}
    for library, (_, names) in table.items():
        out = set()
        for name in names:
            if name.endswith("/*"):
                out |= {other for other in table if other.startswith(name[:-1])}
            else:
                out.add(name)
        out.discard(library)
        if library != "foundation/base":
            out.add("foundation/base")
        allowed[library] = out
    return allowed


def check_table(table, allowed):
    """Layers fall along every edge, which also excludes cycles."""
    problems = []
    for library, names in allowed.items():
        for name in sorted(names):
            if name not in table:
                problems.append(f"table: {library} may include {name}, which is no row")
            elif table[name][0] >= table[library][0]:
                problems.append(f"table: {library} (layer {table[library][0]}) may not include {name} "
                                f"(layer {table[name][0]}): upward or sideways edge")
    return problems


def check_includes(files, table, allowed):
    problems = []
    for path, text in files.items():
        library = library_of(path)
        if library is None or is_test(path):
            continue
        if library not in table:
            problems.append(f"{path}: library {library} has no row in docs/architecture.md")
            continue
        for target in INCLUDE.findall(text):
            if is_test(target):
                problems.append(f"{path}: includes {target}, which is for tests")
                continue
            other = library_of(target)
            if other is None:
                problems.append(f"{path}: includes {target}, which is in no library")
            elif other != library and other not in allowed[library]:
                problems.append(f"{path}: {library} may not include {other} ({target})")
    return problems


def check_heavy(files):
    problems = []
    for path, text in files.items():
        if is_test(path):
            continue
        stem = os.path.basename(path).rsplit(".", 1)[0]
        in_common = path.startswith("common/")
        rpc = path.startswith("common/fleet/rpc/")
        proto_pair = stem.endswith("_proto")
        if in_common and path.endswith(".h") and not rpc and not proto_pair:
            for match in HEAVY.finditer(text):
                problems.append(f"{path}: heavy header in a header: {match.group(0)}")
        if GRPC.search(text) and not rpc and path not in ("services/allinone/fleet.cc",):
            problems.append(f"{path}: gRPC outside of common/fleet/rpc")
        pb_allowed = not in_common or rpc or proto_pair or (path.startswith("common/fleet/stubs/") and path.endswith(".cc"))
        if PB.search(text) and not pb_allowed:
            problems.append(f"{path}: generated .pb.h outside of services, clients, rpc, stubs and *_proto pairs")
    return problems


def parse_cmake(text):
    """Targets of one CMakeLists.txt: [(kind, name, [dependencies])]."""
    out = []
    text = re.sub(r"#.*", "", text)
    for kind, body in re.findall(r"megalith_(library|binary|test)\(([^)]*)\)", text):
        words = body.split()
        keys = {"NAME", "SRCS", "DEPS", "PRIVATE_DEPS", "LABELS", "ARGS", "TIMEOUT"}
        fields, key = {}, None
        for word in words:
            if word in keys:
                key = word
                fields.setdefault(key, [])
            elif key:
                fields[key].append(word)
        name = fields.get("NAME", ["?"])[0]
        out.append((kind, name, fields.get("DEPS", []) + fields.get("PRIVATE_DEPS", []), fields.get("SRCS", [])))
    return out


def check_cmake(cmake_files, table, allowed):
    problems, where, targets = [], {}, []
    for path, text in cmake_files.items():
        folder = os.path.dirname(path)
        for kind, name, deps, sources in parse_cmake(text):
            target = "megalith_" + name if kind == "library" else name
            where[target] = folder
            targets.append((path, kind, name, target, deps, sources))
    for path, kind, name, target, deps, sources in targets:
        folder = where[target] + "/x"
        if kind == "test" or is_test(folder) or all(is_test(os.path.join(where[target], s)) for s in sources):
            continue
        library = library_of(folder)
        if library is None or library not in allowed:
            continue
        for dep in deps:
            if not dep.startswith("megalith_") or dep == "megalith_flags":
                continue
            if dep.startswith("megalith_proto_"):
                if library.startswith(("foundation/", "programs/", "machines/")) and not name.endswith("_proto"):
                    problems.append(f"{path}: target {target} links {dep}; only *_proto targets may")
                continue
            if dep not in where:
                problems.append(f"{path}: target {target} links unknown {dep}")
                continue
            other = library_of(where[dep] + "/x")
            if other != library and other not in allowed[library]:
                problems.append(f"{path}: target {target} of {library} links {dep} of {other}")
    return problems


def check_protos(protos):
    """Every message field, enum value and RPC of ours has a comment right above; enum zeros are unspecified."""
    problems = []
    field = re.compile(r"^(?:repeated |optional )?[\w.<>, ]+ \w+ = \d+;|^map<.*> \w+ = \d+;")
    for path, text in protos.items():
        depth_kind, previous = [], ""
        for number, raw in enumerate(text.splitlines(), 1):
            line = raw.strip()
            opened = re.match(r"(message|enum|service|oneof)\s+(\w+)\s*\{", line)
            commented = previous.startswith("//")
            if line.startswith("rpc ") and not commented:
                problems.append(f"{path}:{number}: RPC without a comment: {line}")
            in_enum = bool(depth_kind) and depth_kind[-1] == "enum"
            if field.match(line) and not in_enum and not commented and not line.startswith("option"):
                problems.append(f"{path}:{number}: field without a comment: {line}")
            if in_enum and re.match(r"\w+ = 0;", line) and not line.split()[0].endswith("_UNSPECIFIED"):
                problems.append(f"{path}:{number}: enum zero must end in _UNSPECIFIED: {line}")
            if opened:
                depth_kind.append(opened.group(1))
                if line.endswith("}"):
                    depth_kind.pop()
            elif line.endswith("{"):
                depth_kind.append("block")
            elif line == "}" and depth_kind:
                depth_kind.pop()
            previous = line
    return problems


def check_events(files):
    """Every Log() call names a row of event_table.cc with its level, and every row is logged somewhere."""
    table_path = "common/foundation/telemetry/event_table.cc"
    rows = dict(re.findall(r'\{"(\w+)",\s*Level::(\w+)', files.get(table_path, "")))
    problems, used = [], set()
    call = re.compile(r'Log\(\s*(?:telemetry::)?Level::(\w+),\s*"(\w+)"')
    for path, text in files.items():
        if is_test(path) or path == table_path:
            continue
        code = re.sub(r"//.*", "", text)
        for level, event in call.findall(code):
            used.add(event)
            if event not in rows:
                problems.append(f"{path}: event {event} has no row in {table_path}")
            elif rows[event] != level:
                problems.append(f"{path}: event {event} is logged as {level}, its row says {rows[event]}")
    for event in sorted(set(rows) - used):
        problems.append(f"{table_path}: event {event} is never logged")
    return problems


def collect(root):
    files, cmake, protos = {}, {}, {}
    for top in ("common", "services", "clients", "tests", "bench", "protos"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in names:
                path = os.path.relpath(os.path.join(folder, name), root)
                if name.endswith((".h", ".cc")):
                    files[path] = read(os.path.join(root, path))
                elif name == "CMakeLists.txt":
                    cmake[path] = read(os.path.join(root, path))
                elif name.endswith(".proto") and path.startswith("protos/megalith/"):
                    protos[path] = read(os.path.join(root, path))
    return files, cmake, protos


def check(root):
    table = parse_table(read(os.path.join(root, "docs/architecture.md")))
    allowed = expand(table)
    files, cmake, protos = collect(root)
    return (check_table(table, allowed) + check_includes(files, table, allowed) + check_heavy(files) +
            check_cmake(cmake, table, allowed) + check_protos(protos) + check_events(files))


def self_test():
    """A checker that finds nothing proves nothing: each rule is shown one violation."""
    table = {"foundation/base": (0, []), "foundation/tensor": (1, []), "fleet/rpc": (3, ["foundation/tensor"]),
             "fleet/cache": (2, [])}
    allowed = expand(table)
    assert check_table(table, allowed) == []
    upward = dict(table, **{"fleet/cache": (2, ["fleet/rpc"])})
    assert "upward" in check_table(upward, expand(upward))[0]
    include = {"common/fleet/cache/a.h": '#include "common/fleet/rpc/b.h"\n'}
    assert "may not include" in check_includes(include, table, allowed)[0]
    assert check_includes({"common/fleet/cache/a_test.cc": include["common/fleet/cache/a.h"]}, table, allowed) == []
    testing = {"common/fleet/cache/a.cc": '#include "common/fleet/cache/testing/b.h"\n'}
    assert "for tests" in check_includes(testing, table, allowed)[0]
    assert check_heavy({"common/fleet/cache/a.h": "#include <grpcpp/server.h>\n"})
    assert check_heavy({"common/fleet/cache/a.cc": '#include "megalith/cache/v1/cache.pb.h"\n'})
    assert not check_heavy({"common/fleet/cache/a_proto.h": '#include "megalith/cache/v1/cache.pb.h"\n'})
    cmake = {"common/fleet/cache/CMakeLists.txt": "megalith_library(NAME cache SRCS a.cc DEPS megalith_rpc)",
             "common/fleet/rpc/CMakeLists.txt": "megalith_library(NAME rpc SRCS a.cc DEPS megalith_nope)"}
    assert len(check_cmake(cmake, table, allowed)) == 2
    assert check_protos({"p": "message M {\n  string a = 1;\n}\nenum E {\n  A = 0;\n}\nservice S {\n  rpc R(M) returns (M);\n}"}).__len__() == 3
    log = {"common/foundation/telemetry/event_table.cc": '{"a", Level::info, ""}, {"b", Level::info, ""}',
           "common/x/y/z.cc": 'Log(Level::warn, "a"); Log(Level::info, "c");'}
    assert len(check_events(log)) == 3
    print("self-test passed")


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return 0
    problems = check(sys.argv[1])
    for problem in problems:
        print(problem)
    print(f"{len(problems)} violations")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
