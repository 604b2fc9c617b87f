-- Functions of registers in PostgreSQL: an acceptor of a quorum, and registers of this database
-- alone. Each is one statement of a connection in autocommit: its COMMIT is the answer's durability.
--
-- Whoever works on registers shares an advisory lock; whoever changes the view or the floor has it
-- alone. A row lock would write to the seat with each message. PL/pgSQL under READ COMMITTED takes
-- a new snapshot for each statement, so what follows the lock sees what was done before it.


-- concord_consensus_host: this cluster and its timeline. A standby that is promoted, or a backup
-- that is recovered to a point in time, goes on a new timeline; a dump lands in another cluster.
-- Raises on a standby, which can promise nothing and would be read late.
CREATE FUNCTION concord_consensus_host() RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT system_identifier || ' ' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)
    FROM pg_control_system()
$$;


-- concord_consensus_unfit: why what is committed now may be forgotten; empty when it lasts.
CREATE FUNCTION concord_consensus_unfit() RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT CASE
        WHEN current_setting('fsync') = 'off' THEN 'its fsync is off'
        WHEN current_setting('full_page_writes') = 'off' THEN 'its full_page_writes is off'
        WHEN current_setting('synchronous_commit') = 'off' THEN 'its synchronous_commit is off'
        ELSE ''
    END
$$;


