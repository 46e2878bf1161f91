# The commands of this project. `make test` needs nothing but Go; `make interop` also needs Java, Maven and kcat.

GO          ?= go
STATICCHECK ?= honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    ?= 5s
BENCHTIME   ?= 50x
CRASHES     ?= 10
ROUNDS      ?= 13
ZKROUNDS    ?= 17
TXNROUNDS   ?= 6

# Packages whose goroutines meet: they are tested with the race detector, the others without.
RACE := internal/(cli|log|replica|broker|coordinator|controller|journal|node|config|zookeeper)(/|$$)
# Those of them that play thousands of crashes or worlds of one goroutine: all without it, and some of them with it.
BOTH := internal/(log|journal/raft)$$

SCRIPTS = $(shell grep -rlE --exclude-dir=.git --exclude-dir=build --exclude-dir=data '^\#!.*(bash|sh)$$' bin test .ci 2>/dev/null)

.PHONY: all build test crash sim sim-mutants faults faults-quorum faults-zookeeper lint fmt vet staticcheck imports shell fuzz bench bench-short bench-document bench-parts bench-zookeeper bench-peers bench-plots interop clean

all: build

build: build/gregor

build/gregor: FORCE
	@mkdir -p build
	CGO_ENABLED=0 $(GO) build -trimpath -o build/gregor ./cmd/gregor

FORCE:

# Tests that start a broker as a process start the one that was just built.
test crash faults-quorum faults-zookeeper interop: export GREGOR_BINARY = build/gregor

# Everything that needs nothing but Go: unit, scenario, simulation, end to end, and a short crash test. The race detector
# is used if it can be: it needs cgo, a C compiler and a platform that has it, which is what building runtime/cgo asks for.
test: build
	$(GO) test -timeout 5m $(TESTFLAGS) $$($(GO) list ./... | grep -vE '$(RACE)') $$($(GO) list ./... | grep -E '$(BOTH)')
	@race=-race; why=$$($(GO) build -race runtime/cgo 2>&1) || { race=; echo "The race detector needs cgo and a C compiler, so these tests run without it: $$why"; }; \
	set -x; $(GO) test $$race -timeout 5m $(TESTFLAGS) $$($(GO) list ./... | grep -E '$(RACE)')

# kill -9 during production, CRASHES times over.
crash: build
	$(GO) test ./test/crash -run TestKill -count=1 -v -timeout 10m -crashes $(CRASHES)

# Faults of a cluster of processes under load, ROUNDS of them: kill, pause, cut off, slow, restart; and ZKROUNDS of one that
# has its metadata in ZooKeeper, and loses that too; and TXNROUNDS of those under transactions, half on each. Needs Linux and root.
# Clusters with a quorum and those on ZooKeeper go side by side, each on a network of its own: most of a round is waiting.
faults:
	@$(MAKE) --no-print-directory -j2 --output-sync=target faults-quorum faults-zookeeper

faults-quorum: play = -skip OnZooKeeper
faults-zookeeper: play = -run OnZooKeeper
faults-quorum faults-zookeeper: build
	$(GO) test ./test/faults $(play) -count=1 -v -timeout 60m -rounds $(ROUNDS) -zookeeper-rounds $(ZKROUNDS) -transaction-rounds $(TXNROUNDS) $(TESTFLAGS)

# Simulated clusters, SEEDS of them from SEED on. `make sim-mutants` makes mistakes in the program, and looks whether the
# simulation finds each within MUTANTS worlds.
SEEDS   ?= 2000
SEED    ?= 0
MUTANTS ?= 300

sim:
	$(GO) test ./test/sim -count=1 -run 'TestSeeds|TestSame' -timeout 60m -sim.seeds=$(SEEDS) -sim.seed=$(SEED)

sim-mutants:
	$(GO) test ./test/sim -count=1 -run TestMutants -timeout 60m -v -sim.mutants=$(MUTANTS)

lint: fmt vet staticcheck imports shell

fmt:
	@out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "gofmt -w these files:"; echo "$$out"; exit 1; fi

vet:
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./...
	GOOS=windows $(GO) vet ./...

staticcheck:
	$(GO) run $(STATICCHECK) ./...

imports:
	$(GO) test -count=1 ./test/imports

shell:
	@if command -v shellcheck >/dev/null; then echo shellcheck $(SCRIPTS); shellcheck $(SCRIPTS); else echo "shellcheck is not installed: scripts are not checked"; fi

# Every fuzz target for FUZZTIME each, one after the other.
fuzz:
	@test/fuzz $(FUZZTIME)

