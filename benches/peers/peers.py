"""Those that ours is compared with: how each is installed, and how its programs are started."""
import os
import platform
import shutil
import subprocess
import tarfile
from pathlib import Path

import stand_in

HERE = Path(__file__).resolve().parent
PYTHONS = ["python3", "python3.11", "python3.10", "python3.9", "python3.8"]


class Absent(Exception):
    """Why a peer can't be had on this machine."""


def run(*command, **options):
    command = [str(word) for word in command]
    try:
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    except OSError as error:
        raise Absent(f"`{command[0]}` does not start: {error}") from error
    if result.returncode:
        last = (result.stdout.strip().splitlines() or ["no word of why"])[-1]
        raise Absent(f"`{' '.join(command[:4])} ...` failed: {last}")


def python():
    """A Python that PyTorch 2.1.2 has wheels for."""
    for name in filter(None, [os.environ.get("PYTHON"), *PYTHONS]):
        check = "import sys; sys.exit(not (3, 8) <= sys.version_info[:2] <= (3, 11))"
        if shutil.which(name) and subprocess.run([name, "-c", check]).returncode == 0:
            return name
    raise Absent("the packages need Python 3.8 to 3.11, and none was found; name one in PYTHON")


class Peer:
    """`formats` are those that stand against one of ours, by the name of ours; `level`, of LONGVU_KERNELS, that of the rows
    that it stands beside."""
    name = title = None
    formats = {}
    packages = []
    # How many of the packages a table names.
    named = 1
    level = None

    def __init__(self, folder):
        self.folder = folder

    @property
    def versions(self):
        return self.packages[:self.named]

    def times(self, case):
        """Whether it has the case."""
        return case.bound != "else"

    def prepare(self, say):
        """Installs what is not there, or raises `Absent`."""
        raise NotImplementedError

    def command(self, case, form, runs, threads):
        raise NotImplementedError

    def environment(self, folder, install, say):
        """The interpreter of a virtual environment that `install` filled, once."""
        stamp, wanted = folder / "packages", "\n".join(self.packages)
        if not stamp.exists() or stamp.read_text() != wanted:
            say(f"installing {' '.join(self.packages)}")
            shutil.rmtree(folder, ignore_errors=True)
            folder.parent.mkdir(parents=True, exist_ok=True)
            run(python(), "-m", "venv", folder)
            install(lambda *words: run(folder / "bin" / "pip", "install", "-q", *words))
            stamp.write_text(wanted)
        return folder / "bin" / "python"


class PyTorch21(Peer):
    """What LongVU's package was made with; also decord and Pillow, which prepare its videos."""
    name, title = "pytorch-2.1", "PyTorch 2.1, f32"
    formats = {label: ["f32"] for label in ("f32", "f16", "bf16", "int8", "int4", "")}
    packages = ["torch==2.1.2", "numpy==1.26.4", "transformers==4.42.4", "decord==0.6.0", "pillow==10.4.0"]
    named = 5

    def times(self, case):
        return True

    def prepare(self, say):
        self.interpreter = self.environment(self.folder / "venv", lambda pip: pip(*self.packages), say)

    def command(self, case, form, runs, threads):
        return [self.interpreter, HERE / "pytorch.py", case.name, "--format", form, "--runs", runs]

    def video(self, clip):
        return [self.interpreter, HERE / "decord_pillow.py", clip, "1"]


class PyTorch(Peer):
    """A current one, whose wheel is for GPUs too."""
    name, title = "pytorch", "PyTorch 2.15"
    formats = {"f32": ["f32"], "bf16": ["bf16"]}
    packages = ["torch==2.15.0", "transformers==5.24.0", "numpy==2.4.6", "filelock", "typing-extensions", "sympy", "networkx",
                "jinja2", "fsspec"]
    named = 2

    def times(self, case):
        return case.name != "video"

    def prepare(self, say):
        venv = self.folder / "pytorch"

        def install(pip):
            wheel, *rest = self.packages
            pip("--no-deps", wheel)
            pip(*rest)
            try:
                stand_in.fill(next(venv.glob("lib/python3*/site-packages/torch/lib")))
            except (OSError, subprocess.CalledProcessError) as error:
                raise Absent(f"nothing could stand in for NVIDIA's libraries: {error}") from error
            run(venv / "bin" / "python", "-c", "import torch")
        self.interpreter = self.environment(venv, install, say)

    command = PyTorch21.command


