# xdpstack's everyday tasks. `make` alone lists them.

GO       ?= go
BIN      := bin/xdpstack
FUZZTIME ?= 1m
SOAK     ?= 10m
# What `make demo` and `make serve-…` style calls pass on: make demo ARGS="--bulk 4GiB --driver asavie"
ARGS     ?=
# The original packetdrill program, and the scripts that it plays: make packetdrill PACKETDRILL=… SCRIPTS=…
PACKETDRILL ?= packetdrill
SCRIPTS     ?=
# Packages to test: make test PKGS=./tcp/...  (the bench module is tested only with the default, and so are the guests)
PKGS     ?= ./...
# make test ZEROCOPY=no leaves out the tests in guests
ZEROCOPY ?= yes

GOTESTSUM := $(GO) tool -modfile=internal/tools/gotestsum.mod gotestsum
LINT      := $(GO) tool -modfile=$(CURDIR)/internal/tools/lint.mod golangci-lint

# Programs and files that some tests use, each with the Debian package that has it and the tests that are skipped without it.
# A word that starts with / is a file, any other is a command; ~ stands for a blank.
NEEDS := \
	ip:iproute2:nothing,~but~the~state~of~a~failed~test~is~harder~to~inspect \
	ethtool:ethtool:nothing,~but~offloads~are~harder~to~inspect \
	nsenter:util-linux:tests~that~run~a~program~inside~a~namespace \
	setpriv:util-linux:tests~of~missing~capabilities \
	ping:iputils-ping:tests~that~compare~with~ping \
	curl:curl:tests~of~serve~with~curl \
	chromium:chromium:the~test~of~the~dashboard~in~a~browser \
	iperf3:iperf3:tests~and~benchmarks~with~iperf3 \
	nginx:nginx-light:tests~of~get,~nc~and~proxy,~and~benchmarks,~with~nginx \
	nmap:nmap:the~test~with~hostile~programs \
	hping3:hping3:the~test~with~hostile~programs \
	tcpreplay:tcpreplay:the~test~with~hostile~programs \
	systemd-analyze:systemd:tests~of~the~systemd~unit \
	tshark:tshark:the~test~of~files~of~capture \
	cc:gcc:the~test~of~the~library~for~packetdrill \
	/usr/include/stdlib.h:libc6-dev:the~test~of~the~library~for~packetdrill \
	clang-14:clang-14:the~regeneration~of~the~BPF~object \
	llvm-strip-14:llvm-14:the~regeneration~of~the~BPF~object \
	/usr/include/bpf/bpf_helpers.h:libbpf-dev:the~regeneration~of~the~BPF~object

# The same, for the benchmarks alone.
BENCH_NEEDS := \
	nginx:nginx-light:the~rows~with~nginx \
	iperf3:iperf3:the~rows~with~iperf3 \
	haproxy:haproxy:the~rows~with~HAProxy \
	/usr/lib/nginx/modules/ngx_stream_module.so:libnginx-mod-stream:the~rows~with~nginx~as~a~proxy \
	wrk:wrk:the~rows~with~wrk \
	ab:apache2-utils:the~row~with~ab \
	trafgen:netsniff-ng:the~rows~of~generators~with~trafgen \
	tcpreplay:tcpreplay:the~rows~of~generators~with~tcpreplay \
	cc:gcc:the~raw~rows~with~the~program~in~C \
	/usr/include/xdp/xsk.h:libxdp-dev:the~raw~rows~with~the~program~in~C \
	/usr/include/bpf/libbpf.h:libbpf-dev:the~raw~rows~with~the~program~in~C

.DEFAULT_GOAL := help
.PHONY: help build demo test test-zerocopy guest bin/guest setup race fuzz soak soak-wire lint bench bench-quick bench-generators bench-flood bench-watch bench-zerocopy packetdrill generate clean

help: ## list these tasks
	@awk -F ":.*## " '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/xdpstack
	$(GO) build -o $(BIN) ./cmd/xdpstack

demo: build ## run the main job, end to end (as root over AF_XDP, else in memory); ARGS="--bulk 4GiB" for flags
	@$(BIN) demo $(ARGS)

test: setup bin/guest ## run every test, those that need root and those in guests included when root
	@ZEROCOPY=$(ZEROCOPY) $(GOTESTSUM) --format pkgname --hide-summary output --raw-command -- .ci/gotest '$(PKGS)'

