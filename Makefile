# `make demo` shows the main job, `make test` proves it. Both fetch everything they need; Bun or npm must be on PATH.
BUN_VERSION := 1.4.5

ARCH := $(shell uname -m | sed -e s/x86_64/x64/ -e s/arm64/aarch64/)
SYSTEM := $(shell uname -s | tr A-Z a-z)
BUN_PACKAGE := @oven/bun-$(SYSTEM)-$(ARCH)

# The pinned Bun when it is on PATH, our own copy of it otherwise.
ifeq ($(shell bun --version 2>/dev/null),$(BUN_VERSION))
BUN := $(shell command -v bun)
else
BUN := $(CURDIR)/.tools/node_modules/$(BUN_PACKAGE)/bin/bun
endif

SOURCES := $(shell find src native -name '*.ts' -o -name '*.sol' -o -name '*.json') package.json bun.lock tsconfig.json
TARGET ?=
# Libraries for a GPU that go into the file: cuda or vulkan.
ENGINE ?=
DEMO_FLAGS ?=
FUZZ_FLAGS ?=

.PHONY: build test lint demo sim mutants faults soak week bench fuzz release clean format

build: dist/blindference$(if $(TARGET),-$(TARGET))$(if $(ENGINE),-$(ENGINE))

dist/blindference: $(SOURCES) node_modules/.installed
	$(BUN) native/build.ts --out $@

dist/blindference-test: $(SOURCES) node_modules/.installed
	$(BUN) native/build.ts --test-faults --out $@

ifneq ($(TARGET)$(ENGINE),)
dist/blindference$(if $(TARGET),-$(TARGET))$(if $(ENGINE),-$(ENGINE)): $(SOURCES) node_modules/.installed
	$(BUN) native/build.ts $(if $(TARGET),--target $(TARGET)) $(if $(ENGINE),--engine $(ENGINE)) --out $@
endif

# Two files at a time, each in a world of its own: most of them wait for processes and clocks.
test: lint dist/blindference dist/blindference-test
	$(BUN) test --parallel=2 --timeout 60000

lint: node_modules/.installed
	$(BUN) x tsc --noEmit
	$(BUN) x biome ci --error-on-warnings --colors=off
	$(BUN) native/contracts.ts --check
	$(BUN) native/engine-packages.ts --check
	$(BUN) native/install-scripts.ts --check

format: node_modules/.installed
	$(BUN) x biome check --write

demo: dist/blindference
	dist/blindference demo $(DEMO_FLAGS)

# The node in a simulated network, under faults that a seed decides: SIM_RUNS=2000 make sim, SEED=7 make sim.
sim: node_modules/.installed
	$(BUN) test/sim/run.ts

# Whether the simulation catches bugs that are planted for it.
mutants: node_modules/.installed
	$(BUN) test/sim/mutants.ts

# Nodes of the test build, killed with SIGKILL at every point of a job: FAULT_SEEDS=100 make faults.
faults: dist/blindference-test
	$(BUN) test/faults/run.ts

# An hour of a devnet on which everything fails one time in ten: SOAK_MINUTES=10 SEED=7 make soak.
soak: dist/blindference
	$(BUN) test/soak/hour.ts

# As many polls as a node makes in a week, and what its memory does meanwhile.
week: node_modules/.installed
	$(BUN) test/soak/week.ts

bench: dist/blindference
	$(BUN) test/bench/bench.ts

fuzz: node_modules/.installed
	$(BUN) test/fuzz/fuzz.ts $(FUZZ_FLAGS)

# dist/release: for each platform the executable, built twice and the same, and its SBOM; SHA256SUMS. One: TARGET=linux-x64 make release.
release: node_modules/.installed
	$(BUN) native/release.ts $(if $(TARGET),--target $(TARGET))

clean:
	rm -rf dist build node_modules .tools

node_modules/.installed: package.json bun.lock | $(BUN)
	$(BUN) install --frozen-lockfile --ignore-scripts --omit=optional
	touch $@

$(CURDIR)/.tools/node_modules/$(BUN_PACKAGE)/bin/bun:
	mkdir -p .tools
	echo '{"private":true}' > .tools/package.json
	cd .tools && if command -v npm >/dev/null; \
	  then npm install --no-save --ignore-scripts --no-audit --no-fund $(BUN_PACKAGE)@$(BUN_VERSION); \
	  else bun add --ignore-scripts $(BUN_PACKAGE)@$(BUN_VERSION); fi
	touch $@
