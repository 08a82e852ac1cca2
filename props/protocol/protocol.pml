/* The protocol of a chunk's words, one inline per C++ function (`impl:` tags; ci/prove checks the names).
 *
 * Words are numbered through: word w belongs to chunk w / NW and has NS slots; bit s of L, H, R, D stands for slot s.
 * A heap hands out from one word at a time (`cursor`). The words of a chunk are open or closed together, whether one of
 * them is the heap's `cursor` or not.
 *
 * What a variant takes away or makes wrong stands under #ifdef / #ifndef of the variant's name.
 *
 * L and H are the owner's view; what the other threads see of L is `mem_l`. R, D, pending and the inbox are changed by
 * read-modify-writes only, so memory is their only place (but see lag_r, lag_d).
 */

#ifndef NW
#define NW 1                            /* words per chunk */
#endif
#define NCHUNK (NC / NW)
#define CHUNK(w) ((w) / NW)
#define HEAP(w) OWNER(CHUNK(w))
#define ALL ((1 << NS) - 1)             /* the valid bits of a word */

/* ---- memory ---- */
byte L[NC], H[NC];                      /* owner's view: live, held */
byte A[NH];                             /* the cursor's candidates */
byte cursor[NH];                        /* the word that serves + 1, or 0 */
bit open[NCHUNK];                       /* the chunk has a record in its heap */
byte mem_l[NC];                         /* live, as other threads see it */
byte R[NC], D[NC];                      /* marked, done */
byte pending[NCHUNK];                   /* words whose done bits wait to be collected and were signalled */
byte link_[NCHUNK];                     /* inbox_next */
byte inbox[NH];                         /* chunk + 1; 0 = empty */
bit released[NCHUNK];                   /* given back: no owner */
byte gen[NCHUNK];                       /* ghost: how often the chunk was recycled */
bit queued[NCHUNK];                     /* ghost: in an inbox, or popped and its link not yet read */

/* ---- ghost: what the program owns ---- */
byte live[NC];                          /* handed out and not yet freed, at the instant the step takes effect */
byte dead;                              /* somebody died by name: nothing runs any more */

/* The ways to break; an assertion's text is the name that the expectation list uses. */
bit false_death, double_hand_out, silent_double_free, late_death, recycled_access, lost_free, slot_touched, wrong_inbox;
#define BREAKS(what) atomic { what = 1; assert(!what) }

#ifdef LEGAL                            /* a program that frees each pointer once must never die */
#define DIE BREAKS(false_death)
#else
#define DIE dead = 1
#endif

/* ---- locations of plain stores ---- */
#define LOC_L(w)     (w)
#define LOC_LINK(k)  (NC + (k))
#define LOC_SLOT(w)  (2 * NC + (w))     /* the freer's last store to the slot itself (poison) */
#define LOC_H(w)     (3 * NC + (w))
#define LOC_G(w)     (4 * NC + (w))
#define LOC_CL(w)    (5 * NC + (w))
#define LOC_OPEN(k)  (6 * NC + (k))
#define LOC_VISITED(k) (7 * NC + (k))
#define LOC_MAIL(k)  (8 * NC + (k))

/* WORDS: what the owner alone reads is memory too, because somebody else may have to go on with it (fork, adoption).
 * A closed word has its guard G, here a perfect function of (L, H), the real one is keyed; instead of it an open word
 * has a copy of L in its chunk's record, and its H in memory is 0: held is what is neither live nor a candidate. (Nobody
 * leaves a word here before its candidates are used up: nothing is `fresh`.) Without WORDS nobody else ever looks, and
 * all this is left out. H[] is the owner's view, whether it stands in memory or not.
 * The program order of the stores (L, H, then guard or copy) is part of the protocol: fork's child relies on it. */
#define GUARD(l, h) ((l) | ((h) << NS))
#define OPEN(w) open[CHUNK(w)]
#ifdef WORDS
byte G[NC], CL[NC];                     /* the owner's view */
byte mem_h[NC], mem_g[NC], mem_cl[NC];
bit mem_open[NCHUNK];
bit visited[NCHUNK];
#define PLAIN(t, location, view, value) atomic { buf[t].n < SB -> view = value; store(t, location, view) }
#define VERIFY(w) \
  if \
  :: OPEN(w) && CL[w] != L[w] -> DIE \
  :: !OPEN(w) && G[w] != GUARD(L[w], H[w]) -> DIE \
  :: else \
  fi
