"""The real clients, pointed at the double."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schema.capturing.using import use

if TYPE_CHECKING:
    from schema.capturing.double import Double


class Clients:
    """Clients of OpenAI and Anthropic, without retries of their own."""

    def __init__(self, double: Double, *, openai_module: str = "openai") -> None:
        self.double = double
        self._module = openai_module

    @property
    def _openai(self) -> Any:
        return use(self._module)

    def openai(self, retries: int = 0, **options: Any) -> Any:
        return self._openai.OpenAI(
            base_url=f"{self.double.url}/v1", api_key="none", max_retries=retries, timeout=20, **options
        )

    def async_openai(self, **options: Any) -> Any:
        return self._openai.AsyncOpenAI(
            base_url=f"{self.double.url}/v1", api_key="none", max_retries=0, timeout=20, **options
        )

    def elsewhere(self, kind: str, **options: Any) -> Any:
        """A client that believes to speak to another host; the double answers."""
        httpx = use("httpx2" if int(use("openai").__version__.split(".")[0]) > 2 else "httpx")
        double = self.double

        class Rerouted(httpx.HTTPTransport):  # pyright: ignore[reportUntypedBaseClass]
            def handle_request(self, request: Any) -> Any:
                request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=double.port)
                return httpx.HTTPTransport.handle_request(self, request)

        return getattr(self._openai, kind)(
            api_key="none", max_retries=0, http_client=httpx.Client(transport=Rerouted()), **options
        )

    def anthropic(self, retries: int = 0) -> Any:
        return use("anthropic").Anthropic(
            base_url=self.double.url, api_key="none", max_retries=retries, timeout=20
        )

    def async_anthropic(self) -> Any:
        return use("anthropic").AsyncAnthropic(
            base_url=self.double.url, api_key="none", max_retries=0, timeout=20
        )
