# The front door; everything it does is done by CMake and scripts/.
# CMake calls make again.
MAKEFLAGS += --no-print-directory

PRESET ?= release
CONFIG ?= configs/dynamic_inversion.toml
ARGS   ?=
JOBS   ?= $(shell nproc)
BUILD   = build/$(PRESET)

.PHONY: help setup configure build run test paper bench bench-learning bench-micro growth clean format

help:
	@echo "make run      install what is missing, build, and run $(CONFIG)"
	@echo "              CONFIG=FILE another configuration, ARGS=\"…\" more options of settle run"
	@echo "make test     build and run the tests; ARGS=\"…\" more options of ctest"
	@echo "make paper    the regressions of the dynamic-inversion paper, with their figures"
	@echo "make bench    time settle beside other ways to run the same circuits; ARGS=\"W1 W5\" some workloads"
	@echo "make growth   how time and memory grow with size, trials and 1/α, as growth.csv and growth.svg"
	@echo "make bench-learning   what an example costs by each rule, beside backpropagation"
	@echo "make bench-micro   time its parts by themselves"
	@echo "make build    build the program as $(BUILD)/settle"
	@echo "make setup    install what is missing of packages.txt"
	@echo "make format   lay the source files out with clang-format"
	@echo "make clean    remove build/"
	@echo
	@echo "PRESET=release (default), dev, asan or ci; JOBS=$(JOBS) compilers at once;"
	@echo "SETUP=no leaves installing to you"

setup:
ifneq ($(SETUP),no)
	@scripts/setup.sh
endif

configure: setup
	@cmake --preset $(PRESET) >/dev/null

build: configure
	@cmake --build $(BUILD) --target settle -j $(JOBS)

run: build
	$(BUILD)/settle run $(CONFIG) $(ARGS)

test: configure
	@cmake --build $(BUILD) --target tests -j $(JOBS)
	@ctest --test-dir $(BUILD) -j 2 --output-on-failure $(ARGS)

# The paper's regressions and their figures, in the current folder.
PAPER = linear_regression linear_regression_unit_norm nonlinear_regression nonlinear_regression_unit_teacher
paper: build
	@for name in $(PAPER); do \
	  $(BUILD)/settle run configs/$$name.toml --overwrite && \
	  $(BUILD)/settle plot $$name.h5 --figure errors,angles,stability || exit 1; \
	done

bench: configure
	@cmake --build $(BUILD) --target bench -j $(JOBS)
	@$(BUILD)/bench/bench $(ARGS)

growth: configure
	@cmake --build $(BUILD) --target bench_growth -j $(JOBS)
	@$(BUILD)/bench/bench_growth $(ARGS)

bench-learning: configure
	@cmake --build $(BUILD) --target bench_learning -j $(JOBS)
	@$(BUILD)/bench/bench_learning $(ARGS)

bench-micro: configure
	@cmake --build $(BUILD) --target bench_micro -j $(JOBS)
	@$(BUILD)/bench/bench_micro $(ARGS)

clean:
	rm -rf build

format: setup
	git ls-files -z '*.cpp' '*.hpp' | xargs -0 clang-format -i
