#!/usr/bin/env python3
"""Counts what the crates export, from the pages of `cargo doc`: tools/public_items.py DOC_FOLDER [--list]

Per crate: items (types, traits, functions, constants), and inherent methods and trait methods on their pages. What another
crate re-exports counts where it is defined. With --list each item stands on a line of its own.
"""

import re
import sys
from pathlib import Path

ITEM = re.compile(r'<li><a href="([^"]+)">([^<]+)</a></li>')
METHOD = re.compile(r'id="(?:ty)?method\.')
# Blanket and derived implementations come after these headings, and are nobody's decision.
FOREIGN = re.compile(r'id="(?:trait-implementations|synthetic-implementations|blanket-implementations)-list"')


def count(folder, crate, listing):
    items = ITEM.findall((folder / crate / "all.html").read_text())
    methods = 0
    for href, name in items:
        page = (folder / crate / href).read_text()
        own = FOREIGN.split(page)[0]
        methods += len(METHOD.findall(own))
        if listing:
            kind = Path(href).name.split(".")[0]
            print(f"{crate}::{name} ({kind})")
    return len(items), methods


def main():
    folder = Path(sys.argv[1])
    totals = [0, 0]
    rows = []
    for page in sorted(folder.glob("longvu*/all.html")):
        found = count(folder, page.parent.name, "--list" in sys.argv)
        rows.append((page.parent.name, *found))
        totals = [total + more for total, more in zip(totals, found)]
    for row in [*rows, ("together", *totals)]:
        print("%-20s %4d items %5d methods" % row)


main()
