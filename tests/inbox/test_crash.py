"""The power fails after each call that aap makes: see `torture.crash`, of which this is a part."""

import shutil

import pytest
from torture.crash import KILLS, SHORT, Story, check, play
from torture.disk import MODELS
from torture.scenes import SCENES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace records what is done"),
]


@pytest.fixture(scope="module")
def told() -> dict[str, Story]:
    return {story.name: story for story in play(list(SCENES))}


@pytest.mark.parametrize("model", MODELS)
def test_after_every_call_the_power_may_fail(told: dict[str, Story], model: str) -> None:
    figures = check(told.values(), SHORT, model)
    print(f"{model}: {figures}")
    assert figures.broken == []
    assert figures.points > 400
    assert figures.states > 800


def test_what_the_next_process_says_again_is_on_the_disk(told: dict[str, Story]) -> None:
    """A process is killed, the next one goes on from what it sees, and then the power fails."""
    assert check([told["note"], told["settle"]], KILLS, "journal").broken == []


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
        ("api", ["inbox"]),
        ("worker", ["done", "active"]),
    ],
)
def test_a_sync_that_is_left_out_is_seen(
    told: dict[str, Story], scene: str, names: list[str]
) -> None:
    """The checker's own test: it would see if aap forgot one of these."""
    assert check([told[scene].without_sync(*names)], SHORT, "loose").broken
