#!/bin/bash -eu
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# (http://www.apache.org/licenses/LICENSE-2.0: OSS-Fuzz looks for this address.)
#
# $SRC/build.sh in OSS-Fuzz's image.
exec "$SRC/stave/ci/build-fuzzers"
