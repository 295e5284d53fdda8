"""What others see of a request to a model when it is over: a span of the session's trace, and counters."""

from orchestrator.sdk import Context, ModelRequest


def observe(done: ModelRequest, context: Context) -> None:
    """Traces a request, and counts requests, tokens, cost and time by model; of streams also the time to their first
    part."""
    context.trace(done)
    metrics, model = context.metrics, done.model
    outcome = done.error or done.finish_reason or "done"
    metrics.count("agents_model_client_requests", model=model, outcome=outcome)
    metrics.count("agents_model_client_seconds", (done.ended_at - done.started_at) / 1_000_000, model=model)
    if done.first_token_at:
        waited = (done.first_token_at - done.started_at) / 1_000_000
        metrics.count("agents_model_client_streams", model=model)
        metrics.count("agents_model_client_first_token_seconds", waited, model=model)
    for kind, tokens in (
        ("input", done.tokens_input),
        ("cached", done.tokens_cached),
        ("output", done.tokens_output),
    ):
        metrics.count("agents_model_client_tokens", tokens, model=model, kind=kind)
    metrics.count("agents_model_client_cost_usd", done.cost_micro_usd / 1_000_000, model=model)
