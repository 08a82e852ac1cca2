/* A heap changes hands: its thread exits, another thread adopts it whole, or a slow path claims it and drains it.
 *
 * One heap with one chunk. Thread 0 is its first owner and exits; threads 1 and 2 compete for the heap, as often
 * as TURNS says; either gives it back at any time. What thread 0 and the adopters pass on is freed by thread 1 or 2,
 * which means remotely, or locally if that thread is the heap's owner at that moment.
 *
 * Nobody dies falsely, no slot has two owners, and what was freed into an orphan heap is found by the next owner.
 */
#ifndef NS
#define NS 1
#endif
#ifndef MALLOCS
#define MALLOCS 2
#endif
#ifndef TURNS
#define TURNS 1
#endif
#ifndef LEGAL
#define LEGAL
#endif
#define WORDS
#define NC 1
#define NH 1
#define NT 3
#define SB 4
#define FREERS_STORE
#define OWNER(c) 0
#define NMAIL MALLOCS

#define OWNED 0
#define ORPHAN 1

byte mail[NMAIL];                       /* slot + 1, relaxed; 255 = was taken */
byte mailed, mallocs;                   /* ghost */
byte heap_state;                        /* memory: OWNED or ORPHAN */
byte done;                              /* ghost */

#define handed_out(c, b) skip
#define zeroed(c, d) skip
#include "machine.pml"
#include "protocol.pml"

#define LOC_STATE LOC_MAIL(NMAIL)

inline commit(location, value)
{
  if
  :: location == LOC_L(0) -> mem_l[0] = value
  :: location == LOC_H(0) -> mem_h[0] = value
  :: location == LOC_G(0) -> mem_g[0] = value
  :: location == LOC_CL(0) -> mem_cl[0] = value
  :: location == LOC_OPEN(0) -> mem_open[0] = value
  :: location == LOC_LINK(0) -> link_[0] = value
  :: location >= LOC_MAIL(0) && location < LOC_MAIL(NMAIL) -> mail[location - LOC_MAIL(0)] = value
  :: location == LOC_STATE -> heap_state = value
  :: else
  fi
}

#ifdef WEAK
#define MAY_PASS_3(t) (buf[t].n > 3 && buf[t].loc[0] != FENCE && buf[t].loc[1] != FENCE && buf[t].loc[2] != FENCE \
                       && buf[t].loc[3] != FENCE && buf[t].loc[3] != buf[t].loc[0] && buf[t].loc[3] != buf[t].loc[1] \
                       && buf[t].loc[3] != buf[t].loc[2])
#define DRAIN_LAST(t) :: atomic { MAY_PASS_3(t) -> drain(t, 3) }
#else
#define DRAIN_LAST(t)
#endif

active proctype memory()
{
  byte k_;
end:
  do
  DRAIN_ANY(0)
  DRAIN_LAST(0)
  DRAIN_ANY(1)
  DRAIN_LAST(1)
  DRAIN_ANY(2)
  DRAIN_LAST(2)
  DRAIN_LAGS(0)
  DRAIN_LAGS(1)
  DRAIN_LAGS(2)
  od
}

#define BIT(s) (1 << (s))
#if NS > 1
#define PICK(mask) if :: (mask) & BIT(0) -> s = 0 :: (mask) & BIT(1) -> s = 1 fi
#else
#define PICK(mask) s = 0
#endif

/* What an owner does while it owns. `mine` belongs to the thread, not to the heap. */
#define OWNER_STEPS(t) \
  :: atomic { own && mallocs < MALLOCS && A[0] -> mallocs++; PICK(A[0]) } \
     hand_out(t, 0, BIT(s)); \
     if \
     :: mine = mine | BIT(s) \
     :: atomic { buf[t].n < SB -> store(t, LOC_MAIL(mailed), s + 1); mailed++ } \
     fi; \
     s = 0 \
  :: atomic { own && inbox[0] -> skip } drain_inbox(t, 0) \
  :: atomic { own && A[0] == 0 -> skip } refill(t, 0)

/* The heap's last owner's stores, then the state: a release store. */
inline orphan_heap(t)                   /* impl: orphan_heap */
{
#ifndef ORPHAN_NOT_RELEASE
  fence_release(t);
#endif
  atomic { buf[t].n < SB -> store(t, LOC_STATE, ORPHAN); own = 0 }
}

