# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

# Every target makes what it needs; `make test` is what CI runs.

RUN := tests/tools/run
BIN := build/venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup test lint unit sanity importer truth truth-random truth-peers bench bench-linux bench-reach bench-windows bench-vantage bench-esxi reach windows esxi molecule integration demo lab-up lab-down soak soak-run changelog clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

setup: ## make the environments of tools and tests, below build/
	@$(RUN) environments

test: ## everything, from nothing: what CI runs
	@$(RUN) suites

lint: ## ruff, mypy, yamllint, ansible-lint, licence headers, changelog fragments
	@$(RUN) suites lint

unit: ## unit tests on Python 3.8, 3.11 and 3.13
	@$(RUN) suites unit

sanity: ## ansible-test sanity on each ansible-core, with nothing ignored
	@$(RUN) suites sanity

importer: ## build the collection and import it as Galaxy does
	@$(RUN) suites importer

truth: ## verdicts against real packets, in network namespaces
	@$(RUN) suites machine truth

truth-random: ## verdicts on random firewall states against real packets (SEED=1 N=200)
	@$(RUN) suites machine
	@PYTHONPATH=build/collections:. $(BIN)/python -m tests.truth.random_run $(or $(SEED),1) $(or $(N),200)

truth-peers: ## what the peers' modules and ours say of a port, beside a real packet: states of their own, and truth's
	@$(RUN) suites machine
	@PYTHONPATH=build/collections $(BIN)/python -m tests.bench.truth_peers

bench: bench-linux bench-reach bench-windows bench-vantage bench-esxi ## all benches: tables, and build/bench/NAME.json

bench-linux: ## a check and ten ports beside the peers' modules, large rule sets (SYSTEM_ROLES=FOLDER for that role, too)
	@$(RUN) suites machine
	@PYTHONPATH=build/collections $(BIN)/python -m tests.bench.linux

bench-reach: ## 100,000 probes and more, beside a C program, nmap and asyncio
	@$(RUN) suites machine
	@PYTHONPATH=build/collections:. $(BIN)/python -m tests.bench.reach

bench-windows: ## requests and processes of Windows hosts beside community.windows, 100 hosts in one play
	@$(RUN) environments tools
	@PYTHONPATH=build/collections:. $(BIN)/python -m tests.bench.windows

bench-vantage: ## 1,000 and 10,000 probes from a Windows audit host, in a real PowerShell engine
	@$(RUN) suites machine
	@PYTHONPATH=build/collections:. $(BIN)/python -m tests.bench.vantage

bench-esxi: ## 64 hosts behind one vCenter, ours beside the peers' modules
	@$(RUN) environments tools
	@PYTHONPATH=build/collections:. $(BIN)/python -m tests.bench.esxi

reach: ## probes against real services and firewalls, in network namespaces
	@$(RUN) suites machine reach

windows: ## Windows hosts: real clients and a real PowerShell engine against stand-ins
	@$(RUN) suites machine windows

esxi: ## ESXi hosts: real clients against stand-ins
	@$(RUN) suites machine esxi

molecule: ## the roles' molecule scenarios
	@$(RUN) suites machine molecule

integration: ## integration tests in the lab, on each ansible-core (AUDIT_PORTS_CORES=2.19 for one)
	@$(RUN) suites integration

demo: ## the main job on the lab's fleet: before, prepare, after, prepare again, withdraw
	@$(RUN) environments tools
	@tests/demo/demo

lab-up: ## start the lab, a small real fleet in containers
	@tests/lab/lab up

lab-down: ## remove the lab
	@tests/lab/lab down

soak: ## long runs for MINUTES=30: random firewall states, a million inputs for each protocol, reboots, property tests
	@timeout $(or $(MINUTES),30)m $(MAKE) --no-print-directory soak-run || [ $$? -eq 124 ]

soak-run:
	@$(MAKE) --no-print-directory truth-random SEED=1 N=2000
	@PYTHONPATH=build/collections:. $(BIN)/python -m tests.fuzz.run 1000000
	@PYTHONPATH=build/collections:. $(BIN)/python -m tests.unit.plugins.plugin_utils._windows.random_policy 1 1000000
	@AUDIT_PORTS_SOAK=1 $(BIN)/python -m pytest -q tests/truth/managers tests/reach/test_exact.py tests/windows/test_wine.py
	@AUDIT_PORTS_SOAK=1 $(BIN)/python -m pytest -q tests/esxi/test_vcsim.py
	@HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest -q --timeout=0 tests/unit/plugins

changelog: ## move the fragments into CHANGELOG.rst, for the version in galaxy.yml
	@$(RUN) environments tools
	@PATH="$(CURDIR)/$(BIN):$$PATH" antsibull-changelog release --update-existing --reload-plugins

clean: ## remove build/ (the lab's images stay: tests/lab/lab down --images)
	@if [ -d build/lab ]; then tests/lab/lab down; fi
	@rm -rf build .ansible
