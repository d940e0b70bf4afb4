# The whole interface of the repository. `make help` lists it.
SHELL := /bin/bash
JOBS ?= $(shell nproc)
PRESET ?= dev
export MEGALITH_COMPILER_LAUNCHER ?= $(shell command -v ccache)
# With these, precompiled headers and generated code hit the compiler cache.
export CCACHE_SLOPPINESS ?= pch_defines,time_macros

# Debian 12 packages; docs/DEPENDENCIES.md says why each is here.
PACKAGES := g++ cmake ninja-build pkg-config ccache mold git python3 python3-venv \
  libgrpc++-dev protobuf-compiler libprotobuf-dev libspdlog-dev prometheus-cpp-dev nlohmann-json3-dev \
  libboost-dev libssl-dev zlib1g-dev libsnappy-dev libzookeeper-mt-dev libre2-dev librocksdb-dev libgtest-dev \
  libgmock-dev libopenblas0-pthread libabsl-dev libcuckoo-dev llvm-19-dev libzstd-dev \
  clang-19 libclang-rt-19-dev clang-format-19 clang-tidy-19 prometheus
SOURCES = $(shell git ls-files 'common/*.h' 'common/*.cc' 'services/*.h' 'services/*.cc' 'clients/*.h' 'clients/*.cc' \
  'tests/*.h' 'tests/*.cc' 'bench/*.h' 'bench/*.cc' 'examples/*.h' 'examples/*.cc')

# Programs that `make random` tries.
COUNT ?= 10000
SEED ?= 1

.PHONY: help deps configure build run test conformance conformance-jax wheel wheel-test client-test real-programs \
  image compose-test helm-test clients-test serving-test zookeeper-test chaos-test fixtures random bench prove asan tsan ubsan \
  fuzz fmt lint docs clean

help:  ## print this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

deps:  ## install the Debian packages that are missing, as root or through sudo
	@missing=""; for p in $(PACKAGES); do \
	  dpkg-query -W -f='$${db:Status-Status}' $$p 2>/dev/null | grep -q '^installed$$' || missing="$$missing $$p"; done; \
	if [ -z "$$missing" ]; then echo "deps: all packages are present"; exit 0; fi; \
	echo "deps: installing$$missing"; \
	as_root=""; if [ "$$(id -u)" != 0 ]; then \
	  command -v sudo >/dev/null || { echo "deps: be root, or install sudo" >&2; exit 1; }; as_root="sudo"; fi; \
	$$as_root apt-get update -q && DEBIAN_FRONTEND=noninteractive $$as_root apt-get install -y -q --no-install-recommends $$missing

configure:
	@cmake --preset $(PRESET) > build-$(PRESET).log 2>&1 || { cat build-$(PRESET).log; rm -f build-$(PRESET).log; exit 1; }; \
	rm -f build-$(PRESET).log

build: configure  ## compile everything (PRESET=dev, JOBS=all cores)
	cmake --build build/$(PRESET) -j$(JOBS)

test: deps build  ## compile and run all tests
	ctest --preset $(PRESET) -j$(JOBS) --output-on-failure

run: deps  ## start a fleet and train on the digits (examples/digits)
	@$(MAKE) --no-print-directory configure PRESET=release
	cmake --build build/release -j$(JOBS) --target megalith megalithctl digits
	examples/digits/run.sh build/release

image:  ## a container image `megalith` of what is compiled here (docker, BuildKit)
	@$(MAKE) --no-print-directory configure PRESET=release
	cmake --build build/release -j$(JOBS) --target fleet
	rm -rf build/image
	cmake --install build/release --prefix $(CURDIR)/build/image/usr --component fleet --strip
	DOCKER_BUILDKIT=1 docker build -f deploy/image/Dockerfile --build-arg BINARIES=host -t $(or $(MEGALITH_IMAGE),megalith) .

compose-test: image  ## the fleet in containers: a program, a table, a killed container
	tests/deploy/compose_test.sh build/release/bin/megalithctl

clients-test:  ## example clients in Python, Node, Go and Java against a fleet (their package managers fetch packages)
	@$(MAKE) --no-print-directory configure PRESET=release
	cmake --build build/release -j$(JOBS) --target megalith megalithctl
	examples/clients/run.sh build/release/bin

serving-test:  ## TensorFlow Serving's own client against served models (PYTHON with tensorflow-serving-api, else PyPI's)
	@$(MAKE) --no-print-directory configure PRESET=release
	cmake --build build/release -j$(JOBS) --target megalithctl
	tests/serving/run.sh build/release/bin $(PYTHON)

helm-test:  ## render the chart and hold it against Kubernetes' schemas (helm; kubernetes-validate from PyPI)
	tests/deploy/helm_test.sh

conformance: build  ## hold the fleet and tables against the oracles' answers; writes docs/parity*.md and .json
	tests/conformance/conformance.sh build/$(PRESET)/bin/megalithctl update

wheel:  ## build the Python package with the JAX plugin into build/wheel
	@$(MAKE) --no-print-directory configure PRESET=release
	cmake --build build/release -j$(JOBS) --target megalith_pjrt megalith_codegen_llvm megalith_schemas
	python3 clients/python/build_wheel.py build/wheel

wheel-test: wheel  ## install the wheel into a new environment (PyPI) and run it in a root without our packages; PYTHON=
	clients/python/test_wheel.sh build/wheel/megalith-*.whl $(or $(PYTHON),python3)

client-test:  ## test the Python client on a fleet; PYTHON=with jax, flatbuffers, ml_dtypes, grpcio, protobuf and pytest
	@$(MAKE) --no-print-directory configure PRESET=release
	cmake --build build/release -j$(JOBS) --target megalith megalith_pjrt megalith_schemas
	MEGALITH_LIBRARIES=$(CURDIR)/build/release/lib $(or $(PYTHON),python3) -m pytest -q -p no:cacheprovider clients/python/tests