/* Claimed by a compare-exchange (acquire): whoever wins sees all stores of the last owner. */
inline adopt_heap(t)                    /* impl: adopt_heap */
{
#ifdef ADOPT_WITHOUT_CLAIM
  l = heap_state;
  if
  :: l == ORPHAN ->
     store(t, LOC_STATE, OWNED);
     own_heap(t)
  :: else
  fi;
  l = 0
#else
#ifdef ADOPT_NOT_ACQUIRE
  atomic { l = mem_l[0]; r = mem_h[0]; d = mem_g[0] }   /* loads of a word, satisfied before the claim */
#endif
  atomic {
    DRAINED(t) ->
    if
    :: heap_state == ORPHAN -> heap_state = OWNED; own_heap(t)
    :: else                             /* somebody else was faster */
    fi;
    l = 0; r = 0; d = 0
  }
#endif
}

inline own_heap(t)
{
  atomic {
    own = 1;
#ifdef ADOPT_NOT_ACQUIRE
    L[0] = l; H[0] = r; G[0] = d;
#else
    L[0] = mem_l[0]; H[0] = mem_h[0]; G[0] = mem_g[0];
#endif
    CL[0] = mem_cl[0]; open[0] = mem_open[0];               /* an open word stays open ... */
    if :: open[0] -> H[0] = ALL & ~(L[0] | A[0]) :: else fi             /* ... and what it holds follows */
  }
}

/* A slow path that needs memory: claim, collect what waits, give it back. */
inline drain_orphan(t)                  /* impl: drain_orphan */
{
#ifdef DRAIN_WITHOUT_CLAIM
  drain_inbox(t, 0);
  refill(t, 0)
#else
  adopt_heap(t);
  if
  :: own ->
     drain_inbox(t, 0);
     refill(t, 0);
     orphan_heap(t)
  :: else
  fi
#endif
}

proctype first_owner()
{
  byte mine, s, g; bit own; LOCALS;
  own = 1;
  do
  OWNER_STEPS(0)
  :: atomic { mine -> PICK(mine); mine = mine & ~BIT(s) } take_back(0, 0, BIT(s)); s = 0
  :: break
  od;
  orphan_heap(0);
  do                                    /* destructors that run after ours */
#ifdef LOCAL_FREE_AFTER_ORPHAN
  :: atomic { mine -> PICK(mine); mine = mine & ~BIT(s) } take_back(0, 0, BIT(s)); s = 0
#else
  :: atomic { mine -> PICK(mine); mine = mine & ~BIT(s) } remote_free(0, 0, BIT(s)); s = 0
#endif
  :: atomic { mine == 0 -> break }
  od;
  done++
}

proctype other(byte t)
{
  byte mine, s, g, p, turns; bit own; LOCALS;
  do
  OWNER_STEPS(t)
  /* A pointer to free: local or remote is decided by who owns the heap at that moment. */
  :: atomic {
       mine -> PICK(mine); mine = mine & ~BIT(s);
     }
free_it:
     if
     :: own -> take_back(t, 0, BIT(s))
     :: else -> remote_free(t, 0, BIT(s))
     fi;
     s = 0
  :: atomic {
       p < NMAIL && mail[p] != 0 && (mail[p] != 255) ->
       s = mail[p] - 1; mail[p] = 255; p++
     }
     goto free_it
  :: atomic { p < NMAIL && mail[p] == 255 -> p++ }
  :: atomic { !own && turns < TURNS && heap_state == ORPHAN -> turns++ }
     if
     :: adopt_heap(t)
     :: drain_orphan(t)
     fi
  :: atomic { own && mine == 0 -> skip } orphan_heap(t)
  :: atomic { !own && mine == 0 && done >= 1 && p == mailed -> break }
  od;
  done++
}

/* Quiescence: the last owner adopts the heap and finds everything. */
active proctype last_owner()
{
  bit own; LOCALS;
  byte s;
  done == 3 && buf[0].n == 0 && buf[1].n == 0 && buf[2].n == 0;
#ifdef WEAK
  LAGGING_R(0) == 0 && LAGGING_D(0) == 0;
#endif
  adopt_heap(0);
  drain_inbox(0, 0);
  atomic { VERIFY(0) }
  if
  :: L[0] || R[0] || D[0] || pending[0] || inbox[0] || live[0] -> BREAKS(lost_free)
  :: else
  fi
}

init {
  atomic {
    run first_owner();
    run other(1);
    run other(2)
  }
}
