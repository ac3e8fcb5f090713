# make help lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

cache := $(CURDIR)/.cache
version := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.PHONY: help build run test e2e e2e-full lab lab-soak lab-full dist rootfs axe screenshots session grafana bench microbench chaos fuzz check lint codex codex-newest claude srt gemini opencode forms incident test-newest tools setup parts clean

help: ## list the targets
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

build: ## build bin/netwatchd
	@go build -trimpath -ldflags='-X main.version=$(version)' -o bin/netwatchd ./cmd/netwatchd

run: build ## run the daemon without a configuration file, with its history in .cache
	@mkdir -p $(cache)/run
	@bin/netwatchd run --storage.path=$(cache)/run/storage

setup: ## install the programs that the tests need (Debian, as root or with sudo)
	@hack/setup

codex: ## fetch the tested versions of codex into .cache/codex
	@hack/codex

codex-newest: ## fetch the newest codex into .cache/codex/newest
	@hack/codex newest

claude: ## fetch the tested version of Claude Code into .cache/claude
	@hack/claude

srt: ## fetch the tested version of sandbox-runtime, Claude Code's sandbox, into .cache/srt
	@hack/srt

gemini: ## fetch the tested version of Gemini CLI into .cache/gemini
	@hack/gemini

opencode: ## fetch the tested version of opencode into .cache/opencode
	@hack/opencode

axe: $(cache)/axe/node_modules/axe-core/axe.min.js ## fetch axe-core, for the accessibility tests, into .cache/axe

$(cache)/axe/node_modules/axe-core/axe.min.js:
	@npm install --prefix $(cache)/axe --no-save --no-audit --no-fund --loglevel=error axe-core@4.10.3 >/dev/null || \
	  echo "cannot fetch axe-core: tests that need it will be skipped" >&2

grafana: ## fetch Grafana's types, which validate the dashboards, into .cache/grafana
	@hack/grafana

tools: ## build Prometheus, Alertmanager, nfpm and cyclonedx-gomod into .cache/bin (four minutes the first time)
	@$(MAKE) --no-print-directory -s $(cache)/bin/promtool $(cache)/bin/amtool $(cache)/bin/nfpm $(cache)/bin/cyclonedx-gomod || \
	  echo "cannot build Prometheus, Alertmanager, nfpm or cyclonedx-gomod: tests that need them will be skipped" >&2

# Without cloud service discovery Prometheus is half as large and builds in half the time.
$(cache)/bin/promtool: hack/tools-prom/go.mod hack/tools-prom/go.sum
	@hack/tool hack/tools-prom -tags remove_all_sd

$(cache)/bin/amtool: hack/tools-am/go.mod hack/tools-am/go.sum
	@hack/tool hack/tools-am

$(cache)/bin/nfpm: hack/tools-nfpm/go.mod hack/tools-nfpm/go.sum
	@hack/tool hack/tools-nfpm

$(cache)/bin/cyclonedx-gomod: hack/tools-sbom/go.mod hack/tools-sbom/go.sum
	@hack/tool hack/tools-sbom

rootfs: ## make the Debian that the tests boot, as root (20 seconds the first time)
	@hack/rootfs rootfs

dist: $(cache)/bin/nfpm $(cache)/bin/cyclonedx-gomod ## build .deb, .rpm, .tar.gz, the list of modules and SHA256SUMS, in dist
	@hack/dist dist

parts: setup codex claude srt gemini opencode axe grafana tools rootfs

# No race detector for internal/lab, which tests other processes, for internal/diagnose, which shares nothing, for
# internal/redact, whose tests start no goroutine, and for internal/top: bubbletea races with its own reader when it
# panics. The longest tests come first, so that nothing waits for them.
raced = ./internal/agent/codex ./internal/probe/httpprobe $$packages
unraced := ./internal/lab/scenes ./internal/lab/sandbox ./internal/lab/forms ./internal/lab/... ./internal/diagnose ./internal/redact ./internal/top

# Without cgo, as in a release: see internal/lab/parts. Each test binary would build it for itself.
.PHONY: $(cache)/bin/netwatchd-lab
$(cache)/bin/netwatchd-lab:
	@CGO_ENABLED=0 go build -buildvcs=false -o $@ ./cmd/netwatchd

test test-newest: export NETWATCHD_BINARY = $(cache)/bin/netwatchd-lab

# One after the other: beside tests that compute, the laboratory loses races.
test: parts $(cache)/bin/netwatchd-lab ## run every test, then list what was skipped and why
	@packages=$$(go list -buildvcs=false ./... | grep -v -e /internal/lab/ -e /internal/diagnose -e /internal/redact -e /internal/top); \
	go run ./hack/testsummary -race -count=1 $(TESTFLAGS) $(raced) -- -count=1 $(TESTFLAGS) $(unraced)

test-newest: setup codex-newest $(cache)/bin/netwatchd-lab ## try the newest codex beside each form of its sign-in, and its lookups, as root
	@CI=true go run ./hack/testsummary -count=1 $(TESTFLAGS) -run 'Healthy|Faults|Resolvers' \
	  ./internal/lab/forms ./internal/lab/clients -codex newest

screenshots: setup codex ## take the screenshots of the status page, into docs/screenshots
	@mkdir -p docs/screenshots
	@go test ./internal/lab/browser -run '^TestScreenshots$$' -screenshots $(CURDIR)/docs/screenshots

