-- Functions of the coordinator's database. Each is one atomic statement for its caller.
--
-- Every function that changes a transaction first locks its row; PL/pgSQL under READ COMMITTED then
-- takes a new snapshot for each statement, so what follows sees all that earlier lock holders did
-- and may be read as if it ran alone. Lock order is transaction row, then its branches; a caller
-- that changes several transactions in one database transaction goes in gid order.
--
-- Every change appends its events here, in the same transaction; `version` numbers the events of
-- one transaction without a gap.


-- The outcome is write-once whoever writes it, psql included.
CREATE FUNCTION concord_freeze_outcome() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'outcome of % is % and cannot become %', OLD.gid, OLD.outcome, NEW.outcome
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER concord_transaction_freeze
    BEFORE UPDATE OF outcome ON concord_transaction FOR EACH ROW
    WHEN (OLD.outcome IS NOT NULL AND NEW.outcome IS DISTINCT FROM OLD.outcome)
    EXECUTE FUNCTION concord_freeze_outcome();


-- concord_emit: append one event of a transaction.
--   p_kind, p_gid, p_version  what happened to which transaction, and its place in its history
--   p_node, p_by, p_data      where, who, and the fact itself
CREATE FUNCTION concord_emit(
    p_kind text, p_gid text, p_version int, p_node text, p_by text, p_data jsonb
) RETURNS void LANGUAGE plpgsql AS $$  -- not SQL: that would be planned anew at every call
BEGIN
    INSERT INTO concord_event (kind, object, name, version, at, node, actor, data)
    VALUES (p_kind, 'transaction', p_gid, p_version, clock_timestamp(), p_node, p_by, p_data);
END $$;


-- concord_begin: make a transaction and all its branches durable.
--   p_branches  [{seq, participant, node, using, mode, form, args, after}]; after: seqs, of a saga
--   p_register  'database': this row; else where the outcome is decided, in registers of p_period
--   → created, or false and what stands under this gid already
CREATE FUNCTION concord_begin(
    p_gid text, p_name text, p_protocol text, p_node text, p_key text, p_digest text,
    p_deadline_ms bigint, p_patience_ms bigint, p_mailbox text, p_then jsonb,
    p_branches jsonb, p_by text, p_register text, p_period int
) RETURNS TABLE (created boolean, digest text, outcome text, reason text) LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_deadline timestamptz := v_now + p_deadline_ms * interval '1 millisecond';
    v_count int := jsonb_array_length(p_branches);
    -- What is done behind the pivot has no vote.
    v_pending int := jsonb_array_length(
        jsonb_path_query_array(p_branches, '$[*] ? (@.form != "forward")'));
BEGIN
    INSERT INTO concord_transaction AS t (
        gid, name, protocol, node, key, digest, reason, decided_by, pending, unfinished, heuristic,
        version, created_at, deadline_at, next_at, attempts, mailbox, then_signature, register, period
    ) VALUES (
        p_gid, p_name, p_protocol, p_node, p_key, p_digest, '', '', v_pending,
        v_count + (p_then IS NOT NULL)::int, '', 1, v_now, v_deadline,
        least(v_deadline, v_now + p_patience_ms * interval '1 millisecond'), 0, p_mailbox, p_then,
        p_register, p_period
    ) ON CONFLICT (gid) DO NOTHING;
    IF NOT FOUND THEN
        RETURN QUERY SELECT false, t.digest::text, t.outcome::text, t.reason
            FROM concord_transaction t WHERE t.gid = p_gid;
        RETURN;
    END IF;
    INSERT INTO concord_branch (
        transaction_id, seq, participant, node, "using", mode, form, args, after, reason,
        after_commit, attempts, last_error
    ) SELECT p_gid, b.seq, b.participant, b.node, b."using", b.mode, b.form, b.args,
        coalesce(b.after, '[]'), '', false, 0, ''
        FROM jsonb_to_recordset(p_branches) AS b(
            seq smallint, participant text, node text, "using" text, mode text, form text, args jsonb,
            after jsonb);
    PERFORM concord_emit('transaction.begun', p_gid, 1, p_node, p_by, jsonb_build_object(
        'name', p_name, 'protocol', p_protocol, 'register', p_register, 'node', p_node, 'key', p_key,
        'deadline_at', v_deadline, 'branches', p_branches, 'by', p_by));
    RETURN QUERY SELECT true, p_digest, NULL::text, NULL::text;
END $$;


