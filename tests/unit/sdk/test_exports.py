"""The names that plug-ins and programs import. Removing one breaks them, so every change here is a decision."""

from types import ModuleType

import pytest

from orchestrator import client, sdk, testing
from orchestrator.sdk import messages
from orchestrator.sdk.roles import ROLES

SDK = {
    "Bundle",
    "CallKind",
    "ConfigurationError",
    "Context",
    "ContractError",
    "Conversation",
    "Conversations",
    "Criterion",
    "CriterionResult",
    "Definitions",
    "Delivery",
    "Documents",
    "Evaluation",
    "EvaluationPoint",
    "EvaluationRequest",
    "Evaluator",
    "Event",
    "Exhausted",
    "FailedCall",
    "Failure",
    "FailureKind",
    "Fallback",
    "HandlerError",
    "History",
    "InvalidInput",
    "Metrics",
    "Middleware",
    "Model",
    "ModelDelta",
    "ModelRequest",
    "Next",
    "NextMove",
    "Opening",
    "OrchestratorError",
    "Output",
    "Outputs",
    "PermanentError",
    "Plan",
    "PlanRequest",
    "PlanReview",
    "PlanStep",
    "Planner",
    "Platform",
    "Playbook",
    "PlaybookDocument",
    "Plugin",
    "PluginSettings",
    "Plugins",
    "Positions",
    "Recovery",
    "RecoveryStrategy",
    "Retry",
    "RetryPolicy",
    "Review",
    "ReviewVerdict",
    "Reviewer",
    "Segment",
    "Selection",
    "Selector",
    "Service",
    "ServiceContext",
    "SettingsPlugin",
    "Sink",
    "SinkPlugin",
    "Subscriber",
    "TimelineEntry",
    "Tool",
    "ToolDefinition",
    "ToolFunction",
    "TransientError",
    "UnavailableError",
    "UnknownOutcome",
    "Usage",
    "Values",
    "agent_defined",
    "described",
    "discover",
    "document",
    "evaluator",
    "failure_of",
    "is_of_type",
    "middleware",
    "milliseconds",
    "parse_documents",
    "parse_playbooks",
    "planner",
    "playbook_defined",
    "playbook_schema",
    "readable",
    "recovery",
    "rendered",
    "retry_policy",
    "reviewer",
    "sink",
    "step",
    "steps_in",
    "subscriber",
    "tokens_of",
    "tool",
    "tool_defined",
    "tool_selector",
    "total_usage",
}
MESSAGES = {
    "Command",
    "Definition",
    "Event",
    "Message",
    "QUEUE_MS",
    "SessionEvent",
    "commands",
    "dependencies",
    "derived_id",
    "events",
    "fill_content",
    "idempotency_key",
    "json_value",
    "read_json",
    "replace",
    "steps_named",
    "types",
}
TESTING = {
    "Harness",
    "HarnessSession",
}
CLIENT = {
    "Client",
    "Handle",
    "TaskCancelledError",
    "TaskError",
    "TaskEscalatedError",
    "TaskFailedError",
    "TaskRefusedError",
}


@pytest.mark.parametrize(
    ("module", "names"),
    [
        pytest.param(sdk, SDK, id="sdk"),
        pytest.param(messages, MESSAGES, id="sdk.messages"),
        pytest.param(testing, TESTING, id="testing"),
        pytest.param(client, CLIENT, id="client"),
    ],
)
def test_a_public_module_exports_these_names(module: ModuleType, names: set[str]) -> None:
    exported = set(module.__all__)
    assert exported == names, f"removed: {names - exported}, added: {exported - names}"
    assert len(module.__all__) == len(exported)
    assert all(hasattr(module, name) for name in exported)


def test_every_role_is_exported() -> None:
    hidden = {role.__name__ for role in ROLES} - set(sdk.__all__)
    assert not hidden, f"export these from orchestrator/sdk/__init__.py: {hidden}"
