"""Frameworks that speak to the APIs of OpenAI and Anthropic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schema.capturing.replies import Reply
from schema.capturing.scenarios import (
    AFTER_TOOL,
    CACHED_5M,
    CLAUDE,
    EMBEDDED,
    MESSAGES,
    MINI,
    O4,
    STREAMED,
    TOOL,
    Clients,
    Scenario,
)
from schema.capturing.using import use

if TYPE_CHECKING:
    from collections.abc import Callable


def _llama(
    kind: str = "openai", *, stream: bool = False, model: str = "gpt-4o-mini"
) -> Callable[[Clients], Any]:
    def act(clients: Clients) -> None:
        message = use("llama_index.core.llms").ChatMessage
        if kind == "openai":
            llm = use("llama_index.llms.openai").OpenAI(
                model=model, api_base=f"{clients.double.url}/v1", api_key="none", max_retries=0
            )
        else:
            llm = use("llama_index.llms.anthropic").Anthropic(
                model="claude-sonnet-4-5", base_url=clients.double.url, api_key="none", max_retries=0
            )
        asked = [message(role=m["role"], content=m["content"]) for m in MESSAGES]
        if stream:
            for _ in llm.stream_chat(asked):
                pass
        else:
            llm.chat(asked)

    return act


LLAMAINDEX = {
    "chat": Scenario([MINI], _llama()),
    "chat_cached_reasoning": Scenario([O4], _llama(model="o4-mini")),
    "chat_stream": Scenario([STREAMED], _llama(stream=True)),
    "chat_error_429": Scenario([Reply(status=429)], _llama()),
    "anthropic": Scenario([CLAUDE], _llama("anthropic")),
    "anthropic_cached_5m": Scenario([CACHED_5M], _llama("anthropic")),
    "anthropic_stream": Scenario([CACHED_5M], _llama("anthropic", stream=True)),
    "embeddings": Scenario(
        [EMBEDDED],
        lambda c: (
            use("llama_index.embeddings.openai")
            .OpenAIEmbedding(model="text-embedding-3-small", api_base=f"{c.double.url}/v1", api_key="none")
            .get_text_embedding("hello")
        ),
    ),
}


def _strands(kind: str = "openai", *, tools: bool = False) -> Callable[[Clients], Any]:
    def act(clients: Clients) -> None:
        strands = use("strands")
        if kind == "openai":
            model = use("strands.models.openai").OpenAIModel(
                client_args={"base_url": f"{clients.double.url}/v1", "api_key": "none", "max_retries": 0},
                model_id="gpt-4o-mini",
            )
        else:
            model = use("strands.models.anthropic").AnthropicModel(
                client_args={"base_url": clients.double.url, "api_key": "none", "max_retries": 0},
                model_id="claude-sonnet-4-5",
                max_tokens=500,
            )

        def weather(city: str) -> str:
            """Weather of a city."""
            return f"sunny in {city}"

        strands.Agent(model=model, tools=[strands.tool(weather)] if tools else [], callback_handler=None)(
            "What is the capital of France?"
        )

    return act


STRANDS = {
    "chat": Scenario([MINI], _strands()),
    "chat_tools": Scenario([TOOL, AFTER_TOOL], _strands(tools=True)),
    "chat_cached_reasoning": Scenario([STREAMED], _strands()),
    "chat_error_400": Scenario([Reply(status=400)], _strands()),
    "anthropic": Scenario([CLAUDE], _strands("anthropic")),
    "anthropic_cached_5m": Scenario([CACHED_5M], _strands("anthropic")),
}


def _smol(clients: Clients) -> None:
    smol = use("smolagents")
    model = smol.OpenAIServerModel(
        model_id="gpt-4o-mini", api_base=f"{clients.double.url}/v1", api_key="none"
    )
    smol.ToolCallingAgent(tools=[], model=model, verbosity_level=0).run("What is the capital of France?")


SMOLAGENTS = {
    "chat_agent": Scenario(
        [Reply(tool="final_answer", tool_arguments='{"answer": "Paris"}', finish="tool_calls")], _smol
    )
}


def _agno(kind: str = "openai", *, tools: bool = False, stream: bool = False) -> Callable[[Clients], Any]:
    def act(clients: Clients) -> None:
        if kind == "openai":
            model = use("agno.models.openai").OpenAIChat(
                id="gpt-4o-mini", base_url=f"{clients.double.url}/v1", api_key="none", max_retries=0
            )
        else:
            model = use("agno.models.anthropic").Claude(
                id="claude-sonnet-4-5",
                api_key="none",
                client_params={"base_url": clients.double.url, "max_retries": 0},
            )

        def weather(city: str) -> str:
            """Weather of a city."""
            return f"sunny in {city}"

        answer = (
            use("agno.agent")
            .Agent(model=model, tools=[weather] if tools else [], telemetry=False)
            .run("What is the capital of France?", stream=stream)
        )
        if stream:
            for _ in answer:
                pass

    return act


AGNO = {
    "chat": Scenario([MINI], _agno()),
    "chat_cached_reasoning": Scenario([O4], _agno()),
    "chat_tools": Scenario([TOOL, AFTER_TOOL], _agno(tools=True)),
    "chat_stream": Scenario([STREAMED], _agno(stream=True)),
    "anthropic": Scenario([CLAUDE], _agno("anthropic")),
    "anthropic_cached_5m": Scenario([CACHED_5M], _agno("anthropic")),
}


def _dspy(clients: Clients) -> None:
    dspy = use("dspy")
    dspy.configure(
        lm=dspy.LM(
            "openai/gpt-4o-mini",
            api_base=f"{clients.double.url}/v1",
            api_key="none",
            cache=False,
            num_retries=0,
        )
    )
    dspy.Predict("question -> answer")(question="What is the capital of France?")


DSPY = {"chat": Scenario([Reply(text="[[ ## answer ## ]]\nParis\n\n[[ ## completed ## ]]")], _dspy)}


def _haystack(clients: Clients) -> None:
    generator = use("haystack.components.generators.chat").OpenAIChatGenerator(
        model="gpt-4o-mini",
        api_base_url=f"{clients.double.url}/v1",
        api_key=use("haystack.utils").Secret.from_token("none"),
        max_retries=0,
    )
    pipeline = use("haystack").Pipeline()
    pipeline.add_component("llm", generator)
    pipeline.run(
        {
            "llm": {
                "messages": [
                    use("haystack.dataclasses").ChatMessage.from_user("What is the capital of France?")
                ]
            }
        }
    )


HAYSTACK = {
    "chat": Scenario([MINI], _haystack),
    "chat_cached_reasoning": Scenario([O4], _haystack),
    "chat_error_429": Scenario([Reply(status=429)], _haystack),
}


def _kernel(clients: Clients) -> Any:
    async def act() -> None:
        ai = use("semantic_kernel.connectors.ai.open_ai")
        service = ai.OpenAIChatCompletion(ai_model_id="gpt-4o-mini", async_client=clients.async_openai())
        history = use("semantic_kernel.contents").ChatHistory()
        history.add_user_message("What is the capital of France?")
        await service.get_chat_message_content(history, ai.OpenAIChatPromptExecutionSettings())

    return act()


KERNEL = {
    "chat": Scenario([MINI], _kernel),
    "chat_cached_reasoning": Scenario([O4], _kernel),
    "chat_error_429": Scenario([Reply(status=429)], _kernel),
}


def _autogen(clients: Clients) -> Any:
    async def act() -> None:
        client = use("autogen_ext.models.openai").OpenAIChatCompletionClient(
            model="gpt-4o-mini", base_url=f"{clients.double.url}/v1", api_key="none"
        )
        agent = use("autogen_agentchat.agents").AssistantAgent("tutor", model_client=client)
        await agent.run(task="What is the capital of France?")

    return act()


AUTOGEN = {"chat": Scenario([MINI], _autogen)}


def _crew(clients: Clients) -> None:
    crewai = use("crewai")
    llm = crewai.LLM(
        model="openai/gpt-4o-mini", base_url=f"{clients.double.url}/v1", api_key="none", max_retries=0
    )
    agent = crewai.Agent(role="tutor", goal="answer", backstory="terse", llm=llm)
    task = crewai.Task(description="What is the capital of France?", expected_output="a name", agent=agent)
    crewai.Crew(agents=[agent], tasks=[task]).kickoff()


CREWAI = {"chat_agent": Scenario([Reply(text="Thought: I know.\nFinal Answer: Paris")], _crew)}


def _azure_inference(*, stream: bool = False) -> Callable[[Clients], Any]:
    def act(clients: Clients) -> None:
        inference = use("azure.ai.inference")
        client = inference.ChatCompletionsClient(
            endpoint=clients.double.url,
            credential=use("azure.core.credentials").AzureKeyCredential("none"),
            retry_total=0,
        )
        answer = client.complete(model="gpt-4o-mini", messages=MESSAGES, stream=stream)
        if stream:
            for _ in answer:
                pass

    return act


AZURE_INFERENCE = {
    "chat": Scenario([MINI], _azure_inference()),
    "chat_stream_no_usage": Scenario([STREAMED], _azure_inference(stream=True)),
    "chat_error_429": Scenario([Reply(status=429)], _azure_inference()),
}


def azure_tracing(_provider: Any, _exporter: Any) -> None:
    use("azure.core.settings").settings.tracing_implementation = "opentelemetry"
    use("azure.ai.inference.tracing").AIInferenceInstrumentor().instrument()
