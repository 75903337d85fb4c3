#!/usr/bin/env python3
"""Compiles candle's CUDA kernels for the processor, and with them a stand-in for the CUDA libraries (driver.cpp).

    build.py FOLDER BINARY…

FOLDER gets the libraries; the binaries say which of them they are linked to, and which symbols they want. Needs g++ and binutils.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = ["affine", "binary", "cast", "conv", "fill", "indexing", "reduce", "ternary", "unary"]
COMPILER = ["g++", "-std=c++17", "-O2", "-w", "-fPIC"]
LIBRARY = re.compile(r"\[(lib(?:cuda|cublas|cublasLt|curand|cudnn|nvrtc)\.[^]]*)\]")
SYMBOL = re.compile(r"(?:cu[A-Z]|cublas|curand|nvrtc|cudnn)\w*")


def output(*command):
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout


def kernel_sources():
    metadata = json.loads(output("cargo", "metadata", "--format-version", "1", "--features", "cuda"))
    package = next(package for package in metadata["packages"] if package["name"] == "candle-kernels")
    return Path(package["manifest_path"]).parent / "src"


def compile_kernels(folder):
    """Objects of all kernels, and `kernels.h` with a way to call each by name."""
    work = folder / "kernels"
    (work / "cuda/std").mkdir(parents=True, exist_ok=True)
    shim = f'#include "{HERE.resolve()}/shim.h"\n'
    for header in ["compatibility.cuh", "cuda_fp16.h", "cuda_bf16.h", "cuda_fp8.h", "cuda.h"]:
        (work / header).write_text(shim)
    limits = "namespace cuda::std { template <typename T> struct numeric_limits : ::std::numeric_limits<T> {}; }\n"
    (work / "cuda/std/limits").write_text("#pragma once\n" + shim + limits)
    found, objects, sources = {}, [], kernel_sources()
    for header in ["binary_op_macros.cuh", "cuda_utils.cuh"]:
        (work / header).write_text((sources / header).read_text())
    for name in SOURCES:
        source = work / f"{name}.cpp"
        source.write_text(shim + (sources / f"{name}.cu").read_text())
        expanded = output(*COMPILER, "-I", work, "-E", "-P", source)
        for kernel, arguments in re.findall(r'extern\s+"C"\s+void\s+(\w+)\s*\(([^)]*)\)', expanded):
            types = [re.sub(r"\w+\s*$", "", argument).strip() for argument in arguments.split(",")]
            if not any(half in arguments for half in ["__half", "__nv_"]):
                found[kernel] = types
        objects.append(work / f"{name}.o")
        output(*COMPILER, "-I", work, "-c", source, "-o", objects[-1])
    (folder / "kernels.h").write_text(table(found))
    return objects


def table(kernels):
    lines = ["#pragma once", '#include "shim.h"', "#include <map>", "#include <string>", "#include <vector>"]
    lines += ["struct Kernel { void (*call)(void **); std::vector<int> sizes; };"]
    lines += [f'extern "C" void {name}({", ".join(types)});' for name, types in kernels.items()]
    lines += ["inline const std::map<std::string, Kernel> &kernels() {", "static const std::map<std::string, Kernel> all = {"]
    for name, types in kernels.items():
        values = ", ".join(f"*(std::remove_const_t<{kind}> *)a[{i}]" for i, kind in enumerate(types))
        sizes = ", ".join(f"sizeof({kind})" for kind in types)
        lines.append(f'{{"{name}", {{[](void **a) {{ {name}({values}); }}, {{{sizes}}}}}}},')
    return "\n".join(lines + ["};", "return all; }", ""])


def compile_library(folder, library):
    objects = compile_kernels(folder)
    made = library.with_suffix(".new")
    output(*COMPILER, "-I", folder, "-I", HERE, "-shared", HERE / "driver.cpp", *objects, "-o", made)
    made.rename(library)


def name_libraries(folder, library, binaries):
    """What programs find under the names of the CUDA libraries; the symbols of the stand-in go before."""
    there = set(re.findall(r" T (\w+)", output("nm", "-D", "--defined-only", library)))
    known = folder / "wanted.json"
    before = json.loads(known.read_text()) if known.exists() else {"symbols": [], "libraries": []}
    symbols, libraries = set(before["symbols"]), set(before["libraries"])
    for binary in binaries:
        undefined = re.findall(r" U (\w+)", output("nm", "-D", "--undefined-only", binary))
        symbols |= {name for name in undefined if SYMBOL.fullmatch(name)}
        libraries |= set(LIBRARY.findall(output("readelf", "-d", binary)))
    wanted = {"symbols": sorted(symbols), "libraries": sorted(libraries)}
    if wanted == before:
        return
    stop = '{{ fprintf(stderr, "CUDA stand-in: {0} is not there\\n"); abort(); }}'
    functions = [f"int {name}(void) " + stop.format(name) for name in sorted(symbols - there)]
    (folder / "missing.c").write_text("\n".join(["#include <stdio.h>", "#include <stdlib.h>", *functions, ""]))
    for name in sorted(libraries):
        (folder / "version").write_text(f"{name} {{ global: *; }};")
        options = [f"-Wl,-soname,{name}", f"-Wl,--version-script={folder / 'version'}"]
        output("gcc", "-shared", "-fPIC", "-w", *options, folder / "missing.c", "-o", folder / name)
    known.write_text(json.dumps(wanted))


def main(folder, binaries):
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / "libcuda-stand-in.so"
    if not library.exists() or any(path.stat().st_mtime > library.stat().st_mtime for path in HERE.iterdir()):
        compile_library(folder, library)
    name_libraries(folder, library, binaries)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
