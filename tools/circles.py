#!/usr/bin/env python3
"""Finds files that import each other in a circle: tools/circles.py SRC_FOLDER...

Prints every group of files that reach each other, with what each imports of its group; the exit code is 1 if there is one.
An import counts for the file that defines the item. Declared modules, re-exports and tests are no imports.
"""

import re
import sys
from pathlib import Path

COMMENT_OR_STRING = re.compile(
    r"""//[^\n]*|/\*.*?\*/|\br(\#*)".*?"\1|"(?:\\.|[^"\\])*"|'(?:\\u\{[^}]*\}|\\x..|\\.|[^\\'])'""", re.DOTALL
)
TESTS = re.compile(r"#\[cfg\((?:test|all\(test\b[^\]]*)\)\]\s*(?:#\[[^\]]*\]\s*)*mod\s+(\w+)\s*([;{])")
INNER = re.compile(r"\bmod\s+\w+\s*\{")
DECLARED = re.compile(r"\bmod\s+(\w+)\s*;")
# Nothing is set in an import: `use href=…` is an element of SVG in a template.
USE = re.compile(r"(\bpub(?:\([^)]*\))?\s+)?\buse\s+([^;=]+);")
PATH = re.compile(r"(?<![\w:.])\w+(?:\s*::\s*\w+)+")
DEFINED = re.compile(r"\b(?:fn|struct|enum|union|trait|type|const|static|macro_rules!)\s+(\w+)")


def block_end(text, place):
    """The end of the block that was opened before `place`."""
    depth = 1
    while depth:
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        place += 1
    return place


def leaves(tree):
    """Paths of a use tree, each with the name that it gets: a::{b, c as d} has (a, b), b and (a, c), d."""
    while group := re.search(r"([\w:\s]*)\{([^{}]*)\}", tree):
        paths = ",".join(group[1] + part for part in group[2].split(",") if part.strip())
        tree = tree[: group.start()] + paths + tree[group.end() :]
    for part in filter(str.strip, tree.split(",")):
        path, _, name = part.partition(" as ")
        path = re.findall(r"\w+|\*", path)
        path = path[:-1] if path[-1] == "self" and len(path) > 1 else path
        yield path, name.strip() or path[-1]


class Module:
    """A file: what it defines, declares, imports and passes on, with all paths from the crate's root on."""

    def __init__(self, file, path):
        self.file, self.path, self.tests = file, path, []
        text = COMMENT_OR_STRING.sub('""', file.read_text())
        while found := TESTS.search(text):
            end = block_end(text, found.end()) if found[2] == "{" else found.end()
            self.tests += [path + (found[1],)] if found[2] == ";" else []
            text = text[: found.start()] + text[end:]
        for found in INNER.finditer(text):
            end = block_end(text, found.end())
            # One up is this file; as many letters as before leave later places where they are.
            text = text[: found.end()] + re.sub(r"\bsuper\b", " self", text[found.end() : end]) + text[end:]
        body = DECLARED.sub("", USE.sub("", text))
        self.defined, self.words = set(DEFINED.findall(body)), set(re.findall(r"\w+", body))
        self.bound = {name: path + (name,) for name in DECLARED.findall(text)}
        self.imports, self.globs = set(), []
        for public, tree in USE.findall(text):
            for leaf, name in leaves(tree):
                target = self.absolute(leaf)
                if target is not None and name == "*":
                    self.globs.append(target[:-1])
                elif target is not None:
                    self.bound[name] = target
                    self.imports |= {target} if not public or name in self.words else set()
        self.imports |= {self.absolute(re.findall(r"\w+", found)) for found in PATH.findall(body)} - {None}

    def absolute(self, path):
        """The path from the root on; None for one that leads out of the crate."""
        first, rest, here = path[0], tuple(path[1:]), self.path
        if first == "crate":
            return rest
        if first == "self":
            return here + rest
        if first == "super":
            here = here[:-1]
            while rest[:1] == ("super",):
                here, rest = here[:-1], rest[1:]
            return here + rest
        return self.bound[first] + rest if first in self.bound else None


def modules(folder):
    """The modules of a crate by their paths, without those that are tests."""
    found = {}
    for file in sorted(folder.rglob("*.rs")):
        path = file.relative_to(folder).with_suffix("").parts
        path = path[:-1] if path[-1] in ("mod", "lib", "main") else path
        found.setdefault(path, Module(file, path))
    tests = [path for module in found.values() for path in module.tests]
    return {path: module for path, module in found.items() if not any(path[: len(test)] == test for test in tests)}


def definer(crate, path, seen=()):
    """The module that defines what `path` names."""
    place = max((path[:end] for end in range(len(path) + 1) if path[:end] in crate), key=len)
    module, rest = crate[place], path[len(place) :]
    if not rest or path in seen:
        return place
    if rest[0] in module.bound and module.bound[rest[0]] != path:
        return definer(crate, module.bound[rest[0]] + rest[1:], seen + (path,))
    for glob in module.globs:
        other = definer(crate, glob + rest, seen + (path,))
        if rest[0] in crate[other].defined:
            return other
    return place


def imports(crate, module):
    """The other modules that define what a module's file imports."""
    paths = set(module.imports)
    for glob in module.globs:
        names = crate[glob].defined | set(crate[glob].bound) if glob in crate else set()
        paths |= {glob + (name,) for name in names & module.words}
    # A module by itself is only the way to what is named through it.
    return {definer(crate, path) for path in paths if path not in crate} - {module.path}


def circles(edges):
    """Groups of modules that reach each other."""
    reached = {start: set(edges[start]) for start in edges}
    for start, found in reached.items():
        waiting = list(found)
        while waiting:
            new = edges[waiting.pop()] - found
            found |= new
            waiting.extend(new)
    return sorted({frozenset(b for b in reached[a] if a in reached[b]) for a in edges if a in reached[a]}, key=sorted)


def main(folders):
    found = False
    for folder in map(Path, folders):
        crate = modules(folder)
        edges = {path: imports(crate, module) for path, module in crate.items()}
        for group in circles(edges):
            print(f"{folder}: {len(group)} files import each other in a circle")
            for path in sorted(group):
                names = (str(crate[to].file.relative_to(folder)) for to in sorted(edges[path] & group))
                print(f"  {crate[path].file.relative_to(folder)} imports {', '.join(names)}")
            found = True
    return int(found)


sys.exit(main(sys.argv[1:]) if sys.argv[1:] else "name folders of source files")
