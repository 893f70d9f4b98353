"""Lets a PyTorch whose wheel is linked against NVIDIA's libraries run on the CPU without them.

PyPI's wheels need gigabytes of libraries that the CPU's path never calls. Libraries of the same names, versions and
functions take their place. What little calls them, such as a count of devices, gets the address of a page of zeros: as a
number an error, as a pointer an empty thing.
"""
import re
import subprocess
from collections import defaultdict

LIBRARY = re.compile(r"lib(cu|nccl|nv)")
FUNCTION = re.compile(r"\s+[Uw] (_*(?:cu|nccl|nvrtc|nvJit|nvshmem)\w*)(?:@(\S+))?$")


def lines(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()


def wanted(objects):
    """Names of the libraries that are linked, the versions asked of each, and the functions of each version."""
    linked, versions, functions = set(), defaultdict(set), defaultdict(set)
    for file in objects:
        linked |= {match[1] for line in lines("readelf", "-dW", file) if (match := re.search(r"NEEDED.*\[(.*)\]", line))}
        library = None
        for line in lines("readelf", "-VW", file):
            if match := re.search(r"File: (\S+)  Cnt", line):
                library = match[1]
            elif match := re.search(r"Name: (\S+)  Flags", line):
                versions[library].add(match[1])
        for line in lines("nm", "-D", file):
            if match := FUNCTION.match(line):
                functions[match[2]].add(match[1])
    return linked, versions, functions


def make(path, names, versions):
    source, script = path.with_suffix(".c"), path.with_suffix(".versions")
    body = "".join(f"void *{name}(void) {{ return zeros; }}\n" for name in sorted(names))
    source.write_text(f"static char zeros[4096];\n{body}")
    script.write_text("".join(f"{version} {{ global: {' '.join(f'{name};' for name in sorted(each) or ['none'])} }};\n"
                              for version, each in sorted(versions.items())))
    command = ["cc", "-shared", "-fPIC", "-w", "-fno-builtin", f"-Wl,-soname,{path.name}", "-o", path, source]
    subprocess.run(command + ([f"-Wl,--version-script,{script}"] if versions else []), check=True)
    source.unlink()
    script.unlink()


def fill(folder):
    """Makes what the libraries of `folder` need and do not have there."""
    objects = sorted(folder.glob("*.so*"))
    here = {file.name for file in objects}
    linked, versions, functions = wanted(objects)
    rest = functions[None]
    for name in sorted(linked - here):
        if LIBRARY.match(name):
            # Functions without a version may be in any.
            own = {version: functions[version] for version in versions[name]}
            make(folder / name, rest.union(*own.values()), own)
            rest = set()
