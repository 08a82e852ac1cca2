/* A signal handler interrupts its own thread at any step, runs to its end, and allocates and frees.
 *
 * Thread 0 is the owner of heap 0 and runs the handler; thread 1 is a freer. Heap 1 has a word of its own. While thread 0 is inside an operation
 * on its heap the heap is `busy`: then the handler frees by the remote path and allocates from heap 1.
 * Else it uses heap 0 as anybody would.
 */
#ifndef NS
#define NS 1
#endif
#ifndef MALLOCS
#define MALLOCS 2
#endif
#ifndef HANDLERS
#define HANDLERS 2
#endif
#ifndef LEGAL
#define LEGAL
#endif
#define NC 2                            /* word 0 of heap 0, word 1 of heap 1 */
#define NH 2
#define NT 2
#define OWNER_T 0
#define FREER 1
#define OWNER(c) (c)
#define NMAIL MALLOCS
#define FREERS_STORE                    /* a handler sees its thread's stores */

byte mail[NMAIL], sent;
bit busy, in_handler, owner_done, freer_done;
byte shared[NC];                        /* pointers that the thread and its handler both may free, once */
byte handlers, mallocs;

#define handed_out(c, b) skip
#define zeroed(c, d) skip
#include "machine.pml"
#include "protocol.pml"

inline commit(location, value)
{
  if
  :: location < NC -> mem_l[location] = value
  :: location >= LOC_LINK(0) && location < LOC_LINK(NC) -> link_[location - LOC_LINK(0)] = value
  :: location >= LOC_MAIL(0) && location < LOC_MAIL(NMAIL) -> mail[location - LOC_MAIL(0)] = value
  :: else
  fi
}

active proctype memory()
{
  byte k_;
end:
  do
  DRAIN_ANY(OWNER_T)
  :: atomic { buf[FREER].n > 0 -> drain(FREER, 0) }
  od
}

#define BIT(s) (1 << (s))
#if NS > 1
#define PICK(mask) if :: (mask) & BIT(0) -> s = 0 :: (mask) & BIT(1) -> s = 1 fi
#else
#define PICK(mask) s = 0
#endif

#ifdef NO_BUSY_FLAG
#define ENTER skip
#define LEAVE skip
#else
#define ENTER busy = 1
#define LEAVE busy = 0
#endif
#ifdef BUSY_SET_LATE                    /* a compiler moved the flag behind the operation's first loads */
#define ENTER_THEN(first) atomic { first }; ENTER
#else
#define ENTER_THEN(first) ENTER; atomic { first }
#endif

/* The flag is read and written by one thread only; signal fences keep the compiler from moving it. */
proctype owner() provided (!in_handler)
{
  byte s, c, g; LOCALS;
  do
  :: mallocs < MALLOCS && A[0] ->
     ENTER_THEN(if :: A[0] && mallocs < MALLOCS -> PICK(A[0]); mallocs++; c = 1 :: else -> c = 0 fi);
     if
     :: c -> hand_out(OWNER_T, 0, BIT(s))
     :: else
     fi;
     LEAVE;
     if
     :: c -> shared[0] = shared[0] | BIT(s)
     :: c -> atomic { buf[OWNER_T].n < SB -> store(OWNER_T, LOC_MAIL(sent), s + 1); sent++ }
     :: !c
     fi;
     atomic { s = 0; c = 0 }
  :: atomic { shared[0] -> PICK(shared[0]); shared[0] = shared[0] & ~BIT(s) }
     ENTER; take_back(OWNER_T, 0, BIT(s)); LEAVE; s = 0
  :: atomic { shared[1] -> PICK(shared[1]); shared[1] = shared[1] & ~BIT(s) }
     remote_free(OWNER_T, 1, BIT(s)); s = 0
  :: inbox[0] -> ENTER; drain_inbox(OWNER_T, 0); LEAVE
  :: A[0] == 0 -> ENTER; refill(OWNER_T, 0); LEAVE
  :: atomic { mallocs > 0 && !shared[0] && !shared[1] -> owner_done = 1; break }
  od;
  freer_done;
  drain_inbox(OWNER_T, 0);
  drain_inbox(OWNER_T, 1);
  atomic {
    DRAINED(OWNER_T) ->
    for (c : 0 .. NC - 1) {
      if :: L[c] || R[c] || D[c] || pending[c] || mem_l[c] || live[c] || inbox[c] -> BREAKS(lost_free) :: else fi
    }
  }
}

proctype handler()
{
  byte s, g; LOCALS;
end:
  do
  :: atomic { handlers < HANDLERS && !owner_done -> handlers++; in_handler = 1 }
     if
     :: atomic { shared[0] -> PICK(shared[0]); shared[0] = shared[0] & ~BIT(s) }
        if
        :: busy -> remote_free(OWNER_T, 0, BIT(s))
        :: else -> take_back(OWNER_T, 0, BIT(s))
        fi
     :: atomic { busy && A[1] == 0 -> skip }
        refill(OWNER_T, 1)
     :: atomic { busy && A[1] -> PICK(A[1]) }
        hand_out(OWNER_T, 1, BIT(s)); shared[1] = shared[1] | BIT(s)
     :: atomic { !busy && A[0] == 0 -> skip }
        refill(OWNER_T, 0)
     :: atomic { !busy && A[0] && mallocs < MALLOCS -> PICK(A[0]); mallocs++ }
        hand_out(OWNER_T, 0, BIT(s)); shared[0] = shared[0] | BIT(s)
     :: skip
     fi;
     s = 0;
     in_handler = 0
  od
}

proctype freer()
{
  byte p, s, g; LOCALS;
  do
  :: atomic { p < NMAIL && mail[p] != 0 -> s = mail[p] - 1; mail[p] = 0; p++ }
     remote_free(FREER, 0, BIT(s)); s = 0
  :: atomic { owner_done && p == sent -> break }
  od;
  freer_done = 1
}

init {
  atomic { run owner(); run handler(); run freer() }
}
