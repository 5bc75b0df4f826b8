"""A rehearsed deployment: `make rehearse` deploys the real app with the real CDK CLI to MiniStack, a local AWS, and uses it.

What MiniStack cannot do is named, never passed over: a rehearsal proves the template, the packages of `persist` and
`conversations`, and the wiring between them. Streaming is proven by tests/lambda, permissions by tests/infra, the whole by
`make smoke`.
"""
