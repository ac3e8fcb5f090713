# make help says what there is.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

cache := $(CURDIR)/.cache
version := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.PHONY: help build run test e2e e2e-full lab lab-soak lab-full dist rootfs axe screenshots grafana bench lint codex tools setup parts clean

help: ## say what there is
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

build: ## build bin/netwatchd
	@go build -trimpath -ldflags='-X main.version=$(version)' -o bin/netwatchd ./cmd/netwatchd

run: build ## run the daemon without a configuration file; its history stays in .cache
	@mkdir -p $(cache)/run
	@bin/netwatchd run --storage.path=$(cache)/run/storage

setup: ## install what the tests need (Debian, as root or with sudo); quiet if all is there
	@hack/setup

codex: ## fetch the versions of codex that the tests run, into .cache/codex
	@hack/codex

axe: $(cache)/axe/node_modules/axe-core/axe.min.js ## fetch axe-core, which tests the status page for accessibility, into .cache/axe

$(cache)/axe/node_modules/axe-core/axe.min.js:
	@npm install --prefix $(cache)/axe --no-save --no-audit --no-fund --loglevel=error axe-core@4.10.3 >/dev/null || \
	  echo "axe-core cannot be fetched: the tests that need it are skipped" >&2

grafana: ## fetch Grafana's own types, which the dashboards are held against, into .cache/grafana
	@hack/grafana

tools: ## build promtool, prometheus, amtool, alertmanager and nfpm for the tests, into .cache/bin (four minutes the first time on a machine)
	@$(MAKE) --no-print-directory -s $(cache)/bin/promtool $(cache)/bin/amtool $(cache)/bin/nfpm || \
	  echo "Prometheus, Alertmanager or nfpm cannot be built: the tests that need them are skipped" >&2

# Without its cloud discoveries Prometheus is half as large and builds in half the time.
$(cache)/bin/promtool: hack/tools-prom/go.mod hack/tools-prom/go.sum
	@hack/tool hack/tools-prom -tags remove_all_sd

$(cache)/bin/amtool: hack/tools-am/go.mod hack/tools-am/go.sum
	@hack/tool hack/tools-am

$(cache)/bin/nfpm: hack/tools-nfpm/go.mod hack/tools-nfpm/go.sum
	@hack/tool hack/tools-nfpm

rootfs: ## make a small Debian to boot in the tests, as root (20 seconds the first time on a machine)
	@hack/rootfs rootfs

dist: $(cache)/bin/nfpm ## make the packages: .deb, .rpm, .tar.gz, in dist
	@hack/dist dist

parts: setup codex axe grafana tools rootfs

# What internal/lab tries are programs, into which the race detector does not see, and internal/diagnose shares nothing. And
# bubbletea races with its own reader when it ends in a panic. What takes longest comes first, or it is waited for in the end.
raced = ./internal/agent ./internal/probe/httpprobe $$(go list ./... | grep -v -e /internal/lab/ -e /internal/diagnose)
unraced := ./internal/lab/scenes ./internal/lab/sandbox ./internal/lab/... ./internal/diagnose ./internal/top

test: parts ## every test, then one list of what was skipped and why
	@go run ./hack/testsummary -race -count=1 $(TESTFLAGS) $(raced) -- -count=1 $(TESTFLAGS) $(unraced)

screenshots: setup codex ## take the pictures of the status page anew, into docs/screenshots
	@mkdir -p docs/screenshots
	@go test ./internal/lab/browser -run '^TestScreenshots$$' -screenshots $(CURDIR)/docs/screenshots

# What is seen only when the parts are put together. Each package leaves what came of it in $NETWATCHD_TABLES: parts.Table.
e2e_packages := ./deploy ./internal/gen/dashboard $(addprefix ./internal/lab/, boot browser chain container fleet panels)

e2e: parts ## from a fault to a page, in real programs: who is told what, and how soon
	@rm -rf $(cache)/e2e && mkdir -p $(cache)/e2e
	@NETWATCHD_TABLES=$(cache)/e2e go run ./hack/testsummary -each -count=1 $(TESTFLAGS) $(e2e_packages) && cat $(cache)/e2e/*

e2e-full: e2e ## the same, and what takes longer: the oldest releases, a crowd, a page as slow as in life
	@NETWATCHD_TABLES=$(cache)/e2e go run ./hack/testsummary -each -count=1 ./internal/lab/chain -oldest && cat $(cache)/e2e/chain
	@go run ./hack/testsummary -each -count=1 -run Crowd ./internal/lab/chain -crowd 200
	@hack/rootfs rootfs-prometheus prometheus prometheus-alertmanager
	@NETWATCHD_TABLES=$(cache)/e2e go run ./hack/testsummary -each -count=1 -run Phone ./internal/lab/boot -phone && cat $(cache)/e2e/phone

lab: setup codex $(cache)/bin/lab ## bend a small internet in every way, as root; SCENE='503' for one, left open to look around
	@cd internal/lab/scenes && $(if $(SCENE),$(cache)/bin/lab -test.run '^TestOpen$$' -scene $(call quoted,$(SCENE)), \
	  $(cache)/bin/lab -test.run '^TestScenes$$' -table $(LABFLAGS))

lab-soak: setup codex $(cache)/bin/lab ## bend it at random for SOAK=10m, as root, and want no false page
	@cd internal/lab/scenes && $(cache)/bin/lab -test.timeout 0 -test.run '^TestSoak$$' -soak $(or $(SOAK),10m) $(LABFLAGS)

lab-full: setup ## set the clock of an emulated machine a year ahead and have it sleep for an hour, as root; some minutes
	@hack/machine
	@go run ./internal/lab/machine -dir $(cache)/machine $(LABFLAGS)

.PHONY: $(cache)/bin/lab
$(cache)/bin/lab:
	@go test -c -o $@ ./internal/lab/scenes

quoted = '$(subst ','\'',$(1))'

bench: build ## micro-benchmarks, then ten thousand DNS probes a second on one core
	@go test -run '^$$' -bench . -benchmem $$(go list ./... | grep -v /hack/)
	@go run ./internal/lab/bench -netwatchd bin/netwatchd $(BENCHFLAGS)

lint: $(cache)/bin/staticcheck ## gofmt, go vet, go fix, staticcheck
	@unformatted=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l); \
	  [ -z "$$unformatted" ] || { echo "gofmt -w these: $$unformatted"; exit 1; }
	@go vet ./...
	@go fix -diff ./...
	@$(cache)/bin/staticcheck ./...

$(cache)/bin/staticcheck: hack/tools/go.mod hack/tools/go.sum
	@hack/tool hack/tools

clean: ## remove what was built and fetched
	@rm -rf bin dist .cache
