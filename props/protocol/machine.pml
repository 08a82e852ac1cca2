/* The machine: memory, store buffers, and the two memory models.
 *
 * spin explores sequential consistency only, so what a real machine adds is written out here.
 *
 *   default   x86-TSO: the plain stores of a thread wait in a FIFO buffer and reach memory later, in
 *             order; a locked read-modify-write waits until its thread's buffer is empty.
 *   WEAK      a weakly ordered machine such as arm64. Stores to different locations leave the buffer in any
 *             order, but not past a fence(release); a read-modify-write waits for the buffer only if it is
 *             a release. The store half of a read-modify-write may become visible to plain loads later than its
 *             load half took its value (load/store-exclusive pairs do that): `lag_r`, `lag_d`. No other
 *             read-modify-write of that word can come between the halves. Loads that may be satisfied early
 *             are read early at the places where a model's variant takes an acquire away.
 *
 * Each location that is written by plain stores has one writer at a time, who always sees its own last store.
 * So the writer's view is kept beside memory (L, H, G in protocol.pml) and only the others read memory (mem_l...).
 */

#ifndef SB
#define SB 3                            /* depth of a store buffer; a full one makes its thread wait */
#endif

#define FENCE 255                       /* a buffered fence(release): nothing passes it */

typedef Buffer {
  byte n;
  byte loc[SB];
  byte val[SB]
};
Buffer buf[NT];

/* A plain store of thread t. */
inline store(t, location, value)
{
  atomic {
    buf[t].n < SB ->
    buf[t].loc[buf[t].n] = location;
    buf[t].val[buf[t].n] = value;
    buf[t].n++
  }
}

/* atomic_thread_fence(release): on x86 no instruction, the buffer is FIFO anyway. */
inline fence_release(t)
{
#ifdef WEAK
  atomic {
    if
    :: buf[t].n > 0 -> buf[t].n < SB; buf[t].loc[buf[t].n] = FENCE; buf[t].n++
    :: else
    fi
  }
#else
  skip
#endif
}

/* What a read-modify-write of thread t waits for: x86 always drains. */
#define DRAINED(t) (buf[t].n == 0)
#ifdef WEAK
#define RMW_RELAXED_OK(t) true
#else
#define RMW_RELAXED_OK(t) DRAINED(t)
#endif

/* A load of thread t: its own last buffered store of the location, else memory. Only for threads that also store there. */
#define FORWARD(t, i, location, older) (buf[t].n > i && buf[t].loc[i] == (location) -> buf[t].val[i] : older)
#if SB == 3
#define LOAD(t, location, memory) \
  FORWARD(t, 2, location, FORWARD(t, 1, location, FORWARD(t, 0, location, memory)))
#else
#define LOAD(t, location, memory) \
  FORWARD(t, 3, location, FORWARD(t, 2, location, FORWARD(t, 1, location, FORWARD(t, 0, location, memory))))
#endif

/* One buffered store reaches memory: entry i of thread t. */
inline drain(t, i)
{
  d_step {
    commit(buf[t].loc[i], buf[t].val[i]);
    buf[t].n--;
    k_ = i;
    do
    :: k_ < buf[t].n ->
       buf[t].loc[k_] = buf[t].loc[k_ + 1];
       buf[t].val[k_] = buf[t].val[k_ + 1];
       k_++
    :: else -> break
    od;
    buf[t].loc[k_] = 0;                 /* keep dead entries equal: fewer states */
    buf[t].val[k_] = 0;
    do                                  /* a fence at the head holds nothing back any more */
    :: buf[t].n > 0 && buf[t].loc[0] == FENCE ->
       buf[t].n--;
       k_ = 0;
       do
       :: k_ < buf[t].n ->
          buf[t].loc[k_] = buf[t].loc[k_ + 1];
          buf[t].val[k_] = buf[t].val[k_ + 1];
          k_++
       :: else -> break
       od;
       buf[t].loc[k_] = 0;
       buf[t].val[k_] = 0
    :: else -> break
    od;
    k_ = 0
  }
}

/* May entry 1 or 2 pass what stands before it? Never on x86, never past a fence or the same location. */
#ifdef WEAK
#define MAY_PASS_1(t) (buf[t].n > 1 && buf[t].loc[0] != FENCE && buf[t].loc[1] != FENCE \
                       && buf[t].loc[1] != buf[t].loc[0])
#define MAY_PASS_2(t) (buf[t].n > 2 && buf[t].loc[0] != FENCE && buf[t].loc[1] != FENCE && buf[t].loc[2] != FENCE \
                       && buf[t].loc[2] != buf[t].loc[0] && buf[t].loc[2] != buf[t].loc[1])
#define DRAIN_ANY(t) \
  :: atomic { buf[t].n > 0     -> drain(t, 0) } \
  :: atomic { MAY_PASS_1(t)    -> drain(t, 1) } \
  :: atomic { MAY_PASS_2(t)    -> drain(t, 2) }
#else
#define DRAIN_ANY(t) \
  :: atomic { buf[t].n > 0     -> drain(t, 0) }
#endif
