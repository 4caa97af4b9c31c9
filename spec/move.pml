/*
 * Moving a tenant online, as src/tenantry/model/moves.py and src/tenantry/control/mover carry it out.
 * Run it with spec/check.py; what it says is in docs/explanation/move-model.md and adr/0010-model-checking.md.
 *
 * Processes: two writers and one reader, each in a router of its own with a cached route and a lease; and the owner
 * of the move, which may crash at any instant and be followed by another.
 *
 * One step below is one instant at which something becomes visible to others: a transaction of the catalog, or the
 * moment at which a backend shows a write. Whatever a process does between two of them is in the order of the steps.
 * A suspended process is one that takes no step for a while.
 *
 * Versions: every write has a number of its own, in the order in which the writes began. A backend holds, for each
 * id, a version or ABSENT. A version is dead when a write that began after its acknowledgement is acknowledged. A
 * read that starts now must not return a dead version: that is "sees it, or a newer one". ABSENT may be returned
 * while some delete of that id is not dead.
 *
 * Reads take one step, which loses nothing: a read that starts at the instant at which the backend answers is held to
 * more than one that started before, and under a lease that holds at the end the cached route was the same all along.
 */

#ifndef IDS
#define IDS 1        /* 1 or 2 */
#endif
#ifndef WRITES
#define WRITES 3     /* of both writers together; IDS + WRITES at most 7 */
#endif
#ifndef CRASHES
#define CRASHES 1    /* of owners */
#endif
#ifndef LAPSES
#define LAPSES 1     /* leases of routers that lapse, all together */
#endif

/* Phases, as model/moves.py has them. */
#define PREPARE 1
#define CAPTURE 2
#define COPY 3
#define CATCH_UP 4
#define VERIFY 5
#define FLIP 6
#define SETTLE 7
#define SOAK 8
#define BACK 9
#define BACK_SETTLE 10
#define CLOSE 11
#define CLEAN 12
#define DONE 13
#define CANCELLED 14
#define ROLLED_BACK 15
#define FAILED 16

#define DIRECT 0
#define LOGGED 1
#define FENCED 2

#define SOURCE 0
#define TARGET 1

#define ABSENT 0
#define NONE 255
#define LOG (WRITES + LAPSES)
#define ROUTERS 3
#define READER 2

/* ------------------------------------------------------------------------------------- the catalog: atomic */
byte phase = PREPARE, outcome = 0;
byte mode = DIRECT, auth = SOURCE;
byte head = 0, log[LOG + 1];
byte saved[2];               /* marks: as last saved for certain */

/* ------------------------------------------------------------------------------------- the backends: registers */
byte reg[2 * IDS];

/* ------------------------------------------------------------------------------------- the owner's memory */
byte s0 = NONE;
byte mark[2];
byte touched = 0;            /* ids that the log has a say in since s0 */
byte copied = 0;             /* ids, as the cursor */
byte shown[IDS];             /* the source as it was when the copy began */
byte must[2];                /* where the owner before was: a first batch from the saved mark reaches at least that far */
byte crashes = CRASHES, lapses = LAPSES;
#ifdef BUG_OWNER
byte ghost_at = NONE, ghost; /* a call of the owner before, still on its way */
#endif
#ifdef BUG_R4
byte page = NONE;            /* what a copier has read and not yet written; only with one id */
#endif

/* ------------------------------------------------------------------------------------- routers */
bit current[ROUTERS];        /* whether the cached route has the epoch of the catalog's */
byte how[ROUTERS], where[ROUTERS];   /* its mode and authoritative side */
bit expelled[ROUTERS];
bit busy[ROUTERS];           /* a write is in hand */

/* ------------------------------------------------------------------------------------- what must be true */
byte begun = IDS;            /* the highest version */
byte deletes = 0, second = 0;   /* sets of versions: those that delete; those of the second id */
byte acknowledged = 0, dead = 0;
byte stale = 0;              /* ids that a router wrote directly after it had been expelled */

#define in(set, n) (((set) >> (n)) & 1)
#define only(n) (1 << (n))
#if IDS == 1
#define id_of(version) 0
#define of_id(n) 255
#else
#define id_of(version) in(second, version)
#define of_id(n) ((n) == 0 -> (255 & ~second) : second)
#endif
#define state(version) (in(deletes, version) -> ABSENT : (version))
#define other (1 - auth)

