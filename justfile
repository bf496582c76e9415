# One line for every check. `just ci` is what must pass before a change lands.

# The recipes.
default:
    @just --list --unsorted

# Everything a change must pass.
ci:
    .ci/run

# The quick part of every kind of test, about a quarter of an hour on two idle cores.
test *args:
    cargo test {{args}}

# Lints; `clippy.toml` and `[workspace.lints]` hold them.
clippy:
    cargo clippy --workspace --all-targets -- -D warnings

# Formats everything.
fmt:
    cargo fmt --all

# The documentation, with every link and example checked.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --workspace
    cargo test --workspace --doc

# All interleavings of the lock-free parts with up to this many preemptions.
loom preemptions="4":
    CARGO_TARGET_DIR=target/loom RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS={{preemptions}} \
        cargo test --release -p kvick-io -p kvick-runtime -p kvick --lib loom

# The whole engine on the simulated disk and executor; a failure prints the seed to give here.
sim seed="":
    SEED={{seed}} cargo test --release -p tests --test sim

# Power cuts at any I/O while checkpoints are taken: so many crash images, each recovered.
crash images="1000000":
    IMAGES={{images}} cargo test --release -p tests --test sim -- crash:: --nocapture

# A million requests with numbers in four lives, each done once.
exclusions:
    cargo test --release -p tests --test sim -- --ignored --nocapture a_million_requests

# Power cuts on real file systems. As root, with loop devices; else it says that it is skipped.
powercut cycles="200" backends="uring,threads" *args:
    cargo run --release -p tests --bin durability -- \
        power-cut --cycles {{cycles}} --backends {{backends}} {{args}}

# Kills of the process alone, in the directory for temporary files.
kill9 cycles="100" *args:
    cargo run --release -p tests --bin durability -- kill --cycles {{cycles}} {{args}}

# Damage to every byte of a store's files: found, or provably without effect.
rot seed="":
    SEED={{seed}} cargo test --release -p tests --test sim -- rot:: --nocapture

# Fuzzes one target for so many seconds, from its corpus. Needs nightly with cargo-fuzz. Targets:
# manifests block_files log_frames store_edits log_edits store_operations log_operations
fuzz target="store_edits" seconds="600" *args:
    cargo +nightly fuzz run --dev -s none --fuzz-dir tests/fuzz {{target}} tests/fuzz/target/inputs/{{target}} \
        tests/fuzz/corpus/{{target}} -- -max_total_time={{seconds}} -rss_limit_mb=4096 \
        -max_len=4096 {{args}}

# Random schedules of whole operations.
shuttle:
    CARGO_TARGET_DIR=target/shuttle RUSTFLAGS="--cfg shuttle" \
        cargo test --release -p tests --test shuttle

# Undefined behaviour in the parts that run without a kernel. Needs nightly with miri.
miri:
    MIRIFLAGS="-Zmiri-disable-isolation" CARGO_TARGET_DIR=target/miri \
        cargo +nightly miri test -p kvick --lib --features serde,rkyv
    MIRIFLAGS="-Zmiri-disable-isolation" CARGO_TARGET_DIR=target/miri \
        cargo +nightly miri test -p kvick-io --lib -- buf pool completion memory sim

# Memory errors in the unit tests of the libraries. Needs nightly. The tests of `kvick-io` leak on
# purpose: the kernel may still write into the buffers of a ring that died.
asan:
    CARGO_TARGET_DIR=target/asan RUSTFLAGS="-Zsanitizer=address" \
        cargo +nightly test --target x86_64-unknown-linux-gnu --lib \
        -p kvick-runtime -p kvick --features kvick/serde,kvick/rkyv
    CARGO_TARGET_DIR=target/asan RUSTFLAGS="-Zsanitizer=address" ASAN_OPTIONS=detect_leaks=0 \
        cargo +nightly test --target x86_64-unknown-linux-gnu --lib -p kvick-io

# The types of the libraries on another system: just other aarch64-apple-darwin
other target="x86_64-pc-windows-gnu":
    CARGO_TARGET_DIR=target/other RUSTFLAGS="-D warnings" \
        cargo check -p kvick-io -p kvick-runtime -p kvick --target {{target}}

