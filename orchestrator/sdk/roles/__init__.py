"""The roles of plug-ins, one file each, and the list of them."""

from typing import Final

from orchestrator.sdk.registry import Plugin
from orchestrator.sdk.roles.evaluator import Evaluator
from orchestrator.sdk.roles.middleware import Middleware
from orchestrator.sdk.roles.model import Model
from orchestrator.sdk.roles.planner import Planner
from orchestrator.sdk.roles.recovery import RecoveryStrategy
from orchestrator.sdk.roles.reviewer import Reviewer
from orchestrator.sdk.roles.selector import Selector
from orchestrator.sdk.roles.subscriber import Subscriber
from orchestrator.sdk.service import Service
from orchestrator.sdk.settings import SettingsPlugin
from orchestrator.sdk.sinks import SinkPlugin
from orchestrator.sdk.tool_sources import ToolSource
from orchestrator.sdk.tools import Tool

ROLES: Final[tuple[type[Plugin], ...]] = (
    Tool,
    ToolSource,
    Planner,
    Selector,
    Evaluator,
    RecoveryStrategy,
    Middleware,
    Model,
    Service,
    Reviewer,
    Subscriber,
    SinkPlugin,
    SettingsPlugin,
)
"""Every role. Objects of these classes are plug-ins: `discover` finds them."""