real-programs: wheel  ## flax, optax, numpyro, blackjax and diffrax on the plugin and on CPU; PYTHON=with all of them and megalith
	JAX_PLATFORMS=megalith,cpu MEGALITH_LIBRARIES=$(CURDIR)/build/release/lib \
	  $(or $(PYTHON),python3) conformance/runners/real_programs.py $(PROGRAMS)

zookeeper-test:  ## test discovery against real ZooKeeper servers; needs java and Debian's zookeeper, or ZOOKEEPER_CLASSPATH
	@$(MAKE) --no-print-directory configure PRESET=release
	cmake --build build/release -j$(JOBS) --target zookeeper_real_test
	tests/zookeeper/run.sh build/release/tests/zookeeper/zookeeper_real_test

chaos-test:  ## kill agents, ZooKeeper and model servers at random for DURATION (600) seconds; needs what zookeeper-test needs
	@$(MAKE) --no-print-directory configure PRESET=release
	cmake --build build/release -j$(JOBS) --target serving_chaos megalith-agent
	build/release/tests/chaos/serving_chaos build/release/bin/megalith-agent \
	  $(or $(ZOOKEEPER_CLASSPATH),/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar) $(or $(DURATION),600) $(SEED)

conformance-jax: wheel  ## run JAX's own tests on the plugin and on CPU; JAX_SOURCE=checkout, PYTHON=with jax, FILES=some
	@[ -n "$(JAX_SOURCE)" ] || { echo "conformance-jax: give JAX_SOURCE=PATH, a checkout of jax at jax-v0.9.2" >&2; exit 1; }
	conformance/runners/jax_tests.py --jax-source $(JAX_SOURCE) --python $(or $(PYTHON),python3) \
	  --libraries build/release/lib --package clients/python $(FILES)

fixtures: configure  ## list the oracle data and make its sidecar; FROM=DIRECTORY copies it from there first
	cmake --build build/$(PRESET) -j$(JOBS) --target megalith-bundle
	MEGALITH_BUNDLE=build/$(PRESET)/bin/megalith-bundle tests/fixtures/fixtures.sh $(if $(FROM),copy $(FROM),update)
	MEGALITH_BUNDLE=build/$(PRESET)/bin/megalith-bundle tests/fixtures/fixtures.sh check

random: configure  ## COUNT random programs (default 10000) from SEED on every backend, against the evaluator
	cmake --build build/$(PRESET) -j$(JOBS) --target random_programs
	build/$(PRESET)/bin/random_programs --count $(COUNT) --seed $(SEED)

bench:  ## run every benchmark of the release build, last the CPU backend against JAX (from PyPI)
	$(MAKE) build PRESET=release
	@for b in build/release/bin/*_bench; do [ $$(basename $$b) != cpu_bench ] || continue; \
	  echo "== $$(basename $$b)"; $$b || exit 1; done
	bench/jax_peer/run.sh build/release

prove:  ## run every float32 through the vector functions of the release build (an hour on two cores)
	$(MAKE) configure PRESET=release
	cmake --build build/release -j$(JOBS) --target vector_math_prove
	build/release/bin/vector_math_prove

asan:  ## all tests under AddressSanitizer and LeakSanitizer
	$(MAKE) test PRESET=asan

tsan:  ## all tests under ThreadSanitizer
	TSAN_OPTIONS="suppressions=$(CURDIR)/tests/support/tsan.supp halt_on_error=1 $${TSAN_OPTIONS}" $(MAKE) test PRESET=tsan

ubsan:  ## all tests under UndefinedBehaviorSanitizer
	$(MAKE) test PRESET=ubsan

fuzz:  ## run every fuzzer for FUZZ_SECONDS (default 60)
	$(MAKE) configure PRESET=fuzz
	cmake --build build/fuzz -j$(JOBS) --target fuzzers
	@for f in build/fuzz/tests/fuzz/fuzz_* build/fuzz/tests/fuzz/*_fuzz; do [ -x $$f ] && [ -f $$f ] || continue; \
	  name=$$(basename $$f); seeds=tests/fuzz/seeds/$$name; [ -d $$seeds ] || seeds=tests/fuzz/seeds/$${name%_fuzz}; \
	  mkdir -p build/fuzz/corpus/$$name; echo "== $$name"; \
	  $$f -max_total_time=$${FUZZ_SECONDS:-60} -timeout=10 -rss_limit_mb=4096 build/fuzz/corpus/$$name $$seeds || exit 1; done

fmt:  ## format all C++ sources
	@echo $(SOURCES) | xargs clang-format-19 -i

lint: configure  ## clang-tidy, and the rules of docs/architecture.md
	python3 tests/layering/check_layering.py .
	@echo $(filter %.cc,$(SOURCES)) | xargs -n 8 -P $(JOBS) clang-tidy-19 -p build/$(PRESET) --quiet

docs: configure  ## print the generated pages of docs/ again
	cmake --build build/$(PRESET) -j$(JOBS) --target docs_gen
	@for p in config events; do build/$(PRESET)/bin/docs_gen $$p > docs/$$p.md; done
	build/$(PRESET)/bin/docs_gen commands docs/cli.md write
	build/$(PRESET)/bin/docs_gen policy docs/formats/keys.md write
	build/$(PRESET)/bin/docs_gen operations docs/cpu.md write
	build/$(PRESET)/bin/docs_gen optimizers docs/optimizers.md write

clean:  ## remove everything that was built
	rm -rf build
