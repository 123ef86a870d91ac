#!/usr/bin/env python3
"""Checks that every floor includes only itself and what stands below it, and that each library
stays in the rooms that own it. Prints file:line: message and exits 1 where one does not."""

import re
import sys
from pathlib import Path

FLOORS = [  # from the ground up
    "sim/core", "sim/system", "sim/solve", "sim/io", "models", "analysis", "learning", "cli",
]
GENERATED = {"settle_version.hpp": ("sim/io/", "cli/"), "settle_revision.hpp": ("sim/io/", "cli/")}
LIBRARIES = [  # what, its headers, where they may appear
    ("HDF5", r"hdf5(_hl)?\.h|H5\w*\.h", "sim/io/"),
    ("zlib", r"zlib\.h", "sim/io/"),
    ("toml++", r"toml(\+\+)?(/.*|\.hpp|\.h)", "sim/io/"),
    ("Odeint", r"boost/numeric/(odeint|ublas)\b.*", "sim/solve/"),
    ("SUNDIALS", r"(cvodes?|arkode|idas?|kinsol|nvector|sundials|sunmatrix|sunlinsol|sunnonlinsol|sunmemory)/.*",
     "sim/solve/"),
    ("Eigen's decompositions", r"(unsupported/)?Eigen/(Dense|Eigen|Eigenvalues|SVD|QR|LU|Cholesky|MatrixFunctions|IterativeSolvers)",
     "sim/core/linalg.cpp"),
    ("LAPACK", r"(lapacke|cblas)(_.*)?\.h|openblas.*", "sim/core/linalg.cpp"),
]
INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')


def floor_of(path):
    return next((f for f in FLOORS if path.startswith(f + "/")), None)


def complaint(file, quoted, header):
    """Why `file` may not include `header`, or None."""
    for name, pattern, home in LIBRARIES:
        if re.fullmatch(pattern, header) and not file.startswith(home):
            return f"{name} (<{header}>) belongs to {home} alone"
    if header in GENERATED:
        homes = GENERATED[header]
        return None if file.startswith(homes) else f"{header} belongs to {' and '.join(homes)}"
    theirs = floor_of(header)
    if theirs is None:
        return f'"{header}" is not a path from the root to a floor' if quoted else None
    ours = floor_of(file)
    if FLOORS.index(theirs) > FLOORS.index(ours):
        return f"{ours} stands below {theirs} and may not include {header}"
    return None


def main():
    root = Path(__file__).resolve().parent.parent
    found = 0
    for top in ("sim", "models", "analysis", "learning", "cli"):
        for path in sorted((root / top).rglob("*.[ch]pp")):
            file = path.relative_to(root).as_posix()
            if floor_of(file) is None:
                print(f"{file}:1: stands on no floor")
                found += 1
                continue
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                match = INCLUDE.match(line)
                why = complaint(file, match[1] == '"', match[2]) if match else None
                if why:
                    print(f"{file}:{number}: {why}")
                    found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