#define legal(content, id) \
    (((content) != ABSENT && !in(dead, content)) || ((content) == ABSENT && (deletes & of_id(id) & ~dead) != 0))
#if IDS == 1
#define read_is_legal(side) legal(reg[side], 0)
#define same (reg[0] == reg[1] || in(stale, 0))
#else
#define read_is_legal(side) (legal(reg[(side) * 2], 0) && legal(reg[(side) * 2 + 1], 1))
#define same ((reg[0] == reg[2] || in(stale, 0)) && (reg[1] == reg[3] || in(stale, 1)))
#endif

/* ------------------------------------------------------------------------------------- phases and routes */
#define row(PHASE, MODE, SIDE) phase == PHASE -> new_mode = MODE; new_auth = SIDE
#define row_to(PHASE, OUTCOME, MODE, SIDE) phase == PHASE && outcome == OUTCOME -> new_mode = MODE; new_auth = SIDE

/* A phase with the route that belongs to it, and the marks, in one transaction. */
#define step(FROM, TO) \
    d_step { \
        assert(phase == FROM); \
        phase = TO; \
        route_of(); \
        forget(); \
    }

inline route_of()
{
    if
    :: row(PREPARE, DIRECT, SOURCE)
    :: row(CAPTURE, LOGGED, SOURCE)
    :: row(COPY, LOGGED, SOURCE)
    :: row(CATCH_UP, LOGGED, SOURCE)
    :: row(VERIFY, LOGGED, SOURCE)
    :: row(FLIP, FENCED, SOURCE)
    :: row(SETTLE, LOGGED, TARGET)
    :: row(SOAK, LOGGED, TARGET)
    :: row(BACK, FENCED, TARGET)
    :: row(BACK_SETTLE, LOGGED, SOURCE)
    :: row_to(CLOSE, DONE, FENCED, TARGET)
    :: row_to(CLOSE, CANCELLED, FENCED, SOURCE)
    :: row_to(CLOSE, ROLLED_BACK, FENCED, SOURCE)
    :: row_to(CLOSE, FAILED, FENCED, SOURCE)
    :: row_to(CLEAN, DONE, DIRECT, TARGET)
    :: row_to(CLEAN, CANCELLED, DIRECT, SOURCE)
    :: row_to(CLEAN, ROLLED_BACK, DIRECT, SOURCE)
    :: row_to(CLEAN, FAILED, DIRECT, SOURCE)
    :: row(DONE, DIRECT, TARGET)
    :: row(CANCELLED, DIRECT, SOURCE)
    :: row(ROLLED_BACK, DIRECT, SOURCE)
    :: row(FAILED, DIRECT, SOURCE)
    fi;
    if
    :: new_mode != mode || new_auth != auth -> outdate(0); outdate(1); outdate(READER)
    :: else
    fi;
    mode = new_mode; auth = new_auth;
    new_mode = 0; new_auth = 0;
}

/* A newer epoch. The catalog refuses appends under the old one: that is as if it were fenced. */
inline outdate(r)
{
    current[r] = 0;
    how[r] = (how[r] == DIRECT -> DIRECT : FENCED);
}

/* The marks are saved. What can have no effect any more is forgotten, which keeps the search small. */
inline forget()
{
    if
    :: phase == CLOSE -> mark[other] = 0; must[other] = 0; stale = 0;
        reg[other * IDS] = ABSENT; reg[other * IDS + IDS - 1] = ABSENT
    :: phase >= CLEAN ->
        mark[0] = 0; mark[1] = 0; must[0] = 0; must[1] = 0; head = 0; s0 = NONE;
        i = 1;
        do
        :: i <= LOG -> log[i] = 0; i++
        :: else -> break
        od;
        i = 0
    :: else
    fi;
    saved[0] = (crashes > 0 -> mark[0] : 0);
    saved[1] = (crashes > 0 -> mark[1] : 0);
}