# Dependencies: advisories, licences, sources. Needs cargo-deny.
deny:
    cargo deny check

# Spelling. Needs typos-cli.
typos:
    typos

# Small benchmarks, with criterion.
bench *args:
    cargo bench {{args}}

# The instructions of operations in memory; --check compares them with limits. Needs valgrind.
instructions *args:
    cargo run --release -p instructions -- {{args}}

# The long runs: workloads, many tasks, larger than memory.
kvbench *args:
    cargo run --release -p benches --bin kvbench -- {{args}}

# A store that grows and shrinks, against an index of fixed size: just growth --to 10000000
growth *args:
    cargo run --release -p benches --bin kvbench -- grow --compare --noise --path target \
        --json target/growth.json --svg target/growth.svg {{args}}

# Many different keys, few at once: just churn --keys 10000000
churn *args:
    cargo run --release -p benches --bin kvbench -- churn --path target {{args}}

# Scans in memory, beside a writer, and from the device: just scan --value 100 --records 4000000
scan *args:
    cargo run --release -p benches --bin kvbench -- scan --path target {{args}}

# Updates of 3x the data, with and without compaction: just overwrite --disk 3,6 --svg overwrite.svg
overwrite *args:
    cargo run --release -p benches --bin kvbench -- overwrite --path target {{args}}

# Checkpoints and recoveries against the disk: just recoverbench --records 10000000 --kind snapshot
recoverbench *args:
    cargo run --release -p benches --bin recoverbench -- {{args}}

# The resident memory over the budget of a store: just memorybench --path /tmp
memorybench *args:
    cargo run --release -p benches --bin memorybench -- {{args}}

# Reopening, feed and backup of a store with a write-ahead log: just walbench --path /tmp
walbench *args:
    cargo run --release -p benches --bin walbench -- {{args}}

# Many sessions, tables and waiting tasks: just manybench --path /tmp
manybench *args:
    cargo run --release -p benches --bin manybench -- {{args}}

# The log under load: just logbench --entry 1024 --against memcpy,write --runs 3
logbench *args:
    cargo run --release -p benches --bin logbench -- {{args}}

# The log beside other logs: just logversus --callers 1,16 --path /var/tmp
logversus *args:
    cd benches/versus && cargo run --release --no-default-features --features log --bin log -- {{args}}

# Durable writes beside redb and fjall: just durableversus --tasks 1,64 --path /var/tmp
durableversus *args:
    cd benches/versus && cargo run --release --no-default-features --features durable --bin durable -- {{args}}

# A cache beside moka and foyer: just cacheversus --value 8
cacheversus *args:
    cd benches/versus && cargo run --release --no-default-features --features cache --bin cache -- {{args}}

# A store that is overwritten beside redb and fjall, with `--features disk` RocksDB too.
overwriteversus *args:
    cd benches/versus && cargo run --release --no-default-features --features overwrite \
        --bin overwrite -- {{args}}

# The log's figures next to what each is measured against; `path` is on the disk to be measured.
logfigures path="target" runs="3":
    just logbench --path {{path}} --runs {{runs}} --backend null --runtime builtin --seconds 3
    just logbench --path {{path}} --runs {{runs}} --backend null --threads 2 --tasks 4 \
        --against lone --seconds 3
    just logbench --path {{path}} --runs {{runs}} --entry 1024 --runtime builtin \
        --against memcpy,write --seconds 3
    just logbench --path {{path}} --runs {{runs}} --commit each --tasks 64 --against lone \
        --seconds 3
    just logbench --path {{path}} --runs {{runs}} --commit every=5ms --threads 2 --tasks 1 \
        --readers 1 --scan cold --against read --seconds 3
    just logbench --path {{path}} --idle 1000 --memory 256KiB --seconds 5

# Lints and tests of the glommio feature (Linux).
glommio:
    cargo clippy -p kvick-io -p kvick-runtime -p kvick -p examples -p benches \
        --features glommio --all-targets -- -D warnings
    cargo test -p kvick-io -p kvick-runtime -p kvick -p examples --features glommio