# gregor beside Apache Kafka and the physical limit, case by case in turn, 3 rounds of SECONDS each: CASES and SERVERS are
# regular expressions, BENCHFLAGS more flags of the command (build/bench -h). Needs Java and Maven.
CASES   ?= .
SERVERS ?= .
SECONDS ?= 3
bench: build build/bench
	build/bench -gregor build/gregor -cases '$(CASES)' -servers '$(SERVERS)' -seconds $(SECONDS) $(BENCHFLAGS)

# What CI runs: gregor beside the limit, in turn, under a minute. A case whose processor time is more than a quarter worse
# against the limit's than bench/expect.json says, twice, is an error. When gregor has become faster, write down what it is now.
bench-short: build build/bench
	build/bench -gregor build/gregor -servers 'gregor|limit' -cases 'large|small|fetch' -rounds 4 -seconds 0.5 -warmup 0.2 -touch 400 \
		-quiet -expect bench/expect.json

# Everything, with peers, into docs/performance.md and its pictures: hours. With CASES, those alone.
bench-document: build build/bench build/nats-server
	build/bench -gregor build/gregor -nats build/nats-server -rabbitmq '$(wildcard $(RABBITMQ))' -cases '$(CASES)' -servers '$(SERVERS)' \
		-seconds $(SECONDS) -json docs/performance/figures.json -merge -document docs/performance.md $(BENCHFLAGS)
	build/bench plot docs/performance/figures.json docs/performance

build/bench: FORCE
	@mkdir -p build
	CGO_ENABLED=0 $(GO) build -trimpath -o build/bench ./bench/cmd

# The same with NATS JetStream and RabbitMQ beside them, for the cases that they have, after a test that what is written to
# them is read again. NATS is built; RabbitMQ is installed by a distribution (apt-get install rabbitmq-server), and not
# measured without. Pictures of what was measured: make bench-plots.
RABBITMQ  ?= /usr/lib/rabbitmq/bin/rabbitmq-server
PEERCASES ?= large|small|flush|noflush|fetch|mixed|latency|tail-1|tail-10|tail-100|active|cluster-large|cluster-small|start
FIGURES   ?= build/peers.json
bench-peers: rabbitmq = $(wildcard $(RABBITMQ))
bench-peers: build build/bench build/nats-server
	@$(if $(rabbitmq),,echo "There is no $(RABBITMQ): RabbitMQ is not measured.")
	GREGOR_NATS=$(abspath build/nats-server) GREGOR_RABBITMQ=$(rabbitmq) $(GO) test -count=1 ./bench/peers/...
	build/bench -gregor build/gregor -nats build/nats-server -rabbitmq '$(rabbitmq)' -cases '$(if $(filter .,$(CASES)),$(PEERCASES),$(CASES))' \
		-servers '$(SERVERS)' -seconds $(SECONDS) -json $(FIGURES) $(BENCHFLAGS)

# The nested module keeps NATS out of go.mod; it has no package of its own.
build/nats-server: bench/peers/natsserver/go.mod bench/peers/natsserver/go.sum
	@mkdir -p build
	cd bench/peers/natsserver && CGO_ENABLED=0 $(GO) build -trimpath -o ../../../build/nats-server github.com/nats-io/nats-server/v2

bench-plots: build/bench
	build/bench plot $(FIGURES) docs/performance

# Benchmarks of the parts.
bench-parts:
	$(GO) test -run '^$$' -bench . -benchtime $(BENCHTIME) -benchmem ./...

# Our ZooKeeper server beside Apache's: requests a second, processor time, watches, memory, starts.
bench-zookeeper: export GREGOR_BINARY = build/gregor
bench-zookeeper: build
	GREGOR_COMPARE=1 $(GO) test ./bench/zookeeper -count=1 -v -timeout 30m -rounds 3 -seconds $(SECONDS)

# Apache Kafka's tools and clients, and kcat, against our broker, and ZooKeeper's clients and Apache Kafka's brokers against our
# ZooKeeper server. GREGOR_TARGET=apache runs the same suite on Apache's own.
interop: build
	GREGOR_INTEROP=1 $(GO) test ./test/interop -count=1 -v -timeout 15m $(TESTFLAGS)
	GREGOR_INTEROP=1 $(GO) test ./test/groups -run TestSameAnswersAsKafka -parallel 8 -count=1 -timeout 5m $(TESTFLAGS)
	GREGOR_ZOOKEEPER=apache $(GO) test ./test/e2e -run 'TestTutorial$$|TestZooKeeper' -count=1 -timeout 5m $(TESTFLAGS)

clean:
	rm -rf build