#define ended (phase >= DONE)
#define before_commit (phase <= FLIP)
#define both_sides (phase == SETTLE || phase == BACK_SETTLE)
#define followed (phase >= COPY && phase <= BACK_SETTLE)
/* Routers that the barrier has not reached may write directly: an entry is acknowledged after its mark is saved. */
#ifdef BUG_CAPTURE_ACK
#define mark_first (phase == CLOSE)
#else
#ifdef BUG_CLOSE_ACK
#define mark_first (phase == CAPTURE)
#else
#define mark_first (phase == CAPTURE || phase == CLOSE)
#endif
#endif

#ifdef BUG_R6
#define on_both(seq) (mark[auth] >= seq)
#else
#define on_both(seq) (mark[auth] >= seq && mark[other] >= seq)
#endif
#define applied(seq) \
    (phase >= CLEAN || (mark_first && (crashes == 0 -> mark[auth] : saved[auth]) >= seq) || (both_sides && on_both(seq)) \
     || (!mark_first && !both_sides && mark[auth] >= seq))

/* ------------------------------------------------------------------------------------- routers */
#define no_more (begun == IDS + WRITES)
#define passed_by(r) (expelled[r] || current[r] || (r != READER && no_more && !busy[r]))
#define barrier (passed_by(0) && passed_by(1) && passed_by(READER))
#ifdef BUG_R2
#define first_barrier true
#else
#define first_barrier barrier
#endif
#ifdef BUG_SETTLE
#define second_barrier true
#else
#define second_barrier barrier
#endif

/* Nothing is in hand: from now on this router uses the present route, under a lease that it has or takes anew. */
#define refresh(r) d_step { expelled[r] = 0; current[r] = 1; how[r] = mode; where[r] = auth }
#define outdated(r) (expelled[r] || !current[r])
#define appendable(r) (!outdated(r) && how[r] == LOGGED)

inline begin()
{
    begun++;
    my = begun;
    if
    :: deletes = deletes | only(my)
    :: true
    fi;
#if IDS == 2
    if  /* the ids are alike, so the first write may be said to be of the first */
    :: my > IDS + 1 -> second = second | only(my)
    :: true
    fi;
#endif
    before = acknowledged & of_id(id_of(my));
    busy[r] = 1;
    leave()
}

/* Routers that have nothing left to do are all the same. */
inline leave()
{
    d_step {
        if
        :: no_more && !busy[0] -> expelled[0] = 0; current[0] = 0; how[0] = FENCED; where[0] = SOURCE
        :: else
        fi;
        if
        :: no_more && !busy[1] -> expelled[1] = 0; current[1] = 0; how[1] = FENCED; where[1] = SOURCE
        :: else
        fi
    }
}

inline append()
{
    head++;
    assert(head <= LOG);
    log[head] = my;
    seq = head;
}

/* A read that starts after this instant sees this write, or a newer one. */
inline acknowledge()
{
    d_step {
        acknowledged = acknowledged | only(my);
        dead = dead | before;
        before = 0; my = 0; seq = 0;
        busy[r] = 0
    };
    leave()
}

/* The writers are alike, so the first to write may be called the first. */
#define my_turn (!no_more && (begun > IDS || r == 0))

proctype Writer(byte r)
{
    byte my = 0, before = 0, seq = 0;

end_idle:
    do
    :: atomic { !no_more && outdated(r) -> refresh(r) }
    :: atomic { my_turn && !expelled[r] && how[r] == DIRECT -> begin(); goto sending }
    :: atomic { my_turn && appendable(r) -> begin(); append(); goto waiting }
    od;

sending:  /* suspended here, the write may come at any later time */
    atomic {
        reg[where[r] * IDS + id_of(my)] = state(my);
        stale = stale | (expelled[r] && phase < CLOSE -> only(id_of(my)) : 0)
    };
    if
#ifdef BUG_R1
    :: atomic { acknowledge(); goto end_idle }
#else
    :: atomic { !expelled[r] -> acknowledge(); goto end_idle }
    :: atomic { expelled[r] -> goto again }
#endif
    fi;

waiting:
    if
    :: atomic { applied(seq) && !expelled[r] -> acknowledge(); goto end_idle }
    :: atomic { applied(seq) && expelled[r] -> seq = 0; goto again }
    fi;

again:    /* not acknowledged; done again under the present route */
    do
    :: atomic { outdated(r) -> refresh(r) }
    :: atomic { !expelled[r] && how[r] == DIRECT -> goto sending }
    :: atomic { appendable(r) -> append(); goto waiting }
    od
}

