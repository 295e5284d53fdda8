"""Which tools an agent may use."""

from fnmatch import fnmatchcase

from orchestrator.sdk.messages import types


def refusal(name: str, policy: types.ToolPolicy) -> str:
    """Why a policy denies a tool; empty if it does not. Deny wins over allow; an empty allow-list allows all."""
    denied = next((pattern for pattern in policy.deny if fnmatchcase(name, pattern)), None)
    if denied:
        return f"the agent may not use {name}: its tools.deny has {denied}"
    if policy.allow and not any(fnmatchcase(name, pattern) for pattern in policy.allow):
        return f"the agent may not use {name}: its tools.allow has only {', '.join(policy.allow)}"
    return ""
