from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from promptspan import traced_prompt
from promptspan._host import provider_of, server_of

if TYPE_CHECKING:
    from recorded import Recorded


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("api.openai.com", "openai"),
        ("contoso.openai.azure.com", "azure.ai.openai"),
        ("contoso.services.ai.azure.com", "azure.ai.inference"),
        ("openrouter.ai", "openrouter"),
        ("API.Anthropic.com.", "anthropic"),
        ("europe-west4-aiplatform.googleapis.com", "gcp.vertex_ai"),
        ("bedrock-runtime.eu-central-1.amazonaws.com", "aws.bedrock"),
        ("s3.amazonaws.com", ""),
        ("localhost", ""),
        ("notopenrouter.ai", ""),
        ("openrouter.ai.example.org", ""),
    ],
)
def test_a_host_tells_the_provider(host: str, provider: str) -> None:
    assert provider_of(host) == provider


@pytest.mark.parametrize("url", [None, "", "nonsense", "http://[::1", "http://a:99999999/"])
def test_a_client_without_a_url_that_can_be_read_tells_nothing(url: Any) -> None:
    assert server_of(SimpleNamespace(base_url=url)) is None


def test_the_host_wins_over_the_shape(recorded: Recorded) -> None:
    class Client:
        chat = None

        @property
        def base_url(self) -> str:
            return "https://contoso.openai.azure.com/openai/"

    client = Client()

    @traced_prompt
    def ask() -> Any:
        assert client is not None
        return {"object": "chat.completion", "choices": [], "usage": {"prompt_tokens": 1}}

    ask()
    attributes = recorded.attributes()
    assert attributes["gen_ai.provider.name"] == "azure.ai.openai"
    assert attributes["server.address"] == "contoso.openai.azure.com"
    assert attributes["server.port"] == 443
