"""The default tool selector."""

from orchestrator.sdk import Selection, ToolDefinition, tool_selector
from orchestrator_services.tool_selector.arguments import parameters


@tool_selector("default")
async def closest_fit(selection: Selection) -> ToolDefinition:
    """The tool that the step names, then its fallbacks in their order.

    Among tools with the step's capability: the one that knows most of the arguments' names, then the one that
    leaves fewest of its own parameters unused, then the first by name.
    """
    found = capable(selection)
    if not found:
        return next(iter(selection.candidates.values()))
    given = frozenset(selection.literal_arguments) | selection.bound_arguments
    return min(
        found,
        key=lambda tool: (-len(given & parameters(tool)), len(parameters(tool) - given), tool.name),
    )


def capable(selection: Selection) -> list[ToolDefinition]:
    """The candidates that have the step's capability, without those that it names."""
    named = (selection.step.tool, *selection.step.fallback)
    return [tool for name, tool in selection.candidates.items() if name not in named]