#else
#define PLAIN(t, location, view, value) skip
#define VERIFY(w) skip
#endif

/* What a freer sees of L. FREERS_STORE: where a freer may have been (or may interrupt) the owner. */
#ifdef FREERS_STORE
#define SEEN_L(t, w) LOAD(t, LOC_L(w), mem_l[w])
#else
#define SEEN_L(t, w) mem_l[w]
#endif

/* Plain loads of R and D do not see a store half that lags. */
#ifdef WEAK
byte lag_r[NT], lag_d[NT];              /* the bit whose store half of thread t is not visible yet ... */
byte lag_r_in[NT], lag_d_in[NT];        /* ... in this word */
#define LAG_R(t, w) (lag_r_in[t] == (w) -> lag_r[t] : 0)
#define LAG_D(t, w) (lag_d_in[t] == (w) -> lag_d[t] : 0)
#if NT == 2
#define LAGGING_R(w) (LAG_R(0, w) | LAG_R(1, w))
#define LAGGING_D(w) (LAG_D(0, w) | LAG_D(1, w))
#else
#define LAGGING_R(w) (LAG_R(0, w) | LAG_R(1, w) | LAG_R(2, w))
#define LAGGING_D(w) (LAG_D(0, w) | LAG_D(1, w) | LAG_D(2, w))
#endif
#define SEEN_R(w) (R[w] & ~LAGGING_R(w))
#define SEEN_D(w) (D[w] & ~LAGGING_D(w))
#define R_FREE(t, w) (LAGGING_R(w) == 0 && lag_r[t] == 0)     /* no read-modify-write between another's halves */
#define D_FREE(t, w) (LAGGING_D(w) == 0 && lag_d[t] == 0)
#define RELEASED(t) (DRAINED(t) && lag_r[t] == 0 && lag_d[t] == 0)
/* The store halves of thread t become visible; with its mark a free takes effect. */
#define DRAIN_LAGS(t) \
  :: d_step { lag_r[t] -> live[lag_r_in[t]] = live[lag_r_in[t]] & ~lag_r[t]; lag_r[t] = 0; lag_r_in[t] = 0 } \
  :: d_step { lag_d[t] -> lag_d[t] = 0; lag_d_in[t] = 0 }
#else
#define SEEN_R(w) R[w]
#define SEEN_D(w) D[w]
#define R_FREE(t, w) true
#define D_FREE(t, w) true
#define RELEASED(t) DRAINED(t)
#define DRAIN_LAGS(t)
#endif

#define LOCALS byte l, r, d, k, words, next, old

/* A freer's step must find the chunk that its pointer was handed out from. */
#ifdef LEGAL
#define TOUCH(w) if :: gen[CHUNK(w)] != g || released[CHUNK(w)] -> BREAKS(recycled_access) :: else fi
#else
#define TOUCH(w) skip
#endif

/* ---- owner: malloc ---- */
inline hand_out(t, w, b)                /* impl: hand_out */
{
  atomic {
    A[HEAP(w)] = A[HEAP(w)] & ~(b);
    VERIFY(w);
    l = 0;                              /* that it is neither live nor held follows from VERIFY */
#ifndef NO_HANDOUT_R
    l = SEEN_R(w);
#endif
    if
    :: l & (b) -> DIE
    :: else ->
       /* hand-out takes effect with the loads of its check: a mark that comes later is ordered after it */
       if :: live[w] & (b) -> BREAKS(double_hand_out) :: else fi;
       live[w] = live[w] | (b);
       handed_out(w, b)
    fi;
    l = L[w] | (b)                      /* a plain read, change, write: whoever gets between would be overwritten */
  }
  atomic { buf[t].n < SB -> L[w] = l; l = 0; store(t, LOC_L(w), L[w]) }
  PLAIN(t, LOC_CL(w), CL[w], L[w]);
#ifndef NO_PUBLISH_FENCE
  fence_release(t)                      /* the pointer may be passed on by a relaxed store: L first */
#else
  skip
#endif
}

