"""Build backend of the package (PEP 517): packs the Python files and the shared libraries of the release build.

`make wheel` calls it after compiling. `pip install clients/python` works too: libraries that are missing are compiled
then, which takes Debian's packages (`make deps`) and some minutes. Environment: MEGALITH_LIBRARIES, the folder with the
compiled libraries (default build/release/lib of the repository).
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
PLUGIN = ("libmegalith_pjrt.so", "libmegalith_pjrt_client.so", "libmegalith_codegen_llvm.so",
          "libmegalith_pjrt_remote.so")
# What every Linux with Python has; everything else that a library needs goes into the wheel.
SYSTEM = re.compile(r"^(linux-vdso|ld-linux.*|libc|libm|libdl|librt|libpthread|libstdc\+\+|libgcc_s)\.so")


def _libraries():
    folder = pathlib.Path(os.environ.get("MEGALITH_LIBRARIES", ROOT / "build/release/lib"))
    if not all((folder / name).exists() for name in PLUGIN):
        if "MEGALITH_LIBRARIES" in os.environ:
            raise SystemExit(f"MEGALITH_LIBRARIES={folder} does not hold {', '.join(PLUGIN)}")
        subprocess.run(["cmake", "--preset", "release"], cwd=ROOT, check=True, stdout=sys.stderr)
        subprocess.run(["cmake", "--build", "build/release", "--target", "megalith_pjrt"], cwd=ROOT, check=True,
                       stdout=sys.stderr)
    files = {name: folder / name for name in PLUGIN}
    for name in PLUGIN:
        listed = subprocess.run(["ldd", str(folder / name)], capture_output=True, text=True, check=True).stdout
        for library, path in re.findall(r"^\s*(\S+) => (/\S+)", listed, re.M):
            if not SYSTEM.match(library):
                files.setdefault(library, pathlib.Path(path))
    return files


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
    for name, path in sorted(_libraries().items()):
        files[f"megalith/lib/{name}"] = path.read_bytes()
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