session: build ## record `netwatchd demo --play` in a terminal, into docs/screenshots/demo.svg
	@go run ./hack/session -o docs/screenshots/demo.svg bin/netwatchd demo --play

# Tests of everything together. Each package writes its results into $NETWATCHD_TABLES: parts.Table.
e2e_packages := ./deploy ./internal/gen/dashboard $(addprefix ./internal/lab/, boot browser chain container fleet panels)

e2e: parts ## from a fault to a notification, in real programs: who is notified of what, and how soon
	@rm -rf $(cache)/e2e && mkdir -p $(cache)/e2e
	@NETWATCHD_TABLES=$(cache)/e2e go run ./hack/testsummary -each -count=1 $(TESTFLAGS) $(e2e_packages) && cat $(cache)/e2e/*

e2e-full: e2e ## the same, and longer tests: oldest releases, 200 services, a page in real time
	@NETWATCHD_TABLES=$(cache)/e2e go run ./hack/testsummary -each -count=1 ./internal/lab/chain -oldest && cat $(cache)/e2e/chain
	@go run ./hack/testsummary -each -count=1 -run Crowd ./internal/lab/chain -crowd 200
	@hack/rootfs rootfs-prometheus prometheus prometheus-alertmanager
	@NETWATCHD_TABLES=$(cache)/e2e go run ./hack/testsummary -each -count=1 -run Phone ./internal/lab/boot -phone && cat $(cache)/e2e/phone

lab: ## inject every fault into a small internet, as root; SCENE='503' for one, left open; LIST=1 lists all
ifdef LIST
	@go run ./hack/scene
else
	@$(if $(SCENE),go run ./hack/scene $(call quoted,$(SCENE)))
	@$(MAKE) --no-print-directory -s setup codex $(cache)/bin/lab
	@cd internal/lab/scenes && $(if $(SCENE),$(cache)/bin/lab -test.run '^TestOpen$$' -scene $(call quoted,$(SCENE)), \
	  $(cache)/bin/lab -test.run '^TestScenes$$' -table $(LABFLAGS))
endif

forms: setup codex codex-newest ## inject each fault beside each form of codex's sign-in, three versions, as root (ten minutes)
	@go test ./internal/lab/forms -timeout 60m -count=1 -matrix $(LABFLAGS)

incident: setup codex ## replay the incident that started this project, as root; its reports go to .cache/incident
	@mkdir -p $(cache)/incident
	@go test ./internal/lab/forms -count=1 -run TheIncident -records $(cache)/incident && ls $(cache)/incident/*

lab-soak: setup codex $(cache)/bin/lab $(if $(RACE),$(cache)/bin/netwatchd-race) ## inject random faults for SOAK=10m, as root; a false page fails; RACE=1: also a data race
	@cd internal/lab/scenes && $(if $(RACE),NETWATCHD_BINARY=$(cache)/bin/netwatchd-race) $(cache)/bin/lab -test.timeout 0 -test.run '^TestSoak$$' -soak $(or $(SOAK),10m) $(LABFLAGS)

lab-full: setup ## emulate a machine with a wrong clock and an hour's sleep, as root (some minutes)
	@hack/machine
	@go run ./internal/lab/machine -dir $(cache)/machine $(LABFLAGS)

# Without the C library's resolver, as in a release: it would reach services of the machine outside of the laboratory.
.PHONY: $(cache)/bin/netwatchd-race
$(cache)/bin/netwatchd-race:
	@go build -race -tags netgo,osusergo -o $@ ./cmd/netwatchd

.PHONY: $(cache)/bin/lab
$(cache)/bin/lab:
	@go test -c -o $@ ./internal/lab/scenes

quoted = '$(subst ','\'',$(1))'

bench: build ## measure netwatchd under load on one core, beside the leanest program: DNS, HTTP, HTTPS, scrape, growth
	@go build -o bin/bench ./internal/lab/bench
	@bin/bench -netwatchd bin/netwatchd $(BENCHFLAGS)

microbench: ## run all Go benchmarks
	@go test -run '^$$' -bench . -benchmem $$(go list ./... | grep -v /hack/)

chaos: parts ## break what docs/reliability.md lists, CHAOS=10 times each, as root, and write how often it held
	@hack/chaos $(or $(CHAOS),10)

fuzz: ## run every fuzz target for FUZZTIME=30s, one after the other
	@hack/fuzz $(or $(FUZZTIME),30s)

check: lint ## lint, then test the packages that differ from BASE=main
	@changed=$$({ git diff --name-only $$(git merge-base $(or $(BASE),main) HEAD); git ls-files --others --exclude-standard; } \
	  | sed -nE '/testdata/d; s,^(.*/)?[^/]*\.go$$,./\1,p' | sort -u | while read -r dir; do [ ! -d "$$dir" ] || echo "$$dir"; done); \
	[ -z "$$changed" ] || go run ./hack/testsummary $(TESTFLAGS) $$changed

lint: $(cache)/bin/golangci-lint ## go fix and golangci-lint, which also runs gofmt and go vet (builds it first: some minutes)
	@go fix -diff ./...
	@$(cache)/bin/golangci-lint run ./...

$(cache)/bin/golangci-lint: hack/tools/go.mod hack/tools/go.sum
	@hack/tool hack/tools

clean: ## remove what was built and fetched
	@rm -rf bin dist .cache