proctype Reader()
{
end_idle:
    do
    :: atomic { outdated(READER) -> refresh(READER) }
#ifdef BUG_R1_READ
    :: d_step { !read_is_legal(where[READER]) -> assert(false) }
#else
    :: d_step { !expelled[READER] && !read_is_legal(where[READER]) -> assert(false) }
#endif
    od
}

/* ------------------------------------------------------------------------------------- the owner */

/* What a run of the log comes to, on one side. */
inline apply(side, after, through)
{
    d_step {
        i = after + 1;
        do
        :: i <= through -> reg[(side) * IDS + id_of(log[i])] = state(log[i]); i++
        :: else -> break
        od;
        i = 0;
    }
}

/* Up to where the next batch goes. */
inline choose(after, least, most)
{
    to = after + 1;
    do
    :: to < most -> to++
    :: to >= least -> break
    od
}

inline arrive(side)
{
    d_step {
        mark[side] = to;
        must[side] = (must[side] <= to -> 0 : must[side]);
        to = 0;
    }
}

/* Ids with an entry after some place in the log. */
inline touch(after, through)
{
    d_step {
        i = after + 1;
        do
        :: i <= through -> touched = touched | (i > s0 -> only(id_of(log[i])) : 0); i++
        :: else -> break
        od;
        i = 0;
    }
}

#define alone (s0 == NONE || mark[auth] < s0)
#ifdef BUG_REPLAY
#define least_lead 0
#else
#define least_lead must[auth]
#endif
#ifdef BUG_FOLLOW
#define least_follow ((must[other] <= mark[auth]) * must[other] + (must[other] > mark[auth]) * mark[auth])
#define may_follow true
#else
#define least_follow must[other]
#define may_follow (must[other] <= mark[auth])
#endif

#ifdef BUG_R5
#define level (mark[auth] == head)
#else
#define level (mark[0] == head && mark[1] == head)
#endif

inline look()
{
    shown[0] = reg[SOURCE * IDS]; shown[IDS - 1] = reg[SOURCE * IDS + IDS - 1]
}

inline stop()
{
    if
    :: outcome = CANCELLED
    :: outcome = FAILED
    fi;
    touched = 0; copied = 0;
    shown[0] = 0; shown[IDS - 1] = 0;
}

inline crash()
{
    crashes--;
#ifdef BUG_OWNER
    if  /* its successor does not wait until its last call has ended */
    :: mark[auth] < head -> to = 0; choose(mark[auth], 0, head);
        ghost_at = auth * IDS + id_of(log[to]); ghost = state(log[to]); to = 0
    :: followed && mark[other] < mark[auth] -> to = 0; choose(mark[other], 0, mark[auth]);
        ghost_at = other * IDS + id_of(log[to]); ghost = state(log[to]); to = 0
    :: phase == COPY && copied == 0 && touched == 0 -> ghost_at = TARGET * IDS; ghost = reg[SOURCE * IDS]
    :: true
    fi;
#endif
#if IDS == 2
    if  /* a batch of which only one id has arrived */
    :: mark[auth] < head && mode != DIRECT && !alone -> part(auth, mark[auth], head, 0)
    :: mark[auth] < head && mode != DIRECT && !alone -> part(auth, mark[auth], head, 1)
    :: followed && mark[other] < mark[auth] && may_follow -> part(other, mark[other], mark[auth], 0)
    :: followed && mark[other] < mark[auth] && may_follow -> part(other, mark[other], mark[auth], 1)
    :: true
    fi;
#endif
    if  /* marks were saved since, or not */
    :: mark_first
    :: !mark_first ->
        do
        :: saved[auth] < mark[auth] -> saved[auth]++
        :: break
        od;
        do
        :: saved[other] < mark[other] && saved[other] < saved[auth] -> saved[other]++
        :: break
        od
    fi;
    if  /* the cursor was saved, or not */
    :: copied == 0
    :: phase == COPY && copied != 0 -> copied = 0; look()
    :: phase == COPY && copied != 0
    fi;
    d_step {
        i = 0;
        do
        :: i < 2 ->
            must[i] = (must[i] > mark[i] -> must[i] : mark[i]);
            mark[i] = saved[i];
            must[i] = (must[i] > mark[i] -> must[i] : 0);
            i++
        :: else -> break
        od;
        i = 0;
        s0 = (phase == CAPTURE -> NONE : s0);
        touched = 0;
        saved[0] = (crashes > 0 -> mark[0] : 0); saved[1] = (crashes > 0 -> mark[1] : 0);
    }
#ifndef BUG_TOUCHED
    if
    :: phase == COPY -> touch(s0, head)
    :: else
    fi;
#endif
#ifdef BUG_R4
    page = NONE;
#endif
}

