"""What one machine sets up: state folder, keys, environment, tables and queues, ports."""

import os
import socket
import stat
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import yaml
from gunicorn.config import Config  # type: ignore[import-untyped]

from chalicelib.handlers.auth import require_configured
from chalicelib.storage import schema
from local import demo_observing, emulator, ports, serve
from local.__main__ import main
from local.environment import child_environment, shell_exports
from local.home import Home
from local.http_server import Worker, worker_count
from local.keys import NoKeyError, find_token, key_variables, machine_token
from local.portal import serving
from local.provision import SchemaMismatchError, provision
from local.supervisor import Child, Supervisor, python_module
from local.workers import job_worker_count
from tests.conftest import PROJECT, forget
from tests.local.wishes import request_group


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "state")


def test_a_configured_key_is_left_alone(home: Home) -> None:
    assert key_variables(home, create=True) == {}
    assert not home.keys_file.exists()


def test_without_a_key_one_is_made_once_and_only_for_the_owner(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASIMOV_API_KEY")

    variables = key_variables(home, create=True)
    token = machine_token(home)
    key_variables(home, create=True)

    assert variables == {"ASIMOV_API_KEYS_FILE": str(home.keys_file)}
    assert stat.S_IMODE(home.keys_file.stat().st_mode) == 0o600
    assert yaml.safe_load(home.keys_file.read_text()) == {"api_keys": {token: "local"}}
    assert machine_token(home) == token
    monkeypatch.setenv("ASIMOV_API_KEYS_FILE", variables["ASIMOV_API_KEYS_FILE"])
    from chalicelib import settings

    settings.get_settings.cache_clear()
    require_configured.cache_clear()
    assert require_configured() == ((token.encode(), "local"),)


def test_without_a_key_and_without_leave_to_make_one_it_says_how(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASIMOV_API_KEY")

    with pytest.raises(NoKeyError, match=r"ASIMOV_API_KEY=token:user.*make serve"):
        key_variables(home, create=False)
    assert not home.keys_file.exists()


def test_a_keys_file_that_is_broken_is_not_replaced_by_a_made_up_key(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ASIMOV_API_KEY")
    monkeypatch.setenv("ASIMOV_API_KEYS_FILE", "missing.yaml")

    with pytest.raises(NoKeyError, match=r"missing\.yaml"):
        key_variables(home, create=True)


def test_children_see_nothing_of_the_users_cloud(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "secret")
    monkeypatch.setenv("JOB_LEASE_S", "7")

    environment = child_environment(home, "http://127.0.0.1:1", {"X": "y"})

    assert "AWS_PROFILE" not in environment
    assert "AWS_SESSION_TOKEN" not in environment
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert (environment["JOB_LEASE_S"], environment["X"]) == ("7", "y")
    assert environment["TMPDIR"] == str(home.tmp)


def test_exports_survive_a_shell() -> None:
    assert shell_exports({"B": "it's", "A": "1"}) == "export A=1\nexport B='it'\"'\"'s'"


def test_temporary_files_of_a_killed_run_are_removed(home: Home) -> None:
    home.prepare()
    (home.tmp / "left").mkdir()
    (home.logs / "http.log").write_bytes(b"x" * 5_000_001)

    home.prepare()

    assert list(home.tmp.iterdir()) == []
    assert [file.name for file in home.logs.iterdir()] == ["http.log.1"]


def test_what_runs_is_known_as_long_as_it_runs(home: Home) -> None:
    home.prepare()
    assert home.read_running() is None
    home.write_running({"pid": os.getpid(), "environment": {}})
    assert home.read_running() == {"pid": os.getpid(), "environment": {}}
    home.write_running({"pid": 2**22 + 1, "environment": {}})
    assert home.read_running() is None


def test_env_prints_exports_of_a_running_server(monkeypatch: pytest.MonkeyPatch, home: Home, capsys: Any) -> None:
    monkeypatch.setenv("LOCAL_STATE", str(home.root))
    assert main(["env"]) == 1
    home.prepare()
    environment = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4", "ASIMOV_API_KEYS_FILE": str(home.keys_file)}
    home.write_running({"pid": os.getpid(), "url": "http://127.0.0.1:5", "environment": environment})

    assert main(["env"]) == 0

    exports = capsys.readouterr().out
    assert "export AWS_ENDPOINT_URL=http://127.0.0.1:4\n" in exports
    assert "export SIDEREAL_URL=http://127.0.0.1:5\n" in exports
    assert "export GIVEN_UP_QUEUE=sidereal-given-up\n" in exports
    assert f"export SIDEREAL_TOKEN={machine_token(home)}\n" in exports


def test_env_prints_the_token_of_the_user_s_own_key_and_none_where_it_knows_none(
    monkeypatch: pytest.MonkeyPatch, home: Home
) -> None:
    monkeypatch.setenv("ASIMOV_API_KEY", "mine:me")
    assert find_token(home, {}) == "mine"
    monkeypatch.delenv("ASIMOV_API_KEY")
    assert find_token(home, {"ASIMOV_API_KEYS_FILE": "/somebody/else's.yaml"}) is None


def test_the_port_of_the_embedded_aws_is_kept(home: Home) -> None:
    home.prepare()
    with emulator.open_port(home) as first:
        port = first.getsockname()[1]
        assert first.getsockname()[0] == "127.0.0.1"
        first.listen()
        with emulator.open_port(home) as second:
            assert second.getsockname()[1] != port
            kept = second.getsockname()[1]
    with emulator.open_port(home) as third:
        assert third.getsockname()[1] == kept


def test_a_missing_emulator_is_told_before_anything_starts(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCAL_AWS_PYTHON", "/nonexistent/python")
    monkeypatch.setenv("LOCAL_STATE", str(home.root))

    assert main(["serve", "--port", "0"]) == 1
    assert "make .venv-aws" in capsys.readouterr().err


def test_a_port_in_use_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "emulator_python", lambda: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = serve.Options(home, port=taken.getsockname()[1])
        with pytest.raises(serve.InUseError, match="choose another port"):
            serve.serve(options, Supervisor(), print, print)


def test_one_state_folder_serves_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "emulator_python", lambda: None)
    with serve._lock(home), pytest.raises(serve.InUseError, match="another server"):
        serve.serve(serve.Options(home, port=0), Supervisor(), print, print)


def test_wrong_settings_are_told_by_name_without_a_traceback(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCAL_STATE", str(home.root))
    monkeypatch.setenv("THROTTLE_OBSERVE", "5000/minute")
    monkeypatch.setenv("ALERT_QUIET_S", "secret")
    forget()

    assert main(["serve", "--port", "0"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [["error", "THROTTLE_OBSERVE"], ["error", "ALERT_QUIET_S"]]
    assert "secret" not in lines[1]


def busy_worker(listeners: list[socket.socket]) -> Worker:
    worker = Worker(1, os.getpid(), listeners, None, 60, Config(), None)
    worker.tpool = SimpleNamespace(submit=lambda *_: Future())
    return worker


def test_a_worker_that_is_never_idle_lets_a_caller_in_whenever_a_request_is_done() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        worker = busy_worker([listener])
        for _ in range(3):
            worker.enqueue_req(None)
        done: Future[bool] = Future()
        done.set_result(False)
        connection = SimpleNamespace(close=lambda **_: None)
        worker.finish_request(connection, done)
        assert worker.nr_conns == -1  # that one has gone, and nobody waits
        with socket.create_connection(listener.getsockname()), socket.create_connection(listener.getsockname()):
            worker.finish_request(connection, done)
            assert worker.nr_conns == -1  # another has gone, and one has come
        worker.tmp.close()


def test_a_worker_that_is_busy_leaves_new_connections_to_the_others() -> None:
    worker = busy_worker([])
    worker.set_accept_enabled(True)
    worker.enqueue_req(None)
    worker.set_accept_enabled(True)  # as in every turn of its main loop
    assert not worker._accepting
    done: Future[bool] = Future()
    done.set_result(False)
    worker.finish_request(SimpleNamespace(close=lambda **_: None), done)
    worker.set_accept_enabled(True)
    assert worker._accepting
    worker.tmp.close()


@pytest.mark.parametrize("text", ["0", "-1", "many", "65"])
@pytest.mark.parametrize(
    ("name", "count"), [("LOCAL_HTTP_WORKERS", worker_count), ("LOCAL_JOB_WORKERS", job_worker_count)]
)
def test_a_senseless_number_of_workers_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, count: Callable[[], int], text: str
) -> None:
    monkeypatch.setenv(name, text)

    with pytest.raises(SystemExit, match=name):
        count()


@pytest.fixture
def empty_aws() -> Any:
    from moto import mock_aws

    with mock_aws():
        yield None


@pytest.mark.usefixtures("empty_aws")
def test_provisioning_makes_everything_and_may_be_repeated() -> None:
    import boto3

    provision()
    provision()

    dynamodb, s3, sqs = boto3.client("dynamodb"), boto3.client("s3"), boto3.client("sqs")
    assert sorted(dynamodb.list_tables()["TableNames"]) == sorted(table.name for table in schema.tables())
    for table in schema.tables():
        ttl = dynamodb.describe_time_to_live(TableName=table.name)["TimeToLiveDescription"]
        assert ttl.get("AttributeName") == table.ttl_attribute
    assert s3.head_bucket(Bucket="sidereal-artefacts")
    for queue in schema.queues():
        url = sqs.get_queue_url(QueueName=queue.name)["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert attributes["VisibilityTimeout"] == str(schema.VISIBILITY_TIMEOUT_S)
        assert ("RedrivePolicy" in attributes) is queue.has_dead_letters


@pytest.mark.usefixtures("empty_aws")
def test_a_table_of_another_version_is_told_and_left_alone() -> None:
    import boto3

    table = schema.tables()[0]
    creation = schema.Table(table.name).creation()
    boto3.client("dynamodb").create_table(**creation)

    with pytest.raises(SchemaMismatchError, match=table.name):
        provision()


def test_mail_and_links_stay_on_this_machine_unless_the_user_says_otherwise(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MAIL_FOLDER", "PUBLIC_URL", "FROM_EMAIL_ADDRESS", "ALERT_QUIET_S"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MAIL_FOLDER", "")

    usual = child_environment(home, "http://127.0.0.1:1", {}, "http://127.0.0.1:8000")
    monkeypatch.setenv("PUBLIC_URL", "https://example.org")
    monkeypatch.setenv("MAIL_FOLDER", "letters")
    chosen = child_environment(home, "http://127.0.0.1:1", {}, "http://127.0.0.1:8000")
    overridden = child_environment(home, "http://127.0.0.1:1", {}, "http://127.0.0.1:8000", {"PUBLIC_URL": ""})

    assert (usual["MAIL_FOLDER"], usual["PUBLIC_URL"]) == (str(home.mail), "http://127.0.0.1:8000")
    assert (usual["ALERT_QUIET_S"], usual["FROM_EMAIL_ADDRESS"]) == ("5", "sidereal@localhost.localdomain")
    assert (chosen["MAIL_FOLDER"], chosen["PUBLIC_URL"]) == ("letters", "https://example.org")
    assert overridden["PUBLIC_URL"] == "http://127.0.0.1:8000"


def test_without_a_portal_of_the_users_the_stand_in_takes_its_place(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PORTAL_URL", raising=False)
    assert serve.Options(home).uses_stand_in

    monkeypatch.setenv("PORTAL_URL", "https://observe.example.org")

    assert not serve.Options(home).uses_stand_in
    assert serve.Options(home, overrides=demo_observing.SETTINGS).uses_stand_in


def test_the_token_of_the_stand_in_is_its_own_and_kept_for_the_owner(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTAL_TOKEN", "the token of a real portal")

    variables = serving.portal_variables(home, "http://127.0.0.1:7")

    assert len(variables["PORTAL_TOKEN"]) == 40
    assert serving.portal_variables(home, "http://127.0.0.1:7") == variables
    assert variables["ARCHIVE_URL"] == "http://127.0.0.1:7/archive"
    assert variables["PORTAL_TOKEN_PARAMETER"] == variables["PORTAL_TOKEN_SECRET"] == ""
    assert stat.S_IMODE((home.portal / "token").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["LOCAL_PORTAL_DELAY_S", "LOCAL_PORTAL_FRAME_S"])
def test_a_senseless_pace_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "soon")

    with pytest.raises(SystemExit, match=name):
        serving.read_pace()


def test_a_portal_that_was_killed_comes_back_with_what_it_knew(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = serving.portal_variables(home, "")
    home.prepare()
    with ports.bind_again(home.portal_port_file) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        command = python_module("local", "portal", str(listener.fileno()), str(home.portal))
        environment = {**os.environ, **variables, "PYTHONPATH": str(PROJECT)}
        child = Child("portal", command, environment, home.logs / "portal.log", [listener.fileno()])
        with Supervisor() as supervisor:
            supervisor.start(child)
            supervisor.wait_until(lambda: emulator.answers(f"{url}/api/instruments/"), [child], 20, "the portal")
            token = {"Authorization": f"Token {variables['PORTAL_TOKEN']}"}
            body = request_group(datetime.now(UTC))
            assert requests.post(f"{url}/api/requestgroups/", json=body, headers=token, timeout=5).status_code == 201
            assert child.process is not None
            child.process.kill()
            child.process.wait()
            child.start()
            supervisor.wait_until(lambda: emulator.answers(f"{url}/api/instruments/"), [child], 20, "the portal")

            found = requests.get(f"{url}/api/requestgroups/", headers=token, timeout=5).json()

    assert [group["name"] for group in found["results"]] == [body["name"]]
