#!/bin/bash -eu
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# $SRC/build.sh in ClusterFuzzLite's image.
exec "$SRC/stave/ci/build-fuzzers"
