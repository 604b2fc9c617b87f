-- Functions of counters in a database store. Each is one statement, of a connection in autocommit
-- or of the caller's transaction, whose end then decides.
--
-- Whoever changes a counter locks its row first; PL/pgSQL under READ COMMITTED then takes a new
-- snapshot for each statement, so what follows sees all that earlier owners of the row did, their
-- answers too. Whoever locks several rows of one counter goes by their shard.
--
-- p_node says who calls, as "store node". A call with p_kept_ms 0 is not remembered. p_note is what an
-- event says besides: what the counter was declared with, and who changed it by hand.


-- concord_counter_open: the row of a shard, locked; made if need be, behind that of shard 0.
CREATE FUNCTION concord_counter_open(p_name text, p_shard integer, p_initial bigint)
RETURNS concord_counter LANGUAGE plpgsql AS $$
DECLARE
    c concord_counter;
BEGIN
    LOOP
        SELECT * INTO c FROM concord_counter r
            WHERE r.name = p_name AND r.shard = p_shard FOR NO KEY UPDATE;
        IF FOUND THEN RETURN c; END IF;
        -- Who holds shard 0 sees all shards there are.
        IF p_shard > 0 THEN PERFORM concord_counter_open(p_name, 0, p_initial); END IF;
        INSERT INTO concord_counter (name, shard, value, version)
            VALUES (p_name, p_shard, CASE WHEN p_shard = 0 THEN p_initial ELSE 0 END, 0)
            ON CONFLICT DO NOTHING;
    END LOOP;
END $$;


-- concord_counter_write: write a row, which is locked, with its event.
CREATE FUNCTION concord_counter_write(
    INOUT c concord_counter, p_node text, p_kind text, p_call text, p_value bigint, p_note jsonb
) LANGUAGE plpgsql AS $$
DECLARE
    before bigint := c.value;
BEGIN
    c.value := p_value;
    c.version := c.version + 1;
    UPDATE concord_counter r SET value = c.value, version = c.version
        WHERE r.name = c.name AND r.shard = c.shard;
    -- An older event of this version is one of a row that somebody deleted past Concord.
    INSERT INTO concord_event (kind, object, name, version, at, node, actor, data)
    VALUES (p_kind, 'counter',
        concat_ws(' ', split_part(p_node, ' ', 1), c.name, nullif(c.shard, 0)), c.version,
        clock_timestamp(), split_part(p_node, ' ', 2), coalesce(p_note->>'actor', ''),
        p_note || jsonb_build_object(
            'id', p_call, 'before', before, 'after', c.value, 'shard', c.shard))
    ON CONFLICT (object, name, version) DO NOTHING;
END $$;


-- concord_counter_change: one change, or the answer that the first call with its id got.
--
-- p_limits are initial, lowest, highest. 'sharded' is the ending of who did not say that the
-- counter has several rows.
CREATE FUNCTION concord_counter_change(
    p_node text, p_name text, p_shards integer, p_limits bigint[], p_wait_ms bigint,
    p_shard integer, p_verb text, p_kind text, p_number bigint, p_expected bigint,
    p_call text, p_said text, p_kept_ms bigint, p_note jsonb DEFAULT '{}',
    OUT ending text, OUT value bigint, OUT version bigint, OUT said text
) LANGUAGE plpgsql AS $$
DECLARE
    c concord_counter;
    other concord_counter;
    wanted bigint := p_number;
    former text := current_setting('lock_timeout');
BEGIN
    -- Who waits longer than the caller would be applied behind his back.
    PERFORM set_config('lock_timeout', p_wait_ms::text, true);
    c := concord_counter_open(p_name, p_shard, p_limits[1]);
    ending := NULL;
    SELECT a.ending, a.value, a.version, a.said INTO ending, value, version, said
        FROM concord_counter_answer a
        WHERE a.name = p_name AND a.call = p_call AND a.until_us > concord_now_us();
    IF ending IS NULL THEN
        value := c.value;
        IF p_shards > 1 THEN
            SELECT sum(r.value) INTO value FROM concord_counter r WHERE r.name = p_name;
        END IF;
        IF p_verb = 'add' THEN wanted := value + p_number; END IF;
        IF p_shards = 1 AND EXISTS (
            SELECT FROM concord_counter r WHERE r.name = p_name AND r.shard > 0)
        THEN ending := 'sharded';
        ELSIF p_expected <> value THEN ending := 'mismatch';
        ELSIF wanted NOT BETWEEN p_limits[2] AND p_limits[3] THEN ending := 'exceeded';
        ELSE
            ending := 'done';
            IF p_shards > 1 AND p_verb <> 'add' THEN
                FOR other IN SELECT * FROM concord_counter r
                    WHERE r.name = p_name AND r.shard > 0 ORDER BY r.shard FOR NO KEY UPDATE
                LOOP
                    PERFORM concord_counter_write(other, p_node, p_kind, p_call, 0, p_note);
                END LOOP;
            END IF;
            c := concord_counter_write(c, p_node, p_kind, p_call,
                CASE WHEN p_verb = 'add' THEN c.value + p_number ELSE p_number END, p_note);
            value := wanted;
        END IF;
        version := c.version;
        said := p_said;
        IF p_kept_ms > 0 AND ending <> 'sharded' THEN
            INSERT INTO concord_counter_answer AS a
                (name, call, ending, value, version, said, until_us)
            VALUES (p_name, p_call, ending, value, version, said,
                concord_now_us() + p_kept_ms * 1000)
            ON CONFLICT (name, call) DO UPDATE SET (ending, value, version, said, until_us) =
                (excluded.ending, excluded.value, excluded.version, excluded.said,
                    excluded.until_us);
        END IF;
    END IF;
    PERFORM set_config('lock_timeout', former, true);
END $$;


-- concord_counter_change_many: several of one counter, each by itself, in their order.
CREATE FUNCTION concord_counter_change_many(
    p_node text, p_name text, p_shards integer, p_limits bigint[], p_wait_ms bigint, p_changes jsonb
) RETURNS TABLE (o_ending text, o_value bigint, o_version bigint, o_said text)
LANGUAGE plpgsql AS $$
DECLARE
    e jsonb;
BEGIN
    FOR e IN SELECT * FROM jsonb_array_elements(p_changes) LOOP
        SELECT r.ending, r.value, r.version, r.said INTO o_ending, o_value, o_version, o_said
            FROM concord_counter_change(p_node, p_name, p_shards, p_limits, p_wait_ms,
                (e->>0)::integer, e->>1, e->>2, (e->>3)::bigint, (e->>4)::bigint, e->>5, e->>6,
                (e->>7)::bigint, coalesce((e->>8)::jsonb, '{}')) r;
        RETURN NEXT;
    END LOOP;
END $$;


-- concord_counter_forget: some of the answers that are old enough.
CREATE FUNCTION concord_counter_forget() RETURNS void LANGUAGE sql AS $$
    DELETE FROM concord_counter_answer a WHERE (a.name, a.call) IN (
        SELECT b.name, b.call FROM concord_counter_answer b
        WHERE b.until_us <= concord_now_us() ORDER BY b.until_us LIMIT 1000
        FOR UPDATE SKIP LOCKED)
$$;


-- By which the auditor finds an op id that was counted twice.
CREATE INDEX concord_event_counter_op ON concord_event (name, (data->>'id'))
    WHERE object = 'counter';
