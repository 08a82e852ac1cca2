/* One heap: an owner and its freers; malloc, local and remote free, hold, collect, inbox, refill, release.
 *
 *   LEGAL     the program frees each pointer once. Nobody may die, nothing may be lost, no freer may touch a
 *             chunk after it was recycled, no slot may have two owners, nobody may hang.
 *   ORDERED   the first pointer is freed twice, the second call after the first returned. It must not return.
 *   RACING    the first pointer is freed twice, the calls may overlap. No silent double hand-out; and
 *             when both calls returned and the slot was not handed out in between, a drain must die.
 *
 *   NF freers, NC words of NS slots, NW words to a chunk, MALLOCS hand-outs, MAXGEN releases of chunk 0; PAIR says who frees twice:
 *   LL, LR, RL, RR (L local, R remote; in this order when ORDERED).
 */
#ifndef NF
#define NF 1
#endif
#ifndef NC
#define NC 1
#endif
#ifndef NS
#define NS 1
#endif
#ifndef MALLOCS
#define MALLOCS 2
#endif
#ifndef MAXGEN
#define MAXGEN 0
#endif
#define LL 1
#define LR 2
#define RL 3
#define RR 4
#ifndef PAIR
#define PAIR 0
#endif
#define NH 1
#define NT (NF + 1)
#define OWNER_T NF                      /* threads 0 .. NF-1 free, thread NF owns */
#define OWNER(c) 0
#define NMAIL MALLOCS                   /* mails per freer */

/* The program's own words: mailboxes through which it passes pointers on by relaxed stores. */
byte mail[NF * NMAIL];                  /* pointer + 1 */
byte sent[NF];                          /* ghost: mails on their way or arrived */
bit owner_done;
byte freers_done;

/* ghost for the double frees: the first pointer (word 0, bit `twin`), how often its slot was handed out */
byte twin, hand_outs, frees;
bit first_ended;

#define handed_out(c, b) if :: (c) == 0 && (b) == twin -> hand_outs++ :: else fi
#ifdef SLOT_STORES
/* a freer's access to the slot that is still under way would hit the next user */
#define IN_FLIGHT(t, i, c, d) (buf[t].n > i && buf[t].loc[i] == LOC_SLOT(c) && (buf[t].val[i] & (d)))
#define ANY_IN_FLIGHT(t, c, d) (IN_FLIGHT(t, 0, c, d) || IN_FLIGHT(t, 1, c, d) || IN_FLIGHT(t, 2, c, d))
#if NF > 1
#define zeroed(c, d) if :: ANY_IN_FLIGHT(0, c, d) || ANY_IN_FLIGHT(1, c, d) -> BREAKS(slot_touched) :: else fi
#else
#define zeroed(c, d) if :: ANY_IN_FLIGHT(0, c, d) -> BREAKS(slot_touched) :: else fi
#endif
#else
#define zeroed(c, d) skip
#endif

#include "machine.pml"
#include "protocol.pml"

#ifdef LEGAL
#define WHILE_ALIVE
#else
#define WHILE_ALIVE provided (!dead)
#endif

inline commit(location, value)
{
  if
  :: location < NC -> mem_l[location] = value
  :: location >= LOC_LINK(0) && location < LOC_LINK(NC) -> link_[location - NC] = value
  :: location >= LOC_MAIL(0) && location != FENCE -> mail[location - LOC_MAIL(0)] = value
  :: else
  fi
}

active proctype memory() WHILE_ALIVE
{
  byte k_;
end:
  do
  DRAIN_ANY(OWNER_T)
#ifdef WEAK
  DRAIN_ANY(0)
#if NF > 1
  DRAIN_ANY(1)
#endif
#else
  :: atomic { buf[0].n > 0 -> drain(0, 0) }
#if NF > 1
  :: atomic { buf[1].n > 0 -> drain(1, 0) }
#endif
#endif
  DRAIN_LAGS(0)
#if NF > 1
  DRAIN_LAGS(1)
#endif
  od
}

/* A second call returned. It may only do so if the slot was handed out again meanwhile: a stale free, which
 * nobody can see without tags. */
inline returned(c, b)
{
#ifndef LEGAL
  atomic {
    if
    :: (c) == 0 && (b) == twin && !dead ->
       frees++;
#ifdef ORDERED
       if
       :: frees == 1 -> first_ended = 1
       :: frees == 2 && hand_outs == 1 -> BREAKS(late_death)
       :: else
       fi
#endif
    :: else
    fi
  }
#else
  skip
#endif
}

proctype freer(byte t) WHILE_ALIVE
{
  byte p, g, got; LOCALS;
  do
  :: atomic {
       got < NMAIL && mail[t * NMAIL + got] != 0 ->     /* relaxed load; what follows depends on its value */
       p = mail[t * NMAIL + got] - 1;
       mail[t * NMAIL + got] = 0;
       got++;
       g = gen[CHUNK(p / NS)]
     }
#if defined(ORDERED) && PAIR == RR
     if :: t == 1 && got == 1 -> first_ended :: else fi;
#endif
     remote_free(t, p / NS, 1 << (p % NS));
     returned(p / NS, 1 << (p % NS));
     atomic { p = 0; g = 0 }
  :: atomic { owner_done && got == sent[t] -> got = 0; break }
  od;
  freers_done++
}

