.PHONY: run test check bench soak doc fmt-check lint doc-check feature-check type-check test-setup test-rust test-concurrency test-browser test-node

run: ## a hub; prints its address, and lines to copy
	cargo run --release -p fanfare-cli --bin fanfare -- serve

test: test-setup test-rust test-concurrency test-browser test-node

check: fmt-check lint doc-check feature-check type-check

bench: ## prints Markdown tables with ratios to other systems; bench/README.md
	cargo run --release -p fanfare-bench --bin codec
	cargo run --release -p fanfare-bench --bin fanout
	cargo run --release -p fanfare-bench --bin client
	cargo run --release -p fanfare-bench --bin log
	cargo run --release -p fanfare-bench --bin compression
	cargo run --release -p fanfare-bench --bin systems
	cargo run --release -p fanfare-bench --bin cluster
	cargo run --release -p fanfare-bench --bin node

soak: ## ten minutes of random cuts, and whether the client is given every event exactly once; what docs/guarantees.md says
	cargo run --release -p fanfare-client --all-features --example soak_client
	FANFARE_SOAK=1 cargo test --release -p fanfare-cli --test proofs -- --nocapture
	FANFARE_SOAK=1 cargo test --release -p fanfare-hub --test simulation --test hostile -- --nocapture
	node node/build.js
	NODES=node FANFARE_SOAK=1 node/test/run hostile/*.test.js

doc:
	cargo doc --workspace --no-deps --all-features --open

fmt-check:
	cargo fmt --all --check

lint:
	cargo clippy --workspace --all-targets --all-features -- -D warnings

doc-check:
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features

feature-check: ## the lean builds: no_std, the libraries without adapters; and the fuzz targets
	cargo clippy -p fanfare-wire --no-default-features -- -D warnings
	cargo clippy -p fanfare --no-default-features -- -D warnings
	cargo clippy -p fanfare-client --no-default-features -- -D warnings
	cargo clippy -p fanfare-client --no-default-features --features hyper -- -D warnings
	cargo clippy --manifest-path fuzz/Cargo.toml --target-dir target/fuzz -- -D warnings

type-check: ## a program in TypeScript that uses all of the npm package
	node/test/setup.sh
	node/test/node_modules/.bin/tsc --project node/test/types

test-setup: ## what the tests need besides Rust; here so that what is missing is said first
	tests/servers/setup.sh
	tests/browser/setup.sh
	node/test/setup.sh

test-rust:
	cargo test --workspace --all-features

test-concurrency: ## every interleaving of the channel's core
	RUSTFLAGS="--cfg loom" cargo test --release -p fanfare-fanout --test loom --target-dir target/loom

test-browser: test-setup
	cargo build --workspace --examples --all-features
	cargo build -p fanfare-cli
	tests/browser/run

test-node: test-setup ## the npm package, on each Node that it is for
	cargo build -p fanfare-cli
	node node/build.js
	node/test/run
