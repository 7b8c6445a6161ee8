import socket

import pytest

from mcltoolkit.launcher.meeting import meeting, no_meeting, port_problem


def options(where):
    return dict(zip(where[::2], where[1::2], strict=True))


def test_one_node_takes_a_free_port():
    assert meeting({}) == ["--standalone"]
    assert port_problem(["--standalone"], {}) is None


@pytest.mark.parametrize("name", ["PORT", "MASTER_PORT"])
def test_the_environment_names_the_meeting(name):
    nodes = {"NNODES": "3", "NODE_RANK": "2", "MASTER_ADDR": "10.0.0.7", name: "4321"}
    assert options(meeting(nodes)) == {
        "--nnodes": "3",
        "--node_rank": "2",
        "--master_addr": "10.0.0.7",
        "--master_port": "4321",
    }
    assert options(meeting({name: "4321"}))["--master_port"] == "4321"


def test_port_goes_before_master_port():
    assert options(meeting({"PORT": "1", "MASTER_PORT": "2"}))["--master_port"] == "1"


def test_several_nodes_without_a_port_agree_on_one():
    first, second = (meeting({"NNODES": "2", "NODE_RANK": r, "MASTER_ADDR": "a"}) for r in "01")
    assert options(first)["--master_port"] == options(second)["--master_port"]


@pytest.mark.parametrize("port", ["x", "0", "65536", "-3"])
def test_what_is_no_port(port):
    assert f"PORT is {port!r}; allowed are numbers" in port_problem(["--master_port", port], {})


def test_a_taken_port_is_named_with_a_free_one():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        where = meeting({"PORT": port})
        problem = port_problem(where, {})
        assert f"port {port} of this machine cannot be used" in problem
        free = int(problem.split("PORT=")[1].split(";")[0])
        with socket.socket() as other:
            other.bind(("127.0.0.1", free))
        assert port_problem(where, {"NODE_RANK": "1"}) is None, "another node listens there"
    assert port_problem(where, {}) is None


def test_what_keeps_the_nodes_apart_is_told():
    where = meeting({"NNODES": "2", "MASTER_ADDR": "nowhere", "PORT": "4321"})
    text = no_meeting(where, RuntimeError("cannot resolve nowhere\nlong trace"))
    assert "--master_addr nowhere --master_port 4321): cannot resolve nowhere\n" in text
    assert "long trace" not in text
    assert "port 4321" in no_meeting(where, RuntimeError("bind: Address already in use"))
