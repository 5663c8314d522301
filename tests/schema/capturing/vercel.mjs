// Vercel's AI SDK: node vercel.mjs BASE_URL TRACES_URL MODE SCENARIO, in a folder with its packages (javascript.py runs it).
import { NodeTracerProvider, SimpleSpanProcessor, InMemorySpanExporter } from '@opentelemetry/sdk-trace-node';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import * as ai from 'ai';
import { createOpenAI } from '@ai-sdk/openai';
import { createAnthropic } from '@ai-sdk/anthropic';
import { z } from 'zod';
const [base, sink, mode, scenario] = process.argv.slice(2);
const exporter = new OTLPTraceExporter({ url: sink });
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
provider.register();
const otel = await import('@ai-sdk/otel');
const kind = mode === 'legacy' ? otel.LegacyOpenTelemetry : otel.OpenTelemetry;
ai.registerTelemetry(new kind());
const openai = createOpenAI({ baseURL: base + '/v1', apiKey: 'none' });
const anthropic = createAnthropic({ baseURL: base + '/v1', apiKey: 'none' });
const t = { experimental_telemetry: { isEnabled: true }, telemetry: { isEnabled: true }, maxRetries: 0 };
const prompt = 'What is the capital of France?';
const drain = async (r) => { for await (const _ of r.textStream) {} };
const weather = ai.tool({ description: 'Weather of a city', inputSchema: z.object({ city: z.string() }), execute: async () => 'sunny' });
const S = {
  chat: () => ai.generateText({ model: openai.chat('gpt-4o-mini'), prompt, ...t }),
  chat_cached_reasoning: () => ai.generateText({ model: openai.chat('o4-mini'), prompt, ...t }),
  chat_stream: () => drain(ai.streamText({ model: openai.chat('gpt-4o-mini'), prompt, ...t })),
  chat_tool_loop: () => ai.generateText({ model: openai.chat('gpt-4o-mini'), prompt, tools: { weather }, stopWhen: ai.stepCountIs ? ai.stepCountIs(3) : ai.isStepCount(3), ...t }),
  chat_error_429: () => ai.generateText({ model: openai.chat('gpt-4o-mini'), prompt, ...t }),
  responses: () => ai.generateText({ model: openai.responses('gpt-4.1-mini'), prompt, ...t }),
  embeddings: () => ai.embedMany({ model: (openai.textEmbeddingModel ?? openai.embedding)('text-embedding-3-small'), values: ['hello', 'bye'], ...t }),
  anthropic: () => ai.generateText({ model: anthropic('claude-sonnet-4-5'), prompt, ...t }),
  anthropic_cached: () => ai.generateText({ model: anthropic('claude-sonnet-4-5'), prompt, ...t }),
  anthropic_stream: () => drain(ai.streamText({ model: anthropic('claude-sonnet-4-5'), prompt, ...t })),
};
try { await S[scenario](); } catch (e) { console.log('ERR', String(e).slice(0, 200)); }
await new Promise(r => setTimeout(r, 200));
await provider.forceFlush(); await provider.shutdown();