#if IDS == 2
inline part(side, after, through, id)
{
    d_step {
        i = after + 1;
        do
        :: i <= through -> reg[(side) * IDS + id] = (id_of(log[i]) == id -> state(log[i]) : reg[(side) * IDS + id]); i++
        :: else -> break
        od;
        i = 0;
    }
}
#endif

/*
 * Read and write in one step, for both hold the lane that the applier of the other side needs (R4). A source that shows
 * writes late may show what it held when the copy began.
 */
inline copy(id)
{
    if
    :: in(touched, id)
    :: !in(touched, id) -> to = reg[SOURCE * IDS + id]
    :: !in(touched, id) -> to = shown[id]
    fi;
    d_step {
        reg[TARGET * IDS + id] = (to == ABSENT -> reg[TARGET * IDS + id] : to);
        to = 0;
        shown[id] = 0;
        copied = copied | only(id)
    }
}

/* Under the lane too: what the log has yet to bring is left to the log. */
inline heal(id)
{
    d_step {
        i = mark[TARGET] + 1; to = 0;
        do
        :: i <= head -> to = to + (id_of(log[i]) == id); i++
        :: else -> break
        od;
        i = 0;
        reg[TARGET * IDS + id] = (to == 0 -> reg[SOURCE * IDS + id] : reg[TARGET * IDS + id]);
        to = 0;
    }
}

/* Whatever may happen in CATCH_UP may as well happen in VERIFY, so it is left at once. */
inline catch_up()
{
    if
    :: step(CATCH_UP, VERIFY)
    :: step(CATCH_UP, FLIP)
    :: stop(); step(CATCH_UP, CLOSE)
    fi
}

