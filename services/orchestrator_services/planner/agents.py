"""The agents that planners bring with them: what the planner service announces when it starts."""

import logging
from typing import Final

from orchestrator.sdk import ConfigurationError, Planner, Platform, agent_defined
from orchestrator.sdk.messages import Definition, replace, types

logger: Final = logging.getLogger(__name__)


def agents_of_this_process(platform: Platform) -> list[Definition]:
    """Announces the profile of each planner that has one, unless somebody applied an agent of that name.

    Whoever applies it, say with other limits, means to change what the code says, and a restart must not undo
    that. An announced one is what the code said before, and is replaced, as the definition of a tool is.

    Raises `ConfigurationError` if two planners bring agents of one name.
    """
    if not platform.values.can_keep:
        logger.warning("agents that think cannot run here: no value store, set ORCHESTRATOR_VALUES_URL")
    announced: list[Definition] = []
    for profile in _brought(platform):
        known = platform.definitions.agents.get(profile.name)
        if known is None or known.announced:
            announced.append(agent_defined(profile, platform.now()))
        else:
            logger.info(
                "agent %s stays as it was applied; planner %s brings one of that name",
                *(profile.name, profile.planner),
            )
    return announced


def _brought(platform: Platform) -> list[types.AgentProfile]:
    profiles: dict[str, types.AgentProfile] = {}
    for name, planner in sorted(platform.plugins.by_name(Planner).items()):
        if planner.profile is None:
            continue
        profile = replace(planner.profile, planner=name, announced=True)
        if (other := profiles.setdefault(profile.name, profile)) is not profile:
            raise ConfigurationError(
                f"the planners {other.planner} and {name} both bring an agent {profile.name}: rename one of the two"
            )
    return list(profiles.values())