/* The rest of a change to a word, after L. */
inline write_word(t, w)                 /* impl: free_in_word */
{
#ifdef WORDS
  if
  :: OPEN(w) ->
     PLAIN(t, LOC_CL(w), CL[w], L[w])
  :: else ->
     atomic { buf[t].n < SB -> store(t, LOC_H(w), H[w]) }
     PLAIN(t, LOC_G(w), G[w], GUARD(L[w], H[w]))
  fi
#else
  skip
#endif
}

/* ---- owner: local free ---- */
inline take_back(t, w, b)               /* impl: take_back */
{
  atomic {
    VERIFY(w);
    l = 0;
#ifndef NO_LOCAL_R_CHECK
    l = SEEN_R(w) & (b);
#endif
    if
    :: !(L[w] & (b)) || l -> DIE
    :: else
    fi;
    l = L[w] & ~(b)
  }
  atomic {
    buf[t].n < SB ->
    live[w] = live[w] & ~(b);
    L[w] = l;
    l = 0;
    store(t, LOC_L(w), L[w])
  }
  H[w] = H[w] | (b);
  write_word(t, w)
}

/* ---- any other thread: remote free ---- */
inline remote_free(t, w, b)             /* impl: remote_free */
{
#ifndef NO_STEP1
  atomic {                              /* step 1: a pointer that is not live dies before anything is written */
    TOUCH(w);
    if :: !(SEEN_L(t, w) & (b)) -> DIE :: else fi
  }
#endif
#ifdef SLOT_STORES
  atomic { store(t, LOC_SLOT(w), b) }   /* poison: a plain access to the slot, before D */
#endif
#if defined(WORDS) && !defined(VISITED_AFTER_MARK)
  atomic { buf[t].n < SB -> store(t, LOC_VISITED(CHUNK(w)), 1) }
#endif
  mark_remote(t, w, b);
#if defined(WORDS) && defined(VISITED_AFTER_MARK)
  atomic { buf[t].n < SB -> store(t, LOC_VISITED(CHUNK(w)), 1) }
#endif
  complete_remote(t, w, b)
}

inline mark_remote(t, w, b)             /* impl: mark_remote */
{
#ifdef MARK_NOT_ACQUIRE
  atomic { l = SEEN_L(t, w) }           /* step 3's load, satisfied before step 2 */
#endif
  atomic {                              /* step 2: the old value is the exact double-free check */
#ifdef MARK_NOT_RELEASE
    RMW_RELAXED_OK(t) && R_FREE(t, w) ->
#else
    RELEASED(t) && R_FREE(t, w) ->
#endif
    TOUCH(w);
    old = R[w];
    R[w] = R[w] | (b);
    if
    :: old & (b) ->
#ifndef NO_MARK_CHECK
       DIE
#else
       skip
#endif
    :: else ->
#ifdef WEAK
       lag_r[t] = b; lag_r_in[t] = w
#else
       live[w] = live[w] & ~(b)         /* the free takes effect when its mark becomes visible */
#endif
    fi;
#ifndef NO_D
    old = 0
#endif
  }
#ifndef NO_STEP3
  atomic {                              /* step 3: R was clear because the owner had collected this slot already */
    TOUCH(w);
#ifdef MARK_NOT_ACQUIRE
    if :: skip :: l = SEEN_L(t, w) fi;
    if :: !(l & (b)) -> DIE :: else fi;
    l = 0
#else
    if :: !(SEEN_L(t, w) & (b)) -> DIE :: else fi
#endif
  }
#endif
}

