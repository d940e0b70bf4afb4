"""Build backend of the package (PEP 517): packs the Python files and the shared libraries of the release build.

`make wheel` calls it after compiling. `pip install clients/python` works too: libraries that are missing are compiled
then, which takes Debian's packages (`make deps`) and some minutes. Environment: MEGALITH_LIBRARIES, the folder with the
compiled libraries (default build/release/lib of the repository).

The wheel carries what the libraries need beside them: they are linked with the path $ORIGIN. Of what they open while
they run that is OpenBLAS. The licence of everything carried is in the wheel's folder `licenses`.
"""

import base64
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tomllib
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SCHEMAS = "megalith_services.binpb"
# Opened by name while programs run (common/machines/kernels/lapack_library.cc); carried if this machine has it.
OPENED = ("libopenblas.so.0",)
TARGETS = ("megalith_pjrt", "megalith_codegen_llvm", "megalith_schemas")
PLUGIN = ("libmegalith_pjrt.so", "libmegalith_pjrt_client.so", "libmegalith_codegen_llvm.so",
          "libmegalith_pjrt_remote.so")
# What every Linux with Python has; everything else that a library needs goes into the wheel.
SYSTEM = re.compile(r"^(linux-vdso|ld-linux.*|libc|libm|libdl|librt|libpthread|libstdc\+\+|libgcc_s)\.so")


def _libraries():
    """The files of the folder of libraries: name -> path."""
    folder = pathlib.Path(os.environ.get("MEGALITH_LIBRARIES", ROOT / "build/release/lib"))
    wanted = (*PLUGIN, SCHEMAS)
    if not all((folder / name).exists() for name in wanted):
        if "MEGALITH_LIBRARIES" in os.environ:
            raise SystemExit(f"MEGALITH_LIBRARIES={folder} does not hold {', '.join(wanted)}")
        subprocess.run(["cmake", "--preset", "release"], cwd=ROOT, check=True, stdout=sys.stderr)
        subprocess.run(["cmake", "--build", "build/release", "--target", *TARGETS], cwd=ROOT, check=True,
                       stdout=sys.stderr)
    files = {name: folder / name for name in wanted}
    for name in PLUGIN:
        _add_needed(folder / name, files)
    for name in OPENED:
        path = _find(name)
        if path is None:
            print(f"build_wheel.py: {name} is not installed; factorizations will be slower", file=sys.stderr)
            continue
        files[name] = path
        _add_needed(path, files)
    return files


def _add_needed(library, files):
    listed = subprocess.run(["ldd", str(library)], capture_output=True, text=True, check=True).stdout
    missing = re.findall(r"^\s*(\S+) => not found", listed, re.M)
    if missing:
        raise SystemExit(f"{library} needs {', '.join(missing)}, which is not installed: run `make deps`")
    for name, path in re.findall(r"^\s*(\S+) => (/\S+)", listed, re.M):
        if not SYSTEM.match(name):
            files.setdefault(name, pathlib.Path(path))


def _find(name):
    """Where the dynamic linker has a library, or None."""
    found = re.search(rf"^\s*{re.escape(name)} .*=> (/\S+)$",
                      subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout, re.M)
    return pathlib.Path(found.group(1)) if found else None


def _licences(libraries):
    """Licence texts: ours, and those of the Debian packages that the carried files are from."""
    texts = {"LICENSE": (ROOT / "LICENSE").read_bytes()}
    linked_in = ("llvm-19-dev", "libprotobuf-dev", "libabsl-dev", "libgrpc++-dev", "libstdc++-12-dev")
    packages = {*linked_in, *(_package(path) for name, path in libraries.items() if name not in (*PLUGIN, SCHEMAS))}
    for package in sorted(filter(None, packages)):
        text = pathlib.Path(f"/usr/share/doc/{package}/copyright")
        if text.exists():
            texts[f"{package}.txt"] = text.read_bytes()
        elif package not in linked_in:
            raise SystemExit(f"{text} does not exist: a library may not be carried without its licence")
    return texts


def _package(path):
    for place in (path, path.resolve(), pathlib.Path("/usr") / str(path).lstrip("/"),
                  pathlib.Path("/usr") / str(path.resolve()).lstrip("/")):
        for name in (str(place), str(place).removeprefix("/usr")):
            found = subprocess.run(["dpkg-query", "-S", name], capture_output=True, text=True)
            if found.returncode == 0 and not found.stdout.startswith("diversion"):
                return found.stdout.split(":")[0]
    raise SystemExit(f"{path} is of no Debian package, so that its licence is not known")


def _metadata(project):
    lines = ["Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}",
             f"Summary: {project['description']}", f"Requires-Python: {project['requires-python']}",
             f"License: {project['license']['text']}"]
    lines += [f"Requires-Dist: {d}" for d in project["dependencies"]]
    for extra, names in project["optional-dependencies"].items():
        lines += [f"Provides-Extra: {extra}"] + [f'Requires-Dist: {n}; extra == "{extra}"' for n in names]
    return "\n".join(lines) + "\n"


def _project():
    return tomllib.loads((HERE / "pyproject.toml").read_text())["project"]


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    project = _project()
    stem = f"{project['name']}-{project['version']}"
    tag = "py3-none-linux_x86_64"
    info = f"{stem}.dist-info"
    files = {}
    for path in sorted((HERE / "megalith").rglob("*")):
        if path.is_file() and path.suffix in (".py", ".pyi", ".typed"):
            files[str(path.relative_to(HERE))] = path.read_bytes()
    libraries = _libraries()
    for name, path in sorted(libraries.items()):
        files[f"megalith/lib/{name}"] = path.read_bytes()
    for name, text in sorted(_licences(libraries).items()):
        files[f"{info}/licenses/{name}"] = text
    points = "".join(f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items())
                     for group, entries in project["entry-points"].items())
    files[f"{info}/METADATA"] = _metadata(project).encode()
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: megalith\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()
    files[f"{info}/entry_points.txt"] = points.encode()
    record = ""
    name = f"{stem}-{tag}.whl"
    partial = pathlib.Path(wheel_directory) / f".{name}.partial"
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, data in files.items():
            entry = zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0))  # equal inputs give equal wheels
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o755 if ".so" in path else 0o644) << 16
            wheel.writestr(entry, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record += f"{path},sha256={digest},{len(data)}\n"
        wheel.writestr(zipfile.ZipInfo(f"{info}/RECORD", (2020, 1, 1, 0, 0, 0)), record + f"{info}/RECORD,,\n")
    partial.replace(pathlib.Path(wheel_directory) / name)
    return name


def build_sdist(sdist_directory, config_settings=None):
    raise SystemExit("the package is built from the repository, not from a source archive")


if __name__ == "__main__":
    target = sys.argv[1] if len(sys.argv) > 1 else "."
    pathlib.Path(target).mkdir(parents=True, exist_ok=True)
    print(os.path.join(target, build_wheel(target)))