-- concord_consensus_enter: hold the seats, shared or alone, until the end of the transaction.
CREATE FUNCTION concord_consensus_enter(p_alone boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- 'cons', 'ensu' in ASCII.
    IF p_alone THEN
        PERFORM pg_advisory_xact_lock(1668247155, 1701737333);
    ELSE
        PERFORM pg_advisory_xact_lock_shared(1668247155, 1701737333);
    END IF;
END $$;


-- concord_acceptor_cell_ask: one message to the acceptor of one register, of which it keeps a row.
CREATE FUNCTION concord_acceptor_cell_ask(
    p_verb text, p_period integer, p_key text, p_ballot text, p_value text,
    OUT said text, OUT detail text, OUT value text
) LANGUAGE plpgsql AS $$
BEGIN
    IF p_verb = 'look' THEN
        said := 'seen';
        SELECT c.ballot, c.value INTO detail, value FROM concord_acceptor_cell c
            WHERE c.period = p_period AND c.key = p_key;
        RETURN;
    END IF;
    IF p_verb = 'prepare' THEN
        said := 'promised';
        INSERT INTO concord_acceptor_cell AS c (period, key, promised)
            VALUES (p_period, p_key, p_ballot)
            ON CONFLICT (period, key) DO UPDATE SET promised = excluded.promised
                WHERE c.promised <= excluded.promised
            RETURNING c.ballot, c.value INTO detail, value;
    ELSE
        said := 'agreed';
        INSERT INTO concord_acceptor_cell AS c (period, key, promised, ballot, value)
            VALUES (p_period, p_key, p_ballot, p_ballot, p_value)
            ON CONFLICT (period, key) DO UPDATE
                SET promised = excluded.promised, ballot = excluded.ballot, value = excluded.value
                WHERE c.promised <= excluded.promised
            RETURNING c.ballot INTO detail;
    END IF;
    IF NOT FOUND THEN
        said := 'refused';
        SELECT c.promised INTO detail FROM concord_acceptor_cell c
            WHERE c.period = p_period AND c.key = p_key;
    END IF;
END $$;


-- concord_acceptor_ask: messages to the acceptor, each [verb, period, key, ballot, value], where
-- verb is prepare, accept or look; said and the rest are as of `acceptors/redis.lua`.
--
-- They come in the order of their registers, so that two calls never wait for each other's rows.
CREATE FUNCTION concord_acceptor_ask(p_incarnation text, p_version integer, p_messages text)
RETURNS TABLE (said text, detail text, value text) LANGUAGE plpgsql AS $$
DECLARE
    s concord_consensus_seat;
    m jsonb;
BEGIN
    detail := concord_consensus_unfit();
    IF detail <> '' THEN said := 'unfit'; RETURN NEXT; RETURN; END IF;
    PERFORM concord_consensus_enter(false);
    SELECT * INTO s FROM concord_consensus_seat c WHERE c.role = 'acceptor';
    IF s.incarnation IS DISTINCT FROM p_incarnation THEN
        said := 'unseated'; detail := s.incarnation;
        RETURN NEXT; RETURN;
    END IF;
    IF s.host <> concord_consensus_host() THEN
        said := 'unfit'; detail := 'it was promoted or restored since its birth';
        RETURN NEXT; RETURN;
    END IF;
    IF s.version <> p_version THEN
        said := 'outdated'; detail := s.version;
        RETURN NEXT; RETURN;
    END IF;
    FOR m IN SELECT e.message FROM jsonb_array_elements(p_messages::jsonb)
        WITH ORDINALITY AS e (message, number) ORDER BY e.number
    LOOP
        IF (m->>1)::integer < s.floor THEN
            said := 'forgotten'; detail := s.floor; value := NULL;
        ELSE
            SELECT a.said, a.detail, a.value INTO said, detail, value
                FROM concord_acceptor_cell_ask(
                    m->>0, (m->>1)::integer, m->>2, m->>3, m->>4) a;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;


-- concord_acceptor_seat: what the acceptor says of itself.
CREATE FUNCTION concord_acceptor_seat(
    OUT incarnation text, OUT view text, OUT "floor" integer, OUT fault text
) LANGUAGE plpgsql AS $$
DECLARE
    s concord_consensus_seat;
BEGIN
    fault := concord_consensus_unfit();
    SELECT * INTO s FROM concord_consensus_seat c WHERE c.role = 'acceptor';
    incarnation := s.incarnation;
    view := s.view;
    "floor" := coalesce(s.floor, 0);
    IF s.host <> concord_consensus_host() THEN
        fault := 'it was promoted or restored since its birth';
    END IF;
END $$;


-- concord_acceptor_sit: birth, install, floor or bury. True: it was done.
CREATE FUNCTION concord_acceptor_sit(
    p_verb text, p_incarnation text, p_number integer, p_view text
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM concord_consensus_enter(true);
    IF p_verb = 'bury' THEN
        DELETE FROM concord_acceptor_cell;
        DELETE FROM concord_consensus_seat c WHERE c.role = 'acceptor';
        RETURN true;
    END IF;
    IF p_verb = 'birth' THEN
        INSERT INTO concord_consensus_seat (role, incarnation, host, version, view, floor)
            VALUES ('acceptor', p_incarnation, concord_consensus_host(), p_number, p_view, 0)
            ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN RETURN false; END IF;
        -- What stands here without a seat is of a former incarnation.
        DELETE FROM concord_acceptor_cell;
        RETURN true;
    END IF;
    IF p_verb = 'install' THEN
        UPDATE concord_consensus_seat c SET version = p_number, view = p_view
            WHERE c.role = 'acceptor' AND c.incarnation = p_incarnation AND c.version < p_number;
        RETURN FOUND;
    END IF;
    UPDATE concord_consensus_seat c SET floor = greatest(c.floor, p_number)
        WHERE c.role = 'acceptor' AND c.incarnation = p_incarnation;
    IF NOT FOUND THEN RETURN false; END IF;
    DELETE FROM concord_acceptor_cell c WHERE c.period < p_number;
    RETURN true;
END $$;


-- concord_register_read: the value of a register of this database alone, or null; or the floor
-- below which registers are forgotten.
CREATE FUNCTION concord_register_read(
    p_period integer, p_key text, OUT "floor" integer, OUT value text
) LANGUAGE plpgsql AS $$
DECLARE
    lowest integer := coalesce(
        (SELECT c.floor FROM concord_consensus_seat c WHERE c.role = 'registers'), 0);
BEGIN
    IF p_period < lowest THEN "floor" := lowest; RETURN; END IF;
    SELECT r.value INTO value FROM concord_register r
        WHERE r.period = p_period AND r.key = p_key;
END $$;


-- concord_register_decide: the value that it holds for ever, `p_value` unless another was first.
CREATE FUNCTION concord_register_decide(
    p_period integer, p_key text, p_value text, OUT "floor" integer, OUT value text
) LANGUAGE plpgsql AS $$
DECLARE
    fault text := concord_consensus_unfit();
BEGIN
    IF fault <> '' THEN
        RAISE EXCEPTION 'a decision could be forgotten: %', fault;
    END IF;
    PERFORM concord_consensus_enter(false);
    SELECT * INTO "floor", value FROM concord_register_read(p_period, p_key);
    IF value IS NOT NULL OR "floor" IS NOT NULL THEN RETURN; END IF;
    INSERT INTO concord_register (period, key, value) VALUES (p_period, p_key, p_value)
        ON CONFLICT DO NOTHING;
    -- Whoever was first has committed, so the next statement sees it.
    SELECT r.value INTO value FROM concord_register r
        WHERE r.period = p_period AND r.key = p_key;
END $$;


-- concord_register_many: many registers, each [period, key, value], in one transaction; a value that
-- is null is only read. They come in the order of their keys.
CREATE FUNCTION concord_register_many(p_wishes text)
RETURNS TABLE ("floor" integer, value text) LANGUAGE plpgsql AS $$
DECLARE
    w jsonb;
BEGIN
    FOR w IN SELECT e.wish FROM jsonb_array_elements(p_wishes::jsonb)
        WITH ORDINALITY AS e (wish, number) ORDER BY e.number
    LOOP
        IF w->>2 IS NULL THEN
            SELECT r.floor, r.value INTO "floor", value
                FROM concord_register_read((w->>0)::integer, w->>1) r;
        ELSE
            SELECT r.floor, r.value INTO "floor", value
                FROM concord_register_decide((w->>0)::integer, w->>1, w->>2) r;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;


-- concord_register_forget: refuse and remove the registers of periods below this one.
CREATE FUNCTION concord_register_forget(p_period integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM concord_consensus_enter(true);
    INSERT INTO concord_consensus_seat AS c (role, incarnation, host, version, view, floor)
        VALUES ('registers', '', '', 0, '', p_period)
        ON CONFLICT (role) DO UPDATE SET floor = greatest(c.floor, excluded.floor);
    DELETE FROM concord_register r WHERE r.period < p_period;
END $$;