inline complete_remote(t, w, b)         /* impl: complete_remote */
{
  atomic {                              /* step 4: from here on the owner may collect the slot, if it was signalled */
#ifdef DONE_NOT_RELEASE
    RMW_RELAXED_OK(t) && D_FREE(t, w) ->
#else
    RELEASED(t) && D_FREE(t, w) ->
#endif
    TOUCH(w);
#ifdef NO_D
    skip                                /* R was "done" already in step 2, `old` is its old word */
#else
    old = D[w];
    D[w] = D[w] | (b);
#ifdef WEAK
    if :: !(old & (b)) -> lag_d[t] = b; lag_d_in[t] = w :: else fi
#endif
#endif
  }
#ifdef SLOT_TOUCHED_AFTER_D             /* the freer zeroes or poisons too late */
  atomic { if :: !(D[w] & (b)) -> BREAKS(slot_touched) :: else fi }
#endif
  if
  :: old == 0 ->                        /* the first of its word signals for all that come until it is collected */
     atomic {
#ifdef PENDING_NOT_RELEASE
       RMW_RELAXED_OK(t) ->
#else
       RELEASED(t) ->
#endif
       TOUCH(w);
       old = pending[CHUNK(w)];
       pending[CHUNK(w)] = pending[CHUNK(w)] | (1 << ((w) % NW))
     }
     if
     :: old == 0 -> signal_owner(t, w)
#ifdef PUSH_EVERY_TIME
     :: else -> signal_owner(t, w)
#else
     :: else
#endif
     fi
  :: else
  fi;
#ifdef CHUNK_TOUCHED_AFTER_SIGNAL       /* statistics in the header, say */
  atomic { TOUCH(w) }
#endif
  old = 0
}

inline signal_owner(t, w)               /* impl: signal_owner */
{
  do
  :: atomic { TOUCH(w); old = inbox[HEAP(w)] }
     atomic { TOUCH(w); store(t, LOC_LINK(CHUNK(w)), old) }
     atomic {
#ifdef PUSH_NOT_RELEASE
       RMW_RELAXED_OK(t) ->
#else
       RELEASED(t) ->
#endif
       if
       :: inbox[HEAP(w)] == old ->
          if :: queued[CHUNK(w)] -> BREAKS(wrong_inbox) :: else fi;     /* twice on one stack: its links form a ring */
          queued[CHUNK(w)] = 1;
          inbox[HEAP(w)] = CHUNK(w) + 1;
          break
       :: else -> skip
       fi
     }
  od
}

/* ---- owner: collect ---- */
#ifdef NO_D                             /* bits of a freer that is still at step 3 are in R too */
#define COLLECT_SUBSET d
#else
#define COLLECT_SUBSET r
#endif

inline collect_word(t, w)               /* impl: collect_word */
{
  do
  ::
#ifdef COLLECT_NOT_ACQUIRE
     atomic { r = SEEN_R(w) }           /* R's load, satisfied before D's */
#endif
     atomic {
#ifdef NO_D
       d = SEEN_R(w);
#else
       d = SEEN_D(w);
#endif
       if
       :: d == 0 -> r = 0; break
       :: else
       fi
     }
     atomic {
#ifndef COLLECT_NOT_ACQUIRE
       r = SEEN_R(w);
#endif
#ifndef NO_COLLECT_CHECK
       if
       :: (d & ~r) || (COLLECT_SUBSET & ~L[w]) -> DIE
       :: else
       fi;
#endif
       r = 0;
       VERIFY(w);
       zeroed(w, d)                     /* the owner zeroes: the slot is still nobody else's */
     }
#ifndef CLEAR_L_LAST
     clear_l(t, w);
#endif
#ifdef R_CLEARED_BEFORE_D
     clear_r(t, w);
     clear_d(t, w);
#else
     clear_d(t, w);
     clear_r(t, w);
#endif
#ifdef CLEAR_L_LAST
     clear_l(t, w);
#endif
     d = 0;
     if
#ifdef COLLECT_ONCE                     /* bits that came while we were at it have no signal of their own */
     :: break
#else
     :: l == 0 -> break                 /* D was left at 0: whoever comes now signals */
#endif
     :: l != 0 -> l = 0
     fi
  od;
  l = 0
}

inline clear_l(t, w)
{
  atomic { buf[t].n < SB -> L[w] = L[w] & ~d; store(t, LOC_L(w), L[w]) }
  H[w] = H[w] | d;
  write_word(t, w)
}