-- concord_electorate: how many branches decide a Paxos commit, each by a register of the quorum; 0
-- where one register of the quorum does; NULL where no quorum decides, and for sagas, whose steps
-- nobody may end alone.
CREATE FUNCTION concord_electorate(t concord_transaction) RETURNS int LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF t.register <> 'paxos' OR t.protocol = 'saga' THEN RETURN NULL; END IF;
    IF t.protocol <> 'paxos' THEN RETURN 0; END IF;
    RETURN (SELECT count(*) FROM concord_branch b WHERE b.transaction_id = t.gid);
END $$;


-- concord_end_steps: end the branches to which nothing is left to do by a decision that is being made:
-- after a commit the steps of a saga that are done, after an abort those that were never asked, because
-- not all that they come after had voted for it. Internal to concord_settle.
--   p_version  the transaction's version before the events of these branches
--   → how many there are
CREATE FUNCTION concord_end_steps(
    p_gid text, p_outcome text, p_at timestamptz, p_version int, p_node text, p_by text
) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    v_ended int;
BEGIN
    WITH done AS (
        UPDATE concord_branch b SET actual = p_outcome, finished_at = p_at,
            reason = CASE WHEN p_outcome = 'aborted' THEN 'never asked for' ELSE b.reason END
        WHERE b.transaction_id = p_gid AND b.actual IS NULL AND CASE p_outcome
            WHEN 'committed' THEN b.mode = 'saga' AND b.vote = 'yes' AND NOT b.after_commit
            ELSE b.vote IS NULL AND EXISTS (
                SELECT FROM concord_branch before
                WHERE before.transaction_id = p_gid AND b.after @> to_jsonb(before.seq)
                    AND coalesce(before.vote, '') NOT IN ('yes', 'read_only')) END
        RETURNING b.seq, b.actual, b.reason
    ), told AS (
        INSERT INTO concord_event (kind, object, name, version, at, node, actor, data)
        SELECT 'branch.finished', 'transaction', p_gid, p_version + row_number() OVER (ORDER BY d.seq),
            p_at, p_node, p_by, jsonb_build_object('seq', d.seq, 'actual', d.actual,
                'reason', d.reason, 'by', p_by)
        FROM done d
    )
    SELECT count(*) INTO v_ended FROM done;
    RETURN v_ended;
END $$;