inline publish(f, c, s)
{
  atomic {
    buf[OWNER_T].n < SB ->
    store(OWNER_T, LOC_MAIL(f * NMAIL + sent[f]), (c) * NS + s + 1);
    sent[f]++
  }
}

#define SLOT(s) (1 << (s))
#if NC > 1
#define ANY(x) (x[0] || x[1])
#else
#define ANY(x) x[0]
#endif
#ifdef LEGAL
#define FIRST_IN_WORD_0
#else
#define FIRST_IN_WORD_0 && (mallocs > 0 || cursor[0] == 1)
#endif
#if PAIR == RL && defined(ORDERED)
#define MAY_FREE first_ended
#else
#define MAY_FREE true
#endif

active proctype owner() WHILE_ALIVE
{
  byte mine[NC];                        /* what the program keeps and the owner may free */
  byte c, s, f, mallocs; byte g; LOCALS;
#if PAIR == LR && defined(ORDERED)
  bit pass_twin;
#endif

  atomic {
    for (f : 0 .. NF - 1) { run freer(f) }
    f = 0
  }
  do
  :: atomic {
       mallocs < MALLOCS && A[0] FIRST_IN_WORD_0 ->
       c = cursor[0] - 1;
       if :: A[0] & SLOT(0) -> s = 0
#if NS > 1
          :: A[0] & SLOT(1) -> s = 1
#endif
       fi;
       mallocs++;
#ifndef LEGAL
       if :: mallocs == 1 -> twin = SLOT(s) :: else fi
#endif
     }
     hand_out(OWNER_T, c, SLOT(s));
#ifdef LEGAL
     if
     :: mine[c] = mine[c] | SLOT(s)
     :: publish(0, c, s)
#if NF > 1
     :: publish(1, c, s)
#endif
     fi;
#else
     if
     :: mallocs == 1 ->
#if PAIR == RR
        publish(0, c, s); publish(1, c, s)
#elif PAIR == RL
        publish(0, c, s); mine[c] = mine[c] | SLOT(s)
#elif PAIR == LR && defined(RACING)
        mine[c] = mine[c] | SLOT(s); publish(0, c, s)
#else
        mine[c] = mine[c] | SLOT(s)
#endif
     :: mallocs > 1                     /* a later user keeps what it got */
     fi;
#endif
     atomic { c = 0; s = 0 }

  :: atomic {                           /* the program frees a pointer that it kept */
       ANY(mine) && MAY_FREE ->
       if
       :: mine[0] -> c = 0
#if NC > 1
       :: mine[1] -> c = 1
#endif
       fi;
       if
       :: mine[c] & SLOT(0) -> s = 0
#if NS > 1
       :: mine[c] & SLOT(1) -> s = 1
#endif
       fi;
       mine[c] = mine[c] & ~SLOT(s)
     }
     take_back(OWNER_T, c, SLOT(s));
     returned(c, SLOT(s));
#if defined(ORDERED) && PAIR == LR
     fence_release(OWNER_T);            /* ordered means: the program orders the calls by more than a relaxed store */
     publish(0, c, s);
#endif
#if PAIR == LL
     if
     :: frees == 1 -> mine[c] = mine[c] | SLOT(s)
     :: else
     fi;
#endif
     atomic { c = 0; s = 0 }

  :: atomic { inbox[0] != 0 -> skip } drain_inbox(OWNER_T, 0)
  :: atomic { !released[0] && A[0] == 0 -> skip } refill(OWNER_T, 0)
#if NC > 1
  :: atomic { !released[CHUNK(1)] && A[0] == 0 -> skip } refill(OWNER_T, 1)
#endif
#if MAXGEN > 0
  :: atomic { cursor[0] != 0 && A[0] == 0 -> skip } leave_word(OWNER_T, 0)
  :: atomic { MAY_RELEASE(0) -> skip } release_chunk(OWNER_T, 0)
  :: acquire_chunk(0)
#endif
  :: atomic { mallocs > 0 && !ANY(mine) -> mallocs = 0; break }
  od;

  owner_done = 1;
  freers_done == NF;
  /* Quiescence: every call has returned. What was freed must come back by the inbox alone. */
  drain_inbox(OWNER_T, 0);
  atomic {
    DRAINED(OWNER_T) ->
#ifdef LEGAL
    for (c : 0 .. NC - 1) {
      if :: L[c] || R[c] || D[c] || pending[CHUNK(c)] || mem_l[c] || live[c] || inbox[0] -> BREAKS(lost_free) :: else fi
    }
#else
    skip
#endif
  }
#ifndef LEGAL
  /* ... or a double free must be found at the latest now. */
  if :: !released[0] -> refill(OWNER_T, 0) :: else fi;
  atomic {
    if :: frees > hand_outs -> BREAKS(silent_double_free) :: else fi
  }
#endif
}