inline clear_d(t, w)
{
#ifdef NO_D
  skip
#else
  atomic {
#ifdef CLEAR_D_NOT_RELEASE
    RMW_RELAXED_OK(t) && D_FREE(t, w) ->
#else
    DRAINED(t) && D_FREE(t, w) ->
#endif
#ifdef CLEAR_D_BY_STORE
    D[w] = 0;
#else
    D[w] = D[w] & ~d;
#endif
    l = D[w]
  }
#endif
}

inline clear_r(t, w)
{
  atomic {
#ifdef CLEAR_R_NOT_RELEASE
    RMW_RELAXED_OK(t) && R_FREE(t, w) ->
#else
    DRAINED(t) && R_FREE(t, w) ->
#endif
#ifdef CLEAR_R_BY_STORE
    R[w] = 0;
#else
    R[w] = R[w] & ~d;
#endif
#ifdef NO_D
    l = R[w]
#else
    skip
#endif
  }
}

/* ---- owner: an empty chunk goes back, and comes again ---- */
/* May the chunk go? Nothing live, and no word serves. What is not collected is still live. */
#if NW > 1
#define EMPTY(c) (L[(c) * NW] == 0 && L[(c) * NW + 1] == 0)
#ifdef RELEASE_LOADS_MARK
#define MARKED(c) (SEEN_R((c) * NW) || SEEN_R((c) * NW + 1))
#else
#define MARKED(c) (R[(c) * NW] || R[(c) * NW + 1])
#endif
#define SERVES(c) (cursor[OWNER(c)] == (c) * NW + 1 || cursor[OWNER(c)] == (c) * NW + 2)
#else
#define EMPTY(c) (L[c] == 0)
#ifdef RELEASE_LOADS_MARK
#define MARKED(c) (SEEN_R(c))
#else
#define MARKED(c) (R[c])
#endif
#define SERVES(c) (cursor[OWNER(c)] == (c) + 1)
#endif
#define MAY_RELEASE(c) (gen[c] < MAXGEN && !released[c] && EMPTY(c) && !SERVES(c))

inline release_chunk(t, c)              /* impl: release_chunk */
{
  /* A mark on an empty chunk is a double freer under way, whose traces the chunk's next life would wipe out. It is read
   * by a read-modify-write: either that sees the mark, or the freer's step 3 sees L without the bit. */
  atomic {
#ifndef RELEASE_LOADS_MARK
    DRAINED(t) && R_FREE(t, (c) * NW) && R_FREE(t, (c) * NW + NW - 1) ->
#endif
#ifndef NO_PENDING_CHECK_AT_RELEASE
    if :: pending[c] -> DIE :: else fi;
#endif
#ifndef NO_MARK_CHECK_AT_RELEASE
    if :: MARKED(c) -> DIE :: else fi;
#endif
    released[c] = 1;
    gen[c]++
  }
}

/* ---- owner: inbox ---- */
inline drain_inbox(t, h)                /* impl: drain_inbox */
{
  atomic { DRAINED(t) -> k = inbox[h]; inbox[h] = 0 }
  do
  :: k != 0 ->
     atomic {
       /* not a chunk of this heap: only a late double freer can have brought it here */
       if :: OWNER(k - 1) != h || released[k - 1] -> DIE :: else fi;
#ifndef LINK_AFTER_EXCHANGE
       queued[k - 1] = 0;
       next = link_[k - 1]              /* before the exchange: after it the chunk may be pushed again */
#endif
     }
     atomic { DRAINED(t) -> words = pending[k - 1]; pending[k - 1] = 0 }
#ifdef LINK_AFTER_EXCHANGE
     atomic { queued[k - 1] = 0; next = link_[k - 1] }
#endif
     do
     :: atomic { words & 1 -> words = words & ~1 }
        collect_one(t, (k - 1) * NW)
#if NW > 1
     :: atomic { !(words & 1) && (words & 2) -> words = words & ~2 }
        collect_one(t, (k - 1) * NW + 1)
#endif
     :: atomic { words == 0 -> break }
     od;
     atomic { k = next; next = 0 }
  :: else -> break
  od
}

