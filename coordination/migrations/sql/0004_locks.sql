-- Functions of locks in a database store. Each verb is one statement, hence one transaction, of a
-- connection in autocommit.
--
-- Every function that changes a lock first locks its row in concord_lock; PL/pgSQL under READ
-- COMMITTED then takes a new snapshot for each statement, so what follows sees all that earlier
-- owners of the row did. Whoever locks several rows goes by (kind, name) or skips what is locked.
--
-- Times are microseconds of this server's clock. Every change appends its events here, in the same
-- transaction; `version` numbers the events of one lock without a gap. p_node says who calls, as
-- "store node": the alias by which this store goes there, and the service.
--
-- A release, and an answer that grants nothing, commit without waiting for the disk: what a power
-- cut takes back is a lock that runs out by itself. Whatever was granted after it was flushed with
-- it before anybody was told.


CREATE FUNCTION concord_now_us() RETURNS bigint LANGUAGE sql AS $$
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
$$;


-- concord_lock_key: the name of a lock's events.
CREATE FUNCTION concord_lock_key(p_node text, p_kind text, p_name text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT concat_ws(' ', split_part(p_node, ' ', 1), p_kind, p_name)
$$;


-- concord_lock_tell: append one event, and count it in the row.
CREATE FUNCTION concord_lock_tell(
    INOUT r concord_lock, p_kind text, p_node text, p_data jsonb
) LANGUAGE plpgsql AS $$
BEGIN
    r.version := r.version + 1;
    INSERT INTO concord_event (kind, object, name, version, at, node, actor, data)
    VALUES (p_kind, 'lock', concord_lock_key(p_node, r.kind, r.name), r.version,
        clock_timestamp(), split_part(p_node, ' ', 2), coalesce(p_data->>'actor', ''), p_data);
END $$;


-- concord_lock_holding: what the events of a grant say.
CREATE FUNCTION concord_lock_holding(c concord_lock_claim) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN jsonb_build_object('id', c.call, 'token', c.token, 'mode', c.mode, 'limit', c.capacity,
        'until', c.until_us, 'owner', c.owner, 'context', c.context,
        'metadata', c.metadata::jsonb);
END $$;


-- concord_lock_open: the row of a name, locked; made if need be.
CREATE FUNCTION concord_lock_open(p_kind text, p_name text, p_node text) RETURNS concord_lock
LANGUAGE plpgsql AS $$
DECLARE
    r concord_lock;
BEGIN
    LOOP
        SELECT * INTO r FROM concord_lock l
            WHERE l.kind = p_kind AND l.name = p_name FOR NO KEY UPDATE;
        IF FOUND THEN RETURN r; END IF;
        -- Not while the floor is being raised: it would be read before, and used after.
        PERFORM pg_advisory_xact_lock_shared(hashtextextended('concord_lock_floor', 0));
        INSERT INTO concord_lock (kind, name, token, version, sole, ends_us)
            VALUES (p_kind, p_name, 0, 0, '', 0) ON CONFLICT (kind, name) DO NOTHING;
        IF FOUND THEN
            -- A statement of its own: the INSERT may have waited for the end of whoever deleted the
            -- row, and its snapshot does not see what that one left.
            UPDATE concord_lock l SET
                token = coalesce((SELECT max(f.token) FROM concord_lock_floor f), 0),
                version = coalesce((SELECT max(e.version) FROM concord_event e
                                    WHERE e.object = 'lock'
                                        AND e.name = concord_lock_key(p_node, p_kind, p_name)), 0)
            WHERE l.kind = p_kind AND l.name = p_name RETURNING l.* INTO r;
            RETURN r;
        END IF;
    END LOOP;
END $$;


-- concord_lock_remember: what a call that is over is to be told from now on.
CREATE FUNCTION concord_lock_remember(
    p_lock bigint, p_call text, p_said text, p_until_us bigint
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO concord_lock_answer AS a (lock_id, call, said, until_us)
    VALUES (p_lock, p_call, p_said, p_until_us)
    ON CONFLICT (lock_id, call) DO UPDATE SET
        said = excluded.said, until_us = greatest(a.until_us, excluded.until_us);
END $$;


-- concord_lock_clear: holders whose lease ran out lose it, waiters who do not ask leave the queue.
CREATE FUNCTION concord_lock_clear(INOUT r concord_lock, p_now bigint, p_node text)
LANGUAGE plpgsql AS $$
DECLARE
    c concord_lock_claim;
BEGIN
    FOR c IN DELETE FROM concord_lock_claim x
        WHERE x.lock_id = r.id AND x.until_us <= p_now RETURNING x.* LOOP
        IF c.state = 'waiting' THEN
            r := concord_lock_tell(r, 'lock.gave_up', p_node,
                jsonb_build_object('id', c.call, 'owner', c.owner));
        ELSE
            -- A holder may ask late how it stands; 20 s is longer than it may repeat a call. One
            -- that was only handed the lock and has not heard of it may queue again.
            PERFORM concord_lock_remember(r.id, c.call, 'lost', p_now + 20000000)
                WHERE c.state = 'held';
            r := concord_lock_tell(r, 'lock.expired', p_node, jsonb_build_object(
                'id', c.call, 'token', c.token, 'owner', c.owner, 'state', c.state));
        END IF;
    END LOOP;
END $$;


-- concord_lock_admits: whether one more, not of a party, may have the lock beside its holders.
-- `coordination.locks.machine` says the same.
CREATE FUNCTION concord_lock_admits(p_lock bigint, p_mode text, p_capacity int) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT CASE p_mode
            WHEN 'shared' THEN coalesce(bool_and(c.mode = 'shared'), true)
            WHEN 'permit' THEN count(*) < p_capacity
            ELSE count(*) = 0 END
        FROM concord_lock_claim c WHERE c.lock_id = p_lock AND c.state <> 'waiting');
END $$;


-- concord_lock_give: let a waiter have the lock. The one who asks just now (p_call) holds it; any
-- other is woken, and has to ask again before its claim runs out.
CREATE FUNCTION concord_lock_give(
    INOUT r concord_lock, c concord_lock_claim, p_place int, p_now bigint, p_call text,
    p_ttl_ms bigint, p_node text
) LANGUAGE plpgsql AS $$
DECLARE
    v_asks boolean := c.call IS NOT DISTINCT FROM p_call;  -- p_call is NULL where nobody asks
BEGIN
    r.token := greatest(p_now, r.token + 1);
    UPDATE concord_lock_claim x SET
        state = CASE WHEN v_asks THEN 'held' ELSE 'handed' END, token = r.token, since_us = p_now,
        until_us = p_now + CASE WHEN v_asks THEN p_ttl_ms ELSE 1500 END * 1000, place = p_place
    WHERE x.lock_id = r.id AND x.call = c.call RETURNING x.* INTO c;
    r := concord_lock_tell(r, CASE WHEN v_asks THEN 'lock.granted' ELSE 'lock.handed' END, p_node,
        concord_lock_holding(c));
    IF NOT v_asks THEN
        PERFORM pg_notify(c.channel, c.call);
    END IF;
END $$;


-- concord_lock_serve: let those at the head of the queue have the lock who may have it now.
CREATE FUNCTION concord_lock_serve(
    INOUT r concord_lock, p_now bigint, p_call text, p_ttl_ms bigint, p_node text
) LANGUAGE plpgsql AS $$
DECLARE
    head concord_lock_claim;
    each concord_lock_claim;
    v_place int;
BEGIN
    LOOP
        SELECT * INTO head FROM concord_lock_claim c
            WHERE c.lock_id = r.id AND c.state = 'waiting' ORDER BY c.position LIMIT 1;
        EXIT WHEN NOT FOUND;
        IF head.mode = 'party' THEN
            EXIT WHEN head.capacity > (SELECT count(*) FROM concord_lock_claim c
                WHERE c.lock_id = r.id AND c.state = 'waiting');
            v_place := 0;
            FOR each IN SELECT * FROM concord_lock_claim c WHERE c.lock_id = r.id
                AND c.state = 'waiting' ORDER BY c.position LIMIT head.capacity LOOP
                r := concord_lock_give(r, each, v_place, p_now, p_call, p_ttl_ms, p_node);
                v_place := v_place + 1;
            END LOOP;
        ELSE
            EXIT WHEN NOT concord_lock_admits(r.id, head.mode, head.capacity);
            r := concord_lock_give(r, head, 0, p_now, p_call, p_ttl_ms, p_node);
        END IF;
    END LOOP;
END $$;


-- concord_lock_settle: write the row back as its claims have it now.
CREATE FUNCTION concord_lock_settle(r concord_lock, p_now bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_count int;
    v_call text;
    v_state text;
    v_ends bigint;
BEGIN
    SELECT count(*), min(c.call), min(c.state), max(c.until_us)
        INTO v_count, v_call, v_state, v_ends FROM concord_lock_claim c WHERE c.lock_id = r.id;
    IF v_count > 0 THEN
        r.sole := CASE WHEN v_count = 1 AND v_state = 'held' THEN v_call END;
        r.ends_us := v_ends;
    ELSIF r.sole IS DISTINCT FROM '' OR r.ends_us = 0 THEN
        r.sole := '';
        r.ends_us := p_now;
    END IF;
    UPDATE concord_lock l
        SET token = r.token, version = r.version, sole = r.sole, ends_us = r.ends_us
    WHERE l.id = r.id AND (l.token, l.version, l.ends_us, l.sole)
        IS DISTINCT FROM (r.token, r.version, r.ends_us, r.sole);
END $$;


-- concord_lock_take: take a lock that nobody has and nobody waits for, in one statement.
--   → its token; NULL: somebody has it, or its name has no row
CREATE FUNCTION concord_lock_take(
    p_kind text, p_name text, p_call text, p_mode text, p_capacity int, p_now bigint,
    p_ttl_ms bigint, p_owner text, p_context text, p_metadata text, p_node text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_lock bigint;
    v_token bigint;
BEGIN
    WITH taken AS (
        UPDATE concord_lock l SET token = greatest(p_now, l.token + 1), version = l.version + 1,
            sole = p_call, ends_us = p_now + p_ttl_ms * 1000
        WHERE l.kind = p_kind AND l.name = p_name AND l.sole = ''
        RETURNING l.id, l.token, l.version
    ), claimed AS (
        INSERT INTO concord_lock_claim (
            lock_id, call, position, mode, capacity, state, token, since_us, until_us, place,
            owner, context, metadata, channel
        ) SELECT t.id, p_call, t.version, p_mode, p_capacity, 'held', t.token, p_now,
            p_now + p_ttl_ms * 1000, 0, p_owner, p_context, p_metadata, '' FROM taken t
    ), told AS (
        INSERT INTO concord_event (kind, object, name, version, at, node, actor, data)
        SELECT 'lock.granted', 'lock', concord_lock_key(p_node, p_kind, p_name), t.version,
            clock_timestamp(), split_part(p_node, ' ', 2), '',
            jsonb_build_object('id', p_call, 'token', t.token, 'mode', p_mode,
                'limit', p_capacity, 'until', p_now + p_ttl_ms * 1000, 'owner', p_owner,
                'context', p_context, 'metadata', p_metadata::jsonb)
        FROM taken t
    )
    SELECT t.id, t.token INTO v_lock, v_token FROM taken t;
    -- A statement of its own: the first may have waited for a copy of the same call, and its
    -- snapshot does not see what that one left. The error takes back what was done.
    IF v_token IS NOT NULL AND EXISTS (SELECT FROM concord_lock_answer a
        WHERE a.lock_id = v_lock AND a.call = p_call AND a.until_us > p_now) THEN
        RAISE EXCEPTION 'call % is over', p_call USING ERRCODE = 'CL001';
    END IF;
    RETURN v_token;
END $$;


-- concord_lock_acquire: take the lock, or a place in its queue, or ask how the same call stands.
--   p_call         names this call for ever: a repetition gets the first answer
--   p_stay_ms      how long to stay in the queue unless it asks again; 0: not at all
--   p_patience_ms  how long after the call anybody waits for the answer
--   → held (place: of a party) · waiting (place from 1; until: end of the present lease) · busy
--   Raises CL001 when this call had it and has it no longer, CL002 after p_patience_ms.
CREATE FUNCTION concord_lock_acquire(
    p_kind text, p_name text, p_call text, p_mode text, p_capacity int, p_ttl_ms bigint,
    p_stay_ms bigint, p_patience_ms bigint, p_owner text, p_context text,
    p_metadata text, p_channel text, p_node text
) RETURNS TABLE (
    answer text, token bigint, since_us bigint, until_us bigint, now_us bigint,
    revoked_at_us bigint, place int
) LANGUAGE plpgsql AS $$
DECLARE
    r concord_lock;
    mine concord_lock_claim;
    v_new boolean;
    v_until timestamptz := statement_timestamp() + p_patience_ms * interval '1 millisecond';
BEGIN
    now_us := concord_now_us();
    FOR attempt IN 1..2 LOOP
        EXIT WHEN p_mode = 'party';
        token := concord_lock_take(p_kind, p_name, p_call, p_mode, p_capacity, now_us,
            p_ttl_ms, p_owner, p_context, p_metadata, p_node);
        EXIT WHEN clock_timestamp() > v_until;
        IF token IS NOT NULL THEN
            RETURN QUERY SELECT 'held', token, now_us, now_us + p_ttl_ms * 1000, now_us,
                NULL::bigint, 0;
            RETURN;
        END IF;
        r := concord_lock_open(p_kind, p_name, p_node);
        EXIT WHEN r.sole IS DISTINCT FROM '';
    END LOOP;
    IF r.id IS NULL THEN
        r := concord_lock_open(p_kind, p_name, p_node);
    END IF;
    IF clock_timestamp() > v_until THEN
        -- Whoever asked has gone while this waited for the row. The error takes back what was done.
        RAISE EXCEPTION 'the row of % came too late', p_name USING ERRCODE = 'CL002';
    END IF;
    now_us := concord_now_us();
    IF p_stay_ms > 0 THEN
        UPDATE concord_lock_claim c
            SET until_us = concord_lock_acquire.now_us + p_stay_ms * 1000, channel = p_channel
        WHERE c.lock_id = r.id AND c.call = p_call AND c.state = 'waiting';
    END IF;
    r := concord_lock_clear(r, now_us, p_node);
    SELECT * INTO mine FROM concord_lock_claim c WHERE c.lock_id = r.id AND c.call = p_call;
    v_new := NOT FOUND;
    IF v_new AND EXISTS (SELECT FROM concord_lock_answer a WHERE a.lock_id = r.id
        AND a.call = p_call AND a.until_us > concord_lock_acquire.now_us) THEN
        RAISE EXCEPTION 'call % is over', p_call USING ERRCODE = 'CL001';
    END IF;
    IF mine.state = 'handed' THEN
        -- Asking shows that it lives: the lease proper begins.
        UPDATE concord_lock_claim c SET state = 'held',
            until_us = concord_lock_acquire.now_us + p_ttl_ms * 1000
        WHERE c.lock_id = r.id AND c.call = p_call RETURNING c.* INTO mine;
        r := concord_lock_tell(r, 'lock.granted', p_node, concord_lock_holding(mine));
    ELSIF mine.state IS DISTINCT FROM 'held' THEN
        IF v_new THEN
            INSERT INTO concord_lock_claim (lock_id, call, position, mode, capacity, state,
                since_us, until_us, place, owner, context, metadata, channel)
            VALUES (r.id, p_call, r.version + 1, p_mode, p_capacity, 'waiting', now_us,
                now_us + greatest(p_stay_ms, 1) * 1000, 0, p_owner, p_context, p_metadata,
                p_channel);
        END IF;
        r := concord_lock_serve(r, now_us, p_call, p_ttl_ms, p_node);
        SELECT * INTO mine FROM concord_lock_claim c WHERE c.lock_id = r.id AND c.call = p_call;
        IF v_new AND mine.state = 'waiting' AND p_stay_ms > 0 THEN
            r := concord_lock_tell(r, 'lock.waiting', p_node, concord_lock_holding(mine));
        ELSIF v_new AND mine.state = 'waiting' THEN
            DELETE FROM concord_lock_claim c WHERE c.lock_id = r.id AND c.call = p_call;
        END IF;
    END IF;
    PERFORM concord_lock_settle(r, now_us);
    IF mine.state = 'held' THEN
        RETURN QUERY SELECT 'held', mine.token, mine.since_us, mine.until_us, now_us,
            mine.revoked_at_us, mine.place;
        RETURN;
    END IF;
    PERFORM set_config('synchronous_commit', 'off', true);
    RETURN QUERY SELECT CASE WHEN v_new AND p_stay_ms = 0 THEN 'busy' ELSE 'waiting' END,
        NULL::bigint, NULL::bigint,
        min(c.until_us) FILTER (WHERE c.state <> 'waiting'), now_us, NULL::bigint,
        count(*) FILTER (WHERE c.state = 'waiting' AND c.position <= mine.position)::int
    FROM concord_lock_claim c WHERE c.lock_id = r.id;
END $$;


-- concord_lock_release: give the lock back, or a place in its queue up, and hand it to the next.
--   p_kept_ms  how long the answer is remembered
--   p_said     for the history: why
--   → 'released' | 'left' (it was waiting) | 'lost' (it has neither: it ran out, or never had it)
CREATE FUNCTION concord_lock_release(
    p_kind text, p_name text, p_call text, p_kept_ms bigint, p_said jsonb, p_node text
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    r concord_lock;
    mine concord_lock_claim;
    v_now bigint := concord_now_us();
    v_freed int;
    v_told int;
    v_answer text;
    v_remembered text;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    -- Nobody waits: what is below would do the same.
    WITH freed AS (
        UPDATE concord_lock l SET version = l.version + 1, sole = '', ends_us = v_now
        WHERE l.kind = p_kind AND l.name = p_name AND l.sole = p_call AND l.ends_us > v_now
        RETURNING l.id, l.version
    ), gone AS (
        DELETE FROM concord_lock_claim c USING freed f WHERE c.lock_id = f.id AND c.call = p_call
        RETURNING c.token, c.owner
    ), remembered AS (
        INSERT INTO concord_lock_answer (lock_id, call, said, until_us)
        SELECT f.id, p_call, 'released', v_now + p_kept_ms * 1000 FROM freed f
        ON CONFLICT (lock_id, call) DO UPDATE SET said = excluded.said, until_us = excluded.until_us
    ), told AS (
        INSERT INTO concord_event (kind, object, name, version, at, node, actor, data)
        SELECT 'lock.released', 'lock', concord_lock_key(p_node, p_kind, p_name), f.version,
            clock_timestamp(), split_part(p_node, ' ', 2), '',
            jsonb_build_object('id', p_call, 'token', g.token, 'owner', g.owner) || p_said
        FROM freed f, gone g RETURNING 1
    )
    SELECT (SELECT count(*) FROM freed), (SELECT count(*) FROM told) INTO v_freed, v_told;
    IF v_freed > v_told THEN
        -- The lock was taken while this waited for its row: the claim is not seen. Once more.
        RAISE EXCEPTION 'concurrent copies of call %', p_call USING ERRCODE = '40001';
    END IF;
    IF v_freed > 0 THEN
        PERFORM concord_lock_tidy(60000, p_node) WHERE random() < 0.02;
        RETURN 'released';
    END IF;

    r := concord_lock_open(p_kind, p_name, p_node);
    v_now := concord_now_us();
    -- First: a waiter that leaves does so by its own word, though its stay may be over.
    DELETE FROM concord_lock_claim c WHERE c.lock_id = r.id AND c.call = p_call
        AND (c.until_us > v_now OR c.state = 'waiting') RETURNING c.* INTO mine;
    r := concord_lock_clear(r, v_now, p_node);
    SELECT a.said INTO v_remembered FROM concord_lock_answer a
        WHERE a.lock_id = r.id AND a.call = p_call AND a.until_us > v_now;
    IF mine.state = 'waiting' THEN
        -- A copy of the call that arrives late must not be granted to nobody.
        v_answer := 'left';
        r := concord_lock_tell(r, 'lock.gave_up', p_node,
            jsonb_build_object('id', p_call, 'owner', mine.owner) || p_said);
    ELSIF mine.state IS NOT NULL THEN
        v_answer := 'released';
        r := concord_lock_tell(r, 'lock.released', p_node,
            jsonb_build_object('id', p_call, 'token', mine.token, 'owner', mine.owner) || p_said);
    ELSIF v_remembered IN ('released', 'left') THEN
        v_answer := v_remembered;
    ELSE
        v_answer := 'lost';
        r := concord_lock_tell(r, 'lock.release_refused', p_node, jsonb_build_object('id', p_call));
    END IF;
    IF v_answer IS DISTINCT FROM v_remembered THEN
        PERFORM concord_lock_remember(r.id, p_call, v_answer, v_now + p_kept_ms * 1000);
    END IF;
    r := concord_lock_serve(r, v_now, NULL, 0, p_node);
    PERFORM concord_lock_settle(r, v_now);
    PERFORM concord_lock_tidy(60000, p_node) WHERE random() < 0.02;
    RETURN v_answer;
END $$;


-- concord_lock_renew: let leases begin anew, those that are still held.
--   p_requests  [{n, kind, name, call, ttl_ms}]
--   → one row for each that is held; what is missing is lost
CREATE FUNCTION concord_lock_renew(p_requests jsonb, p_node text) RETURNS TABLE (
    n int, token bigint, since_us bigint, until_us bigint, now_us bigint, revoked_at_us bigint,
    place int
) LANGUAGE plpgsql AS $$
DECLARE
    r concord_lock;
    c concord_lock_claim;
    x record;
BEGIN
    FOR x IN SELECT * FROM jsonb_to_recordset(p_requests) AS
        q(n int, kind text, name text, call text, ttl_ms bigint) ORDER BY q.kind, q.name, q.n LOOP
        SELECT * INTO r FROM concord_lock l
            WHERE l.kind = x.kind AND l.name = x.name FOR NO KEY UPDATE;
        CONTINUE WHEN NOT FOUND;
        now_us := concord_now_us();
        r := concord_lock_clear(r, now_us, p_node);
        SELECT * INTO c FROM concord_lock_claim y
            WHERE y.lock_id = r.id AND y.call = x.call AND y.state <> 'waiting';
        IF FOUND THEN
            IF c.revoked_at_us IS NULL OR now_us < c.revoked_at_us THEN
                -- Never sooner than it was told before: the holder may not hear this answer.
                c.until_us := greatest(c.until_us,
                    least(now_us + x.ttl_ms * 1000, c.revoked_at_us));
                UPDATE concord_lock_claim y SET until_us = c.until_us
                    WHERE y.lock_id = r.id AND y.call = x.call;
                r := concord_lock_tell(r, 'lock.renewed', p_node,
                    jsonb_build_object('id', x.call, 'token', c.token, 'owner', c.owner,
                        'until', c.until_us));
            END IF;
            RETURN QUERY SELECT x.n, c.token, c.since_us, c.until_us, now_us, c.revoked_at_us,
                c.place;
        ELSE
            r := concord_lock_serve(r, now_us, NULL, 0, p_node);
        END IF;
        PERFORM concord_lock_settle(r, now_us);
    END LOOP;
END $$;


-- concord_lock_force: take the lock away from whoever holds it, by an operator's word.
--   p_call  names this call: a repetition does not fall on the next holder
--   → tokens of those who lost it; every later token is greater than all of them
CREATE FUNCTION concord_lock_force(
    p_kind text, p_name text, p_call text, p_actor text, p_reason text, p_kept_ms bigint,
    p_node text
) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    r concord_lock := concord_lock_open(p_kind, p_name, p_node);
    v_now bigint := concord_now_us();
    v_tokens bigint[] := '{}';
    v_remembered text;
    c concord_lock_claim;
BEGIN
    SELECT a.said INTO v_remembered FROM concord_lock_answer a
        WHERE a.lock_id = r.id AND a.call = p_call;
    IF FOUND THEN RETURN v_remembered::bigint[]; END IF;
    r := concord_lock_clear(r, v_now, p_node);
    FOR c IN DELETE FROM concord_lock_claim x
        WHERE x.lock_id = r.id AND x.state <> 'waiting' RETURNING x.* LOOP
        PERFORM concord_lock_remember(r.id, c.call, 'lost', v_now + p_kept_ms * 1000)
            WHERE c.state = 'held';
        r := concord_lock_tell(r, 'lock.forced', p_node, jsonb_build_object('id', c.call, 'token',
            c.token, 'owner', c.owner, 'actor', p_actor, 'reason', p_reason));
        v_tokens := v_tokens || c.token;
    END LOOP;
    PERFORM concord_lock_remember(r.id, p_call, v_tokens::text, v_now + p_kept_ms * 1000);
    -- The floor rises although nobody may be waiting: whoever comes next has a greater token.
    r.token := greatest(v_now, r.token + 1);
    r := concord_lock_serve(r, v_now, NULL, 0, p_node);
    PERFORM concord_lock_settle(r, v_now);
    RETURN v_tokens;
END $$;


-- concord_lock_revoke: ask whoever holds the lock to give it back; after the grace its lease is
-- renewed no more.
--   → how many were asked
CREATE FUNCTION concord_lock_revoke(
    p_kind text, p_name text, p_grace_ms bigint, p_actor text, p_reason text, p_node text
) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    r concord_lock := concord_lock_open(p_kind, p_name, p_node);
    v_now bigint := concord_now_us();
    v_at bigint := v_now + p_grace_ms * 1000;
    v_count int := 0;
    c concord_lock_claim;
BEGIN
    r := concord_lock_clear(r, v_now, p_node);
    FOR c IN UPDATE concord_lock_claim x SET revoked_at_us = v_at
        WHERE x.lock_id = r.id AND x.state <> 'waiting' RETURNING x.* LOOP
        r := concord_lock_tell(r, 'lock.revoke_asked', p_node, jsonb_build_object('id', c.call,
            'token', c.token, 'owner', c.owner, 'at_latest', v_at, 'actor', p_actor,
            'reason', p_reason));
        v_count := v_count + 1;
    END LOOP;
    r := concord_lock_serve(r, v_now, NULL, 0, p_node);
    PERFORM concord_lock_settle(r, v_now);
    RETURN v_count;
END $$;


-- concord_lock_raise: from now on every token, of any name, is greater than p_above.
CREATE FUNCTION concord_lock_raise(p_above bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Whoever makes a row just now has read the old floor: wait for him, and let the next wait.
    PERFORM pg_advisory_xact_lock(hashtextextended('concord_lock_floor', 0));
    INSERT INTO concord_lock_floor AS f (id, token) VALUES (1, p_above)
        ON CONFLICT (id) DO UPDATE SET token = greatest(f.token, excluded.token);
    PERFORM FROM concord_lock l WHERE l.token < p_above ORDER BY l.kind, l.name FOR NO KEY UPDATE;
    UPDATE concord_lock l SET token = p_above WHERE l.token < p_above;
END $$;


-- concord_lock_tidy: forget what nobody will ask for again: answers, and names out of use. Waits
-- for no row, so it may come last in a transaction that has one locked. The floor remembers the
-- tokens of names that go; their events remember the version.
--   p_idle_ms  how long a name has to be out of use
CREATE FUNCTION concord_lock_tidy(p_idle_ms bigint, p_node text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    r concord_lock;
    v_now bigint := concord_now_us();
    v_token bigint;
BEGIN
    DELETE FROM concord_lock_answer a USING (
        SELECT x.lock_id, x.call FROM concord_lock_answer x
        WHERE x.until_us <= v_now ORDER BY x.until_us LIMIT 500 FOR UPDATE SKIP LOCKED
    ) old WHERE a.lock_id = old.lock_id AND a.call = old.call;
    INSERT INTO concord_lock_floor (id, token) VALUES (1, 0) ON CONFLICT (id) DO NOTHING;
    SELECT f.token INTO v_token FROM concord_lock_floor f WHERE f.id = 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN RETURN; END IF;
    FOR r IN SELECT * FROM concord_lock l WHERE l.ends_us <= v_now - p_idle_ms * 1000
        AND NOT EXISTS (SELECT FROM concord_lock_answer a WHERE a.lock_id = l.id)
        LIMIT 100 FOR UPDATE SKIP LOCKED LOOP
        IF r.sole IS DISTINCT FROM '' THEN
            -- Its last holder never came back.
            r := concord_lock_clear(r, v_now, p_node);
            r := concord_lock_serve(r, v_now, NULL, 0, p_node);
            PERFORM concord_lock_settle(r, v_now);
            CONTINUE;
        END IF;
        -- Looked at again: it may have been used between the search and its lock.
        DELETE FROM concord_lock l WHERE l.id = r.id
            AND NOT EXISTS (SELECT FROM concord_lock_answer a WHERE a.lock_id = l.id);
        IF FOUND AND r.token > v_token THEN
            v_token := r.token;
            UPDATE concord_lock_floor f SET token = v_token WHERE f.id = 1;
        END IF;
    END LOOP;
END $$;


ALTER TABLE concord_lock SET (fillfactor = 50);
