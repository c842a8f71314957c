"""`aap agent test` under the worker unit's own sandbox."""

import json

import pytest
from harness.machine import User

pytestmark = pytest.mark.systemd


def test_the_trial_sees_what_the_worker_sees(user: User) -> None:
    user.write(".ssh/id", "secret\n", 0o600)
    probe = "cat ~/.ssh/id; touch ~/outside; touch inside && echo inside; echo $EXTRA; exit 0"
    script = user.write(".openclaw/workspace/agent", f"#!/bin/sh\n{probe}\n", 0o755)
    user.write(".config/aap/aap.conf", f"AGENT_CLI={script}\n", 0o600)
    user.write(
        ".config/systemd/user/aap-worker@.service.d/e.conf", "[Service]\nEnvironment=EXTRA=mine\n"
    )
    user.aap("install", "--user")
    done = user.aap("agent", "test", "--json")
    facts = json.loads(done.stdout)
    assert (facts["verdict"], facts["under_unit"]) == ("ok", True)
    said = "\n".join(facts["printed"])
    assert "Permission denied" in said
    assert "Read-only file system" in said
    assert facts["printed"][-2:] == ["inside", "mine"]
    assert "secret" not in said
    assert user.systemctl("list-unit-files", "--no-legend", "aap-trial*", check=False) == ""
    assert user.systemctl("list-units", "--all", "--plain", "--no-legend", "aap-trial@*") == ""


def test_a_command_that_the_unit_does_not_find_is_named_with_its_path(user: User) -> None:
    user.write(".config/aap/aap.conf", "AGENT_CLI=only-in-my-shell\n", 0o600)
    user.aap("install", "--user")
    done = user.aap("agent", "test", check=False)
    assert done.returncode == 1
    assert "only-in-my-shell is not in this PATH" in done.stdout
    assert "/usr/bin" in done.stdout
