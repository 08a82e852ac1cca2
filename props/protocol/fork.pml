/* fork: the child gets memory as it is at one instant. The other threads are gone, and with them what was in
 * their store buffers; what they were doing stays half done.
 *
 *   default   some other thread forks, at any instant. The heap's owner and a freer are gone. In the child two
 *             threads run: one frees the pointers that the forking thread had, one takes the heap over.
 *   OWN       the owner forks, between two of its operations. Its L, H, guard and cursor are whole, but a freer may be
 *             gone in the middle of a remote free into it.
 *
 * In the child nobody may die falsely, no slot may have two owners, and at quiescence each free that had
 * begun (its mark was set) is finished and every signal still arrives.
 * Slots that only a vanished thread knew stay live: the program lost them, not we.
 */
#ifndef NS
#define NS 2
#endif
#ifndef MALLOCS
#define MALLOCS 3
#endif
#ifndef CHILD_MALLOCS
#define CHILD_MALLOCS 1
#endif
#ifndef LEGAL
#define LEGAL
#endif
#define WORDS
#define NC 1
#define NH 1
#define NT 2
#define FREER 0                         /* before the fork a freer, after it a child's thread that frees */
#define OWNER_T 1                       /* before the fork the owner, after it the child's thread that adopts */
#define OWNER(c) 0
#define NMAIL MALLOCS

byte mail[NMAIL], forker_mail;          /* pointers on their way: slot + 1 */
byte sent, got;
byte forkers;                           /* pointers that live on in the child and that its threads may free */
bit forked, swept, sweep_lock, freer_done, forked_again;
byte kept;                              /* ghost: what must be live after the sweep */

#define handed_out(c, b) skip
#define zeroed(c, d) skip
#include "machine.pml"
#include "protocol.pml"