-- concord_settle: write back a locked transaction row after its counts or outcome changed, decide
-- its end, and append the events of both. Internal to the functions below.
--   p_was        the outcome as it was locked
--   p_outcome…   the row as it shall be (version already counts the caller's own events)
--   → how many branches and continuations are unfinished then; none: it has ended
CREATE FUNCTION concord_settle(
    p_gid text, p_was text, p_outcome text, p_reason text, p_pending int, p_unfinished int,
    p_version int, p_patience_ms bigint, p_node text, p_by text
) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    v_decides boolean := p_was IS NULL AND p_outcome IS NOT NULL;
    v_at timestamptz := clock_timestamp();
    v_steps int;
    v_ends boolean;
    v_heuristic text := '';
BEGIN
    IF v_decides THEN
        p_version := p_version + 1;
        PERFORM concord_emit('transaction.decided', p_gid, p_version, p_node, p_by,
            jsonb_build_object('outcome', p_outcome, 'reason', p_reason, 'by', p_by));
        IF EXISTS (SELECT FROM concord_branch b WHERE b.transaction_id = p_gid
                   AND (b.mode = 'saga' OR b.after <> '[]')) THEN
            v_steps := concord_end_steps(p_gid, p_outcome, v_at, p_version, p_node, p_by);
            p_unfinished := p_unfinished - v_steps;
            p_version := p_version + v_steps;
        END IF;
    END IF;
    v_ends := p_outcome IS NOT NULL AND p_unfinished = 0;
    IF v_ends THEN
        p_version := p_version + 1;
        SELECT CASE
                WHEN bool_or(b.actual = 'heuristic_hazard') THEN 'hazard'
                WHEN NOT bool_or(b.actual LIKE 'heuristic%') THEN ''
                WHEN bool_and(b.actual IN ('heuristic_rollback', 'read_only')) THEN 'rollback'
                WHEN bool_and(b.actual IN ('heuristic_commit', 'read_only')) THEN 'commit'
                ELSE 'mixed' END
            INTO v_heuristic FROM concord_branch b WHERE b.transaction_id = p_gid;
        PERFORM concord_emit('transaction.ended', p_gid, p_version, p_node, p_by,
            jsonb_build_object('outcome', p_outcome, 'heuristic', v_heuristic));
    END IF;
    UPDATE concord_transaction t SET
        outcome = p_outcome, reason = p_reason, pending = p_pending, unfinished = p_unfinished,
        version = p_version, heuristic = v_heuristic,
        decided_at = CASE WHEN v_decides THEN v_at ELSE t.decided_at END,
        decided_by = CASE WHEN v_decides THEN p_by ELSE t.decided_by END,
        attempts = CASE WHEN v_decides THEN 0 ELSE t.attempts END,
        ended_at = CASE WHEN v_ends THEN clock_timestamp() ELSE t.ended_at END,
        next_at = CASE WHEN v_ends THEN NULL
                       WHEN v_decides THEN clock_timestamp() + p_patience_ms * interval '1 millisecond'
                       ELSE t.next_at END
    WHERE t.gid = p_gid;
    RETURN p_unfinished;
END $$;


-- concord_vote: record votes and, in the same statement, the outcome they decide.
--   p_ballots  [{seq, vote, actual, reason, after_commit}]; a branch's first vote counts, ever
--   → how the transaction stands; no row when it is unknown or forgotten, which means nothing else.
--     `electorate` counts the branches of a Paxos commit, whose votes are recorded here after their
--     registers hold them, so that they decide here as well; of others with a register elsewhere
--     `due` is what that is to be asked for
--   p_must  a last agent's claim that this call decides: its own work commits with it
--   Raises CC001 when a last agent may not commit, so that its work is rolled back.
CREATE FUNCTION concord_vote(
    p_gid text, p_ballots jsonb, p_must boolean, p_patience_ms bigint, p_by text
) RETURNS TABLE (
    outcome text, reason text, decided_now boolean, mailbox text, pending int, unfinished int,
    ended boolean, register text, period int, electorate int, due text
) LANGUAGE plpgsql AS $$
DECLARE
    v_was text;
    v_node text;
    v_version int;
    v_fresh int;
    v_finished int;
    v_last boolean;
    v_refused text;
    v_protocol text;
BEGIN
    SELECT t.outcome, t.reason, t.mailbox, t.pending, t.unfinished, t.ended_at IS NOT NULL,
            t.node, t.version, t.register, t.period, concord_electorate(t), t.protocol
        INTO v_was, reason, mailbox, pending, unfinished, ended, v_node, v_version, register, period,
            electorate, v_protocol
        FROM concord_transaction t WHERE t.gid = p_gid FOR NO KEY UPDATE;
    IF NOT FOUND AND p_must THEN
        RAISE EXCEPTION 'last agent of % may not commit: it has no row', p_gid USING ERRCODE = 'CC001';
    END IF;
    IF NOT FOUND THEN RETURN; END IF;
    WITH voted AS (
        UPDATE concord_branch b SET
            vote = x.vote, reason = x.reason, after_commit = x.after_commit,
            voted_at = clock_timestamp(), last_error = '',
            -- Alone in one phase it has committed already; an outcome against it came by force.
            actual = CASE WHEN b.form = 'one_phase' AND x.actual = 'committed'
                               AND v_was = 'aborted' THEN 'heuristic_commit'
                          ELSE x.actual END,
            finished_at = CASE WHEN x.actual IS NOT NULL THEN clock_timestamp() END
        FROM jsonb_to_recordset(p_ballots) AS x(
            seq smallint, vote text, actual text, reason text, after_commit boolean)
        -- A vote on a branch that was finished meanwhile would be counted as finishing it again.
        WHERE b.transaction_id = p_gid AND b.seq = x.seq AND b.vote IS NULL AND b.actual IS NULL
            AND b.form <> 'forward'
        RETURNING b.seq, b.participant, b.form, b.vote, b.reason, b.actual
    ), told AS (
        INSERT INTO concord_event (kind, object, name, version, at, node, actor, data)
        SELECT 'branch.voted', 'transaction', p_gid, v_version + row_number() OVER (ORDER BY v.seq),
            clock_timestamp(), v_node, p_by, jsonb_build_object('seq', v.seq, 'vote', v.vote,
                'reason', v.reason, 'actual', v.actual, 'by', p_by)
        FROM voted v
    )
    SELECT count(*), count(v.actual), coalesce(bool_or(v.form = 'last' AND v.vote = 'yes'), false),
            (array_agg(v.participant || ' voted no: ' || v.reason ORDER BY v.seq)
                FILTER (WHERE v.vote = 'no'))[1]
        INTO v_fresh, v_finished, v_last, v_refused FROM voted v;
    pending := pending - v_fresh;
    unfinished := unfinished - v_finished;
    IF (v_last OR p_must) AND (v_was IS NOT NULL OR pending > 0 OR v_refused IS NOT NULL) THEN
        RAISE EXCEPTION 'last agent of % may not commit: outcome %, % votes missing',
            p_gid, coalesce(v_was, 'none'), pending USING ERRCODE = 'CC001';
    END IF;
    outcome := v_was;
    IF v_was IS NULL AND v_refused IS NOT NULL THEN
        due := 'aborted';
        reason := v_refused;
    ELSIF v_was IS NULL AND pending = 0 THEN
        -- Where votes do not decide here, a no may have been recorded before.
        due := CASE WHEN register <> 'database' AND v_protocol <> 'paxos' AND EXISTS (
            SELECT FROM concord_branch b WHERE b.transaction_id = p_gid AND b.vote = 'no')
            THEN 'aborted' ELSE 'committed' END;
        IF v_protocol = '3pc' AND due = 'committed' THEN
            due := NULL;  -- every participant shall know of the votes first
        END IF;
    END IF;
    IF due IS NOT NULL AND (register = 'database' OR v_protocol = 'paxos') THEN
        outcome := due;
        due := NULL;
    END IF;
    decided_now := v_was IS NULL AND outcome IS NOT NULL;
    IF (outcome IS NULL AND due IS NULL AND pending > 0 AND v_protocol <> 'saga')
        OR v_protocol = 'paxos' THEN
        -- A vote that a power cut takes back is given again by what it stands for; the deciding one
        -- flushes all that came before it. Those of a Paxos commit are in their registers. That of a
        -- saga's step has others begin, so it has to stay.
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    IF v_fresh > 0 THEN
        unfinished := concord_settle(p_gid, v_was, outcome, reason, pending, unfinished,
            v_version + v_fresh, p_patience_ms, v_node, p_by);
        ended := outcome IS NOT NULL AND unfinished = 0;
    END IF;
    RETURN NEXT;
END $$;


-- concord_decide: ask the register for an outcome (compare-and-set on the unset cell).
--   p_force  an operator's word: may abort a one-phase branch that has not answered
--   p_held   p_outcome is what the transaction's register elsewhere holds: it is noted, and what is
--            lost of that by a power cut is asked for again
--   → how the transaction stands: outcome is the one that won, NULL when it may not be decided yet,
--     or not here: `due` is what the register elsewhere is to be asked for then
CREATE FUNCTION concord_decide(
    p_gid text, p_outcome text, p_reason text, p_force boolean, p_patience_ms bigint, p_by text,
    p_held boolean
) RETURNS TABLE (
    outcome text, reason text, decided_now boolean, mailbox text, pending int, unfinished int,
    ended boolean, register text, period int, electorate int, due text
) LANGUAGE plpgsql AS $$
DECLARE
    v_node text;
    v_version int;
    v_settling boolean;
    v_refused boolean;
    v_pivot smallint;
    v_protocol text;
BEGIN
    SELECT t.outcome, t.reason, t.mailbox, t.pending, t.unfinished, t.ended_at IS NOT NULL,
            t.node, t.version, t.register, t.period, concord_electorate(t), t.protocol
        INTO outcome, reason, mailbox, pending, unfinished, ended, v_node, v_version, register, period,
            electorate, v_protocol
        FROM concord_transaction t WHERE t.gid = p_gid FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN; END IF;
    -- Where votes do not decide here, a no may have been recorded and its register not been asked.
    SELECT EXISTS (SELECT FROM concord_branch b WHERE b.transaction_id = p_gid AND b.vote = 'no')
        INTO v_refused;
    -- A one-phase branch, or a pivot that is asked, may have committed and not said so: only its
    -- witness may answer. After a no a pivot is not asked.
    SELECT EXISTS (SELECT FROM concord_branch b WHERE b.transaction_id = p_gid AND pending = 1
                   AND b.form IN ('one_phase', 'pivot') AND b.vote IS NULL)
            AND NOT v_refused AND NOT p_force
        INTO v_settling;
    decided_now := outcome IS NULL AND (p_held
        OR (NOT v_settling AND (p_outcome = 'aborted' OR pending = 0)));
    IF decided_now AND register <> 'database' AND NOT p_held THEN
        decided_now := false;
        due := CASE WHEN v_refused THEN 'aborted'
                    WHEN v_protocol = 'saga' AND pending = 0 THEN 'committed'  -- its pivot has acted
                    ELSE p_outcome END;
    END IF;
    IF due = 'aborted' AND v_protocol = 'saga' AND pending > 1 THEN
        -- Until the register has heard of the abort the pivot could be asked and act. It was not yet.
        UPDATE concord_branch b SET vote = 'no', actual = 'aborted', voted_at = clock_timestamp(),
            finished_at = clock_timestamp(), reason = 'never asked for: ' || p_reason
            WHERE b.transaction_id = p_gid AND b.form = 'pivot' AND b.vote IS NULL
                AND b.actual IS NULL
            RETURNING b.seq INTO v_pivot;
        IF v_pivot IS NOT NULL THEN
            v_version := v_version + 1;
            PERFORM concord_emit('branch.voted', p_gid, v_version, v_node, p_by, jsonb_build_object(
                'seq', v_pivot, 'vote', 'no', 'reason', 'never asked for: ' || p_reason,
                'actual', 'aborted', 'by', p_by));
            pending := pending - 1;
            unfinished := concord_settle(p_gid, NULL, NULL, reason, pending, unfinished - 1,
                v_version, p_patience_ms, v_node, p_by);
        END IF;
    END IF;
    IF p_held THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    IF decided_now THEN
        outcome := p_outcome;
        reason := p_reason;
        unfinished := concord_settle(p_gid, NULL, outcome, reason, pending, unfinished, v_version,
            p_patience_ms, v_node, p_by);
        ended := unfinished = 0;
    END IF;
    RETURN NEXT;
END $$;


-- concord_precommit: record that participants know that every vote is yes. Commits without waiting
-- for the disk: what a power cut takes back, the participants' own notes give again.
--   → how the transaction stands; no row when it is unknown or forgotten
CREATE FUNCTION concord_precommit(p_gid text, p_seqs int[], p_by text) RETURNS TABLE (
    outcome text, reason text, decided_now boolean, mailbox text, pending int, unfinished int,
    ended boolean, register text, period int, electorate int, due text
) LANGUAGE plpgsql AS $$
DECLARE
    v_node text;
    v_version int;
    v_fresh int;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT t.outcome, t.reason, t.mailbox, t.pending, t.unfinished, t.ended_at IS NOT NULL,
            t.node, t.version, t.register, t.period, concord_electorate(t)
        INTO outcome, reason, mailbox, pending, unfinished, ended, v_node, v_version, register, period,
            electorate
        FROM concord_transaction t WHERE t.gid = p_gid FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN; END IF;
    WITH done AS (
        UPDATE concord_branch b SET precommitted_at = clock_timestamp(), last_error = ''
        WHERE b.transaction_id = p_gid AND b.seq = ANY(p_seqs) AND b.precommitted_at IS NULL
            AND outcome IS NULL AND pending = 0
        RETURNING b.seq
    ), told AS (
        INSERT INTO concord_event (kind, object, name, version, at, node, actor, data)
        SELECT 'branch.precommitted', 'transaction', p_gid,
            v_version + row_number() OVER (ORDER BY d.seq), clock_timestamp(), v_node, p_by,
            jsonb_build_object('seq', d.seq, 'by', p_by)
        FROM done d
    )
    SELECT count(*) INTO v_fresh FROM done;
    UPDATE concord_transaction t SET version = t.version + v_fresh WHERE t.gid = p_gid;
    decided_now := false;
    RETURN NEXT;
END $$;


-- concord_finish: record how branches ended after the decision, and the end of the transaction.
-- Commits without waiting for the disk: what a power cut takes back, the sweeper asks for again, and
-- the participants' witnesses give the same answer.
--   p_results  [{seq, actual, reason}]; seq 0 says that the continuation was sent
--   → how the transaction stands; no row when it is unknown or forgotten
CREATE FUNCTION concord_finish(p_gid text, p_results jsonb, p_by text) RETURNS TABLE (
    outcome text, reason text, decided_now boolean, mailbox text, pending int, unfinished int,
    ended boolean, register text, period int, electorate int, due text
) LANGUAGE plpgsql AS $$
DECLARE
    v_node text;
    v_version int;
    v_fresh int;
    v_continues boolean;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT t.outcome, t.reason, t.mailbox, t.pending, t.unfinished, t.ended_at IS NOT NULL,
            t.node, t.version, t.then_signature IS NOT NULL AND t.continued_at IS NULL,
            t.register, t.period, concord_electorate(t)
        INTO outcome, reason, mailbox, pending, unfinished, ended, v_node, v_version, v_continues,
            register, period, electorate
        FROM concord_transaction t WHERE t.gid = p_gid FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN; END IF;
    IF outcome IS NULL THEN
        RAISE EXCEPTION 'branch of % finished before the decision', p_gid USING ERRCODE = 'CC002';
    END IF;
    WITH done AS (
        UPDATE concord_branch b SET
            actual = x.actual, finished_at = clock_timestamp(), last_error = '', next_at = NULL,
            reason = CASE WHEN coalesce(x.reason, '') = '' THEN b.reason ELSE x.reason END
        FROM jsonb_to_recordset(p_results) AS x(seq smallint, actual text, reason text)
        WHERE b.transaction_id = p_gid AND b.seq = x.seq AND b.actual IS NULL
        RETURNING b.seq, b.actual, b.reason
    ), told AS (
        INSERT INTO concord_event (kind, object, name, version, at, node, actor, data)
        SELECT 'branch.finished', 'transaction', p_gid, v_version + row_number() OVER (ORDER BY d.seq),
            clock_timestamp(), v_node, p_by, jsonb_build_object('seq', d.seq, 'actual', d.actual,
                'reason', d.reason, 'by', p_by)
        FROM done d
    )
    SELECT count(*) INTO v_fresh FROM done;
    v_continues := v_continues AND p_results @> '[{"seq": 0}]';
    IF v_continues THEN
        v_fresh := v_fresh + 1;
        UPDATE concord_transaction t SET continued_at = clock_timestamp() WHERE t.gid = p_gid;
        PERFORM concord_emit('transaction.continued', p_gid, v_version + v_fresh, v_node, p_by, '{}');
    END IF;
    decided_now := false;
    IF v_fresh > 0 THEN
        unfinished := concord_settle(p_gid, outcome, outcome, reason, pending, unfinished - v_fresh,
            v_version + v_fresh, 0, v_node, p_by);
        ended := unfinished = 0;
    END IF;
    RETURN NEXT;
END $$;


-- concord_note: append an event that changes nothing but the history (sent, delayed, resolved).
--   p_seq       the branch it is about, 0 for the transaction itself
--   p_retry_ms  when the branch is tried again; NULL leaves its time alone
CREATE FUNCTION concord_note(
    p_gid text, p_kind text, p_seq int, p_data jsonb, p_error text, p_retry_ms bigint, p_by text
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_version int;
    v_node text;
BEGIN
    UPDATE concord_transaction t SET version = version + 1 WHERE t.gid = p_gid
        RETURNING t.version, t.node INTO v_version, v_node;
    IF NOT FOUND THEN RETURN false; END IF;
    IF p_seq > 0 THEN
        UPDATE concord_branch b SET
            last_error = coalesce(p_error, b.last_error),
            next_at = coalesce(clock_timestamp() + p_retry_ms * interval '1 millisecond', b.next_at)
        WHERE b.transaction_id = p_gid AND b.seq = p_seq;
    END IF;
    PERFORM concord_emit(p_kind, p_gid, v_version, v_node, p_by, p_data);
    RETURN true;
END $$;


-- concord_claim: count an attempt at branches and read all that they need. Commits without waiting
-- for the disk: a counter that a power cut may lose is worth no flush.
--   → the branches in order with the register's word and the time left; unknown ones are left out
CREATE FUNCTION concord_claim(p_gid text, p_seqs int[]) RETURNS TABLE (
    seq int, participant text, "using" text, mode text, form text, args jsonb, vote text,
    actual text, after_commit boolean, attempt int, outcome text, remaining_ms bigint,
    electorate int, period int, protocol text
) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    RETURN QUERY
    WITH claimed AS (
        UPDATE concord_branch b SET attempts = b.attempts + 1
        WHERE b.transaction_id = p_gid AND b.seq = ANY(p_seqs) RETURNING b.*
    )
    SELECT c.seq::int, c.participant::text, c."using"::text, c.mode::text, c.form::text, c.args,
        c.vote::text, c.actual::text, c.after_commit, c.attempts, t.outcome::text,
        (extract(epoch FROM t.deadline_at - clock_timestamp()) * 1000)::bigint,
        concord_electorate(t), t.period, t.protocol::text
    FROM claimed c JOIN concord_transaction t ON t.gid = c.transaction_id ORDER BY c.seq;
END $$;