/* A chunk that became empty may go at once: nothing of it may be left to do here. */
inline collect_one(t, w)
{
  if :: released[CHUNK(w)] && !dead -> BREAKS(wrong_inbox) :: else fi;
  collect_word(t, w);
#if MAXGEN > 0
  if
  :: skip
  :: atomic { MAY_RELEASE(CHUNK(w)) -> skip } release_chunk(t, CHUNK(w))
  fi
#endif
}

/* ---- owner: refill ---- */
inline refill(t, w)                     /* impl: refill */
{
  leave_word(t, HEAP(w));
#ifdef CLEAR_QUEUE_ELSEWHERE            /* "no need to wait for the inbox: look what is pending" */
  atomic { DRAINED(t) -> words = pending[CHUNK(w)]; pending[CHUNK(w)] = 0 }
  if
  :: words & (1 << ((w) % NW)) -> collect_word(t, w)
  :: else
  fi;
  words = 0;
#endif
#ifdef COLLECT_UNSIGNALLED              /* "no need to wait for the signal: look what is done" */
  collect_word(t, w);
#endif
  if :: inbox[HEAP(w)] -> drain_inbox(t, HEAP(w)) :: else fi;
#ifdef WORDS                            /* the record may be needed for another chunk, and this one serves no more ... */
  if
  :: open[CHUNK(w)] -> close_chunk(t, w); goto left
  :: skip
  fi;
#endif
  if
  :: !released[CHUNK(w)] ->             /* draining may have emptied and released it */
     if :: !open[CHUNK(w)] -> open_chunk(t, w) :: else fi;
     take_word(t, w);
     atomic { if :: l -> cursor[HEAP(w)] = (w) + 1; A[HEAP(w)] = l; H[w] = r :: else fi; l = 0; r = 0 }
  :: else
  fi;
left:
  skip
}

inline leave_word(t, h)                 /* impl: leave_word */
{
  atomic {
    if :: cursor[h] != 0 -> VERIFY(cursor[h] - 1) :: else fi;
    cursor[h] = 0;
    A[h] = 0
  }
}

/* The copies first, then the record says that they count. */
inline open_chunk(t, w)                 /* impl: open_chunk */
{
#ifdef WORDS
  atomic { VERIFY(w) }
  PLAIN(t, LOC_CL(w), CL[w], L[w]);
  PLAIN(t, LOC_OPEN(CHUNK(w)), open[CHUNK(w)], 1);
  atomic { buf[t].n < SB -> store(t, LOC_H(w), 0) }
#else
  open[CHUNK(w)] = 1
#endif
}

inline close_chunk(t, w)                /* impl: close_chunk */
{
#ifdef WORDS
  atomic { VERIFY(w) }
  PLAIN(t, LOC_G(w), G[w], GUARD(L[w], H[w]));
  atomic { buf[t].n < SB -> store(t, LOC_H(w), H[w]) }
  PLAIN(t, LOC_OPEN(CHUNK(w)), open[CHUNK(w)], 0)
#else
  open[CHUNK(w)] = 0
#endif
}

/* Some of the held slots become available, nobody can predict which. Leaves the candidates in l, and in r what stays. */
inline take_word(t, w)                  /* impl: take_word */
{
  atomic {
    VERIFY(w);
#ifndef NO_REFILL_CHECK
    if :: SEEN_R(w) & ~L[w] -> DIE :: else fi;
#endif
    r = H[w];
    if
    :: r & 1 -> if :: r = r & ~1 :: skip fi
    :: else
    fi;
#if NS > 1
    if
    :: r & 2 -> if :: r = r & ~2 :: skip fi
    :: else
    fi;
#endif
#ifdef REFILL_WITHOUT_L
    l = ALL & ~r
#else
    l = ALL & ~L[w] & ~r
#endif
  }
}

inline acquire_chunk(c)                 /* impl: acquire_chunk */
{
  atomic {
    released[c] ->
    R[(c) * NW] = 0; D[(c) * NW] = 0; H[(c) * NW] = 0;  /* its header page is a new one */
#if NW > 1
    R[(c) * NW + 1] = 0; D[(c) * NW + 1] = 0; H[(c) * NW + 1] = 0;
#endif
    pending[c] = 0;
    released[c] = 0
  }
}
