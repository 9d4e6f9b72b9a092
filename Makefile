# The ways to build, test and try Tidewatch. Everything is built once, in release mode, under .build:
# the property tests need that speed, and tests, demo and CI share what it compiles.

SWIFT ?= swift
SWIFT_FLAGS ?=
# `make demo ARGS="--duration 30s"`, `make test ARGS="--filter Rules"`
ARGS ?=
# `make fuzz TARGET=native TIME=600`
TARGET ?= reader
TIME ?= 60

BUILD_FLAGS = -c release $(SWIFT_FLAGS)
# Tests use no @testable; without this they would compile everything a second time.
TEST_FLAGS = $(BUILD_FLAGS) --disable-testable-imports
BINARY = .build/release/tidewatch
SOURCES = Package.swift Sources Tests

# Where `make install` puts things; DESTDIR comes before all of it.
PREFIX ?= /usr
DESTDIR ?=

.PHONY: help deps build install test test-threads torture measure bench bench-page counts demo check check-data simulate planted fuzz format format-check clean

help:
	@echo "make demo           install what is missing, build, and run the main job on an embedded broker (Ctrl-C ends it)"
	@echo "make test           install what is missing and run all tests"
	@echo "make test-threads   run the hand-off between threads under the thread sanitizer"
	@echo "make torture        kill, stop and freeze real processes under load: CYCLES=100 (see CONTRIBUTING.md)"
	@echo "make measure        print the time without processing after restarts and kill -9, on the broker of TIDEWATCH_TEST_BOOTSTRAP"
	@echo "make bench          measure this build: ARGS=\"--bootstrap HOST:PORT --only run,replay --events 1000000 --runs 3\""
	@echo "make counts         hold allocations and instructions per event to their thresholds (instructions: with valgrind)"
	@echo "make bench-page     put the results of make bench into the documentation"
	@echo "make build          install what is missing and build $(BINARY)"
	@echo "make install        what a server needs, without the toolchain: DESTDIR=/tmp/package PREFIX=/usr"
	@echo "make simulate       run the daemon against a modelled Kafka, disk and clock: SEEDS=10000, or SEED=N"
	@echo "make planted        see whether the simulator finds planted defects"
	@echo "make check          check the configuration in config/"
	@echo "make check-data     import and replay the published data sets in ../shared/data"
	@echo "make fuzz           fuzz TARGET (reader, outbox, native, segment, engine, rules, config, tag) for TIME seconds"
	@echo "make format         format all Swift sources in place"
	@echo "make format-check   fail if anything is not formatted"
	@echo "make deps           install missing C libraries through apt-get (done by the others too)"
	@echo "make clean          remove .build"

deps:
	@.ci/deps

build: deps
	$(SWIFT) build $(BUILD_FLAGS) --product tidewatch

# The program looks for Swift's runtime beside itself: it lies there, and a link to it in bin.
LIBRARY = $(DESTDIR)$(PREFIX)/lib/tidewatch
install: build
	install -d $(LIBRARY) $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/doc/tidewatch $(DESTDIR)/etc/tidewatch
	install $(BINARY) $(LIBRARY)/tidewatch
	ldd $(BINARY) | awk '$$3 ~ /\/swift\/linux\// { print $$3 }' | xargs -I{} install -m 644 {} $(LIBRARY)
	ln -sf ../lib/tidewatch/tidewatch $(DESTDIR)$(PREFIX)/bin/tidewatch
	install -m 644 README.md $(DESTDIR)$(PREFIX)/share/doc/tidewatch
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -m 644 deploy/systemd/*.service $(DESTDIR)$(PREFIX)/lib/systemd/system
	for file in tidewatch.yaml tags.yaml; do \
	  test -e $(DESTDIR)/etc/tidewatch/$$file || install -m 640 config/$$file $(DESTDIR)/etc/tidewatch; done

test: deps
	$(SWIFT) test $(TEST_FLAGS) $(ARGS)

demo: build
	$(BINARY) demo $(ARGS)

check: build
	$(BINARY) check --config config/tidewatch.yaml $(ARGS)

# Data plane, committer and rewrite under the thread sanitizer; a build of its own.
test-threads: deps
	$(SWIFT) test --sanitize=thread --scratch-path .build/threads $(SWIFT_FLAGS) --filter 'HandoffTests|PipelineTests' $(ARGS)

# Cycles of kill -9, SIGTERM, SIGSTOP and broker stops, one and two members; what it did is printed.
CYCLES ?= 100
torture: deps
	TIDEWATCH_TEST_CYCLES=$(CYCLES) $(SWIFT) test $(TEST_FLAGS) --filter CrashTests/Torture $(ARGS)

# Figures of this machine, printed and never judged.
measure: deps
	TIDEWATCH_MEASURE=1 $(SWIFT) test $(TEST_FLAGS) --filter CrashTests/Measurements $(ARGS)

# Throughput, memory, latency, restarts; minutes. `make bench ARGS="--only replay,stages --events 1000000 --runs 3"`
BENCH = .build/release/tidewatch-bench
bench: build
	$(SWIFT) build $(BUILD_FLAGS) --product tidewatch-bench
	$(BENCH) run $(ARGS)

# Allocations and instructions per event against Tests/Counts/thresholds.json: the same on a busy machine.
counts: deps
	$(SWIFT) build $(BUILD_FLAGS) --product tidewatch-count
	.build/release/tidewatch-count $(ARGS)

bench-page:
	$(BENCH) page $(ARGS)

check-data: deps
	TIDEWATCH_TEST_DATA_REQUIRED=1 $(SWIFT) test $(TEST_FLAGS) --filter PublishedData

fuzz: deps
	TIDEWATCH_FUZZ=1 $(SWIFT) build -c release --scratch-path .build/fuzz $(SWIFT_FLAGS) -Xswiftc -sanitize=fuzzer \
	  -Xswiftc -assert-config -Xswiftc Debug -Xcxx -fsanitize=fuzzer-no-link --product tidewatch-fuzz
	mkdir -p .build/fuzz/corpus/$(TARGET) .build/fuzz/found
	SWIFT_BACKTRACE=enable=no TIDEWATCH_FUZZ_TARGET=$(TARGET) .build/fuzz/release/tidewatch-fuzz \
	  .build/fuzz/corpus/$(TARGET) Tests/Fuzz/Corpus/$(TARGET) -max_total_time=$(TIME) -max_len=4096 -timeout=20 \
	  -artifact_prefix=.build/fuzz/found/$(TARGET)- $(ARGS)

format:
	$(SWIFT) format --in-place --parallel --recursive --configuration .swift-format $(SOURCES)

format-check:
	$(SWIFT) format lint --strict --parallel --recursive --configuration .swift-format $(SOURCES)

clean:
	$(SWIFT) package clean

# `make simulate SEEDS=10000`, or one seed again: `make simulate SEED=17 ARGS=--trace`
SEEDS ?= 1
SIMULATE = .build/release/tidewatch-simulate
simulate: deps
	$(SWIFT) build $(BUILD_FLAGS) --product tidewatch-simulate
	$(SIMULATE) --seeds $(SEEDS) $(if $(SEED),--seed $(SEED)) $(ARGS)

# A build of its own, with defects in it: does the simulator find each?
PLANTED = .build/planted
planted: deps
	$(SWIFT) build $(SWIFT_FLAGS) --traits PlantedBugs --scratch-path $(PLANTED) --product tidewatch-simulate
	$(PLANTED)/debug/tidewatch-simulate planted $(ARGS)
