"""SIGKILL at random moments, again and again."""

import json
import sys

import pytest

pytestmark = pytest.mark.integration
KILLS = 50


def test_every_resume_finds_a_whole_checkpoint(tool, tiny_config, tmp_path):
    done = tool(sys.executable, "tests/integration/killed_runs.py", tiny_config, tmp_path, KILLS)
    result = json.loads(done.stdout.splitlines()[-1])
    print(result)
    assert result["failures"] == []
    assert result["kills"] == KILLS
    assert result["inside_a_save"] >= KILLS // 4, "a good part of the kills hit a save"
    assert result["half_written"] > 0, (
        "and some left half a file, which nobody took for a whole one"
    )
    assert result["left"] == [], "the next run removes it"
    assert max(result["steps_lost"]) <= 1, "a checkpoint a step: no more than that step is lost"
