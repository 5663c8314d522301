// Sends an agent with two model calls in it, and says what it sent as one line of JSON.
import { SpanKind, SpanStatusCode, context, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const exporter = new OTLPTraceExporter({ url: `${process.argv[2]}/v1/traces` });
const provider = new BasicTracerProvider({
  resource: resourceFromAttributes({ "service.name": "javascript-app", "deployment.environment.name": "e2e" }),
  spanProcessors: [new BatchSpanProcessor(exporter)],
});
const tracer = provider.getTracer("own-instrumentation", "1.2.3");

const model = (number) => ({
  "gen_ai.operation.name": "chat",
  "gen_ai.provider.name": "openai",
  "gen_ai.request.model": "gpt-4o-mini",
  "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
  "gen_ai.response.id": `chatcmpl-js-${number}`,
  "gen_ai.response.finish_reasons": ["stop"],
  "gen_ai.prompt.name": "javascript-greeting",
  "gen_ai.prompt.version": "4",
  "gen_ai.usage.input_tokens": 1200 + number,
  "gen_ai.usage.output_tokens": 30 + number,
  "gen_ai.usage.cache_read.input_tokens": 1024,
  "promptspan.feature": "greeting",
});

const agent = tracer.startSpan("invoke_agent greeter", {
  attributes: { "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "greeter" },
});
const inside = trace.setSpan(context.active(), agent);

const good = tracer.startSpan("chat gpt-4o-mini", { kind: SpanKind.CLIENT, attributes: model(1) }, inside);
good.end();

const { "gen_ai.usage.input_tokens": _in, "gen_ai.usage.output_tokens": _out, ...known } = model(2);
const bad = tracer.startSpan("chat gpt-4o-mini", { kind: SpanKind.CLIENT, attributes: known }, inside);
bad.setAttribute("error.type", "RateLimitError");
bad.setStatus({ code: SpanStatusCode.ERROR, message: "grüße 🙂" });
bad.end();
agent.end();

await provider.forceFlush();
await provider.shutdown();
console.log(JSON.stringify({ trace: agent.spanContext().traceId, good: good.spanContext().spanId, bad: bad.spanContext().spanId }));
