"""All names of spans and of their attributes.

Source: OpenTelemetry semantic conventions for messaging and for generative AI. Both are in development: a name
that changes there is changed here and nowhere else.
"""

from typing import Final

SERVICE: Final = "kafka-agent-orchestrator"
SCOPE: Final = "orchestrator"

CONVERSATION_ID: Final = "gen_ai.conversation.id"
OPERATION: Final = "gen_ai.operation.name"
AGENT: Final = "gen_ai.agent.name"
TOOL: Final = "gen_ai.tool.name"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
FIRST_CHUNK_SECONDS: Final = "gen_ai.response.time_to_first_chunk"
TOKENS_CACHED: Final = "gen_ai.usage.cache_read.input_tokens"
SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
ERROR_TYPE: Final = "error.type"
TOKENS_INPUT: Final = "gen_ai.usage.input_tokens"
TOKENS_OUTPUT: Final = "gen_ai.usage.output_tokens"

MESSAGING_SYSTEM: Final = "messaging.system"
MESSAGING_OPERATION: Final = "messaging.operation.type"
MESSAGING_DESTINATION: Final = "messaging.destination.name"
MESSAGING_GROUP: Final = "messaging.consumer.group.name"
MESSAGING_MESSAGE_ID: Final = "messaging.message.id"
KAFKA: Final = "kafka"

TENANT: Final = "agents.tenant"
STEP: Final = "agents.step.id"
ATTEMPT: Final = "agents.step.attempt"
REVISION: Final = "agents.plan.revision"
TURN: Final = "agents.plan.turn"
OUTCOME: Final = "agents.outcome"
TOOL_CALLS: Final = "agents.usage.tool_calls"
MODEL_REQUESTS: Final = "agents.usage.model_requests"
INPUT_LEFT_OUT: Final = "agents.input.messages_left_out"
COST_USD: Final = "agents.usage.cost_usd"

PLAN: Final = "plan"
EVALUATE: Final = "evaluate"


def invoke_agent(agent: str) -> str:
    return f"invoke_agent {agent}"


def session_ended(agent: str) -> str:
    return f"invoke_agent {agent} ended"


def step(step_id: str) -> str:
    return f"step {step_id}"


def chat(model: str) -> str:
    return f"chat {model}"


def execute_tool(tool: str) -> str:
    return f"execute_tool {tool}"


def review(reviewer: str) -> str:
    return f"review {reviewer}"


def process(topic: str) -> str:
    return f"process {topic}"


def send(topic: str) -> str:
    return f"send {topic}"
