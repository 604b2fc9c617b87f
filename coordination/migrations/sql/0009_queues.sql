-- Functions of queues in a database store. Each verb is one statement: of a connection in
-- autocommit, or, publishing inside `atomic()`, of the caller's transaction, whose end then decides.
--
-- No row is there for all callers of a queue to fight over. Totals are the sum of rows that calls
-- add (concord_queue_tally), and each event is an object of its own: "store queue time.number". An event
-- that was caused by another has the greater id.
--
-- Nobody waits for a message row, but for settle and extend, which go by seq: takers and sweepers
-- skip what is locked. Two locks are waited for, in this order, and at most one of each is held:
--   group of a queue: whoever says which message of a group is the next. Who publishes never does,
--     so no caller's transaction holds it: one of a group arrives, and a taker finds its place.
--   room of a queue that has a bound: whoever adds to it; inside `atomic()` until the commit. So it
--     is waited for less long than the caller waits for the answer.
--
-- PL/pgSQL under READ COMMITTED takes a new snapshot for each statement, so what follows a lock
-- sees all that its former owners did. Planning with an empty queue must not last for a full one:
-- hence `enable_seqscan` and so on at
-- the verbs (and no JIT, which their high costs would call for), one plan for all parameters, and
-- `+ 0`, which names the index: all but the primary key begin with such an expression (`tables.py`).
--
-- Lists come as lines of one text: no value in them holds a line's end. An empty text is a list of
-- defaults. p_node says who calls, as "store node". Times are microseconds of this server's clock.
-- Stages: 0 ready, 1 delayed, 2 arrived, 3 behind one of its group, 4 taken.

CREATE SEQUENCE concord_queue_seq;

-- What is taken and acked is dead within seconds: cleaned up by the thousand, not by the fifth.
ALTER TABLE concord_queue_message SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
    autovacuum_analyze_scale_factor = 0.05, autovacuum_analyze_threshold = 2000);
ALTER TABLE concord_queue_tally SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
ALTER TABLE concord_queue_waiter SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);


-- concord_queue_key: the name of one event.
CREATE FUNCTION concord_queue_key(p_node text, p_queue text) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', split_part(p_node, ' ', 1), p_queue,
        concord_now_us() || '.' || nextval('concord_queue_seq'))
$$;


