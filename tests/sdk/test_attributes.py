from __future__ import annotations

from importlib.metadata import version
from typing import Any

import opentelemetry.semconv._incubating.attributes.gen_ai_attributes as gen_ai
import pytest
from opentelemetry.semconv._incubating.attributes import (
    code_attributes,
    deployment_attributes,
    error_attributes,
    exception_attributes,
    http_attributes,
    process_attributes,
    server_attributes,
    service_attributes,
    session_attributes,
    telemetry_attributes,
    user_attributes,
)

from promptspan import __version__
from promptspan import _attributes as a

CONVENTIONS = [
    gen_ai,
    code_attributes,
    deployment_attributes,
    error_attributes,
    exception_attributes,
    http_attributes,
    process_attributes,
    server_attributes,
    service_attributes,
    session_attributes,
    telemetry_attributes,
    user_attributes,
]
PREFIXES = ("gen_ai.", "promptspan.")
# In the conventions' own repository, and not yet in the package's constants (0.66b2).
NEWER = {
    "GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS",
    "GEN_AI_USAGE_AUDIO_INPUT_TOKENS",
    "GEN_AI_USAGE_AUDIO_OUTPUT_TOKENS",
    "GEN_AI_USAGE_IMAGE_INPUT_TOKENS",
    "GEN_AI_USAGE_IMAGE_OUTPUT_TOKENS",
    "GEN_AI_PROMPT_VERSION",
    "GEN_AI_PROMPT_VARIABLE_PREFIX",
}
NAMES = {
    name: value
    for name, value in vars(a).items()
    if name.isupper() and isinstance(value, str) and "." in value and name != "EVALUATION_RESULT"
}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_name_is_that_of_the_conventions_where_they_have_one(name: str) -> None:
    if name.startswith("PROMPTSPAN_"):
        assert NAMES[name].startswith("promptspan.")
        return
    known = [getattr(module, name) for module in CONVENTIONS if hasattr(module, name)]
    if name in NEWER:
        assert not known, "the package has it now: compare with it"
        return
    assert known == [NAMES[name]]


def test_no_name_is_given_twice() -> None:
    assert len(set(NAMES.values())) == len(NAMES)


def test_operations_are_well_known() -> None:
    known: Any = vars(gen_ai)["GenAiOperationNameValues"]
    ours = {value for name, value in vars(a).items() if name.startswith("OPERATION_")}
    assert ours <= {each.value for each in known}


def test_the_sdk_says_the_version_of_the_distribution() -> None:
    assert __version__ == version("promptspan")
