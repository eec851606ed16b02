#!/usr/bin/env bash
#
# What bench says of a target whose every delay is known: within 2 % or 50 us of the target's own log and
# the way to it, on an idle machine: the way is measured before and after by the same load without delays,
# and added to each delay. The same tests, held to less, are part of every test run.
#
# Usage: scripts/bench-truth.sh       as root, with FUSE; prints a table
#
# Exit status: 0 all within; 1 not, three times in a row.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

echo "| delay | the way: p50, p99 | p50 | p90 | p99 | p99.9 |"
echo "|---|---|---|---|---|---|"
HIGHWATER_REQUIRE_ALL=1 HIGHWATER_STRICT_TIMES=1 \
    cargo test --quiet --test bench truth:: -- --nocapture --test-threads 1 | grep -E '^\||^not within|panicked|FAILED'