test-zerocopy: bin/guest ## run the tests for zero-copy in guests: ARGS="-nic igb -queues 2 -run TestReceive"
	@$(GOTESTSUM) --format pkgname --hide-summary output --raw-command -- bin/guest suite $(ARGS)

guest: bin/guest ## run a package's tests in a guest with zero-copy: ARGS="-nic igb -- ./afxdp -run TestX", or ARGS=-h
	@bin/guest $(ARGS)

bin/guest: # static, because it is the guest's first process too
	@CGO_ENABLED=0 $(GO) build -ldflags '-s -w' -o $@ ./internal/vm/cmd

setup: # install, or name, what the tests need and this machine lacks
	@.ci/setup $(NEEDS)

race: setup ## run every test under the race detector
	$(GO) test -race -timeout 20m $(PKGS)

fuzz: ## run every fuzz target for FUZZTIME each (1m unless told)
	@set -e; for p in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
			echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p; \
		done; \
	done

soak: ## run new seeds of the simulator for SOAK (10m unless told); Ctrl-C ends it
	@$(GO) test -c -o bin/soak.test ./stack
	@cd stack && exec ../bin/soak.test -test.run '^TestThousandsOfSeeds$$' -test.timeout 0 -sim.soak $(SOAK)

soak-wire: ## run a server at full load, with a fault every few seconds, for SOAK (30m is what is reported) (root)
	@$(GO) test -c -o bin/soakwire.test ./internal/soak
	@cd internal/soak && exec ../../bin/soakwire.test -test.run '^TestSoak$$' -test.v -test.timeout 0 -soak $(SOAK)

lint: ## run go vet and golangci-lint (pinned in internal/tools)
	$(GO) vet -tags nic ./...
	cd bench && $(GO) vet ./...
	cd internal/tools/manifests && $(GO) vet ./...
	cd internal/tools/alerts && $(GO) vet ./...
	$(LINT) run
	cd bench && $(LINT) run
	cd internal/tools/manifests && $(LINT) run
	cd internal/tools/alerts && $(LINT) run

bench: build ## run the benchmarks beside their peers (root), print the table, write bench/results/bench.html
	@.ci/setup $(BENCH_NEEDS)
	@cd bench && $(GO) run . $(ARGS)

bench-quick: ## the same in three minutes, to see that it works: numbers not to be quoted
	@$(MAKE) bench ARGS="-quick $(ARGS)"

bench-generators: build ## generators beside theirs, in eight minutes (root): packets with C, trafgen and tcpreplay, requests with wrk and ab
	@.ci/setup $(BENCH_NEEDS)
	@cd bench && $(GO) run . -only gen-,load-,iperf3 $(ARGS)

bench-flood: build ## time to connect while spoofed SYNs flood the server, with the shield, without, on the kernel and on gVisor, in ten minutes (root)
	@.ci/setup $(BENCH_NEEDS)
	@cd bench && $(GO) run . -only flood- $(ARGS)

bench-watch: build ## what it costs a server at full load to be watched, in six minutes (root)
	@cd bench && $(GO) run . -only watch $(ARGS)

bench-zerocopy: ## zero-copy beside copy mode in guests with igb and virtio_net, 15 minutes; ARGS="-nic igb -only zerocopy-send -quick"
	@cd bench && CGO_ENABLED=0 $(GO) build -ldflags '-s -w' -o ../bin/bench . && exec ../bin/bench zerocopy $(ARGS)

packetdrill: setup ## play SCRIPTS=dir with PACKETDRILL=/path/to/binary, the original program, on this TCP; ARGS=-json for JSON
	@[ -n '$(PACKETDRILL)' ] && [ -n '$(SCRIPTS)' ] || { echo 'say: make packetdrill PACKETDRILL=/path/to/binary SCRIPTS=dir' >&2; exit 2; }
	@$(GO) run ./internal/packetdrill/cmd -packetdrill '$(PACKETDRILL)' -scripts '$(SCRIPTS)' $(ARGS)

generate: setup ## compile the XDP program again (needs clang-14, llvm-14, libbpf-dev)
	$(GO) generate ./bpf/...

clean: ## remove what was built
	rm -rf bin bench/results