inline commit(location, value)
{
  if
  :: location == LOC_L(0) -> mem_l[0] = value
  :: location == LOC_H(0) -> mem_h[0] = value
  :: location == LOC_G(0) -> mem_g[0] = value
  :: location == LOC_CL(0) -> mem_cl[0] = value
  :: location == LOC_OPEN(0) -> mem_open[0] = value
  :: location == LOC_VISITED(0) -> visited[0] = value
  :: location == LOC_LINK(0) -> link_[0] = value
  :: location >= LOC_MAIL(0) && location < LOC_MAIL(NMAIL) -> mail[location - LOC_MAIL(0)] = value
  :: location == LOC_MAIL(NMAIL) -> forker_mail = value
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

/* What is gone with its threads. */
inline fork_now()
{
  d_step {
    forked = 1;
    buf[FREER].n = 0;
    buf[FREER].loc[0] = 0; buf[FREER].loc[1] = 0; buf[FREER].loc[2] = 0;
    buf[FREER].val[0] = 0; buf[FREER].val[1] = 0; buf[FREER].val[2] = 0;
    buf[OWNER_T].n = 0;
    buf[OWNER_T].loc[0] = 0; buf[OWNER_T].loc[1] = 0; buf[OWNER_T].loc[2] = 0;
    buf[OWNER_T].val[0] = 0; buf[OWNER_T].val[1] = 0; buf[OWNER_T].val[2] = 0;
    for (k_ : 0 .. NMAIL - 1) { mail[k_] = 0 }
    k_ = 0; forker_mail = 0; sent = 0; got = 0;
    kept = mem_l[0] & ~R[0];
    live[0] = kept;
#ifndef OWN
    L[0] = 0; H[0] = 0; G[0] = 0; CL[0] = 0;    /* the owner's view went with it */
    open[0] = 0; cursor[0] = 0; A[0] = 0;
#endif
    if :: inbox[0] == 0 -> link_[0] = 0 :: else fi
  }
}

/* ---- before the fork ---- */

proctype parent_freer()
{
  byte s, g; LOCALS;
  {
  do
  :: atomic { got < NMAIL && mail[got] != 0 -> s = mail[got] - 1; mail[got] = 0; got++ }
     remote_free(FREER, 0, BIT(s));
     s = 0
  od
  } unless { forked }
}

proctype parent_owner()
{
  byte mine, s, mallocs, k_; LOCALS;
  {
  do
  :: atomic {
       mallocs < MALLOCS && A[0] ->
       if :: A[0] & BIT(0) -> s = 0 :: A[0] & BIT(1) -> s = 1 fi;
       mallocs++
     }
     hand_out(OWNER_T, 0, BIT(s));
     if
     :: mine = mine | BIT(s)
     :: atomic { buf[OWNER_T].n < SB -> store(OWNER_T, LOC_MAIL(sent), s + 1); sent++ }
#ifndef OWN
     :: atomic {
          forkers == 0 && forker_mail == 0 && buf[OWNER_T].n < SB ->
          store(OWNER_T, LOC_MAIL(NMAIL), s + 1)
        }
#endif
     fi;
     s = 0
  :: atomic { mine & BIT(0) -> mine = mine & ~BIT(0) } take_back(OWNER_T, 0, BIT(0))
  :: atomic { mine & BIT(1) -> mine = mine & ~BIT(1) } take_back(OWNER_T, 0, BIT(1))
  :: atomic { inbox[0] != 0 -> skip } drain_inbox(OWNER_T, 0)
  :: atomic { A[0] == 0 -> skip } refill(OWNER_T, 0)
#ifdef OWN
  :: atomic { DRAINED(OWNER_T) -> forkers = mine; fork_now() }
#endif
  od
  } unless { forked }
}

#ifndef OWN
proctype forker()
{
  byte k_;
  do
  :: atomic { forker_mail != 0 -> forkers = BIT(forker_mail - 1); forker_mail = 0 }
  :: atomic { fork_now(); break }
  od
}
#endif

/* ---- the child ---- */

/* fork takes the lock under which a sweep runs. FORK_WITHOUT_LOCK: a fork in the child may cut a sweep off, and the
 * grandchild begins it again. */
#ifdef FORK_WITHOUT_LOCK
#define MAY_TEAR if :: skip :: atomic { !forked_again -> forked_again = 1; goto again } fi
#else
#define MAY_TEAR skip
#endif

#define ONE_OR_NONE(set) ((set) == 0 || (set) == BIT(0) || (set) == BIT(1))
#define CUT_L (mem_cl[0] & ~l)          /* an open word: bits that its copy of L still has */
#define NEW_L (l & ~mem_cl[0])          /* ... or has not yet */

inline repair_word(c)                   /* impl: repair_word */
{
  atomic {
    l = mem_l[c]; r = R[c]; d = D[c]; old = mem_h[c];
    k = d & ~l;                         /* collected, its D and R not yet cleared */
    words = 0;                          /* known? */
    if
    :: !mem_open[0] ->
       if
       :: mem_g[c] == GUARD(l, old) -> words = 1
#ifndef NO_REPAIR_TORN_FREE
       :: !(l & BIT(0)) && mem_g[c] == GUARD(l | BIT(0), old & ~BIT(0)) -> words = 1
       :: !(l & BIT(1)) && mem_g[c] == GUARD(l | BIT(1), old & ~BIT(1)) -> words = 1
#endif
#ifndef NO_REPAIR_TORN_COLLECT
       :: mem_g[c] == GUARD(l | k, old & ~k) -> words = 1
#endif
       :: mem_g[c] == GUARD(l & ~r, (old | r) & ~(l & ~r)) -> words = 1
       :: else
       fi
    :: else ->                          /* open: the copy lags behind by one bit, or by what was being collected */
       if
       :: mem_cl[0] == l -> words = 1
#ifndef NO_REPAIR_OPEN_HANDOUT
       :: CUT_L == 0 && ONE_OR_NONE(NEW_L) -> words = 1
#endif
#ifndef NO_REPAIR_OPEN_FREE
       :: NEW_L == 0 && ONE_OR_NONE(CUT_L) -> words = 1
#endif
#ifndef NO_REPAIR_OPEN_COLLECT
       :: NEW_L == 0 && (CUT_L & ~k) == 0 -> words = 1
#endif
       :: else
       fi;
       if                               /* just opened, or about to be closed: the guard holds */
#ifndef NO_REPAIR_OPEN_GUARD
       :: old && mem_g[c] != GUARD(l, old) -> words = 0
#else
       :: old -> words = 0
#endif
       :: else
       fi
    fi;
    if :: !words || (d & ~r) -> DIE :: else fi;
    words = 0; k = 0;
    old = (old | r) & ~(l & ~r)
  }
#ifdef NO_FINISH_MARK
  atomic { r = r & ~(l & ~d) }          /* a mark without D is left alone */
#endif
#ifndef NO_REPAIR_GUARD
  mem_g[c] = GUARD(l & ~r, old); MAY_TEAR;
#endif
  mem_l[c] = l & ~r; MAY_TEAR;
  mem_h[c] = old; MAY_TEAR;
#ifndef NO_REPAIR_DONE
  D[c] = 0; MAY_TEAR;
#endif
#ifndef NO_REPAIR_MARK
  R[c] = R[c] & ~r; MAY_TEAR;
#endif
  atomic { l = 0; r = 0; d = 0; old = 0 }
}

inline sweep_torn_heap(c)               /* impl: sweep_torn_heap */
{
  skip;
again:
#ifndef NO_RESET_INBOX
  atomic { inbox[0] = 0; queued[c] = 0 } MAY_TEAR;
#endif
  repair_word(c);
#ifndef NO_RESET_PENDING
  pending[c] = 0; MAY_TEAR;
#endif
  visited[c] = 0; MAY_TEAR;
#ifndef NO_RESET_RECORD
  mem_open[0] = 0
#endif
}

inline sweep_if_torn(c)                 /* impl: sweep_if_torn */
{
  if
  :: swept -> skip
  :: else ->
     atomic { !sweep_lock -> sweep_lock = 1 }
     if
     :: swept -> skip
     :: else -> sweep_torn_heap(c); swept = 1
     fi;
     sweep_lock = 0
  fi
}

proctype child_freer()
{
  byte s, g; LOCALS;
  forked && _nr_pr == 4;               /* the parent is out of the picture: memory, init, two children are left */
#ifdef OWN
#ifndef OWN_REPAIR_LATE
  swept;                                /* started by the forking thread, after its atfork handler */
#endif
#endif
  do
  :: atomic {
       forkers != 0 ->
       if :: forkers & BIT(0) -> s = 0 :: forkers & BIT(1) -> s = 1 fi;
       forkers = forkers & ~BIT(s)
     }
#if !defined(OWN) && !defined(SWEEP_BESIDE_THREAD)
     sweep_if_torn(0);                    /* remote_free's first look at a heap that is older than this process */
#endif
     remote_free(FREER, 0, BIT(s));
     atomic { kept = kept & ~BIT(s); s = 0 }
  :: atomic { forkers == 0 -> break }
  od;
  freer_done = 1
}

/* The own heap: whole, but for the remote frees of threads that are gone. */
inline fork_child(c)                    /* impl: fork_child */
{
#ifndef NO_OWN_RESET_INBOX
  atomic { inbox[0] = 0; queued[c] = 0 }
#endif
  if
  :: visited[c] ->                      /* else no remote free was ever begun here */
     visited[c] = 0;
#ifndef NO_OWN_RESET_PENDING
     pending[c] = 0;
#endif
     atomic {
       r = R[c];
#ifdef NO_OWN_FINISH_MARK
       r = r & D[c];
#endif
       VERIFY(c);
       if :: r & ~L[c] -> DIE :: else fi
     }
     atomic { buf[OWNER_T].n < SB -> L[c] = L[c] & ~r; store(OWNER_T, LOC_L(c), L[c]) }
     H[c] = H[c] | r;
     write_word(OWNER_T, c);
     D[c] = 0;
     R[c] = R[c] & ~r;
     r = 0
  :: else
  fi
}

proctype child_owner()
{
  byte mine, s, mallocs, c; LOCALS;
  forked && _nr_pr == 4;               /* the parent is out of the picture: memory, init, two children are left */
#ifdef OWN
#ifdef OWN_REPAIR_LATE
  if :: skip :: freer_done fi;
#endif
  fork_child(0);
  swept = 1;
#else
#ifdef SWEEP_TWICE
  if :: swept -> swept = 0 :: else fi;
#endif
  sweep_if_torn(0);
  atomic {
    L[0] = mem_l[0]; H[0] = mem_h[0]; G[0] = mem_g[0]; CL[0] = mem_cl[0];
    open[0] = mem_open[0]
  }
#endif
  do
  :: atomic {
       mallocs < CHILD_MALLOCS && A[0] ->
       if :: A[0] & BIT(0) -> s = 0 :: A[0] & BIT(1) -> s = 1 fi;
       mallocs++
     }
     hand_out(OWNER_T, 0, BIT(s));
     atomic { mine = mine | BIT(s); s = 0 }
  :: atomic { mine & BIT(0) -> mine = mine & ~BIT(0) } take_back(OWNER_T, 0, BIT(0))
  :: atomic { mine & BIT(1) -> mine = mine & ~BIT(1) } take_back(OWNER_T, 0, BIT(1))
  :: atomic { inbox[0] != 0 -> skip } drain_inbox(OWNER_T, 0)
  :: atomic { A[0] == 0 -> skip } refill(OWNER_T, 0)
  :: atomic { freer_done && mine == 0 -> mallocs = 0; break }
  od;
  drain_inbox(OWNER_T, 0);
  atomic {
    DRAINED(OWNER_T) ->
    if
    :: L[0] != kept || mem_l[0] != kept || R[0] || D[0] || pending[0] || inbox[0] -> BREAKS(lost_free)
    :: else
    fi
  }
  refill(OWNER_T, 0)
}

init {
  atomic {
    run child_freer();                  /* first: spin removes ended processes in the order opposite to this one */
    run child_owner();
#ifndef OWN
    run forker();
#endif
    run parent_freer();
    run parent_owner()
  }
}