-- concord_queue_tell: append one event.
CREATE FUNCTION concord_queue_tell(
    p_node text, p_queue text, p_op text, p_kind text, p_ids text[], p_data jsonb
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO concord_event (kind, object, name, version, at, node, actor, data)
    VALUES (p_kind, 'queue',
        concord_queue_key(p_node, p_queue), 1,
        clock_timestamp(), split_part(p_node, ' ', 2), coalesce(p_data->'said'->>'actor', ''),
        CASE WHEN p_ids IS NULL THEN '{}' ELSE jsonb_build_object('ids', p_ids) END
            || jsonb_build_object('op', p_op) || p_data);
END $$;


-- concord_queue_remember: what a call is to be told from now on. Raises 40001, which takes back what
-- was done, when a copy of it was first: tried again, it gets that one's answer.
CREATE FUNCTION concord_queue_remember(
    p_id bigint, p_op text, p_said text, p_now bigint, p_kept_ms bigint
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO concord_queue_answer AS a (queue_id, op, said, until_us)
    VALUES (p_id, p_op, p_said, p_now + p_kept_ms * 1000)
    ON CONFLICT (queue_id, op) DO UPDATE SET said = excluded.said, until_us = excluded.until_us
        WHERE a.until_us <= p_now;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'concurrent copies of call %', p_op USING ERRCODE = '40001';
    END IF;
END $$;


-- concord_queue_record: what a call did, in one statement: its answer, its event, its tally. Raises
-- as concord_queue_remember.
CREATE FUNCTION concord_queue_record(
    p_node text, p_queue text, p_id bigint, p_op text, p_said text, p_now bigint,
    p_kept_ms bigint, p_kind text, p_data jsonb, p_published int, p_delivered int, p_acked int
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_first boolean;
BEGIN
    WITH remembered AS (
        INSERT INTO concord_queue_answer AS a (queue_id, op, said, until_us)
        VALUES (p_id, p_op, p_said, p_now + p_kept_ms * 1000)
        ON CONFLICT (queue_id, op) DO UPDATE
            SET said = excluded.said, until_us = excluded.until_us WHERE a.until_us <= p_now
        RETURNING 1
    ), told AS (
        INSERT INTO concord_event (kind, object, name, version, at, node, actor, data)
        VALUES (p_kind, 'queue',
            concord_queue_key(p_node, p_queue), 1, clock_timestamp(), split_part(p_node, ' ', 2), '', p_data)
    ), tallied AS (
        INSERT INTO concord_queue_tally (queue_id, published, delivered, acked)
        VALUES (p_id, p_published, p_delivered, p_acked)
    ) SELECT true INTO v_first FROM remembered;
    IF v_first IS NULL THEN
        RAISE EXCEPTION 'concurrent copies of call %', p_op USING ERRCODE = '40001';
    END IF;
END $$;


-- concord_queue_told: what a call was told before.
CREATE FUNCTION concord_queue_told(p_id bigint, p_op text, p_now bigint) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT a.said FROM concord_queue_answer a
        WHERE a.queue_id = p_id AND a.op = p_op AND a.until_us > p_now);
END $$;


-- concord_queue_wake: notify as many who wait as there may be work for.
CREATE FUNCTION concord_queue_wake(p_id bigint, p_count int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    w record;
BEGIN
    FOR w IN DELETE FROM concord_queue_waiter x WHERE x.ctid = ANY (ARRAY(
        SELECT y.ctid FROM concord_queue_waiter y
        WHERE y.queue_id = p_id AND y.until_us > concord_now_us()
        ORDER BY y.until_us LIMIT p_count FOR UPDATE SKIP LOCKED)) RETURNING x.channel, x.op LOOP
        PERFORM pg_notify(w.channel, w.op);
    END LOOP;
END $$;


-- concord_queue_wake_by_name: after the commit of whoever published within a transaction.
CREATE FUNCTION concord_queue_wake_by_name(p_queue text, p_count int) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM concord_queue_wake(q.id, p_count) FROM concord_queue q WHERE q.name = p_queue;
END $$;


CREATE FUNCTION concord_queue_held(p_id bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT coalesce(sum(published + moved_in + redriven
            - acked - dead - expired - purged - moved_out), 0)
        FROM concord_queue_tally t WHERE t.queue_id = p_id);
END $$;


-- concord_queue_expired: how many of these are of no use any more, and count towards no bound.
CREATE FUNCTION concord_queue_expired(p_id bigint, p_now bigint) RETURNS bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    RETURN (SELECT count(*) FROM concord_queue_message m WHERE m.queue_id + 0 = p_id
        AND m.expires_us > 0 AND m.expires_us <= p_now AND m.taken_by = '');
END $$;


CREATE FUNCTION concord_queue_lock(p_what text, p_id bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('concord_queue_' || p_what, p_id));
END $$;


CREATE FUNCTION concord_queue_try_lock(p_what text, p_id bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    RETURN pg_try_advisory_xact_lock(hashtextextended('concord_queue_' || p_what, p_id));
END $$;


-- concord_queue_declare: say what the queue is, unless somebody has said it → what stands
CREATE FUNCTION concord_queue_declare(
    p_node text, p_queue text, p_declaration text, p_replace boolean
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_stands text;
BEGIN
    SELECT q.declaration INTO v_stands FROM concord_queue q WHERE q.name = p_queue;
    IF FOUND AND (NOT p_replace OR v_stands = p_declaration) THEN RETURN v_stands; END IF;
    INSERT INTO concord_queue AS q (name, declaration, publishing_paused, consuming_paused)
    VALUES (p_queue, p_declaration, false, false)
    ON CONFLICT (name) DO UPDATE SET declaration = excluded.declaration WHERE p_replace;
    IF FOUND THEN
        PERFORM concord_queue_tell(p_node, p_queue, '', 'queue.declared', NULL,
            p_declaration::jsonb);
        RETURN p_declaration;
    END IF;
    RETURN (SELECT q.declaration FROM concord_queue q WHERE q.name = p_queue);
END $$;


-- concord_queue_pause: refuse publications, give out no messages, or go on.
CREATE FUNCTION concord_queue_pause(
    p_node text, p_queue text, p_publishing boolean, p_consuming boolean, p_said jsonb
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_id bigint;
BEGIN
    UPDATE concord_queue q SET publishing_paused = p_publishing, consuming_paused = p_consuming
        WHERE q.name = p_queue RETURNING q.id INTO v_id;
    IF NOT FOUND THEN RETURN 'undeclared'; END IF;
    PERFORM concord_queue_tell(p_node, p_queue, '', 'queue.paused', NULL, jsonb_build_object(
        'publishing', p_publishing::int, 'consuming', p_consuming::int, 'said', p_said));
    IF NOT p_consuming THEN PERFORM concord_queue_wake(v_id, 1000); END IF;
    RETURN 'ok';
END $$;


-- concord_queue_place: the next of its group comes forward, unless one of it is there already.
-- The caller has the lock of groups. → how many came
CREATE FUNCTION concord_queue_place(p_id bigint, p_group text, p_now bigint) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    v_seq bigint;
BEGIN
    IF EXISTS (SELECT FROM concord_queue_message m WHERE m.queue_id + 0 = p_id
        AND m.grp = p_group AND m.grp > '' AND m.stage IN (0, 1, 4)) THEN RETURN 0; END IF;
    SELECT min(n.seq) INTO v_seq FROM (VALUES (2), (3)) s (stage), LATERAL (
        SELECT m.seq FROM concord_queue_message m
        WHERE m.queue_id + 0 = p_id AND m.grp = p_group AND m.grp > '' AND m.stage = s.stage
        ORDER BY m.seq LIMIT 1) n;
    UPDATE concord_queue_message m SET
        stage = CASE WHEN m.due_us > p_now THEN 1 ELSE 0 END,
        sort = CASE WHEN m.due_us > p_now THEN m.due_us ELSE 9 - m.priority END
    WHERE m.queue_id + 0 = p_id AND m.grp = p_group AND m.grp > '' AND m.stage IN (2, 3)
        AND m.seq = v_seq;
    RETURN CASE WHEN FOUND THEN 1 ELSE 0 END;
END $$;


-- concord_queue_free: the same for several groups, of which one went away. → how many came
CREATE FUNCTION concord_queue_free(p_id bigint, p_groups text[], p_now bigint) RETURNS int
LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT coalesce(sum(concord_queue_place(p_id, g.name, p_now)), 0)
        FROM (SELECT DISTINCT unnest(p_groups) AS name) g WHERE g.name > '');
END $$;


-- concord_queue_bury: rows, which the caller has locked, go to the end of the dead letter queue.
CREATE FUNCTION concord_queue_bury(
    p_rows tid[], p_node text, p_op text, p_from bigint, p_queue text, p_to bigint, p_dead text,
    p_error text, p_more jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_ids text[];
BEGIN
    WITH died AS (
        UPDATE concord_queue_message m SET queue_id = p_to,
            stage = CASE WHEN m.grp > '' THEN 2 ELSE 0 END,
            sort = CASE WHEN m.grp > '' THEN 0 ELSE 9 - m.priority END,
            seq = nextval('concord_queue_seq'), attempts = 0, taken_by = '', suspect = false,
            due_us = 0, expires_us = 0, source = p_queue, error = p_error
        WHERE m.ctid = ANY (p_rows) RETURNING m.seq, m.message
    ) SELECT array_agg(d.message ORDER BY d.seq) INTO v_ids FROM died d;
    INSERT INTO concord_queue_tally (queue_id, dead) VALUES (p_from, cardinality(v_ids));
    INSERT INTO concord_queue_tally (queue_id, moved_in) VALUES (p_to, cardinality(v_ids));
    PERFORM concord_queue_tell(p_node, p_queue, p_op, 'message.died', v_ids,
        p_more || jsonb_build_object('error', p_error, 'to', p_dead));
    PERFORM concord_queue_tell(p_node, p_dead, p_op, 'message.buried', v_ids,
        jsonb_build_object('source', p_queue));
    PERFORM concord_queue_wake(p_to, cardinality(v_ids));
END $$;


-- concord_queue_expire: throw away what is of no use any more; those of groups by whoever may.
-- → groups of which one went away
CREATE FUNCTION concord_queue_expire(
    q concord_queue, p_node text, p_op text, p_now bigint, p_groups boolean
) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    v_rows tid[];
    v_ids text[];
    v_groups text[];
BEGIN
    v_rows := ARRAY(SELECT m.ctid FROM concord_queue_message m
        WHERE m.queue_id + 0 = q.id AND m.expires_us > 0 AND m.expires_us <= p_now
            AND m.taken_by = '' AND (p_groups OR m.grp = '') ORDER BY m.expires_us LIMIT 1000 FOR UPDATE SKIP LOCKED);
    IF v_rows = '{}' THEN RETURN '{}'; END IF;
    WITH gone AS (DELETE FROM concord_queue_message m WHERE m.ctid = ANY (v_rows)
        RETURNING m.message, m.grp)
    SELECT array_agg(g.message), array_agg(g.grp) INTO v_ids, v_groups FROM gone g;
    INSERT INTO concord_queue_tally (queue_id, expired) VALUES (q.id, cardinality(v_ids));
    PERFORM concord_queue_tell(p_node, q.name, p_op, 'message.expired', v_ids, '{}');
    RETURN v_groups;
END $$;


-- concord_queue_bring_on: let happen whatever time has brought: leases and lives end, delays are
-- over, those that have arrived find their place behind others of their group.
-- → false: there are dead letters, and their queue is not declared
CREATE FUNCTION concord_queue_bring_on(
    q concord_queue, p_node text, p_op text, p_now bigint, p_max_attempts int, p_dead text
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_rows tid[];
    v_ids text[];
    v_groups text[] := '{}';
    v_more text[];
    v_dead bigint;
    v_locked boolean;
BEGIN
    v_locked := EXISTS (SELECT FROM concord_queue_message m WHERE m.queue_id = q.id
            AND m.stage = 2)
        OR EXISTS (SELECT FROM concord_queue_message m WHERE m.queue_id = q.id AND m.stage = 4
            AND m.sort <= p_now AND m.grp <> '')
        OR EXISTS (SELECT FROM concord_queue_message m WHERE m.queue_id + 0 = q.id
            AND m.expires_us > 0 AND m.expires_us <= p_now AND m.taken_by = '' AND m.grp <> '');
    IF v_locked THEN PERFORM concord_queue_lock('group', q.id); END IF;

    -- They come first and alone: one of them may have killed its taker.
    v_rows := ARRAY(SELECT m.ctid FROM concord_queue_message m
        WHERE m.queue_id = q.id AND m.stage = 4 AND m.sort <= p_now
            AND (p_max_attempts = 0 OR m.attempts < p_max_attempts)
        ORDER BY m.sort LIMIT 100 FOR UPDATE SKIP LOCKED);
    IF v_rows <> '{}' THEN
        WITH again AS (UPDATE concord_queue_message m
            SET stage = 0, sort = -1, taken_by = '', suspect = true
            WHERE m.ctid = ANY (v_rows) RETURNING m.message)
        SELECT array_agg(a.message) INTO v_ids FROM again a;
        INSERT INTO concord_queue_tally (queue_id, lapsed) VALUES (q.id, cardinality(v_ids));
        PERFORM concord_queue_tell(p_node, q.name, p_op, 'message.lapsed', v_ids, '{}');
    END IF;
    IF p_max_attempts > 0 THEN
        SELECT array_agg(t.ctid), array_agg(t.grp) INTO v_rows, v_more FROM (
            SELECT m.ctid, m.grp FROM concord_queue_message m
            WHERE m.queue_id = q.id AND m.stage = 4 AND m.sort <= p_now
                AND m.attempts >= p_max_attempts AND (v_locked OR m.grp = '')
            ORDER BY m.sort LIMIT 100 FOR UPDATE SKIP LOCKED) t;
        IF v_rows IS NOT NULL THEN
            SELECT d.id INTO v_dead FROM concord_queue d WHERE d.name = p_dead;
            IF NOT FOUND THEN RETURN false; END IF;
            INSERT INTO concord_queue_tally (queue_id, lapsed)
                VALUES (q.id, cardinality(v_rows));
            PERFORM concord_queue_bury(v_rows, p_node, p_op, q.id, q.name, v_dead, p_dead,
                '"Its taker said nothing in time."', '{"lapsed": true}');
            v_groups := v_groups || v_more;
        END IF;
    END IF;

    v_groups := v_groups || concord_queue_expire(q, p_node, p_op, p_now, v_locked);

    v_rows := ARRAY(SELECT m.ctid FROM concord_queue_message m
        WHERE m.queue_id = q.id AND m.stage = 1 AND m.sort <= p_now
        ORDER BY m.sort LIMIT 1000 FOR UPDATE SKIP LOCKED);
    UPDATE concord_queue_message m SET stage = 0, sort = 9 - m.priority
        WHERE m.ctid = ANY (v_rows);

    IF v_locked THEN
        WITH seen AS (
            UPDATE concord_queue_message m SET stage = 3 WHERE m.ctid = ANY (ARRAY(
                SELECT a.ctid FROM concord_queue_message a
                WHERE a.queue_id = q.id AND a.stage = 2 ORDER BY a.sort, a.seq LIMIT 1000))
            RETURNING m.grp)
        SELECT v_groups || array_agg(s.grp) INTO v_groups FROM seen s;
        PERFORM concord_queue_free(q.id, v_groups, p_now);
    END IF;
    RETURN true;
END $$;


-- concord_queue_publish: put messages into the queue, all or none.
--   p_kept_ms  how long the answer is remembered
--   p_content  kept behind the answer: a line's end and a digest of this call, or ''
--   p_bound    messages that it may hold; NULL: no bound
--   p_wakes    whether who waits is notified, which a transaction that is prepared cannot do
--   p_delays, p_lasts  microseconds; 0: none
--   p_wait_ms  how long it waits for others who publish within a transaction
--   → 'ok' | 'as id id …', a duplicate as the id of its first | 'undeclared' | 'paused' | 'full'
--     | 'blind': this transaction does not see what the queue holds now
CREATE FUNCTION concord_queue_publish(
    p_node text, p_queue text, p_op text, p_kept_ms bigint, p_content text, p_bound int,
    p_window_ms bigint, p_wakes boolean, p_ids text, p_headers text, p_bodies text,
    p_priorities text, p_delays text, p_dues text, p_lasts text, p_groups text, p_dedups text,
    p_wait_ms int
) RETURNS text LANGUAGE plpgsql
SET jit = off SET plan_cache_mode = force_generic_plan
-- Set here so that the caller's own comes back with the end.
SET lock_timeout = 0 AS $$
DECLARE
    q concord_queue;
    v_locked boolean;
    v_groups text[];
    d record;
    v_now bigint := concord_now_us();
    v_ids text[] := string_to_array(p_ids, E'\n');
    v_dedups text[] := string_to_array(p_dedups, E'\n');
    v_firsts text[];
    v_fresh text[] := v_ids;
    v_answer text;
    v_data jsonb;
BEGIN
    SELECT * INTO q FROM concord_queue r WHERE r.name = p_queue;
    IF NOT FOUND THEN RETURN 'undeclared'; END IF;
    v_answer := concord_queue_told(q.id, p_op, v_now);
    IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
    IF q.publishing_paused THEN RETURN 'paused'; END IF;
    -- Who waits longer than the caller would publish behind his back.
    PERFORM set_config('lock_timeout', p_wait_ms::text, true);
    v_answer := 'ok';
    IF p_bound IS NOT NULL THEN
        IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
            RETURN 'blind';
        END IF;
        PERFORM concord_queue_lock('room', q.id);
        -- What is of no use any more shall not stand in the way. Of groups it is thrown away only
        -- where their lock is free, and not until the end of the caller's transaction.
        v_locked := p_wakes AND concord_queue_try_lock('group', q.id);
        v_groups := concord_queue_expire(q, p_node, p_op, v_now, v_locked);
        IF v_locked THEN PERFORM concord_queue_free(q.id, v_groups, v_now); END IF;
        IF concord_queue_held(q.id) - concord_queue_expired(q.id, v_now) + (
            SELECT count(DISTINCT CASE WHEN x.dedup > '' THEN 'd' || x.dedup ELSE 'i' || x.id END)
            FROM unnest(v_ids, v_dedups) x (id, dedup)
            WHERE NOT EXISTS (SELECT FROM concord_queue_dedup f WHERE f.queue_id = q.id
                AND f.dedup = x.dedup AND f.until_us > v_now)) > p_bound THEN
            RETURN 'full';
        END IF;
    END IF;
    IF p_dedups <> '' THEN
        -- In one order, so that two calls do not wait for each other.
        FOR d IN SELECT DISTINCT ON (x.dedup) x.dedup, x.id
            FROM unnest(v_dedups, v_ids) WITH ORDINALITY x (dedup, id, n)
            WHERE x.dedup > '' ORDER BY x.dedup, x.n LOOP
            INSERT INTO concord_queue_dedup AS f (queue_id, dedup, message, until_us)
            VALUES (q.id, d.dedup, d.id, v_now + p_window_ms * 1000)
            ON CONFLICT (queue_id, dedup) DO UPDATE SET
                message = excluded.message, until_us = excluded.until_us
                WHERE f.until_us <= v_now;
        END LOOP;
        SELECT array_agg(coalesce(f.message, x.id) ORDER BY x.n),
            array_agg(x.id ORDER BY x.n) FILTER (WHERE coalesce(f.message, x.id) = x.id)
        INTO v_firsts, v_fresh FROM unnest(v_dedups, v_ids) WITH ORDINALITY x (dedup, id, n)
        LEFT JOIN concord_queue_dedup f ON f.queue_id = q.id AND f.dedup = x.dedup;
        v_answer := 'as ' || array_to_string(v_firsts, ' ');
    END IF;
    IF v_fresh IS NULL THEN
        PERFORM concord_queue_remember(q.id, p_op, v_answer || p_content, v_now, p_kept_ms);
        RETURN v_answer;
    END IF;
    -- First of all: it waits for a copy of this call.
    v_data := jsonb_build_object('op', p_op, 'ids', v_fresh);
    IF p_priorities || p_delays || p_dues || p_groups <> '' THEN
        SELECT v_data || jsonb_build_object(
            'priorities', array_agg(coalesce(x.priority, '0')::int ORDER BY x.n),
            'dues', array_agg(CASE WHEN x.delay::bigint > 0 THEN v_now + x.delay::bigint
                ELSE coalesce(x.due, '0')::bigint END ORDER BY x.n),
            'groups', array_agg(coalesce(x.grp, '') ORDER BY x.n))
        INTO v_data FROM unnest(v_ids, string_to_array(p_priorities, E'\n'),
            string_to_array(p_delays, E'\n'), string_to_array(p_dues, E'\n'),
            string_to_array(p_groups, E'\n'))
            WITH ORDINALITY x (id, priority, delay, due, grp, n)
        WHERE p_dedups = '' OR x.id = ANY (v_fresh);
    END IF;
    PERFORM concord_queue_record(p_node, p_queue, q.id, p_op, v_answer || p_content, v_now,
        p_kept_ms, 'message.published', v_data, cardinality(v_fresh), 0, 0);

    INSERT INTO concord_queue_message (queue_id, stage, sort, seq, message, body, headers,
        priority, grp, published_us, due_us, expires_us, attempts, taken_by, suspect, source, error)
    SELECT q.id,
        CASE WHEN y.grp > '' THEN 2 WHEN y.due > v_now THEN 1 ELSE 0 END,
        CASE WHEN y.grp > '' THEN 0 WHEN y.due > v_now THEN y.due ELSE 9 - y.priority END,
        nextval('concord_queue_seq'), y.id, y.body, y.headers, y.priority, y.grp, v_now, y.due,
        CASE WHEN y.lasts > 0 THEN v_now + y.lasts ELSE 0 END, 0, '', false, '', ''
    FROM (
        SELECT x.n, x.id, x.body, coalesce(x.headers, '{}') AS headers,
            coalesce(x.priority, '0')::smallint AS priority, coalesce(x.grp, '') AS grp,
            CASE WHEN x.delay::bigint > 0 THEN v_now + x.delay::bigint
                ELSE coalesce(x.due, '0')::bigint END AS due,
            coalesce(x.lasts, '0')::bigint AS lasts
        FROM unnest(v_ids, string_to_array(p_bodies, E'\n'), string_to_array(p_headers, E'\n'),
            string_to_array(p_priorities, E'\n'), string_to_array(p_delays, E'\n'),
            string_to_array(p_dues, E'\n'), string_to_array(p_lasts, E'\n'),
            string_to_array(p_groups, E'\n'))
            WITH ORDINALITY x (id, body, headers, priority, delay, due, lasts, grp, n)
    ) y WHERE p_dedups = '' OR y.id = ANY (v_fresh) ORDER BY y.n;
    IF p_wakes THEN PERFORM concord_queue_wake(q.id, cardinality(v_fresh)); END IF;
    RETURN v_answer;
END $$;


-- concord_queue_reserve: take messages, or wait for one.
--   p_max_attempts  0: none dies; else p_dead is where they go
--   p_stay_us       how long it waits; 0: not at all
--   → answer: 'undeclared' | 'ok'; look_us: until there may be one without a word, 0 if this call
--     did all that one may and another may find some; taken: lines
CREATE FUNCTION concord_queue_reserve(
    p_node text, p_queue text, p_op text, p_kept_ms bigint, p_count int, p_visibility_us bigint,
    p_max_attempts int, p_dead text, p_channel text, p_stay_us bigint,
    OUT answer text, OUT look_us bigint, OUT taken text
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    q concord_queue;
    v_now bigint := concord_now_us();
    v_said text;
    v_rows tid[];
    v_first bigint;
    v_ids text[];
    v_attempts int[];
BEGIN
    answer := 'undeclared';
    SELECT * INTO q FROM concord_queue r WHERE r.name = p_queue;
    IF NOT FOUND THEN RETURN; END IF;
    v_said := concord_queue_told(q.id, p_op, v_now);
    IF v_said IS NOT NULL THEN
        answer := 'ok';
        look_us := 60000000;
        SELECT string_agg(concat_ws(E'\n', m.seq, m.message, m.attempts, m.priority, m.published_us,
                m.expires_us, m.suspect::int, m.grp, m.source, m.error, m.headers, m.body), E'\n' ORDER BY m.seq) INTO taken
        FROM concord_queue_message m WHERE m.seq + 0 = ANY (string_to_array(v_said, ' ')::bigint[])
            AND m.taken_by > '' AND m.taken_by = p_op AND m.queue_id + 0 = q.id;
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM concord_queue_message m WHERE m.queue_id = q.id AND m.stage = 4
            AND m.sort <= v_now)
        OR EXISTS (SELECT FROM concord_queue_message m WHERE m.queue_id = q.id AND m.stage = 1
            AND m.sort <= v_now)
        OR EXISTS (SELECT FROM concord_queue_message m WHERE m.queue_id = q.id AND m.stage = 2)
        OR EXISTS (SELECT FROM concord_queue_message m WHERE m.queue_id + 0 = q.id
            AND m.expires_us > 0 AND m.expires_us <= v_now AND m.taken_by = '') THEN
        IF NOT concord_queue_bring_on(q, p_node, p_op, v_now, p_max_attempts, p_dead) THEN
            RETURN;
        END IF;
    END IF;
    answer := 'ok';
    IF NOT q.consuming_paused THEN
        SELECT array_agg(t.ctid), min(t.sort) INTO v_rows, v_first FROM (
            SELECT m.ctid, m.sort FROM concord_queue_message m
            WHERE m.queue_id = q.id AND m.stage = 0
                -- More may have expired at once than one call throws away.
                AND (m.expires_us = 0 OR m.expires_us > v_now)
            ORDER BY m.sort, m.seq LIMIT p_count FOR UPDATE SKIP LOCKED) t;
        IF v_first < 0 THEN
            v_rows := v_rows[1:1];
        END IF;
    END IF;
    IF v_rows IS NULL THEN
        look_us := 0;
        -- One of a group may be behind what has expired.
        IF NOT q.consuming_paused AND EXISTS (SELECT FROM concord_queue_message m
            WHERE m.queue_id + 0 = q.id AND m.expires_us > 0 AND m.expires_us <= v_now
                AND m.taken_by = '') THEN RETURN; END IF;
        look_us := concord_queue_wait(q.id, p_op, p_channel, p_stay_us, v_now);
        RETURN;
    END IF;
    -- A lease begins when it is told, not when this waited for others.
    v_now := concord_now_us();
    look_us := 0;
    WITH mine AS (
        UPDATE concord_queue_message m SET stage = 4, sort = v_now + p_visibility_us,
            attempts = m.attempts + 1, taken_by = p_op
        WHERE m.ctid = ANY (v_rows)
        RETURNING m.message, m.attempts, m.seq, m.priority,
            concat_ws(E'\n', m.seq, m.message, m.attempts, m.priority, m.published_us,
                m.expires_us, m.suspect::int, m.grp, m.source, m.error, m.headers, m.body) AS lines)
    SELECT string_agg(t.lines, E'\n'), string_agg(t.seq::text, ' '), array_agg(t.message),
        array_agg(t.attempts)
    INTO taken, v_said, v_ids, v_attempts
    FROM (SELECT * FROM mine ORDER BY priority DESC, seq) t;
    PERFORM concord_queue_record(p_node, p_queue, q.id, p_op, v_said, v_now, p_kept_ms,
        'message.taken', jsonb_build_object('op', p_op, 'ids', v_ids, 'attempts', v_attempts,
        'until', v_now + p_visibility_us), 0, cardinality(v_ids), 0);
    DELETE FROM concord_queue_waiter w WHERE w.queue_id = q.id AND w.op = p_op;
END $$;


-- concord_queue_wait: be told of messages for a while, or no longer. → look_us of the caller
CREATE FUNCTION concord_queue_wait(
    p_id bigint, p_op text, p_channel text, p_stay_us bigint, p_now bigint
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_until bigint;
BEGIN
    -- What a power cut takes back is a place to wait.
    PERFORM set_config('synchronous_commit', 'off', true);
    IF p_stay_us = 0 THEN
        DELETE FROM concord_queue_waiter w WHERE w.queue_id = p_id AND w.op = p_op;
    ELSE
        SELECT w.until_us INTO v_until FROM concord_queue_waiter w
            WHERE w.queue_id = p_id AND w.op = p_op;
        IF v_until IS NULL OR v_until < p_now + p_stay_us / 2 THEN
            INSERT INTO concord_queue_waiter AS w (queue_id, op, channel, until_us)
            VALUES (p_id, p_op, p_channel, p_now + p_stay_us)
            ON CONFLICT (queue_id, op) DO UPDATE
                SET channel = excluded.channel, until_us = excluded.until_us;
        END IF;
        IF v_until IS NULL THEN
            -- Who published meanwhile did not see the waiter, nor this the message: look soon.
            RETURN 30000;
        END IF;
    END IF;
    RETURN greatest(0, least(60000000,
        (SELECT m.sort FROM concord_queue_message m WHERE m.queue_id = p_id AND m.stage = 1
            ORDER BY m.sort LIMIT 1) - concord_now_us(),
        (SELECT m.sort FROM concord_queue_message m WHERE m.queue_id = p_id AND m.stage = 4
            ORDER BY m.sort LIMIT 1) - concord_now_us()));
END $$;


-- concord_queue_leave: wait no longer. Who was woken already wakes another in his place.
CREATE FUNCTION concord_queue_leave(p_queue text, p_op text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_id bigint;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT q.id INTO v_id FROM concord_queue q WHERE q.name = p_queue;
    DELETE FROM concord_queue_waiter w WHERE w.queue_id = v_id AND w.op = p_op;
    IF NOT FOUND THEN PERFORM concord_queue_wake(v_id, 1); END IF;
END $$;


-- concord_queue_settle: say what became of taken messages, each by itself.
--   p_receipts, p_seqs, p_ids  each receipt, and the sequence number and the id in it, by seq
--   p_verbs                    '': all are acked, and no two have one seq
--   p_delays                   microseconds        p_dead  '': there are no dead letters
--   → 'undeclared' | a digit a receipt: 1 settled, 0 stale
CREATE FUNCTION concord_queue_settle(
    p_node text, p_queue text, p_op text, p_kept_ms bigint, p_dead text, p_receipts text,
    p_seqs text, p_ids text, p_verbs text, p_delays text, p_errors text
) RETURNS text LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    q concord_queue;
    m concord_queue_message;
    v_now bigint := concord_now_us();
    v_receipts text[] := string_to_array(p_receipts, E'\n');
    v_seqs bigint[] := string_to_array(p_seqs, E'\n')::bigint[];
    v_verbs text[] := string_to_array(p_verbs, E'\n');
    v_delays bigint[] := string_to_array(p_delays, E'\n')::bigint[];
    v_errors text[] := string_to_array(p_errors, E'\n');
    v_answer text;
    v_dead bigint;
    v_index int;
    v_good int[] := '{}';
    v_acked text[] := '{}';
    v_retried text[] := '{}';
    v_retried_of text[] := '{}';
    v_dues bigint[] := '{}';
    v_released text[] := '{}';
    v_groups text[] := '{}';
    v_ids text[];
    v_freed int;
    v_row tid;
    v_digits text[] := array_fill('0'::text, ARRAY[cardinality(v_seqs)]);
BEGIN
    SELECT * INTO q FROM concord_queue r WHERE r.name = p_queue;
    IF NOT FOUND THEN RETURN 'undeclared'; END IF;
    IF p_dead <> '' THEN
        SELECT r.id INTO v_dead FROM concord_queue r WHERE r.name = p_dead;
        IF NOT FOUND THEN RETURN 'undeclared'; END IF;
    END IF;
    v_answer := concord_queue_told(q.id, p_op, v_now);
    IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;

    IF p_verbs = '' THEN
        WITH gone AS (
            DELETE FROM concord_queue_message t WHERE t.seq + 0 = ANY (v_seqs)
                AND t.taken_by > '' AND t.queue_id + 0 = q.id AND v_receipts[array_position(v_seqs, t.seq)]
                    = concat_ws('.', t.attempts, t.taken_by, t.seq, t.message)
            RETURNING array_position(v_seqs, t.seq) AS n, t.message, t.grp)
        SELECT coalesce(array_agg(g.n), '{}'), coalesce(array_agg(g.message), '{}'),
            coalesce(array_agg(g.grp), '{}')
        INTO v_good, v_acked, v_groups FROM gone g;
    ELSE
        FOR m IN SELECT * FROM concord_queue_message t WHERE t.seq + 0 = ANY (v_seqs)
            AND t.taken_by > '' AND t.queue_id + 0 = q.id ORDER BY t.seq FOR UPDATE LOOP
            v_index := array_position(v_receipts,
                concat_ws('.', m.attempts, m.taken_by, m.seq, m.message));
            CONTINUE WHEN v_index IS NULL;
            v_good := v_good || v_index;
            CASE
            WHEN v_verbs[v_index] = 'ack' THEN
                DELETE FROM concord_queue_message t WHERE t.queue_id = q.id AND t.stage = 4
                    AND t.sort = m.sort AND t.seq = m.seq;
                v_acked := v_acked || m.message;
                v_groups := v_groups || m.grp;
            WHEN v_verbs[v_index] = 'dead' AND p_dead <> '' THEN
                SELECT t.ctid INTO v_row FROM concord_queue_message t WHERE t.queue_id = q.id
                    AND t.stage = 4 AND t.sort = m.sort AND t.seq = m.seq;
                PERFORM concord_queue_bury(ARRAY[v_row], p_node, p_op, q.id, p_queue, v_dead,
                    p_dead, v_errors[v_index], '{}');
                v_groups := v_groups || m.grp;
            WHEN v_verbs[v_index] = 'release' THEN
                UPDATE concord_queue_message t SET stage = 0, sort = 9 - t.priority,
                    attempts = t.attempts - 1, taken_by = '', suspect = false
                WHERE t.queue_id = q.id AND t.stage = 4 AND t.sort = m.sort AND t.seq = m.seq;
                v_released := v_released || m.message;
            ELSE
                UPDATE concord_queue_message t SET
                    stage = CASE WHEN v_delays[v_index] > 0 THEN 1 ELSE 0 END,
                    sort = CASE WHEN v_delays[v_index] > 0 THEN v_now + v_delays[v_index]
                        ELSE 9 - t.priority END,
                    taken_by = '', suspect = false, error = v_errors[v_index]
                WHERE t.queue_id = q.id AND t.stage = 4 AND t.sort = m.sort AND t.seq = m.seq;
                v_retried := v_retried || m.message;
                v_retried_of := v_retried_of || v_errors[v_index];
                v_dues := v_dues
                    || CASE WHEN v_delays[v_index] > 0 THEN v_now + v_delays[v_index] ELSE 0 END;
            END CASE;
        END LOOP;
    END IF;

    FOREACH v_index IN ARRAY v_good LOOP
        v_digits[v_index] := '1';
    END LOOP;
    v_answer := array_to_string(v_digits, '');
    IF v_acked <> '{}' THEN
        PERFORM concord_queue_record(p_node, p_queue, q.id, p_op, v_answer, v_now, p_kept_ms,
            'message.acked', jsonb_build_object('op', p_op, 'ids', v_acked), 0, 0,
            cardinality(v_acked));
    ELSE
        PERFORM concord_queue_remember(q.id, p_op, v_answer, v_now, p_kept_ms);
    END IF;
    IF v_retried <> '{}' THEN
        PERFORM concord_queue_tell(p_node, p_queue, p_op, 'message.retried', v_retried,
            jsonb_build_object('errors', v_retried_of, 'dues', v_dues));
    END IF;
    IF v_released <> '{}' THEN
        PERFORM concord_queue_tell(p_node, p_queue, p_op, 'message.released', v_released, '{}');
    END IF;
    IF cardinality(v_good) < cardinality(v_digits) THEN
        SELECT array_agg(x.id ORDER BY x.n) INTO v_ids
        FROM unnest(v_digits, string_to_array(p_ids, E'\n')) WITH ORDINALITY x (digit, id, n)
        WHERE x.digit = '0';
        PERFORM concord_queue_tell(p_node, p_queue, p_op, 'message.refused', v_ids, '{}');
    END IF;
    v_freed := cardinality(v_retried || v_released);
    IF array_to_string(v_groups, '') <> '' THEN
        PERFORM concord_queue_lock('group', q.id);
        v_freed := v_freed + concord_queue_free(q.id, v_groups, v_now);
    END IF;
    -- Also for one that is due later: whoever waits has to learn until when he may sleep.
    IF v_freed > 0 THEN PERFORM concord_queue_wake(q.id, v_freed); END IF;
    RETURN v_answer;
END $$;


-- concord_queue_extend: let leases begin anew; lists as of concord_queue_settle.
--   → 'undeclared' | a digit a receipt: 1 extended, 0 stale
CREATE FUNCTION concord_queue_extend(
    p_node text, p_queue text, p_lease_us bigint, p_receipts text, p_seqs text
) RETURNS text LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_id bigint;
    v_until bigint := concord_now_us() + p_lease_us;
    v_receipts text[] := string_to_array(p_receipts, E'\n');
    v_good text[];
    v_ids text[];
BEGIN
    SELECT r.id INTO v_id FROM concord_queue r WHERE r.name = p_queue;
    IF NOT FOUND THEN RETURN 'undeclared'; END IF;
    WITH kept AS (
        UPDATE concord_queue_message t SET sort = v_until
        WHERE t.seq + 0 = ANY (string_to_array(p_seqs, E'\n')::bigint[])
            AND t.taken_by > '' AND t.queue_id + 0 = v_id AND concat_ws('.', t.attempts, t.taken_by, t.seq, t.message)
                = ANY (v_receipts)
        RETURNING concat_ws('.', t.attempts, t.taken_by, t.seq, t.message) AS receipt, t.message)
    SELECT coalesce(array_agg(k.receipt), '{}'), coalesce(array_agg(k.message), '{}')
    INTO v_good, v_ids FROM kept k;
    IF v_ids <> '{}' THEN
        PERFORM concord_queue_tell(p_node, p_queue, '', 'message.extended', v_ids,
            jsonb_build_object('until', v_until));
    END IF;
    RETURN (SELECT string_agg(CASE WHEN x.receipt = ANY (v_good) THEN '1' ELSE '0' END, ''
        ORDER BY x.n) FROM unnest(v_receipts) WITH ORDINALITY x (receipt, n));
END $$;


-- concord_queue_sweep: one step of moving messages to another queue, of a redrive or of a purge.
--   p_last     what came later stays; NULL: this is the first step
--   p_died_in  '' or where they must have died
--   p_to       where they go; '': away       p_bound  of that queue; NULL: no bound
--   p_wait_ms  how long it waits for others, of whom those who publish may be within a transaction
--   → 'undeclared' | 'full' | 'how many, and p_last of the next step or nothing'
CREATE FUNCTION concord_queue_sweep(
    p_node text, p_queue text, p_op text, p_kept_ms bigint, p_limit int, p_last bigint,
    p_died_in text, p_said jsonb, p_to text, p_bound int, p_wait_ms int
) RETURNS text LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    q concord_queue;
    v_to bigint;
    v_now bigint := concord_now_us();
    v_last bigint := p_last;
    v_limit int := p_limit;
    v_answer text;
    v_rows tid[];
    v_ids text[] := '{}';
    v_groups text[];
    v_redriven boolean := p_died_in <> '';
BEGIN
    PERFORM set_config('lock_timeout', p_wait_ms::text, true);
    SELECT * INTO q FROM concord_queue r WHERE r.name = p_queue;
    IF NOT FOUND THEN RETURN 'undeclared'; END IF;
    IF p_to <> '' THEN
        SELECT r.id INTO v_to FROM concord_queue r WHERE r.name = p_to;
        IF NOT FOUND THEN RETURN 'undeclared'; END IF;
    END IF;
    v_answer := concord_queue_told(q.id, p_op, v_now);
    IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
    PERFORM concord_queue_lock('group', q.id);
    IF p_to <> '' AND p_bound IS NOT NULL THEN
        PERFORM concord_queue_lock('room', v_to);
        v_limit := least(p_limit,
            p_bound - concord_queue_held(v_to) + concord_queue_expired(v_to, v_now));
        IF v_limit <= 0 THEN RETURN 'full'; END IF;
    END IF;
    IF v_last IS NULL THEN v_last := pg_sequence_last_value('concord_queue_seq'); END IF;
    IF v_redriven THEN
        v_rows := ARRAY(SELECT m.ctid FROM concord_queue_message m
            WHERE m.queue_id + 0 = q.id AND m.source = p_died_in AND m.source > ''
                AND m.taken_by = '' AND m.seq <= v_last ORDER BY m.seq LIMIT v_limit FOR UPDATE SKIP LOCKED);
    ELSE
        v_rows := ARRAY(SELECT m.ctid FROM concord_queue_message m
            WHERE m.queue_id = q.id AND m.stage < 4 AND m.seq <= v_last
            ORDER BY m.stage, m.sort, m.seq LIMIT v_limit FOR UPDATE SKIP LOCKED);
    END IF;
    IF v_rows <> '{}' THEN
        SELECT array_agg(m.message ORDER BY m.stage, m.sort, m.seq), array_agg(m.grp)
            INTO v_ids, v_groups FROM concord_queue_message m WHERE m.ctid = ANY (v_rows);
        IF p_to = '' THEN
            DELETE FROM concord_queue_message m WHERE m.ctid = ANY (v_rows);
            INSERT INTO concord_queue_tally (queue_id, purged) VALUES (q.id, cardinality(v_ids));
            PERFORM concord_queue_tell(p_node, p_queue, p_op, 'message.purged', v_ids,
                jsonb_build_object('said', p_said));
        ELSE
            -- First the numbers, in the order in which they stood here.
            WITH numbered AS (
                SELECT n.row, nextval('concord_queue_seq') AS fresh FROM (
                    SELECT m.ctid AS row FROM concord_queue_message m
                    WHERE m.ctid = ANY (v_rows) ORDER BY m.stage, m.sort, m.seq) n)
            UPDATE concord_queue_message m SET queue_id = v_to,
                stage = CASE WHEN m.grp > '' THEN 2 ELSE 0 END,
                sort = CASE WHEN m.grp > '' THEN 0 ELSE 9 - m.priority END,
                seq = n.fresh, attempts = 0, suspect = false, due_us = 0,
                source = CASE WHEN v_redriven THEN '' ELSE m.source END
            FROM numbered n WHERE m.ctid = n.row;
            INSERT INTO concord_queue_tally (queue_id, moved_out)
                VALUES (q.id, cardinality(v_ids));
            INSERT INTO concord_queue_tally (queue_id, redriven, moved_in) VALUES (v_to,
                CASE WHEN v_redriven THEN cardinality(v_ids) ELSE 0 END,
                CASE WHEN v_redriven THEN 0 ELSE cardinality(v_ids) END);
            PERFORM concord_queue_tell(p_node, p_queue, p_op, 'message.moved', v_ids,
                jsonb_build_object('said', p_said, 'to', p_to));
            PERFORM concord_queue_tell(p_node, p_to, p_op,
                CASE WHEN v_redriven THEN 'message.redriven' ELSE 'message.arrived' END, v_ids,
                jsonb_build_object('said', p_said, 'source', p_queue));
            PERFORM concord_queue_wake(v_to, cardinality(v_ids));
        END IF;
        PERFORM concord_queue_wake(q.id, concord_queue_free(q.id, v_groups, v_now));
    END IF;
    v_answer := cardinality(v_ids) || ' '
        || CASE WHEN cardinality(v_ids) < v_limit THEN '' ELSE v_last::text END;
    PERFORM concord_queue_remember(q.id, p_op, v_answer, v_now, p_kept_ms);
    RETURN v_answer;
END $$;


-- concord_queue_tidy: forget what nobody will ask for again, and make one row of many tallies.
CREATE FUNCTION concord_queue_tidy() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint := concord_now_us();
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    DELETE FROM concord_queue_answer a WHERE a.ctid = ANY (ARRAY(
        SELECT b.ctid FROM concord_queue_answer b WHERE b.until_us <= v_now
        ORDER BY b.until_us LIMIT 1000 FOR UPDATE SKIP LOCKED));
    DELETE FROM concord_queue_dedup a WHERE a.ctid = ANY (ARRAY(
        SELECT b.ctid FROM concord_queue_dedup b WHERE b.until_us <= v_now
        ORDER BY b.until_us LIMIT 1000 FOR UPDATE SKIP LOCKED));
    DELETE FROM concord_queue_waiter a WHERE a.ctid = ANY (ARRAY(
        SELECT b.ctid FROM concord_queue_waiter b WHERE b.until_us <= v_now
        LIMIT 1000 FOR UPDATE SKIP LOCKED));
    WITH gone AS (
        DELETE FROM concord_queue_tally a WHERE a.ctid = ANY (ARRAY(
            SELECT b.ctid FROM concord_queue_tally b ORDER BY b.id LIMIT 2000
            FOR UPDATE SKIP LOCKED))
        RETURNING a.*)
    INSERT INTO concord_queue_tally (queue_id, published, acked, dead, expired, purged, moved_in,
        moved_out, redriven, delivered, lapsed)
    SELECT g.queue_id, sum(g.published), sum(g.acked), sum(g.dead), sum(g.expired),
        sum(g.purged), sum(g.moved_in), sum(g.moved_out), sum(g.redriven), sum(g.delivered),
        sum(g.lapsed)
    FROM gone g GROUP BY g.queue_id;
END $$;
