-- Functions of every PostgreSQL database in which participants work.


-- concord_enter: take the branch for this transaction, mark the transaction, and say what is known.
--   p_branch  the branch's gid
--   p_mark    unique to this attempt; set twice: local to the transaction, so it is gone if the body
--             ends it, and for the session, where it stays exactly if this transaction commits
--   p_limit   lock_timeout and statement_timeout for the body, with unit
--   → NULL: go on · W or A: the witness that stands · P: prepared by an earlier attempt ·
--     B: another attempt is running
-- The advisory lock goes with the transaction even when it is prepared, so whoever has it knows
-- that no other attempt runs or is prepared. The witness is read after the lock, in a snapshot that
-- sees what the lock's last holder left.
CREATE FUNCTION concord_enter(p_branch text, p_mark text, p_limit text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_locked boolean := pg_try_advisory_xact_lock(hashtextextended(p_branch, 0));
    v_found text;
BEGIN
    PERFORM set_config('concord.branch', p_mark, true), set_config('concord.committed', p_mark, false),
        set_config('lock_timeout', p_limit, true), set_config('statement_timeout', p_limit, true);
    SELECT w.kind INTO v_found FROM concord_witness w WHERE w.branch_gid = p_branch;
    IF v_found IS NOT NULL OR v_locked THEN
        RETURN v_found;
    END IF;
    PERFORM FROM pg_prepared_xacts WHERE gid = p_branch AND database = current_database();
    RETURN CASE WHEN FOUND THEN 'P' ELSE 'B' END;
END $$;


-- concord_seal: the last thing before the work of a branch becomes durable: make sure that it is
-- still the marked transaction, and leave the witness in it.
--   p_after   signatures to be sent after the commit, or NULL
--   p_must    whether having written nothing is an error, so that what follows is not run
--   → whether there is anything to keep: work or p_after (a read-only one gets no witness)
--   Raises CC003 when the body ended the transaction itself, CC004 for p_must and nothing written.
CREATE FUNCTION concord_seal(p_branch text, p_mark text, p_after jsonb, p_must boolean)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('concord.branch', true) IS DISTINCT FROM p_mark THEN
        RAISE EXCEPTION 'its body ended the transaction by itself' USING ERRCODE = 'CC003';
    END IF;
    IF pg_current_xact_id_if_assigned() IS NULL AND p_after IS NULL THEN
        IF p_must THEN
            RAISE EXCEPTION 'branch % wrote nothing', p_branch USING ERRCODE = 'CC004';
        END IF;
        RETURN false;
    END IF;
    INSERT INTO concord_witness (branch_gid, kind, after_commit, at)
        VALUES (p_branch, 'W', p_after, clock_timestamp());
    RETURN true;
END $$;