proctype Owner()
{
    byte i = 0, to = 0, new_mode = 0, new_auth = 0;

    do
    /* The authoritative side. Before s0 entry by entry, for routers may write beside it; then coalesced. */
    :: atomic { mode != DIRECT && mark[auth] < head && alone ->
        to = mark[auth] + 1; apply(auth, mark[auth], to); arrive(auth) }
    :: atomic { mode != DIRECT && mark[auth] < head && !alone ->
        choose(mark[auth], least_lead, head);
        if
        :: phase == CAPTURE || phase == COPY -> touch(mark[auth], to)
        :: else
        fi;
        apply(auth, mark[auth], to); arrive(auth) }

    /* The other side. */
    :: atomic { followed && mark[other] < mark[auth] && may_follow ->
        choose(mark[other], least_follow, mark[auth]); apply(other, mark[other], to); arrive(other) }

    /* Marks are saved at any time. When that was shows only in a crash, unless an acknowledgement waits for it. */
    :: d_step { mark_first && crashes > 0 && saved[auth] != mark[auth] -> saved[0] = mark[0]; saved[1] = mark[1] }

    :: atomic { crashes > 0 && !ended -> crash() }
#ifdef BUG_OWNER
    :: d_step { ghost_at != NONE -> reg[ghost_at] = ghost; ghost_at = NONE; ghost = 0 }
#endif

    /* Routers that a barrier waits for, and that have stopped renewing their leases. */
    :: atomic { lapses > 0 && !barrier && ((phase == CAPTURE && s0 == NONE) || both_sides || phase == CLEAN) ->
        if
        :: !passed_by(0) -> expelled[0] = 1
        :: !passed_by(1) -> expelled[1] = 1
        :: !passed_by(READER) -> expelled[READER] = 1
        fi;
        lapses-- }

    :: atomic { phase == PREPARE -> step(PREPARE, CAPTURE) }
    :: atomic { phase == PREPARE -> stop(); step(PREPARE, CLOSE) }

    :: d_step { phase == CAPTURE && s0 == NONE && first_barrier ->
#ifdef BUG_R3
        s0 = 0;
#else
        s0 = head;
#endif
        mark[TARGET] = s0; touched = 0 }
    :: atomic { phase == CAPTURE && s0 != NONE && mark[SOURCE] >= s0 ->
#ifdef BUG_R3
        touch(0, mark[SOURCE]);
#endif
        step(CAPTURE, COPY); look() }
    :: atomic { phase == CAPTURE -> stop(); step(CAPTURE, CLOSE) }

#ifdef BUG_R4
    :: d_step { phase == COPY && !in(copied, 0) && page == NONE ->
        page = (in(touched, 0) -> ABSENT : reg[SOURCE]) }
    :: d_step { phase == COPY && !in(copied, 0) && page != NONE ->
        reg[TARGET] = (page == ABSENT -> reg[TARGET] : page); page = NONE; copied = 1 }
#else
    :: atomic { phase == COPY && !in(copied, 0) -> copy(0) }
#if IDS == 2
    :: atomic { phase == COPY && !in(copied, 1) -> copy(1) }
#endif
#endif
    :: atomic { phase == COPY && copied == only(IDS) - 1 -> touched = 0; copied = 0; step(COPY, CATCH_UP); catch_up() }
    :: atomic { phase == COPY -> stop(); step(COPY, CLOSE) }

    :: atomic { phase == VERIFY -> heal(0) }
#if IDS == 2
    :: atomic { phase == VERIFY -> heal(1) }
#endif
    :: atomic { phase == VERIFY -> step(VERIFY, FLIP) }
    :: atomic { phase == VERIFY -> step(VERIFY, CATCH_UP); catch_up() }
    :: atomic { phase == VERIFY -> stop(); step(VERIFY, CLOSE) }

    :: atomic { phase == FLIP && level ->
        assert(same);
        step(FLIP, SETTLE) }
    :: atomic { phase == FLIP -> step(FLIP, CATCH_UP); catch_up() }
    :: atomic { phase == FLIP -> stop(); step(FLIP, CLOSE) }

    :: atomic { phase == SETTLE && second_barrier -> step(SETTLE, SOAK) }

    :: atomic { phase == SOAK -> outcome = DONE; step(SOAK, CLOSE) }
    :: atomic { phase == SOAK -> step(SOAK, BACK) }

    :: atomic { phase == BACK && level ->
        assert(same);
        step(BACK, BACK_SETTLE) }
    :: atomic { phase == BACK -> step(BACK, SOAK) }

    :: atomic { phase == BACK_SETTLE && second_barrier -> outcome = ROLLED_BACK; step(BACK_SETTLE, CLOSE) }

    :: atomic { phase == CLOSE && mark[auth] == head -> step(CLOSE, CLEAN) }

    :: atomic { phase == CLEAN && barrier && outcome == DONE -> step(CLEAN, DONE) }
    :: atomic { phase == CLEAN && barrier && outcome == CANCELLED -> step(CLEAN, CANCELLED) }
    :: atomic { phase == CLEAN && barrier && outcome == ROLLED_BACK -> step(CLEAN, ROLLED_BACK) }
    :: atomic { phase == CLEAN && barrier && outcome == FAILED -> step(CLEAN, FAILED) }

    :: atomic { ended ->
        assert(mode == DIRECT);
        assert(auth == (phase == DONE -> TARGET : SOURCE));
        assert(read_is_legal(auth));
        break }
    od
}

init
{
    atomic {
        acknowledged = 2;
        reg[0] = 1;
#if IDS == 2
        acknowledged = 6; second = 4;
        reg[1] = 2;
#endif
        byte r = 0;
        do
        :: r < ROUTERS -> current[r] = 1; how[r] = DIRECT; where[r] = SOURCE; r++
        :: else -> break
        od;
        r = 0;
        run Writer(0); run Writer(1); run Reader(); run Owner()
    }
}