class OpenVINO(Peer):
    name, title = "openvino", "OpenVINO 2026.4"
    formats = {label: [label] for label in ("f32", "bf16", "int8", "int4")}
    packages = ["openvino==2026.4.1", "numpy==2.4.6"]

    def prepare(self, say):
        self.interpreter = self.environment(self.folder / "openvino", lambda pip: pip(*self.packages), say)

    def command(self, case, form, runs, threads):
        return [self.interpreter, HERE / "openvino_layers.py", case.name, "--format", form, "--runs", runs,
                "--threads", threads]


class LlamaCpp(Peer):
    """llama-bench, built for this machine from the source that PyPI has."""
    name, title = "llama.cpp", "llama.cpp"
    formats = {"bf16": ["BF16"], "int8": ["Q8_0"], "int4": ["Q4_0", "Q4_K_M"]}
    source = "llama-cpp-python==0.3.36"
    packages = ["gguf==0.19.0", "numpy==2.4.6", "cmake==4.4.5", "ninja==1.13.2"]
    build = ["-DGGML_NATIVE=ON"]
    common = ["-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=OFF", "-DGGML_CCACHE=OFF", "-DLLAMA_OPENSSL=OFF",
              *(f"-DLLAMA_BUILD_{part}=OFF" for part in ("TESTS", "EXAMPLES", "SERVER", "APP"))]
    # Its code for AMX ends with an illegal instruction on some machines. GGML_NATIVE means what the compiler finds.
    no_tiles = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"

    @property
    def versions(self):
        return [self.source]

    def times(self, case):
        return case.name.startswith(("qwen2-", "llama-")) and not case.name.endswith("lm-head")

    def prepare(self, say):
        home = self.folder / "llama.cpp"
        self.interpreter = self.environment(home / "venv", lambda pip: pip(*self.packages), say)
        self.models = home / "models"
        self.bench = home / self.name / "llama-bench"
        stamp, wanted = self.bench.with_suffix(".build"), "\n".join([self.source, *self.build, *self.common])
        if not stamp.exists() or stamp.read_text() != wanted:
            self.make(home, self.fetched(home, say), say)
            stamp.write_text(wanted)

    def fetched(self, home, say):
        """The folder of the source."""
        source = home / self.source.replace("==", "-")
        if not source.exists():
            say(f"fetching {self.source}")
            pip = [home / "venv" / "bin" / "pip", "download", "-q", "--no-deps", "--no-binary", "llama-cpp-python"]
            run(*pip, "-d", home, self.source)
            archive = next(home.glob("llama_cpp_python-*.tar.gz"))
            part = home / "part"
            shutil.rmtree(part, ignore_errors=True)
            with tarfile.open(archive) as tar:
                tar.extractall(part, [member for member in tar if "/vendor/llama.cpp/" in member.name], filter="data")
            next(part.glob("*/vendor/llama.cpp")).rename(source)
            shutil.rmtree(part)
            archive.unlink()
        return source

    def make(self, home, source, say):
        say(f"building {self.name}")
        programs, folder = home / "venv" / "bin", self.bench.parent / "build"
        shutil.rmtree(folder, ignore_errors=True)
        languages = ("C", "CXX") if platform.machine() == "x86_64" else ()
        flags = [f"-DCMAKE_{language}_FLAGS={self.no_tiles}" for language in languages]
        env = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        run(programs / "cmake", "-G", "Ninja", "-S", source, "-B", folder, *self.common, *self.build, *flags, env=env)
        run(programs / "ninja", "-C", folder, "llama-bench", env=env)
        (folder / "bin" / "llama-bench").rename(self.bench)
        shutil.rmtree(folder)

    def command(self, case, form, runs, threads):
        return [self.interpreter, HERE / "llama_cpp.py", case.name, "--bench", self.bench, "--models", self.models,
                "--format", form, "--runs", runs, "--threads", threads]


class LlamaCppAvx2(LlamaCpp):
    """The same with AVX2 and nothing wider."""
    name, title, level = "llama.cpp-avx2", "llama.cpp", "avx2"
    build = ["-DGGML_NATIVE=OFF", *(f"-DGGML_{name}=ON" for name in ("SSE42", "AVX", "AVX2", "FMA", "F16C", "BMI2")),
             "-DGGML_AVX_VNNI=OFF", "-DGGML_AVX512=OFF"]


PEERS = [PyTorch21, PyTorch, OpenVINO, LlamaCpp, LlamaCppAvx2]
