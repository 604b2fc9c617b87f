"""Which check has to find the defect of which planted participant."""

FINDS = {
    "plant.commits": "its_body_does_not_commit_by_itself",
    "plant.elsewhere": "a_cancel_leaves_nothing",
    "plant.traces": "a_no_leaves_nothing",
    "plant.looks": "a_commit_takes_effect",
    "test.b.add": "its_arguments_are_json",
    "plant.blind": "a_commit_takes_effect",
    "plant.keeps": "a_cancel_leaves_nothing",
    "plant.refuses": "neither_commit_nor_cancel_refuses",
    "plant.confirms-elsewhere": "killed_in_its_commit_it_is_committed_by_another",
    "plant.cancels-elsewhere": "killed_in_its_cancel_it_is_cancelled_by_another",
    "plant.reserves-elsewhere": "killed_in_its_prepare_it_can_be_asked_again",
    "plant.reserves-abroad": "killed_in_its_prepare_it_can_be_cancelled",
    "far.holds-twice.add": "a_prepare_that_comes_twice_is_done_once",
    "far.adds-twice.add": "a_commit_that_comes_twice_is_done_once",
    "far.returns-twice.add": "a_cancel_that_comes_twice_is_done_once",
    "far.races.add": "two_prepares_at_the_same_time_are_done_once",
    "far.knows-no-cancel.add": "a_cancel_of_what_was_never_prepared_changes_nothing",
    "far.forgets-the-cancel.add": "a_prepare_that_comes_after_its_cancel_is_refused",
    "far.says-done.add": "a_commit_of_what_was_never_prepared_is_not_told_as_done",
    "far.takes-back.add": "a_cancel_after_its_commit_is_not_told_as_done",
    "far.forgets-the-prepare.add": "what_a_killed_process_prepared_is_committed_by_another",
    "far.believes.add": "a_service_does_nothing_that_is_not_signed",
}
"""Participant → the check, without the `test_` in front."""


def contract_of(name: str) -> str:
    """The name of a planted participant's contract."""
    return "Test" + "".join(word.title() for word in name.replace("-", ".").split("."))
