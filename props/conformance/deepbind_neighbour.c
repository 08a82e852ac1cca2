// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
int neighbour(void) { return 42; }
