// The Vercel AI SDK's own way: streamText, piped to the response as a UI message stream. No sign-in, nothing stored.
import { createServer } from "node:http";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { streamText } from "ai";

const provider = createOpenAICompatible({ name: "bench", baseURL: process.env.UPSTREAM, apiKey: "none" });

createServer(async (request, response) => {
  let body = "";
  for await (const part of request) body += part;
  const { messages } = JSON.parse(body);
  const result = streamText({ model: provider("bench-model"), messages });
  result.pipeUIMessageStreamToResponse(response);
}).listen(Number(process.argv[2]), "127.0.0.1");
