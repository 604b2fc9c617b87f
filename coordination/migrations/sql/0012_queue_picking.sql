-- concord_queue_pick: one message that nobody has taken: to another queue, or away.
--   p_died_in  '' or where it must have died
--   p_to       where it goes; '': away       p_bound  of that queue; NULL: no bound
--   → 'undeclared' | 'full' | '1' | '0'
CREATE FUNCTION concord_queue_pick(
    p_node text, p_queue text, p_op text, p_kept_ms bigint, p_message text, p_died_in text,
    p_said jsonb, p_to text, p_bound int
) RETURNS text LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    q concord_queue;
    m concord_queue_message;
    v_to bigint;
    v_now bigint := concord_now_us();
    v_answer text;
    v_ids text[] := ARRAY[p_message];
    v_redriven boolean := p_died_in <> '';
BEGIN
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
        IF concord_queue_held(v_to) >= p_bound THEN RETURN 'full'; END IF;
    END IF;
    -- No index leads to one message: the queue's own part of the table is looked through.
    SELECT * INTO m FROM concord_queue_message x
        WHERE x.queue_id = q.id AND x.stage < 4 AND x.message = p_message
            AND (NOT v_redriven OR x.source = p_died_in)
        LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
        IF p_to = '' THEN
            DELETE FROM concord_queue_message x WHERE x.queue_id = m.queue_id
                AND x.stage = m.stage AND x.sort = m.sort AND x.seq = m.seq;
            INSERT INTO concord_queue_tally (queue_id, purged) VALUES (q.id, 1);
            PERFORM concord_queue_tell(p_node, p_queue, p_op, 'message.purged', v_ids,
                jsonb_build_object('said', p_said));
        ELSE
            UPDATE concord_queue_message x SET queue_id = v_to,
                stage = CASE WHEN x.grp > '' THEN 2 ELSE 0 END,
                sort = CASE WHEN x.grp > '' THEN 0 ELSE 9 - x.priority END,
                seq = nextval('concord_queue_seq'), attempts = 0, suspect = false, due_us = 0,
                source = CASE WHEN v_redriven THEN '' ELSE x.source END
            WHERE x.queue_id = m.queue_id
                AND x.stage = m.stage AND x.sort = m.sort AND x.seq = m.seq;
            INSERT INTO concord_queue_tally (queue_id, moved_out) VALUES (q.id, 1);
            INSERT INTO concord_queue_tally (queue_id, redriven, moved_in)
                VALUES (v_to, v_redriven::int, (NOT v_redriven)::int);
            PERFORM concord_queue_tell(p_node, p_queue, p_op, 'message.moved', v_ids,
                jsonb_build_object('said', p_said, 'to', p_to));
            PERFORM concord_queue_tell(p_node, p_to, p_op,
                CASE WHEN v_redriven THEN 'message.redriven' ELSE 'message.arrived' END, v_ids,
                jsonb_build_object('said', p_said, 'source', p_queue));
            PERFORM concord_queue_wake(v_to, 1);
        END IF;
        PERFORM concord_queue_wake(q.id, concord_queue_free(q.id, ARRAY[m.grp], v_now));
        v_answer := '1';
    ELSE
        v_answer := '0';
    END IF;
    PERFORM concord_queue_remember(q.id, p_op, v_answer, v_now, p_kept_ms);
    RETURN v_answer;
END $$;
