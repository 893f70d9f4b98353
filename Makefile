# `make help` lists the targets. Artefacts go to CARGO_TARGET_DIR where it is set, else to ./target.

SHELL := bash
.SHELLFLAGS := -eo pipefail -c
DEMO = $${CARGO_TARGET_DIR:-target}/demo
QUESTION := Is there a square in the video?

# No build names a package: all then mean the default members with one set of features, and burn is built once.
NEXTEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo yes)

.PHONY: help deps build test outside demo check fmt cuda-check test-backends package train-mini bench bench-peers fuzz deploy-test client-test load-test browser-test check-wasm browser-example test-browser

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

deps: ## what the build needs beside Rust
	@tools/deps.sh

build: deps ## every crate, example and test
	cargo build --all-targets

test: deps ## the whole test suite
ifeq ($(NEXTEST),yes)
	cargo nextest run
else
	cargo test --lib --bins --tests
endif
	LONGVU_KERNELS=off cargo test --test golden
	cargo test --doc
	@tools/outside.sh

outside: deps ## the README's program and examples/embedding, outside the workspace and against the packed crates
	@tools/outside.sh

demo: deps ## draws a video, asks the built-in model about it, and shows what it looked at
	cargo build --bins
	@echo
	$${CARGO_TARGET_DIR:-target}/debug/longvu demo $(DEMO)
	$${CARGO_TARGET_DIR:-target}/debug/longvu ask $(DEMO)/demo.mp4 "$(QUESTION)"

# Sources whose files import each other in one direction.
ONE_WAY = src longvu-cli/src longvu-compress/src longvu-core/src longvu-eval/src longvu-llm/src longvu-server/src longvu-vision/src

check: ## formatting, imports, lints and documentation
	cargo fmt --all --check
	@if command -v python3 >/dev/null; then tools/circles.py $(ONE_WAY); else echo "skipped: python3 is not installed"; fi
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

fmt: ## formats the code
	cargo fmt --all

# With DOCS_RS set, cubecl's build script does not download LLVM: the code is type-checked and not linked.
cuda-check: deps ## type-checks the CUDA build, which needs no GPU
	DOCS_RS=1 cargo check -p longvu --no-default-features --features cuda,hub,video

# BACKEND is ndarray, webgpu, vulkan, cubecl-cpu or cuda-link; TESTS names some of the golden tests.
BACKEND ?= webgpu
test-backends: ## golden cases and `longvu doctor` on a backend that needs no GPU: BACKEND=…
	@tools/backends.sh $(BACKEND) $(TESTS)

deploy-test: deps ## tests of deploy/: a Ray cluster on this machine, the Slurm script, the Kubernetes manifest, the server's files
	@tools/deploy.sh $(TESTS)

client-test: deps ## OpenAI's Python client against `longvu serve`
	@tools/clients.sh $(TESTS)

load-test: deps ## 1 to 64 clients at once against `longvu serve`, LOAD_SECONDS each
	@tools/load.sh

# TESTS names some, as test_page.Keys; LONGVU_TEST_SCREENSHOTS a folder for pictures.
browser-test: deps ## tests of the server's page in a headless Chromium
	@tools/browser.sh $(TESTS)

# Rust's target for WebAssembly, or root, who gets a compiler that has it into a folder.
check-wasm: ## type-checks the library for a browser, on the processor and on WebGPU
	@tools/wasm.sh check

browser-example: ## builds examples/browser into a folder for any web host
	@tools/wasm.sh page

# TESTS and LONGVU_TEST_SCREENSHOTS as for browser-test.
test-browser: deps ## tests of that page in a headless Chromium
	@tools/wasm.sh test $(TESTS)

package: deps ## packs every crate and checks the sizes
	@tools/package.sh

# Goes on where it was stopped; MAXIMUM="--max-minutes 60" stops it after a while.
train-mini: deps ## trains the built-in model again from nothing, in hours
	cargo build --release --workspace --bins --features longvu-cli/mimalloc
	MIMALLOC_PURGE_DELAY=-1 $${CARGO_TARGET_DIR:-target}/release/longvu train runs/miniature --model configs/longvu_miniature \
		--from-scratch --recipe configs/longvu_miniature/recipe.json $(MAXIMUM)

bench: deps ## times kernels, stages, preprocessing, decoding and one layer of each model
	cargo bench -p longvu-benches --bench kernels --bench stages --bench models --bench video

# CASES names some of benches/peers/cases.py, ARGS is passed on: make bench-peers CASES="dinov2 siglip" ARGS="--rounds 5"
bench-peers: deps ## times the program beside PyTorch, OpenVINO and llama.cpp, in turn, and prints tables of ratios
	benches/peers/run.py measure $(CASES) $(ARGS)

# The tests run the same targets on fuzz/corpus, and for two seconds each on random changes of it. This goes on from there,
# guided by coverage, with cargo-fuzz on the stable compiler. TARGETS names some of fuzz/fuzz_targets, RUNS bounds executions.
SECONDS ?= 60
RUNS ?= -1
TARGETS ?= $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))
fuzz: deps ## runs every fuzz target for SECONDS
	@cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz
	RUSTC_BOOTSTRAP=1 cargo fuzz build -s none
	set -e; export TMPDIR=$$(mktemp -d); trap 'rm -rf $$TMPDIR' EXIT; for target in $(TARGETS); do \
		mkdir -p fuzz/found/$$target; echo "== $$target"; \
		RUSTC_BOOTSTRAP=1 cargo fuzz run -s none $$target fuzz/found/$$target fuzz/corpus/$$target -- \
			-max_total_time=$(SECONDS) -runs=$(RUNS) -timeout=10 -rss_limit_mb=3000 -max_len=20000 -print_final_stats=1; \
	done
