"""The power fails after each call that aap makes: see `torture.crash`, of which this is a part."""

import shutil

import pytest
from torture.crash import KILLS, SHORT, Story, check, play
from torture.disk import MODELS, Disk
from torture.scenes import SCENES
from torture.trace import Step

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace records what is done"),
]


@pytest.fixture(scope="module")
def told() -> dict[str, Story]:
    stories = {story.name: story for story in play(list(SCENES))}
    for _ in range(5):  # on a busy machine nobody may happen to write while the disk syncs
        if "sync-start" not in _kinds(stories["api_crowd"]):
            stories |= {story.name: story for story in play(["api_crowd"])}
    return stories


def _kinds(story: Story) -> list[str]:
    return [step.kind for step in story.steps]


@pytest.mark.parametrize("model", MODELS)
def test_after_every_call_the_power_may_fail(told: dict[str, Story], model: str) -> None:
    figures = check(told.values(), SHORT, model)
    print(f"{model}: {figures}")
    assert figures.broken == []
    assert figures.points > 400
    assert figures.states > 800


@pytest.mark.parametrize("model", MODELS)
def test_what_the_next_process_says_again_is_on_the_disk(
    told: dict[str, Story], model: str
) -> None:
    """A process is killed, the next one goes on from what it sees, and then the power fails."""
    killed = [told[name] for name in ("note", "settle", "deliver", "hold")]
    assert check(killed, KILLS, model).broken == []


def test_a_crowd_is_committed_together_and_goes_on_meanwhile(told: dict[str, Story]) -> None:
    kinds = _kinds(told["api_crowd"])
    assert "sync-all" in kinds  # syncfs
    assert "sync-start" in kinds  # other threads changed something before it returned


def test_what_comes_during_a_sync_may_be_lost() -> None:
    disk = Disk()
    start = Step("sync-start", "file", thread=7)
    steps = [Step("create", "file"), Step("write", "file", data=b"before"), start]
    for step in [*steps, Step("write", "file", data=b", after")]:
        disk.apply(step)
    disk.apply(Step("create", "other"))
    disk.apply(Step("sync", "file", thread=7))
    disk.apply(Step("sync"))  # the names
    left = {state["file"].data for state in disk.states(disk.choices("journal", 1), 100)}
    assert b"before" in left
    assert not any(data is None or len(data) < len(b"before") for data in left)


@pytest.mark.parametrize(
    ("scene", "names"),
    [
        ("deliver", [".*.json"]),
        ("deliver", ["inbox"]),
        ("commit_few", [".*.json"]),
        ("adopt", ["by-hand.json"]),
        ("settle", ["done", "active"]),
        ("defer", ["deferred", "active"]),
        ("note", ["*.jsonl"]),
        ("note", ["notes"]),
        ("reply", ["*.jsonl"]),
        ("settings", [".aap.conf.*"]),
        ("settings", ["config"]),
        ("settings", ["secrets"]),
        ("api", ["inbox"]),
        ("copied", ["first"]),
        ("imported", ["secrets"]),
        ("installed", ["user"]),
        ("trim", [".usage.jsonl.*"]),
        ("told", ["done", "active"]),
        ("worker_fails", ["deferred", "active"]),
        ("worker_gives_up", ["*.jsonl"]),
        ("worker", ["done", "active"]),
    ],
)
def test_a_sync_that_is_left_out_is_seen(
    told: dict[str, Story], scene: str, names: list[str]
) -> None:
    """The checker's own test: it would see if aap forgot one of these."""
    assert check([told[scene].without_sync(*names)], SHORT, "loose").broken
