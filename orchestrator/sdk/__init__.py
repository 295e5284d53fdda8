"""What agents are written with: tools, planners, reviewers, subscribers and more, declared by decorators."""

from orchestrator.errors import (
    ConfigurationError,
    ContractError,
    OrchestratorError,
    UnavailableError,
)
from orchestrator.messages.types import (
    CallKind,
    Criterion,
    CriterionResult,
    Evaluation,
    EvaluationPoint,
    Failure,
    FailureKind,
    NextMove,
    RetryPolicy,
    Review,
    ReviewVerdict,
    ToolDefinition,
    Usage,
)
from orchestrator.messages.usage import tokens_of, total_usage
from orchestrator.sdk.activities import Activity, Watched
from orchestrator.sdk.containment import contained
from orchestrator.sdk.context import Context, Definitions, Metrics, Values
from orchestrator.sdk.conversations import Conversation, Conversations, Opening, Segment
from orchestrator.sdk.credentials import credentials_in
from orchestrator.sdk.definitions import agent_defined, playbook_defined, tool_defined
from orchestrator.sdk.documents import Documents, PlaybookDocument, parse_documents, parse_playbooks
from orchestrator.sdk.durations import milliseconds
from orchestrator.sdk.errors import (
    HandlerError,
    InvalidInput,
    PermanentError,
    RunFailedError,
    TransientError,
    UnknownOutcome,
)
from orchestrator.sdk.failures import described, failure_of, readable
from orchestrator.sdk.history import History, TimelineEntry
from orchestrator.sdk.isolated_tools import run_isolated
from orchestrator.sdk.isolation import IsolatedCall, Isolation, ProcessPool, Target
from orchestrator.sdk.isolation.outcome import OUTPUT_LIMIT
from orchestrator.sdk.model_requests import ModelContent, ModelDelta, ModelRequest
from orchestrator.sdk.planning import Output, Plan, PlanStep, document, retry_policy, step
from orchestrator.sdk.playbooks import Playbook, is_of_type, playbook_schema
from orchestrator.sdk.plugins import Plugins, discover
from orchestrator.sdk.registry import Bundle, Plugin
from orchestrator.sdk.results import OUTPUT_NOT_JSON, jsonable, output_not_json, takes_long
from orchestrator.sdk.roles.evaluator import EvaluationRequest, Evaluator, evaluator
from orchestrator.sdk.roles.middleware import Middleware, Next, middleware
from orchestrator.sdk.roles.model import Model
from orchestrator.sdk.roles.planner import Planner, PlanRequest, planner
from orchestrator.sdk.roles.recovery import (
    Exhausted,
    FailedCall,
    Fallback,
    Recovery,
    RecoveryStrategy,
    Retry,
    recovery,
)
from orchestrator.sdk.roles.reviewer import PlanReview, Reviewer, reviewer
from orchestrator.sdk.roles.selector import Selection, Selector, tool_selector
from orchestrator.sdk.roles.subscriber import ObservedEvent as Event
from orchestrator.sdk.roles.subscriber import Subscriber, subscriber
from orchestrator.sdk.service import Outputs, Service
from orchestrator.sdk.service_context import Platform, ServiceContext
from orchestrator.sdk.settings import PluginSettings, SettingsPlugin
from orchestrator.sdk.sinks import Delivery, Positions, Sink, SinkPlugin, sink
from orchestrator.sdk.templates import rendered, steps_in
from orchestrator.sdk.tool_names import problem_of_tool_name
from orchestrator.sdk.tool_sources import ToolSource
from orchestrator.sdk.tools import Tool, ToolFunction, tool
from orchestrator.sdk.yaml_documents import read_yaml

__all__ = [
    "OUTPUT_LIMIT",
    "OUTPUT_NOT_JSON",
    "Activity",
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
    "IsolatedCall",
    "Isolation",
    "Metrics",
    "Middleware",
    "Model",
    "ModelContent",
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
    "ProcessPool",
    "Recovery",
    "RecoveryStrategy",
    "Retry",
    "RetryPolicy",
    "Review",
    "ReviewVerdict",
    "Reviewer",
    "RunFailedError",
    "Segment",
    "Selection",
    "Selector",
    "Service",
    "ServiceContext",
    "SettingsPlugin",
    "Sink",
    "SinkPlugin",
    "Subscriber",
    "Target",
    "TimelineEntry",
    "Tool",
    "ToolDefinition",
    "ToolFunction",
    "ToolSource",
    "TransientError",
    "UnavailableError",
    "UnknownOutcome",
    "Usage",
    "Values",
    "Watched",
    "agent_defined",
    "contained",
    "credentials_in",
    "described",
    "discover",
    "document",
    "evaluator",
    "failure_of",
    "is_of_type",
    "jsonable",
    "middleware",
    "milliseconds",
    "output_not_json",
    "parse_documents",
    "parse_playbooks",
    "planner",
    "playbook_defined",
    "playbook_schema",
    "problem_of_tool_name",
    "read_yaml",
    "readable",
    "recovery",
    "rendered",
    "retry_policy",
    "reviewer",
    "run_isolated",
    "sink",
    "step",
    "steps_in",
    "subscriber",
    "takes_long",
    "tokens_of",
    "tool",
    "tool_defined",
    "tool_selector",
    "total_usage",
]
