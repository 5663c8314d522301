# pyright: reportPrivateUsage=false
from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import promptspan
from promptspan import _recorder, traced_prompt
from promptspan._config import DEFAULT_SPOOL, environment_names_endpoint, read_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from recorded import Recorded


def test_without_anything_spans_go_to_this_machine_without_content() -> None:
    config = read_config({})
    assert config.endpoint == "http://127.0.0.1:4318"
    assert (config.enabled, config.capture_content, config.send_templates) == (True, False, True)
    assert config.spool is DEFAULT_SPOOL
    assert str(config.resource["service.name"]).startswith("unknown_service:")


def test_the_environment_is_read() -> None:
    config = read_config(
        {
            "OTEL_SERVICE_NAME": "inbox",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector:4318/",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20abc,x-a=1",
            "OTEL_RESOURCE_ATTRIBUTES": "service.name=x,deployment.environment.name=staging,team=mail%20team",
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_and_event",
            "PROMPTSPAN_TOKEN": "unused: there is an authorization already",
            "PROMPTSPAN_SPOOL": "/var/spool/x",
        }
    )
    assert config.endpoint == "https://collector:4318"
    assert config.headers == {"authorization": "Bearer abc", "x-a": "1"}
    assert config.resource["service.name"] == "inbox"
    assert config.resource["deployment.environment.name"] == "staging"
    assert config.resource["team"] == "mail team"
    assert config.capture_content
    assert config.spool == Path("/var/spool/x")


def test_arguments_win_over_the_environment() -> None:
    config = read_config(
        {
            "OTEL_SERVICE_NAME": "inbox",
            "PROMPTSPAN_ENDPOINT": "http://a:1",
            "PROMPTSPAN_ENVIRONMENT": "staging",
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
            "OTEL_SDK_DISABLED": "true",
        },
        service_name="mine",
        endpoint="http://b:2/v1/traces",
        environment="production",
        capture_content=False,
        enabled=True,
        spool=None,
    )
    assert config.endpoint == "http://b:2"
    assert config.resource["service.name"] == "mine"
    assert config.resource["deployment.environment.name"] == "production"
    assert (config.capture_content, config.enabled, config.spool) == (False, True, None)


@pytest.mark.parametrize(
    ("value", "captures"),
    [
        ("NO_CONTENT", False),
        ("SPAN_ONLY", True),
        ("EVENT_ONLY", False),
        ("SPAN_AND_EVENT", True),
        ("true", True),
        ("", False),
        ("nonsense", False),
    ],
)
def test_content_is_captured_only_where_spans_are_named(value: str, captures: bool) -> None:
    environ = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": value}
    assert read_config(environ).capture_content is captures


def test_a_token_becomes_the_authorization() -> None:
    assert read_config({"PROMPTSPAN_TOKEN": "abc"}).headers == {"Authorization": "Bearer abc"}


@pytest.mark.parametrize(
    ("environ", "options", "words"),
    [
        ({}, {"endpoint": "localhost:4318"}, "http:// or https://"),
        ({"PROMPTSPAN_ENDPOINT": "collector"}, {}, "http:// or https://"),
        ({"PROMPTSPAN_ENABLED": "perhaps"}, {}, "PROMPTSPAN_ENABLED"),
    ],
)
def test_what_has_no_sense_is_refused_by_name(
    environ: dict[str, str], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        read_config(environ, **options)


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a"}, True),
        ({"PROMPTSPAN_ENDPOINT": "http://a"}, True),
        ({"PROMPTSPAN_ENDPOINT": "http://a", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_an_unconfigured_process_records_only_if_the_environment_says_where_to(
    environ: dict[str, str], names: bool
) -> None:
    assert environment_names_endpoint(environ) is names


@pytest.fixture
def unused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK as nobody has used it yet."""
    for name in ("PROMPTSPAN_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_recorder, "_state", type(_recorder._state)())


@pytest.mark.usefixtures("unused")
def test_without_configure_functions_work_nothing_is_recorded_and_one_hint_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "promptspan")

    @traced_prompt
    def ask(value: int) -> int:
        promptspan.current_span().add_flag("x")
        return value + 1

    @traced_prompt
    def count() -> Any:
        yield 1

    assert (ask(1), ask(2), list(count())) == (2, 3, [1])
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "configure()" in caplog.text
    assert promptspan.stats().emitted == 0
    assert promptspan.flush()
    assert promptspan.shutdown()


@pytest.mark.usefixtures("unused")
def test_an_endpoint_in_the_environment_is_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PROMPTSPAN_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("PROMPTSPAN_SPOOL", str(tmp_path))

    @traced_prompt
    def ask() -> int:
        return 1

    ask()
    assert promptspan.stats().emitted == 1
    promptspan.shutdown(0.1)


@pytest.mark.usefixtures("unused")
def test_an_endpoint_without_sense_never_reaches_the_caller(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PROMPTSPAN_ENDPOINT", "no url")
    monkeypatch.setattr("promptspan._guard.reraise", False)

    @traced_prompt
    def ask() -> int:
        return 1

    assert ask() == 1
    assert ask() == 1
    assert caplog.text.count("promptspan records nothing: endpoint must begin with http:// or https://") == 1


def test_disabled_records_nothing(configured: Callable[..., Recorded]) -> None:
    recorded = configured(enabled=False)

    @traced_prompt
    def ask() -> int:
        return 1

    assert ask() == 1
    assert recorded.all() == []


def test_a_second_configure_sends_what_the_first_had(recorded: Recorded) -> None:
    from recorded import Recorded

    @traced_prompt
    def ask() -> int:
        return 1

    ask()
    second = Recorded()
    second.configure()
    ask()
    assert len(recorded.exporter.get_finished_spans()) == 1
    assert len(second.all()) == 1


def test_after_shutdown_functions_work_and_nothing_is_recorded(recorded: Recorded) -> None:
    @traced_prompt
    def ask() -> int:
        return 1

    assert promptspan.shutdown(10)
    assert ask() == 1
    assert recorded.exporter.get_finished_spans() == ()
