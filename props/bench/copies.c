// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// copies <place>/<bytes> <count>: `count` calls of memcpy, for counting their instructions. Places:
//   stack   both ends on the stack
//   slot    both in slots
//   large   both in blocks of 1 MB
#include <stdlib.h>
#include <string.h>

int main(int argc, char** argv) {
  char* const slash = argc == 3 ? strchr(argv[1], '/') : NULL;
  if (slash == NULL) return 2;
  const size_t bytes = strtoul(slash + 1, NULL, 10);
  const size_t count = strtoul(argv[2], NULL, 10);
  const size_t place = strncmp(argv[1], "large", 5) == 0 ? 1000000 : bytes;
  char stack[2][2048] = {{0}};
  char* to = stack[0];
  char* from = stack[1];
  if (bytes > sizeof stack[0]) return 2;
  if (argv[1][1] != 't') {
    to = calloc(1, place);
    from = calloc(1, place);
    if (to == NULL || from == NULL) return 1;
  }
  for (size_t i = 0; i != count; ++i) memcpy(to, from, bytes);
  return 0;
}
